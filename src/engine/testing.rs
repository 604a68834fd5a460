//! A carrier and a core for the tests of this crate. No network, no disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use futures_util::future::BoxFuture;

use crate::bridge::AgentBrief;
use crate::call::{Action, CallFacts, CallId, CallStatus, Command, Direction, Fact};

use super::ports::{
    AgentConnection, AgentDialer, AgentError, CarrierCall, CarrierControl, CarrierError, DialOrder,
    Journal, RecordingOrder,
};
use super::{AgentPlan, Clock, Core, CoreParts, MemoryJournal, Plans, Target, Tasks};

/// What the fake does when it is asked the next time.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Yes,
    No(CarrierError),
    /// Never answers.
    Silence,
}

#[derive(Debug, Default)]
pub(crate) struct Fake {
    /// What `find` and `live_calls` report.
    pub(crate) calls: BTreeMap<String, CarrierCall>,
    /// Answers to orders, first come first served; `Yes` when there are none left.
    pub(crate) answers: VecDeque<Answer>,
    pub(crate) unreachable: bool,
    pub(crate) hang_ups: Vec<String>,
    pub(crate) dials: Vec<DialOrder>,
    pub(crate) transfers: Vec<(String, String)>,
    pub(crate) records: Vec<RecordingOrder>,
    pub(crate) finds: usize,
    pub(crate) lists: usize,
    pub(crate) fetches: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FakeCarrier(Arc<Mutex<Fake>>);

impl FakeCarrier {
    pub(crate) fn state(&self) -> MutexGuard<'_, Fake> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state().answers.extend(answers);
    }

    pub(crate) fn reports(&self, id: &str, status: CallStatus, duration_s: Option<u32>) {
        let call = CarrierCall {
            carrier_call_id: id.into(),
            status,
            direction: Direction::Inbound,
            from: "+15551230000".into(),
            to: "+15557650000".into(),
            started_at: None,
            duration_s,
        };
        self.state().calls.insert(id.into(), call);
    }

    fn answer<T: Send + 'static>(&self, value: T) -> BoxFuture<'static, Result<T, CarrierError>> {
        let answer = self.state().answers.pop_front().unwrap_or(Answer::Yes);
        Box::pin(async move {
            match answer {
                Answer::Yes => Ok(value),
                Answer::No(error) => Err(error),
                Answer::Silence => std::future::pending().await,
            }
        })
    }

    fn looked<T: Send + 'static>(&self, value: T) -> BoxFuture<'static, Result<T, CarrierError>> {
        let unreachable = self.state().unreachable;
        Box::pin(async move {
            if unreachable {
                return Err(CarrierError::Unreachable("connection refused".into()));
            }
            Ok(value)
        })
    }
}

impl CarrierControl for FakeCarrier {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn dial(&self, order: DialOrder) -> BoxFuture<'static, Result<String, CarrierError>> {
        let mut state = self.state();
        state.dials.push(order);
        let id = format!("CAplaced{}", state.dials.len());
        drop(state);
        self.answer(id)
    }

    fn hang_up(&self, carrier_call_id: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        self.state().hang_ups.push(carrier_call_id);
        self.answer(())
    }

    fn transfer(
        &self,
        carrier_call_id: String,
        to: String,
    ) -> BoxFuture<'static, Result<(), CarrierError>> {
        self.state().transfers.push((carrier_call_id, to));
        self.answer(())
    }

    fn record(
        &self,
        _carrier_call_id: String,
        _recording: Option<String>,
        order: RecordingOrder,
    ) -> BoxFuture<'static, Result<String, CarrierError>> {
        self.state().records.push(order);
        self.answer("RE1".into())
    }

    fn live_calls(&self) -> BoxFuture<'static, Result<Vec<CarrierCall>, CarrierError>> {
        let mut state = self.state();
        state.lists += 1;
        let live = state
            .calls
            .values()
            .filter(|call| !call.status.is_terminal());
        let live = live.cloned().collect();
        drop(state);
        self.looked(live)
    }

    fn find(
        &self,
        carrier_call_id: String,
    ) -> BoxFuture<'static, Result<Option<CarrierCall>, CarrierError>> {
        let mut state = self.state();
        state.finds += 1;
        let found = state.calls.get(&carrier_call_id).cloned();
        drop(state);
        self.looked(found)
    }

    fn fetch_recording(
        &self,
        _recording: String,
    ) -> BoxFuture<'static, Result<Bytes, CarrierError>> {
        self.state().fetches += 1;
        self.answer(Bytes::from_static(b"RIFF"))
    }
}

