//! The writing thread: gathers for at most 50 ms, commits in one transaction, and keeps going when
//! the disk does not. What cannot be written waits in memory and is tried again; calls are kept
//! folded, so that a long outage costs timeline rows at worst and never the state of a call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::call::Envelope;
use crate::engine::{Backoff, PurgedLead, StoreError, StoreHealth, random};

use super::pending::commit;
use super::project::{Projection, Row};
use super::purge;
use super::retention::{self, Purged, Retention};

/// Longest wait between a fact and its commit.
const GATHER: Duration = Duration::from_millis(50);
/// Facts in one transaction at most.
const BATCH_MAX: usize = 1024;
/// Rows kept while the disk is away; then timeline, turn and quality rows go, oldest first.
const ROWS_MAX: usize = 100_000;
/// Facts kept that could not even be folded, because their call could not be read back.
const BACKLOG_MAX: usize = 50_000;
/// How long the disk is left alone after a failure.
const RETRY: Backoff = Backoff {
    base: Duration::from_millis(250),
    cap: Duration::from_secs(5),
    tries: u32::MAX,
};

pub(super) type Flushed = oneshot::Sender<Result<(), StoreError>>;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    Fact(Arc<Envelope>),
    Row(Box<Row>),
    Flush(Flushed),
    Purge {
        retention: Retention,
        now_ms: i64,
        done: oneshot::Sender<Result<Purged, StoreError>>,
    },
    PurgeLead {
        lead: String,
        now_ms: i64,
        done: oneshot::Sender<Result<PurgedLead, StoreError>>,
    },
    #[cfg(test)]
    LimitPages {
        more: Option<u32>,
        done: oneshot::Sender<()>,
    },
    /// Write everything and end.
    Close(Flushed),
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) run: i64,
    pub(super) inbox: Receiver<Message>,
    /// Messages sent and not yet taken.
    pub(super) depth: Arc<AtomicUsize>,
    pub(super) health: watch::Sender<StoreHealth>,
    pub(super) folder: std::path::PathBuf,
    /// Keeps other backends out until the last row is written.
    pub(super) lock: std::fs::File,
    pub(super) state: State,
}

/// What is not on disk yet.
#[derive(Debug, Default)]
pub(super) struct State {
    projection: Projection,
    backlog: VecDeque<Arc<Envelope>>,
    rows: Vec<Row>,
    flushes: Vec<Flushed>,
    /// Failed commits in a row.
    failed: u32,
    not_before: Option<Instant>,
}

impl Writer {
    /// Runs until the journal is closed or dropped; what was sent before is written first.
    pub(super) fn run(mut self) {
        loop {
            match self.gather() {
                Then::Commit => self.settle(),
                Then::Purge {
                    retention,
                    now_ms,
                    done,
                } => {
                    self.settle();
                    // Nobody may be waiting for the outcome.
                    let _gone = done.send(self.purge(&retention, now_ms));
                }
                Then::PurgeLead { lead, now_ms, done } => {
                    self.settle();
                    let _gone = done.send(self.purge_lead(&lead, now_ms));
                }
                Then::End(done) => {
                    self.state.not_before = None;
                    self.settle();
                    if let Some(done) = done {
                        let result = if self.state.is_clean() {
                            Ok(())
                        } else {
                            Err(StoreError::Write("not everything was written".into()))
                        };
                        drop(self.connection);
                        drop(self.lock);
                        let _gone = done.send(result);
                    }
                    return;
                }
            }
        }
    }

