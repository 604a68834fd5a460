//! What has been told about one call, and what the family's payloads say about one.

use std::collections::HashMap;
use std::time::Duration;

use crate::call::{AgentLink, AnsweredBy, CallFacts, CallId, CallStatus, Direction};
use crate::providers::vendor::registry::owner_of;

use super::fields::Fields;
use super::speech::Speech;

/// What has been told about a call.
#[derive(Debug)]
pub(super) struct Known {
    pub id: CallId,
    pub status: CallStatus,
    pub answered_by: Option<AnsweredBy>,
    pub agent: AgentLink,
    pub conversation: Option<String>,
    pub stream: Option<String>,
    pub recordings: HashMap<String, (crate::call::RecordingState, Option<u32>)>,
    pub named: bool,
    /// It was in the last list of active calls.
    pub listed: bool,
    pub missing_since: Option<Duration>,
    pub speech: Speech,
}

impl Known {
    pub fn new(id: CallId, status: CallStatus, named: bool) -> Self {
        Self {
            id,
            status,
            answered_by: None,
            agent: AgentLink::None,
            conversation: None,
            stream: None,
            recordings: HashMap::new(),
            named,
            listed: false,
            missing_since: None,
            speech: Speech::default(),
        }
    }
}

/// How a call ended, in the other side's words.
#[derive(Debug, Default)]
pub(super) struct Ending {
    pub by: Option<String>,
    pub cause: Option<String>,
    pub duration_s: Option<u32>,
}

impl Ending {
    pub fn of(fields: &Fields<'_>) -> Self {
        Self {
            by: fields.text("terminatedBy"),
            cause: fields.text_of(&["error", "reason", "errorCode"]),
            duration_s: fields
                .whole(&["duration", "callDuration"])
                .filter(|seconds| *seconds > 0),
        }
    }
}

pub(super) fn facts_of(sid: &str, fields: &Fields<'_>) -> CallFacts {
    let carrier = fields.text("provider");
    let carrier = carrier.unwrap_or_else(|| owner_of(sid).unwrap_or("unknown").to_owned());
    CallFacts {
        carrier,
        carrier_call_id: Some(sid.to_owned()),
        direction: match fields.text("direction") {
            Some(word) if word.starts_with("inbound") => Direction::Inbound,
            // The family's servers place their calls themselves.
            _ => Direction::Outbound,
        },
        from: fields.text("from").unwrap_or_default(),
        to: fields.text("to").unwrap_or_default(),
        name: fields.text_of(&["name", "contactName"]),
        lead_id: fields.text_of(&["leadId", "lead_id", "contactId", "contact_id"]),
        ..CallFacts::default()
    }
}
