//! The switchboard's task: the state only it touches, and its judgement of what is news.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::call::{
    Applied, Board, CallEvent, CallFacts, CallId, CallStatus, Direction, ENVELOPE_VERSION,
    Envelope, Epoch, Fact, StatusStep,
};
use crate::engine::ports::Journal;
use crate::engine::{Clock, Plans};

use super::timeline::Timeline;
use super::tombstones::{Grave, Tombstones};
use super::{ENDED_SHOWN, Inbox, PostError, Posted, SNAPSHOT_LINES, Start, Subscription, Target};

/// Envelopes a live subscriber may be behind before it must resume.
const FANOUT_MAX: usize = 8192;
/// Envelopes kept for resuming subscribers; older ones get a snapshot.
const RING_MAX: usize = 16_384;

#[derive(Debug)]
pub(super) struct Desk {
    board: Arc<RwLock<Board>>,
    journal: Arc<dyn Journal>,
    plans: Arc<Plans>,
    fanout: broadcast::Sender<Arc<Envelope>>,
    ring: VecDeque<Arc<Envelope>>,
    tombstones: Tombstones,
    timeline: Timeline,
    seq: Arc<AtomicU64>,
    epoch: Epoch,
    clock: Clock,
}

impl Desk {
    pub(super) fn new(
        board: Arc<RwLock<Board>>,
        journal: Arc<dyn Journal>,
        plans: Arc<Plans>,
        seq: Arc<AtomicU64>,
        epoch: Epoch,
        clock: Clock,
    ) -> Self {
        Self {
            board,
            journal,
            plans,
            fanout: broadcast::channel(FANOUT_MAX).0,
            ring: VecDeque::new(),
            tombstones: Tombstones::default(),
            timeline: Timeline::new(clock.now(), clock.elapsed()),
            seq,
            epoch,
            clock,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Inbox>, token: CancellationToken) {
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
            Inbox::Forget { lead, done } => {
                self.write()
                    .forget_where(|call| call.facts.lead_id.as_deref() == Some(lead.as_str()));
                let _gone = done.send(());
            }
            Inbox::Restore { calls, done } => {
                let mut board = self.write();
                for mut call in calls {
                    // Numbers of another epoch mean nothing in this one.
                    call.seq = 0;
                    board.insert(call);
                }
                drop(board);
                let _gone = done.send(());
            }
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Board> {
        self.board.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Board> {
        self.board.read().unwrap_or_else(PoisonError::into_inner)
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
            Target::Past(id) => {
                if self.read().get(id).is_none() {
                    let taken = facts.len();
                    for fact in facts {
                        self.stamp(Some(id), fact);
                    }
                    return Ok(self.posted(Some(id), false, taken));
                }
                Some(id)
            }
            Target::Known {
                carrier,
                carrier_call_id,
            } => match self.find(&carrier_call_id) {
                Some(id) => Some(id),
                None => match self.grave(&carrier, &carrier_call_id).await {
                    Grave::None => return Err(PostError::NoSuchCall),
                    Grave::Ended(call) => return Ok(self.late(call, facts)),
                },
            },
            Target::Placed {
                call,
                facts: about,
                status,
            } => {
                if self.read().get(call).is_none() {
                    self.open(call, about, status, None);
                    created = true;
                    taken += 1;
                } else {
                    taken += self.describe(call, about);
                }
                Some(call)
            }
            Target::Carrier {
                facts: about,
                status,
                started_at,
            } => {
                let key = about.carrier_call_id.clone().unwrap_or_default();
                let found = self.find(&key).or_else(|| self.placed(&about));
                if let Some(id) = found {
                    taken += self.describe(id, about);
                    Some(id)
                } else {
                    if let Grave::Ended(call) = self.grave(&about.carrier, &key).await {
                        return Ok(self.late(call, facts));
                    }
                    let id = self.clock.call_id();
                    self.open(id, about, status, started_at);
                    created = true;
                    taken += 1;
                    Some(id)
                }
            }
        };
        for fact in facts {
            taken += self.judge(call, fact);
        }
        Ok(self.posted(call, created, taken))
    }

    fn posted(&self, call: Option<CallId>, created: bool, taken: usize) -> Posted {
        Posted {
            call,
            created,
            seq: self.seq.load(Ordering::Acquire),
            taken,
        }
    }

    fn find(&self, carrier_call_id: &str) -> Option<CallId> {
        if carrier_call_id.is_empty() {
            return None;
        }
        self.read().find(carrier_call_id).map(|call| call.id)
    }

    /// The call we are placing at this moment, whose carrier id this webhook tells before the
    /// carrier's REST answer does. Only if there can be no doubt which one it is.
    fn placed(&self, about: &CallFacts) -> Option<CallId> {
        if about.direction != Direction::Outbound || about.carrier_call_id.is_none() {
            return None;
        }
        let board = self.read();
        let mut waiting = board.live().filter(|call| {
            call.facts.carrier_call_id.is_none()
                && call.facts.carrier == about.carrier
                && call.facts.direction == Direction::Outbound
                && same_number(&call.facts.to, &about.to)
        });
        let only = waiting.next()?;
        waiting.next().is_none().then_some(only.id)
    }

    fn open(
        &mut self,
        call: CallId,
        facts: CallFacts,
        status: CallStatus,
        started_at: Option<DateTime<Utc>>,
    ) {
        let seen = Fact::CallSeen {
            facts,
            status,
            started_at,
        };
        self.stamp(Some(call), seen);
    }

    /// Adds what is newly known about a call; says nothing when there is nothing new.
    fn describe(&mut self, id: CallId, mut about: CallFacts) -> usize {
        let news = self.read().get(id).is_some_and(|call| {
            // The same number without its plus is no news.
            let known = [&call.facts.from, &call.facts.to];
            for (known, new) in known.into_iter().zip([&mut about.from, &mut about.to]) {
                if same_number(known, new) {
                    new.clear();
                }
            }
            adds_to(&call.facts, &about)
        });
        if news {
            self.stamp(Some(id), Fact::CallDescribed { facts: about });
        }
        usize::from(news)
    }

    /// Late news of a call that has left the board: what completes its history is journalled,
    /// statuses are not news.
    fn late(&mut self, call: Option<CallId>, facts: Vec<Fact>) -> Posted {
        let mut taken = 0;
        if call.is_some() {
            for fact in facts.into_iter().filter(completes_history) {
                self.stamp(call, fact);
                taken += 1;
            }
        }
        self.posted(call, false, taken)
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
            (fact @ Fact::CallEnded { .. }, Some(present)) if present.is_terminal() => {
                match self.second_end(call, present, fact) {
                    Some(fact) => fact,
                    None => return 0,
                }
            }
            (fact, _) => fact,
        };
        self.stamp(call, fact);
        1
    }

    /// Another word about the end of a call that has ended: kept if it adds who, why or how long.
    fn second_end(&self, call: Option<CallId>, present: CallStatus, fact: Fact) -> Option<Fact> {
        let Fact::CallEnded {
            status,
            source,
            ended_by,
            cause,
            duration_s,
        } = fact
        else {
            return Some(fact);
        };
        let board = self.read();
        let known = board.get(call?)?;
        let adds = (ended_by.is_some() && known.ended_by.is_none())
            || (cause.is_some() && known.end_cause.is_none())
            || (duration_s.is_some() && known.duration_s.is_none());
        if adds {
            // The first word on each stays: later ones only fill what is missing.
            return Some(Fact::CallEnded {
                status: present,
                ended_by: known.ended_by.clone().or(ended_by),
                cause: known.end_cause.clone().or(cause),
                duration_s: known.duration_s.or(duration_s),
                source,
            });
        }
        (present != status).then_some(Fact::StatusIgnored { status, source })
    }

    fn now(&mut self) -> DateTime<Utc> {
        let board = &self.board;
        let settled = || {
            let board = board.read().unwrap_or_else(PoisonError::into_inner);
            board.live().next().is_none()
        };
        let (wall, elapsed) = (self.clock.now(), self.clock.elapsed());
        self.timeline.at(wall, elapsed, settled)
    }

    fn stamp(&mut self, call: Option<CallId>, mut fact: Fact) {
        fact.sanitise();
        self.keep_less(call, &mut fact);
        let seq = self.seq.load(Ordering::Relaxed) + 1;
        let envelope = Arc::new(Envelope {
            v: ENVELOPE_VERSION,
            seq,
            at: self.now(),
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

    /// Says how much of a call is kept, as soon as it is known who it is. What was stricter stays so.
    fn keep_less(&self, call: Option<CallId>, fact: &mut Fact) {
        match fact {
            Fact::CallSeen { facts, .. } => {
                facts.store = facts.store.max(self.plans.store_of(facts));
            }
            Fact::CallDescribed { facts } => {
                let known = call.and_then(|id| self.read().get(id).map(|call| call.facts.clone()));
                if let Some(mut whole) = known {
                    whole.take(facts);
                    facts.store = whole.store.max(self.plans.store_of(&whole));
                }
            }
            _ => {}
        }
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

    async fn grave(&mut self, carrier: &str, carrier_call_id: &str) -> Grave {
        if carrier_call_id.is_empty() {
            return Grave::None;
        }
        if let Some(call) = self.tombstones.get(carrier_call_id) {
            return Grave::Ended(Some(call));
        }
        let (carrier, key) = (carrier.to_owned(), carrier_call_id.to_owned());
        // Nearly every id asked about is that of a new call: one question for those.
        if !self
            .journal
            .ended_before(carrier.clone(), key.clone())
            .await
        {
            return Grave::None;
        }
        let call = self.journal.ended_call(carrier, key.clone()).await;
        if let Some(call) = call {
            self.tombstones.insert(key, call);
        }
        Grave::Ended(call)
    }

    fn forget_ended(&mut self) {
        // Judged by the same time the ends were stamped with.
        let before = self.now() - ENDED_SHOWN;
        let gone: Vec<(String, CallId)> = self
            .read()
            .calls()
            .filter(|call| !call.is_live() && call.ended_at.is_some_and(|at| at < before))
            .filter_map(|call| Some((call.facts.carrier_call_id.clone()?, call.id)))
            .collect();
        for (key, call) in gone {
            self.tombstones.insert(key, call);
        }
        self.write().forget_ended(before);
    }
}

/// Whether a fact still matters to a call that ended long ago.
fn completes_history(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::RecordingChanged { .. }
            | Fact::ConversationAnalysed { .. }
            | Fact::QualityChanged { .. }
            | Fact::Costed { .. }
            | Fact::CallSummarised { .. }
            | Fact::UtteranceFinal { .. }
            | Fact::TroubleNoted { .. }
            | Fact::Noted { .. }
            | Fact::Flagged { .. }
            | Fact::CommandAccepted { .. }
            | Fact::CommandDone { .. }
    )
}

/// Numbers by their digits (carriers drop the plus), addresses by their text.
fn same_number(one: &str, other: &str) -> bool {
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    one == other || (digits(one).len() >= 5 && digits(one) == digits(other))
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
