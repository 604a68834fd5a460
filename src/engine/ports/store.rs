//! What keeps things: the journal and its history, and the recordings.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::call::{
    Call, CallId, CommandId, Envelope, Fact, Lead, LeadKey, LeadMessage, Recording, Track,
};

use super::super::backend::{HistoryPage, HistoryQuery};

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

    /// The bytes of a kept recording; `None` when its file has gone.
    fn read(&self, _id: String) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Completed recordings of earlier runs that were never fetched, newest first.
    fn missing(&self) -> BoxFuture<'static, Result<Vec<MissingRecording>, StoreError>>;
}
