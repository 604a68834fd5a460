//! Bringing the board back in line with the carriers: after a restart, and for webhooks that never
//! came. The carrier's REST is the judge; nothing here guesses.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use tokio::time::{Instant, MissedTickBehavior};

use crate::call::{
    ActionState, AgentLink, Call, CallFacts, CallId, CallStatus, Direction, Fact, MediaLink,
    Severity, Source,
};

use super::Core;
use super::backoff::Backoff;
use super::clock::random;
use super::ports::{CarrierCall, CarrierControl, CarrierError, StoreError};
use super::switchboard::Target;

/// How often the carriers are asked for their live calls: a missing end is healed within twice
/// this.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How long one request to a carrier may take here.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// A call nothing was heard of for this long and that its carrier does not list is looked up.
const QUIET: Duration = Duration::from_secs(5);
/// A call nothing was heard of for this long is looked up even where there is no list, and given
/// up if the carrier has never named it.
const GHOST: Duration = Duration::from_secs(60);
/// Look-ups of single calls at once.
const LOOK_UPS: usize = 8;

/// What a start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Calls that had not ended when the last run did.
    pub restored: usize,
}

impl Core {
    /// Puts the calls of the last run back on the board, with what a restart has done to them: no
    /// stream, no agent, no listener. Local and quick; call it before anything is accepted. What
    /// has become of them since is asked of the carriers by [`Core::keep_house`].
    ///
    /// # Errors
    /// The journal cannot be read. The backend can run all the same; a notice says what is missing.
    pub async fn recover(&self) -> Result<Recovered, StoreError> {
        for notice in self.journal.opening_notices() {
            self.post_about(None, vec![notice]).await;
        }
        let calls = match self.journal.unfinished().await {
            Ok(calls) => calls,
            Err(error) => {
                let text = format!(
                    "calls of the last run could not be read back ({error}); the carriers are asked"
                );
                let failed = notice(Severity::Critical, "recovery_failed", text);
                self.post_about(None, vec![failed]).await;
                return Err(error);
            }
        };
        let restored = calls.len();
        let losses: Vec<(CallId, Vec<Fact>)> =
            calls.iter().map(|call| (call.id, lost_by(call))).collect();
        if self.switchboard.restore(calls).await.is_err() {
            return Ok(Recovered::default());
        }
        for (call, facts) in losses {
            self.post_about(Some(call), facts).await;
        }
        Ok(Recovered { restored })
    }

    /// Asks the carrier what has become of a call, where we may ask it. `false`: this carrier is not
    /// ours to ask, so somebody else's word has to do.
    pub fn ask_carrier(&self, call: CallId) -> bool {
        let carrier = self
            .switchboard
            .read(|board| board.get(call).map(|call| call.facts.carrier.clone()));
        if !carrier.is_some_and(|name| self.carriers.contains_key(name.as_str())) {
            return false;
        }
        let core = self.clone();
        self.tasks.spawn("look up", async move {
            let token = core.tasks.token().clone();
            // A question that is cut short is asked again by the sweep.
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                () = look_up(&core, call) => {}
            }
        });
        true
    }

    /// Posts what is only lost when the call has left the board or the backend ends.
    pub(super) async fn post_about(&self, call: Option<CallId>, facts: Vec<Fact>) {
        let target = call.map_or(Target::Backend, Target::Call);
        if let Err(error) = self.switchboard.post(target, facts).await {
            tracing::debug!(%error, "a fact found no board");
        }
    }
}

pub(super) fn notice(severity: Severity, code: &str, text: impl Into<String>) -> Fact {
    Fact::Notice {
        severity,
        code: code.into(),
        text: text.into(),
    }
}

/// What a restart takes from a call.
fn lost_by(call: &Call) -> Vec<Fact> {
    let why = || Some("the backend restarted".to_owned());
    let mut facts = Vec::new();
    if call.media_link == MediaLink::Up {
        facts.push(Fact::MediaLinkChanged {
            link: MediaLink::Lost,
            reason: why(),
        });
    }
    // The conversation of a call we only observe does not pass through here: nothing broke.
    if !call.facts.observed && !matches!(call.agent_link, AgentLink::None | AgentLink::Lost) {
        facts.push(Fact::AgentLinkChanged {
            link: AgentLink::Lost,
            reason: why(),
            attempt: None,
        });
    }
    facts.extend(call.listeners.iter().map(|known| Fact::ListenerLeft {
        listener: known.listener.clone(),
        by: known.by.clone(),
    }));
    facts.extend(call.held_by.iter().map(|by| Fact::HandedBack {
        by: by.clone(),
        note: None,
    }));
    let open = call.actions.iter();
    facts.extend(
        open.filter(|action| action.state == ActionState::Accepted)
            .map(|action| Fact::CommandUnconfirmed {
                command: action.command,
                verb: action.verb.clone(),
                by: action.by.clone(),
            }),
    );
    facts
}

