//! A lead's timeline as JSON, in the words of the dashboards in the wild.

use serde_json::{Value, json};

use crate::call::Numbers;
use crate::engine::{LeadTimeline, Said};

use super::shape::stamp;

/// The `conversation_history` of a stream.
pub(super) fn history(timeline: &LeadTimeline, lead: &str, numbers: Numbers) -> Value {
    let messages: Vec<Value> = timeline.said.iter().map(message).collect();
    json!({
        "type": "conversation_history",
        "leadId": lead,
        "phoneNumber": timeline.phone().map(|phone| numbers.show(phone)),
        "messages": messages,
        "summary": timeline.summary(),
        "totalMessages": messages.len(),
    })
}

pub(super) fn message(said: &Said) -> Value {
    json!({
        "id": said.id,
        "content": said.text,
        "timestamp": stamp(said.at),
        "sentBy": said.sent_by,
        "type": said.channel,
        "status": "delivered",
        "callId": said.call,
    })
}
