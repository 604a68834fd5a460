//! The pending overlay: what an operator asked for and what has come of it so far. It sits beside
//! the board and never edits it; it ends by the fact, by a refusal, or by its deadline.

use std::time::Duration;

use super::{Action, CallId, CommandId, Refusal};

/// How long a carrier's own word may take before the action counts as unconfirmed.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
/// How long a settled entry stays on the screen.
pub const SHOWN_AFTER: Duration = Duration::from_secs(8);
/// Entries kept; the oldest goes when it is full.
pub const PENDING_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub struct PendingAction {
    pub id: CommandId,
    pub call: Option<CallId>,
    pub action: Action,
    pub state: PendingState,
    /// Monotonic time of the last change, from the clock the caller passes in.
    pub since: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PendingState {
    /// Nothing was sent yet: the operator may still undo.
    Grace {
        until: Duration,
    },
    Sent,
    Accepted,
    Done,
    Refused(Refusal),
    Failed(String),
    Unconfirmed,
}

/// All that this operator is waiting for.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    entries: Vec<PendingAction>,
}

impl Pending {
    pub fn entries(&self) -> &[PendingAction] {
        &self.entries
    }

    pub fn of_call(&self, call: CallId) -> impl Iterator<Item = &PendingAction> {
        self.entries
            .iter()
            .filter(move |entry| entry.call == Some(call))
    }

    /// Adds an action in its grace: nothing is sent before `until`.
    pub fn hold(
        &mut self,
        now: Duration,
        id: CommandId,
        call: Option<CallId>,
        action: Action,
        until: Duration,
    ) {
        self.push(PendingAction {
            id,
            call,
            action,
            state: PendingState::Grace { until },
            since: now,
        });
    }

    /// Adds an action that was sent at once.
    pub fn sent(&mut self, now: Duration, id: CommandId, call: Option<CallId>, action: Action) {
        self.push(PendingAction {
            id,
            call,
            action,
            state: PendingState::Sent,
            since: now,
        });
    }

    fn push(&mut self, entry: PendingAction) {
        if self.entries.len() == PENDING_MAX {
            self.entries.remove(0);
        }
        self.entries.push(entry);
    }

    /// Takes back the newest action still in its grace, of one call or of any.
    pub fn undo(&mut self, call: Option<CallId>) -> Option<PendingAction> {
        let index = self.entries.iter().rposition(|entry| {
            matches!(entry.state, PendingState::Grace { .. })
                && (call.is_none() || entry.call == call)
        })?;
        Some(self.entries.remove(index))
    }

    /// Takes back what was held in the same moment as `entry`: the rest of a group.
    /// Returns how many.
    pub fn undo_with(&mut self, entry: &PendingAction) -> usize {
        let before = self.entries.len();
        self.entries.retain(|other| {
            let is_held = matches!(other.state, PendingState::Grace { .. });
            !(is_held && other.since == entry.since && other.action == entry.action)
        });
        before - self.entries.len()
    }

    /// Moves on with time: returns the actions whose grace is over and must be sent now.
    pub fn tick(&mut self, now: Duration) -> Vec<PendingAction> {
        let mut due = Vec::new();
        for entry in &mut self.entries {
            match entry.state {
                PendingState::Grace { until } if now >= until => {
                    entry.state = PendingState::Sent;
                    entry.since = now;
                    due.push(entry.clone());
                }
                PendingState::Sent | PendingState::Accepted
                    if now.saturating_sub(entry.since) >= CONFIRM_WITHIN =>
                {
                    entry.state = PendingState::Unconfirmed;
                    entry.since = now;
                }
                _ => {}
            }
        }
        self.entries.retain(|entry| {
            let settled = matches!(
                entry.state,
                PendingState::Done
                    | PendingState::Refused(_)
                    | PendingState::Failed(_)
                    | PendingState::Unconfirmed
            );
            !settled || now.saturating_sub(entry.since) < SHOWN_AFTER
        });
        due
    }

    /// Records what came of an action; an end that is known is never overwritten.
    pub fn settle(&mut self, now: Duration, id: CommandId, state: PendingState) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            let open = matches!(
                entry.state,
                PendingState::Sent | PendingState::Accepted | PendingState::Unconfirmed
            );
            if open {
                entry.state = state;
                entry.since = now;
            }
        }
    }

    /// When [`Pending::tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.entries
            .iter()
            .map(|entry| match entry.state {
                PendingState::Grace { until } => until,
                PendingState::Sent | PendingState::Accepted => entry.since + CONFIRM_WITHIN,
                _ => entry.since + SHOWN_AFTER,
            })
            .min()
    }
}
