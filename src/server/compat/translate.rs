//! One fact in the words of the old event family. Pure.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::call::{
    AgentLink, AnsweredBy, Call, Envelope, Fact, Numbers, Quality, Recording, RecordingState, Track,
};

use super::super::shape::{self, stamp};

/// Who gets an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Everybody who follows all calls, or this one.
    Calls,
    /// Those who follow this call.
    OneCall,
    /// Everybody who follows all transcripts, or this one.
    Transcripts,
    /// Those who follow this transcript.
    OneTranscript,
}

/// One event to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub name: &'static str,
    pub room: Room,
    pub body: Value,
}

/// What is known beside the fact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// The call after the fact.
    pub call: &'a Call,
    /// It had ended before the fact.
    pub had_ended: bool,
    pub seq: u64,
    pub at: DateTime<Utc>,
    pub numbers: Numbers,
}

/// The events of one fact; none when the family has no word for it.
pub(super) fn translate(fact: &Fact, scene: Scene<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some((kind, data)) = update_of(fact, scene) {
        let body = scene.update(kind, data);
        if let ("new_call" | "call_ended", Some(top)) = (kind, body.as_object()) {
            let name = if kind == "new_call" {
                "new_call"
            } else {
                "call_ended"
            };
            events.push(Event {
                name,
                room: Room::Calls,
                body: spread(top),
            });
        }
        events.push(Event {
            name: "call_data",
            room: Room::OneCall,
            body: body.as_object().map_or(Value::Null, spread),
        });
        events.insert(
            0,
            Event {
                name: "call_update",
                room: Room::Calls,
                body,
            },
        );
    }
    events.extend(transcript_of(fact, scene));
    events
}

/// Fields of `data` beside the ones around it, for clients that look for them at the top.
fn spread(update: &Map<String, Value>) -> Value {
    let mut body = update
        .get("data")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (key, value) in update {
        body.insert(key.clone(), value.clone());
    }
    body.into()
}

