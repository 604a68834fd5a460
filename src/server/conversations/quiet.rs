//! Observed calls nobody tells of any more: the event that should have ended them was lost.

use std::sync::Arc;
use std::time::Duration;

use crate::call::{CallId, CallStatus, Fact, Source};
use crate::engine::Target;

use super::super::state::App;

const EVERY: Duration = Duration::from_secs(60);
/// Longer than vendors let a conversation last without a word.
const FORGOTTEN_AFTER: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Ends observed calls that have been silent for an hour and whose carrier cannot be asked, and says
/// that this is why.
pub(in crate::server) fn end_forgotten(app: &Arc<App>) {
    let app = Arc::clone(app);
    let tasks = app.tasks.clone();
    tasks.spawn("forgotten conversations", async move {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: a tick that loses is taken later.
            tokio::select! {
                biased;
                () = app.stopping().cancelled() => return,
                _ = ticks.tick() => {}
            }
            for call in forgotten(&app) {
                if app.core.ask_carrier(call) {
                    continue;
                }
                let gone = Fact::CallEnded {
                    status: CallStatus::Completed,
                    ended_by: None,
                    cause: Some("nothing was told of this conversation for an hour".into()),
                    duration_s: None,
                    source: Source::Webhook,
                };
                if let Err(error) = app
                    .core
                    .switchboard
                    .post(Target::Call(call), vec![gone])
                    .await
                {
                    tracing::debug!(%error, "a forgotten conversation found no board");
                }
            }
        }
    });
}

fn forgotten(app: &App) -> Vec<CallId> {
    let before = app.core.clock.now() - FORGOTTEN_AFTER;
    app.core.switchboard.read(|board| {
        board
            .live()
            .filter(|call| call.facts.observed && call.updated_at < before)
            .map(|call| call.id)
            .collect()
    })
}
