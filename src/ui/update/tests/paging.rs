//! The pages beside the board, the worst call, groups.

use std::time::Duration;

use chrono::TimeDelta;

use crate::call::{Action, CallStatus, Fact};
use crate::engine::{AuditEntry, HistoryPage};
use crate::ui::model::{AlertStage, Page, View};
use crate::ui::picture::{Still, text};
use crate::ui::{Effect, Msg, sample};

use super::{ended, fact, sent, still, wait};

/// The last thing asked of the world, looking at calls aside.
pub(super) fn asked(still: &Still) -> Option<&Effect> {
    let mut all = still.effects.iter().rev();
    all.find(|effect| !matches!(effect, Effect::Watch(_)))
}

fn rows(still: &Still) -> Vec<(String, AlertStage)> {
    let rows = still.model.alerts.rows.iter();
    rows.map(|row| (row.alert.rule.clone(), row.stage))
        .collect()
}

#[test]
fn worst_leads_through_all_that_need_you_and_opens_the_evidence() {
    let mut still = still();
    still.draw(80, 24);
    still.keys("G !");
    assert_eq!(still.model.list.selected, Some(sample::id(1)));
    let shown = text(&still.draw(80, 24));
    assert!(shown.contains("1 of 4: loop ×3, 41 s"), "{shown}");
    assert!(shown.contains("▲"), "the evidence is marked: {shown}");
    assert!(!still.model.transcript.is_following() || shown.contains("one more time"));
    let mut seen = vec![still.model.list.selected];
    for _ in 0..3 {
        still.keys("!");
        assert!(!seen.contains(&still.model.list.selected));
        seen.push(still.model.list.selected);
    }
    still.keys("!");
    assert_eq!(still.model.list.selected, seen[0], "round to the first");
    // After moving by hand it starts again with the worst.
    still.keys("! j !");
    assert_eq!(still.model.list.selected, seen[0]);
}

#[test]
fn one_that_becomes_worse_meanwhile_comes_before_the_round_goes_on() {
    let mut still = still();
    still.keys("! !");
    let second = still.model.list.selected;
    let fresh = sample::id(3);
    assert!(second.is_some() && second != Some(fresh));
    let alert = crate::call::Alert {
        rule: "help_request".into(),
        severity: crate::call::Severity::Critical,
        reason: "asks for a human".into(),
        value: 1.0,
        threshold: 1.0,
        since: sample::now(),
        evidence: Vec::new(),
        acknowledged_by: None,
        snoozed_until: None,
    };
    fact(&mut still, fresh, Fact::AlertRaised { alert });
    still.keys("!");
    assert_eq!(still.model.list.selected, Some(fresh));
    still.keys("!");
    let third = still.model.list.selected;
    assert!(third != second && third != Some(sample::id(1)));
}

#[test]
fn worst_opens_the_transcript_where_only_one_pane_fits() {
    let mut still = still();
    still.draw(60, 14);
    still.keys("!");
    let shown = text(&still.draw(60, 14));
    assert!(shown.contains("Let me check that for you"), "{shown}");
}

#[test]
fn the_alert_list_holds_every_stage_and_acts_on_its_own_row() {
    let mut still = still();
    still.keys("2");
    assert_eq!(still.model.page, Page::Alerts);
    let all = rows(&still);
    assert_eq!(all[0], ("agent_loop".into(), AlertStage::Open));
    assert_eq!(all.len(), 4);
    // The second row is acknowledged, whatever the worst of its call is.
    let second = still.model.alerts.rows[1].key();
    still.keys("j x");
    match &sent(&still)[0].action {
        Action::Acknowledge { rule } => assert_eq!(*rule, second.1),
        other => panic!("{other:?}"),
    }
    let (call, rule) = (second.0, second.1.clone());
    fact(
        &mut still,
        call,
        Fact::AlertAcknowledged {
            rule,
            by: "ben".into(),
        },
    );
    assert_eq!(
        still.model.alerts.at,
        Some(second),
        "the cursor stays on its alert"
    );
    let shown = text(&still.draw(120, 40));
    assert!(shown.contains("3 open · 0 snoozed · 1 seen"), "{shown}");
    assert!(shown.contains("seen ben"), "{shown}");
    // Snoozed with its expiry, counted in the header while it lasts.
    still.keys("g z");
    let until = still.model.board_now() + TimeDelta::minutes(10);
    let rule = "agent_loop".to_owned();
    let snoozed = Fact::AlertSnoozed {
        rule: rule.clone(),
        by: "ana".into(),
        until,
    };
    fact(&mut still, sample::id(1), snoozed);
    let shown = text(&still.draw(120, 40));
    assert!(
        shown.contains("snoozed 10:00") && shown.contains("1 snoozed"),
        "{shown}"
    );
    wait(&mut still, 2);
    assert!(text(&still.draw(120, 40)).contains("snoozed 09:5"));
    fact(&mut still, sample::id(1), Fact::AlertCleared { rule });
    let last = still.model.alerts.rows.last().unwrap();
    assert_eq!(
        (last.alert.rule.as_str(), last.stage),
        ("agent_loop", AlertStage::Over)
    );
    // enter opens the call in full, esc comes back here, then to the board.
    still.keys("g enter");
    assert_eq!(still.model.page, Page::Call);
    still.keys("esc");
    assert_eq!(still.model.page, Page::Alerts);
    still.keys("esc");
    assert_eq!(still.model.page, Page::Board);
}

