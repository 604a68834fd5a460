//! The switchboard: the single task that stamps `seq`, folds the board, and fans facts out.
//!
//! Nobody else numbers an envelope or changes the board. Webhooks, bridges and commands post what
//! they saw; the switchboard decides what of it is news (`desk`).

mod desk;
mod timeline;
mod tombstones;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::call::{Board, Call, CallFacts, CallId, CallStatus, Envelope, Epoch, Fact};

use super::ports::{Journal, StoreError};
use super::{Clock, Plans, Tasks};

use desk::Desk;

/// Facts waiting to be stamped. Full: posters wait, webhooks answer 503 after their time limit.
const INBOX_MAX: usize = 4096;
/// Transcript lines of a call in a snapshot; older ones are read from the board or from history.
pub const SNAPSHOT_LINES: usize = 100;
/// Ended calls stay on the board this long.
pub const ENDED_SHOWN: Duration = Duration::from_secs(600);

/// Which call a post is about.
#[derive(Clone, Debug)]
pub enum Target {
    Call(CallId),
    /// A carrier's call; created with these facts if nobody has seen it and it is not buried.
    Carrier {
        facts: CallFacts,
        status: CallStatus,
        started_at: Option<DateTime<Utc>>,
    },
    /// As `Carrier`, for a call whose id we minted when we placed it.
    Placed {
        call: CallId,
        facts: CallFacts,
        status: CallStatus,
    },
    /// A carrier's call, only if it is known.
    Known {
        carrier: String,
        carrier_call_id: String,
    },
    /// A call of ours that may have left the board: its history takes everything that is said.
    Past(CallId),
    Backend,
}

/// Why a post could not be taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PostError {
    #[error("the switchboard's inbox is full")]
    Full,
    #[error("no such call")]
    NoSuchCall,
    #[error("the switchboard has stopped")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// `None` for posts about the backend and for late news of a call nobody can name any more.
    pub call: Option<CallId>,
    /// The call was not known before.
    pub created: bool,
    /// `seq` after the last fact taken.
    pub seq: u64,
    /// How many facts were news.
    pub taken: usize,
}

#[derive(Debug)]
struct Post {
    target: Target,
    facts: Vec<Fact>,
    done: oneshot::Sender<Result<Posted, PostError>>,
}

#[derive(Debug)]
enum Inbox {
    Post(Post),
    Subscribe {
        since: Option<(Epoch, u64)>,
        done: oneshot::Sender<Subscription>,
    },
    Restore {
        calls: Vec<Call>,
        done: oneshot::Sender<()>,
    },
    Forget {
        lead: String,
        done: oneshot::Sender<()>,
    },
}

/// A place in the stream of facts: what was missed, then what happens.
#[derive(Debug)]
pub struct Subscription {
    pub epoch: Epoch,
    pub start: Start,
    pub live: broadcast::Receiver<Arc<Envelope>>,
}

/// How a subscription begins.
#[derive(Debug)]
pub enum Start {
    /// The whole board at `seq`.
    Snapshot { seq: u64, calls: Vec<Call> },
    /// Everything after the subscriber's `since`, up to and with `to`.
    Envelopes { to: u64, items: Vec<Arc<Envelope>> },
}

/// Handle to the switchboard. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Switchboard {
    inbox: mpsc::Sender<Inbox>,
    board: Arc<RwLock<Board>>,
    journal: Arc<dyn Journal>,
    epoch: Epoch,
    seq: Arc<AtomicU64>,
    clock: Clock,
}

