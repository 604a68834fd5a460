//! Attention: which call needs a human, and why. Looks at every live call twice a second, runs its
//! detectors on the board and the gauges, and posts what begins and what ends.

mod detector;
mod signs;
mod similarity;
mod standing;
mod thresholds;

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::call::{Action, CallId, Command, Fact, Grant};

use super::{Core, PostError, Target, reconcile};

pub use detector::Detector;
pub use thresholds::{Bounds, Thresholds, WatchWords};

/// How often calls are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// In whose name a call is ended that nobody speaks on.
const WATCHDOG: &str = "wallboard";

/// Starts looking. Ends when the core's tasks are cancelled.
pub fn watch_calls(core: &Core, limits: Thresholds) {
    let tasks = core.tasks.clone();
    let core = core.clone();
    tasks.spawn("attention", async move {
        let mut watch = Watch::default();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: a tick that loses is simply taken later.
            tokio::select! {
                biased;
                () = core.tasks.token().cancelled() => return,
                _ = ticks.tick() => {}
            }
            for (call, facts) in watch.look(&core, &limits) {
                for fact in &facts {
                    act_on(&core, call, fact);
                }
                match core.switchboard.post(Target::Call(call), facts).await {
                    // A call that left the board in the meantime needs no alert.
                    Ok(_) | Err(PostError::NoSuchCall) => {}
                    Err(_) => return,
                }
            }
        }
    });
}

/// What an alert sets going besides being shown.
fn act_on(core: &Core, call: CallId, fact: &Fact) {
    let Fact::AlertRaised { alert } = fact else {
        return;
    };
    metrics::counter!("wallboard_alerts_total",
        "rule" => alert.rule.clone(), "severity" => severity_word(alert.severity))
    .increment(1);
    if alert.rule == "ghost_call" {
        // Its carrier knows whether there is still a call.
        let asking = core.clone();
        core.tasks.spawn("ghost", async move {
            reconcile::look_up(&asking, call).await;
        });
    }
}

/// Ends a call on which the agent has never said a word, as the operator configured.
fn give_up(core: &Core, call: CallId, waited_s: f64) {
    let ending = core.clone();
    core.tasks.spawn("hopeless call", async move {
        let command = Command {
            id: ending.clock.command_id(),
            call: Some(call),
            action: Action::Terminate {},
            reason: Some(format!("no word of the agent for {waited_s:.0} s")),
        };
        let reply = ending.command(&Grant::admin(WATCHDOG), command).await;
        if let Some(refusal) = reply.error {
            tracing::warn!(%call, %refusal, "a silent call could not be ended");
        }
    });
}

fn severity_word(severity: crate::call::Severity) -> &'static str {
    match severity {
        crate::call::Severity::Info => "info",
        crate::call::Severity::Warn => "warn",
        crate::call::Severity::Critical => "critical",
    }
}

/// The detectors of all live calls.
#[derive(Debug, Default)]
struct Watch {
    detectors: HashMap<CallId, Detector>,
    given_up: HashSet<CallId>,
}

impl Watch {
    fn look(&mut self, core: &Core, limits: &Thresholds) -> Vec<(CallId, Vec<Fact>)> {
        let (now, at) = (core.clock.elapsed(), core.clock.now());
        let live: HashSet<CallId> = core
            .switchboard
            .read(|board| board.live().map(|call| call.id).collect());
        self.detectors.retain(|call, _| live.contains(call));
        self.given_up.retain(|call| live.contains(call));
        let ids: Vec<CallId> = live.into_iter().collect();
        let gauges: HashMap<CallId, _> = core
            .gauges
            .read(&ids)
            .into_iter()
            .map(|gauge| (gauge.call, gauge))
            .collect();
        let mut news = Vec::new();
        for id in ids {
            let detector = self.detectors.entry(id).or_default();
            let facts = core.switchboard.read(|board| {
                board
                    .get(id)
                    .map(|call| detector.observe(now, at, call, gauges.get(&id), limits))
            });
            if let Some(waited) = detector.is_hopeless(limits) {
                if self.given_up.insert(id) {
                    give_up(core, id, waited);
                }
            }
            if let Some(facts) = facts.filter(|facts| !facts.is_empty()) {
                news.push((id, facts));
            }
        }
        news
    }
}
