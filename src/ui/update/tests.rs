//! The screen's behaviour as scripts of messages.

mod every_key;
mod hands;
mod lead;
mod looking;
mod marking;
mod paging;
mod playing;
mod review;
mod taking;
mod views;

use std::sync::Arc;
use std::time::Duration;

use crate::call::{
    Action, CallId, CallStatus, Command, CommandId, Envelope, ErrorCode, Fact, PendingState,
    Refusal, Reply, Role, Source,
};
use crate::engine::{LinkState, Update};
use crate::ui::model::{Mode, Overlay, Page};
use crate::ui::picture::{Still, text};
use crate::ui::sample;
use crate::ui::sound::{Device, SoundState};
use crate::ui::theme::Depth;
use crate::ui::{Effect, Exit, Msg};

fn still() -> Still {
    let mut still = Still::sample("dark", Depth::True).unwrap();
    still.draw(120, 40);
    still.effects.clear();
    still
}

fn fact(still: &mut Still, call: CallId, fact: Fact) {
    let seq = still.model.board.seq() + 1;
    let envelope = Envelope {
        v: 1,
        seq,
        at: still.model.board_now(),
        call: Some(call),
        event: fact.into(),
    };
    still.update(Update::Envelopes {
        to: seq,
        items: vec![Arc::new(envelope)],
    });
}

fn sent(still: &Still) -> Vec<Command> {
    let commands = still.effects.iter().filter_map(|effect| match effect {
        Effect::Send(command) => Some(command.clone()),
        _ => None,
    });
    commands.collect()
}

fn ended(status: CallStatus) -> Fact {
    Fact::CallEnded {
        status,
        ended_by: Some("caller".into()),
        cause: None,
        duration_s: None,
        source: Source::Webhook,
    }
}

/// Seconds pass one by one, as they do.
fn wait(still: &mut Still, seconds: u64) {
    for _ in 0..seconds {
        still.after(Duration::from_secs(1));
        still.message(Msg::Tick);
    }
}

fn say_yes(still: &mut Still) {
    still.keys("E");
    still.after(Duration::from_secs(1));
    still.keys("y");
}

fn pending(still: &Still, call: CallId) -> Option<PendingState> {
    let entry = still.model.pending.of_call(call).last()?;
    Some(entry.state.clone())
}

#[test]
fn ending_a_call_asks_waits_three_seconds_and_is_done_only_by_the_fact() {
    let mut still = still();
    let call = sample::id(1);
    still.keys("E");
    assert!(matches!(
        still.model.overlays.last(),
        Some(Overlay::Confirm(_))
    ));
    let shown = text(&still.draw(120, 40));
    assert!(shown.contains("End this call?") && shown.contains("+1 415 ••• 0134"));
    still.after(Duration::from_secs(1));
    still.keys("y");
    wait(&mut still, 2);
    assert!(sent(&still).is_empty(), "nothing leaves inside the grace");
    assert!(text(&still.draw(120, 40)).contains("ending in 1 s · u undo"));
    wait(&mut still, 2);
    let commands = sent(&still);
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].action, Action::Terminate {});
    assert_eq!(commands[0].call, Some(call));
    assert!(text(&still.draw(120, 40)).contains("ending…"));
    still.update(Update::Reply(Reply::accepted(commands[0].id, None)));
    assert_eq!(pending(&still, call), Some(PendingState::Accepted));
    assert!(still.model.board.get(call).unwrap().is_live());
    fact(&mut still, call, ended(CallStatus::Completed));
    assert_eq!(pending(&still, call), Some(PendingState::Done));
}

#[test]
fn undo_in_the_grace_sends_nothing() {
    let mut still = still();
    say_yes(&mut still);
    wait(&mut still, 1);
    still.keys("u");
    wait(&mut still, 10);
    assert!(sent(&still).is_empty());
    assert_eq!(pending(&still, sample::id(1)), None);
}

#[test]
fn the_default_answer_is_no() {
    for key in ["enter", "esc", "n", "q"] {
        let mut still = still();
        still.keys("E");
        still.after(Duration::from_secs(1));
        still.keys(key);
        wait(&mut still, 5);
        assert!(
            sent(&still).is_empty() && still.model.overlays.is_empty(),
            "{key}"
        );
    }
}

