use serde_json::json;

use super::*;
use crate::call::{AgentLink, AnsweredBy, Board, CallEvent, LineBody, RecordingState, Track};

const SID: &str = "CA1234567890abcdef1234567890abcdef";

fn at(ms: u64) -> Now {
    let wall = "2026-11-21T04:00:00Z"
        .parse::<chrono::DateTime<chrono::Utc>>()
        .unwrap();
    let mono = Duration::from_millis(ms);
    Now {
        mono,
        wall: wall + mono,
    }
}

/// A translator and the board a screen folds from it.
struct Desk {
    translator: Translator,
    board: Board,
    now: u64,
}

impl Desk {
    fn new() -> Self {
        Self {
            translator: Translator::new(1, Epoch::from_parts(1, [1; 10])),
            board: Board::new(),
            now: 0,
        }
    }

    fn hear(&mut self, event: &str, data: Value) -> Vec<Fact> {
        self.now += 1;
        let envelopes = self.translator.take(at(self.now), event, &data);
        self.fold(envelopes)
    }

    fn fold(&mut self, envelopes: Vec<Arc<Envelope>>) -> Vec<Fact> {
        envelopes
            .into_iter()
            .map(|envelope| {
                assert_eq!(self.board.apply(&envelope), crate::call::Applied::New);
                let CallEvent::Known(fact) = envelope.event.clone() else {
                    panic!()
                };
                fact
            })
            .collect()
    }

    fn update(&mut self, kind: &str, data: Value) -> Vec<Fact> {
        self.hear("call_update", json!({ "type": kind, "callSid": SID, "timestamp": "2026-11-21T04:00:09.123Z", "data": data }))
    }

    fn call(&self) -> &crate::call::Call {
        self.board.find(SID).unwrap()
    }

    fn lines(&self) -> Vec<(u32, Track, String, bool)> {
        let lines = self.call().lines.iter();
        lines
            .filter_map(|line| match &line.body {
                LineBody::Speech {
                    track,
                    text,
                    interim,
                    ..
                } => Some((line.turn, *track, text.clone(), *interim)),
                _ => None,
            })
            .collect()
    }
}

fn listed(status: &str) -> Value {
    json!([{ "sid": SID, "status": status, "to": "+15551230000", "from": "+15557650000", "startTime": "2026-11-21T03:59:00.000Z", "duration": 0, "answeredBy": "unknown", "recordingCount": 0 }])
}

#[test]
fn the_list_makes_cards_and_says_nothing_twice() {
    let mut desk = Desk::new();
    let facts = desk.hear("active_calls", listed("ringing"));
    assert!(matches!(
        &facts[..],
        [Fact::CallSeen {
            status: CallStatus::Ringing,
            ..
        }]
    ));
    assert_eq!(
        desk.call().started_at.to_rfc3339(),
        "2026-11-21T03:59:00+00:00"
    );
    assert_eq!(desk.call().facts.carrier, "twilio");
    assert!(desk.hear("active_calls", listed("ringing")).is_empty());
    let facts = desk.hear("active_calls", listed("in-progress"));
    assert!(matches!(
        &facts[..],
        [Fact::StatusChanged {
            status: CallStatus::InProgress,
            ..
        }]
    ));
}

#[test]
fn update_types_become_their_facts() {
    let mut desk = Desk::new();
    let facts = desk.update(
        "new_call",
        json!({ "sid": SID, "status": "initiated", "to": "+1555", "name": "Ann\u{1b}[2J" }),
    );
    assert!(matches!(&facts[..], [Fact::CallSeen { .. }]));
    assert_eq!(desk.call().facts.name.as_deref(), Some("Ann"));
    let cases = [
        (
            "status_update",
            json!({ "status": "ringing" }),
            "status_changed",
        ),
        (
            "status_update",
            json!({ "status": "in-progress" }),
            "status_changed",
        ),
        (
            "machine_detection",
            json!({ "answeredBy": "human", "status": "in-progress" }),
            "answered_by",
        ),
        (
            "stream_started",
            json!({ "streamSid": "MZ1" }),
            "stream_started",
        ),
        (
            "elevenlabs_connected",
            json!({ "status": "elevenlabs_connected" }),
            "agent_link_changed",
        ),
        (
            "conversation_started",
            json!({ "conversationId": "conv_1" }),
            "conversation_started",
        ),
        (
            "recording_update",
            json!({ "recordingStatus": "in-progress", "recordingSid": "RE1", "status": "in-progress" }),
            "recording_changed",
        ),
        (
            "quality_update",
            json!({ "metrics": { "jitter": "12", "packetLoss": 0.5, "mos": 4.2 } }),
            "quality_changed",
        ),
        (
            "conversation_completed",
            json!({ "conversationId": "conv_1" }),
            "conversation_ended",
        ),
    ];
    for (kind, data, wanted) in cases {
        let facts = desk.update(kind, data.clone());
        let tag = serde_json::to_value(&facts[0]).unwrap()["type"].clone();
        assert_eq!(tag, wanted, "{kind}");
        assert!(
            desk.update(kind, data).is_empty() || kind == "quality_update",
            "{kind} is told once"
        );
    }
    assert_eq!(desk.call().recordings[0].state, RecordingState::InProgress);
    assert!(
        desk.update("quality_update", json!({})).is_empty(),
        "the family's empty figures are no news"
    );
}

