//! Recordings on the screen.

use super::{fact, still};
use crate::call::{CallId, ErrorCode, Fact, Recording, RecordingState, Refusal, Role, Verb};
use crate::engine::{Fetched, Update};
use crate::media::{TapeOrder, TapeState};
use crate::ui::model::Overlay;
use crate::ui::picture::{Still, text};
use crate::ui::sample;
use crate::ui::sound::{Device, SoundState};
use crate::ui::{Effect, Msg};

fn recorded(still: &mut Still, call: CallId, id: &str) {
    let recording = Recording {
        id: format!("RE-{id}"),
        state: RecordingState::Completed,
        duration_s: Some(94),
        url: Some(format!("/api/recordings/{id}")),
        error: None,
    };
    fact(still, call, Fact::RecordingChanged { recording });
}

fn sound(still: &mut Still, tape: TapeState) {
    still.message(Msg::Sound(SoundState {
        device: Device::Ready {
            name: "card".into(),
        },
        playing: true,
        underruns: 0,
        tape: Some(tape),
    }));
}

fn shown(still: &mut Still) -> String {
    text(&still.draw(200, 60))
}

fn said(still: &Still) -> &str {
    still.model.toast.as_ref().map_or("", |toast| &toast.text)
}

/// The first call's recording has come and plays.
fn playing() -> Still {
    let mut still = still();
    recorded(&mut still, sample::id(1), "file-1");
    still.keys("r");
    let so_far = Fetched {
        bytes: 250,
        of: Some(1_000),
    };
    let id = String::from("file-1");
    still.message(Msg::Fetched {
        id: id.clone(),
        so_far,
    });
    assert!(shown(&mut still).contains("rec 0134 coming 25 %"));
    still.message(Msg::Recording { id, result: Ok(()) });
    still
}

#[test]
fn a_recording_is_fetched_played_held_and_stopped() {
    let mut still = playing();
    assert!(still.effects.contains(&Effect::Recording("file-1".into())));
    let mut at = TapeState {
        at_s: 12,
        length_s: Some(95),
        ..TapeState::default()
    };
    sound(&mut still, at.clone());
    let picture = shown(&mut still);
    assert!(picture.contains("▸ rec 0134 00:12 / 01:35"), "{picture}");
    still.keys("r");
    assert_eq!(still.effects.last(), Some(&Effect::Tape(TapeOrder::Pause)));
    at.is_paused = true;
    sound(&mut still, at.clone());
    assert!(shown(&mut still).contains("○ paused rec 0134"));
    still.keys("r <");
    assert!(still.effects.contains(&Effect::Tape(TapeOrder::Resume)));
    assert_eq!(
        still.effects.last(),
        Some(&Effect::Tape(TapeOrder::Seek(-5)))
    );
    still.keys(">");
    assert_eq!(
        still.effects.last(),
        Some(&Effect::Tape(TapeOrder::Seek(5)))
    );
    still.keys(".");
    assert_eq!(still.effects.last(), Some(&Effect::StopListening));
    assert_eq!(still.model.tape, None);
    still.keys(".");
    assert_eq!(said(&still), "no recording plays");
}

#[test]
fn what_plays_ends_by_itself_and_says_so() {
    let mut still = playing();
    let over = TapeState {
        is_over: true,
        ..TapeState::default()
    };
    sound(&mut still, over);
    assert_eq!(
        (said(&still), &still.model.tape),
        ("the recording is over", &None)
    );
    still.keys("r");
    assert_eq!(
        still.effects.last(),
        Some(&Effect::Recording("file-1".into()))
    );
}

#[test]
fn listening_to_a_call_and_playing_take_turns() {
    let mut still = playing();
    still.effects.clear();
    still.keys("L");
    let call = sample::id(1);
    assert_eq!(still.model.tape, None);
    assert!(
        still
            .effects
            .ends_with(&[Effect::StopListening, Effect::Listen(call)])
    );
    still.message(Msg::Listening {
        call,
        result: Ok(()),
    });
    still.keys("r");
    assert_eq!(still.model.ear.call, None);
    let turn = [Effect::StopListening, Effect::Recording("file-1".into())];
    assert!(still.effects.ends_with(&turn), "{:?}", still.effects);
    // Another recording takes the place of this one.
    recorded(&mut still, call, "file-2");
    still.keys("r");
    let turn = [Effect::StopListening, Effect::Recording("file-2".into())];
    assert!(still.effects.ends_with(&turn), "{:?}", still.effects);
    assert!(
        said(&still).starts_with("recording 2 of 2"),
        "{}",
        said(&still)
    );
    still.keys(":");
    still.type_text("play 1");
    still.keys("enter");
    assert_eq!(
        still.effects.last(),
        Some(&Effect::Recording("file-1".into()))
    );
    // What came for the one before is nobody's any more.
    let id = String::from("file-2");
    still.message(Msg::Recording { id, result: Ok(()) });
    assert!(
        still
            .model
            .tape
            .as_ref()
            .is_some_and(|tape| tape.fetching.is_some())
    );
}

#[test]
fn a_refusal_and_a_broken_file_say_why() {
    let mut still = still();
    recorded(&mut still, sample::id(1), "file-1");
    still.keys("r");
    let refusal = Refusal::new(
        ErrorCode::NotFound,
        "no such recording",
        "it may have been purged",
    );
    still.message(Msg::Recording {
        id: "file-1".into(),
        result: Err(refusal),
    });
    assert_eq!(
        said(&still),
        "cannot play: no such recording – it may have been purged"
    );
    assert_eq!(still.model.tape, None);

    let mut still = playing();
    let broken = TapeState {
        is_over: true,
        error: Some("it is neither WAV nor MP3".into()),
        ..TapeState::default()
    };
    sound(&mut still, broken);
    let words = said(&still);
    assert!(
        words.contains("neither WAV nor MP3") && words.contains("--out FILE"),
        "{words}"
    );
}

#[test]
fn without_a_device_it_says_how_to_hear_it_all_the_same() {
    let absent = SoundState {
        device: Device::Absent {
            reason: "no PulseAudio or PipeWire socket".into(),
        },
        ..SoundState::default()
    };
    let mut still = still();
    recorded(&mut still, sample::id(1), "file-1");
    still.message(Msg::Sound(absent.clone()));
    still.effects.clear();
    still.keys("r");
    assert!(!still.effects.contains(&Effect::Recording("file-1".into())));
    let picture = shown(&mut still);
    assert!(
        picture.contains("wallboard recording file-1 | mpv -"),
        "{picture}"
    );
    still.keys("y");
    assert!(
        matches!(still.effects.last(), Some(Effect::Copy { text, .. }) if text.contains("file-1"))
    );
    // It may turn out only once something is to be heard.
    let mut late = playing();
    late.message(Msg::Sound(absent));
    assert!(
        matches!(late.model.overlays.last(), Some(Overlay::HearRecording(id)) if id == "file-1")
    );
}

#[test]
fn whoever_may_not_hear_recordings_or_has_none_is_told() {
    let mut still = still();
    let first = sample::id(1);
    still.keys("r");
    assert_eq!(said(&still), "play: it is still being recorded");
    recorded(&mut still, first, "file-1");
    let mut hello = sample::hello();
    hello.role = Role::Viewer;
    hello.verbs = vec![Verb::View, Verb::Transcript];
    still.update(Update::Hello(hello));
    still.keys("r");
    assert!(
        said(&still).contains("needs the role listener"),
        "{}",
        said(&still)
    );
    assert_eq!(still.model.tape, None);
}
