//! One fact in the words of a lead's event stream. Pure. The names are those of the dashboards in the
//! wild; numbers are put in last, because not every viewer may see them whole.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::call::{Call, CallId, Fact, LeadMessage, Numbers, Track};

use super::super::shape::stamp;

/// Shorter silences are how people talk.
const SILENCE_MS_MIN: u64 = 5_000;

/// What a frame is made from, before it is known who may see it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub body: Map<String, Value>,
    /// The other person's number goes in as `phoneNumber`.
    pub phone: Option<String>,
    pub part: Part,
}

/// Which part of a history a frame repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Something said in a call.
    Speech,
    /// The text message with this id.
    Message(String),
    /// Nothing: histories hold only messages.
    Nothing,
}

impl Draft {
    pub(super) fn json(&self, lead: &str, numbers: Numbers) -> String {
        let mut body = self.body.clone();
        body.insert("leadId".into(), lead.into());
        if let Some(phone) = &self.phone {
            body.insert("phoneNumber".into(), numbers.show(phone).into());
        }
        Value::Object(body).to_string()
    }
}

/// Who a fact is about, as far as a stream needs it.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    pub call: Option<CallId>,
    pub lead: Option<String>,
    pub phone: String,
    pub conversation: Option<String>,
    pub elapsed_ms: u64,
}

impl Subject {
    pub(super) fn of(call: &Call, now: DateTime<Utc>) -> Self {
        Self {
            call: Some(call.id),
            lead: call.facts.lead_id.clone(),
            phone: call.caller_number().to_owned(),
            conversation: call.conversation_id.clone(),
            elapsed_ms: u64::from(call.elapsed_s(now)) * 1000,
        }
    }

    fn draft(
        &self,
        kind: &str,
        at: DateTime<Utc>,
        with_phone: bool,
        more: Value,
        part: Part,
    ) -> Draft {
        let mut body = match more {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        body.insert("type".into(), kind.into());
        body.insert("timestamp".into(), stamp(at).into());
        body.insert("conversationId".into(), json!(self.conversation));
        body.insert("callId".into(), json!(self.call));
        if with_phone {
            // Until the number is known, and where a draft has it, in its place.
            body.insert("phoneNumber".into(), Value::Null);
        }
        Draft {
            body,
            phone: (with_phone && !self.phone.is_empty()).then(|| self.phone.clone()),
            part,
        }
    }
}

/// The frame of a fact; `None` where a stream has no word for it. `whole` is asked for what a summary
/// repeats.
pub(super) fn draft(
    fact: &Fact,
    about: &Subject,
    at: DateTime<Utc>,
    whole: impl FnOnce() -> Vec<Value>,
) -> Option<Draft> {
    let plain = |kind: &str, more: Value| about.draft(kind, at, false, more, Part::Nothing);
    let phoned = |kind: &str, more: Value| about.draft(kind, at, true, more, Part::Nothing);
    Some(match fact {
        Fact::CallSeen { .. } => phoned("call_initiated", json!({})),
        Fact::ConversationStarted { .. } => phoned("conversation_started", json!({})),
        Fact::UtteranceFinal { track, text, .. } => spoken(about, *track, text, at),
        Fact::BargedIn { kind, .. } => plain(
            "interruption",
            json!({ "interruptionType": kind.as_deref().unwrap_or("barge_in") }),
        ),
        Fact::SilenceNoted { duration_ms } if *duration_ms > SILENCE_MS_MIN => {
            plain("silence_detected", json!({ "duration": duration_ms }))
        }
        Fact::ConversationEnded { duration_ms, .. } => plain(
            "conversation_ended",
            json!({ "duration": duration_ms.unwrap_or(about.elapsed_ms) }),
        ),
        Fact::ConversationAnalysed {
            summary,
            sentiment,
            topics,
        } => {
            let topics = (!topics.is_empty()).then_some(topics);
            phoned(
                "post_call_summary",
                json!({
                    "duration": about.elapsed_ms,
                    "summary": summary,
                    "sentiment": sentiment,
                    "topics": topics,
                    "transcript": whole(),
                }),
            )
        }
        _ => return None,
    })
}

/// Something said in a call.
pub(super) fn spoken(about: &Subject, track: Track, text: &str, at: DateTime<Utc>) -> Draft {
    let (kind, sender) = match track {
        Track::FromCaller => ("voice_received", "user"),
        Track::FromAgent | Track::FromOperator => ("voice_sent", "agent"),
    };
    let more = json!({ "message": text, "sentBy": sender });
    about.draft(kind, at, true, more, Part::Speech)
}

/// A text message of the lead.
pub(super) fn messaged(message: &LeadMessage, at: DateTime<Utc>) -> Draft {
    let body = json!({
        "type": "message",
        "id": message.id,
        "message": message.text,
        "sentBy": message.sent_by,
        "channel": message.channel,
        "timestamp": stamp(at),
    });
    Draft {
        body: match body {
            Value::Object(fields) => fields,
            _ => Map::new(),
        },
        phone: message.phone.clone(),
        part: Part::Message(message.id.clone()),
    }
}

/// What was said in a call, as the rows of a summary.
pub(super) fn transcript(call: &Call) -> Vec<Value> {
    let rows = crate::call::utterances(call);
    let row = |row: &crate::call::UtteranceReport| {
        json!({
            "role": row.track.role(),
            "message": row.text,
            "timestamp": stamp(row.at),
        })
    };
    rows.iter().map(row).collect()
}