#[test]
fn a_yes_in_the_same_breath_as_the_question_does_not_count() {
    let mut still = still();
    still.keys("E y");
    assert!(still.model.pending.entries().is_empty());
    assert!(matches!(
        still.model.overlays.last(),
        Some(Overlay::Confirm(_))
    ));
}

#[test]
fn pasted_text_triggers_nothing() {
    let mut still = still();
    still.message(Msg::Paste("Ey\nWhello\nDq".into()));
    assert!(still.model.overlays.is_empty() && still.model.pending.entries().is_empty());
    still.keys("W");
    still.after(Duration::from_secs(1));
    still.message(Msg::Paste("be kind\u{1b}[2J\nplease".into()));
    still.keys("enter");
    let commands = sent(&still);
    let text = "be kind please".to_owned();
    assert_eq!(commands[0].action, Action::Whisper { text });
}

#[test]
fn a_paste_the_terminal_did_not_mark_sends_nothing_and_leaves_nothing() {
    for text in ["cRPxzq!", "Ey\nEy\nEy", "Whello\n", "Q: hello\nq\n"] {
        let mut still = still();
        still.model.in_burst = true;
        for character in text.chars() {
            let code = match character {
                '\n' => crossterm::event::KeyCode::Enter,
                character => crossterm::event::KeyCode::Char(character),
            };
            still.message(Msg::Key(code.into()));
        }
        let acts = |effect: &Effect| !matches!(effect, Effect::Watch(_));
        assert!(
            !still.effects.iter().any(acts),
            "{text:?}: {:?}",
            still.effects
        );
    }
}

#[test]
fn a_call_that_ends_in_the_grace_is_not_ended_again() {
    let mut still = still();
    say_yes(&mut still);
    fact(&mut still, sample::id(1), ended(CallStatus::Completed));
    wait(&mut still, 6);
    assert!(sent(&still).is_empty());
}

#[test]
fn silence_after_a_command_becomes_unconfirmed_and_a_late_fact_settles_it() {
    let mut still = still();
    let call = sample::id(1);
    say_yes(&mut still);
    wait(&mut still, 3);
    let id = sent(&still)[0].id;
    still.update(Update::Reply(Reply::accepted(id, None)));
    wait(&mut still, 11);
    assert_eq!(pending(&still, call), Some(PendingState::Unconfirmed));
    assert!(text(&still.draw(120, 40)).contains("end unconfirmed, try again"));
    fact(&mut still, call, ended(CallStatus::Completed));
    assert_eq!(pending(&still, call), Some(PendingState::Done));
}

#[test]
fn a_refusal_is_shown_with_what_to_do() {
    let mut still = still();
    say_yes(&mut still);
    wait(&mut still, 3);
    let id = sent(&still)[0].id;
    let refusal = Refusal {
        by: Some("ben".into()),
        ..Refusal::new(ErrorCode::Conflict, "ben is ending it", "wait for ben")
    };
    still.update(Update::Reply(Reply::refused(id, refusal)));
    let shown = text(&still.draw(120, 40));
    assert!(shown.contains("end refused: ben is ending it"), "{shown}");
    assert!(shown.contains("wait for ben"), "{shown}");
}

#[test]
fn a_carrier_that_cannot_pause_a_recording_says_so_before_anything_is_sent() {
    let mut still = still();
    let call = still.model.selected().unwrap();
    assert!(call.recording().unwrap().state.is_open());
    let carrier = call.facts.carrier.clone();
    still.keys("R");
    assert_eq!(sent(&still)[0].action, Action::RecordPause {});
    still.effects.clear();
    let mut hello = sample::hello();
    hello
        .features
        .push(crate::engine::no_record_pause(&carrier));
    still.update(Update::Hello(hello));
    still.keys("R");
    assert!(sent(&still).is_empty());
    assert!(text(&still.draw(120, 40)).contains("cannot pause a recording"));
}