#[test]
fn grouping_tells_one_sick_call_from_a_sick_carrier_and_filters_to_it() {
    let mut still = still();
    still.keys("b");
    assert_eq!(still.model.page, Page::Quality);
    let shown = text(&still.draw(160, 45));
    assert!(shown.contains("by carrier"), "{shown}");
    assert!(
        shown.contains("Twilio") && shown.contains("Plivo"),
        "{shown}"
    );
    still.keys("b");
    assert!(text(&still.draw(160, 45)).contains("by agent"));
    let first = still.model.groups.rows[0].key.clone();
    still.keys("enter");
    assert_eq!(still.model.page, Page::Board);
    assert_eq!(still.model.filter.text(), format!("agent:=\"{first}\""));
    let shown = still.model.list.order.len();
    assert!(shown > 0 && shown < still.model.list.candidates);
    let alike = |id: &crate::call::CallId| {
        let call = still.model.board.get(*id).unwrap();
        crate::ui::words::agent_name(call) == first
    };
    assert!(still.model.list.order.iter().all(alike));
    still.keys("esc");
    assert!(still.model.filter.is_empty());
    for by in ["prefix", "route"] {
        still.keys(":");
        still.type_text(&format!("group {by}"));
        still.keys("enter");
        assert!(text(&still.draw(200, 60)).contains(&format!("by {by}")));
        still.keys("enter");
        assert!(!still.model.list.order.is_empty(), "{by}");
        still.keys("esc");
    }
}

#[test]
fn the_change_is_against_the_last_quarter_of_an_hour() {
    let mut still = still();
    wait(&mut still, 61);
    let turn = crate::call::TurnTiming {
        turn: 40,
        latency_ms: 9_000,
        ears_ms: Some(300),
        token_ms: None,
        think_ms: Some(8_600),
        voice_ms: Some(100),
    };
    fact(&mut still, sample::id(2), Fact::TurnTimed { timing: turn });
    still.keys("4");
    let shown = text(&still.draw(200, 60));
    assert!(shown.contains("± against the last 1 min"), "{shown}");
    let plivo = shown.lines().find(|line| line.contains("Plivo")).unwrap();
    assert!(
        plivo.contains("9.0 s +7.") && plivo.contains("think 8.6 s"),
        "{plivo}"
    );
}

fn past(still: &mut Still, items: Vec<crate::call::Call>, next: Option<&str>) {
    let serial = still.model.past.serial;
    let page = HistoryPage {
        items,
        next: next.map(str::to_owned),
        ..HistoryPage::default()
    };
    still.message(Msg::Past {
        serial,
        result: Ok(page),
    });
}

#[test]
fn the_past_is_searched_paged_and_opened_whole() {
    let mut still = still();
    still.keys("3");
    assert!(matches!(asked(&still), Some(Effect::Past(1, _))));
    let mut calls = sample::calls(sample::now());
    for (index, call) in calls.iter_mut().enumerate() {
        call.id = sample::id(100 + index as u8);
        call.status = CallStatus::Completed;
        call.ended_at = Some(sample::now());
    }
    calls[0].lines_dropped = 30;
    past(&mut still, calls.clone(), None);
    let shown = text(&still.draw(120, 40));
    assert!(
        shown.contains("History 13 calls") && shown.contains("+1 415 ••• 0134"),
        "{shown}"
    );
    assert!(shown.contains("#hallucination"), "{shown}");
    assert!(!shown.contains("4155550134"));
    // An answer that was overtaken by another question changes nothing.
    still.keys("/");
    still.type_text("refund since:8h flag:*");
    still.keys("enter");
    match asked(&still) {
        Some(Effect::Past(2, query)) => {
            assert_eq!(query.text.as_deref(), Some("refund"));
            assert_eq!(
                query.since,
                Some(still.model.board_now() - TimeDelta::hours(8))
            );
        }
        other => panic!("{other:?}"),
    }
    let late = Msg::Past {
        serial: 1,
        result: Ok(HistoryPage::default()),
    };
    still.message(late);
    assert_eq!(still.model.past.items.len(), 13);
    past(&mut still, calls.clone(), Some("cursor"));
    // One of thirteen passes flag:*, so the next page is asked for at once.
    assert!(text(&still.draw(120, 40)).contains("1 of 13+ calls"));
    match asked(&still) {
        Some(Effect::Past(3, query)) => assert_eq!(query.cursor.as_deref(), Some("cursor")),
        other => panic!("{other:?}"),
    }
    past(&mut still, Vec::new(), None);
    assert_eq!(still.model.past.items.len(), 13, "added, not replaced");
    still.keys("enter");
    assert_eq!(still.model.page, Page::Call);
    assert_eq!(asked(&still), Some(&Effect::History(calls[0].id)));
    let mut whole = calls[0].clone();
    whole.lines_dropped = 0;
    let result = Ok(HistoryPage {
        items: vec![whole],
        ..HistoryPage::default()
    });
    still.message(Msg::History {
        call: calls[0].id,
        result,
    });
    assert_eq!(still.model.selected().unwrap().lines_dropped, 0);
    still.keys("esc");
    assert_eq!(still.model.page, Page::History);
    still.keys("E");
    assert!(
        still.model.overlays.is_empty(),
        "what is past cannot be ended"
    );
}

