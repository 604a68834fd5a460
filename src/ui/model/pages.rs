//! What the pages beside the board hold: alerts, groups, past calls, the audit trail.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::{Alert, Call, CallId, CommandId, Rows};
use crate::engine::{AuditEntry, Said};
use crate::ui::filter::Filter;
use crate::ui::groups::{Dimension, Group, Past};
use crate::ui::msg::Listing;

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertStage {
    Open,
    Snoozed,
    Acknowledged,
    /// The detector cleared it, or the call ended.
    Over,
}

/// One line of the alert list.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRow {
    pub call: CallId,
    pub alert: Alert,
    pub stage: AlertStage,
    pub over_at: Option<DateTime<Utc>>,
}

impl AlertRow {
    /// What tells this row from every other; it stays the same while the alert's stage changes.
    pub fn key(&self) -> AlertKey {
        (self.call, self.alert.rule.clone(), self.alert.since)
    }
}

/// Call, rule, and since when.
pub type AlertKey = (CallId, String, DateTime<Utc>);

/// The alert list.
#[derive(Clone, Debug, Default)]
pub struct AlertList {
    pub rows: Vec<AlertRow>,
    pub at: Option<AlertKey>,
}

impl AlertList {
    pub fn position(&self) -> usize {
        let at = self.at.as_ref();
        at.and_then(|at| self.rows.iter().position(|row| row.key() == *at))
            .unwrap_or(0)
    }

    pub fn selected(&self) -> Option<&AlertRow> {
        self.rows.get(self.position())
    }
}

/// The groups and their past.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    pub by: Dimension,
    pub rows: Vec<Group>,
    /// Key of the group under the cursor.
    pub at: Option<String>,
    /// Calls of that group, worst first.
    pub calls: Vec<CallId>,
    pub past: Past,
    /// When `rows` were made.
    pub made_at: Option<Duration>,
}

impl Groups {
    pub fn position(&self) -> usize {
        let at = self.at.as_ref();
        at.and_then(|at| self.rows.iter().position(|row| row.key == *at))
            .unwrap_or(0)
    }
}

/// How past calls are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PastOrder {
    #[default]
    Newest,
    /// Those with which most was wrong first.
    Risk,
}

impl PastOrder {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "time",
            Self::Risk => "risk",
        }
    }
}

/// Past calls as they were found.
#[derive(Clone, Debug, Default)]
pub struct PastCalls {
    /// What was typed.
    pub query: String,
    /// The part of it that is decided here, on what the backend has found.
    pub filter: Filter,
    pub items: Vec<Call>,
    /// Which of `items` pass the filter, in the order chosen.
    pub shown: Vec<usize>,
    pub order: PastOrder,
    pub at: usize,
    /// Where the next page begins, while there is one.
    pub next: Option<String>,
    /// Number of the question asked last; answers to earlier ones are dropped.
    pub serial: u64,
    pub is_loading: bool,
    pub error: Option<String>,
    /// Asked at least once.
    pub is_asked: bool,
    /// The list is to be written to a file, once all of it has come.
    pub export: Option<Rows>,
    /// What is written once the backend has said yes to this command.
    pub leave: Option<(CommandId, Listing)>,
}

impl PastCalls {
    pub fn selected(&self) -> Option<&Call> {
        self.items.get(*self.shown.get(self.at)?)
    }
}

/// The audit trail, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditTrail {
    pub rows: Vec<AuditEntry>,
    pub at: usize,
    pub is_loading: bool,
    pub error: Option<String>,
}

/// What was said with one lead, oldest first.
#[derive(Clone, Debug, Default)]
pub struct LeadPage {
    pub lead: String,
    pub rows: Vec<Said>,
    pub at: usize,
    /// Number of the question asked last; answers to earlier ones are dropped.
    pub serial: u64,
    pub is_loading: bool,
    /// Something was said since it was asked for.
    pub is_stale: bool,
    pub asked_at: Duration,
    pub error: Option<String>,
}

impl LeadPage {
    pub fn selected(&self) -> Option<&Said> {
        self.rows.get(self.at)
    }
}
