//! What the arrival of a carrier's frames tells: delivery jitter, gaps, repeats and late frames.
//!
//! The stream comes over TCP, so this measures delivery to us and holes in the carrier's own
//! numbering, not the loss on the radio side, which the carrier has concealed already.
//! Jitter: RFC 3550 §6.4.1 with media time in milliseconds. Judging the numbers: `score.rs`.

use std::time::Duration;

use super::as_ms;

/// Length of the sliding window, in one-second slots.
const WINDOW_S: usize = 10;
/// How far back the fastest transit is looked for.
const TRANSIT_S: usize = 30;
/// A frame this much slower than the fastest one counts as late. Same line as the carriers draw.
const LATE_MS: f64 = 200.0;
/// A larger step in media time or numbering is a new stream, not a hole.
const RESET_MS: f64 = 10_000.0;
const RESET_CHUNKS: u64 = 500;
const FRAME_MS: f64 = 20.0;

/// One inbound media message, taken at the moment it was read from the socket.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Duration,
    /// Carrier's media time of the first sample in ms, any base. `None`: counted on from the last.
    pub media_ms: Option<u64>,
    /// Carrier's number of this message on its track. Used for loss in preference to media time.
    pub chunk: Option<u64>,
    /// Playing time of the payload in ms.
    pub audio_ms: u32,
}

/// Running statistics of one leg. Constant memory, constant time per frame.
#[derive(Clone, Debug)]
pub struct Arrivals {
    last: Option<Last>,
    jitter_ms: f64,
    received: u64,
    lost: u64,
    duplicates: u64,
    second: u64,
    slots: [Slot; WINDOW_S],
    fastest: [f64; TRANSIT_S],
    /// Minimum of `fastest`, kept so that a frame need not search it.
    transit_min: f64,
}

/// A reading of [`Arrivals`]. Counters are since the start, the rest covers the last 10 s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ArrivalStats {
    /// Smoothed, RFC 3550.
    pub jitter_ms: f64,
    /// Largest single deviation.
    pub jitter_ms_max: f64,
    /// Share of frames more than 200 ms behind the fastest, in percent.
    pub late_pct: f64,
    pub loss_pct: f64,
    /// Since the start.
    pub loss_pct_total: f64,
    /// Mean run of lost frames against the run chance alone would give; 1 is random.
    pub burst_ratio: f64,
    pub received: u64,
    pub lost: u64,
    pub duplicates: u64,
    /// Time since the last frame.
    pub silent_for: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Duration,
    media_ms: f64,
    audio_ms: f64,
    chunk: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    received: u32,
    lost: u32,
    runs: u32,
    late: u32,
    deviation_ms_max: f64,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self::new()
    }
}

impl Arrivals {
    pub fn new() -> Self {
        Self {
            last: None,
            jitter_ms: 0.0,
            received: 0,
            lost: 0,
            duplicates: 0,
            second: 0,
            slots: [Slot::default(); WINDOW_S],
            fastest: [f64::INFINITY; TRANSIT_S],
            transit_min: f64::INFINITY,
        }
    }

    /// Smoothed jitter in ms.
    pub fn jitter_ms(&self) -> f64 {
        self.jitter_ms
    }

    /// A stream started or was replaced: numbering and media time begin anew, counters go on.
    pub fn stream_started(&mut self) {
        self.last = None;
        self.jitter_ms = 0.0;
        self.fastest = [f64::INFINITY; TRANSIT_S];
        self.transit_min = f64::INFINITY;
    }

