//! Attention: which call needs a human, and why. Looks at every live call twice a second, runs its
//! detectors on the board and the gauges, and posts what begins and what ends.

mod detector;
mod signs;
mod similarity;
mod thresholds;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use crate::call::{CallId, Fact};

use super::{Core, PostError, Target};

pub use detector::Detector;
pub use thresholds::{Bounds, Thresholds};

/// How often calls are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Starts looking. Ends when the core's tasks are cancelled.
pub fn watch_calls(core: &Core, limits: Thresholds) {
    let tasks = core.tasks.clone();
    let core = core.clone();
    tasks.spawn("attention", async move {
        let mut detectors: HashMap<CallId, Detector> = HashMap::new();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: a tick that loses is simply taken later.
            tokio::select! {
                biased;
                () = core.tasks.token().cancelled() => return,
                _ = ticks.tick() => {}
            }
            for (call, facts) in look(&core, &mut detectors, &limits) {
                for fact in &facts {
                    if let Fact::AlertRaised { alert } = fact {
                        metrics::counter!("wallboard_alerts_total",
                            "rule" => alert.rule.clone(), "severity" => severity_word(alert.severity))
                        .increment(1);
                    }
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

fn severity_word(severity: crate::call::Severity) -> &'static str {
    match severity {
        crate::call::Severity::Info => "info",
        crate::call::Severity::Warn => "warn",
        crate::call::Severity::Critical => "critical",
    }
}

fn look(
    core: &Core,
    detectors: &mut HashMap<CallId, Detector>,
    limits: &Thresholds,
) -> Vec<(CallId, Vec<Fact>)> {
    let (now, at) = (core.clock.elapsed(), core.clock.now());
    let live: Vec<CallId> = core
        .switchboard
        .read(|board| board.live().map(|call| call.id).collect());
    detectors.retain(|call, _| live.contains(call));
    let gauges: HashMap<CallId, _> = core
        .gauges
        .read(&live)
        .into_iter()
        .map(|gauge| (gauge.call, gauge))
        .collect();
    let mut news = Vec::new();
    for id in live {
        let facts = core.switchboard.read(|board| {
            board.get(id).map(|call| {
                detectors
                    .entry(id)
                    .or_default()
                    .observe(now, at, call, gauges.get(&id), limits)
            })
        });
        if let Some(facts) = facts.filter(|facts| !facts.is_empty()) {
            news.push((id, facts));
        }
    }
    news
}
