use std::collections::BTreeSet;

use super::*;
use crate::call::{CallEvent, CallStatus};
use crate::ui::Settings;
use crate::ui::theme::Depth;

/// Plays so many seconds; what was told, and the board it makes.
fn played(seed: u64, seconds: u64) -> (Vec<String>, Rehearsal) {
    let demo = Demo {
        seed,
        ..Demo::default()
    };
    let mut rehearsal = Rehearsal::new(demo, sample::now());
    let mut told = Vec::new();
    while rehearsal.now < Duration::from_secs(seconds) {
        for update in rehearsal.step() {
            told.push(match update {
                Update::Envelopes { items, .. } => {
                    let items: Vec<&Envelope> = items.iter().map(Arc::as_ref).collect();
                    serde_json::to_string(&items).unwrap()
                }
                other => format!("{other:?}"),
            });
        }
    }
    (told, rehearsal)
}

#[test]
fn the_same_seed_tells_the_same_and_another_seed_something_else() {
    let (one, _) = played(1, 12);
    assert_eq!(one, played(1, 12).0);
    assert_ne!(one, played(2, 12).0);
}

#[test]
fn a_minute_holds_what_an_operator_is_there_for() {
    let demo = Demo::default();
    let mut rehearsal = Rehearsal::new(demo, sample::now());
    let (mut rules, mut cut, mut tools, mut keys) = (BTreeSet::new(), 0, 0, 0);
    while rehearsal.now < Duration::from_secs(75) {
        for update in rehearsal.step() {
            let Update::Envelopes { items, .. } = update else {
                continue;
            };
            for envelope in items {
                match &envelope.event {
                    CallEvent::Known(Fact::AlertRaised { alert }) => {
                        rules.insert(alert.rule.clone());
                    }
                    CallEvent::Known(Fact::BargedIn { .. }) => cut += 1,
                    CallEvent::Known(Fact::ToolReturned { ok: true, .. }) => tools += 1,
                    CallEvent::Known(Fact::TurnTimed { .. }) => keys += 1,
                    _ => {}
                }
            }
        }
    }
    for rule in ["agent_loop", "dead_air"] {
        assert!(rules.contains(rule), "{rules:?}");
    }
    assert!(cut > 0 && tools > 0 && keys > 10, "{cut} {tools} {keys}");
    let statuses: BTreeSet<&str> = rehearsal
        .board
        .calls()
        .map(|call| call.status.as_str())
        .collect();
    for status in [
        CallStatus::InProgress,
        CallStatus::Completed,
        CallStatus::NoAnswer,
        CallStatus::Busy,
        CallStatus::Failed,
    ] {
        assert!(statuses.contains(status.as_str()), "{statuses:?}");
    }
    assert_eq!(rehearsal.board.seq(), rehearsal.seq, "without a gap");
}

#[test]
fn a_screen_shows_what_the_rehearsal_has_on_its_board() {
    let began = sample::now();
    let settings = Settings {
        theme: "dark".into(),
        ..Settings::default()
    };
    let mut still = Still::new(settings, Depth::True, began).unwrap();
    let mut rehearsal = Rehearsal::new(Demo::default(), began);
    for update in rehearsal.opening() {
        still.update(update);
    }
    rehearsal.play(&mut still, Duration::from_secs(20));
    let calls = |board: &Board| board.calls().cloned().collect::<Vec<_>>();
    assert_eq!(calls(&still.model.board), calls(&rehearsal.board));
    assert_eq!(still.model.now.wall, rehearsal.wall());
}
