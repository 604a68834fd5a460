//! Everything said with one lead, by voice and by text, in the order it was said: what a page shows,
//! and what the agent of the next call is told.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::call::{Call, CallId, LineBody, Track};

use super::Core;
use super::backend::HistoryQuery;
use super::ports::StoreError;

/// Messages of one timeline; older ones are in the history of their calls.
pub const TIMELINE_MAX: usize = 200;
/// Calls looked into for them.
const CALLS_MAX: usize = 20;
/// Messages the next agent is told.
const CONTEXT_MAX: usize = 20;
/// Characters of each of them, and of the summary.
const CONTEXT_CHARS: usize = 400;
/// Nobody waits on the line for longer than this so that the agent knows more.
const CONTEXT_WITHIN: Duration = Duration::from_millis(400);

/// One thing said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    pub id: String,
    pub at: DateTime<Utc>,
    /// `user`, `agent`, `operator`, or an operator's name.
    pub sent_by: String,
    /// `voice`, or how a text message travelled.
    pub channel: String,
    pub text: String,
    pub call: Option<CallId>,
}

/// What is known of a lead's conversations.
#[derive(Clone, Debug, Default)]
pub struct LeadTimeline {
    /// Oldest first, at most [`TIMELINE_MAX`].
    pub said: Vec<Said>,
    /// Newest first.
    pub calls: Vec<Call>,
    /// Everything said in calls on the board up to this `seq` is in it.
    pub seq: u64,
    /// Ids of the text messages in it.
    pub messages: HashSet<String>,
}

impl LeadTimeline {
    /// The newest summary a vendor gave.
    pub fn summary(&self) -> Option<&str> {
        self.calls
            .iter()
            .find_map(|call| call.analysis.as_ref()?.summary.as_deref())
    }

    /// The lead's number, as the newest call knows it.
    pub fn phone(&self) -> Option<&str> {
        self.calls
            .iter()
            .map(Call::caller_number)
            .find(|number| !number.is_empty())
    }

    /// What an agent is told before it talks with this lead again; `None` when nothing was said.
    pub fn context(&self) -> Option<String> {
        let skip = self.said.len().saturating_sub(CONTEXT_MAX);
        let mut text = String::new();
        if let Some(summary) = self.summary() {
            // Writing to a String cannot fail, here and below.
            let _infallible = writeln!(text, "Last call: {}", short(summary));
        }
        for said in self.said.iter().skip(skip) {
            let _infallible = writeln!(
                text,
                "[{} {}] {}: {}",
                said.at.format("%Y-%m-%d %H:%M"),
                said.channel,
                said.sent_by,
                short(&said.text)
            );
        }
        (!text.is_empty()).then(|| text.trim_end().to_owned())
    }
}

fn short(text: &str) -> String {
    let line = text.replace(['\r', '\n'], " ");
    line.chars().take(CONTEXT_CHARS).collect()
}

impl Core {
    /// Reads what is known of a lead. What is not on disk yet is taken from the board.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn lead_timeline(&self, lead: &str) -> Result<LeadTimeline, StoreError> {
        // A disk that fails must not hide what is in memory.
        let _as_far_as_it_goes = self.journal.flush().await;
        let query = HistoryQuery {
            lead_id: Some(lead.to_owned()),
            limit: CALLS_MAX,
            ..HistoryQuery::default()
        };
        let page = self.journal.history(query).await?;
        let texts = self.journal.messages(lead.to_owned(), TIMELINE_MAX).await?;
        let mut calls: BTreeMap<CallId, Call> = BTreeMap::new();
        for call in page.items {
            let query = HistoryQuery {
                call: Some(call.id),
                limit: 1,
                ..HistoryQuery::default()
            };
            let whole = self.journal.history(query).await?.items.into_iter().next();
            calls.insert(call.id, whole.unwrap_or(call));
        }
        // The board is ahead of the disk.
        let seq = self.switchboard.read(|board| {
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
        // Of a text whose route keeps no words only its being is known.
        let kept = texts
            .into_iter()
            .filter(|(_, message)| !message.text.is_empty());
        said.extend(kept.map(|(at, message)| Said {
            id: message.id,
            at,
            sent_by: message.sent_by,
            channel: message.channel,
            text: message.text,
            call: None,
        }));
        said.sort_by_key(|said| said.at);
        let skip = said.len().saturating_sub(TIMELINE_MAX);
        said.drain(..skip);
        Ok(LeadTimeline {
            said,
            calls: calls.into_values().rev().collect(),
            seq,
            messages,
        })
    }

    /// What the agent of this lead's next call is told. Never takes long: a call does not wait for it.
    pub async fn lead_context(&self, lead: &str) -> Option<String> {
        let reading = self.lead_timeline(lead);
        match tokio::time::timeout(CONTEXT_WITHIN, reading).await {
            Ok(Ok(timeline)) => timeline.context(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "an agent is told nothing of what was said before");
                None
            }
            Err(_) => {
                tracing::warn!("the journal was too slow to say what was said before");
                None
            }
        }
    }
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
        if line.is_unheard() {
            return None;
        }
        let sender = match track {
            Track::FromCaller => "user",
            Track::FromAgent => "agent",
            Track::FromOperator => "operator",
        };
        Some(Said {
            id: format!("{}-{}", call.id, first + at),
            at: line.at,
            sent_by: sender.to_owned(),
            channel: "voice".to_owned(),
            text: text.clone(),
            call: Some(call.id),
        })
    })
}
