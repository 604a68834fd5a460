//! `Board`: all calls folded from envelopes. The one reducer, used by the server, the embedded and
//! the attached screen, replay and tests alike.

use std::collections::BTreeMap;
use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{Call, CallEvent, CallId, Envelope, Fact};

/// Every call known, by id (ids sort by time).
#[derive(Clone, Debug, Default)]
pub struct Board {
    calls: BTreeMap<CallId, Call>,
    by_carrier_id: HashMap<String, CallId>,
    by_conversation: HashMap<String, CallId>,
    notices: Vec<(DateTime<Utc>, Fact)>,
    seq: u64,
}

/// What became of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    New,
    /// `seq` was seen before: nothing changed.
    Duplicate,
    /// Something is missing before it: nothing changed, ask for a resync from `expected`.
    Gap {
        expected: u64,
    },
}

/// Backend notices kept for the screen.
const NOTICES_MAX: usize = 20;

impl Board {
    pub fn new() -> Self {
        Self::default()
    }

    /// A board as a snapshot describes it.
    pub fn from_snapshot(seq: u64, calls: impl IntoIterator<Item = Call>) -> Self {
        let mut board = Self {
            seq,
            ..Self::default()
        };
        for call in calls {
            board.insert(call);
        }
        board
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn get(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id)
    }

    /// Finds a call by our id, the carrier's, or the agent vendor's for its conversation.
    pub fn find(&self, key: &str) -> Option<&Call> {
        let id = self
            .by_carrier_id
            .get(key)
            .or_else(|| self.by_conversation.get(key))
            .copied()
            .or_else(|| key.parse().ok())?;
        self.get(id)
    }

    pub fn calls(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.calls.values()
    }

    pub fn live(&self) -> impl Iterator<Item = &Call> {
        self.calls.values().filter(|call| call.is_live())
    }

    pub fn len(&self) -> usize {
        self.calls.len()
    }

    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub fn notices(&self) -> &[(DateTime<Utc>, Fact)] {
        &self.notices
    }

    /// Puts a call in as it is: a snapshot, or the journal after a restart.
    pub fn insert(&mut self, call: Call) {
        if let Some(carrier_id) = &call.facts.carrier_call_id {
            self.by_carrier_id.insert(carrier_id.clone(), call.id);
        }
        if let Some(conversation) = &call.conversation_id {
            self.by_conversation.insert(conversation.clone(), call.id);
        }
        self.calls.insert(call.id, call);
    }

    /// Forgets ended calls whose end is older than `before`. They stay in history.
    /// Returns how many went.
    pub fn forget_ended(&mut self, before: DateTime<Utc>) -> usize {
        self.forget_where(|call| call.ended_at.is_some_and(|at| at < before))
    }

    /// Lets go of ended calls of this kind; returns how many.
    pub fn forget_where(&mut self, goes: impl Fn(&Call) -> bool) -> usize {
        let gone: Vec<CallId> = self
            .calls
            .values()
            .filter(|call| !call.is_live() && goes(call))
            .map(|call| call.id)
            .collect();
        for id in &gone {
            if let Some(call) = self.calls.remove(id) {
                if let Some(carrier_id) = call.facts.carrier_call_id {
                    self.by_carrier_id.remove(&carrier_id);
                }
            }
        }
        if !gone.is_empty() {
            // Ids a call had in between go with it: promoted ones, earlier conversations. `gone` is
            // in order, as the map is.
            let left = |id: &CallId| gone.binary_search(id).is_err();
            self.by_conversation.retain(|_, id| left(id));
            self.by_carrier_id.retain(|_, id| left(id));
        }
        gone.len()
    }

    /// Folds one envelope in. Never panics, whatever the order of facts.
    pub fn apply(&mut self, envelope: &Envelope) -> Applied {
        if envelope.seq <= self.seq {
            return Applied::Duplicate;
        }
        if envelope.seq != self.seq + 1 {
            return Applied::Gap {
                expected: self.seq + 1,
            };
        }
        self.seq = envelope.seq;
        self.fold(envelope);
        Applied::New
    }

    /// Moves past envelopes that a scoped viewer is not shown.
    pub fn skip_to(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
    }

    /// Makes `seq` the next envelope expected: a journal outlives the epochs it records.
    pub fn restart_before(&mut self, seq: u64) {
        self.seq = seq.saturating_sub(1);
    }

    fn fold(&mut self, envelope: &Envelope) {
        let CallEvent::Known(fact) = &envelope.event else {
            return;
        };
        let Some(id) = envelope.call else {
            if matches!(fact, Fact::Notice { .. }) {
                if self.notices.len() == NOTICES_MAX {
                    self.notices.remove(0);
                }
                self.notices.push((envelope.at, fact.clone()));
            }
            return;
        };
        if !self.calls.contains_key(&id) {
            if let Some(call) = Call::seen(envelope) {
                self.insert(call);
            }
        }
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.take(envelope);
        if let Some(carrier_id) = call.facts.carrier_call_id.clone() {
            self.by_carrier_id.entry(carrier_id).or_insert(id);
        }
        if let Fact::ConversationStarted { conversation_id }
        | Fact::ConversationMapped { conversation_id } = fact
        {
            self.by_conversation
                .entry(conversation_id.clone())
                .or_insert(id);
        }
    }
}