impl Switchboard {
    /// Starts the task. It ends when `tasks` is cancelled.
    /// `plans` say how much of each call is kept.
    pub fn start(
        tasks: &Tasks,
        clock: Clock,
        journal: Arc<dyn Journal>,
        plans: Arc<Plans>,
    ) -> Self {
        let (inbox, received) = mpsc::channel(INBOX_MAX);
        let board = Arc::new(RwLock::new(Board::new()));
        let seq = Arc::new(AtomicU64::new(0));
        let epoch = clock.epoch();
        let desk = Desk::new(
            Arc::clone(&board),
            Arc::clone(&journal),
            plans,
            Arc::clone(&seq),
            epoch,
            clock,
        );
        tasks.spawn("switchboard", desk.run(received, tasks.token().clone()));
        Self {
            inbox,
            board,
            journal,
            epoch,
            seq,
            clock,
        }
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub fn clock(&self) -> Clock {
        self.clock
    }

    pub fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    /// Reads the board. Keep it short: the switchboard waits while you look.
    pub fn read<T>(&self, look: impl FnOnce(&Board) -> T) -> T {
        look(
            &self
                .board
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    /// Posts facts and waits until they are stamped and visible, not until they are on disk.
    pub async fn post(&self, target: Target, facts: Vec<Fact>) -> Result<Posted, PostError> {
        let (done, answer) = oneshot::channel();
        self.inbox
            .send(Inbox::Post(Post {
                target,
                facts,
                done,
            }))
            .await
            .map_err(|_| PostError::Stopped)?;
        answer.await.map_err(|_| PostError::Stopped)?
    }

    /// As [`Switchboard::post`], and returns only when the facts are on disk: what a carrier's
    /// webhook is answered after.
    pub async fn post_stored(&self, target: Target, facts: Vec<Fact>) -> Result<Posted, PostError> {
        let posted = self.post(target, facts).await?;
        self.journal.flush().await?;
        Ok(posted)
    }

    /// Posts without waiting: for the bridge, which must never wait for anybody.
    ///
    /// # Errors
    /// [`PostError::Full`]; the caller counts it and says so in its summary.
    pub fn try_post(&self, call: CallId, facts: Vec<Fact>) -> Result<(), PostError> {
        let (done, _) = oneshot::channel();
        self.inbox
            .try_send(Inbox::Post(Post {
                target: Target::Call(call),
                facts,
                done,
            }))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => PostError::Full,
                mpsc::error::TrySendError::Closed(_) => PostError::Stopped,
            })
    }

    /// As [`Switchboard::try_post`], but hands the facts back when they could not be taken.
    ///
    /// # Errors
    /// The facts, and why: [`PostError::Full`] now, or [`PostError::Stopped`] for good.
    pub fn offer(&self, call: CallId, facts: Vec<Fact>) -> Result<(), (Vec<Fact>, PostError)> {
        match self.inbox.try_reserve() {
            Ok(place) => {
                let (done, _) = oneshot::channel();
                place.send(Inbox::Post(Post {
                    target: Target::Call(call),
                    facts,
                    done,
                }));
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) => Err((facts, PostError::Full)),
            Err(mpsc::error::TrySendError::Closed(())) => Err((facts, PostError::Stopped)),
        }
    }

    /// Joins the stream: from `since` if this epoch's ring still has it, else with a snapshot.
    pub async fn subscribe(&self, since: Option<(Epoch, u64)>) -> Result<Subscription, PostError> {
        let (done, answer) = oneshot::channel();
        self.inbox
            .send(Inbox::Subscribe { since, done })
            .await
            .map_err(|_| PostError::Stopped)?;
        answer.await.map_err(|_| PostError::Stopped)
    }

    /// Waits until `look` finds what it wants in a call. `None` once the call has left the board or
    /// the switchboard has stopped. Cancel-safe; give it a time limit.
    pub async fn until<T>(
        &self,
        call: CallId,
        mut look: impl FnMut(&Call) -> Option<T>,
    ) -> Option<T> {
        let since = Some((self.epoch, self.seq()));
        let mut live = self.subscribe(since).await.ok()?.live;
        loop {
            let (found, known) = self.read(|board| {
                let call = board.get(call);
                (call.and_then(&mut look), call.is_some())
            });
            if found.is_some() || !known {
                return found;
            }
            loop {
                match live.recv().await {
                    Ok(envelope) if envelope.call == Some(call) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return None,
                }
            }
        }
    }

    /// Takes a lead's ended calls off the board at once, because they were removed for good.
    pub async fn forget_lead(&self, lead: String) -> Result<(), PostError> {
        let (done, answer) = oneshot::channel();
        self.inbox
            .send(Inbox::Forget { lead, done })
            .await
            .map_err(|_| PostError::Stopped)?;
        answer.await.map_err(|_| PostError::Stopped)
    }

    /// Puts calls of an earlier run back on the board, before anything else happens.
    pub async fn restore(&self, calls: Vec<Call>) -> Result<(), PostError> {
        let (done, answer) = oneshot::channel();
        self.inbox
            .send(Inbox::Restore { calls, done })
            .await
            .map_err(|_| PostError::Stopped)?;
        answer.await.map_err(|_| PostError::Stopped)
    }
}
