//! A part that keeps failing is left alone for a while, so that callers are not kept waiting for
//! its time limit again and again.

use std::time::Duration;

/// Failures in a row until a part is left alone.
const FAILURES_MAX: u32 = 5;
/// How long it is; then one request may try.
const REST: Duration = Duration::from_secs(15);

/// The record of one part, shared by all conversations of an agent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    closed_until: Option<Duration>,
}

impl Breaker {
    /// Whether a request may go out. After the rest the first one asked for tries; until it has
    /// ended the others are refused.
    pub(super) fn may_try(&mut self, now: Duration) -> bool {
        match self.closed_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                self.closed_until = Some(now + REST);
                true
            }
        }
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    pub(super) fn failed(&mut self, now: Duration) {
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            self.closed_until = Some(now + REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_part_rests_and_one_request_tries_again() {
        let mut breaker = Breaker::default();
        let at = Duration::from_secs;
        for n in 0..5 {
            assert!(breaker.may_try(at(n)));
            breaker.failed(at(n));
        }
        assert!(!breaker.may_try(at(18)));
        assert!(breaker.may_try(at(19)) && !breaker.may_try(at(20)));
        breaker.succeeded();
        assert!(breaker.may_try(at(20)) && breaker.may_try(at(20)));
    }

    #[test]
    fn failures_that_are_not_in_a_row_do_not_count() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(Duration::ZERO);
        }
        breaker.succeeded();
        breaker.failed(Duration::ZERO);
        assert!(breaker.may_try(Duration::ZERO));
    }
}
