//! What the core does by itself while it runs, and how it goes down: policies, notices, sweeps,
//! recordings, draining.

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::future::join_all;

use crate::call::{
    Action, AnsweredBy, Call, CallEvent, CallId, Command, Direction, Envelope, Fact, Grant,
    Recording, RecordingState, Role, Severity,
};

use super::Core;
use super::bridges::BridgeOrder;
use super::feed::{Batch, Feed};
use super::leads;
use super::plan::OnMachine;
use super::ports::StoreHealth;
use super::reconcile::{keep_sweeping, notice};
use super::recordings::{Fetcher, served};

/// Who a policy acts as; shown to operators and in the audit trail.
pub(super) const POLICY: &str = "policy";
/// How often a drain looks whether the last bridge has ended.
const DRAIN_LOOKS: Duration = Duration::from_millis(100);
/// How long a bridge may take to hand its call over.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(5);

/// How a drain went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Bridges that were told to close so that the carrier goes on with the fallback.
    pub handed_over: usize,
    /// Bridges that did not close in time.
    pub stuck: usize,
}

impl Core {
    /// Starts what the core does by itself: asks the carriers about their calls at once and every
    /// 30 s, carries out policies, fetches recordings, reports when the disk fails. Call it once,
    /// after [`Core::recover`]. Everything ends with the core's tasks.
    pub fn keep_house(&self) {
        keep_sweeping(self);
        keep_policies(self);
        watch_store(self);
    }

