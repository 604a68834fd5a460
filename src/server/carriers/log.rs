//! What webhooks came and what became of them: the last 500, for whoever sets up a carrier's console.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::providers::vendor::WebhookVerdict;

/// Verdicts kept.
const KEPT_MAX: usize = 500;

/// One webhook. Holds no field of its body.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookEntry {
    pub at: DateTime<Utc>,
    pub carrier: &'static str,
    pub path: String,
    pub verdict: WebhookVerdict,
    /// How to mend it, where that is known.
    pub advice: Option<String>,
    /// The URL the signature was judged over.
    pub url: String,
    pub peer: String,
    /// The HTTP status it was answered with.
    pub status: u16,
}

/// The newest entries, oldest first.
#[derive(Debug, Default)]
pub struct WebhookLog {
    entries: Mutex<VecDeque<WebhookEntry>>,
}

impl WebhookLog {
    pub fn push(&self, entry: WebhookEntry) {
        metrics::counter!(
            "wallboard_webhooks_total",
            "carrier" => entry.carrier,
            "verdict" => entry.verdict.as_str()
        )
        .increment(1);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == KEPT_MAX {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// A copy, oldest first.
    pub fn entries(&self) -> Vec<WebhookEntry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().cloned().collect()
    }
}
