//! `SqliteJournal`: the handle everybody else holds. Appending never blocks; reading happens on
//! connections of its own, on the blocking pool.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tokio::sync::{oneshot, watch};

use crate::call::{Call, CallEvent, CallId, Envelope, Fact, Lead, LeadKey, LeadMessage, Severity};
use crate::engine::{
    AuditEntry, Clock, Found, HistoryPage, HistoryQuery, Journal, LeadPage, LeadQuery, PurgedLead,
    SearchQuery, StoreError, StoreHealth, Tasks, WebhookMark,
};

use super::open::{FILE, Opened, plan_once};
use super::project::Row;
use super::retention::{Purged, Retention};
use super::writer::{Flushed, Message, State, Writer, count_shed};
use super::{history, log, marks, search};

/// Messages waiting for the writing thread. From three quarters on, figures and text that is still
/// being rewritten are shed; the rest is only ever refused when it is full to the brim.
const QUEUE_MAX: usize = 32_768;
/// Reading connections kept open.
const READERS_MAX: usize = 4;
/// How long a question on the path of a webhook may take.
const LOOK_WITHIN: Duration = Duration::from_millis(500);

/// Handle to the journal. Cheap to clone; the thread ends, with everything written, when the last
/// one is dropped or [`SqliteJournal::close`] is called.
#[derive(Clone, Debug)]
pub struct SqliteJournal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    inbox: SyncSender<Message>,
    depth: Arc<AtomicUsize>,
    health: watch::Receiver<StoreHealth>,
    readers: Mutex<Vec<Connection>>,
    tasks: Tasks,
    clock: Clock,
    opened: Opened,
}

