//! The loop of one bridge: what wakes it, what it does about it, how it leaves.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::bridge::{
    AgentFailure, BridgeOrder, CarrierCodec, CarrierIn, Effect, Effects, Input, Session,
    StreamStart, Wire,
};
use crate::call::{CallFacts, CallId, Fact, Limit};
use crate::engine::ports::{
    AgentConnection, AgentDialer, AgentError, BoxSocket, CarrierError, WireClosed,
};
use crate::engine::{CallPlan, Core, Order, StereoFrame, limits, tools};

use super::LAST_WORDS_WITHIN;
use super::brief::session_plan;
use super::facts::FactsOut;
use super::links::{AgentEnd, CarrierEnd, say_goodbye};

/// An agent's socket must be open within this, whatever its dialer thinks.
const DIAL_WITHIN: Duration = Duration::from_secs(10);
/// The carrier's REST must answer a hang-up within this.
const HANG_UP_WITHIN: Duration = Duration::from_secs(8);
/// How often listeners are looked for.
const LISTENERS_EVERY: Duration = Duration::from_millis(60);

/// Tools one agent may have running; further ones are refused at once.
const TOOLS_MAX: usize = 8;

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
    timer: Pin<Box<Sleep>>,
    timer_at: Duration,
    facts: FactsOut,
    tap: broadcast::Sender<StereoFrame>,
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
        let limits = limits::of(core, &about.facts.carrier, &plan.agent);
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
        self.carry_out(now).await;
        while !self.session.is_over() {
            let event = std::future::poll_fn(|cx| self.poll_event(cx)).await;
            let now = self.now();
            self.take(now, event);
            self.carry_out(now).await;
            self.rearm(self.now());
        }
        self.leave().await;
    }

    fn now(&self) -> Duration {
        self.core.clock.elapsed()
    }

    /// Control first, then the two sockets in turn, so that neither starves the other.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(cancelled) = &mut self.cancelled {
            if cancelled.as_mut().poll(cx).is_ready() {
                self.cancelled = None;
                return Poll::Ready(Event::Cancelled);
            }
        }
        if let Poll::Ready(Some(order)) = self.orders.poll_recv(cx) {
            return Poll::Ready(Event::Order(order));
        }
        self.agent_first = !self.agent_first;
        for agents_turn in [self.agent_first, !self.agent_first] {
            let polled = if agents_turn {
                self.poll_agent(cx)
            } else {
                self.poll_carrier(cx)
            };
            if polled.is_ready() {
                return polled;
            }
        }
        if let Some(hanging_up) = &mut self.hanging_up {
            if let Poll::Ready(result) = hanging_up.as_mut().poll(cx) {
                self.hanging_up = None;
                return Poll::Ready(Event::HungUp(result));
            }
        }
        if let Poll::Ready(Some(done)) = self.tools.poll_next_unpin(cx) {
            return Poll::Ready(Event::ToolDone(done));
        }
        self.timer.as_mut().poll(cx).map(|()| Event::Timer)
    }

    fn poll_carrier(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let now = self.core.clock.elapsed();
        if let Err(closed) = self.carrier.poll_write(cx, now) {
            return Poll::Ready(Event::CarrierClosed(closed));
        }
        self.carrier.poll_read(cx).map(|read| match read {
            Ok(wire) => Event::CarrierWire(wire),
            Err(closed) => Event::CarrierClosed(closed),
        })
    }

    fn poll_agent(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let now = self.core.clock.elapsed();
        if let Some(agent) = &mut self.agent {
            if let Err(closed) = agent.poll_write(cx, now) {
                return Poll::Ready(Event::AgentClosed(closed));
            }
            return agent.poll_read(cx).map(|read| match read {
                Ok(wire) => Event::AgentWire(wire),
                Err(closed) => Event::AgentClosed(closed),
            });
        }
        if let Some(dialling) = &mut self.dialling {
            if let Poll::Ready(result) = dialling.as_mut().poll(cx) {
                self.dialling = None;
                return Poll::Ready(Event::AgentDialled(result));
            }
        }
        Poll::Pending
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
            let listening = self.tap.receiver_count() > 0;
            self.session.set_listening(now, listening);
        }
    }

    /// Performs the effects in their order. What goes over the sockets is written before any fact
    /// is told.
    async fn carry_out(&mut self, now: Duration) {
        // Performing may bring new effects (audio that had to go); they get their turn.
        while !self.effects.list.is_empty() || !self.effects.taps.is_empty() {
            let mut effects = std::mem::take(&mut self.effects);
            for effect in effects.list.drain(..) {
                self.perform(now, effect);
            }
            for frame in effects.taps.drain(..) {
                // No listener is a normal state.
                let _nobody = self.tap.send(frame);
            }
            if self.effects.list.is_empty() {
                // The same buffer for the next step.
                self.effects = effects;
            }
        }
        self.write_now().await;
        if self.facts.wants_reaction() {
            let reaction = self.now().saturating_sub(now);
            metrics::histogram!("wallboard_barge_in_seconds").record(reaction.as_secs_f64());
            self.facts.set_reaction(reaction);
        }
        self.facts.offer(self.core);
    }

    fn perform(&mut self, now: Duration, effect: Effect) {
        match effect {
            Effect::ToCarrier(out) => {
                let dropped = self.carrier.push(out);
                if dropped > 0 {
                    metrics::counter!("wallboard_audio_dropped_total", "to" => "carrier")
                        .increment(dropped);
                    self.step(now, Input::ToCarrierDropped(dropped));
                }
            }
            Effect::ToAgent(out) => {
                let dropped = self.agent.as_mut().map_or(0, |agent| agent.push(out));
                if dropped > 0 {
                    metrics::counter!("wallboard_audio_dropped_total", "to" => "agent")
                        .increment(dropped);
                    self.step(now, Input::ToAgentDropped(dropped));
                }
            }
            Effect::Fact(fact) => self.facts.push(fact),
            Effect::Gauge(gauge) => self.core.gauges.set(gauge),
            Effect::ConnectAgent { after } => {
                self.close_agent();
                self.dialling = Some(dial(&self.plan.agent.dialer, after));
            }
            Effect::CloseAgent => self.close_agent(),
            Effect::PauseAgentRead => self.set_agent_reading(false),
            Effect::ResumeAgentRead => self.set_agent_reading(true),
            Effect::RunTool {
                tool_call_id,
                name,
                args,
            } => self.run_tool(tool_call_id, name, args),
            Effect::EndCall { reason } => self.end_call(&reason),
            // The loop ends with the session; the socket is closed on the way out.
            Effect::CloseCarrier { reason } => {
                tracing::debug!(call = %self.call, reason, "closing the carrier's stream");
            }
        }
    }

    fn run_tool(&mut self, tool_call_id: String, name: String, args: String) {
        let busy = self.tools.len() >= TOOLS_MAX;
        let running = tools::run(
            self.core,
            self.call,
            &self.plan.agent,
            tool_call_id.clone(),
            &name,
            &args,
        );
        self.tools.push(Box::pin(async move {
            let outcome = if busy {
                Err("too many tools are running".to_owned())
            } else {
                running.await
            };
            ToolDone {
                tool_call_id,
                name,
                outcome,
            }
        }));
    }

    fn set_agent_reading(&mut self, reading: bool) {
        if let Some(agent) = &mut self.agent {
            agent.reading = reading;
        }
    }

    fn close_agent(&mut self) {
        self.dialling = None;
        if let Some(agent) = self.agent.take() {
            self.core
                .tasks
                .spawn("agent goodbye", say_goodbye(agent.into_socket()));
        }
    }

    fn end_call(&mut self, reason: &str) {
        tracing::debug!(call = %self.call, reason, "the agent ended the call");
        let control = self
            .core
            .carriers
            .get(self.carrier_name.as_str())
            .map(std::sync::Arc::clone);
        let carrier_call_id = self.carrier_call_id.clone();
        self.hanging_up = Some(Box::pin(async move {
            let Some(control) = control else {
                return Err(CarrierError::Unsupported("hanging up"));
            };
            tokio::time::timeout(HANG_UP_WITHIN, control.hang_up(carrier_call_id))
                .await
                .unwrap_or_else(|_| Err(CarrierError::Unreachable("no answer in time".into())))
        }));
    }

    /// Gives the sockets what waits for them, as far as they take it now.
    async fn write_now(&mut self) {
        if !self.carrier.wants_write() && !self.agent.as_ref().is_some_and(AgentEnd::wants_write) {
            return;
        }
        std::future::poll_fn(|cx| {
            let now = self.core.clock.elapsed();
            // An error shows again, and is dealt with, when the loop polls.
            let _carrier = self.carrier.poll_write(cx, now);
            if let Some(agent) = &mut self.agent {
                let _agent = agent.poll_write(cx, now);
            }
            Poll::Ready(())
        })
        .await;
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
        }
    }

    /// The stream is over: both sockets closed, the last facts told.
    async fn leave(mut self: Box<Self>) {
        self.close_agent();
        self.write_now().await;
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

fn dial(dialer: &std::sync::Arc<dyn AgentDialer>, after: Duration) -> Dialling {
    let dialer = std::sync::Arc::clone(dialer);
    Box::pin(async move {
        if !after.is_zero() {
            tokio::time::sleep(after).await;
        }
        tokio::time::timeout(DIAL_WITHIN, dialer.connect())
            .await
            .unwrap_or(Err(AgentError::Timeout))
    })
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
