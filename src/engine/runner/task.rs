//! The loop of one bridge: what wakes it, what it does about it, how it leaves.

mod perform;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::bridge::{
    AgentFailure, BridgeOrder, CarrierCodec, CarrierIn, Effects, Input, Session, StreamStart, Wire,
};
use crate::call::{CallFacts, CallId, Fact, Limit};
use crate::engine::ports::{AgentConnection, AgentError, BoxSocket, CarrierError, WireClosed};
use crate::engine::{CallPlan, Core, Order, Tap, limits};

use super::LAST_WORDS_WITHIN;
use super::bells::{Bells, Source};
use super::brief::session_plan;
use super::facts::FactsOut;
use super::links::{AgentEnd, CarrierEnd, say_goodbye};

/// How often listeners are looked for.
const LISTENERS_EVERY: Duration = Duration::from_millis(60);

/// How a tool ended: what the agent is told.
struct ToolDone {
    tool_call_id: String,
    name: String,
    outcome: Result<String, String>,
}

/// What woke the loop.
enum Event {
    /// The backend goes down.
    Cancelled,
    Order(Order),
    CarrierWire(Wire),
    CarrierClosed(WireClosed),
    AgentWire(Wire),
    AgentClosed(WireClosed),
    AgentDialled(Result<AgentConnection, AgentError>),
    HungUp(Result<(), CarrierError>),
    ToolDone(ToolDone),
    Timer,
}

type Dialling = BoxFuture<'static, Result<AgentConnection, AgentError>>;
type RunningTool = BoxFuture<'static, ToolDone>;
type HangingUp = BoxFuture<'static, Result<(), CarrierError>>;

