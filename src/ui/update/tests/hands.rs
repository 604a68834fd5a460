//! Hands on the call by keys: taking over and typing, handing back, transferring, whispering, leaving.

use std::time::Duration;

use crate::call::{Action, CallId, CallStatus, CommandId, Fact, Limit, Track};
use crate::engine::{LinkState, Update};
use crate::ui::model::{Ask, Mode, Overlay};
use crate::ui::picture::{Still, text};
use crate::ui::{Effect, Exit, sample};

use super::{ended, fact, sent, still, wait};

/// The sample board with its cursor on the first call.
fn call() -> CallId {
    sample::id(1)
}

fn shown(still: &mut Still) -> String {
    text(&still.draw(120, 40))
}

fn asked(still: &Still) -> Option<Ask> {
    match still.model.overlays.last() {
        Some(Overlay::Prompt(prompt)) => Some(prompt.ask),
        _ => None,
    }
}

fn takes_over(still: &mut Still, by: &str) {
    fact(still, call(), Fact::TakenOver { by: by.into() });
}

/// The call is ours, its line open.
fn speaking() -> Still {
    let mut still = still();
    still.keys("T");
    let command = sent(&still)[0].id;
    takes_over(&mut still, "ana");
    let done = Fact::CommandDone {
        command,
        verb: "take_over".into(),
        by: "ana".into(),
    };
    fact(&mut still, call(), done);
    // Long enough for "done" to have been read.
    wait(&mut still, 10);
    still
}

fn actions(still: &Still) -> Vec<Action> {
    sent(still)
        .into_iter()
        .map(|command| command.action)
        .collect()
}

#[test]
fn taking_over_opens_a_line_that_speaks_once_the_call_is_ours() {
    let mut still = still();
    still.keys("T");
    let commands = sent(&still);
    assert_eq!(commands[0].action, Action::TakeOver {});
    assert_eq!(commands[0].call, Some(call()));
    assert_eq!(asked(&still), Some(Ask::Speak));
    still.after(Duration::from_secs(1));
    still.type_text("Hello, this is Ana.");
    still.keys("enter");
    assert_eq!(
        actions(&still).len(),
        1,
        "nothing is said before it is ours"
    );
    assert!(shown(&mut still).contains("not yours yet"));
    takes_over(&mut still, "ana");
    still.keys("enter");
    let said = Action::Say {
        text: "Hello, this is Ana.".into(),
    };
    assert_eq!(actions(&still)[1], said);
    // The line stays for the next words, and says whose it is.
    let screen = shown(&mut still);
    assert!(screen.contains("you speak ›") && screen.contains("enter says it"));
    assert!(!screen.contains("Hello, this is Ana."), "{screen}");
    still.keys("enter");
    assert!(shown(&mut still).contains("nothing typed yet"));
    assert_eq!(actions(&still).len(), 2);
}

#[test]
fn leaving_the_line_keeps_the_call_and_t_opens_it_again() {
    let mut still = speaking();
    still.type_text("never mind");
    still.keys("esc");
    assert!(asked(&still).is_none());
    assert_eq!(
        actions(&still),
        [Action::TakeOver {}],
        "nothing of it was sent"
    );
    assert!(shown(&mut still).contains("you speak"));
    still.keys("T");
    assert_eq!(asked(&still), Some(Ask::Speak));
    assert_eq!(actions(&still).len(), 1, "it is ours already");
}

#[test]
fn a_call_somebody_else_speaks_on_is_greyed_with_the_name() {
    let mut still = still();
    takes_over(&mut still, "ben");
    for key in ["T", "B", "X", "S", "P"] {
        still.keys(key);
        let screen = shown(&mut still);
        assert!(asked(&still).is_none(), "{key}");
        assert!(
            screen.contains("ben speaks to the caller"),
            "{key}: {screen}"
        );
    }
    assert!(sent(&still).is_empty());
    still.keys(":");
    still.type_text("take over");
    let screen = shown(&mut still);
    assert!(screen.contains("ben speaks to the caller"), "{screen}");
    still.after(Duration::from_secs(1));
    still.keys("enter");
    assert!(sent(&still).is_empty());
}