    /// Takes one frame into account. Repeated or older numbers only count as duplicates.
    pub fn on_frame(&mut self, frame: Arrival) {
        self.roll(frame.at);
        let audio_ms = f64::from(frame.audio_ms);
        let mut last = self.last;
        if let (Some(prev), Some(now)) = (last.and_then(|l| l.chunk), frame.chunk) {
            if now <= prev {
                self.duplicates += 1;
                return;
            }
            if now - prev > RESET_CHUNKS {
                self.stream_started();
                last = None;
            }
        }
        let media_ms = match (frame.media_ms, last) {
            (Some(ms), _) => ms as f64,
            (None, Some(prev)) => prev.media_ms + prev.audio_ms,
            (None, None) => 0.0,
        };
        if last.is_some_and(|prev| (media_ms - prev.media_ms).abs() > RESET_MS) {
            self.stream_started();
            last = None;
        }
        if let Some(prev) = last {
            self.count_gap(&prev, &frame, media_ms);
            let deviation = ((as_ms(frame.at) - as_ms(prev.at)) - (media_ms - prev.media_ms)).abs();
            self.jitter_ms += (deviation - self.jitter_ms) / 16.0;
            let slot = self.slot();
            slot.deviation_ms_max = slot.deviation_ms_max.max(deviation);
        }
        self.count_arrival(as_ms(frame.at) - media_ms);
        self.last = Some(Last {
            at: frame.at,
            media_ms,
            audio_ms,
            chunk: frame.chunk,
        });
    }

    /// The reading as of `now`.
    pub fn stats(&mut self, now: Duration) -> ArrivalStats {
        self.roll(now);
        let mut sum = Slot::default();
        for slot in &self.slots {
            sum.received += slot.received;
            sum.lost += slot.lost;
            sum.runs += slot.runs;
            sum.late += slot.late;
            sum.deviation_ms_max = sum.deviation_ms_max.max(slot.deviation_ms_max);
        }
        let loss_pct = percent(f64::from(sum.lost), f64::from(sum.received));
        ArrivalStats {
            jitter_ms: self.jitter_ms,
            jitter_ms_max: sum.deviation_ms_max,
            late_pct: 100.0 * f64::from(sum.late) / f64::from(sum.received.max(1)),
            loss_pct,
            loss_pct_total: percent(self.lost as f64, self.received as f64),
            burst_ratio: if sum.runs == 0 {
                1.0
            } else {
                let mean_run = f64::from(sum.lost) / f64::from(sum.runs);
                (mean_run * (1.0 - loss_pct / 100.0)).max(1.0)
            },
            received: self.received,
            lost: self.lost,
            duplicates: self.duplicates,
            silent_for: self.last.map(|l| now.saturating_sub(l.at)),
        }
    }

    /// Numbering is believed before media time, and the two are never added up.
    fn count_gap(&mut self, prev: &Last, frame: &Arrival, media_ms: f64) {
        let missing = if let (Some(before), Some(now)) = (prev.chunk, frame.chunk) {
            now - before - 1
        } else {
            let gap_ms = media_ms - (prev.media_ms + prev.audio_ms);
            if gap_ms >= FRAME_MS {
                (gap_ms / FRAME_MS).round() as u64
            } else {
                0
            }
        };
        if missing > 0 {
            self.lost += missing;
            let slot = self.slot();
            slot.lost += missing as u32;
            slot.runs += 1;
        }
    }

    fn count_arrival(&mut self, transit_ms: f64) {
        self.received += 1;
        let second = (self.second % TRANSIT_S as u64) as usize;
        self.fastest[second] = self.fastest[second].min(transit_ms);
        self.transit_min = self.transit_min.min(transit_ms);
        let late = transit_ms - self.transit_min > LATE_MS;
        let slot = self.slot();
        slot.received += 1;
        slot.late += u32::from(late);
    }

    fn slot(&mut self) -> &mut Slot {
        &mut self.slots[(self.second % WINDOW_S as u64) as usize]
    }

    /// Empties the slots of the seconds that have begun since the last call.
    fn roll(&mut self, now: Duration) {
        let second = now.as_secs();
        let passed = second.saturating_sub(self.second);
        if passed == 0 {
            return;
        }
        for s in (second - passed.min(TRANSIT_S as u64) + 1)..=second {
            self.slots[(s % WINDOW_S as u64) as usize] = Slot::default();
            self.fastest[(s % TRANSIT_S as u64) as usize] = f64::INFINITY;
        }
        self.second = second;
        self.transit_min = self.fastest.iter().copied().fold(f64::INFINITY, f64::min);
    }
}

