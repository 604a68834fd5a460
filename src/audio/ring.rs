//! The way from a call's task to the sound device's thread: one ring, no lock, no waiting.
//!
//! The rules that keep it short of a second and free of clicks are the consumer's: `Backlog`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::media::{FRAME, FRAME_MS, FRAME_SAMPLES, StereoFrame, level_ulaw};

use super::source::{Controls, ListenSource};

/// 1 s of frames. Full means the device has stopped pulling: all of it is stale.
const CAPACITY: usize = 50;
/// 250 ms above the prime level is too much delay.
const SLACK: usize = 12;
/// Frames that may pile up between two pulls before it counts as a stall of the device.
const JUMP: usize = 6;
/// Patience, in frames, before one frame is dropped: a second …
const PATIENCE: usize = 50;
/// … and half a second more in search of a silent one.
const SEARCH: usize = 25;
/// A frame below this can be dropped unheard.
const QUIET_DBFS: f32 = -50.0;

/// How much is gathered before sound starts, against uneven arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prime {
    /// 60 ms: the call is bridged in this process.
    #[default]
    Local,
    /// 120 ms: frames come over a network.
    Network,
    /// 60 ms of a recording: what waits is not the past, but what comes next.
    Recorded,
}

/// Writing end, held by whoever has the call's frames. Dropping it fades the sound out.
#[derive(Debug)]
pub struct Feeder {
    producer: Producer<StereoFrame>,
    shared: Arc<Shared>,
}

/// Counts since the ring was made, for the screen: loss is never silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStats {
    /// Frames thrown away to keep up with the present.
    pub dropped: u64,
    /// Times the sound ran dry.
    pub underruns: u64,
}

/// Reading end with the rules of what to play next.
#[derive(Debug)]
pub(super) struct Backlog {
    consumer: Consumer<StereoFrame>,
    shared: Arc<Shared>,
    prime: usize,
    primed: bool,
    /// Frames left behind by the last pull.
    left: usize,
    /// Pulls in a row that found too much.
    crowded: usize,
}

#[derive(Debug, Default)]
struct Shared {
    stale: AtomicBool,
    dropped: AtomicU64,
    underruns: AtomicU64,
}

/// Makes a ring and the source that plays it at the device's rate.
pub fn ring(prime: Prime, rate_hz: u32, controls: Arc<Controls>) -> (Feeder, ListenSource) {
    let (producer, consumer) = RingBuffer::new(CAPACITY);
    let shared = Arc::new(Shared::default());
    let backlog = Backlog {
        consumer,
        shared: shared.clone(),
        prime: (prime.duration().as_millis() as u64 / FRAME_MS) as usize,
        primed: false,
        left: 0,
        crowded: 0,
    };
    (
        Feeder { producer, shared },
        ListenSource::new(backlog, rate_hz, controls),
    )
}

impl Prime {
    pub const fn duration(self) -> Duration {
        match self {
            Self::Local | Self::Recorded => FRAME.saturating_mul(3),
            Self::Network => FRAME.saturating_mul(6),
        }
    }
}

impl Feeder {
    /// Hands over 20 ms of both legs. Never waits. A full ring is declared stale, so that the
    /// device goes on at the present when it wakes up; the frame itself is then lost.
    pub fn push_frame(&mut self, caller: &[u8; FRAME_SAMPLES], agent: &[u8; FRAME_SAMPLES]) {
        self.push(StereoFrame {
            caller: *caller,
            agent: *agent,
        });
    }

    /// The same for a frame as taps deliver it.
    pub fn push(&mut self, frame: StereoFrame) {
        if self.producer.push(frame).is_err() {
            self.shared.stale.store(true, Ordering::Release);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn queued_ms(&self) -> u64 {
        (CAPACITY - self.producer.slots()) as u64 * FRAME_MS
    }

    pub fn stats(&self) -> RingStats {
        RingStats {
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            underruns: self.shared.underruns.load(Ordering::Relaxed),
        }
    }

    /// The playing side is gone.
    pub fn is_closed(&self) -> bool {
        self.producer.is_abandoned()
    }
}

impl Backlog {
    /// The frame to play now; `None` is silence (not enough gathered, or dry).
    pub(super) fn pull(&mut self) -> Option<StereoFrame> {
        if self.shared.stale.swap(false, Ordering::AcqRel) {
            self.drop_to(0);
            self.primed = false;
        }
        let queued = self.consumer.slots();
        if !self.primed {
            if queued < self.prime.max(1) {
                self.left = queued;
                return None;
            }
            self.primed = true;
            // What waited while nobody pulled is the past: start near the present.
            if queued > self.prime + SLACK {
                self.drop_to(self.prime);
            }
        } else if queued > self.prime + SLACK && queued > self.left + JUMP {
            self.drop_to(self.prime);
        } else {
            self.thin(queued);
        }
        let frame = self.consumer.pop().ok();
        if frame.is_none() {
            self.primed = false;
            self.shared.underruns.fetch_add(1, Ordering::Relaxed);
        }
        self.left = self.consumer.slots();
        frame
    }

    /// The feeding side has let go.
    pub(super) fn is_closed(&self) -> bool {
        self.consumer.is_abandoned()
    }

    /// After a second of too much delay one frame goes, a silent one if there is any soon.
    fn thin(&mut self, queued: usize) {
        if queued <= SLACK {
            self.crowded = 0;
            return;
        }
        self.crowded += 1;
        if self.crowded < PATIENCE {
            return;
        }
        let quiet = self.consumer.peek().is_ok_and(|frame| {
            [&frame.caller, &frame.agent]
                .iter()
                .all(|leg| level_ulaw(*leg).rms_dbfs < QUIET_DBFS)
        });
        if quiet || self.crowded >= PATIENCE + SEARCH {
            self.drop_to(queued - 1);
            self.crowded = 0;
        }
    }

    fn drop_to(&mut self, keep: usize) {
        let mut queued = self.consumer.slots();
        while queued > keep && self.consumer.pop().is_ok() {
            queued -= 1;
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.crowded = 0;
    }
}
