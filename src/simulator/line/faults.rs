//! The faults a simulated carrier can be asked for, and how long its world takes.

use std::time::Duration;

/// What can go wrong, in percent of the occasions where a `_pct` is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Callbacks sent twice.
    pub webhook_duplicate_pct: f64,
    /// Callbacks held back, so that later ones overtake them.
    pub webhook_late_pct: f64,
    pub webhook_late_ms: u64,
    /// Added to every call's own line.
    pub media_jitter_ms: u64,
    pub media_gap_pct: f64,
    /// Streams that break on their own.
    pub stream_cut_pct: f64,
    pub stream_cut: StreamCut,
    /// Every REST answer waits this long.
    pub rest_delay_ms: u64,
    /// REST requests answered 503.
    pub rest_5xx_pct: f64,
}

/// How a media stream breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCut {
    pub how: CutHow,
    /// Seconds after the start, for cuts by chance.
    pub after_s: u64,
    /// Open a new stream for the same call after this long; `None` goes on with the document.
    pub reopen_after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CutHow {
    /// TCP reset.
    #[default]
    Reset,
    /// TCP end without a WebSocket close.
    Fin,
    /// The socket stays open, nothing more is said.
    Silence,
}

/// How long the simulated world takes.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Queued → initiated.
    pub queue: Duration,
    /// `<Say>`, per word.
    pub say_per_word: Duration,
    /// Ringing of a dialled leg.
    pub dial_ring: Duration,
    /// Conversation on a dialled leg, if nobody ends it.
    pub dial_talk: Duration,
    pub amd_human: Duration,
    pub amd_machine: Duration,
    /// Recording stopped → completed.
    pub recording_ready: Duration,
    /// How long ended calls can still be asked for.
    pub kept_calls: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            queue: Duration::from_millis(120),
            say_per_word: Duration::from_millis(340),
            dial_ring: Duration::from_millis(2_500),
            dial_talk: Duration::from_secs(25),
            amd_human: Duration::from_millis(1_800),
            amd_machine: Duration::from_millis(8_120),
            recording_ready: Duration::from_millis(900),
            kept_calls: 400,
        }
    }
}

impl Timing {
    /// Everything as soon as possible, for tests.
    pub fn quick() -> Self {
        Self {
            queue: Duration::from_millis(5),
            say_per_word: Duration::from_millis(5),
            dial_ring: Duration::from_millis(50),
            dial_talk: Duration::from_millis(400),
            amd_human: Duration::from_millis(60),
            amd_machine: Duration::from_millis(120),
            recording_ready: Duration::from_millis(30),
            ..Self::default()
        }
    }
}