    /// Takes messages until it is time to commit: 50 ms after the first one, at once when somebody
    /// waits for it, or when there is enough for a transaction.
    fn gather(&mut self) -> Then {
        let mut taken = 0;
        let mut until: Option<Instant> = self.state.not_before;
        loop {
            let wait = until.map(|until| until.saturating_duration_since(Instant::now()));
            let message = match wait {
                Some(wait) => self.inbox.recv_timeout(wait),
                None => self
                    .inbox
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
            };
            let message = match message {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => return Then::Commit,
                Err(RecvTimeoutError::Disconnected) => return Then::End(None),
            };
            taken += 1;
            if let Some(then) = self.take(message) {
                return then;
            }
            if !self.state.flushes.is_empty() {
                return self.drain(taken);
            }
            if taken >= BATCH_MAX {
                return Then::Commit;
            }
            if until.is_none() {
                until = Some(Instant::now() + GATHER);
            }
        }
    }

    /// Takes what is there already, so that one commit answers everybody who waits.
    fn drain(&mut self, mut taken: usize) -> Then {
        while taken < BATCH_MAX {
            match self.inbox.try_recv() {
                Ok(message) => {
                    taken += 1;
                    if let Some(then) = self.take(message) {
                        return then;
                    }
                }
                // Seen again at the next wait.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        Then::Commit
    }

    fn take(&mut self, message: Message) -> Option<Then> {
        self.depth.fetch_sub(1, Ordering::Relaxed);
        match message {
            Message::Fact(envelope) => self.state.backlog.push_back(envelope),
            Message::Row(row) => self.state.rows.push(*row),
            Message::Flush(done) => self.state.flushes.push(done),
            Message::Purge {
                retention,
                now_ms,
                done,
            } => {
                return Some(Then::Purge {
                    retention,
                    now_ms,
                    done,
                });
            }
            Message::PurgeLead { lead, now_ms, done } => {
                return Some(Then::PurgeLead { lead, now_ms, done });
            }
            #[cfg(test)]
            Message::LimitPages { more, done } => {
                let pages: u32 = self
                    .connection
                    .pragma_query_value(None, "page_count", |row| row.get(0))
                    .expect("readable");
                let most = more.map_or(u32::MAX, |more| pages + more);
                self.connection
                    .pragma_update(None, "max_page_count", most)
                    .expect("settable");
                done.send(()).expect("somebody waits");
            }
            Message::Close(done) => return Some(Then::End(Some(done))),
        }
        None
    }

    /// Folds and commits, and tells everybody who waits how it went.
    fn settle(&mut self) {
        let resting = self
            .state
            .not_before
            .is_some_and(|until| Instant::now() < until);
        let result = if resting {
            // Fold meanwhile, so that the queue stays short.
            self.fold().map_err(Some).and(Err(None))
        } else {
            self.fold()
                .and_then(|()| {
                    let state = &self.state;
                    commit(&self.connection, self.run, &state.projection, &state.rows)
                })
                .map_err(Some)
        };
        match result {
            Ok(()) => self.wrote(),
            Err(None) => self.answer(|| Err(self_failing())),
            Err(Some(error)) => self.failed(&error),
        }
        self.shed();
    }

    fn fold(&mut self) -> Result<(), rusqlite::Error> {
        let state = &mut self.state;
        while let Some(envelope) = state.backlog.front() {
            state
                .projection
                .take(&self.connection, envelope, &mut state.rows)?;
            state.backlog.pop_front();
        }
        Ok(())
    }

    fn wrote(&mut self) {
        self.state.projection.written();
        metrics::counter!("wallboard_journal_rows_total").increment(self.state.rows.len() as u64);
        self.state.rows.clear();
        self.state.not_before = None;
        if self.state.failed > 0 {
            self.state.failed = 0;
            tracing::info!("the journal writes again; nothing acknowledged was lost");
            self.health.send_replace(StoreHealth::Good);
        }
        self.answer(|| Ok(()));
    }

    fn failed(&mut self, error: &rusqlite::Error) {
        self.state.failed = self.state.failed.saturating_add(1);
        let rest = RETRY.after(self.state.failed, u64::from_ne_bytes(random()));
        // Not at once: a disk that is full does not get emptier by asking.
        let rest = rest.unwrap_or(RETRY.cap).max(RETRY.base);
        self.state.not_before = Some(Instant::now() + rest);
        let health = StoreHealth::Failing {
            reason: error.to_string(),
            hint: hint(error, &self.folder),
        };
        metrics::counter!("wallboard_journal_failed_commits_total").increment(1);
        if *self.health.borrow() != health {
            tracing::error!(%error, "the journal cannot write; calls go on");
            self.health.send_replace(health);
        }
        let reason = error.to_string();
        self.answer(|| Err(StoreError::Write(reason.clone())));
    }

    fn answer(&mut self, result: impl Fn() -> Result<(), StoreError>) {
        for done in self.state.flushes.drain(..) {
            // Who stopped waiting needs no answer.
            let _gone = done.send(result());
        }
    }

    /// Keeps memory bounded while nothing can be written.
    fn shed(&mut self) {
        let over = self.state.rows.len().saturating_sub(ROWS_MAX);
        if over > 0 {
            let mut left = over;
            self.state.rows.retain(|row| {
                let goes = left > 0 && row.is_expendable();
                left -= usize::from(goes);
                !goes
            });
            count_shed(over - left);
        }
        let over = self.state.backlog.len().saturating_sub(BACKLOG_MAX);
        if over > 0 {
            self.state.backlog.drain(..over);
            count_shed(over);
        }
    }

    fn purge(&mut self, retention: &Retention, now_ms: i64) -> Result<Purged, StoreError> {
        if !self.state.is_clean() {
            return Err(self_failing());
        }
        let gone = retention::purge(&self.connection, &self.folder, retention, now_ms)
            .map_err(|error| StoreError::Write(error.to_string()))?;
        self.state
            .projection
            .forget(|call| gone.calls.contains(&call.to_string()));
        let purged = gone.count();
        if purged.calls + purged.transcripts > 0 {
            self.scrub()?;
        }
        Ok(purged)
    }
}

impl Writer {
    fn purge_lead(&mut self, lead: &str, now_ms: i64) -> Result<PurgedLead, StoreError> {
        if !self.state.is_clean() {
            return Err(self_failing());
        }
        let (purged, gone) = purge::lead(&self.connection, &self.folder, lead, now_ms)
            .map_err(|error| StoreError::Write(error.to_string()))?;
        self.state
            .projection
            .forget(|call| gone.calls.contains(&call.to_string()));
        self.scrub()?;
        Ok(purged)
    }

    /// What was deleted leaves no trace in the files.
    fn scrub(&self) -> Result<(), StoreError> {
        purge::scrub(&self.connection, &self.folder)
            .map_err(|error| StoreError::Write(error.to_string()))
    }
}

impl State {
    fn is_clean(&self) -> bool {
        self.backlog.is_empty() && self.rows.is_empty() && self.projection.behind().next().is_none()
    }
}

/// What to do after gathering.
#[derive(Debug)]
enum Then {
    Commit,
    Purge {
        retention: Retention,
        now_ms: i64,
        done: oneshot::Sender<Result<Purged, StoreError>>,
    },
    PurgeLead {
        lead: String,
        now_ms: i64,
        done: oneshot::Sender<Result<PurgedLead, StoreError>>,
    },
    End(Option<Flushed>),
}

pub(super) fn count_shed(rows: usize) {
    metrics::counter!("wallboard_journal_shed_total").increment(rows as u64);
}

fn self_failing() -> StoreError {
    StoreError::Write("the journal is waiting for the disk".into())
}

/// What mends a failure to write.
fn hint(error: &rusqlite::Error, folder: &std::path::Path) -> String {
    let folder = folder.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("free some space on the disk of {folder}"),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            format!("make {folder} writable for this user")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another program holds the database in {folder}; close it")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("the database in {folder} is damaged; stop, move it away, start again")
        }
        _ => format!("check the disk of {folder}"),
    }
}