#[test]
fn who_ended_a_call_and_why_stand_in_words_with_the_carriers_code() {
    let mut still = still();
    let id = still.model.selected().unwrap().id;
    let cause = "Normal Hangup (4000 NORMAL_CLEARING)";
    let end = Fact::CallEnded {
        status: CallStatus::Completed,
        ended_by: Some("API request".into()),
        cause: Some(cause.into()),
        duration_s: Some(50),
        source: Source::Webhook,
    };
    fact(&mut still, id, end);
    still.keys("enter");
    let shown = text(&still.draw(140, 50));
    let line = |label: &str, value: &str| {
        let found = shown
            .lines()
            .any(|line| line.contains(label) && line.contains(value));
        assert!(found, "{label} {value}: {shown}");
    };
    line("ended by", "API request");
    line("cause", cause);
}

#[test]
fn what_a_token_may_not_do_is_refused_with_the_missing_role() {
    let mut still = still();
    let mut hello = sample::hello();
    hello.role = Role::Viewer;
    hello.verbs.retain(|verb| verb.role() == Role::Viewer);
    still.update(Update::Hello(hello));
    for key in ["E", "L", "W", "R", "c", "D", "M", "x"] {
        still.keys(key);
        assert!(still.model.overlays.is_empty(), "{key}");
        let toast = still.model.toast.take().unwrap();
        assert!(
            toast.text.contains("needs the role"),
            "{key}: {}",
            toast.text
        );
        still.after(Duration::from_secs(2));
    }
    assert!(sent(&still).is_empty());
    let footer = text(&still.draw(120, 40));
    assert!(!footer.lines().last().unwrap().contains("E end"));
}

#[test]
fn listening_opens_sounds_and_ends_with_the_call() {
    let mut still = still();
    let call = sample::id(1);
    still.keys("L");
    assert!(still.effects.contains(&Effect::Listen(call)));
    still.message(Msg::Listening {
        call,
        result: Ok(()),
    });
    assert!(text(&still.draw(120, 40)).contains("ear 0134 100 % L/R"));
    still.keys("- m");
    assert!(still.effects.contains(&Effect::Volume(90)));
    assert!(still.effects.contains(&Effect::Mute(true)));
    fact(&mut still, call, ended(CallStatus::Completed));
    assert!(still.effects.contains(&Effect::StopListening));
    assert_eq!(still.model.ear.call, None);
}

#[test]
fn no_sound_device_says_how_to_hear_it_all_the_same() {
    let mut still = still();
    let device = Device::Absent {
        reason: "no PulseAudio or PipeWire socket".into(),
    };
    still.message(Msg::Sound(SoundState {
        device,
        ..SoundState::default()
    }));
    still.keys("L");
    let shown = text(&still.draw(120, 40));
    assert!(
        shown.contains(&format!("wallboard listen {} | mpv -", sample::id(1))),
        "{shown}"
    );
    // On another machine a backend has to be named; whatever does not fit goes on below.
    still.model.settings.url = Some("https://calls.example.com".into());
    let shown = text(&still.draw(80, 24));
    assert!(
        shown.contains("--url") && shown.contains("| mpv -"),
        "{shown}"
    );
    still.keys("y w");
    let command = format!(
        "wallboard listen {} --url https://calls.example.com | mpv -",
        sample::id(1)
    );
    assert!(matches!(still.effects.last(), Some(Effect::Copy { text, .. }) if *text == command));
    still.keys("L");
    still.keys("y l");
    assert_eq!(
        still.effects.last(),
        Some(&Effect::ListenUrl(sample::id(1)))
    );
}

#[test]
fn leaving_never_ends_a_call() {
    let mut attached = still();
    attached.keys("q");
    assert_eq!(attached.effects.last(), Some(&Effect::Leave(Exit::Quit)));

    for (keys, exit) in [
        ("q k", Some(Exit::KeepServing)),
        ("q enter", Some(Exit::KeepServing)),
        ("q d", Some(Exit::Drain)),
        ("ctrl-c ctrl-c", Some(Exit::KeepServing)),
        ("q c", None),
        ("q esc", None),
        ("ctrl-z", None),
    ] {
        let mut embedded = still();
        embedded.model.settings.mode = Mode::Run;
        embedded.update(Update::Link(LinkState::Embedded));
        embedded.keys(keys);
        let left = embedded.effects.iter().find_map(|effect| match effect {
            Effect::Leave(exit) => Some(*exit),
            Effect::Suspend => panic!("{keys}"),
            _ => None,
        });
        assert_eq!(left, exit, "{keys}");
        assert!(sent(&embedded).is_empty(), "{keys}");
    }
}

