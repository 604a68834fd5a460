//! The shape of a conversation: who talked how long, at once or not at all.

use std::time::Duration;

use super::FRAME;

/// Who is speaking during one frame. Agent means audio *played*, not audio received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speaking {
    pub caller: bool,
    pub agent: bool,
}

/// Sums since the call was answered.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    caller: Duration,
    agent: Duration,
    overlap: Duration,
    silence: Duration,
    silent_now: Duration,
    silence_longest: Duration,
    last: Option<Side>,
    run: Duration,
    monologue: Duration,
}

/// What [`Talk`] adds up to. Shares are of the time counted, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TalkShares {
    pub caller: f32,
    pub agent: f32,
    pub overlap: f32,
    pub silence: f32,
    /// Agent's part of all talking; `None` before anybody has talked.
    pub talk_ratio: Option<f32>,
}

/// Whose turn a silence follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadAir {
    /// The caller spoke last: the agent is slow.
    AgentSlow,
    /// The agent spoke last: the caller is silent.
    CallerSilent,
    /// Nobody has spoken yet.
    Opening,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Caller,
    Agent,
}

impl Talk {
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one frame of 20 ms.
    pub fn tick(&mut self, speaking: Speaking) {
        let side = match speaking {
            Speaking {
                caller: false,
                agent: false,
            } => {
                self.silence += FRAME;
                self.silent_now += FRAME;
                self.silence_longest = self.silence_longest.max(self.silent_now);
                return;
            }
            Speaking {
                caller: true,
                agent: true,
            } => {
                self.caller += FRAME;
                self.agent += FRAME;
                self.overlap += FRAME;
                self.silent_now = Duration::ZERO;
                // Talking over each other ends nobody's monologue and lengthens nobody's.
                return;
            }
            Speaking {
                caller: true,
                agent: false,
            } => Side::Caller,
            Speaking {
                caller: false,
                agent: true,
            } => Side::Agent,
        };
        match side {
            Side::Caller => self.caller += FRAME,
            Side::Agent => self.agent += FRAME,
        }
        self.silent_now = Duration::ZERO;
        if self.last != Some(side) {
            self.last = Some(side);
            self.run = Duration::ZERO;
        }
        self.run += FRAME;
        self.monologue = self.monologue.max(self.run);
    }

    /// Time counted so far.
    pub fn elapsed(&self) -> Duration {
        (self.caller + self.agent + self.silence).saturating_sub(self.overlap)
    }

    pub fn caller(&self) -> Duration {
        self.caller
    }

    pub fn agent(&self) -> Duration {
        self.agent
    }

    pub fn overlap(&self) -> Duration {
        self.overlap
    }

    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// Longest stretch of one side's talking.
    pub fn monologue(&self) -> Duration {
        self.monologue
    }

    pub fn silence_longest(&self) -> Duration {
        self.silence_longest
    }

    /// The silence now running and who should end it; `None` while somebody talks.
    pub fn dead_air(&self) -> Option<(Duration, DeadAir)> {
        let after = match self.last {
            Some(Side::Caller) => DeadAir::AgentSlow,
            Some(Side::Agent) => DeadAir::CallerSilent,
            None => DeadAir::Opening,
        };
        (!self.silent_now.is_zero()).then_some((self.silent_now, after))
    }

    pub fn shares(&self) -> TalkShares {
        let elapsed = self.elapsed().as_secs_f32();
        let share = |part: Duration| {
            if elapsed > 0.0 {
                part.as_secs_f32() / elapsed
            } else {
                0.0
            }
        };
        let talking = (self.caller + self.agent).as_secs_f32();
        TalkShares {
            caller: share(self.caller),
            agent: share(self.agent),
            overlap: share(self.overlap),
            silence: share(self.silence),
            talk_ratio: (talking > 0.0).then(|| self.agent.as_secs_f32() / talking),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Speaking = Speaking {
        caller: false,
        agent: false,
    };
    const CALLER: Speaking = Speaking {
        caller: true,
        agent: false,
    };
    const AGENT: Speaking = Speaking {
        caller: false,
        agent: true,
    };
    const BOTH: Speaking = Speaking {
        caller: true,
        agent: true,
    };

    fn talk(stretches: &[(Speaking, u32)]) -> Talk {
        let mut talk = Talk::new();
        for &(speaking, frames) in stretches {
            (0..frames).for_each(|_| talk.tick(speaking));
        }
        talk
    }

    #[test]
    fn shares_add_up() {
        let talk = talk(&[(AGENT, 50), (CALLER, 25), (BOTH, 5), (NOBODY, 20)]);
        let shares = talk.shares();
        assert_eq!(talk.elapsed(), Duration::from_secs(2));
        assert!((shares.agent - 0.55).abs() < 1e-6 && (shares.caller - 0.30).abs() < 1e-6);
        assert!((shares.overlap - 0.05).abs() < 1e-6 && (shares.silence - 0.20).abs() < 1e-6);
        assert!((shares.talk_ratio.unwrap() - 55.0 / 85.0).abs() < 1e-6);
        assert_eq!(Talk::new().shares().talk_ratio, None);
    }

    #[test]
    fn a_silence_is_blamed_on_the_side_whose_turn_it_is() {
        assert_eq!(
            talk(&[(NOBODY, 1)]).dead_air(),
            Some((FRAME, DeadAir::Opening))
        );
        let slow = talk(&[(AGENT, 9), (CALLER, 9), (NOBODY, 200)]);
        assert_eq!(
            slow.dead_air(),
            Some((Duration::from_secs(4), DeadAir::AgentSlow))
        );
        assert_eq!(talk(&[(NOBODY, 9), (AGENT, 1)]).dead_air(), None);
    }

    #[test]
    fn a_pause_does_not_end_a_monologue_but_the_other_side_does() {
        let talk = talk(&[
            (AGENT, 50),
            (NOBODY, 10),
            (AGENT, 50),
            (CALLER, 5),
            (AGENT, 60),
        ]);
        assert_eq!(talk.monologue(), Duration::from_secs(2));
        assert_eq!(talk.silence_longest(), Duration::from_millis(200));
    }
}