/// Everything one running bridge holds.
pub(super) struct Runner<'a> {
    core: &'a Core,
    call: CallId,
    plan: CallPlan,
    carrier_name: String,
    carrier_call_id: String,
    session: Session,
    effects: Effects,
    carrier: CarrierEnd,
    agent: Option<AgentEnd>,
    dialling: Option<Dialling>,
    hanging_up: Option<HangingUp>,
    tools: FuturesUnordered<RunningTool>,
    orders: mpsc::Receiver<Order>,
    cancelled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    bells: Bells,
    timer: Pin<Box<Sleep>>,
    timer_at: Duration,
    facts: FactsOut,
    tap: Tap,
    listeners_at: Duration,
    agent_first: bool,
    /// What cannot be done on this call, if that is news.
    limits: Option<Vec<Limit>>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        core: &'a Core,
        about: &crate::call::Call,
        plan: CallPlan,
        carrier: BoxSocket,
        codec: Box<dyn CarrierCodec>,
        start: StreamStart,
        orders: mpsc::Receiver<Order>,
    ) -> Box<Self> {
        let now = core.clock.elapsed();
        let limits = limits::of(core, &about.facts, &plan.agent);
        let limits = (limits != about.limits).then_some(limits);
        let session = Session::new(session_plan(about, &plan, &start, core.quality), now);
        // On the heap once: the task would hold a copy for every place it moves through.
        Box::new(Self {
            core,
            call: about.id,
            plan,
            carrier_name: about.facts.carrier.clone(),
            carrier_call_id: start.carrier_call_id,
            session,
            effects: Effects::new(),
            carrier: CarrierEnd::new(carrier, codec),
            agent: None,
            dialling: None,
            hanging_up: None,
            tools: FuturesUnordered::new(),
            orders,
            cancelled: Some(Box::pin(core.tasks.token().clone().cancelled_owned())),
            bells: Bells::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            timer_at: now,
            facts: FactsOut::new(about.id),
            tap: core.taps.open(about.id),
            listeners_at: now,
            agent_first: false,
            limits,
        })
    }

    pub(super) async fn run(mut self: Box<Self>) {
        let now = self.now();
        self.facts.push(Fact::CallDescribed {
            facts: CallFacts {
                agent: Some(self.plan.agent.id.clone()),
                agent_kind: Some(self.plan.agent.kind.to_owned()),
                ..CallFacts::default()
            },
        });
        if let Some(limits) = self.limits.take() {
            self.facts.push(Fact::LimitsKnown { limits });
        }
        self.session.start(now, &mut self.effects);
        self.carry_out(now);
        while !self.session.is_over() {
            let event = std::future::poll_fn(|cx| self.poll_event(cx)).await;
            let now = self.now();
            self.take(now, event);
            self.carry_out(now);
            self.rearm(now);
        }
        self.leave().await;
    }

    fn now(&self) -> Duration {
        self.core.clock.elapsed()
    }

    /// Control first, then the two sockets in turn, so that neither starves the other. Only what
    /// has rung is asked.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.bells.listen(cx);
        if self.poll_cancelled().is_ready() {
            return Poll::Ready(Event::Cancelled);
        }
        let orders = &mut self.orders;
        // Nobody who could order any more, and no tool running, is nothing to wait for.
        let ordered = self
            .bells
            .answer(Source::Orders, |cx| some(orders.poll_recv(cx)));
        if let Poll::Ready(order) = ordered {
            return Poll::Ready(Event::Order(order));
        }
        self.agent_first = !self.agent_first;
        for agents_turn in [self.agent_first, !self.agent_first] {
            let polled = if agents_turn {
                self.poll_agent()
            } else {
                self.poll_carrier()
            };
            if polled.is_ready() {
                return polled;
            }
        }
        self.poll_errands()
    }

    fn poll_cancelled(&mut self) -> Poll<()> {
        let cancelled = &mut self.cancelled;
        self.bells
            .answer(Source::Cancelled, |cx| poll_once(cancelled, cx))
    }

    /// What was set going for the call, and the time.
    fn poll_errands(&mut self) -> Poll<Event> {
        let Self {
            bells,
            hanging_up,
            tools,
            timer,
            ..
        } = self;
        if let Poll::Ready(result) = bells.answer(Source::HangUp, |cx| poll_once(hanging_up, cx)) {
            return Poll::Ready(Event::HungUp(result));
        }
        let ran = bells.answer(Source::Tools, |cx| some(tools.poll_next_unpin(cx)));
        if let Poll::Ready(done) = ran {
            return Poll::Ready(Event::ToolDone(done));
        }
        bells
            .answer(Source::Timer, |cx| timer.as_mut().poll(cx))
            .map(|()| Event::Timer)
    }

    fn poll_carrier(&mut self) -> Poll<Event> {
        let Self {
            bells,
            carrier,
            core,
            ..
        } = self;
        bells.answer(Source::Carrier, |cx| {
            if let Err(closed) = carrier.poll_write(cx, core.clock.elapsed()) {
                return Poll::Ready(Event::CarrierClosed(closed));
            }
            carrier.poll_read(cx).map(|read| match read {
                Ok(wire) => Event::CarrierWire(wire),
                Err(closed) => Event::CarrierClosed(closed),
            })
        })
    }

    fn poll_agent(&mut self) -> Poll<Event> {
        let Self {
            bells,
            agent,
            dialling,
            core,
            ..
        } = self;
        bells.answer(Source::Agent, |cx| {
            let Some(agent) = agent else {
                return poll_once(dialling, cx).map(Event::AgentDialled);
            };
            if let Err(closed) = agent.poll_write(cx, core.clock.elapsed()) {
                return Poll::Ready(Event::AgentClosed(closed));
            }
            agent.poll_read(cx).map(|read| match read {
                Ok(wire) => Event::AgentWire(wire),
                Err(closed) => Event::AgentClosed(closed),
            })
        })
    }

    fn take(&mut self, now: Duration, event: Event) {
        match event {
            Event::Timer => self.step(now, Input::Tick),
            Event::CarrierWire(wire) => {
                let input = match self.carrier.codec().decode(&wire) {
                    Ok(CarrierIn::Start(_)) | Err(_) => {
                        count_garbage(self.carrier.codec().vendor());
                        Input::CarrierGarbage
                    }
                    Ok(word) => Input::Carrier(word),
                };
                self.step(now, input);
            }
            Event::AgentWire(wire) => self.agent_wire(now, &wire),
            Event::CarrierClosed(WireClosed { code, reason }) => {
                self.carrier.gone();
                self.step(now, Input::CarrierClosed { code, reason });
            }
            Event::AgentClosed(WireClosed { code, reason }) => {
                let on_purpose = self
                    .agent
                    .take()
                    .and_then(|mut agent| agent.codec().ended_on_purpose(code, &reason));
                self.step(now, Input::AgentClosed { reason, on_purpose });
            }
            Event::AgentDialled(Ok((socket, codec))) => {
                let can_say = codec.can_say();
                self.agent = Some(AgentEnd::new(socket, codec));
                self.bells.ring(Source::Agent);
                self.step(now, Input::AgentConnected { can_say });
            }
            Event::AgentDialled(Err(error)) => {
                tracing::warn!(call = %self.call, %error, "the agent could not be reached");
                let input = Input::AgentFailed {
                    failure: failure_of(&error),
                    reason: error.to_string(),
                };
                self.step(now, input);
            }
            Event::ToolDone(ToolDone {
                tool_call_id,
                name,
                outcome,
            }) => {
                let ok = outcome.is_ok();
                let result = outcome.unwrap_or_else(|error| error);
                self.step(
                    now,
                    Input::ToolDone {
                        tool_call_id,
                        name,
                        ok,
                        result,
                    },
                );
            }
            Event::HungUp(Ok(()) | Err(CarrierError::AlreadyEnded)) => {}
            Event::HungUp(Err(error)) => {
                let reason = error.to_string();
                self.step(now, Input::EndCallFailed { reason });
            }
            Event::Order(Order { order, done }) => {
                let outcome = self.session.order(now, order, &mut self.effects);
                // Whoever asked may have left.
                let _gone = done.send(outcome);
            }
            Event::Cancelled => {
                let order = BridgeOrder::HandOver {
                    reason: "the backend goes down".into(),
                };
                let _over = self.session.order(now, order, &mut self.effects);
            }
        }
        self.look_for_listeners(now);
    }

    fn agent_wire(&mut self, now: Duration, wire: &Wire) {
        let Some(agent) = &mut self.agent else {
            return;
        };
        let vendor = agent.codec().vendor();
        if let Ok(words) = agent.codec().decode(wire) {
            for word in words {
                self.step(now, Input::Agent(word));
            }
        } else {
            count_garbage(vendor);
            self.step(now, Input::AgentGarbage);
        }
    }

    fn step(&mut self, now: Duration, input: Input) {
        self.session.step(now, input, &mut self.effects);
    }

    fn look_for_listeners(&mut self, now: Duration) {
        if now.saturating_sub(self.listeners_at) >= LISTENERS_EVERY {
            self.listeners_at = now;
            let listening = self.tap.listeners() > 0;
            self.session.set_listening(now, listening);
        }
    }

    /// Performs the effects in their order. What goes over the sockets is written before any fact
    /// is told.
    fn carry_out(&mut self, now: Duration) {
        // Performing may bring new effects (audio that had to go); they get their turn.
        while !self.effects.list.is_empty() || !self.effects.taps.is_empty() {
            let mut effects = std::mem::take(&mut self.effects);
            for effect in effects.list.drain(..) {
                self.perform(now, effect);
            }
            for frame in effects.taps.drain(..) {
                self.tap.send(frame);
            }
            if self.effects.list.is_empty() {
                // The same buffer for the next step.
                self.effects = effects;
            }
        }
        self.write_now();
        if self.facts.wants_reaction() {
            let reaction = self.now().saturating_sub(now);
            metrics::histogram!("wallboard_barge_in_seconds").record(reaction.as_secs_f64());
            self.facts.set_reaction(reaction);
        }
        self.facts.offer(self.core);
    }

    /// Gives the sockets what waits for them, as far as they take it now. An error shows again, and
    /// is dealt with, when the loop polls.
    fn write_now(&mut self) {
        let now = self.now();
        if self.carrier.wants_write() {
            let mut cx = Context::from_waker(self.bells.waker(Source::Carrier));
            if self.carrier.poll_write(&mut cx, now).is_err() {
                self.bells.ring(Source::Carrier);
            }
        }
        let Some(agent) = &mut self.agent else { return };
        if agent.wants_write() {
            let mut cx = Context::from_waker(self.bells.waker(Source::Agent));
            if agent.poll_write(&mut cx, now).is_err() {
                self.bells.ring(Source::Agent);
            }
        }
    }

    fn rearm(&mut self, now: Duration) {
        let wanted = now + self.session.tick_within();
        let has_fired = self.timer.is_elapsed();
        if has_fired || wanted < self.timer_at {
            self.timer_at = wanted;
            let within = wanted.saturating_sub(now);
            self.timer
                .as_mut()
                .reset(tokio::time::Instant::now() + within);
            self.bells.ring(Source::Timer);
        }
    }

    /// The stream is over: both sockets closed, the last facts told.
    async fn leave(mut self: Box<Self>) {
        self.close_agent();
        self.write_now();
        let Self {
            core,
            carrier,
            facts,
            hanging_up,
            orders,
            ..
        } = *self;
        tokio::join!(
            async {
                if let Some(socket) = carrier.into_socket() {
                    say_goodbye(socket).await;
                }
            },
            facts.finish(core, LAST_WORDS_WITHIN),
            async {
                // A hang-up under way is seen through: the carrier may have closed the stream first.
                if let Some(hanging_up) = hanging_up {
                    let _logged_by_its_owner = hanging_up.await;
                }
            },
        );
        // Whoever replaces this stream waits for this.
        drop(orders);
    }
}

/// A stream that has run dry has nothing to say until somebody rings for it.
fn some<T>(polled: Poll<Option<T>>) -> Poll<T> {
    match polled {
        Poll::Ready(Some(item)) => Poll::Ready(item),
        Poll::Ready(None) | Poll::Pending => Poll::Pending,
    }
}

/// Polls what may be under way; done, it is gone.
fn poll_once<F: Future + ?Sized>(
    under_way: &mut Option<Pin<Box<F>>>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let Some(future) = under_way else {
        return Poll::Pending;
    };
    let polled = future.as_mut().poll(cx);
    if polled.is_ready() {
        *under_way = None;
    }
    polled
}

fn failure_of(error: &AgentError) -> AgentFailure {
    match error {
        AgentError::Unauthorized | AgentError::Refused(_) => AgentFailure::Refused,
        AgentError::RateLimited => AgentFailure::Busy,
        AgentError::Unreachable(_) => AgentFailure::Unreachable,
        AgentError::Timeout => AgentFailure::TimedOut,
    }
}

fn count_garbage(vendor: &'static str) {
    metrics::counter!("wallboard_unreadable_messages_total", "vendor" => vendor).increment(1);
}