#[test]
fn the_proposed_word_for_a_connected_agent_is_understood() {
    let mut desk = Desk::new();
    desk.hear("active_calls", listed("in-progress"));
    let facts = desk.update(
        "status_update",
        json!({ "status": "connected_to_ai", "conversationId": "conv_9" }),
    );
    assert!(facts.iter().any(|fact| matches!(fact, Fact::ConversationStarted { conversation_id } if conversation_id == "conv_9")));
    assert_eq!(desk.call().agent_link, AgentLink::Connected);
    assert_eq!(desk.call().status, CallStatus::InProgress);
}

#[test]
fn call_data_is_read_in_both_shapes() {
    for data in [
        json!({ "callSid": SID, "data": { "sid": SID, "status": "in-progress", "answeredBy": "human" }, "timestamp": "x" }),
        json!({ "callSid": SID, "status": "in-progress", "answeredBy": "human", "timestamp": "x" }),
    ] {
        let mut desk = Desk::new();
        desk.hear("call_data", data);
        assert_eq!(
            (desk.call().status, desk.call().answered_by),
            (CallStatus::InProgress, Some(AnsweredBy::Human))
        );
    }
}

#[test]
fn an_ended_call_stays_ended() {
    let mut desk = Desk::new();
    desk.hear("active_calls", listed("in-progress"));
    let facts = desk.update(
        "call_ended",
        json!({ "sid": SID, "status": "busy", "duration": "47", "terminatedBy": "user" }),
    );
    let Fact::CallEnded {
        status,
        ended_by,
        duration_s,
        ..
    } = facts.last().unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (*status, ended_by.as_deref(), *duration_s),
        (CallStatus::Busy, Some("user"), Some(47))
    );
    assert!(
        desk.update("call_ended", json!({ "status": "completed" }))
            .is_empty()
    );
    assert!(
        desk.update("new_call", json!({ "sid": SID, "status": "ringing" }))
            .is_empty()
    );
    assert!(
        desk.update("status_update", json!({ "status": "in-progress" }))
            .is_empty()
    );
    assert!(desk.hear("active_calls", listed("ringing")).is_empty());
    assert_eq!(desk.call().status, CallStatus::Busy);
    let late = desk.update(
        "recording_update",
        json!({ "recordingSid": "RE1", "status": "completed", "duration": 45 }),
    );
    assert!(
        matches!(&late[..], [Fact::RecordingChanged { .. }]),
        "recordings come after the end"
    );
}

#[test]
fn events_of_older_and_newer_servers_at_top_level_are_understood() {
    let mut desk = Desk::new();
    desk.hear("new_call", json!({ "type": "new_call", "callSid": SID, "provider": "plivo", "data": { "status": "ringing" } }));
    assert_eq!(desk.call().facts.carrier, "plivo");
    desk.hear(
        "call_update",
        json!({ "type": "new_call", "callSid": SID, "data": { "status": "ringing" } }),
    );
    let facts = desk.hear(
        "call_ended",
        json!({ "callSid": SID, "data": { "status": "completed" } }),
    );
    assert!(matches!(&facts[..], [Fact::CallEnded { .. }]));
}

#[test]
fn a_call_that_vanishes_from_the_list_ends_after_a_while() {
    let mut desk = Desk::new();
    desk.hear("active_calls", listed("in-progress"));
    assert!(desk.hear("active_calls", json!([])).is_empty());
    let due = desk.translator.wake().unwrap();
    let early = desk.translator.tick(at(due.as_millis() as u64 - 1));
    assert!(early.is_empty());
    let envelopes = desk.translator.tick(at(due.as_millis() as u64));
    let facts = desk.fold(envelopes);
    assert!(matches!(
        &facts[..],
        [Fact::CallEnded { cause: Some(_), .. }]
    ));
    let mut desk = Desk::new();
    desk.hear("active_calls", listed("in-progress"));
    desk.hear("active_calls", json!([]));
    desk.update("call_ended", json!({ "status": "no-answer" }));
    assert!(
        desk.translator.tick(at(100_000)).is_empty(),
        "it did say how it ended"
    );
    assert_eq!(desk.call().status, CallStatus::NoAnswer);
}

