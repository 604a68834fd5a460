//! Carrier ids of calls that ended, against webhooks that come after the call has left the board.

use std::collections::{HashMap, VecDeque};

use crate::call::CallId;

/// Remembered at once; the oldest goes first. Older ones are asked of the journal.
const TOMBSTONES_MAX: usize = 100_000;

/// What is known of a carrier's id that is not on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grave {
    /// Never heard of: a new call.
    None,
    /// Ended; late news of it goes to the history of this call, if its id is known.
    Ended(Option<CallId>),
}

#[derive(Debug, Default)]
pub(super) struct Tombstones {
    known: HashMap<String, CallId>,
    order: VecDeque<String>,
}

impl Tombstones {
    pub(super) fn get(&self, key: &str) -> Option<CallId> {
        self.known.get(key).copied()
    }

    pub(super) fn insert(&mut self, key: String, call: CallId) {
        if self.known.insert(key.clone(), call).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > TOMBSTONES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}
