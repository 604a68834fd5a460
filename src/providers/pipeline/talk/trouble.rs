//! What happens when a part gives nothing: the caller is told in words, and after too many failures
//! the carrier's fallback takes over.

use crate::bridge::AgentIn;

use super::super::{Part, PartFailure};
use super::{Do, Talk};

/// Failed turns in a row until the agent is given up.
const FAILURES_MAX: u32 = 3;

impl Talk {
    /// A turn came to nothing because of this part.
    pub(super) fn failed(&mut self, part: Part, failure: &PartFailure) {
        self.trouble(part, failure);
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            self.give_up(part, failure);
            return;
        }
        // A caller who is speaking is not talked over with an apology.
        if !self.ear.is_hearing() && self.answer.is_none() {
            self.say_fallback();
        }
    }

    /// Speech of a piece failed. The rest of the answer is not spoken either, but its words stand.
    pub(super) fn not_spoken(&mut self, failure: &PartFailure, was_fallback: bool) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        for job in answer.jobs() {
            self.out.push(Do::Stop(job));
        }
        let (line, written) = answer.into_words();
        if !written.trim().is_empty() {
            self.say(AgentIn::AgentText {
                utterance: line,
                text: written.trim().to_owned(),
                interim: false,
            });
        }
        if was_fallback {
            // Nothing can be said at all: the carrier's own voice is better than silence.
            self.give_up(Part::Tts, failure);
        } else {
            self.failed(Part::Tts, failure);
        }
    }

    /// Tells operators.
    pub(super) fn trouble(&mut self, part: Part, failure: &PartFailure) {
        self.say(AgentIn::Trouble {
            code: format!("{}_failed", part.key()),
            message: format!("{} {failure}", part.name()),
        });
    }

    fn give_up(&mut self, part: Part, failure: &PartFailure) {
        self.say(AgentIn::Refused {
            reason: format!("{} {failure}", part.name()),
        });
    }
}
