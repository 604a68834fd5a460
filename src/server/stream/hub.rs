//! The task behind all event streams: follows the facts, makes each one's frame once, and hands it
//! to the viewers of its lead. What was said before it was known whose conversation it is waits here
//! and is delivered when it is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, CallEvent, CallId, Envelope, Fact, LineBody};
use crate::engine::{Core, HistoryQuery, LeadTimeline, Start, Subscription, Tasks};

use super::frames::{Draft, Part, Subject, draft, spoken, transcript};
use super::rooms::{Place, Rooms, Seat};

/// Frames kept of a call whose lead is not known; older ones are in the journal.
const WAITING_MAX: usize = 512;
/// Calls without a lead whose frames are kept.
const CALLS_MAX: usize = 4_096;
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Handle to the rooms. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::server) struct StreamHub {
    rooms: Arc<Mutex<Rooms>>,
    core: Core,
}

impl StreamHub {
    /// Starts the task; it ends with `tasks`.
    pub(in crate::server) fn start(core: &Core, tasks: &Tasks) -> Self {
        let rooms = Rooms::new(core.switchboard.epoch());
        let hub = Self {
            rooms: Arc::new(Mutex::new(rooms)),
            core: core.clone(),
        };
        let mut follower = Follower {
            hub: hub.clone(),
            waiting: HashMap::new(),
            cursor: 0,
        };
        follower.remember_unassigned();
        tasks.spawn("event streams", follower.run(tasks.token().clone()));
        hub
    }

    pub(super) fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(&self, lead: &str, since: Option<Place>) -> Seat {
        self.rooms().join(lead, since, self.core.clock.elapsed())
    }

    pub(super) fn leave(&self, lead: &str, seat: u64) {
        self.rooms().leave(lead, seat);
    }
}

/// Drafts of calls without a lead, each with the `seq` of its fact.
type Waiting = HashMap<CallId, Vec<(Draft, u64)>>;

struct Follower {
    hub: StreamHub,
    waiting: Waiting,
    cursor: u64,
}

impl Follower {
    async fn run(mut self, token: CancellationToken) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let Some(mut source) = self.subscribe().await else {
            return;
        };
        loop {
            // Cancel-safe: `recv` and `tick` lose nothing when another arm wins.
            let received = tokio::select! {
                biased;
                () = token.cancelled() => return,
                received = source.live.recv() => received,
                _ = ticks.tick() => {
                    self.sweep();
                    continue;
                }
            };
            match received {
                Ok(envelope) => self.take(&envelope).await,
                // The log has what went by.
                Err(RecvError::Lagged(_)) => match self.subscribe().await {
                    Some(again) => source = again,
                    None => return,
                },
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Takes what was missed since the cursor, and the place in the stream after it.
    async fn subscribe(&mut self) -> Option<Subscription> {
        let switchboard = &self.hub.core.switchboard;
        let since = Some((switchboard.epoch(), self.cursor));
        let mut source = switchboard.subscribe(since).await.ok()?;
        let nothing = Start::Envelopes {
            to: self.cursor,
            items: Vec::new(),
        };
        match std::mem::replace(&mut source.start, nothing) {
            Start::Envelopes { items, .. } => {
                for envelope in items {
                    self.take(&envelope).await;
                }
            }
            Start::Snapshot { seq, .. } => {
                tracing::warn!("event streams fell behind; every viewer starts over");
                self.cursor = seq;
                self.hub.rooms().cut_all();
            }
        }
        Some(source)
    }

    async fn take(&mut self, envelope: &Envelope) {
        if envelope.seq <= self.cursor {
            return;
        }
        self.cursor = envelope.seq;
        let CallEvent::Known(fact) = &envelope.event else {
            return;
        };
        if let Fact::LeadMessaged { message } = fact {
            let draft = super::frames::messaged(message, envelope.at);
            self.publish(&message.lead_id, &draft, envelope.seq);
            return;
        }
        let Some(id) = envelope.call else { return };
        let tells = draft(fact, &Subject::default(), envelope.at, Vec::new).is_some();
        if !tells && !matches!(fact, Fact::CallDescribed { .. }) {
            return;
        }
        let Some((subject, rows)) = self.subject(id, fact, envelope.at).await else {
            return;
        };
        let made = draft(fact, &subject, envelope.at, || rows);
        match &subject.lead {
            Some(lead) => {
                for (draft, _) in self.waiting.remove(&id).unwrap_or_default() {
                    self.publish(lead, &draft, envelope.seq);
                }
                if let Some(draft) = made {
                    self.publish(lead, &draft, envelope.seq);
                }
            }
            None => {
                if let Some(draft) = made {
                    self.wait(id, draft, envelope.seq);
                }
            }
        }
    }

    fn publish(&self, lead: &str, draft: &Draft, seq: u64) {
        let now = self.hub.core.clock.elapsed();
        self.hub.rooms().publish(lead, draft, seq, now);
    }

    fn wait(&mut self, call: CallId, draft: Draft, seq: u64) {
        if self.waiting.len() >= CALLS_MAX && !self.waiting.contains_key(&call) {
            return;
        }
        let drafts = self.waiting.entry(call).or_default();
        if drafts.len() == WAITING_MAX {
            drafts.remove(0);
        }
        drafts.push((draft, seq));
    }

    /// Who a fact is about; the rows of its transcript where its frame repeats them.
    async fn subject(
        &self,
        id: CallId,
        fact: &Fact,
        now: DateTime<Utc>,
    ) -> Option<(Subject, Vec<serde_json::Value>)> {
        let wants_rows = matches!(fact, Fact::ConversationAnalysed { .. });
        let look = |call: &Call| {
            let rows = if wants_rows {
                transcript(call)
            } else {
                Vec::new()
            };
            (Subject::of(call, now), rows)
        };
        let core = &self.hub.core;
        let found = core.switchboard.read(|board| board.get(id).map(look));
        if found.is_some() {
            return found;
        }
        // Late news of a call that has left the board.
        let query = HistoryQuery {
            call: Some(id),
            limit: 1,
            ..HistoryQuery::default()
        };
        let page = core.journal.history(query).await.ok()?;
        page.items.first().map(look)
    }

    /// What an earlier run left without a lead.
    fn remember_unassigned(&mut self) {
        let mut drafts = Vec::new();
        let seq = self.hub.core.switchboard.read(|board| {
            for call in board.live().filter(|call| call.facts.lead_id.is_none()) {
                let about = Subject::of(call, call.updated_at);
                for line in &call.lines {
                    if let LineBody::Speech {
                        track,
                        text,
                        interim: false,
                        ..
                    } = &line.body
                    {
                        drafts.push((call.id, spoken(&about, *track, text, line.at)));
                    }
                }
            }
            board.seq()
        });
        self.cursor = seq;
        for (call, draft) in drafts {
            self.wait(call, draft, 0);
        }
    }

    fn sweep(&mut self) {
        let core = &self.hub.core;
        core.switchboard
            .read(|board| self.waiting.retain(|call, _| board.get(*call).is_some()));
        self.hub.rooms().sweep(core.clock.elapsed());
    }
}

/// Whether a viewer that has just read a history knows a frame already.
pub(super) fn is_in(part: &Part, seq: u64, timeline: &LeadTimeline) -> bool {
    match part {
        Part::Speech => seq <= timeline.seq,
        Part::Message(id) => timeline.messages.contains(id),
        Part::Nothing => false,
    }
}
