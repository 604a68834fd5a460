//! The one place that reads clocks. Everything else is handed the time.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::{CallId, CommandId, Epoch};

/// Wall clock for display and signatures, monotonic clock for durations.
///
/// Monotonic time runs on tokio's clock, so paused tests control it. Cheap to clone.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
    /// Wall-clock time at `origin` of a clock that does not read the system's.
    staged: Option<DateTime<Utc>>,
}

impl Clock {
    /// Starts a clock; must be called inside a tokio runtime when tests pause time.
    pub fn start() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            staged: None,
        }
    }

    /// A clock whose wall time begins at `wall` and advances with monotonic time only: pictures,
    /// rehearsals and tests that must come out the same every time.
    pub fn staged(wall: DateTime<Utc>) -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            staged: Some(wall),
        }
    }

    /// Monotonic time since this clock started.
    pub fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Wall-clock time, UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the wall clock"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match self.staged {
            Some(wall) => wall + chrono::TimeDelta::from_std(self.elapsed()).unwrap_or_default(),
            None => Utc::now(),
        }
    }

    pub fn unix_ms(&self) -> u64 {
        u64::try_from(self.now().timestamp_millis()).unwrap_or(0)
    }

    pub fn call_id(&self) -> CallId {
        CallId::from_parts(self.unix_ms(), random())
    }

    pub fn command_id(&self) -> CommandId {
        CommandId::from_parts(self.unix_ms(), random())
    }

    pub fn epoch(&self) -> Epoch {
        Epoch::from_parts(self.unix_ms(), random())
    }
}

/// Random bytes from the operating system.
///
/// # Panics
/// When the system has no entropy source at all, in which case nothing here could be secure.
#[expect(
    clippy::expect_used,
    reason = "without entropy no id, ticket or token may be made"
)]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides entropy");
    bytes
}
