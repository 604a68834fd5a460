//! What is looked at and how: layout, page, list, readings, sound, news, figures.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::{CallId, Gauge, Severity};
use crate::engine::{Fetched, Update};
use crate::ui::sound::Pan;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    #[default]
    Cards,
    Dense,
    /// Four transcripts at once.
    Mosaic,
}

impl View {
    pub const ALL: [Self; 3] = [Self::Cards, Self::Dense, Self::Mosaic];

    /// The word in the palette and in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cards => "cards",
            Self::Dense => "table",
            Self::Mosaic => "mosaic",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.as_str() == word)
    }

    pub fn next(self) -> Self {
        match self {
            Self::Cards => Self::Dense,
            Self::Dense => Self::Mosaic,
            Self::Mosaic => Self::Cards,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    #[default]
    Board,
    Alerts,
    History,
    Quality,
    Audit,
    /// Everything said with one lead.
    Lead,
    /// One call, full screen.
    Call,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    #[default]
    Calls,
    Transcript,
    Detail,
}

/// The list of calls as it is laid out.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Shown calls, first to last.
    pub order: Vec<CallId>,
    pub selected: Option<CallId>,
    /// Lines scrolled off above; negative while the row under the cursor is held in place.
    pub offset: i32,
    /// Line on which each call of `order` starts, and one past the last line.
    pub tops: Vec<u32>,
    /// Lines the pane can show.
    pub height: u16,
    pub is_stale: bool,
    /// The operator moved: bring the cursor into view.
    pub reveal: bool,
    /// Calls that pass everything but the filter.
    pub candidates: usize,
}

/// Latest reading of one call and how it came about.
#[derive(Clone, Debug)]
pub struct Readings {
    pub gauge: Gauge,
    pub caller: VecDeque<f32>,
    pub agent: VecDeque<f32>,
    pub scores: VecDeque<f32>,
    /// Loudest since the last step of the meters.
    pub peak: (f32, f32),
    pub stepped_at: Duration,
    pub scored_at: Duration,
}

/// Listening, as the operator asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ear {
    pub call: Option<CallId>,
    /// The audio was opened; before that it is being asked for.
    pub is_open: bool,
    /// Percent.
    pub volume: u8,
    pub muted: bool,
    pub pan: Pan,
}

/// A recording that is being fetched or plays, as the operator asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    pub call: CallId,
    /// What it is served under.
    pub id: String,
    /// As its call tells it; the file itself knows better once it is read.
    pub length_s: Option<u32>,
    /// How much has come, until it plays.
    pub fetching: Option<Fetched>,
}

#[derive(Clone, Debug)]
pub struct Toast {
    pub severity: Severity,
    pub text: String,
    pub until: Duration,
}

/// Full numbers of one call, shown for a short while.
#[derive(Clone, Debug)]
pub struct Unmasked {
    pub from: String,
    pub to: String,
    pub until: Duration,
}

/// The picture stands still; what comes in waits here.
#[derive(Debug)]
pub struct Frozen {
    pub at: DateTime<Utc>,
    pub waiting: Vec<Update>,
    pub events: usize,
}

/// The header's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub live: usize,
    pub ringing: usize,
    pub attention: usize,
    /// Alerts silenced for a while.
    pub snoozed: usize,
    /// Answer of the call in progress that has been going on longest.
    pub longest_since: Option<DateTime<Utc>>,
    pub turn_p50_ms: Option<u32>,
    pub turn_p95_ms: Option<u32>,
    /// Mean of the bridged calls.
    pub score: Option<f32>,
}
