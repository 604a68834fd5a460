//! What webhooks came and what became of them: the last 500, for whoever sets up a carrier's console.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Verdicts kept.
const KEPT_MAX: usize = 500;

/// What became of one webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookVerdict {
    /// Proven and taken.
    Valid,
    /// Proven, and told before.
    Duplicate,
    /// Taken without looking, because signatures are switched off.
    Unchecked,
    /// No signature at all.
    MissingSignature,
    /// Something that is no signature, or of an unknown kind.
    MalformedSignature,
    /// The signature is right over another URL: a configuration mistake, see the advice.
    UrlMismatch,
    /// Signed at a time that is too far from ours: a clock is wrong, or it is an old delivery.
    ClockSkew,
    /// Made with another secret, or forged.
    WrongSecret,
    /// The secret to check it with is not configured.
    NotConfigured,
    /// Proven, but not readable.
    Malformed,
    /// Too big or too slow.
    Oversized,
    /// Proven, but it names another lead than its conversation's: kept on a call of its own that is
    /// no lead's.
    OtherLead,
    /// Proven, but could not be kept in time; the carrier was asked to come again.
    NotKept,
}

impl WebhookVerdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Duplicate => "duplicate",
            Self::Unchecked => "unchecked",
            Self::MissingSignature => "missing_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::UrlMismatch => "url_mismatch",
            Self::ClockSkew => "clock_skew",
            Self::WrongSecret => "wrong_secret",
            Self::NotConfigured => "not_configured",
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::OtherLead => "other_lead",
            Self::NotKept => "not_kept",
        }
    }
}

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