fn percent(lost: f64, received: f64) -> f64 {
    if lost + received > 0.0 {
        100.0 * lost / (lost + received)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn frame(at_ms: u64, media_ms: u64) -> Arrival {
        Arrival {
            at: at(at_ms),
            media_ms: Some(media_ms),
            chunk: None,
            audio_ms: 20,
        }
    }

    fn numbered(at_ms: u64, chunk: u64) -> Arrival {
        Arrival {
            at: at(at_ms),
            media_ms: Some(chunk * 20),
            chunk: Some(chunk),
            audio_ms: 20,
        }
    }

    #[test]
    fn jitter_matches_the_worked_vector() {
        let arrivals = [0, 20, 45, 60, 85, 100, 170, 172, 174];
        let expected = [
            0.0, 0.0, 0.3125, 0.6055, 0.8801, 1.1376, 4.1915, 5.0545, 5.8636,
        ];
        let mut leg = Arrivals::new();
        for (i, (r, j)) in arrivals.into_iter().zip(expected).enumerate() {
            leg.on_frame(frame(r, i as u64 * 20));
            assert!(
                (leg.jitter_ms() - j).abs() < 5e-5,
                "frame {i}: {}",
                leg.jitter_ms()
            );
        }
        assert_eq!(leg.stats(at(200)).jitter_ms_max, 50.0);
    }

    #[test]
    fn missing_media_time_is_counted_on() {
        let mut leg = Arrivals::new();
        for i in 0..50 {
            leg.on_frame(Arrival {
                at: at(i * 20),
                media_ms: None,
                chunk: None,
                audio_ms: 20,
            });
        }
        let stats = leg.stats(at(1_000));
        assert_eq!((stats.jitter_ms, stats.lost, stats.received), (0.0, 0, 50));
    }

    #[test]
    fn holes_in_the_numbering_are_losses_and_repeats_are_not() {
        let mut leg = Arrivals::new();
        for chunk in [1, 2, 5, 5, 4, 6] {
            leg.on_frame(numbered(chunk * 20, chunk));
        }
        let stats = leg.stats(at(200));
        assert_eq!((stats.lost, stats.received, stats.duplicates), (2, 4, 2));
        assert!((stats.loss_pct - 100.0 / 3.0).abs() < 1e-9);
        assert!((stats.burst_ratio - 2.0 * (2.0 / 3.0)).abs() < 1e-9);
    }

    #[test]
    fn without_numbering_a_gap_in_media_time_is_a_loss() {
        let mut leg = Arrivals::new();
        for (r, s) in [(0, 0), (20, 20), (100, 100), (120, 135)] {
            leg.on_frame(frame(r, s));
        }
        assert_eq!(leg.stats(at(200)).lost, 3);
    }

    #[test]
    fn the_window_forgets_and_the_total_does_not() {
        let mut leg = Arrivals::new();
        leg.on_frame(numbered(0, 1));
        leg.on_frame(numbered(60, 4));
        for i in 5..505 {
            leg.on_frame(numbered(i * 20, i));
        }
        let stats = leg.stats(at(11_500));
        assert_eq!((stats.loss_pct, stats.lost), (0.0, 2));
        assert!(stats.loss_pct_total > 0.0);
        assert_eq!(leg.stats(at(60_000)).late_pct, 0.0);
    }

    #[test]
    fn late_frames_are_measured_against_the_fastest() {
        let mut leg = Arrivals::new();
        for i in 0..100u64 {
            let delay = if i % 10 == 9 { 250 } else { 0 };
            leg.on_frame(frame(1_000 + i * 20 + delay, i * 20));
        }
        assert!((leg.stats(at(3_300)).late_pct - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_new_stream_is_no_hole() {
        let mut leg = Arrivals::new();
        leg.on_frame(frame(0, 0));
        leg.on_frame(frame(20, 50_000));
        leg.on_frame(numbered(40, 9_000));
        leg.stream_started();
        leg.on_frame(numbered(60, 1));
        let stats = leg.stats(at(100));
        assert_eq!((stats.lost, stats.jitter_ms), (0, 0.0));
        assert_eq!(stats.silent_for, Some(at(40)));
    }
}
