//! One client of `/wallboard`: its place in the stream, what it watches, its requests and replies.
//! A client that does not keep up loses its place, is told so, and resumes; it never holds memory.

mod step;
mod watching;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::call::{Call, CallEvent, CallId, Envelope, Epoch, Fact, Gauge, Grant, Verb};
use crate::engine::{Batch, Feed, Hello};

use self::step::fallen;
use super::super::auth::Session;
use super::super::state::App;
use super::fanout::Seat;
use super::ordered::Refused;
use super::outbox::{Outbox, SnapshotOut, Stretch};
use super::snapshot::groups;
use super::{Asked, Inbox, PROTOCOL, requests};

/// Shortest time between two readings of the watched gauges.
const GAUGES_EVERY: Duration = Duration::from_millis(250);
/// How often the token's end is looked at and a laggard is told.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// How often what found no room is tried again.
const AGAIN_EVERY: Duration = Duration::from_millis(10);
/// Checks in a row a laggard may leave its queue full before it is put out.
const LAGGED_CHECKS_MAX: u32 = 60;
/// Commands of one client under way. More are refused.
const UNDER_WAY_MAX: usize = 32;

/// An answer on its way to the client.
struct Answer {
    reply: Value,
    ack: AckSender,
}

/// The task of one client.
pub(super) struct Hub {
    app: Arc<App>,
    socket: SocketRef,
    session: Session,
    grant: Grant,
    gone: CancellationToken,
    /// `None` until the client resumes, while it lags, and while it is in step.
    feed: Option<Feed>,
    /// The place among the clients in step.
    seat: Option<Seat>,
    /// `seq` up to which the client has everything it may see.
    sent: u64,
    lagged: Option<Lag>,
    watched: Vec<CallId>,
    shown: Vec<Gauge>,
    under_way: usize,
    answers: mpsc::Sender<Answer>,
    /// Replies that found the client's queue full. While there are any, no request is taken, which
    /// bounds them: they are never lost.
    unsent: VecDeque<Value>,
    /// Facts that found it full. While there are any, the feed waits.
    outbox: Outbox,
}

struct Lag {
    from: u64,
    told: bool,
    checks: u32,
}

/// Why a hub ends.
enum End {
    Gone,
    Bye {
        reason: &'static str,
        retry_ms: Option<u32>,
    },
}

impl End {
    const STOPPING: Self = Self::Bye {
        reason: "the backend is stopping",
        retry_ms: Some(1_000),
    };
}

impl Hub {
    pub(super) fn new(
        app: Arc<App>,
        socket: SocketRef,
        session: Session,
        gone: CancellationToken,
    ) -> Self {
        Self {
            grant: session.grant.clone(),
            app,
            socket,
            session,
            gone,
            feed: None,
            seat: None,
            sent: 0,
            lagged: None,
            watched: Vec::new(),
            shown: Vec::new(),
            under_way: 0,
            // Replaced by `run`, which keeps the other end.
            answers: mpsc::channel(1).0,
            unsent: VecDeque::new(),
            outbox: Outbox::default(),
        }
    }

    /// Serves the client until it leaves, loses its token, or the server goes down.
    pub(super) async fn run(mut self, mut inbox: Inbox) {
        metrics::gauge!("wallboard_hub_clients").increment(1.0);
        // As long as this lasts the operator has a screen; a call they hold goes back after it.
        let _here = self.app.core.enter(&self.grant.user);
        let (answers, mut answered) = mpsc::channel(UNDER_WAY_MAX);
        self.answers = answers;
        let end = self.serve(&mut inbox, &mut answered).await;
        if let End::Bye { reason, retry_ms } = end {
            let _unsent = self
                .socket
                .emit("bye", &json!({ "reason": reason, "retry_ms": retry_ms }));
            let _closed = self.socket.clone().disconnect();
        }
        metrics::gauge!("wallboard_hub_clients").decrement(1.0);
    }

