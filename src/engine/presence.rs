//! Who has a screen open. An operator who took a call over and whose last screen is gone (a lost
//! terminal, a cut line) must not leave a caller with a silent agent: after a while the call goes
//! back to it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::call::{Action, Call, CallId, Command, CommandId, Grant, Role};

use super::Core;
use super::house::POLICY;

/// How long an operator may be away before calls they took over go back to the agent.
pub const AWAY_MAX: Duration = Duration::from_secs(10);
/// The same for an operator without a screen (HTTP, command line), from their last word on the call.
pub const LEASE: Duration = Duration::from_secs(60);

/// Screens open, by operator. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    screens: Arc<Mutex<HashMap<String, usize>>>,
}

/// One open screen; dropping it is leaving.
#[derive(Debug)]
pub struct Present {
    core: Core,
    user: String,
}

impl Presence {
    pub fn is_here(&self, user: &str) -> bool {
        self.lock().contains_key(user)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, usize>> {
        self.screens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Says that an operator has a screen open, until the result is dropped. One for every
    /// connection that can lose its operator; requests that come and go need none.
    pub fn enter(&self, user: &str) -> Present {
        *self.presence.lock().entry(user.to_owned()).or_default() += 1;
        Present {
            core: self.clone(),
            user: user.to_owned(),
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut screens = self.core.presence.lock();
        let left = match screens.get_mut(&self.user) {
            Some(count) => {
                *count -= 1;
                *count
            }
            None => 0,
        };
        if left > 0 {
            return;
        }
        screens.remove(&self.user);
        drop(screens);
        let token = self.core.tasks.token().clone();
        if token.is_cancelled() || taken_over(&self.core, &self.user).is_empty() {
            return;
        }
        let (core, user) = (self.core.clone(), self.user.clone());
        self.core.tasks.spawn("absent operator", async move {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = tokio::time::sleep(AWAY_MAX) => {}
            }
            if !core.presence.is_here(&user) {
                hand_back(&core, &user).await;
            }
        });
    }
}

/// Watches over a call taken over by somebody without a screen: it goes back to the agent once they
/// have said nothing for [`LEASE`].
pub(super) fn lease(core: &Core, call: CallId, user: &str) {
    if core.presence.is_here(user) {
        return;
    }
    let (core, user) = (core.clone(), user.to_owned());
    core.tasks.clone().spawn("take-over lease", async move {
        let token = core.tasks.token().clone();
        loop {
            let before = last_word(&core, call, &user);
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = tokio::time::sleep(LEASE) => {}
            }
            if !taken_over(&core, &user).contains(&call) || core.presence.is_here(&user) {
                return;
            }
            if last_word(&core, call, &user) == before {
                hand_back(&core, &user).await;
                return;
            }
        }
    });
}

/// The newest command of an operator on a call.
fn last_word(core: &Core, call: CallId, user: &str) -> Option<CommandId> {
    core.switchboard.read(|board| {
        let actions = &board.get(call)?.actions;
        let last = actions.iter().rev().find(|action| action.by == user)?;
        Some(last.command)
    })
}

/// Calls whose agent is silent because this operator has the floor.
fn taken_over(core: &Core, user: &str) -> Vec<CallId> {
    let has_floor = |call: &&Call| call.held_by.as_deref() == Some(user);
    core.switchboard.read(|board| {
        let live = board.live().filter(has_floor);
        live.map(|call| call.id).collect()
    })
}

async fn hand_back(core: &Core, user: &str) {
    for call in taken_over(core, user) {
        let command = Command {
            id: core.clock.command_id(),
            call: Some(call),
            action: Action::HandBack { note: None },
            reason: Some(format!("{user} is gone")),
        };
        // A call somebody else has taken over is released by an admin only.
        let grant = Grant::of(POLICY, Role::Admin);
        let reply = core.command(&grant, command).await;
        if let Some(refusal) = reply.error {
            tracing::warn!(%refusal, "a call could not be given back to its agent");
        }
    }
}
