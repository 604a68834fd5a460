//! Calls that have ended, remembered so that late events do not revive them.

use std::collections::{HashSet, VecDeque};

/// The oldest is forgotten beyond this.
const GRAVES_MAX: usize = 20_000;

/// Foreign ids of ended calls, oldest first.
#[derive(Debug, Default)]
pub(super) struct Graves {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Graves {
    pub fn contains(&self, sid: &str) -> bool {
        self.known.contains(sid)
    }

    /// Remembers a call; returns the one that is forgotten for it.
    pub fn bury(&mut self, sid: &str) -> Option<String> {
        if self.known.insert(sid.to_owned()) {
            self.order.push_back(sid.to_owned());
        }
        if self.order.len() <= GRAVES_MAX {
            return None;
        }
        let oldest = self.order.pop_front()?;
        self.known.remove(&oldest);
        Some(oldest)
    }

    /// The call that has been dead longest among those wanted.
    pub fn oldest(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.order.iter().find(|sid| wanted(sid)).cloned()
    }
}
