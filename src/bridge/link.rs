//! The agent's link: when to dial again and when to stop trying. Decides; `session.rs` acts.

use std::time::Duration;

use super::AgentFailure;

/// From the stream's start until the conversation must be open.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// From a conversation's death until its successor must be open. The caller hears nothing for as
/// long, and 5 s of what they say is kept.
const REOPEN_WITHIN: Duration = Duration::from_secs(4);
const RETRIES: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(250);
/// A conversation that lived shorter than this does not earn its successor a fresh budget.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Where the link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkPhase {
    /// Not wanted at present.
    Idle,
    /// A socket is being opened, or soon will be.
    Dialling,
    /// The socket is open; the vendor has not opened the conversation yet.
    Opening,
    Ready,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Retry { after: Duration, attempt: u32 },
    GiveUp,
}

#[derive(Clone, Debug)]
pub(super) struct Link {
    phase: LinkPhase,
    /// Attempts made in this outage beyond the first connection.
    retries: u32,
    give_up_at: Duration,
    ready_at: Option<Duration>,
    random: u64,
}

impl Link {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            phase: LinkPhase::Idle,
            retries: 0,
            give_up_at: Duration::MAX,
            ready_at: None,
            random: seed | 1,
        }
    }

    pub(super) fn phase(&self) -> LinkPhase {
        self.phase
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == LinkPhase::Ready
    }

    /// Whether a conversation was ever open.
    pub(super) fn was_ready(&self) -> bool {
        self.ready_at.is_some()
    }

    pub(super) fn start(&mut self, now: Duration) {
        self.phase = LinkPhase::Dialling;
        self.retries = 0;
        self.give_up_at = now + OPEN_WITHIN;
    }

    pub(super) fn connected(&mut self) {
        self.phase = LinkPhase::Opening;
    }

    pub(super) fn ready(&mut self, now: Duration) {
        self.phase = LinkPhase::Ready;
        self.ready_at = Some(now);
    }

    /// The open conversation is about to be followed by another.
    pub(super) fn renew(&mut self, now: Duration) {
        self.phase = LinkPhase::Dialling;
        self.retries = 0;
        self.give_up_at = now + REOPEN_WITHIN;
    }

    pub(super) fn close(&mut self) {
        self.phase = LinkPhase::Idle;
    }

    /// Trying has gone on for too long.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        matches!(self.phase, LinkPhase::Dialling | LinkPhase::Opening) && now >= self.give_up_at
    }

    /// An attempt failed before the conversation opened. At the very start the caller has waited
    /// already and gets the fallback, but for one more try when the network had a hiccup.
    pub(super) fn failed(&mut self, now: Duration, failure: AgentFailure) -> Verdict {
        let retries_max = match (failure, self.was_ready()) {
            (AgentFailure::Refused, _) => 0,
            (_, true) => RETRIES,
            (AgentFailure::Unreachable, false) => 1,
            (AgentFailure::Busy | AgentFailure::TimedOut, false) => 0,
        };
        self.retry(now, retries_max)
    }

    /// The open conversation died.
    pub(super) fn died(&mut self, now: Duration) -> Verdict {
        let lived = self
            .ready_at
            .map_or(Duration::ZERO, |at| now.saturating_sub(at));
        if self.retries == 0 || lived >= STABLE_AFTER {
            self.retries = 0;
            self.give_up_at = now + REOPEN_WITHIN;
        }
        self.retry(now, RETRIES)
    }

    fn retry(&mut self, now: Duration, retries_max: u32) -> Verdict {
        let base = BACKOFF * 2u32.saturating_pow(self.retries.min(8));
        let after = base / 2 + (base / 2).mul_f64(self.roll());
        if self.retries >= retries_max || now + after >= self.give_up_at {
            self.phase = LinkPhase::Idle;
            return Verdict::GiveUp;
        }
        self.retries += 1;
        self.phase = LinkPhase::Dialling;
        Verdict::Retry {
            after,
            attempt: self.retries,
        }
    }

    /// Uniform in 0..1 (xorshift64; spreads reconnects, hides nothing).
    fn roll(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_dead_conversation_is_retried_three_times_ever_slower() {
        for seed in 1..200 {
            let mut link = Link::new(seed * 7919);
            link.start(ms(0));
            link.ready(ms(300));
            let mut now = ms(60_000);
            let mut verdict = link.died(now);
            for (attempt, base) in [(1, 250), (2, 500), (3, 1_000)] {
                let Verdict::Retry { after, attempt: n } = verdict else {
                    panic!("gave up before try {attempt}");
                };
                assert_eq!(n, attempt);
                assert!(
                    (ms(base / 2)..=ms(base)).contains(&after),
                    "{after:?} for {base}"
                );
                now += after;
                verdict = link.failed(now, AgentFailure::Unreachable);
            }
            assert_eq!(verdict, Verdict::GiveUp);
            assert!(now < ms(64_000));
        }
    }

    #[test]
    fn a_conversation_that_dies_at_once_does_not_loop() {
        let mut link = Link::new(9);
        link.start(ms(0));
        link.ready(ms(100));
        let mut now = ms(20_000);
        let mut tries = 0;
        while let Verdict::Retry { after, .. } = link.died(now) {
            now += after;
            link.connected();
            link.ready(now);
            tries += 1;
        }
        assert_eq!(tries, 3);
    }

    #[test]
    fn a_refusal_is_final_and_a_hiccup_at_the_start_gets_one_more_try() {
        let first = |failure| {
            let mut link = Link::new(3);
            link.start(ms(0));
            link.failed(ms(50), failure)
        };
        assert_eq!(first(AgentFailure::Refused), Verdict::GiveUp);
        assert_eq!(first(AgentFailure::Busy), Verdict::GiveUp);
        assert_eq!(first(AgentFailure::TimedOut), Verdict::GiveUp);
        let mut link = Link::new(3);
        link.start(ms(0));
        assert!(matches!(
            link.failed(ms(50), AgentFailure::Unreachable),
            Verdict::Retry { attempt: 1, .. }
        ));
        assert_eq!(
            link.failed(ms(400), AgentFailure::Unreachable),
            Verdict::GiveUp
        );
    }

    #[test]
    fn an_open_socket_without_a_conversation_is_overdue() {
        let mut link = Link::new(3);
        link.start(ms(0));
        link.connected();
        assert!(!link.is_overdue(ms(9_999)) && link.is_overdue(ms(10_000)));
        link.ready(ms(10_000));
        assert!(!link.is_overdue(ms(99_000)));
    }
}