#[derive(Debug)]
struct NoDialer;

impl AgentDialer for NoDialer {
    fn vendor(&self) -> &'static str {
        "elevenlabs"
    }

    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>> {
        Box::pin(async { Err(AgentError::Timeout) })
    }
}

pub(crate) fn agent(id: &str) -> AgentPlan {
    AgentPlan {
        id: id.into(),
        kind: "elevenlabs",
        dialer: Arc::new(NoDialer),
        brief: AgentBrief::default(),
        minutes_max: None,
        concurrent_max: None,
        extras: crate::engine::AgentExtras::default(),
    }
}

pub(crate) fn plans() -> Plans {
    Plans {
        agents: BTreeMap::from([("support".to_owned(), agent("support"))]),
        default_agent: Some("support".into()),
        ..Plans::default()
    }
}

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_795_219_200 + second, 0)
        .single()
        .expect("a valid second")
}

/// The parts of a core with one fake carrier, `twilio`, and one agent, `support`.
pub(crate) fn parts(journal: Arc<dyn Journal>) -> (CoreParts, FakeCarrier) {
    let carrier = FakeCarrier::default();
    let mut parts = CoreParts::new(Tasks::new(), Clock::staged(at(0)), journal);
    parts.carriers.insert("twilio", Arc::new(carrier.clone()));
    parts.plans = plans();
    (parts, carrier)
}

pub(crate) fn core() -> (Core, FakeCarrier, MemoryJournal) {
    let journal = MemoryJournal::new();
    let (parts, carrier) = parts(Arc::new(journal.clone()));
    (Core::new(parts), carrier, journal)
}

pub(crate) fn about(carrier_call_id: &str) -> CallFacts {
    CallFacts {
        carrier: "twilio".into(),
        carrier_call_id: Some(carrier_call_id.into()),
        from: "+15551230000".into(),
        to: "+15557650000".into(),
        ..CallFacts::default()
    }
}

pub(crate) fn carriers(carrier_call_id: &str, status: CallStatus) -> Target {
    Target::Carrier {
        facts: about(carrier_call_id),
        status,
        started_at: None,
    }
}

/// A call in progress on the board.
pub(crate) async fn live_call(core: &Core, carrier_call_id: &str) -> CallId {
    core.switchboard
        .post(
            carriers(carrier_call_id, CallStatus::InProgress),
            Vec::new(),
        )
        .await
        .expect("the switchboard runs")
        .call
        .expect("a call")
}

pub(crate) fn command(core: &Core, call: Option<CallId>, action: Action) -> Command {
    Command {
        id: core.clock.command_id(),
        call,
        action,
        reason: None,
    }
}

/// Waits for something to become true on the board, at most a (virtual) minute and a half.
pub(crate) async fn eventually(core: &Core, what: &str, mut look: impl FnMut(&Core) -> bool) {
    for _ in 0..9_000 {
        if look(core) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

/// The names of the command facts so far, in order, with their verbs.
pub(crate) fn outcomes(journal: &MemoryJournal) -> Vec<String> {
    let facts = journal.envelopes();
    let names = facts.iter().filter_map(|envelope| match &envelope.event {
        crate::call::CallEvent::Known(fact) => match fact {
            Fact::CommandAccepted { verb, .. } => Some(format!("accepted {verb}")),
            Fact::CommandDone { verb, .. } => Some(format!("done {verb}")),
            Fact::CommandFailed { verb, code, .. } => Some(format!("failed {verb} {code}")),
            Fact::CommandUnconfirmed { verb, .. } => Some(format!("unconfirmed {verb}")),
            _ => None,
        },
        crate::call::CallEvent::Unknown(_) => None,
    });
    names.collect()
}