#[test]
fn growing_bubbles_are_replaced_not_appended() {
    let mut desk = Desk::new();
    desk.hear("active_calls", listed("in-progress"));
    let bubble = |text: &str, role: &str, partial: bool| json!({ "callSid": SID, "type": "message", "data": { "text": text, "message": text, "role": role, "speaker": "Agent", "isPartial": partial } });
    desk.hear(
        "transcript_update",
        json!({ "callSid": SID, "type": "typing_indicator", "data": { "role": "agent" } }),
    );
    desk.hear("transcript_update", bubble("Hello", "agent", true));
    assert!(
        desk.hear("transcript_update", bubble("Hello", "agent", true))
            .is_empty(),
        "two rooms say it twice"
    );
    desk.hear("transcript_update", bubble("yes", "user", true));
    desk.hear("transcript_update", bubble("Hello there", "agent", true));
    desk.hear(
        "transcript_update",
        bubble("Hello there, Ann", "agent", false),
    );
    desk.hear("transcript_message", json!({ "callSid": SID, "message": { "role": "agent", "message": "Hello there, Ann", "timestamp": "x" } }));
    desk.hear(
        "transcript_message",
        json!({ "callSid": SID, "message": { "role": "user", "message": "yes please" } }),
    );
    assert_eq!(
        desk.lines(),
        [
            (1, Track::FromAgent, "Hello there, Ann".into(), false),
            (2, Track::FromCaller, "yes please".into(), false)
        ]
    );
}

#[test]
fn the_document_brings_words_only_if_there_were_none() {
    let document = json!({ "callSid": SID, "timestamp": "x", "transcript": { "summary": "Sold.", "sentiment": "positive", "topics": ["price"], "messages": [
        { "role": "assistant", "message": "Hi" }, { "role": "user", "message": "Bye" } ] } });
    let mut silent = Desk::new();
    silent.hear("active_calls", listed("in-progress"));
    silent.update("call_ended", json!({ "status": "completed" }));
    silent.hear("transcript_update", document.clone());
    assert_eq!(silent.lines().len(), 2);
    assert_eq!(
        silent.call().analysis.as_ref().unwrap().summary.as_deref(),
        Some("Sold.")
    );
    assert!(silent.hear("call_transcript", document.clone()).is_empty());
    let mut spoken = Desk::new();
    spoken.hear("active_calls", listed("in-progress"));
    spoken.hear(
        "transcript_message",
        json!({ "callSid": SID, "message": { "role": "agent", "message": "Hi" } }),
    );
    let facts = spoken.hear("transcript_update", document);
    assert!(matches!(&facts[..], [Fact::ConversationAnalysed { .. }]));
}

#[test]
fn strangers_and_nonsense_say_nothing() {
    let mut desk = Desk::new();
    for (event, data) in [
        ("active_campaigns", json!([])),
        (
            "campaign_update",
            json!({ "callSid": SID, "type": "status_update" }),
        ),
        ("call_update", json!({})),
        (
            "call_update",
            json!({ "type": "status_update", "data": { "status": "ringing" } }),
        ),
        ("call_update", Value::Null),
        ("active_calls", json!({ "calls": 7 })),
        (
            "active_calls",
            json!([1, null, { "sid": "" }, { "status": "ringing" }]),
        ),
        (
            "transcript_update",
            json!({ "callSid": SID, "transcript": { "messages": 7 } }),
        ),
    ] {
        assert!(desk.hear(event, data.clone()).is_empty(), "{event} {data}");
    }
}

proptest::proptest! {
    #[test]
    fn any_storm_of_events_leaves_a_gapless_stream(steps in proptest::collection::vec((0usize..9, 0usize..12, 0usize..3), 0..150)) {
        const EVENTS: [&str; 9] = ["active_calls", "call_update", "call_data", "transcript_update", "transcript_message", "new_call", "call_ended", "recording_update", "call_transcript"];
        const WORDS: [&str; 12] = ["new_call", "status_update", "call_ended", "ringing", "in-progress", "completed", "held", "conversation_started", "conversation_ended", "message", "recording_update", "x"];
        let mut desk = Desk::new();
        for (event, word, call) in steps {
            let word = WORDS[word];
            let sid = format!("CA{call}");
            let data = json!({ "sid": sid, "type": word, "role": "user", "message": word, "data": { "status": word, "text": word, "role": "agent", "isPartial": call == 1, "recordingSid": "RE1" }, "status": word });
            let data = if event == 0 { json!([data]) } else { data };
            desk.hear(EVENTS[event], data);
            let now = at(desk.now + 10_000);
            let envelopes = desk.translator.tick(now);
            desk.fold(envelopes);
        }
        proptest::prop_assert_eq!(desk.board.seq(), desk.translator.seq);
    }
}