#[test]
fn the_audit_trail_is_for_those_who_manage_tokens_and_backends_that_have_it() {
    let mut still = still();
    still.keys("5");
    assert_eq!(still.model.page, Page::Board);
    assert!(
        still
            .model
            .toast
            .take()
            .unwrap()
            .text
            .contains("cannot audit")
    );
    let mut hello = sample::hello();
    hello.features.push("audit".into());
    still.update(crate::engine::Update::Hello(hello));
    still.keys("5");
    assert_eq!(asked(&still), Some(&Effect::Audit));
    let row = AuditEntry {
        at: sample::now(),
        by: "ben\u{1b}[2J".into(),
        from: None,
        verb: "unmask".into(),
        call: Some(sample::id(1)),
        command: None,
        reason: Some("callback".into()),
        result: "done".into(),
    };
    let page = HistoryPage {
        audit: vec![row],
        ..HistoryPage::default()
    };
    still.message(Msg::Audit(Ok(page)));
    let shown = text(&still.draw(120, 40));
    assert!(shown.contains("ben") && shown.contains("callback") && shown.contains("unmask"));
    still.keys("enter");
    assert_eq!(
        (still.model.page, still.model.list.selected),
        (Page::Call, Some(sample::id(1)))
    );
}

#[test]
fn four_transcripts_follow_the_cursor_or_the_marks() {
    let mut still = still();
    still.keys("v v");
    assert_eq!(still.model.view, View::Mosaic);
    let shown = text(&still.draw(120, 40));
    assert!(
        shown.contains("are you still th") && shown.contains("One moment please."),
        "{shown}"
    );
    let order = still.model.list.order.clone();
    assert_eq!(crate::ui::update::mosaic(&still.model), order[..4]);
    still.keys("j j j j");
    assert_eq!(crate::ui::update::mosaic(&still.model), order[4..8]);
    still.keys("space j space");
    assert_eq!(crate::ui::update::mosaic(&still.model).len(), 2);
    still.keys("esc v");
    assert_eq!(still.model.view, View::Cards);
}

#[test]
fn an_ended_call_keeps_its_alerts_where_they_can_be_found() {
    let mut still = still();
    fact(&mut still, sample::id(1), ended(CallStatus::Completed));
    still.keys("2");
    let over = rows(&still);
    let over = over.iter().filter(|(_, stage)| *stage == AlertStage::Over);
    assert_eq!(over.count(), 2);
    still.after(Duration::from_secs(1));
    still.keys("esc /");
    still.type_text("alert:loop");
    assert!(still.model.list.order.contains(&sample::id(1)));
}

#[test]
fn a_click_on_a_list_goes_to_its_row() {
    use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let mut still = still();
    still.keys("2");
    let shown = text(&still.draw(120, 40));
    let row = shown
        .lines()
        .position(|line| line.contains("dead air 9 s"))
        .unwrap();
    still.message(Msg::Mouse(MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: 10,
        row: u16::try_from(row).unwrap(),
        modifiers: KeyModifiers::NONE,
    }));
    assert_eq!(
        still.model.alerts.selected().unwrap().alert.rule,
        "dead_air"
    );
    assert_eq!(still.model.list.selected, Some(sample::id(2)));
}

#[test]
fn an_observed_call_is_heard_where_its_carrier_copies_it_and_says_why_elsewhere() {
    let mut still = still();
    let about = crate::call::CallFacts {
        observed: true,
        ..crate::call::CallFacts::default()
    };
    let id = sample::id(1);
    fact(&mut still, id, Fact::CallDescribed { facts: about });
    let opened = |still: &Still| {
        let mut all = still.effects.iter();
        all.any(|effect| matches!(effect, Effect::Listen(call) if *call == id))
    };
    still.effects.clear();
    still.keys("L");
    let shown = text(&still.draw(160, 40));
    assert!(
        shown.contains("only observed: Twilio copies no audio here"),
        "{shown}"
    );
    assert!(!opened(&still));
    let mut hello = sample::hello();
    hello.features.push(crate::engine::forks("twilio"));
    still.update(crate::engine::Update::Hello(hello));
    still.keys("L");
    assert!(opened(&still));
    still.keys("W");
    assert!(text(&still.draw(160, 40)).contains("does not pass through here"));
}
