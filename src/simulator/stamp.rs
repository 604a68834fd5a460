//! Stamped frames of a load run: who sent a frame, which one it is, and when it left, inside its own
//! first bytes, so that loss, order, mix-ups and delay are seen where it arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::stats::{Latencies, Percentiles};
use super::ulaw::FRAME_BYTES;

const MAGIC: [u8; 4] = *b"WBst";
/// Begins the first frame after the caller broke in.
const AFTER_BARGE_IN: [u8; 4] = *b"WBbi";
/// Bytes of a stamp; a multiple of three, so that base64 of stamp and rest can be joined.
pub(super) const STAMP_BYTES: usize = 24;
/// Samples a stream gathers before it hands them to the common tally.
const FLUSH_AT: usize = 128;
/// Clears remembered until a frame tells when the caller broke in.
const CLEARS_MAX: usize = 8;

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) call: u32,
    pub(super) seq: u64,
    /// Wall clock, microseconds since 1970, so that two processes of one machine agree.
    /// Of the first frame after a barge-in: when that was told.
    pub(super) sent_us: u64,
    /// The caller broke into what was said before; what was on its way is taken back.
    pub(super) after_barge_in: bool,
}

impl Stamp {
    pub(super) fn write(self) -> [u8; STAMP_BYTES] {
        let mut out = [0; STAMP_BYTES];
        let magic = if self.after_barge_in {
            AFTER_BARGE_IN
        } else {
            MAGIC
        };
        let fields = magic
            .into_iter()
            .chain(self.call.to_be_bytes())
            .chain(self.seq.to_be_bytes())
            .chain(self.sent_us.to_be_bytes());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        out
    }

    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let (magic, rest) = frame.split_first_chunk()?;
        let after_barge_in = match *magic {
            MAGIC => false,
            AFTER_BARGE_IN => true,
            _ => return None,
        };
        let (call, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (sent_us, _) = rest.split_first_chunk()?;
        Some(Self {
            call: u32::from_be_bytes(*call),
            seq: u64::from_be_bytes(*seq),
            sent_us: u64::from_be_bytes(*sent_us),
            after_barge_in,
        })
    }
}

/// All streams of one direction.
#[derive(Debug, Default)]
pub(super) struct Tally {
    received: AtomicU64,
    gaps: AtomicU64,
    reordered: AtomicU64,
    crossed: AtomicU64,
    unstamped: AtomicU64,
    latency: Mutex<Latencies>,
    barge_ins: Mutex<Latencies>,
    unanswered: AtomicU64,
}

/// From the agent's word that the caller breaks in to the clear at the carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BargeIns {
    /// Barge-ins after which no clear came: nothing was being heard any more, or it was missed.
    pub unanswered: u64,
    #[serde(flatten)]
    pub reaction: Percentiles,
}

/// What arrived of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Arrived {
    pub frames_received: u64,
    /// Missing between frames that did arrive.
    pub frames_lost: u64,
    pub frames_reordered: u64,
    /// Frames of another call.
    pub frames_crossed: u64,
    pub frames_unstamped: u64,
    pub latency: Percentiles,
}

impl Tally {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self) -> Arrived {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        Arrived {
            frames_received: get(&self.received),
            frames_lost: get(&self.gaps).saturating_sub(get(&self.reordered)),
            frames_reordered: get(&self.reordered),
            frames_crossed: get(&self.crossed),
            frames_unstamped: get(&self.unstamped),
            latency: latency.percentiles(),
        }
    }

    pub(super) fn barge_ins(&self) -> BargeIns {
        let reactions = self
            .barge_ins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        BargeIns {
            unanswered: self.unanswered.load(Ordering::Relaxed),
            reaction: reactions.percentiles(),
        }
    }

    fn answered(&self, after_us: Option<u64>) {
        match after_us {
            Some(us) => {
                let reactions = self.barge_ins.lock();
                reactions.unwrap_or_else(PoisonError::into_inner).add_us(us);
            }
            None => Self::count(&self.unanswered),
        }
    }
}

/// One stream's place in its direction.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    call: Option<u32>,
    next: u64,
    fresh: Vec<u64>,
    /// When the carrier was told to clear, since the last barge-in.
    cleared_us: Vec<u64>,
}

