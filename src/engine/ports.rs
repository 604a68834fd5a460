//! Ports: what the core needs from the outside, as traits the outer rooms implement.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::bridge::{AgentCodec, Wire};
use crate::call::{
    Call, CallId, CallStatus, CommandId, DialRequest, Direction, Envelope, Fact, Lead, LeadKey,
    LeadMessage, Recording, Track,
};

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

    /// Our id of a call that ended and may have left the board, so that what the carrier tells
    /// later (recording, cost, analysis) still reaches its history.
    fn ended_call(
        &self,
        _carrier: String,
        _carrier_call_id: String,
    ) -> BoxFuture<'static, Option<CallId>> {
        Box::pin(std::future::ready(None))
    }

    /// Our id of the call an agent vendor's conversation belonged to, on the board or not.
    fn conversation_call(&self, _conversation_id: String) -> BoxFuture<'static, Option<CallId>> {
        Box::pin(std::future::ready(None))
    }

    /// The newest text messages of a lead with their times, oldest first.
    fn messages(
        &self,
        _lead: String,
        _limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(DateTime<Utc>, LeadMessage)>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// One lead; `None` when nobody of this id or number is known.
    fn lead(&self, _key: LeadKey) -> BoxFuture<'static, Result<Option<Lead>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// A page of leads in the order of their ids.
    fn leads(&self, _query: LeadQuery) -> BoxFuture<'static, Result<LeadPage, StoreError>> {
        Box::pin(std::future::ready(Ok(LeadPage::default())))
    }

    /// Keeps leads; of known ones it updates what is said of them and leaves what became of them.
    /// Resolves once they are on disk.
    fn keep_leads(&self, _leads: Vec<Lead>) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(std::future::ready(Err(StoreError::Write(
            "leads are not kept here".into(),
        ))))
    }

    /// Lines of all transcripts with these words, newest first.
    fn search(&self, _query: SearchQuery) -> BoxFuture<'static, Result<Vec<Found>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Removes everything of one lead whose calls have ended, and remembers those calls' ids, so that
    /// nothing late brings them back. Resolves once it is gone from the disk.
    fn purge_lead(&self, _lead: String) -> BoxFuture<'static, Result<PurgedLead, StoreError>> {
        Box::pin(std::future::ready(Err(StoreError::Write(
            "nothing is removed here".into(),
        ))))
    }

    /// Marks of webhooks taken lately, oldest first: what comes again after a restart is known.
    fn marks(&self) -> BoxFuture<'static, Result<Vec<WebhookMark>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Queues the mark of a webhook whose facts have been appended; on disk with them.
    ///
    /// # Errors
    /// [`StoreError::Full`] as for [`Journal::append`].
    fn mark(&self, _mark: WebhookMark) -> Result<(), StoreError> {
        Ok(())
    }

    /// Queues an audit row that no fact carries: refusals, tokens, exports.
    ///
    /// # Errors
    /// [`StoreError::Full`] as for [`Journal::append`].
    fn audit(&self, _entry: AuditEntry) -> Result<(), StoreError> {
        Ok(())
    }

    /// What happened when the journal was opened that operators should read.
    fn opening_notices(&self) -> Vec<Fact> {
        Vec::new()
    }

    /// Whether the journal can write at present. `None`: it always can.
    fn health(&self) -> Option<watch::Receiver<StoreHealth>> {
        None
    }
}

/// A digest that two deliveries of the same webhook have in common.
pub type WebhookMark = [u8; 16];

/// Which leads are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadQuery {
    /// Part of a name, id or number.
    pub text: Option<String>,
    /// Ids after this one.
    pub after: Option<String>,
    /// At most 1000; 0: 100.
    pub limit: usize,
}

/// Some leads, and where the next ones begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadPage {
    pub items: Vec<Lead>,
    pub next: Option<String>,
}

/// What to look for in transcripts.
#[derive(Clone, Debug, Default)]
pub struct SearchQuery {
    /// Every word must be in the line; the last may be a beginning.
    pub text: String,
    pub lead_id: Option<String>,
    /// Only what these leads said, where sight is limited.
    pub leads: Option<std::collections::BTreeSet<String>>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub limit: usize,
}

/// One line found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub call: CallId,
    pub lead_id: Option<String>,
    pub at: DateTime<Utc>,
    /// `None` of tools and marks.
    pub track: Option<Track>,
    pub text: String,
}

/// What went with a lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgedLead {
    pub calls: usize,
    pub messages: usize,
    pub recordings: usize,
}

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