#[test]
fn a_command_that_could_not_be_handed_over_is_refused_at_once() {
    let mut still = still();
    still.keys("c");
    let command = sent(&still).remove(0);
    let refusal = Refusal::new(ErrorCode::Unavailable, "the link is down", "wait");
    still.message(Msg::NotSent { command, refusal });
    assert!(matches!(
        pending(&still, sample::id(1)),
        Some(PendingState::Refused(_))
    ));
}

#[test]
fn prompts_check_numbers_and_reasons() {
    let mut still = still();
    still.keys("D");
    still.type_text("0800 123");
    still.after(Duration::from_secs(1));
    still.keys("enter");
    assert!(sent(&still).is_empty());
    assert!(text(&still.draw(120, 40)).contains("country code"));
    still.keys("ctrl-u");
    still.type_text("+1 (415) 555-0134");
    still.keys("enter");
    match &sent(&still)[0].action {
        Action::Dial { request } => assert_eq!(request.number, "+14155550134"),
        other => panic!("{other:?}"),
    }
    still.keys("M");
    still.after(Duration::from_secs(1));
    still.keys("enter");
    assert_eq!(sent(&still).len(), 1, "no reason, no number");
    still.type_text("callback");
    still.keys("enter");
    let unmask = sent(&still).remove(1);
    assert_eq!(unmask.reason.as_deref(), Some("callback"));
    assert!(!text(&still.draw(120, 40)).contains("+14155550134"));
    still.update(Update::Reply(Reply::accepted(unmask.id, None)));
    assert!(text(&still.draw(120, 40)).contains("+14155550134"));
    wait(&mut still, 31);
    assert!(!text(&still.draw(120, 40)).contains("+14155550134"));
}

#[test]
fn the_palette_runs_commands_with_arguments() {
    let mut still = still();
    still.keys(":");
    still.type_text("note call back at noon");
    still.after(Duration::from_secs(1));
    still.keys("enter");
    let text = "call back at noon".to_owned();
    assert_eq!(sent(&still)[0].action, Action::Note { text });
    still.keys(":");
    still.type_text("theme light");
    still.keys("enter");
    assert_eq!(still.effects.last(), Some(&Effect::Theme("light".into())));
    still.keys("?");
    still.type_text("full scr");
    still.keys("enter");
    assert_eq!(still.model.page, Page::Call);
    still.keys("esc");
    assert_eq!(still.model.page, Page::Board);
}

#[test]
fn a_new_snapshot_keeps_the_cursor_and_settles_what_ended_meanwhile() {
    let mut still = still();
    still.keys("j");
    let selected = still.model.list.selected;
    say_yes(&mut still);
    wait(&mut still, 3);
    let mut calls = sample::calls(still.model.board_now());
    for call in &mut calls {
        if Some(call.id) == selected {
            call.status = CallStatus::Completed;
            call.ended_at = Some(still.model.now.wall);
        }
    }
    still.update(Update::Link(LinkState::Down {
        reason: "closed".into(),
        retry_in: Duration::from_secs(1),
        attempt: 1,
    }));
    still.update(Update::Link(LinkState::Up));
    still.update(Update::Snapshot {
        epoch: sample::hello().epoch,
        seq: 900,
        calls,
    });
    assert_eq!(still.model.list.selected, selected);
    assert_eq!(pending(&still, selected.unwrap()), Some(PendingState::Done));
}

#[test]
fn command_ids_never_repeat() {
    let mut still = still();
    let ids: std::collections::HashSet<CommandId> =
        (0..1_000).map(|_| still.model.mint()).collect();
    assert_eq!(ids.len(), 1_000);
}
