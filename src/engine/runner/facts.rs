//! Facts on their way from a bridge to the switchboard: offered, never waited for. When the inbox is
//! full they wait here, interim lines are merged, and beyond the bound the least important go.

use std::time::Duration;

use crate::call::{CallId, Fact};
use crate::engine::{Core, PostError, Target};

/// Facts of one call that wait for a place in the inbox.
const WAITING_MAX: usize = 512;

#[derive(Debug)]
pub(super) struct FactsOut {
    call: CallId,
    waiting: Vec<Fact>,
    /// `waiting` holds facts an earlier offer could not place.
    is_late: bool,
    dropped: u64,
}

impl FactsOut {
    pub(super) fn new(call: CallId) -> Self {
        Self {
            call,
            waiting: Vec::new(),
            is_late: false,
            dropped: 0,
        }
    }

    pub(super) fn extend(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            self.push(fact);
        }
    }

    pub(super) fn push(&mut self, fact: Fact) {
        if self.is_late && self.merge(&fact) {
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            let interim = self
                .waiting
                .iter()
                .position(|fact| matches!(fact, Fact::UtteranceInterim { .. }));
            self.waiting.remove(interim.unwrap_or(0));
            self.dropped += 1;
        }
        self.waiting.push(fact);
    }

    /// A barge-in waits to learn how long the clear took.
    pub(super) fn wants_reaction(&self) -> bool {
        self.waiting.iter().any(|fact| {
            matches!(
                fact,
                Fact::BargedIn {
                    reaction_ms: None,
                    ..
                }
            )
        })
    }

    pub(super) fn set_reaction(&mut self, reaction: Duration) {
        let millis = u32::try_from(reaction.as_millis()).unwrap_or(u32::MAX);
        for fact in &mut self.waiting {
            if let Fact::BargedIn { reaction_ms, .. } = fact {
                reaction_ms.get_or_insert(millis);
            }
        }
    }

    /// Hands over what waits, if there is room.
    pub(super) fn offer(&mut self, core: &Core) {
        if self.waiting.is_empty() {
            return;
        }
        let facts = std::mem::take(&mut self.waiting);
        match core.switchboard.offer(self.call, facts) {
            Ok(()) => self.is_late = false,
            Err((facts, PostError::Full)) => {
                self.waiting = facts;
                self.is_late = true;
            }
            Err(_) => self.dropped += 1,
        }
    }

    /// The last facts: these may wait a little, the audio is gone anyway.
    pub(super) async fn finish(mut self, core: &Core, within: Duration) {
        if self.dropped > 0 {
            metrics::counter!("wallboard_bridge_facts_dropped_total").increment(self.dropped);
            self.waiting.push(Fact::TroubleNoted {
                code: "facts_dropped".into(),
                message: format!("{} facts of this call were lost to overload", self.dropped),
            });
        }
        if self.waiting.is_empty() {
            return;
        }
        let post = core.switchboard.post(Target::Call(self.call), self.waiting);
        match tokio::time::timeout(within, post).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(call = %self.call, %error, "last facts not taken"),
            Err(_) => tracing::warn!(call = %self.call, "the switchboard took no last facts"),
        }
    }

    /// A newer interim of the same line replaces the one that waits.
    fn merge(&mut self, fact: &Fact) -> bool {
        let Fact::UtteranceInterim { turn, track, .. } = fact else {
            return false;
        };
        let older = self.waiting.iter_mut().rev().find(|waiting| {
            matches!(waiting, Fact::UtteranceInterim { turn: t, track: k, .. } if t == turn && k == track)
        });
        match older {
            Some(older) => {
                older.clone_from(fact);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Track;

    fn interim(turn: u32, text: &str) -> Fact {
        Fact::UtteranceInterim {
            turn,
            track: Track::FromAgent,
            text: text.into(),
        }
    }

    #[test]
    fn waiting_facts_are_bounded_and_interims_go_first() {
        let mut out = FactsOut::new(CallId::from_parts(0, [0; 10]));
        out.is_late = true;
        out.push(interim(1, "a"));
        out.push(interim(1, "a b"));
        assert_eq!(out.waiting, [interim(1, "a b")]);
        for n in 0..WAITING_MAX {
            out.push(Fact::Dtmf {
                digit: n.to_string(),
            });
        }
        assert_eq!((out.waiting.len(), out.dropped), (WAITING_MAX, 1));
        assert_eq!(out.waiting[0], Fact::Dtmf { digit: "0".into() });
    }
}