/// Sweeps until the tasks end, the first time at once.
pub(super) fn keep_sweeping(core: &Core) {
    let tasks = core.tasks.clone();
    let core = core.clone();
    tasks.spawn("sweep", async move {
        let mut sweeper = Sweeper::new(&core);
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let token = core.tasks.token().clone();
        loop {
            // A sweep that is cut short has posted only what it knew.
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = async {
                    ticks.tick().await;
                    sweeper.sweep(&core).await;
                } => {}
            }
        }
    });
}

/// What a sweep remembers of the ones before.
#[derive(Debug)]
struct Sweeper {
    /// `seq` of each live call and since when it stands still.
    still: HashMap<CallId, (u64, Instant)>,
    carriers: HashMap<&'static str, Reach>,
    started_at: chrono::DateTime<chrono::Utc>,
}

/// Whether a carrier's REST answers.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    failed: u32,
    not_before: Option<Instant>,
}

/// A live call as a sweep sees it.
#[derive(Debug)]
struct Seen {
    id: CallId,
    carrier_call_id: Option<String>,
    status: CallStatus,
    transfer_to: Option<String>,
    quiet: Duration,
}

impl Sweeper {
    fn new(core: &Core) -> Self {
        Self {
            still: HashMap::new(),
            carriers: HashMap::new(),
            started_at: core.clock.now(),
        }
    }

    async fn sweep(&mut self, core: &Core) {
        let now = Instant::now();
        let seen = self.look(core, now);
        let due = core.carriers.iter().filter(|(name, _)| {
            let reach = self.carriers.get(*name).copied().unwrap_or_default();
            reach.not_before.is_none_or(|until| until <= now)
        });
        let asked = due.map(|(name, carrier)| async {
            let listed = tokio::time::timeout(REQUEST_WITHIN, carrier.live_calls()).await;
            let listed = listed
                .unwrap_or_else(|_| Err(CarrierError::Unreachable("no answer within 10 s".into())));
            (*name, Arc::clone(carrier), listed)
        });
        for (name, carrier, listed) in join_all(asked).await {
            let calls = seen.get(name).map(Vec::as_slice).unwrap_or_default();
            match listed {
                Ok(listed) => {
                    self.reached(core, name).await;
                    match_up(core, &carrier, calls, listed).await;
                }
                Err(CarrierError::Unsupported(_)) => {
                    let ghosts = calls.iter().filter(|call| call.quiet >= GHOST);
                    look_up_all(core, ghosts.map(|call| call.id).collect()).await;
                }
                Err(error) => self.unreached(core, name, &error).await,
            }
        }
    }

    /// The live calls by carrier, and for how long nothing was heard of each.
    fn look(&mut self, core: &Core, now: Instant) -> HashMap<String, Vec<Seen>> {
        let mut seen: HashMap<String, Vec<Seen>> = HashMap::new();
        let mut live = HashSet::new();
        core.switchboard.read(|board| {
            for call in board.live() {
                live.insert(call.id);
                let still = self.still.entry(call.id).or_insert((call.seq, now));
                if still.0 != call.seq {
                    *still = (call.seq, now);
                }
                // A call of an earlier run has been quiet for as long as nobody was there.
                let quiet = if call.started_at < self.started_at {
                    QUIET
                } else {
                    Duration::ZERO
                };
                let call = Seen {
                    id: call.id,
                    carrier_call_id: call.facts.carrier_call_id.clone(),
                    status: call.status,
                    transfer_to: call.transfer.as_ref().map(|transfer| transfer.to.clone()),
                    quiet: quiet.max(now - still.1),
                };
                let carrier = board.get(call.id).map(|call| call.facts.carrier.clone());
                seen.entry(carrier.unwrap_or_default())
                    .or_default()
                    .push(call);
            }
        });
        self.still.retain(|id, _| live.contains(id));
        seen
    }

    async fn reached(&mut self, core: &Core, name: &'static str) {
        let reach = self.carriers.entry(name).or_default();
        if std::mem::take(reach).failed > 0 {
            let text = format!("{name} answers again");
            let back = notice(Severity::Info, "carrier_back", text);
            core.post_about(None, vec![back]).await;
        }
    }

    async fn unreached(&mut self, core: &Core, name: &'static str, error: &CarrierError) {
        let reach = self.carriers.entry(name).or_default();
        reach.failed = reach.failed.saturating_add(1);
        let rest = Backoff::PATIENT.after(reach.failed, u64::from_ne_bytes(random()));
        reach.not_before = rest.map(|rest| Instant::now() + rest);
        if reach.failed == 1 {
            let text = format!("{name} cannot be asked about its calls: {error}; they are kept");
            let lost = notice(Severity::Warn, "carrier_unreachable", text);
            core.post_about(None, vec![lost]).await;
        }
    }
}

