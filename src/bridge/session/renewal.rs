//! Vendors that end every conversation after a while: another one takes over shortly before, at a
//! moment at which nobody speaks. The caller notices nothing but a breath.

use std::time::Duration;

use crate::call::{AgentLink, Fact, Track};

use super::super::{Effect, Effects};
use super::Session;

/// Of the time a conversation lasts: when to begin looking for a quiet moment (55 of 60 minutes),
/// and when not to wait for one any longer (59).
const LOOK_FROM: f64 = 55.0 / 60.0;
const AT_THE_LATEST: f64 = 59.0 / 60.0;
/// A moment is quiet when the agent was heard out this long ago.
const QUIET: Duration = Duration::from_millis(700);
const REASON: &str = "the vendor's time limit is near: a new conversation takes over";

/// When this conversation is to be followed by another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renewal {
    look_from: Duration,
    at_the_latest: Duration,
}

impl Session {
    /// The vendor ends this conversation `max` from now.
    pub(super) fn lasts(&mut self, now: Duration, max: Duration) {
        self.renewal = Some(Renewal {
            look_from: now + max.mul_f64(LOOK_FROM),
            at_the_latest: now + max.mul_f64(AT_THE_LATEST),
        });
    }

    pub(super) fn watch_renewal(&mut self, now: Duration, effects: &mut Effects) {
        let Some(renewal) = self.renewal.filter(|_| self.link.is_ready()) else {
            return;
        };
        let is_quiet = self.is_quiet(now);
        let is_due = now >= renewal.at_the_latest || (now >= renewal.look_from && is_quiet);
        if !is_due {
            return;
        }
        self.renewal = None;
        // Whoever is cut short goes on in the next conversation.
        self.caller_is_next = is_quiet;
        self.conversation_ended(REASON, effects);
        effects.push(Effect::CloseAgent);
        self.link.renew(now);
        effects.fact(Fact::AgentLinkChanged {
            link: AgentLink::Reconnecting,
            reason: Some(REASON.to_owned()),
            attempt: None,
        });
        effects.push(Effect::ConnectAgent {
            after: Duration::ZERO,
        });
    }

    /// The agent has said something, it was heard, and nobody has answered yet.
    fn is_quiet(&self, now: Duration) -> bool {
        let last = self.turns.lines().last();
        last.is_some_and(|(track, _)| track == Track::FromAgent)
            && self.voice.is_drained(now, QUIET)
            && !self.vendor_hears
            && !self.health.is_caller_speaking()
    }
}