#[test]
fn what_the_vendors_cannot_do_is_greyed_with_the_reason() {
    let mut still = still();
    let reason = "this agent speaks no given text";
    let limits = ["say", "take_over"].map(|action| Limit {
        action: action.into(),
        reason: reason.into(),
    });
    let limits = Fact::LimitsKnown {
        limits: limits.into(),
    };
    fact(&mut still, call(), limits);
    for key in ["T", "S"] {
        still.keys(key);
        assert!(shown(&mut still).contains(reason), "{key}");
        assert!(asked(&still).is_none());
    }
    assert!(sent(&still).is_empty());
}

#[test]
fn an_agent_that_cannot_be_silenced_says_so_while_somebody_speaks_in_its_place() {
    let mut still = speaking();
    let limits = vec![Limit {
        action: "hush_agent".into(),
        reason: "it cannot be told to be silent".into(),
    }];
    fact(&mut still, call(), Fact::LimitsKnown { limits });
    for said in [
        Fact::UtteranceFinal {
            turn: 90,
            track: Track::FromAgent,
            text: "Hello? Are you still there?".into(),
            latency_ms: None,
        },
        Fact::UtteranceTruncated {
            turn: 90,
            track: Track::FromAgent,
            heard: String::new(),
            cut_at_ms: 0,
            by: Some(Track::FromOperator),
        },
    ] {
        fact(&mut still, call(), said);
    }
    let screen = text(&still.draw(200, 60));
    assert!(
        screen.contains("it cannot be told to be silent"),
        "{screen}"
    );
    assert!(screen.contains("⌿ not heard: Hello? Are you"), "{screen}");
    assert!(
        !screen.contains("cut off by the caller after 0.0"),
        "{screen}"
    );
}

#[test]
fn handing_back_shows_the_note_first_and_is_greyed_without_a_hold() {
    let mut still = still();
    still.keys("B");
    assert!(shown(&mut still).contains("nobody has taken this call over"));
    let mut still = speaking();
    let words = Fact::UtteranceFinal {
        turn: 91,
        track: Track::FromOperator,
        text: "I credit you 20 euros".into(),
        latency_ms: None,
    };
    fact(&mut still, call(), words);
    still.keys("esc B");
    assert_eq!(asked(&still), Some(Ask::HandBack));
    let screen = shown(&mut still);
    assert!(screen.contains("Back to the agent"), "{screen}");
    still.keys("esc");
    assert_eq!(actions(&still), [Action::TakeOver {}], "esc keeps the call");
    still.keys("B");
    still.after(Duration::from_secs(1));
    still.keys("enter");
    let Some(Action::HandBack { note: Some(note) }) = actions(&still).pop() else {
        panic!("{:?}", actions(&still));
    };
    assert!(
        note.contains("ana, a person") && note.contains("20 euros"),
        "{note}"
    );
}

#[test]
fn a_transfer_wants_a_place_or_a_number_and_a_yes() {
    let mut still = still();
    still.keys("X");
    let screen = shown(&mut still);
    assert!(
        screen.contains("Front desk") && screen.contains("Sales"),
        "{screen}"
    );
    still.after(Duration::from_secs(1));
    for wrong in ["0800 123", "3", "nowhere"] {
        still.type_text(wrong);
        still.keys("enter");
        assert!(shown(&mut still).contains("country code"), "{wrong}");
        assert_eq!(asked(&still), Some(Ask::Transfer), "{wrong}");
        still.keys("ctrl-u");
    }
    still.keys("esc");
    assert!(still.model.overlays.is_empty() && sent(&still).is_empty());
    for (typed, to) in [("2", "Sales"), ("+1 (415) 555-0134", "+14155550134")] {
        still.keys("X");
        still.after(Duration::from_secs(1));
        still.type_text(typed);
        still.keys("enter");
        assert!(
            matches!(still.model.overlays.last(), Some(Overlay::Confirm(confirm))
            if confirm.action == Action::Transfer { to: to.into() })
        );
        still.keys("n");
        assert!(still.model.pending.entries().is_empty(), "{typed}");
    }
}