/// Brings the calls of one carrier in line with its list.
async fn match_up(
    core: &Core,
    carrier: &Arc<dyn CarrierControl>,
    calls: &[Seen],
    listed: Vec<CarrierCall>,
) {
    let by_id: HashMap<&str, &CarrierCall> = listed
        .iter()
        .map(|call| (call.carrier_call_id.as_str(), call))
        .collect();
    let mut absent = Vec::new();
    for call in calls {
        match &call.carrier_call_id {
            Some(id) => match by_id.get(id.as_str()) {
                Some(found) if found.status.rank() > call.status.rank() => {
                    core.post_about(Some(call.id), vec![said(found)]).await;
                }
                Some(_) => {}
                None if call.quiet >= QUIET => absent.push(call.id),
                None => {}
            },
            None if call.quiet >= GHOST => {
                let gone = over(CallStatus::Failed, "the carrier never confirmed this call");
                core.post_about(Some(call.id), vec![gone]).await;
            }
            None => {}
        }
    }
    look_up_all(core, absent).await;
    let known: HashSet<&str> = calls
        .iter()
        .filter_map(|call| call.carrier_call_id.as_deref())
        .collect();
    for found in &listed {
        // The leg a transfer rings is part of a call we know.
        let leg = found.direction == Direction::Outbound
            && calls
                .iter()
                .any(|call| call.transfer_to.as_deref() == Some(found.to.as_str()));
        if !known.contains(found.carrier_call_id.as_str()) && !leg {
            adopt(core, carrier.name(), found).await;
        }
    }
}

/// Puts a call on the board that only the carrier knew of.
async fn adopt(core: &Core, carrier: &str, found: &CarrierCall) {
    let facts = CallFacts {
        carrier: carrier.to_owned(),
        carrier_call_id: Some(found.carrier_call_id.clone()),
        direction: found.direction,
        from: found.from.clone(),
        to: found.to.clone(),
        adopted: true,
        ..CallFacts::default()
    };
    let target = Target::Carrier {
        facts,
        status: found.status,
        started_at: found.started_at,
    };
    if let Err(error) = core.switchboard.post(target, Vec::new()).await {
        tracing::debug!(%error, "a call of the carrier found no board");
    }
}

async fn look_up_all(core: &Core, calls: Vec<CallId>) {
    iter(calls)
        .for_each_concurrent(LOOK_UPS, |call| look_up(core, call))
        .await;
}

/// Asks the carrier about one call and posts what it says. Does nothing for calls whose carrier or
/// carrier id is not known.
pub(super) async fn look_up(core: &Core, call: CallId) {
    if let Some(fact) = ask_about(core, call).await {
        core.post_about(Some(call), vec![fact]).await;
    }
}

async fn ask_about(core: &Core, call: CallId) -> Option<Fact> {
    let (facts, answered) = core.switchboard.read(|board| {
        let call = board.get(call).filter(|call| call.is_live())?;
        Some((call.facts.clone(), call.answered_at.is_some()))
    })?;
    let (carrier, carrier_call_id) = (facts.carrier, facts.carrier_call_id?);
    let carrier = core.carriers.get(carrier.as_str())?;
    let found = tokio::time::timeout(REQUEST_WITHIN, carrier.find(carrier_call_id)).await;
    match found {
        Ok(Ok(Some(found))) => Some(said(&found)),
        // The agent vendor may have placed it on an account of its own.
        Ok(Ok(None)) if facts.observed => None,
        // A call the carrier does not know cannot be live.
        Ok(Ok(None) | Err(CarrierError::AlreadyEnded)) => {
            let status = if answered {
                CallStatus::Completed
            } else {
                CallStatus::Failed
            };
            Some(over(status, "the carrier no longer knows this call"))
        }
        Ok(Err(_)) | Err(_) => None,
    }
}

/// What the carrier says of a call, as a fact.
fn said(found: &CarrierCall) -> Fact {
    if found.status.is_terminal() {
        return Fact::CallEnded {
            status: found.status,
            ended_by: None,
            cause: None,
            duration_s: found.duration_s,
            source: Source::Rest,
        };
    }
    Fact::StatusChanged {
        status: found.status,
        source: Source::Rest,
    }
}

fn over(status: CallStatus, cause: &str) -> Fact {
    Fact::CallEnded {
        status,
        ended_by: None,
        cause: Some(cause.to_owned()),
        duration_s: None,
        source: Source::Rest,
    }
}
