//! How a session ends: hearing the agent out, handing over to the fallback, the last words.

use std::time::Duration;

use crate::call::{AgentLink, Fact, MediaLink, text};

use super::super::{Effect, Effects};
use super::{End, HOUSEKEEPING, Phase, Session, trouble};

/// Queued agent audio may be this old when the agent hangs up; longer is not waited for.
const DRAIN_MAX: Duration = Duration::from_secs(35);
/// Lost audio is told at most this often.
const LOSS_TOLD_EVERY: Duration = Duration::from_secs(10);

impl Session {
    /// The agent is done: let the caller hear it out, then hang up.
    pub(super) fn drain(&mut self, now: Duration, reason: String) {
        if self.phase == Phase::Talking {
            self.phase = Phase::Draining {
                reason,
                until: now + DRAIN_MAX,
            };
        }
    }

    pub(super) fn fall_back(&mut self, now: Duration, reason: &str, effects: &mut Effects) {
        self.close_carrier(now, End::Fallback, reason, effects);
    }

    pub(super) fn close_carrier(
        &mut self,
        now: Duration,
        end: End,
        reason: &str,
        effects: &mut Effects,
    ) {
        effects.push(Effect::CloseCarrier {
            reason: reason.to_owned(),
        });
        self.finish(now, end, reason, effects);
    }

    /// Everything there is to say at the end of a stream, once.
    pub(super) fn finish(&mut self, now: Duration, end: End, reason: &str, effects: &mut Effects) {
        let reason = text::clean_label(reason).into_owned();
        self.housekept_at = now;
        self.turns.tell_stale(now + HOUSEKEEPING * 10, effects);
        self.conversation_ended(&reason, effects);
        self.link.close();
        effects.push(Effect::CloseAgent);
        let (link, because) = match end {
            End::Fallback => (AgentLink::Fallback, Some(reason.clone())),
            End::Orderly | End::Lost => (AgentLink::None, None),
        };
        effects.fact(Fact::AgentLinkChanged {
            link,
            reason: because,
            attempt: None,
        });
        let mut summary = self.health.summary(now);
        summary.turns = self.turns.count();
        summary.turn_p50_ms = self.turns.percentile_ms(50);
        summary.turn_p95_ms = self.turns.percentile_ms(95);
        summary.interruptions = self.turns.interruptions();
        summary.frames_out = self.voice.frames_out();
        summary.frames_dropped += self.caller.overflowed();
        effects.fact(Fact::CallSummarised { summary });
        effects.fact(Fact::StreamStopped {
            stream_id: self.plan.stream_id.clone(),
            reason: reason.clone(),
        });
        if end == End::Lost {
            // After the stop, which would otherwise hide it.
            effects.fact(Fact::MediaLinkChanged {
                link: MediaLink::Lost,
                reason: Some(reason),
            });
        }
        self.phase = Phase::Over;
    }

    pub(super) fn conversation_ended(&mut self, reason: &str, effects: &mut Effects) {
        if let Some(conversation_id) = self.conversation.take() {
            effects.fact(Fact::ConversationEnded {
                conversation_id,
                reason: text::clean_label(reason).into_owned(),
                duration_ms: None,
            });
        }
    }

    pub(super) fn lost_audio(
        &mut self,
        now: Duration,
        count: u64,
        code: &str,
        effects: &mut Effects,
    ) {
        self.health.frames_dropped += count;
        let told = self
            .loss_told_at
            .is_some_and(|at| now.saturating_sub(at) < LOSS_TOLD_EVERY);
        if count > 0 && !told {
            self.loss_told_at = Some(now);
            effects.fact(trouble(code, "a socket did not take audio fast enough"));
        }
    }
}
