//! The one backoff: exponential, full jitter, capped. Pure; the randomness comes from the caller.

use std::time::Duration;

/// How often and how long to wait between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait before the second try; doubles with every further one.
    pub base: Duration,
    pub cap: Duration,
    /// Tries in all, the first included.
    pub tries: u32,
}

impl Backoff {
    /// For orders to a carrier: three tries, at most 2 s between them.
    pub const CARRIER: Self = Self {
        base: Duration::from_millis(250),
        cap: Duration::from_secs(2),
        tries: 3,
    };

    /// For what must come back some day: a carrier that is down, a disk that is full.
    pub const PATIENT: Self = Self {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(60),
        tries: u32::MAX,
    };

    /// The wait after the `failed`-th failed try (from 1), anywhere between zero and the capped
    /// exponential. `None` when there are no tries left. `random` is uniform over all of `u64`.
    pub fn after(&self, failed: u32, random: u64) -> Option<Duration> {
        if failed >= self.tries {
            return None;
        }
        let doubled = self.base.saturating_mul(
            1_u32
                .checked_shl(failed.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        let most = doubled.min(self.cap);
        let share = random as f64 / u64::MAX as f64;
        Some(most.mul_f64(share.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_cap_and_tries_run_out(failed in 1u32..200, random in any::<u64>()) {
            let wait = Backoff::CARRIER.after(failed, random);
            prop_assert_eq!(wait.is_some(), failed < Backoff::CARRIER.tries);
            prop_assert!(wait.unwrap_or_default() <= Backoff::CARRIER.cap);
            prop_assert!(Backoff::PATIENT.after(failed, random).is_some_and(|wait| wait <= Backoff::PATIENT.cap));
        }
    }

    #[test]
    fn waits_double_until_the_cap() {
        let most = |failed| {
            Backoff::PATIENT
                .after(failed, u64::MAX)
                .unwrap_or_default()
                .as_secs()
        };
        assert_eq!([1, 2, 3, 4, 7, 8, 40].map(most), [1, 2, 4, 8, 60, 60, 60]);
    }
}
