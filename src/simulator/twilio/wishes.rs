//! What was asked for when a call was made, and who is on its far end.

use std::sync::Arc;
use std::time::Duration;

use crate::simulator::speech::{Caller, LineQuality, Outcome, Script};

use super::state::Source;
use crate::simulator::line::FarEnd;
use crate::simulator::line::Method;

/// Everything that was asked for when the call was made.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub(super) document: Option<Source>,
    pub(super) fallback: Option<(String, Method)>,
    pub(super) status_callback: Option<(String, Method)>,
    pub(super) events: Vec<String>,
    pub(super) ring_max: Option<Duration>,
    pub(super) time_limit: Option<Duration>,
    pub(super) amd: Option<Amd>,
    pub(super) record: Option<RecordWish>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Amd {
    pub(super) message_end: bool,
    /// `None`: the document waits for the verdict.
    pub(super) callback: Option<String>,
    pub(super) asynchronous: bool,
}

#[derive(Clone, Debug)]
pub(super) struct RecordWish {
    pub(super) channels: u8,
    pub(super) track: String,
    pub(super) callback: Option<(String, Vec<String>)>,
}

/// The far end of the line and how it behaves before it speaks.
pub(super) struct Person {
    pub(super) far: Box<dyn FarEnd>,
    pub(super) outcome: Outcome,
    pub(super) ring: Duration,
    pub(super) sip: u16,
    pub(super) answered_by: Option<String>,
    pub(super) quality: LineQuality,
}

impl Person {
    pub(super) fn acting(script: &Arc<Script>) -> Self {
        Self {
            far: Box::new(Caller::new(script)),
            outcome: script.outcome,
            ring: script.ring,
            sip: script.sip,
            answered_by: script.answered_by.clone(),
            quality: script.quality,
        }
    }
}
