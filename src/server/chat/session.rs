//! One conversation: its call, its leg to the bridge, the sockets that are in it, and whose turn it
//! is. It outlives its sockets by a grace period; only its task emits to them.

mod begin;
mod facts;
mod member;
mod turns;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bridge::Wire;
use crate::call::{CallId, CallStatus, Fact};

use super::super::state::App;
use super::answer::Answers;
use super::door::Said;
use super::leg::Leg;
use super::sound::LEG;
use super::trouble::{Trouble, accepted};

pub(super) use begin::open;
use begin::post_end;
pub(super) use member::Member;
use turns::Floor;

/// Sockets in one conversation at once: a page, its second tab, somebody looking on.
const MEMBERS_MAX: usize = 4;
/// A conversation whose last socket broke waits this long for it to come back.
const GRACE: Duration = Duration::from_secs(30);
/// The same after a goodbye: pages that reconnect by themselves say it too.
const GRACE_AFTER_GOODBYE: Duration = Duration::from_secs(10);
/// Housekeeping: silence for the agent, answers that end, sockets that left.
const TICK: Duration = Duration::from_millis(40);
/// How often tokens are looked at.
const PROOF_EVERY: Duration = Duration::from_millis(500);
/// Texts kept for a client that comes back.
const TEXTS_MAX: usize = 16;
/// The bridge gets this long to leave.
const BRIDGE_LEAVES_WITHIN: Duration = Duration::from_secs(3);
/// Said where nobody is left to say the fallback but we.
const SORRY: &str = "The agent is not available right now. Please try again later.";

/// What a conversation is told from outside.
pub(super) enum Order {
    Join(Box<Member>),
    /// As a carrier: the operator, or the agent, ends the call.
    HangUp,
    Fact(Fact),
}

/// See the module's doc.
struct Conversation {
    app: Arc<App>,
    id: String,
    key: String,
    agent: String,
    call: CallId,
    members: Vec<Member>,
    leg: Leg,
    bridge: JoinHandle<()>,
    answers: Answers,
    floor: Floor,
    began: Instant,
    /// Up to here the agent has heard something, silence included.
    fed_until: Duration,
    alone_since: Option<(Duration, Duration)>,
    /// The newest texts, and whether nobody was there to get them.
    texts: VecDeque<(Value, bool)>,
    /// A clear of the client was answered: the bridge's own needs no second one.
    echoed_at: Option<Duration>,
    fallback: Option<String>,
    proof_at: Duration,
    ended: Option<End>,
}

/// Why a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nobody came back.
    ClientLeft,
    /// An operator or the agent hung up.
    HungUp,
    /// The bridge gave up.
    AgentLost,
    Stopping,
}

impl Conversation {
    async fn run(mut self, member: Box<Member>, mut orders: mpsc::Receiver<Order>) {
        metrics::gauge!("wallboard_chat_conversations").increment(1.0);
        self.join(*member);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopping = self.app.stopping().clone();
        while self.ended.is_none() {
            // Every arm is cancel-safe: channels and an interval.
            tokio::select! {
                biased;
                () = stopping.cancelled() => self.ended = Some(End::Stopping),
                order = orders.recv() => match order {
                    Some(Order::Join(member)) => self.join(*member),
                    Some(Order::HangUp) => self.ended = Some(End::HungUp),
                    Some(Order::Fact(fact)) => self.fact(fact),
                    None => self.ended = Some(End::HungUp),
                },
                word = self.leg.from_bridge.recv() => match word {
                    Some(word) => self.bridge_word(word),
                    None => self.ended = Some(End::AgentLost),
                },
                (member, said) = next_of(&mut self.members) => self.said(member, said),
                _ = tick.tick() => self.housekeep(),
            }
        }
        // The last texts and the hang-up come by different ways: let the texts arrive.
        while let Ok(Some(order)) = tokio::time::timeout(TICK, orders.recv()).await {
            if let Order::Fact(fact) = order {
                self.fact(fact);
            }
        }
        self.leave().await;
        metrics::gauge!("wallboard_chat_conversations").decrement(1.0);
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn join(&mut self, mut member: Member) {
        let resumed = self.alone_since.is_some() || !self.members.is_empty();
        if self.members.len() >= MEMBERS_MAX {
            member.put_out(&Trouble::new(
                "full",
                "connect",
                "this conversation has as many clients as it may",
                "leave with one of them first",
            ));
            return;
        }
        self.alone_since = None;
        member.enter(&self.agent, &self.id);
        let wish = self.answers.wish();
        member.emit(
            "session",
            json!({
                "session": self.key,
                "call": self.call,
                "agentId": self.agent,
                "resumed": resumed,
                "grace_s": GRACE.as_secs(),
                "format": wish.name(),
                "sample_rate": wish.format.rate_hz,
            }),
        );
        // A socket may have died before we noticed: whoever says what they have gets the rest.
        for (text, was_missed) in &mut self.texts {
            let sequence = text
                .pointer("/meta_info/sequence_id")
                .and_then(Value::as_u64);
            let is_due = match member.since.filter(|_| resumed) {
                Some(since) => sequence.is_some_and(|sequence| sequence > since),
                None => *was_missed,
            };
            *was_missed = false;
            if is_due {
                member.emit("text", text.clone());
            }
        }
        self.members.push(member);
    }

    /// A message of one of the sockets.
    fn said(&mut self, member: usize, said: Said) {
        let outcome = match said.event {
            "audio" => self.audio(said.message),
            "text" => self.text(said.message),
            _ => {
                self.clear();
                Ok(())
            }
        };
        let answer = match &outcome {
            Ok(()) => accepted(),
            Err(trouble) => trouble.ack(),
        };
        // Not asked for, or the client has gone.
        let _unheard = said.ack.send(&answer);
        if let (Err(trouble), Some(member)) = (outcome, self.members.get_mut(member)) {
            member.trouble(&trouble);
        }
    }

    fn housekeep(&mut self) {
        let now = self.now();
        let (out, is_over) = self.answers.poll(now);
        for emit in out {
            self.tell(emit.event, emit.body);
        }
        if is_over {
            self.floor.answered(now);
        }
        if let Some(trouble) = self.floor.overdue(now) {
            for member in &mut self.members {
                member.trouble(&trouble);
            }
        }
        self.next_turn(now);
        self.feed_silence(now);
        self.look_after_members(now);
    }

    fn look_after_members(&mut self, now: Duration) {
        let check = now.saturating_sub(self.proof_at) >= PROOF_EVERY;
        if check {
            self.proof_at = now;
        }
        let app = Arc::clone(&self.app);
        let mut goodbye = false;
        self.members.retain_mut(|member| {
            member.flush();
            let dropped = member.inbox.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                member.trouble(&Trouble::too_fast("audio"));
            }
            if check && !member.is_still_allowed(&app) {
                member.put_out(&Trouble::new(
                    "unauthorized",
                    "connect",
                    "the token is not good any more",
                    "connect with another one",
                ));
                return false;
            }
            let is_here = !member.gone.token.is_cancelled() && !member.is_stuck();
            goodbye |= !is_here && member.gone.on_purpose.load(Ordering::Relaxed);
            is_here
        });
        if !self.members.is_empty() {
            return;
        }
        let grace = if goodbye { GRACE_AFTER_GOODBYE } else { GRACE };
        let (since, grace) = *self.alone_since.get_or_insert((now, grace));
        if now.saturating_sub(since) >= grace {
            self.ended = Some(End::ClientLeft);
        }
    }