    async fn serve(&mut self, inbox: &mut Inbox, answered: &mut mpsc::Receiver<Answer>) -> End {
        let mut tokens = self.app.auth.changes();
        let mut check = ticking(CHECK_EVERY);
        let mut gauges = ticking(GAUGES_EVERY);
        let mut again = ticking(AGAIN_EVERY);
        let hello = self.hello();
        self.emit("hello", &hello);
        // Waited for once, not anew for every fact: all clients share the first one's lock.
        let (stopping, gone) = (self.app.stopping().clone(), self.gone.clone());
        let (stopping, gone) = (stopping.cancelled(), gone.cancelled());
        tokio::pin!(stopping, gone);
        loop {
            self.fall_in();
            let watching = !self.watched.is_empty();
            let caught_up = self.unsent.is_empty();
            let waiting = !self.outbox.is_empty();
            let owing = waiting || !caught_up || !inbox.refused.is_empty();
            // Every arm is cancel-safe: `Feed::next` keeps what it has not handed out.
            tokio::select! {
                biased;
                _ = tokens.changed() => {
                    if !self.renew() {
                        return End::Bye { reason: "the token was revoked", retry_ms: None };
                    }
                }
                // Early, for it is what wakes a hub most often; batches keep their distance, so the
                // rest is not starved.
                batch = next(&mut self.feed), if !waiting => match batch {
                    Some(batch) => self.pass_on(batch).await,
                    None => return End::STOPPING,
                },
                reached = fallen(&mut self.seat) => {
                    if !self.fall_out(reached).await {
                        return End::STOPPING;
                    }
                }
                () = &mut gone => return End::Gone,
                () = &mut stopping => return End::STOPPING,
                asked = inbox.asked.recv(), if caught_up => match asked {
                    Some(asked) => self.take(asked).await,
                    None => return End::Gone,
                },
                Some(answer) = answered.recv() => {
                    self.under_way = self.under_way.saturating_sub(1);
                    self.reply(answer.reply, answer.ack);
                }
                _ = again.tick(), if owing => {
                    self.flush();
                    self.send_unsent(&inbox.refused);
                }
                _ = check.tick() => {
                    if !self.renew() {
                        return End::Bye { reason: "the token has expired", retry_ms: None };
                    }
                    if !self.remind() {
                        return End::Bye { reason: "too slow", retry_ms: Some(5_000) };
                    }
                }
                _ = gauges.tick(), if watching => self.show_gauges(),
            }
        }
    }

    fn hello(&self) -> Hello {
        let core = &self.app.core;
        let mut features = ["listen", "history", "audit", "timeline"]
            .map(str::to_owned)
            .to_vec();
        if core.carriers.values().any(|carrier| carrier.dials()) || !core.vendors.is_empty() {
            features.extend(["dial", "transfer", "record"].map(str::to_owned));
        }
        if core.vault.is_some() {
            features.push("recordings".to_owned());
        }
        features.extend(core.particulars());
        Hello {
            v: PROTOCOL,
            backend_id: core.backend_id.clone(),
            epoch: core.switchboard.epoch(),
            seq: core.switchboard.seq(),
            now: core.clock.now(),
            user: self.grant.user.clone(),
            role: self.grant.role,
            verbs: self.grant.verbs(),
            leads: self
                .grant
                .leads
                .as_ref()
                .map(|leads| leads.iter().cloned().collect()),
            features,
            transfers: core.transfers.keys().cloned().collect(),
        }
    }

    /// Looks the token up again. A change of what it may do shows from the next event on.
    fn renew(&mut self) -> bool {
        match self
            .app
            .auth
            .renew(&self.session, self.app.core.clock.now())
        {
            Some(grant) => {
                if let Some(seat) = &self.seat
                    && grant != self.grant
                {
                    seat.give_up();
                }
                self.grant = grant;
                true
            }
            None => false,
        }
    }

