//! Stamped frames of a load run: who sent a frame, which one it is, and when it left, inside its own
//! first bytes, so that loss, order, mix-ups and delay are seen where it arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::stats::{Latencies, Percentiles};
use super::ulaw::FRAME_BYTES;

const MAGIC: [u8; 4] = *b"WBst";
/// Bytes of a stamp; a multiple of three, so that base64 of stamp and rest can be joined.
pub(super) const STAMP_BYTES: usize = 24;
/// Samples a stream gathers before it hands them to the common tally.
const FLUSH_AT: usize = 128;

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) call: u32,
    pub(super) seq: u64,
    /// Wall clock, microseconds since 1970, so that two processes of one machine agree.
    pub(super) sent_us: u64,
}

impl Stamp {
    pub(super) fn write(self) -> [u8; STAMP_BYTES] {
        let mut out = [0; STAMP_BYTES];
        let fields = MAGIC
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
        let rest = frame.strip_prefix(&MAGIC)?;
        let (call, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (sent_us, _) = rest.split_first_chunk()?;
        Some(Self {
            call: u32::from_be_bytes(*call),
            seq: u64::from_be_bytes(*seq),
            sent_us: u64::from_be_bytes(*sent_us),
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
}

/// One stream's place in its direction.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    call: Option<u32>,
    next: u64,
    fresh: Vec<u64>,
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
        let mut frame = Stamp { call, seq, sent_us }.write().to_vec();
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
}
