//! Looking at the board: cursor, filter, freeze, notices.

use std::sync::Arc;

use crate::call::{CallFacts, CallStatus, Envelope, Fact, Severity};
use crate::engine::Update;
use crate::ui::picture::{Still, text};
use crate::ui::{Effect, Msg, sample};

use super::super::visible;
use super::{ended, fact, still, wait};

#[test]
fn the_row_under_the_cursor_stays_when_others_move() {
    let mut still = still();
    still.keys("j j j j");
    let selected = still.model.list.selected.unwrap();
    let line = |still: &Still| {
        visible(&still.model)
            .find(|(id, _)| Some(*id) == still.model.list.selected)
            .map(|(_, y)| y)
    };
    let before = line(&still).unwrap();
    // The worst call above gets well, one below gets ill, one above ends, a new one comes.
    let rule = || "agent_loop".to_owned();
    fact(
        &mut still,
        sample::id(1),
        Fact::AlertCleared { rule: rule() },
    );
    fact(
        &mut still,
        sample::id(1),
        Fact::AlertCleared {
            rule: "slow_turn".into(),
        },
    );
    assert_eq!(line(&still), Some(before));
    fact(&mut still, sample::id(4), ended(CallStatus::Completed));
    let after = line(&still).unwrap();
    assert!((after - before).abs() <= 4, "{before} → {after}");
    assert_eq!(still.model.list.selected, Some(selected));
    fact(
        &mut still,
        sample::id(77),
        Fact::CallSeen {
            facts: CallFacts::default(),
            status: CallStatus::Ringing,
            started_at: None,
        },
    );
    assert_eq!(still.model.list.selected, Some(selected));
}

#[test]
fn ended_calls_fade_after_ten_seconds_unless_kept() {
    let mut still = still();
    still.draw(300, 100);
    let shown = |still: &Still| still.model.list.order.contains(&sample::id(12));
    assert!(shown(&still));
    wait(&mut still, 11);
    assert!(!shown(&still));
    still.keys("h");
    assert!(shown(&still));
}

#[test]
fn the_cursor_keeps_an_ended_call_in_sight_until_it_leaves() {
    let mut still = still();
    still.keys("g");
    fact(&mut still, sample::id(1), ended(CallStatus::Completed));
    wait(&mut still, 30);
    assert_eq!(still.model.list.selected, Some(sample::id(1)));
    assert!(still.model.list.order.contains(&sample::id(1)));
    still.keys("j");
    wait(&mut still, 1);
    assert!(!still.model.list.order.contains(&sample::id(1)));
}

#[test]
fn worst_goes_to_the_evidence_and_clears_a_filter_that_hides_it() {
    let mut still = still();
    still.keys("/");
    still.type_text("grace");
    still.keys("enter");
    assert_eq!(still.model.list.order.len(), 1);
    still.keys("!");
    assert_eq!(still.model.list.selected, Some(sample::id(1)));
    assert!(still.model.filter.is_empty());
}

#[test]
fn a_filter_acts_while_typed_and_esc_takes_it_back() {
    let mut still = still();
    still.keys("/");
    still.type_text("agent:ava");
    let shown = still.model.list.order.len();
    assert!(shown > 1 && shown < still.model.list.candidates);
    assert!(text(&still.draw(120, 40)).contains(&format!("{shown} of 13 calls")));
    still.keys("esc");
    assert_eq!(still.model.list.order.len(), still.model.list.candidates);
}

#[test]
fn a_frozen_picture_counts_what_waits_and_catches_up() {
    let mut still = still();
    still.keys("p");
    fact_waiting(&mut still);
    let shown = text(&still.draw(120, 40));
    assert!(shown.contains("FROZEN +1 events"), "{shown}");
    assert!(still.model.board.get(sample::id(3)).unwrap().is_live());
    still.keys("p");
    assert!(!still.model.board.get(sample::id(3)).unwrap().is_live());
}

fn fact_waiting(still: &mut Still) {
    fact(still, sample::id(3), ended(CallStatus::Completed));
}

#[test]
fn only_calls_in_view_are_watched() {
    let mut still = still();
    let at = sample::now();
    still.update(Update::Snapshot {
        epoch: sample::hello().epoch,
        seq: 1,
        calls: sample::many(at, 500),
    });
    still.draw(120, 40);
    match still
        .effects
        .iter()
        .rev()
        .find(|e| matches!(e, Effect::Watch(_)))
    {
        Some(Effect::Watch(calls)) => assert!((1..=10).contains(&calls.len()), "{}", calls.len()),
        other => panic!("{other:?}"),
    }
    still.message(Msg::Focus(false));
    still.draw(120, 40);
    match still.effects.last() {
        Some(Effect::Watch(calls)) => assert!(calls.len() <= 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_backend_warning_stays_until_it_is_closed() {
    let mut still = still();
    let seq = still.model.board.seq() + 1;
    let notice = Fact::Notice {
        severity: Severity::Critical,
        code: "signatures_off".into(),
        text: "webhook signatures are not checked".into(),
    };
    still.update(Update::Envelopes {
        to: seq,
        items: vec![Arc::new(Envelope {
            v: 1,
            seq,
            at: sample::now(),
            call: None,
            event: notice.into(),
        })],
    });
    wait(&mut still, 100);
    assert!(text(&still.draw(120, 40)).contains("signatures are not checked"));
    still.keys("esc");
    assert!(!text(&still.draw(120, 40)).contains("signatures are not checked"));
}

#[test]
fn a_screen_nobody_has_touched_leads_to_the_call_that_needs_somebody() {
    let settings = crate::ui::Settings {
        theme: "dark".into(),
        ..crate::ui::Settings::default()
    };
    let mut still = Still::new(settings, crate::ui::theme::Depth::True, sample::now()).unwrap();
    still.draw(120, 40);
    still.update(Update::Snapshot {
        epoch: sample::hello().epoch,
        seq: 1,
        calls: vec![sample::calls(sample::now()).remove(2)],
    });
    assert_eq!(still.model.list.selected, Some(sample::id(3)));
    let ill = |still: &mut Still| {
        let mut calls = sample::calls(sample::now());
        calls.truncate(3);
        still.update(Update::Snapshot {
            epoch: sample::hello().epoch,
            seq: 2,
            calls,
        });
    };
    ill(&mut still);
    assert_eq!(still.model.list.selected, Some(sample::id(1)));
    // Once somebody has moved, the row is theirs.
    still.keys("G");
    let theirs = still.model.list.selected;
    assert_ne!(theirs, Some(sample::id(1)));
    ill(&mut still);
    assert_eq!(still.model.list.selected, theirs);
}

#[test]
fn an_ended_call_stays_under_the_cursor_only_while_somebody_is_there() {
    let mut still = still();
    still.keys("g");
    fact(&mut still, sample::id(1), ended(CallStatus::Completed));
    wait(&mut still, 30);
    assert_eq!(still.model.list.selected, Some(sample::id(1)));
    wait(&mut still, 40);
    assert_ne!(still.model.list.selected, Some(sample::id(1)));
}