    /// Whether the event went into the client's queue.
    fn emit(&self, event: &'static str, body: &impl Serialize) -> bool {
        self.socket.emit(event, body).is_ok()
    }

    fn reply(&mut self, reply: Value, ack: AckSender) {
        let _not_asked_for = ack.send(&reply);
        if !self.unsent.is_empty() || !self.emit("reply", &reply) {
            self.unsent.push_back(reply);
        }
    }

    /// Sends what found no room, and what was refused because requests came too fast.
    fn send_unsent(&mut self, refused: &Refused) {
        loop {
            let reply = self.unsent.pop_front().or_else(|| {
                let id = refused.pop()?;
                Some(requests::refused(&id, &requests::too_many()))
            });
            let Some(reply) = reply else { return };
            if !self.emit("reply", &reply) {
                self.unsent.push_front(reply);
                return;
            }
        }
    }

    async fn take(&mut self, asked: Asked) {
        let id = asked.data.get("id").cloned().unwrap_or(Value::Null);
        match asked.event {
            "resume" => self.resume(&id, asked).await,
            "watch" => {
                self.watch(&asked.data);
                self.reply(json!({ "id": id, "ok": true }), asked.ack);
                self.show_gauges();
            }
            "ping" => {
                let seq = self.app.core.switchboard.seq();
                let result = json!({ "now": self.app.core.clock.now(), "seq": seq });
                self.reply(json!({ "id": id, "ok": true, "result": result }), asked.ack);
            }
            _ => self.work(id, asked),
        }
    }

    /// Carries out what may take long beside the hub, so that facts keep flowing.
    fn work(&mut self, id: Value, asked: Asked) {
        if self.under_way >= UNDER_WAY_MAX {
            let refusal = requests::too_many();
            self.reply(requests::refused(&id, &refusal), asked.ack);
            return;
        }
        self.under_way += 1;
        let (app, grant, answers) = (
            Arc::clone(&self.app),
            self.grant.clone(),
            self.answers.clone(),
        );
        self.app.tasks.spawn("hub request", async move {
            let reply = if asked.event == "history" {
                requests::history(&app, &grant, &id, asked.data).await
            } else {
                requests::command(&app, &grant, &id, asked.data).await
            };
            // The hub is gone with its client; the command was carried out all the same.
            let _gone = answers
                .send(Answer {
                    reply,
                    ack: asked.ack,
                })
                .await;
        });
    }

    async fn resume(&mut self, id: &Value, asked: Asked) {
        let since = requests::place(&asked.data);
        self.lagged = None;
        self.seat = None;
        self.outbox.clear();
        let opened = Feed::open(&self.app.core.switchboard, since).await;
        let Ok(mut feed) = opened else {
            self.feed = None;
            let refusal = requests::stopping();
            self.reply(requests::refused(id, &refusal), asked.ack);
            return;
        };
        let epoch = feed.epoch();
        self.sent = since.map_or(0, |(_, seq)| seq);
        // The feed knows at once how it begins; nothing means nothing was missed.
        let first = feed.next().now_or_never();
        self.feed = Some(feed);
        let mode = match &first {
            Some(Ok(Batch::Snapshot { .. })) => "snapshot",
            _ => "envelopes",
        };
        let result = json!({ "epoch": epoch, "mode": mode });
        self.reply(json!({ "id": id, "ok": true, "result": result }), asked.ack);
        match first {
            Some(Ok(Batch::Snapshot { epoch, seq, calls })) => {
                self.send_snapshot(id, epoch, seq, calls);
            }
            Some(Ok(batch)) => self.pass_on(batch).await,
            Some(Err(_)) => self.feed = None,
            None => self.send_envelopes(self.sent, &[]),
        }
    }