impl Tracker {
    /// Audio as it arrived, any number of whole frames.
    pub(super) fn hear(&mut self, audio: &[u8], now_us: u64, tally: &Tally) {
        for frame in audio.chunks(FRAME_BYTES) {
            let Some(stamp) = Stamp::read(frame) else {
                Tally::count(&tally.unstamped);
                continue;
            };
            Tally::count(&tally.received);
            if *self.call.get_or_insert(stamp.call) != stamp.call {
                Tally::count(&tally.crossed);
                continue;
            }
            if stamp.after_barge_in {
                // Frames before it were taken back on purpose.
                self.next = self.next.max(stamp.seq + 1);
                let clears = std::mem::take(&mut self.cleared_us);
                let cleared = clears.into_iter().find(|at| *at >= stamp.sent_us);
                tally.answered(cleared.map(|at| at - stamp.sent_us));
                continue;
            }
            if stamp.seq >= self.next {
                tally
                    .gaps
                    .fetch_add(stamp.seq - self.next, Ordering::Relaxed);
                self.next = stamp.seq + 1;
            } else {
                Tally::count(&tally.reordered);
            }
            self.fresh.push(now_us.saturating_sub(stamp.sent_us));
            if self.fresh.len() >= FLUSH_AT {
                self.flush(tally);
            }
        }
    }

    /// The carrier was told to throw away what it has not played.
    pub(super) fn cleared(&mut self, now_us: u64) {
        if self.cleared_us.len() < CLEARS_MAX {
            self.cleared_us.push(now_us);
        }
    }

    pub(super) fn flush(&mut self, tally: &Tally) {
        let mut latency = tally.latency.lock().unwrap_or_else(PoisonError::into_inner);
        for us in self.fresh.drain(..) {
            latency.add_us(us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(call: u32, seq: u64, sent_us: u64) -> Vec<u8> {
        let stamp = Stamp {
            call,
            seq,
            sent_us,
            after_barge_in: false,
        };
        let mut frame = stamp.write().to_vec();
        frame.resize(FRAME_BYTES, 0xff);
        frame
    }

    #[test]
    fn loss_order_mix_ups_and_delay_are_seen() {
        let (tally, mut tracker) = (Tally::default(), Tracker::default());
        let batch = [frame(1, 0, 100), frame(1, 1, 100)].concat();
        tracker.hear(&batch, 1_100, &tally);
        for (call, seq) in [(1, 4), (1, 3), (2, 5)] {
            tracker.hear(&frame(call, seq, 200), 2_200, &tally);
        }
        tracker.hear(&[0xff; 160], 3_000, &tally);
        tracker.flush(&tally);
        let arrived = tally.report();
        assert_eq!((arrived.frames_received, arrived.frames_lost), (5, 1));
        assert_eq!((arrived.frames_reordered, arrived.frames_crossed), (1, 1));
        assert_eq!(arrived.frames_unstamped, 1);
        assert_eq!(arrived.latency.max_ms, 2.0);
    }

    #[test]
    fn a_clear_is_timed_from_the_word_that_asked_for_it() {
        let (tally, mut tracker) = (Tally::default(), Tracker::default());
        let after = |seq: u64, told_us: u64| {
            let stamp = Stamp {
                call: 1,
                seq,
                sent_us: told_us,
                after_barge_in: true,
            };
            let mut frame = stamp.write().to_vec();
            frame.resize(FRAME_BYTES, 0xff);
            frame
        };
        tracker.hear(&frame(1, 0, 100), 200, &tally);
        // One that had another cause, and the one that counts; four frames were taken back.
        tracker.cleared(900);
        tracker.cleared(2_500);
        tracker.hear(&after(5, 1_000), 3_000, &tally);
        tracker.hear(&frame(1, 6, 3_100), 3_200, &tally);
        tracker.hear(&after(9, 9_000), 9_900, &tally);
        tracker.flush(&tally);
        let barge_ins = tally.barge_ins();
        assert_eq!((barge_ins.reaction.count, barge_ins.unanswered), (1, 1));
        assert_eq!(barge_ins.reaction.max_ms, 1.5);
        let arrived = tally.report();
        assert_eq!((arrived.frames_received, arrived.frames_lost), (4, 0));
        assert_eq!(arrived.latency.count, 2);
    }
}
