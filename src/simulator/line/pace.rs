//! When each 20 ms frame of the caller leaves: absolute deadlines, so that a late wake-up never
//! shifts the rest, plus the jitter and losses of a bad line. Frames never overtake each other.

use std::time::Duration;

use crate::simulator::rng::Rng;
use crate::simulator::ulaw::FRAME_MS;

/// Length of a burst of lost frames.
const GAP_FRAMES: (u64, u64) = (3, 9);

/// One frame's times, from the stream's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub n: u64,
    /// When it is spoken.
    pub due: Duration,
    /// When it leaves; `None` = lost.
    pub send: Option<Duration>,
}

#[derive(Debug)]
pub struct Pace {
    n: u64,
    last: Duration,
    jitter_ms: u64,
    gap_pct: f64,
    lose: u64,
    rng: Rng,
}

impl Pace {
    pub fn new(jitter_ms: u64, gap_pct: f64, rng: Rng) -> Self {
        Self {
            n: 0,
            last: Duration::ZERO,
            jitter_ms,
            gap_pct,
            lose: 0,
            rng,
        }
    }

    /// When frame `n` is spoken, counted from 0.
    pub fn due(n: u64) -> Duration {
        Duration::from_millis(n * FRAME_MS)
    }

    pub fn next_slot(&mut self) -> Slot {
        let (n, due) = (self.n, Self::due(self.n));
        self.n += 1;
        let (low, high) = GAP_FRAMES;
        if self.lose == 0 && self.rng.chance(self.gap_pct * 2.0 / (low + high) as f64) {
            self.lose = self.rng.between(low, high);
        }
        if self.lose > 0 {
            self.lose -= 1;
            return Slot { n, due, send: None };
        }
        let late = Duration::from_millis(self.rng.below(self.jitter_ms + 1));
        self.last = self.last.max(due + late);
        Slot {
            n,
            due,
            send: Some(self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_line_sends_fifty_frames_a_second_for_ever() {
        let mut pace = Pace::new(0, 0.0, Rng::new(1));
        for n in 0..10_000 {
            let slot = pace.next_slot();
            assert_eq!(slot.send, Some(Duration::from_millis(n * 20)));
        }
    }

    #[test]
    fn a_bad_line_is_late_and_lossy_within_bounds_and_never_reorders() {
        let mut pace = Pace::new(60, 6.0, Rng::new(7));
        let (mut lost, mut last) = (0, Duration::ZERO);
        for _ in 0..20_000 {
            let slot = pace.next_slot();
            let Some(send) = slot.send else {
                lost += 1;
                continue;
            };
            assert!(send >= last && send >= slot.due);
            assert!(send <= slot.due + Duration::from_millis(60));
            last = send;
        }
        assert!((800..1_700).contains(&lost), "{lost}");
    }

    #[tokio::test(start_paused = true)]
    async fn deadlines_are_absolute() {
        let start = tokio::time::Instant::now();
        for n in 0..500 {
            // A slow tick now and then must not shift the later ones.
            if n % 100 == 50 {
                tokio::time::sleep_until(start + Pace::due(n) + Duration::from_millis(9)).await;
            } else {
                tokio::time::sleep_until(start + Pace::due(n)).await;
            }
        }
        assert_eq!(start.elapsed(), Pace::due(499));
    }
}
