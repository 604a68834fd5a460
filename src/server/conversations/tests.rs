use serde_json::json;

use crate::call::{Call, CallFacts, CallId, CallStatus, Fact, LineBody, Track};
use crate::providers::elevenlabs::{ConversationEvent, read_event};

use super::facts::{Scene, described, facts};

fn event(body: serde_json::Value) -> ConversationEvent {
    read_event(body.to_string().as_bytes()).expect("an event")
}

pub(super) fn observed() -> Call {
    let at = "2026-11-21T04:00:00Z".parse().expect("a time");
    let facts = CallFacts {
        carrier: "elevenlabs".into(),
        carrier_call_id: Some("conv_1".into()),
        observed: true,
        ..CallFacts::default()
    };
    Call::new(
        CallId::from_parts(1, [0; 10]),
        facts,
        CallStatus::InProgress,
        at,
    )
}

pub(super) fn tell(call: &mut Call, body: serde_json::Value, bridged: bool) {
    let scene = Scene {
        call,
        fresh: false,
        bridged,
        carrier_is_ours: false,
    };
    for fact in facts(&event(body), scene) {
        let envelope = crate::call::Envelope {
            v: 1,
            seq: call.seq + 1,
            at: call.started_at,
            call: Some(call.id),
            event: fact.into(),
        };
        call.take(&envelope);
    }
}

fn lines(call: &Call) -> Vec<(u32, Track, String, bool)> {
    let rows = call.lines.iter().filter_map(|line| match &line.body {
        LineBody::Speech {
            track,
            text,
            interim,
            ..
        } => Some((line.turn, *track, text.clone(), *interim)),
        _ => None,
    });
    rows.collect()
}

#[test]
fn nothing_said_is_ever_overwritten_whatever_numbers_events_carry() {
    let mut call = observed();
    let said = |text: &str, id: Option<u32>, partial: bool| {
        json!({"type": "user_message", "data":
            {"conversation_id": "conv_1", "message": text, "event_id": id, "is_partial": partial}})
    };
    let told = [
        said("hel", None, true),
        said("hello", None, false),
        said("one", Some(7), false),
        said("other words, same number", Some(7), false),
        said("one", Some(7), false),
        said("later", None, false),
        said("tw", Some(9), true),
        said("two", Some(9), false),
    ];
    for body in told {
        tell(&mut call, body, false);
    }
    let texts: Vec<String> = lines(&call)
        .into_iter()
        .map(|(_, _, text, _)| text)
        .collect();
    assert_eq!(
        texts,
        ["hello", "one", "other words, same number", "later", "two"]
    );
    assert!(lines(&call).iter().all(|(.., interim)| !interim));
}

#[test]
fn a_correction_finds_its_line_by_number_or_by_words() {
    let mut call = observed();
    let agent = |text: &str, id: u32| json!({"type": "agent_response", "agent_response_event": {"agent_response": text, "event_id": id}});
    tell(&mut call, agent("Hi Ann, how are you", 3), false);
    let by_words = json!({"type": "agent_response_correction", "agent_response_correction_event":
        {"original_agent_response": "Hi Ann, how are you", "corrected_agent_response": "Hi Ann,"}});
    tell(&mut call, by_words, false);
    let cut = call.lines.iter().find_map(|line| match &line.body {
        LineBody::Speech { cut, .. } => cut.clone(),
        _ => None,
    });
    assert_eq!(cut.expect("cut").heard, "Hi Ann,");
}

#[test]
fn a_bridge_of_ours_is_not_told_what_it_hears_itself() {
    let mut call = observed();
    call.facts.observed = false;
    call.conversation_id = Some("conv_1".into());
    let said =
        json!({"type": "user_message", "data": {"conversation_id": "conv_1", "message": "hi"}});
    tell(&mut call, said, true);
    assert!(lines(&call).is_empty());
    let record = json!({"type": "post_call_transcription", "data": {"conversation_id": "conv_1",
        "transcript": [{"role": "user", "message": "hi"}], "analysis": {"transcript_summary": "Hi."}}});
    tell(&mut call, record, true);
    assert!(lines(&call).is_empty() && call.is_live());
    assert_eq!(
        call.analysis.expect("analysed").summary.as_deref(),
        Some("Hi.")
    );
}

#[test]
fn what_is_known_is_stronger_than_what_an_event_says() {
    let mut call = observed();
    call.facts.lead_id = Some("L1".into());
    call.facts.name = Some("Ann".into());
    let body = json!({"type": "ping", "data": {"conversation_id": "conv_1", "lead_id": "L2",
        "metadata": {"customer_name": "Eve"}}});
    let scene = Scene {
        call: &call,
        fresh: false,
        bridged: false,
        carrier_is_ours: false,
    };
    let told = described(&event(body), scene, Some("L2".into()));
    let Some(Fact::CallDescribed { facts }) = told else {
        panic!("the agent's kind is news");
    };
    assert_eq!((facts.lead_id, facts.name), (None, None));
}