impl SqliteJournal {
    pub(super) fn start(
        dir: &Path,
        connection: Connection,
        lock: File,
        opened: Opened,
        tasks: &Tasks,
        clock: Clock,
    ) -> rusqlite::Result<Self> {
        connection.execute(
            "INSERT INTO runs (started_at) VALUES (?1)",
            [clock.now().timestamp_millis()],
        )?;
        let (inbox, received) = sync_channel(QUEUE_MAX);
        let depth = Arc::new(AtomicUsize::new(0));
        let (health, healthy) = watch::channel(StoreHealth::Good);
        let writer = Writer {
            run: connection.last_insert_rowid(),
            connection,
            inbox: received,
            depth: Arc::clone(&depth),
            health,
            folder: dir.to_owned(),
            lock,
            state: State::default(),
        };
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run())
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                inbox,
                depth,
                health: healthy,
                readers: Mutex::new(Vec::new()),
                tasks: tasks.clone(),
                clock,
                opened,
            }),
        })
    }

    /// What happened while the data folder was opened.
    pub fn opened(&self) -> &Opened {
        &self.inner.opened
    }

    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    pub(super) fn clock(&self) -> Clock {
        self.inner.clock
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// Writes everything and ends the writing thread. Nothing is journalled afterwards.
    ///
    /// # Errors
    /// What could not be written, for instance on a full disk.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.asked(Message::Close).await
    }

    /// Removes what is older than `retention` allows.
    ///
    /// # Errors
    /// The journal cannot write at present.
    pub async fn purge(&self, retention: Retention) -> Result<Purged, StoreError> {
        self.purge_at(retention, self.inner.clock.now()).await
    }

    pub(super) async fn purge_at(
        &self,
        retention: Retention,
        now: DateTime<Utc>,
    ) -> Result<Purged, StoreError> {
        let (done, answer) = oneshot::channel();
        let now_ms = now.timestamp_millis();
        self.send(Message::Purge {
            retention,
            now_ms,
            done,
        })?;
        answer.await.map_err(|_| stopped())?
    }

    /// Lets the file grow by so many pages only, as a full disk would.
    #[cfg(test)]
    pub(super) async fn limit_pages(&self, more: Option<u32>) {
        let (done, answer) = oneshot::channel();
        self.send(Message::LimitPages { more, done })
            .expect("a running thread");
        answer.await.expect("a running thread");
    }

    /// The audit trail, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn audit_trail(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |connection| history::audit_trail(connection, limit))
            .await
    }

    /// Queues one message; never blocks.
    pub(super) fn send(&self, message: Message) -> Result<(), StoreError> {
        // Counted first: the thread may take it before this line ends.
        self.inner.depth.fetch_add(1, Ordering::Relaxed);
        self.inner.inbox.try_send(message).map_err(|error| {
            self.inner.depth.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => StoreError::Full,
                TrySendError::Disconnected(_) => stopped(),
            }
        })
    }

    /// Sends what is answered once everything before it is on disk.
    pub(super) async fn asked(
        &self,
        message: impl FnOnce(Flushed) -> Message,
    ) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(message(done))?;
        answer.await.map_err(|_| stopped())?
    }

    /// Runs a look at the file on the blocking pool.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let looked = self.inner.tasks.spawn_blocking(move || {
            let reader = inner.reader()?;
            let found = look(&reader)?;
            inner.put_back(reader);
            Ok::<_, rusqlite::Error>(found)
        });
        match looked.await {
            Ok(found) => found.map_err(|error| StoreError::Read(error.to_string())),
            Err(_) => Err(stopped()),
        }
    }

    /// Whether a call of this id was removed with its lead.
    async fn is_buried(&self, key: String) -> bool {
        let look = self.read(move |connection| {
            connection
                .prepare_cached("SELECT 1 FROM graves WHERE key = ?1")?
                .exists([key])
        });
        matches!(tokio::time::timeout(LOOK_WITHIN, look).await, Ok(Ok(true)))
    }

    async fn find_ended(&self, carrier: String, carrier_call_id: String) -> Option<CallId> {
        self.find_call(
            "SELECT id FROM calls
             WHERE carrier_call_id = ?1 AND carrier = ?2 AND live = 0
             ORDER BY id DESC LIMIT 1",
            [carrier_call_id, carrier],
        )
        .await
    }

    /// The call a query names; `None` also when the answer takes too long, said in the log.
    async fn find_call<const N: usize>(
        &self,
        query: &'static str,
        keys: [String; N],
    ) -> Option<CallId> {
        let look = self.read(move |connection| {
            connection
                .prepare_cached(query)?
                .query_row(rusqlite::params_from_iter(keys), |row| {
                    row.get::<_, String>(0)
                })
                .optional()
        });
        match tokio::time::timeout(LOOK_WITHIN, look).await {
            Ok(Ok(found)) => found.and_then(|id| id.parse().ok()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not ask the journal about a call");
                None
            }
            Err(_) => {
                tracing::warn!("the journal was too slow to say what it knows of a call");
                None
            }
        }
    }
}

impl Inner {
    fn reader(&self) -> rusqlite::Result<Connection> {
        let kept = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(reader) = kept {
            return Ok(reader);
        }
        let reader = Connection::open_with_flags(
            self.dir.join(FILE),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        reader.busy_timeout(Duration::from_secs(5))?;
        plan_once(&reader)?;
        Ok(reader)
    }

    fn put_back(&self, reader: Connection) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_MAX {
            readers.push(reader);
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Write("the journal has stopped".into())
}

/// Whether a fact may be left out when the queue is nearly full: figures, and text that will be
/// rewritten anyway.
fn is_expendable(envelope: &Envelope) -> bool {
    matches!(
        envelope.event,
        CallEvent::Known(
            Fact::UtteranceInterim { .. } | Fact::QualityChanged { .. } | Fact::TurnTimed { .. }
        )
    )
}

impl Journal for SqliteJournal {
    fn append(&self, envelope: Arc<Envelope>) -> Result<(), StoreError> {
        let depth = self.inner.depth.load(Ordering::Relaxed);
        if depth > QUEUE_MAX / 4 * 3 && is_expendable(&envelope) {
            count_shed(1);
            return Ok(());
        }
        self.send(Message::Fact(envelope))
    }

    fn flush(&self) -> BoxFuture<'static, Result<(), StoreError>> {
        let journal = self.clone();
        Box::pin(async move { journal.asked(Message::Flush).await })
    }

    fn history(&self, query: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, StoreError>> {
        let journal = self.clone();
        Box::pin(async move {
            journal
                .read(move |connection| history::page(connection, &query))
                .await
        })
    }

    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<Call>, StoreError>> {
        let journal = self.clone();
        Box::pin(async move { journal.read(history::unfinished).await })
    }

    fn ended_before(&self, carrier: String, carrier_call_id: String) -> BoxFuture<'static, bool> {
        let journal = self.clone();
        Box::pin(async move {
            let buried = journal.is_buried(carrier_call_id.clone());
            journal.find_ended(carrier, carrier_call_id).await.is_some() || buried.await
        })
    }

    fn ended_call(
        &self,
        carrier: String,
        carrier_call_id: String,
    ) -> BoxFuture<'static, Option<CallId>> {
        let journal = self.clone();
        Box::pin(async move { journal.find_ended(carrier, carrier_call_id).await })
    }

