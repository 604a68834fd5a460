//! Who places, steers and ends calls: carriers, and agent vendors with lines of their own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use crate::call::{CallId, CallStatus, DialRequest, Direction};

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

    /// Whether it can place calls at all.
    fn dials(&self) -> bool {
        true
    }

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

    /// Speaks a text to the caller by the carrier's own voice, over whatever else is heard.
    fn speak(
        &self,
        _carrier_call_id: String,
        _text: String,
    ) -> BoxFuture<'static, Result<(), CarrierError>> {
        Box::pin(std::future::ready(Err(CarrierError::Unsupported(
            "speaking a text",
        ))))
    }

    /// Whether [`CarrierControl::speak`] works while the call's audio is streamed to us.
    fn can_speak(&self) -> bool {
        false
    }

    /// Whether whoever is on this call only reads: no speech need be made of words.
    fn is_read(&self, _carrier_call_id: &str) -> bool {
        false
    }

    /// Whether the stream goes on after a transfer was taken, until we close it.
    fn stream_outlives_transfer(&self) -> bool {
        false
    }

    /// Whether it can hand a caller to another number.
    fn transfers(&self) -> bool {
        true
    }

    /// Whether it records at all.
    fn records(&self) -> bool {
        true
    }

    /// Whether a running recording can be paused and resumed.
    fn pauses_recordings(&self) -> bool {
        true
    }

    /// Why this carrier cannot send a copy of a live call's audio here ([`CarrierControl::fork`]);
    /// `None` when it can.
    fn cannot_fork(&self) -> Option<&'static str> {
        Some("its carrier cannot send a copy of its audio here")
    }

    /// Sends a copy of both sides of a live call to our monitor socket, one way, with `ticket` as its
    /// proof. Returns the carrier's id of that stream.
    fn fork(
        &self,
        _carrier_call_id: String,
        _ticket: String,
    ) -> BoxFuture<'static, Result<String, CarrierError>> {
        Box::pin(std::future::ready(Err(CarrierError::Unsupported(
            "copying a call's audio",
        ))))
    }

    /// Ends such a copy.
    fn unfork(
        &self,
        _carrier_call_id: String,
        _stream: String,
    ) -> BoxFuture<'static, Result<(), CarrierError>> {
        Box::pin(std::future::ready(Err(CarrierError::Unsupported(
            "copying a call's audio",
        ))))
    }

    /// All calls the carrier considers live.
    fn live_calls(&self) -> BoxFuture<'static, Result<Vec<CarrierCall>, CarrierError>>;

    /// One call, live or ended; `None` when the carrier does not know it.
    fn find(
        &self,
        carrier_call_id: String,
    ) -> BoxFuture<'static, Result<Option<CarrierCall>, CarrierError>>;

    /// Downloads a recording (WAV) the carrier holds, from its own host only.
    fn fetch_recording(&self, recording: String)
    -> BoxFuture<'static, Result<Bytes, CarrierError>>;
}

/// The carriers by name.
pub type Carriers = BTreeMap<&'static str, Arc<dyn CarrierControl>>;

/// A call to be placed by an agent vendor on a line of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct VendorOrder {
    pub call: CallId,
    pub request: DialRequest,
    /// What the agent is told, by name.
    pub variables: BTreeMap<String, String>,
}

/// A call an agent vendor has placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VendorPlaced {
    pub conversation_id: Option<String>,
    /// Which carrier rings, and its id of the call, where the vendor says.
    pub carrier: Option<&'static str>,
    pub carrier_call_id: Option<String>,
}

/// Placing calls through an agent vendor: REST, slow, fallible.
pub trait VendorCalls: Send + Sync + Debug {
    /// For instance `elevenlabs`.
    fn name(&self) -> &'static str;

    /// Places a call; the vendor tells of it by webhook from then on.
    fn place(&self, order: VendorOrder) -> BoxFuture<'static, Result<VendorPlaced, CarrierError>>;
}

/// The agent vendors that can place calls, by name.
pub type Vendors = BTreeMap<&'static str, Arc<dyn VendorCalls>>;