/// Whether facts reach the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreHealth {
    #[default]
    Good,
    /// Calls go on; what could not be written is kept in memory and tried again.
    Failing {
        /// What the system says, for instance `database or disk is full`.
        reason: String,
        /// What mends it.
        hint: String,
    },
}

/// One row of the audit trail: who did what, to which call, why, and with what result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: DateTime<Utc>,
    /// Name of the token, or `policy` for what wallboard does by itself.
    pub by: String,
    /// Client address where there is one.
    pub from: Option<String>,
    pub verb: String,
    pub call: Option<CallId>,
    pub command: Option<CommandId>,
    pub reason: Option<String>,
    /// `accepted`, `done`, `failed: …`, `refused: …`, `unconfirmed`.
    pub result: String,
}

/// A recording wallboard keeps itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRecording {
    /// Our own id, the one of `/api/recordings/{id}`.
    pub id: String,
    pub call: CallId,
    /// A WAV or MP3 file below the data folder, named after our id.
    pub path: PathBuf,
    pub bytes: u64,
}

/// A recording the carrier has finished and nobody has fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct MissingRecording {
    pub call: CallId,
    pub carrier: String,
    pub carrier_call_id: String,
    pub recording: Recording,
}

/// Where recordings are kept as files.
pub trait RecordingVault: Send + Sync + Debug {
    /// Keeps one WAV under an id of ours and returns that id. Keeping the same carrier recording
    /// again returns the id it has.
    fn keep(
        &self,
        call: CallId,
        recording: String,
        audio: Bytes,
    ) -> BoxFuture<'static, Result<String, StoreError>>;

    /// A new place for a recording that is received piece by piece: its id and a path nothing refers
    /// to yet. The caller writes the file and removes it if it is not kept.
    fn begin(&self) -> BoxFuture<'static, Result<(String, PathBuf), StoreError>> {
        Box::pin(std::future::ready(Err(StoreError::Write(
            "recordings are not kept here".into(),
        ))))
    }

    /// Keeps what was written to the place `id` (MP3) as this recording and returns the id it is
    /// served under: another one, if the recording was kept before.
    fn keep_received(
        &self,
        _call: CallId,
        _recording: String,
        _id: String,
        _bytes: u64,
    ) -> BoxFuture<'static, Result<String, StoreError>> {
        Box::pin(std::future::ready(Err(StoreError::Write(
            "recordings are not kept here".into(),
        ))))
    }

    /// Looks a kept recording up; anything that is not an id of ours is `None`.
    fn find(&self, id: String) -> BoxFuture<'static, Result<Option<KeptRecording>, StoreError>>;

    /// Completed recordings of earlier runs that were never fetched, newest first.
    fn missing(&self) -> BoxFuture<'static, Result<Vec<MissingRecording>, StoreError>>;
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

    /// Whether the agent can be told to make no answers (see `AgentOut::Hush`). One that cannot goes
    /// on for itself while an operator speaks; nobody hears it.
    fn can_hush(&self) -> bool {
        true
    }

    /// Whether the agent speaks a given text in its conversation (see `AgentCodec::can_say`).
    fn can_say(&self) -> bool {
        false
    }
}

/// Listens in on the text of conversations an agent vendor runs by itself.
pub trait ConversationMonitor: Send + Sync + Debug {
    /// For instance `elevenlabs`.
    fn vendor(&self) -> &'static str;

    /// Connects within 10 s to a conversation that runs. Its messages are what the vendor's webhooks
    /// tell; nothing is said on it.
    fn watch(&self, conversation_id: String) -> BoxFuture<'static, Result<BoxSocket, AgentError>>;
}

/// Makes speech of text.
pub trait Speaker: Send + Sync + Debug {
    /// µ-law, 8 kHz, the whole of it.
    ///
    /// # Errors
    /// Why not, in words for the operator.
    fn speak(&self, text: String) -> BoxFuture<'static, Result<Bytes, String>>;
}

/// What a tool is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolAsk {
    pub call: CallId,
    pub tool_call_id: String,
    pub lead_id: Option<String>,
    /// A JSON object.
    pub args: serde_json::Value,
}

/// A tool that runs elsewhere.
pub trait AgentTool: Send + Sync + Debug {
    /// What the agent is told. The tool keeps its own time limit.
    ///
    /// # Errors
    /// What went wrong, in words for agent and operator alike.
    fn run(&self, ask: ToolAsk) -> BoxFuture<'static, Result<String, String>>;
}