    /// No new calls from now on; lets the present ones end for `grace`, then closes their bridges
    /// so that the carriers go on with each call's fallback. Drop the future to go at once.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.dialling.start_draining();
        let bridged = self.bridges.calls().len();
        let text = format!(
            "going down: no new calls, {bridged} present ones have {} s to end",
            grace.as_secs()
        );
        let draining = notice(Severity::Warn, "draining", text);
        self.post_about(None, vec![draining]).await;
        let ended = async {
            while !self.bridges.calls().is_empty() {
                tokio::time::sleep(DRAIN_LOOKS).await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_ok() {
            return Drained::default();
        }
        let left = self.bridges.calls();
        let orders = left.iter().map(|call| {
            let order = BridgeOrder::HandOver {
                reason: "the backend goes down".into(),
            };
            tokio::time::timeout(HAND_OVER_WITHIN, self.bridges.order(*call, order))
        });
        let outcomes = join_all(orders).await;
        let stuck = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        Drained {
            handed_over: left.len() - stuck,
            stuck,
        }
    }
}

/// Tells operators when the journal cannot write, and when it can again.
fn watch_store(core: &Core) {
    let Some(mut health) = core.journal.health() else {
        return;
    };
    let task = core.clone();
    core.tasks.spawn("store health", async move {
        let token = task.tasks.token().clone();
        let mut failing = false;
        loop {
            let now = health.borrow_and_update().clone();
            let news = match now {
                StoreHealth::Failing { reason, hint } => {
                    failing = true;
                    let text = format!("the journal cannot write ({reason}): {hint}; calls go on");
                    Some(notice(Severity::Critical, "store_failing", text))
                }
                StoreHealth::Good if std::mem::take(&mut failing) => Some(notice(
                    Severity::Info,
                    "store_recovered",
                    "the journal writes again",
                )),
                StoreHealth::Good => None,
            };
            if let Some(news) = news {
                task.post_about(None, vec![news]).await;
            }
            // Cancel-safe: `changed` marks nothing as seen before it returns.
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                changed = health.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    });
}

/// Follows the facts and acts on those a policy is about.
fn keep_policies(core: &Core) {
    let task = core.clone();
    core.tasks.spawn("policies", async move {
        let token = task.tasks.token().clone();
        let fetcher = Fetcher::new(&task);
        if let Some(fetcher) = &fetcher {
            fetcher.catch_up(&task, None);
        }
        // From the first fact on: nothing between the start and now is missed.
        let begin = Some((task.switchboard.epoch(), 0));
        let Ok(mut feed) = Feed::open(&task.switchboard, begin).await else {
            return;
        };
        loop {
            // Cancel-safe: `next` keeps what it has received.
            let batch = tokio::select! {
                biased;
                () = token.cancelled() => return,
                batch = feed.next() => batch,
            };
            match batch {
                Ok(Batch::Envelopes { items, .. }) => {
                    for envelope in items {
                        follow(&task, fetcher.as_ref(), &envelope);
                    }
                }
                // Facts were missed: look at what they have left.
                Ok(Batch::Snapshot { calls, .. }) => {
                    for call in calls {
                        catch_up(&task, fetcher.as_ref(), &call);
                    }
                }
                Err(_) => return,
            }
        }
    });
}

fn follow(core: &Core, fetcher: Option<&Fetcher>, envelope: &Envelope) {
    let (Some(id), CallEvent::Known(fact)) = (envelope.call, &envelope.event) else {
        return;
    };
    match fact {
        Fact::AnsweredBy { verdict, .. } if verdict.is_machine() => on_machine(core, id),
        Fact::CallSeen { .. } => leads::look_up(core, id),
        Fact::StreamStarted { .. } => on_stream(core, id),
        Fact::CallEnded { .. } => core.dialling.forget(id),
        Fact::RecordingChanged { recording }
            if recording.state == RecordingState::Completed && recording.url.is_none() =>
        {
            let Some(fetcher) = fetcher else {
                passed_through(core, id, recording);
                return;
            };
            let call = core
                .switchboard
                .read(|board| board.get(id).map(|call| call.trimmed(0)));
            match call {
                Some(call) => fetcher.look_at(core, &call),
                None => fetcher.catch_up(core, Some(id)),
            }
        }
        _ => {}
    }
}

/// Says where a recording is served that stays with the carrier.
fn passed_through(core: &Core, call: CallId, recording: &Recording) {
    let (task, recording) = (core.clone(), served(recording, &recording.id));
    core.tasks.spawn("recording", async move {
        let fact = Fact::RecordingChanged { recording };
        task.post_about(Some(call), vec![fact]).await;
    });
}

fn catch_up(core: &Core, fetcher: Option<&Fetcher>, call: &Call) {
    if let Some(fetcher) = fetcher {
        fetcher.look_at(core, call);
    }
    if call.is_live() {
        leads::look_up(core, call.id);
    }
    if !call.is_live() {
        core.dialling.forget(call.id);
    } else if call.answered_by.is_some_and(AnsweredBy::is_machine) {
        on_machine(core, call.id);
    }
}

/// Ends a call a machine has answered, where its route says so.
fn on_machine(core: &Core, id: CallId) {
    let ends = core.switchboard.read(|board| {
        board.get(id).is_some_and(|call| {
            let plan = core.plans.decide(call);
            call.is_live() && plan.is_ok_and(|plan| plan.on_machine == OnMachine::End)
        })
    });
    if ends {
        act(core, id, Action::Terminate {}, "answered by a machine");
    }
}

/// Records an inbound call whose route says so; of calls we place the carrier is told at once.
fn on_stream(core: &Core, id: CallId) {
    let records = core.switchboard.read(|board| {
        board.get(id).is_some_and(|call| {
            call.is_live()
                && call.facts.direction == Direction::Inbound
                && call.recordings.is_empty()
                && core.plans.decide(call).is_ok_and(|plan| plan.record)
        })
    });
    if records {
        act(core, id, Action::RecordStart {}, "its route says so");
    }
}

/// Does what a policy wants, by the same door operators use.
fn act(core: &Core, call: CallId, action: Action, reason: &'static str) {
    let task = core.clone();
    core.tasks.spawn("policy", async move {
        let command = Command {
            id: task.clock.command_id(),
            call: Some(call),
            action,
            reason: Some(reason.into()),
        };
        let grant = Grant::of(POLICY, Role::Operator);
        let reply = task.command(&grant, command).await;
        if let Some(refusal) = reply.error {
            tracing::info!(%refusal, reason, "a policy was not carried out");
        }
    });
}
