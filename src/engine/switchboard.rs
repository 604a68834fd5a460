//! The switchboard: the single task that stamps `seq`, folds the board, and fans facts out.
//!
//! Nobody else numbers an envelope or changes the board. Webhooks, bridges and commands post what
//! they saw; the switchboard decides what of it is news.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::call::{
    Applied, Board, Call, CallEvent, CallFacts, CallId, CallStatus, ENVELOPE_VERSION, Envelope,
    Epoch, Fact, StatusStep,
};

use super::ports::{Journal, StoreError};
use super::{Clock, Tasks};

/// Facts waiting to be stamped. Full: posters wait, webhooks answer 503 after their time limit.
const INBOX_MAX: usize = 4096;
/// Envelopes a live subscriber may be behind before it must resume.
const FANOUT_MAX: usize = 8192;
/// Envelopes kept for resuming subscribers; older ones get a snapshot.
const RING_MAX: usize = 16_384;
/// Carrier ids of ended calls remembered against late webhooks after the call left the board.
const TOMBSTONES_MAX: usize = 100_000;
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
    /// `None` for posts about the backend and for late news of a buried call.
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
    pub fn start(tasks: &Tasks, clock: Clock, journal: Arc<dyn Journal>) -> Self {
        let (inbox, received) = mpsc::channel(INBOX_MAX);
        let board = Arc::new(RwLock::new(Board::new()));
        let seq = Arc::new(AtomicU64::new(0));
        let epoch = clock.epoch();
        let desk = Desk {
            board: Arc::clone(&board),
            journal: Arc::clone(&journal),
            fanout: broadcast::channel(FANOUT_MAX).0,
            ring: VecDeque::new(),
            tombstones: Tombstones::default(),
            seq: Arc::clone(&seq),
            epoch,
            clock,
        };
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

/// The state only the task touches.
#[derive(Debug)]
struct Desk {
    board: Arc<RwLock<Board>>,
    journal: Arc<dyn Journal>,
    fanout: broadcast::Sender<Arc<Envelope>>,
    ring: VecDeque<Arc<Envelope>>,
    tombstones: Tombstones,
    seq: Arc<AtomicU64>,
    epoch: Epoch,
    clock: Clock,
}

impl Desk {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Inbox>,
        token: tokio_util::sync::CancellationToken,
    ) {
        let mut sweep = tokio::time::interval(Duration::from_secs(30));
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: `recv` and `tick` lose nothing when another arm wins.
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                message = inbox.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => return,
                },
                _ = sweep.tick() => self.forget_ended(),
            }
        }
    }

    async fn take(&mut self, message: Inbox) {
        // A poster or subscriber that went away in the meantime does not need its answer.
        match message {
            Inbox::Post(post) => {
                let result = self.post(post.target, post.facts).await;
                let _gone = post.done.send(result);
            }
            Inbox::Subscribe { since, done } => {
                let _gone = done.send(self.subscribe(since));
            }
            Inbox::Restore { calls, done } => {
                let mut board = self.write();
                for call in calls {
                    board.insert(call);
                }
                drop(board);
                let _gone = done.send(());
            }
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Board> {
        self.board
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Board> {
        self.board
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn post(&mut self, target: Target, facts: Vec<Fact>) -> Result<Posted, PostError> {
        let mut taken = 0;
        let mut created = false;
        let call = match target {
            Target::Backend => None,
            Target::Call(id) => {
                if self.read().get(id).is_none() {
                    return Err(PostError::NoSuchCall);
                }
                Some(id)
            }
            Target::Known {
                carrier,
                carrier_call_id,
            } => {
                let found = self.read().find(&carrier_call_id).map(|call| call.id);
                if found.is_none() && !self.is_buried(&carrier, &carrier_call_id).await {
                    return Err(PostError::NoSuchCall);
                }
                if found.is_none() {
                    return Ok(self.nothing());
                }
                found
            }
            Target::Placed {
                call,
                facts: about,
                status,
            } => {
                if self.read().get(call).is_none() {
                    self.stamp(
                        Some(call),
                        Fact::CallSeen {
                            facts: about,
                            status,
                            started_at: None,
                        },
                    );
                    created = true;
                    taken += 1;
                }
                Some(call)
            }
            Target::Carrier {
                facts: about,
                status,
                started_at,
            } => {
                let key = about.carrier_call_id.clone().unwrap_or_default();
                let found = self.read().find(&key).map(|call| call.id);
                if found.is_none() && self.is_buried(&about.carrier, &key).await {
                    return Ok(self.nothing());
                }
                let id = found.unwrap_or_else(|| self.clock.call_id());
                if found.is_none() {
                    let seen = Fact::CallSeen {
                        facts: about,
                        status,
                        started_at,
                    };
                    self.stamp(Some(id), seen);
                    created = true;
                    taken += 1;
                } else {
                    taken += self.describe(id, about);
                }
                Some(id)
            }
        };
        for fact in facts {
            taken += self.judge(call, fact);
        }
        Ok(Posted {
            call,
            created,
            seq: self.seq.load(Ordering::Acquire),
            taken,
        })
    }

    fn nothing(&self) -> Posted {
        Posted {
            call: None,
            created: false,
            seq: self.seq.load(Ordering::Acquire),
            taken: 0,
        }
    }

    /// Adds what is newly known about a call; says nothing when there is nothing new.
    fn describe(&mut self, id: CallId, about: CallFacts) -> usize {
        let news = self
            .read()
            .get(id)
            .is_some_and(|call| adds_to(&call.facts, &about));
        if news {
            self.stamp(Some(id), Fact::CallDescribed { facts: about });
        }
        usize::from(news)
    }

    /// Decides whether a fact is news, and in which form.
    fn judge(&mut self, call: Option<CallId>, fact: Fact) -> usize {
        let present = call.and_then(|id| self.read().get(id).map(|call| call.status));
        let fact = match (fact, present) {
            (Fact::StatusChanged { status, source }, Some(present)) => match present.step(status) {
                StatusStep::Repeat => return 0,
                StatusStep::Late => Fact::StatusIgnored { status, source },
                StatusStep::Forward if status.is_terminal() => Fact::CallEnded {
                    status,
                    ended_by: None,
                    cause: None,
                    duration_s: None,
                    source,
                },
                StatusStep::Forward => Fact::StatusChanged { status, source },
            },
            (
                Fact::CallEnded {
                    status,
                    source,
                    ended_by,
                    cause,
                    duration_s,
                },
                Some(present),
            ) if present.is_terminal() => {
                let known = call.and_then(|id| {
                    self.read().get(id).map(|call| {
                        (
                            call.ended_by.is_some(),
                            call.end_cause.is_some(),
                            call.duration_s.is_some(),
                        )
                    })
                });
                let (by, why, long) = known.unwrap_or_default();
                let adds = (ended_by.is_some() && !by)
                    || (cause.is_some() && !why)
                    || (duration_s.is_some() && !long);
                if adds {
                    Fact::CallEnded {
                        status: present,
                        ended_by,
                        cause,
                        duration_s,
                        source,
                    }
                } else if present == status {
                    return 0;
                } else {
                    Fact::StatusIgnored { status, source }
                }
            }
            (fact, _) => fact,
        };
        self.stamp(call, fact);
        1
    }

    fn stamp(&mut self, call: Option<CallId>, fact: Fact) {
        let seq = self.seq.load(Ordering::Relaxed) + 1;
        let envelope = Arc::new(Envelope {
            v: ENVELOPE_VERSION,
            seq,
            at: self.clock.now(),
            call,
            event: CallEvent::Known(fact),
        });
        let applied = self.write().apply(&envelope);
        debug_assert_eq!(
            applied,
            Applied::New,
            "the switchboard numbers without gaps"
        );
        self.seq.store(seq, Ordering::Release);
        if let Err(error) = self.journal.append(Arc::clone(&envelope)) {
            metrics::counter!("wallboard_journal_dropped_total").increment(1);
            tracing::warn!(%error, "a fact was not journalled");
        }
        if self.ring.len() == RING_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(Arc::clone(&envelope));
        // No subscriber is a normal state.
        let _nobody = self.fanout.send(envelope);
    }

    fn subscribe(&self, since: Option<(Epoch, u64)>) -> Subscription {
        let live = self.fanout.subscribe();
        let seq = self.seq.load(Ordering::Acquire);
        let oldest = self.ring.front().map_or(seq + 1, |envelope| envelope.seq);
        let start = match since {
            Some((epoch, since)) if epoch == self.epoch && since <= seq && since + 1 >= oldest => {
                let skip = usize::try_from((since + 1).saturating_sub(oldest)).unwrap_or(0);
                Start::Envelopes {
                    to: seq,
                    items: self.ring.iter().skip(skip).cloned().collect(),
                }
            }
            _ => Start::Snapshot {
                seq,
                calls: self
                    .read()
                    .calls()
                    .map(|call| call.trimmed(SNAPSHOT_LINES))
                    .collect(),
            },
        };
        Subscription {
            epoch: self.epoch,
            start,
            live,
        }
    }

    async fn is_buried(&mut self, carrier: &str, carrier_call_id: &str) -> bool {
        if carrier_call_id.is_empty() {
            return false;
        }
        if self.tombstones.contains(carrier_call_id) {
            return true;
        }
        self.journal
            .ended_before(carrier.to_owned(), carrier_call_id.to_owned())
            .await
    }

    fn forget_ended(&mut self) {
        let before = self.clock.now() - ENDED_SHOWN;
        let gone: Vec<String> = self
            .read()
            .calls()
            .filter(|call| !call.is_live() && call.ended_at.is_some_and(|at| at < before))
            .filter_map(|call| call.facts.carrier_call_id.clone())
            .collect();
        for key in gone {
            self.tombstones.insert(key);
        }
        self.write().forget_ended(before);
    }
}

/// Whether `new` says anything `old` does not.
fn adds_to(old: &CallFacts, new: &CallFacts) -> bool {
    let differs = |old: &str, new: &str| !new.is_empty() && old != new;
    let adds = |old: &Option<String>, new: &Option<String>| new.is_some() && old != new;
    differs(&old.from, &new.from)
        || differs(&old.to, &new.to)
        || adds(&old.name, &new.name)
        || adds(&old.lead_id, &new.lead_id)
        || adds(&old.agent, &new.agent)
        || adds(&old.agent_kind, &new.agent_kind)
        || adds(&old.carrier_call_id, &new.carrier_call_id)
}

/// Carrier ids of calls that ended, oldest dropped first.
#[derive(Debug, Default)]
struct Tombstones {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Tombstones {
    fn contains(&self, key: &str) -> bool {
        self.known.contains(key)
    }

    fn insert(&mut self, key: String) {
        if self.known.insert(key.clone()) {
            self.order.push_back(key);
        }
        if self.order.len() > TOMBSTONES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}
