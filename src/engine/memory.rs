//! A journal without a disk: tests, and screens that must not leave a trace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, ready};

use chrono::{DateTime, Utc};

use crate::call::{
    Board, Call, CallEvent, CallId, Envelope, Fact, Lead, LeadKey, LeadMessage, LineBody,
};

use super::backend::{HistoryPage, HistoryQuery};
use super::ports::{AuditEntry, Journal, StoreError};

/// Keeps everything until it is dropped. Clones share what is kept.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    board: Board,
    envelopes: Vec<Arc<Envelope>>,
    audit: Vec<AuditEntry>,
    leads: BTreeMap<String, Lead>,
}

impl MemoryJournal {
    pub fn new() -> Self {
        Self::default()
    }

    /// A journal as an earlier run left it.
    pub fn holding(calls: impl IntoIterator<Item = Call>) -> Self {
        let journal = Self::new();
        {
            let mut kept = journal.lock();
            for call in calls {
                kept.board.insert(call);
            }
        }
        journal
    }

    /// All facts so far, in order.
    pub fn envelopes(&self) -> Vec<Arc<Envelope>> {
        self.lock().envelopes.clone()
    }

    pub fn audits(&self) -> Vec<AuditEntry> {
        self.lock().audit.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self, query: &HistoryQuery) -> HistoryPage {
        if query.audit {
            let kept = self.lock();
            let newest = kept.audit.iter().rev().take(query.limit.max(1));
            return HistoryPage {
                audit: newest.cloned().collect(),
                ..HistoryPage::default()
            };
        }
        let kept = self.lock();
        let limit = query.limit.clamp(1, 200);
        let before: Option<CallId> = query.cursor.as_deref().and_then(|id| id.parse().ok());
        let mut items: Vec<Call> = kept
            .board
            .calls()
            .rev()
            .filter(|call| before.is_none_or(|before| call.id < before))
            .filter(|call| matches(call, query))
            .take(limit + 1)
            .cloned()
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|call| call.id.to_string());
        HistoryPage {
            items,
            next,
            ..HistoryPage::default()
        }
    }
}

fn matches(call: &Call, query: &HistoryQuery) -> bool {
    let says = |wanted: &str| {
        let wanted = wanted.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        has(&call.facts.from)
            || has(&call.facts.to)
            || call.facts.name.as_deref().is_some_and(has)
            || call
                .lines
                .iter()
                .any(|line| matches!(&line.body, LineBody::Speech { text, .. } if has(text)))
    };
    query.call.is_none_or(|id| id == call.id)
        && query
            .lead_id
            .as_ref()
            .is_none_or(|lead| call.facts.lead_id.as_ref() == Some(lead))
        && query.since.is_none_or(|since| call.started_at >= since)
        && query.text.as_deref().is_none_or(says)
}

impl Journal for MemoryJournal {
    fn append(&self, envelope: Arc<Envelope>) -> Result<(), StoreError> {
        let mut kept = self.lock();
        // Another run numbers from 1 again.
        kept.board.restart_before(envelope.seq);
        kept.board.apply(&envelope);
        kept.envelopes.push(envelope);
        Ok(())
    }

    fn flush(&self) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(ready(Ok(())))
    }

    fn history(&self, query: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, StoreError>> {
        Box::pin(ready(Ok(self.page(&query))))
    }

    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<Call>, StoreError>> {
        let calls = self.lock().board.live().cloned().collect();
        Box::pin(ready(Ok(calls)))
    }

    fn ended_before(&self, carrier: String, carrier_call_id: String) -> BoxFuture<'static, bool> {
        let ended = self.ended(&carrier, &carrier_call_id).is_some();
        Box::pin(ready(ended))
    }

    fn ended_call(
        &self,
        carrier: String,
        carrier_call_id: String,
    ) -> BoxFuture<'static, Option<CallId>> {
        Box::pin(ready(self.ended(&carrier, &carrier_call_id)))
    }

    fn conversation_call(&self, conversation_id: String) -> BoxFuture<'static, Option<CallId>> {
        let call = self.lock().board.find(&conversation_id).map(|call| call.id);
        Box::pin(ready(call))
    }

    fn messages(
        &self,
        lead: String,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(DateTime<Utc>, LeadMessage)>, StoreError>> {
        let kept = self.lock();
        let mut found: Vec<_> = kept
            .envelopes
            .iter()
            .rev()
            .filter_map(|envelope| match &envelope.event {
                CallEvent::Known(Fact::LeadMessaged { message }) if message.lead_id == lead => {
                    Some((envelope.at, message.clone()))
                }
                _ => None,
            })
            .take(limit)
            .collect();
        found.reverse();
        Box::pin(ready(Ok(found)))
    }

    fn lead(&self, key: LeadKey) -> BoxFuture<'static, Result<Option<Lead>, StoreError>> {
        let kept = self.lock();
        let found = match &key {
            LeadKey::Id(id) => kept.leads.get(id),
            LeadKey::Number(number) => kept
                .leads
                .values()
                .find(|lead| lead.number.as_ref() == Some(number)),
        };
        Box::pin(ready(Ok(found.cloned())))
    }

    fn keep_leads(&self, leads: Vec<Lead>) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut kept = self.lock();
        for lead in leads {
            kept.leads.insert(lead.id.clone(), lead);
        }
        Box::pin(ready(Ok(())))
    }

    fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.lock().audit.push(entry);
        Ok(())
    }
}

impl MemoryJournal {
    fn ended(&self, carrier: &str, carrier_call_id: &str) -> Option<CallId> {
        let kept = self.lock();
        kept.board
            .find(carrier_call_id)
            .filter(|call| call.facts.carrier == carrier && !call.is_live())
            .map(|call| call.id)
    }
}
