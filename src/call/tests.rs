//! Tests of the reducer and the wire shapes.

use chrono::{DateTime, TimeZone, Utc};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_795_219_200 + second, 0)
        .single()
        .expect("a valid second")
}

fn id(n: u8) -> CallId {
    CallId::from_parts(1_795_219_200_000, [n; 10])
}

fn seen() -> Fact {
    Fact::CallSeen {
        facts: CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some("CA1".into()),
            from: "+15551230000".into(),
            to: "+15557650000".into(),
            ..CallFacts::default()
        },
        status: CallStatus::Ringing,
        started_at: None,
    }
}

fn fold(facts: Vec<Fact>) -> Board {
    let mut board = Board::new();
    for (index, fact) in facts.into_iter().enumerate() {
        let envelope = Envelope {
            v: ENVELOPE_VERSION,
            seq: index as u64 + 1,
            at: at(index as i64),
            call: Some(id(1)),
            event: fact.into(),
        };
        assert_eq!(board.apply(&envelope), Applied::New);
    }
    board
}

fn status(status: CallStatus) -> Fact {
    Fact::StatusChanged {
        status,
        source: Source::Webhook,
    }
}

#[test]
fn a_late_ringing_never_revives_an_ended_call() {
    let board = fold(vec![
        seen(),
        status(CallStatus::Completed),
        status(CallStatus::Ringing),
    ]);
    assert_eq!(
        board.get(id(1)).map(|call| call.status),
        Some(CallStatus::Completed)
    );
}

#[test]
fn interim_text_becomes_final_in_place() {
    let interim = |text: &str| Fact::UtteranceInterim {
        turn: 1,
        track: Track::FromCaller,
        text: text.into(),
    };
    let last = Fact::UtteranceFinal {
        turn: 1,
        track: Track::FromCaller,
        text: "hello there".into(),
        latency_ms: None,
    };
    let board = fold(vec![
        seen(),
        interim("hel"),
        interim("hello"),
        last,
        interim("late"),
    ]);
    let call = board.get(id(1)).expect("the call");
    assert_eq!(call.lines.len(), 1);
    assert_eq!(call.last_words(), Some((Track::FromCaller, "hello there")));
}

#[test]
fn a_gap_changes_nothing_and_names_what_is_missing() {
    let mut board = fold(vec![seen()]);
    let envelope = Envelope {
        v: 1,
        seq: 9,
        at: at(9),
        call: Some(id(1)),
        event: status(CallStatus::Completed).into(),
    };
    assert_eq!(board.apply(&envelope), Applied::Gap { expected: 2 });
    assert!(board.find("CA1").is_some_and(Call::is_live));
}

#[test]
fn the_documented_envelope_is_what_we_write() {
    let envelope = Envelope {
        v: 1,
        seq: 8,
        at: at(0),
        call: Some(id(1)),
        event: Fact::UtteranceFinal {
            turn: 4,
            track: Track::FromCaller,
            text: "hi".into(),
            latency_ms: None,
        }
        .into(),
    };
    let wire = serde_json::to_value(&envelope).expect("serialisable");
    assert_eq!(
        wire["event"],
        json!({"type":"utterance_final","turn":4,"track":"from_caller","text":"hi"})
    );
    let back: Envelope = serde_json::from_value(wire).expect("readable");
    assert_eq!(back, envelope);
}

#[test]
fn a_fact_from_a_newer_peer_survives_the_round_trip() {
    let wire = json!({"v":1,"seq":3,"at":"2026-11-21T04:00:00Z","call":null,
        "event":{"type":"moon_phase","value":[1,2]}});
    let envelope: Envelope = serde_json::from_value(wire.clone()).expect("readable");
    assert!(matches!(envelope.event, CallEvent::Unknown(_)));
    assert_eq!(serde_json::to_value(&envelope).expect("serialisable"), wire);
}

#[test]
fn a_command_travels_as_verb_and_args() {
    let command = Command {
        id: CommandId::from_parts(0, [1; 10]),
        call: Some(id(1)),
        action: Action::Say { text: "hi".into() },
        reason: None,
    };
    let wire = serde_json::to_value(&command).expect("serialisable");
    assert_eq!(wire["verb"], "say");
    assert_eq!(wire["args"]["text"], "hi");
    assert_eq!(
        serde_json::from_value::<Command>(wire).expect("readable"),
        command
    );
}

#[test]
fn a_role_includes_those_before_it_and_exceptions_win() {
    let mut grant = Grant::of("ana", Role::Operator);
    assert!(grant.allows(Verb::Listen) && grant.allows(Verb::Terminate));
    assert!(!grant.allows(Verb::Unmask));
    grant.plus.insert(Verb::Unmask);
    grant.minus.insert(Verb::Dial);
    assert!(grant.allows(Verb::Unmask) && !grant.allows(Verb::Dial));
}

#[test]
fn an_alert_that_is_over_is_kept_with_its_evidence() {
    let raised = |rule: &str, turn| Fact::AlertRaised {
        alert: Alert {
            rule: rule.into(),
            severity: Severity::Warn,
            reason: "dead air 5 s".into(),
            value: 5.0,
            threshold: 4.0,
            since: at(0),
            evidence: vec![turn],
            acknowledged_by: None,
            snoozed_until: None,
        },
    };
    let board = fold(vec![
        seen(),
        status(CallStatus::InProgress),
        raised("dead_air", 7),
        raised("slow_turn", 3),
        Fact::AlertCleared {
            rule: "dead_air".into(),
        },
        status(CallStatus::Completed),
    ]);
    let call = board.get(id(1)).expect("the call");
    assert!(call.alerts.is_empty());
    let rules: Vec<&str> = call
        .past_alerts
        .iter()
        .map(|past| past.alert.rule.as_str())
        .collect();
    assert_eq!(rules, ["dead_air", "slow_turn"]);
    assert_eq!(call.evidence(), [3, 7]);
}

#[test]
fn percentiles_are_nearest_rank() {
    assert_eq!(percentile([].into_iter(), 50), None);
    assert_eq!(percentile([10, 20, 30, 40].into_iter(), 50), Some(20));
    assert_eq!(percentile([10, 20, 30, 40].into_iter(), 95), Some(40));
}

proptest! {
    #[test]
    fn any_order_of_statuses_ends_alike(mut order in Just(CallStatus::ALL[..5].to_vec()).prop_shuffle(), extra in 0usize..5) {
        order.push(CallStatus::ALL[extra]);
        let mut facts = vec![seen()];
        facts.extend(order.iter().map(|word| status(*word)));
        let board = fold(facts);
        prop_assert_eq!(board.get(id(1)).map(|call| call.status), Some(CallStatus::Completed));
    }
}
