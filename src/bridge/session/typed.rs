//! Callers who write: their lines, and the key that makes the agent be quiet.

use std::time::Duration;

use crate::call::text;

use super::super::{AgentOut, Effects, Floor};
use super::{Phase, Session};

/// Lines kept until the agent is there; further ones push the oldest out.
const WAITING_MAX: usize = 4;

impl Session {
    /// What the caller wrote is their turn, said at once. It cuts the agent off as speech would.
    pub(super) fn typed(&mut self, now: Duration, words: String, effects: &mut Effects) {
        let words = text::clean(words.trim()).into_owned();
        if words.is_empty() || self.phase != Phase::Talking {
            return;
        }
        // As with a cough: a person's words are not taken back.
        if self.floor != Floor::Operator {
            self.hush(now, effects);
        }
        // Numbers no vendor gives out: the line is ours, whoever the agent is.
        self.typed_count += 1;
        let line = u64::MAX - self.typed_count;
        self.turns.caller_typed(line, &words, now, effects);
        match self.floor {
            Floor::Paused => return,
            // A person answers; the agent is to know of it and keep quiet.
            Floor::Operator if self.link.is_ready() => {
                let text = format!("The caller wrote: {words}");
                effects.tell_agent(AgentOut::Context { text });
                return;
            }
            Floor::Agent if self.link.is_ready() => {
                effects.tell_agent(AgentOut::Typed { text: words });
                return;
            }
            Floor::Agent | Floor::Operator => {}
        }
        if self.typed.len() == WAITING_MAX {
            self.typed.remove(0);
        }
        self.typed.push(words);
    }

    /// Nothing of what the agent is saying, or about to say, is wanted any more.
    pub(super) fn hush(&mut self, now: Duration, effects: &mut Effects) {
        if self.voice.is_playing(now) || !self.voice.is_empty() {
            let said = self.turns.newest_of_agent().unwrap_or_default();
            self.barge_in(now, said, effects);
        } else if self.link.is_ready() {
            effects.tell_agent(AgentOut::Cancel);
        }
    }
}