    fn conversation_call(&self, conversation_id: String) -> BoxFuture<'static, Option<CallId>> {
        let journal = self.clone();
        Box::pin(async move {
            journal
                .find_call(
                    "SELECT id FROM calls WHERE conversation_id = ?1 ORDER BY id DESC LIMIT 1",
                    [conversation_id],
                )
                .await
        })
    }

    fn lead(&self, key: LeadKey) -> BoxFuture<'static, Result<Option<Lead>, StoreError>> {
        let journal = self.clone();
        Box::pin(async move {
            journal
                .read(move |connection| log::lead(connection, &key))
                .await
        })
    }

    fn messages(
        &self,
        lead: String,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(DateTime<Utc>, LeadMessage)>, StoreError>> {
        let journal = self.clone();
        Box::pin(async move {
            journal
                .read(move |connection| history::messages(connection, &lead, limit))
                .await
        })
    }

    fn leads(&self, query: LeadQuery) -> BoxFuture<'static, Result<LeadPage, StoreError>> {
        let journal = self.clone();
        Box::pin(async move {
            journal
                .read(move |connection| log::leads(connection, &query))
                .await
        })
    }

    fn keep_leads(&self, leads: Vec<Lead>) -> BoxFuture<'static, Result<(), StoreError>> {
        let journal = self.clone();
        Box::pin(async move {
            for lead in leads {
                journal.send(Message::Row(Box::new(Row::Lead(Box::new(lead)))))?;
            }
            journal.asked(Message::Flush).await
        })
    }

    fn search(&self, query: SearchQuery) -> BoxFuture<'static, Result<Vec<Found>, StoreError>> {
        let journal = self.clone();
        Box::pin(async move {
            journal
                .read(move |connection| search::search(connection, &query))
                .await
        })
    }

    fn purge_lead(&self, lead: String) -> BoxFuture<'static, Result<PurgedLead, StoreError>> {
        let journal = self.clone();
        let now_ms = self.inner.clock.now().timestamp_millis();
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            journal.send(Message::PurgeLead { lead, now_ms, done })?;
            answer.await.map_err(|_| stopped())?
        })
    }

    fn marks(&self) -> BoxFuture<'static, Result<Vec<WebhookMark>, StoreError>> {
        let journal = self.clone();
        Box::pin(async move { journal.read(marks::read).await })
    }

    fn mark(&self, mark: WebhookMark) -> Result<(), StoreError> {
        let at = self.inner.clock.now().timestamp_millis();
        self.send(Message::Row(Box::new(Row::Mark { mark, at })))
    }

    fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.send(Message::Row(Box::new(Row::Audit(entry))))
    }

    fn health(&self) -> Option<watch::Receiver<StoreHealth>> {
        Some(self.inner.health.clone())
    }

    fn opening_notices(&self) -> Vec<Fact> {
        let opened = &self.inner.opened;
        let set_aside = opened.set_aside.as_ref().map(|path| Fact::Notice {
            severity: Severity::Critical,
            code: "store_set_aside".into(),
            text: format!(
                "the journal was damaged; it is kept as {} and history starts empty",
                path.display()
            ),
        });
        let migrated = opened.migrated_from.map(|version| Fact::Notice {
            severity: Severity::Info,
            code: "store_migrated".into(),
            text: format!("the journal was brought up to date from format {version}"),
        });
        set_aside.into_iter().chain(migrated).collect()
    }
}