impl Scene<'_> {
    fn update(&self, kind: &str, data: Value) -> Value {
        let mut body = self.frame();
        body.insert("type".into(), kind.into());
        body.insert("status".into(), self.call.status.as_str().into());
        body.insert("data".into(), data);
        body.into()
    }

    /// What every payload carries.
    fn frame(&self) -> Map<String, Value> {
        let body = json!({
            "v": 1,
            "seq": self.seq,
            "provider": self.call.facts.carrier,
            "callSid": self.call.call_sid(),
            "callId": self.call.id,
            "timestamp": stamp(self.at),
        });
        match body {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    fn call_object(&self) -> Map<String, Value> {
        shape::call(self.call, self.numbers, self.at)
    }

    fn call_with(&self, more: Value) -> Value {
        let mut object = self.call_object();
        if let Value::Object(more) = more {
            object.extend(more);
        }
        object.into()
    }
}

/// The one `call_update` of a fact.
fn update_of(fact: &Fact, scene: Scene<'_>) -> Option<(&'static str, Value)> {
    let call = scene.call;
    let whole = || Value::from(scene.call_object());
    Some(match fact {
        Fact::CallSeen { .. } => ("new_call", whole()),
        Fact::CallEnded { .. } if !scene.had_ended => ("call_ended", whole()),
        Fact::CallEnded { .. } | Fact::CallDescribed { .. } | Fact::StatusChanged { .. } => {
            ("status_update", whole())
        }
        Fact::AnsweredBy { verdict, took_ms } => {
            ("machine_detection", detection(call, *verdict, *took_ms))
        }
        Fact::StreamStarted { stream_id } => (
            "stream_started",
            json!({ "streamSid": stream_id, "timestamp": stamp(scene.at) }),
        ),
        Fact::AgentLinkChanged { link, reason, .. } => {
            let link_word = link.as_str();
            let more = if *link == AgentLink::Connected {
                json!({
                    "status": "connected_to_ai",
                    "callStatus": call.status,
                    "conversationId": call.conversation_id,
                    "agentLink": link_word,
                })
            } else {
                json!({ "callStatus": call.status, "agentLink": link_word, "reason": reason })
            };
            ("status_update", scene.call_with(more))
        }
        Fact::ConversationStarted { conversation_id } => (
            "conversation_started",
            json!({ "conversationId": conversation_id, "timestamp": stamp(scene.at) }),
        ),
        Fact::ConversationEnded {
            conversation_id,
            reason,
            ..
        } => (
            "conversation_ended",
            json!({
                "conversationId": conversation_id,
                "reason": reason,
                "timestamp": stamp(scene.at),
            }),
        ),
        Fact::RecordingChanged { recording } => ("recording_update", recorded(call, recording)),
        Fact::QualityChanged { quality } => ("quality_update", measured(quality)),
        _ => return None,
    })
}

fn detection(call: &Call, verdict: AnsweredBy, took_ms: Option<u32>) -> Value {
    json!({
        "answeredBy": verdict,
        "enhancedDetection": null,
        "confidence": null,
        "machineBehavior": null,
        "detectionMs": took_ms,
        "status": call.status,
    })
}

fn recorded(call: &Call, recording: &Recording) -> Value {
    let known = call
        .recordings
        .iter()
        .find(|known| known.id == recording.id)
        .unwrap_or(recording);
    json!({
        "success": recording.state != RecordingState::Failed,
        "callSid": call.call_sid(),
        "status": recording.state,
        "recordingStatus": recording.state,
        "recordingSid": recording.id,
        "recordingUrl": known.url,
        "duration": known.duration_s,
        "errorMessage": recording.error,
        "recordingCount": call.recordings.len(),
    })
}

/// `mos` is the word of this family; everywhere else it is the bridge's score.
pub(super) fn measured(quality: &Quality) -> Value {
    json!({
        "metrics": {
            "available": true,
            "basic": null,
            "advanced": {
                "mos": quality.bridge_score,
                "jitter": quality.jitter_ms,
                "latency": quality.rtt_ms,
                "packetLoss": quality.gap_pct,
                "warnings": [],
            },
        },
        "band": quality.band,
        "source": quality.source,
    })
}

/// A quality update that no fact stands behind: the present reading of a live call.
pub(super) fn reading(scene: Scene<'_>, quality: &Quality) -> Event {
    Event {
        name: "call_update",
        room: Room::Calls,
        body: scene.update("quality_update", measured(quality)),
    }
}

/// What of a fact belongs into the transcript events.
fn transcript_of(fact: &Fact, scene: Scene<'_>) -> Vec<Event> {
    match fact {
        Fact::UtteranceInterim { track, text, .. } => vec![bubble(scene, *track, text, true)],
        Fact::UtteranceFinal { track, text, .. } => {
            let mut events = vec![bubble(scene, *track, text, false)];
            let said = json!({
                "role": track.role(),
                "message": text,
                "timestamp": stamp(scene.at),
            });
            let mut body = scene.frame();
            body.insert("message".into(), said);
            let body = Value::from(body);
            events.push(Event {
                name: "transcript_message",
                room: Room::Transcripts,
                body: body.clone(),
            });
            events.push(Event {
                name: "call_transcript_message",
                room: Room::OneTranscript,
                body,
            });
            events
        }
        Fact::UtteranceTruncated { track, heard, .. } => {
            vec![bubble(scene, *track, heard, false)]
        }
        Fact::CallEnded { .. } if !scene.had_ended && !scene.call.lines.is_empty() => {
            whole_transcript(scene)
        }
        Fact::ConversationAnalysed { .. } => whole_transcript(scene),
        _ => Vec::new(),
    }
}

/// Form 2: replaces the open bubble of its role.
fn bubble(scene: Scene<'_>, track: Track, text: &str, partial: bool) -> Event {
    let mut body = scene.frame();
    body.insert("type".into(), "message".into());
    body.insert(
        "data".into(),
        json!({
            "text": text,
            "message": text,
            "role": track.role(),
            "speaker": shape::speaker(track),
            "timestamp": stamp(scene.at),
            "isPartial": partial,
        }),
    );
    Event {
        name: "transcript_update",
        room: Room::Transcripts,
        body: body.into(),
    }
}

/// Form 3: the whole document.
fn whole_transcript(scene: Scene<'_>) -> Vec<Event> {
    let mut body = scene.frame();
    body.insert("transcript".into(), shape::transcript(scene.call));
    let body = Value::from(body);
    vec![
        Event {
            name: "transcript_update",
            room: Room::Transcripts,
            body: body.clone(),
        },
        Event {
            name: "call_transcript",
            room: Room::OneTranscript,
            body,
        },
    ]
}

/// Whether an envelope's fact changes the list of active calls.
pub(super) fn changes_list(envelope: &Envelope) -> bool {
    use crate::call::CallEvent;
    matches!(
        &envelope.event,
        CallEvent::Known(
            Fact::CallSeen { .. }
                | Fact::CallDescribed { .. }
                | Fact::StatusChanged { .. }
                | Fact::CallEnded { .. }
                | Fact::AnsweredBy { .. }
                | Fact::AgentLinkChanged { .. }
                | Fact::ConversationStarted { .. }
                | Fact::RecordingChanged { .. }
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallFacts, CallId, CallStatus, Source};

    fn at() -> DateTime<Utc> {
        "2026-11-21T04:00:09.123Z".parse().unwrap()
    }

    fn call(status: CallStatus) -> Call {
        let facts = CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some("CA1".into()),
            from: "+14155550134".into(),
            ..CallFacts::default()
        };
        Call::new(CallId::from_parts(1, [0; 10]), facts, status, at())
    }

    fn events(fact: &Fact, call: &Call, had_ended: bool) -> Vec<Event> {
        let scene = Scene {
            call,
            had_ended,
            seq: 7,
            at: at(),
            numbers: Numbers::Masked,
        };
        translate(fact, scene)
    }

    fn updates(events: &[Event]) -> Vec<&Value> {
        events
            .iter()
            .filter(|event| event.name == "call_update")
            .map(|event| &event.body)
            .collect()
    }

    #[test]
    fn every_fact_is_at_most_one_update_and_ends_are_told_once() {
        let ended = Fact::CallEnded {
            status: CallStatus::Completed,
            ended_by: None,
            cause: None,
            duration_s: Some(47),
            source: Source::Webhook,
        };
        let seen = Fact::CallSeen {
            facts: CallFacts::default(),
            status: CallStatus::Ringing,
            started_at: None,
        };
        let rows = [
            (&seen, false, "new_call", true),
            (&ended, false, "call_ended", true),
            (&ended, true, "status_update", false),
        ];
        for (fact, had_ended, kind, at_top) in rows {
            let events = events(fact, &call(CallStatus::Completed), had_ended);
            let updates = updates(&events);
            assert_eq!(updates.len(), 1);
            assert_eq!(updates[0]["type"], kind);
            assert_eq!(
                (&updates[0]["v"], &updates[0]["seq"]),
                (&json!(1), &json!(7))
            );
            assert_eq!(updates[0]["callSid"], "CA1");
            assert!(!updates[0].to_string().contains("14155550134"));
            let top = events.iter().find(|event| event.name == kind);
            assert_eq!(top.is_some(), at_top);
        }
    }

    #[test]
    fn a_connected_agent_is_a_status_of_its_own() {
        let mut call = call(CallStatus::InProgress);
        call.conversation_id = Some("conv_1".into());
        let fact = Fact::AgentLinkChanged {
            link: AgentLink::Connected,
            reason: None,
            attempt: None,
        };
        let events = events(&fact, &call, false);
        let data = &updates(&events)[0]["data"];
        assert_eq!(data["status"], "connected_to_ai");
        assert_eq!(data["callStatus"], "in-progress");
        assert_eq!(data["conversationId"], "conv_1");
    }

    #[test]
    fn words_replace_their_bubble_and_the_final_ones_are_a_message_too() {
        let interim = Fact::UtteranceInterim {
            turn: 1,
            track: Track::FromCaller,
            text: "hel".into(),
        };
        let last = Fact::UtteranceFinal {
            turn: 1,
            track: Track::FromCaller,
            text: "hello".into(),
            latency_ms: None,
        };
        let call = call(CallStatus::InProgress);
        let typing = events(&interim, &call, false);
        assert_eq!(typing.len(), 1);
        assert_eq!(typing[0].body["data"]["isPartial"], true);
        assert_eq!(typing[0].body["data"]["speaker"], "Customer");
        let names: Vec<_> = events(&last, &call, false)
            .iter()
            .map(|event| event.name)
            .collect();
        assert_eq!(
            names,
            [
                "transcript_update",
                "transcript_message",
                "call_transcript_message"
            ]
        );
    }

    #[test]
    fn the_final_document_holds_null_where_nobody_judged() {
        let fact = Fact::ConversationAnalysed {
            summary: None,
            sentiment: None,
            topics: Vec::new(),
        };
        let events = events(&fact, &call(CallStatus::Completed), true);
        let transcript = &events[0].body["transcript"];
        assert_eq!(transcript["summary"], Value::Null);
        assert_eq!(transcript["sentiment"], Value::Null);
        assert_eq!(transcript["messages"], json!([]));
    }
}
