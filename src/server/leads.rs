//! Everything said with one lead, by voice and by text, in the order it was said. What a stream's
//! history, the lead's timeline and the context of its next call are made of.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::call::{Call, CallId, LineBody, Numbers, Track};
use crate::engine::{HistoryQuery, StoreError};

use super::shape::stamp;
use super::state::App;

/// Messages of one history.
pub(super) const MESSAGES_MAX: usize = 200;
/// Calls looked into for them.
const CALLS_MAX: usize = 20;

/// One thing said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub id: String,
    pub at: DateTime<Utc>,
    /// `user`, `agent`, or an operator's name.
    pub sent_by: String,
    /// `voice`, `sms`, `text`.
    pub kind: String,
    pub text: String,
    pub call: Option<CallId>,
}

/// What is known of a lead's conversations.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub said: Vec<Said>,
    /// Newest first.
    pub calls: Vec<Call>,
    /// Up to here everything said in live calls is in it.
    pub seq: u64,
    /// Ids of the text messages in it.
    pub messages: HashSet<String>,
}

impl Timeline {
    /// Reads it. What is not on disk yet is taken from the board.
    pub(super) async fn read(app: &App, lead: &str) -> Result<Self, StoreError> {
        let journal = &app.core.journal;
        // A disk that fails must not hide what is in memory.
        let _as_far_as_it_goes = journal.flush().await;
        let query = HistoryQuery {
            lead_id: Some(lead.to_owned()),
            limit: CALLS_MAX,
            ..HistoryQuery::default()
        };
        let page = journal.history(query).await?;
        let texts = journal.messages(lead.to_owned(), MESSAGES_MAX).await?;
        let mut calls: BTreeMap<CallId, Call> = BTreeMap::new();
        for call in page.items {
            let query = HistoryQuery {
                call: Some(call.id),
                limit: 1,
                ..HistoryQuery::default()
            };
            let whole = journal.history(query).await?.items.into_iter().next();
            calls.insert(call.id, whole.unwrap_or(call));
        }
        // The board is ahead of the disk.
        let seq = app.core.switchboard.read(|board| {
            for call in board.calls() {
                if call.facts.lead_id.as_deref() == Some(lead) {
                    calls.insert(call.id, call.clone());
                }
            }
            board.seq()
        });
        let messages = texts
            .iter()
            .map(|(_, message)| message.id.clone())
            .collect();
        let mut said: Vec<Said> = calls.values().flat_map(spoken).collect();
        said.extend(texts.into_iter().map(|(at, message)| Said {
            id: message.id,
            at,
            sent_by: message.sent_by,
            kind: message.channel,
            text: message.text,
            call: None,
        }));
        said.sort_by_key(|said| said.at);
        let skip = said.len().saturating_sub(MESSAGES_MAX);
        said.drain(..skip);
        Ok(Self {
            said,
            calls: calls.into_values().rev().collect(),
            seq,
            messages,
        })
    }

    /// The newest summary a vendor gave.
    pub(super) fn summary(&self) -> Option<&str> {
        self.calls
            .iter()
            .find_map(|call| call.analysis.as_ref()?.summary.as_deref())
    }

    pub(super) fn phone(&self) -> Option<&str> {
        self.calls
            .iter()
            .map(Call::caller_number)
            .find(|number| !number.is_empty())
    }

    /// The `conversation_history` of a stream.
    pub(super) fn history(&self, lead: &str, numbers: Numbers) -> Value {
        let messages: Vec<Value> = self.said.iter().map(message).collect();
        json!({
            "type": "conversation_history",
            "leadId": lead,
            "phoneNumber": self.phone().map(|phone| numbers.show(phone)),
            "messages": messages,
            "summary": self.summary(),
            "totalMessages": messages.len(),
        })
    }
}

pub(super) fn message(said: &Said) -> Value {
    json!({
        "id": said.id,
        "content": said.text,
        "timestamp": stamp(said.at),
        "sentBy": said.sent_by,
        "type": said.kind,
        "status": "delivered",
        "callId": said.call,
    })
}

fn spoken(call: &Call) -> impl Iterator<Item = Said> {
    let first = call.lines_dropped as usize;
    call.lines.iter().enumerate().filter_map(move |(at, line)| {
        let LineBody::Speech {
            track,
            text,
            interim: false,
            ..
        } = &line.body
        else {
            return None;
        };
        let sender = match track {
            Track::FromCaller => "user",
            Track::FromAgent => "agent",
            Track::FromOperator => "operator",
        };
        Some(Said {
            id: format!("{}-{}", call.id, first + at),
            at: line.at,
            sent_by: sender.to_owned(),
            kind: "voice".to_owned(),
            text: text.clone(),
            call: Some(call.id),
        })
    })
}