#[test]
fn a_whisper_has_a_receipt_in_the_transcript() {
    for (outcome, receipt) in [
        (None, "· queued"),
        (Some(true), "· delivered"),
        (Some(false), "· not delivered"),
    ] {
        let mut still = still();
        still.keys("enter W");
        still.after(Duration::from_secs(1));
        still.type_text("no refunds");
        still.keys("enter");
        let command = sent(&still)[0].id;
        for whispered in told(command, outcome) {
            fact(&mut still, call(), whispered);
        }
        let screen = shown(&mut still);
        let line = screen
            .lines()
            .find(|line| line.contains("ana whispers: no refunds"));
        assert!(line.is_some_and(|line| line.contains(receipt)), "{screen}");
    }
}

/// What the backend tells of a whisper; `None` while the agent has not got it.
fn told(command: CommandId, outcome: Option<bool>) -> Vec<Fact> {
    let mut facts = vec![
        Fact::CommandAccepted {
            command,
            verb: "whisper".into(),
            by: "ana".into(),
            reason: None,
        },
        Fact::Whispered {
            command,
            by: "ana".into(),
            text: "no refunds".into(),
        },
    ];
    match outcome {
        None => {}
        Some(true) => facts.push(Fact::CommandDone {
            command,
            verb: "whisper".into(),
            by: "ana".into(),
        }),
        Some(false) => facts.push(Fact::CommandFailed {
            command,
            verb: "whisper".into(),
            by: "ana".into(),
            code: "conflict".into(),
            message: "no agent".into(),
        }),
    }
    facts
}

#[test]
fn leaving_while_a_caller_hears_us_asks_first_and_says_what_becomes_of_them() {
    for (keys, exit) in [
        ("q y", Some(Exit::Quit)),
        ("q ctrl-c", Some(Exit::Quit)),
        ("q n", None),
        ("q enter", None),
        ("q esc", None),
        ("q q", None),
    ] {
        let mut still = speaking();
        still.model.settings.mode = Mode::Attach;
        still.keys("esc esc");
        let (first, rest) = keys.split_once(' ').unwrap();
        still.keys(first);
        let screen = shown(&mut still);
        assert!(screen.contains("Leave while you speak?"), "{screen}");
        assert!(
            screen.contains("the agent takes over 10 s after you leave"),
            "{screen}"
        );
        still.keys(rest);
        let left = still.effects.iter().find_map(|effect| match effect {
            Effect::Leave(exit) => Some(*exit),
            _ => None,
        });
        assert_eq!(left, exit, "{keys}");
    }
    // Where the process carries the calls it asks anyway, and says it too.
    let mut still = speaking();
    still.model.settings.mode = Mode::Run;
    still.update(Update::Link(LinkState::Embedded));
    still.keys("esc esc q");
    let screen = shown(&mut still);
    assert!(
        screen.contains("A caller hears you: the agent takes over 10 s"),
        "{screen}"
    );
}

/// The call ended just before: the sentence that was meant for the caller is none for the key table.
#[test]
fn what_is_typed_although_its_prompt_was_refused_does_nothing() {
    let mut still = still();
    fact(&mut still, sample::id(1), ended(CallStatus::Completed));
    for key in ["T", "W", "S", "B", "X"] {
        still.effects.clear();
        still.keys(key);
        for letter in "Please, EPR hold on".chars() {
            still.after(Duration::from_millis(300));
            still.type_text(&letter.to_string());
        }
        still.keys("enter");
        assert!(
            sent(&still).is_empty() && still.model.overlays.is_empty(),
            "{key}"
        );
        let shown = text(&still.draw(120, 40));
        assert!(
            shown.contains("what you type is not taken"),
            "{key}: {shown}"
        );
        assert!(still.model.frozen.is_none() && still.model.marked.is_empty());
        // After a pause, or esc, keys are keys again.
        still.after(Duration::from_secs(2));
        still.keys("?");
        assert!(!still.model.overlays.is_empty());
        still.keys("esc");
        still.keys(key);
        still.keys("esc ?");
        assert!(!still.model.overlays.is_empty(), "{key}");
        still.keys("esc");
    }
}
