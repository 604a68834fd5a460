//! `Backend`: the one seam between a screen and whatever it watches. The embedded core and the
//! attached link implement it; the screen cannot tell them apart except by `LinkState`.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::call::{
    Call, CallId, Command, Envelope, Epoch, ErrorCode, Gauge, Refusal, Reply, Role, Verb,
};
pub use crate::media::{FRAME_SAMPLES, StereoFrame};

use super::lead_timeline::Said;
use super::ports::AuditEntry;

/// Updates waiting for a screen. Full: the backend side drops to a fresh snapshot.
pub const UPDATES_MAX: usize = 1024;
/// Larger recordings are not taken into memory to be played: as much as a vendor may send us.
pub const RECORDING_MAX: u64 = 96 * 1024 * 1024;

/// What a backend says of itself to one client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub v: u8,
    pub backend_id: String,
    pub epoch: Epoch,
    pub seq: u64,
    pub now: DateTime<Utc>,
    pub user: String,
    pub role: Role,
    pub verbs: Vec<Verb>,
    pub leads: Option<Vec<String>>,
    /// What this backend can do, for instance `listen`, `record`, `dial`, `compat`.
    pub features: Vec<String>,
    /// Names of the places a caller can be handed to.
    #[serde(default)]
    pub transfers: Vec<String>,
}

/// The feature that says a carrier copies the audio of calls to us that are only observed.
pub fn forks(carrier: &str) -> String {
    format!("fork:{carrier}")
}

/// The feature that says a carrier's recordings cannot be paused, so that screens know beforehand.
pub fn no_record_pause(carrier: &str) -> String {
    format!("no_record_pause:{carrier}")
}

/// State of the line between screen and backend.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkState {
    /// Same process: nothing to lose.
    Embedded,
    Connecting {
        attempt: u32,
    },
    Up,
    /// Lost; the next attempt starts in `retry_in`.
    Down {
        reason: String,
        retry_in: Duration,
        attempt: u32,
    },
    /// Turned away for good (bad token, version): no retry without the operator.
    Refused(Refusal),
}

/// One thing a screen must take in.
#[derive(Clone, Debug)]
pub enum Update {
    Link(LinkState),
    Hello(Hello),
    /// Replaces the whole board.
    Snapshot {
        epoch: Epoch,
        seq: u64,
        calls: Vec<Call>,
    },
    /// Facts in order. `to` is the `seq` they cover up to, even where a scoped token skips some.
    Envelopes {
        to: u64,
        items: Vec<Arc<Envelope>>,
    },
    Gauges(Vec<Gauge>),
    Reply(Reply),
    /// Anything was heard from the backend: resets the age of the data.
    Alive,
}

/// Live audio of one call. Dropping it leaves; there is no way to send into it.
#[derive(Debug)]
pub struct ListenStream {
    /// Bounded; a slow reader misses the oldest frames, never delays the call.
    pub frames: mpsc::Receiver<StereoFrame>,
}

/// How much of a recording has come, in bytes, and of how many where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub bytes: u64,
    pub of: Option<u64>,
}

/// A page of past calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Words to find in transcripts, names and numbers.
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub call: Option<CallId>,
    #[serde(default)]
    pub lead_id: Option<String>,
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most 200.
    #[serde(default)]
    pub limit: usize,
    /// The audit trail instead of calls, newest first; needs the verb `tokens` and a token that
    /// sees every lead. Backends that have it name the feature `audit`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub audit: bool,
    /// Everything said with `lead_id`, by voice and by text, instead of its calls; needs the verb
    /// `transcript`. Backends that have it name the feature `timeline`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timeline: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    pub items: Vec<Call>,
    #[serde(default)]
    pub next: Option<String>,
    /// Rows of the audit trail, when that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audit: Vec<AuditEntry>,
    /// What was said, oldest first, when a timeline was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<Said>,
}

/// Everything a screen may ask of a backend.
pub trait Backend: Send + Sync + Debug {
    /// The stream of updates for one screen: first `Link`, `Hello`, `Snapshot`, then what happens.
    fn subscribe(&self) -> mpsc::Receiver<Update>;

    /// Sends a command. The answer comes as [`Update::Reply`] with the same id.
    ///
    /// # Errors
    /// Refused at once when the link is down or its queue (64) is full.
    fn send(&self, command: Command) -> Result<(), Refusal>;

    /// Says which calls' gauges are wanted from now on, at most 4 readings a second each.
    fn watch(&self, calls: Vec<CallId>);

    /// Opens the live audio of a call; needs the verb `listen`.
    fn listen(&self, call: CallId) -> BoxFuture<'static, Result<ListenStream, Refusal>>;

    /// Looks up past calls, newest first.
    fn history(&self, query: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, Refusal>>;

    /// A listen URL with a ticket for one call, for `mpv` or a browser.
    fn listen_url(&self, call: CallId) -> BoxFuture<'static, Result<String, Refusal>>;

    /// The whole file of a finished recording (WAV or MP3, at most [`RECORDING_MAX`]) by the id it
    /// is served under; needs the verb `recordings`. `progress` is told of what has come.
    fn recording(
        &self,
        _id: String,
        _progress: watch::Sender<Fetched>,
    ) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let refusal = Refusal::new(
            ErrorCode::Unsupported,
            "this backend hands out no recordings",
            "",
        );
        Box::pin(std::future::ready(Err(refusal)))
    }
}