    /// To every socket; texts are kept for one that comes back.
    fn tell(&mut self, event: &'static str, body: Value) {
        if event == "text" {
            if self.texts.len() == TEXTS_MAX {
                self.texts.pop_front();
            }
            self.texts
                .push_back((body.clone(), self.members.is_empty()));
        }
        for member in &mut self.members {
            if event != "audio" || member.with_audio {
                member.emit(event, body.clone());
            }
        }
    }

    async fn leave(mut self) {
        let end = self.ended.unwrap_or(End::HungUp);
        let now = self.now();
        // What was said last is told before the door closes.
        let (out, _) = self.answers.poll(now + Duration::from_secs(5));
        for emit in out {
            self.tell(emit.event, emit.body);
        }
        let (status, cause, message) = match end {
            End::ClientLeft => (CallStatus::Completed, "the client left", None),
            End::HungUp => (CallStatus::Completed, "hung up", None),
            End::AgentLost => (
                CallStatus::Completed,
                "the agent was lost",
                Some(self.fallback.take().unwrap_or_else(|| SORRY.to_owned())),
            ),
            End::Stopping => (CallStatus::Completed, "the backend stopped", None),
        };
        if let Some(message) = message {
            self.tell(
                "text",
                json!({"data": message, "meta_info": {"message_category": "fallback"}}),
            );
            let trouble = Trouble::new(
                "agent_lost",
                "agent",
                "the agent is not available",
                "connect again later",
            );
            for member in &mut self.members {
                member.trouble(&trouble);
            }
        }
        self.tell("ended", json!({"reason": cause}));
        for member in &mut self.members {
            member.leave();
        }
        let Self {
            app,
            id,
            call,
            leg,
            bridge,
            ..
        } = self;
        app.chat.leave(&id);
        drop(leg);
        if tokio::time::timeout(BRIDGE_LEAVES_WITHIN, bridge)
            .await
            .is_err()
        {
            tracing::warn!(%call, "the bridge of a conversation did not leave in time");
        }
        post_end(&app, call, status, cause).await;
    }

    /// Audio for the agent. Whether there was room.
    fn feed(&mut self, pcm: &[u8]) -> bool {
        /// A tenth of a second in one message.
        const PIECE: usize = 3_200;
        let pieces = pcm.len().div_ceil(PIECE);
        let Ok(places) = self.leg.to_bridge.try_reserve_many(pieces) else {
            return false;
        };
        for (place, piece) in places.zip(pcm.chunks(PIECE)) {
            place.send(Wire::Binary(Bytes::copy_from_slice(piece)));
        }
        let ms = LEG.ms(pcm.len());
        self.fed_until = self.fed_until.max(self.now()) + Duration::from_millis(ms);
        true
    }
}

/// The next message of any socket; never, while there is none.
async fn next_of(members: &mut [Member]) -> (usize, Said) {
    std::future::poll_fn(|cx| {
        for (index, member) in members.iter_mut().enumerate() {
            if let Poll::Ready(Some(said)) = member.inbox.said.poll_recv(cx) {
                return Poll::Ready((index, said));
            }
        }
        Poll::Pending
    })
    .await
}