    async fn pass_on(&mut self, batch: Batch) {
        match batch {
            Batch::Snapshot { epoch, seq, calls } => {
                self.send_snapshot(&Value::Null, epoch, seq, calls);
            }
            Batch::Envelopes { to, items, .. } => {
                if self.becomes_visible(&items) {
                    self.start_over().await;
                    return;
                }
                self.send_envelopes(to, &items);
            }
        }
    }

    /// Whether a call may have come into this token's sight: its lead is known only now.
    fn becomes_visible(&self, items: &[Arc<Envelope>]) -> bool {
        self.grant.leads.is_some()
            && items.iter().any(|item| {
                matches!(
                    &item.event,
                    CallEvent::Known(Fact::CallDescribed { facts }) if facts.lead_id.is_some()
                )
            })
    }

    /// Sends the whole board anew.
    async fn start_over(&mut self) {
        self.feed = Feed::open(&self.app.core.switchboard, None).await.ok();
    }

    fn send_envelopes(&mut self, to: u64, items: &[Arc<Envelope>]) {
        let unmasked = self.grant.allows(Verb::Unmask);
        let shown = items.iter().filter(|item| self.may_see(item));
        let (seqs, texts): (Vec<u64>, Vec<Arc<RawValue>>) = shown
            .map(|item| (item.seq, self.app.encoder.text(item, unmasked)))
            .unzip();
        if texts.is_empty() && !items.is_empty() {
            // Nothing for this client; the next batch covers the stretch.
            return;
        }
        let stretch = Stretch {
            from: self.sent,
            to,
            items: texts,
        };
        self.outbox.push_stretch(stretch, &seqs);
        self.flush();
    }

    /// Sends what there is room for; gives up a client that takes nothing.
    fn flush(&mut self) {
        let now = self.app.core.clock.elapsed();
        if let Some(reached) = self.outbox.flush(&self.socket, now) {
            self.sent = reached;
        }
        if self.outbox.is_stuck(now) {
            self.lag();
        }
    }

    fn may_see(&self, envelope: &Envelope) -> bool {
        if self.grant.leads.is_none() {
            return true;
        }
        let Some(call) = envelope.call else {
            let lead = envelope.lead();
            return lead.is_none() || self.grant.sees_lead(lead);
        };
        let board = &self.app.core.switchboard;
        board.read(|board| {
            board
                .get(call)
                .is_some_and(|call| self.grant.sees_lead(call.facts.lead_id.as_deref()))
        })
    }

    fn send_snapshot(&mut self, id: &Value, epoch: Epoch, seq: u64, calls: Vec<Call>) {
        let groups = groups(calls, &self.grant);
        let parts = groups.len();
        for (index, calls) in groups.into_iter().enumerate() {
            self.outbox.push_part(SnapshotOut {
                id: id.clone(),
                epoch,
                seq,
                part: index + 1,
                parts,
                calls,
            });
        }
        self.flush();
    }

    /// Gives up this client's place; it will be told as soon as its queue has room.
    fn lag(&mut self) {
        metrics::counter!("wallboard_hub_lagged_total").increment(1);
        self.feed = None;
        self.outbox.clear();
        self.lagged = Some(Lag {
            from: self.sent,
            told: false,
            checks: 0,
        });
    }

    /// Tells a laggard once; returns whether it may stay.
    fn remind(&mut self) -> bool {
        let to = self.app.core.switchboard.seq();
        let Some(lag) = &mut self.lagged else {
            return true;
        };
        if !lag.told {
            let body = json!({ "from": lag.from, "to": to });
            lag.told = self.socket.emit("lagged", &body).is_ok();
            lag.checks += 1;
        }
        lag.told || lag.checks < LAGGED_CHECKS_MAX
    }
}

/// The next batch; never, while there is no feed. `None` once the switchboard has ended.
async fn next(feed: &mut Option<Feed>) -> Option<Batch> {
    match feed {
        Some(feed) => feed.next().await.ok(),
        None => std::future::pending().await,
    }
}

fn ticking(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
