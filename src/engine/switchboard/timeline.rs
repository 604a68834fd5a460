//! The time stamped on envelopes: the wall clock as long as it behaves, and steady time while it
//! jumps, so that a call's durations are never negative or absurd.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A difference the wall clock may have against steady time before it counts as a jump: more than
/// a clock being slewed, less than anything an operator would notice.
const JUMP: TimeDelta = TimeDelta::seconds(2);

/// Never runs backwards while a call is live.
#[derive(Debug)]
pub(super) struct Timeline {
    anchor: DateTime<Utc>,
    anchored: Duration,
    last: DateTime<Utc>,
}

impl Timeline {
    pub(super) fn new(wall: DateTime<Utc>, elapsed: Duration) -> Self {
        Self {
            anchor: wall,
            anchored: elapsed,
            last: wall,
        }
    }

    /// The time to stamp now. `settled` is asked only after a jump: whether no call is live, so
    /// that the wall clock's new idea of the time can be taken over without harm.
    pub(super) fn at(
        &mut self,
        wall: DateTime<Utc>,
        elapsed: Duration,
        settled: impl FnOnce() -> bool,
    ) -> DateTime<Utc> {
        let passed = elapsed.saturating_sub(self.anchored);
        let steady = self.anchor + TimeDelta::from_std(passed).unwrap_or(TimeDelta::zero());
        let drift = (wall - steady).abs();
        let now = if drift <= JUMP {
            // Follow a clock that is slewed, or the difference would grow into a jump.
            self.anchor = wall;
            self.anchored = elapsed;
            wall.max(self.last)
        } else if settled() {
            self.anchor = wall;
            self.anchored = elapsed;
            wall
        } else {
            steady.max(self.last)
        };
        self.last = now;
        now
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn wall(second: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_795_219_200 + second, 0)
            .single()
            .expect("a valid second")
    }

    #[test]
    fn a_jump_of_the_wall_clock_does_not_reach_a_live_call() {
        for jump in [-7_200, 7_200] {
            let mut line = Timeline::new(wall(0), Duration::ZERO);
            assert_eq!(line.at(wall(1), Duration::from_secs(1), || false), wall(1));
            let shaken = line.at(wall(2 + jump), Duration::from_secs(2), || false);
            assert_eq!(shaken, wall(2));
            let later = line.at(wall(60 + jump), Duration::from_secs(60), || false);
            assert_eq!(later, wall(60));
            let healed = line.at(wall(61 + jump), Duration::from_secs(61), || true);
            assert_eq!(healed, wall(61 + jump));
        }
    }

    #[test]
    fn a_slewed_clock_is_followed_and_never_runs_backwards() {
        let mut line = Timeline::new(wall(10), Duration::ZERO);
        assert_eq!(line.at(wall(9), Duration::ZERO, || false), wall(10));
        assert_eq!(
            line.at(wall(11), Duration::from_secs(1), || false),
            wall(11)
        );
    }
}
