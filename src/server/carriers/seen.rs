//! Which webhooks were taken already. A carrier that did not hear our answer sends the same again.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::engine::WebhookMark;

/// Deliveries remembered; older ones would be judged by the board, which takes no fact twice.
const KEPT_MAX: usize = 16_384;

/// The deliveries taken lately.
#[derive(Debug, Default)]
pub(in crate::server) struct Seen {
    marks: Mutex<(HashSet<WebhookMark>, VecDeque<WebhookMark>)>,
}

impl Seen {
    pub(in crate::server) fn contains(&self, key: &str) -> bool {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.0.contains(&mark_of(key))
    }

    /// Remembers a delivery, once it has been kept.
    pub(in crate::server) fn insert(&self, key: &str) {
        self.remember(mark_of(key));
    }

    /// As [`Seen::insert`], for what an earlier run has taken.
    pub(in crate::server) fn remember(&self, mark: WebhookMark) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *marks;
        if known.insert(mark) {
            order.push_back(mark);
        }
        if order.len() > KEPT_MAX {
            if let Some(oldest) = order.pop_front() {
                known.remove(&oldest);
            }
        }
    }
}

/// What is kept of a delivery's key.
pub(in crate::server) fn mark_of(key: &str) -> WebhookMark {
    let sum: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let mut mark = WebhookMark::default();
    mark.copy_from_slice(&sum[..16]);
    mark
}
