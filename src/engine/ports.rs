//! Ports: what the core needs from the outside, as traits the outer rooms implement.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};

use crate::bridge::{AgentCodec, Wire};
use crate::call::{Call, CallId, CallStatus, DialRequest, Direction, Envelope};

use super::backend::{HistoryPage, HistoryQuery};

/// Why something could not be kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the journal's queue is full")]
    Full,
    #[error("the journal cannot write: {0}")]
    Write(String),
    #[error("the journal cannot be read: {0}")]
    Read(String),
}

/// Where facts are kept. Written by one batching writer off the hot path.
pub trait Journal: Send + Sync + Debug {
    /// Queues a fact; never blocks.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the bounded queue is full; the caller counts it.
    fn append(&self, envelope: Arc<Envelope>) -> Result<(), StoreError>;

    /// Resolves once everything appended before is on disk (group commit, at most 50 ms).
    fn flush(&self) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Past calls, newest first.
    fn history(&self, query: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, StoreError>>;

    /// The calls that were not ended when the journal was last written, with their transcripts.
    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<Call>, StoreError>>;

    /// Whether a carrier's call id ended in an earlier run: a tombstone against late webhooks.
    fn ended_before(&self, carrier: String, carrier_call_id: String) -> BoxFuture<'static, bool>;
}

/// A carrier's refusal or failure, in words an operator can act on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CarrierError {
    /// The carrier says the call is over already; for a hang-up that is success.
    #[error("the call has already ended")]
    AlreadyEnded,
    #[error("the carrier refused: {message}")]
    Refused { code: Option<i64>, message: String },
    #[error("the carrier did not accept our credentials")]
    Unauthorized,
    #[error("the carrier asks to slow down")]
    RateLimited { retry_after_s: Option<u64> },
    #[error("the carrier could not be reached: {0}")]
    Unreachable(String),
    #[error("{0} is not something this carrier can do")]
    Unsupported(&'static str),
}

/// One call as the carrier's REST reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct CarrierCall {
    pub carrier_call_id: String,
    pub status: CallStatus,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub started_at: Option<DateTime<Utc>>,
    pub duration_s: Option<u32>,
}

/// What to do with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingOrder {
    Start,
    Pause,
    Resume,
    Stop,
}

/// A call to be placed, with the URLs the carrier shall use.
#[derive(Clone, Debug, PartialEq)]
pub struct DialOrder {
    pub call: CallId,
    pub request: DialRequest,
    /// `off`, `detect` or `message_end`.
    pub amd: String,
    pub record: bool,
}

/// Orders to a carrier: REST, slow, fallible. One implementation per vendor.
pub trait CarrierControl: Send + Sync + Debug {
    /// For instance `twilio`.
    fn name(&self) -> &'static str;

    /// Places a call and returns the carrier's id for it.
    fn dial(&self, order: DialOrder) -> BoxFuture<'static, Result<String, CarrierError>>;

    /// Ends a call; `Ok` means the carrier accepted, not that it has ended.
    fn hang_up(&self, carrier_call_id: String) -> BoxFuture<'static, Result<(), CarrierError>>;

    /// Connects the caller to a number; the media stream ends.
    fn transfer(
        &self,
        carrier_call_id: String,
        to: String,
    ) -> BoxFuture<'static, Result<(), CarrierError>>;

    /// Starts, pauses, resumes or stops a recording; returns its id.
    fn record(
        &self,
        carrier_call_id: String,
        recording: Option<String>,
        order: RecordingOrder,
    ) -> BoxFuture<'static, Result<String, CarrierError>>;

    /// All calls the carrier considers live.
    fn live_calls(&self) -> BoxFuture<'static, Result<Vec<CarrierCall>, CarrierError>>;

    /// One call, live or ended; `None` when the carrier does not know it.
    fn find(
        &self,
        carrier_call_id: String,
    ) -> BoxFuture<'static, Result<Option<CarrierCall>, CarrierError>>;

    /// Downloads a recording (WAV) the carrier holds, from its own host only.
    fn fetch_recording(
        &self,
        recording: String,
    ) -> BoxFuture<'static, Result<bytes::Bytes, CarrierError>>;
}

/// The carriers by name.
pub type Carriers = BTreeMap<&'static str, Arc<dyn CarrierControl>>;

/// Why a socket is no longer there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the socket closed ({code:?}): {reason}")]
pub struct WireClosed {
    /// The close frame's code (RFC 6455 §7.4); `None` when the peer vanished without one.
    pub code: Option<u16>,
    pub reason: String,
}

/// A WebSocket of either side, without its transport: text and binary messages only. Pings are
/// answered below. The stream ends with `Err(WireClosed)` once; `close` says goodbye with 1000.
pub trait WireSocket:
    Stream<Item = Result<Wire, WireClosed>> + Sink<Wire, Error = WireClosed> + Send + Unpin
{
}

impl<T> WireSocket for T where
    T: Stream<Item = Result<Wire, WireClosed>> + Sink<Wire, Error = WireClosed> + Send + Unpin
{
}

/// A socket whoever made it.
pub type BoxSocket = Box<dyn WireSocket>;

/// Why an agent could not be reached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AgentError {
    /// Wrong key: trying again cannot help.
    #[error("the agent vendor did not accept our key")]
    Unauthorized,
    #[error("the agent vendor asks to slow down")]
    RateLimited,
    #[error("the agent vendor refused: {0}")]
    Refused(String),
    #[error("the agent vendor could not be reached: {0}")]
    Unreachable(String),
    #[error("the agent vendor did not answer in time")]
    Timeout,
}

impl AgentError {
    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Unreachable(_) | Self::Timeout
        )
    }
}

/// An open agent socket and the codec that goes with it.
pub type AgentConnection = (BoxSocket, Box<dyn AgentCodec>);

/// Opens conversations with one configured agent of one vendor.
pub trait AgentDialer: Send + Sync + Debug {
    /// For instance `elevenlabs`.
    fn vendor(&self) -> &'static str;

    /// Connects within 10 s. The caller sends `Begin` first.
    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>>;
}
