//! Who is speaking: an energy gate on 20 ms frames with a noise floor that follows the line.
//! Good enough for ratios and turn times; a vendor's own detector is believed before it.

use std::time::Duration;

use super::FRAME;

/// Frames the noise floor is taken from: 5 s.
const HISTORY: usize = 250;
/// Until this many frames are in, the floor is taken as the lowest: a call may open with speech.
const SETTLED: usize = 50;
const FLOOR_MIN_DBFS: f32 = -70.0;
const FLOOR_MAX_DBFS: f32 = -40.0;
/// One bin per dB from -96 to 0.
const BINS: usize = 97;
/// Speech starts when 3 of the last 4 frames are speech.
const START_OF_4: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VadConfig {
    /// No frame below this is speech.
    pub threshold_dbfs: f32,
    /// Nor one less than this above the noise floor.
    pub margin_db: f32,
    /// Speech ends after this long without a speech frame.
    pub hangover: Duration,
}

/// A change, with the time the speech itself began or ended, which lies before the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VadEvent {
    SpeechStarted { at: Duration },
    SpeechEnded { at: Duration },
}

/// The detector of one leg.
#[derive(Clone, Debug)]
pub struct Vad {
    config: VadConfig,
    levels: [u8; HISTORY],
    seen: usize,
    next: usize,
    bins: [u8; BINS],
    /// Last four verdicts, newest in bit 0.
    verdicts: u8,
    speaking: bool,
    last_speech: Duration,
}

impl Default for VadConfig {
    fn default() -> Self {
        Self {
            threshold_dbfs: -45.0,
            margin_db: 9.0,
            hangover: Duration::from_millis(400),
        }
    }
}

impl VadConfig {
    /// For the speaking mark beside a meter, which should go out sooner than a turn ends.
    pub fn for_meter() -> Self {
        Self {
            hangover: Duration::from_millis(200),
            ..Self::default()
        }
    }
}

impl Default for Vad {
    fn default() -> Self {
        Self::new(VadConfig::default())
    }
}

impl Vad {
    pub fn new(config: VadConfig) -> Self {
        Self {
            config,
            levels: [0; HISTORY],
            seen: 0,
            next: 0,
            bins: [0; BINS],
            verdicts: 0,
            speaking: false,
            last_speech: Duration::ZERO,
        }
    }

    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// End of the latest speech frame: the turn's end once [`VadEvent::SpeechEnded`] came.
    pub fn last_speech_at(&self) -> Duration {
        self.last_speech
    }

    /// 10th percentile of the last 5 s, held between -70 and -40 dBFS.
    pub fn noise_floor_dbfs(&self) -> f32 {
        if self.seen < SETTLED {
            return FLOOR_MIN_DBFS;
        }
        let wanted = (self.seen / 10).max(1);
        let mut below = 0;
        for (bin, &count) in self.bins.iter().enumerate() {
            below += usize::from(count);
            if below >= wanted {
                return (bin as f32 - 96.0).clamp(FLOOR_MIN_DBFS, FLOOR_MAX_DBFS);
            }
        }
        FLOOR_MAX_DBFS
    }

    /// Takes the RMS level of one 20 ms frame; `now` is the end of the frame.
    pub fn push(&mut self, rms_dbfs: f32, now: Duration) -> Option<VadEvent> {
        let threshold = self
            .config
            .threshold_dbfs
            .max(self.noise_floor_dbfs() + self.config.margin_db);
        self.remember(rms_dbfs);
        let speech = rms_dbfs > threshold;
        self.verdicts = (self.verdicts << 1 | u8::from(speech)) & 0x0F;
        if speech {
            self.last_speech = now;
        }
        if !self.speaking && self.verdicts.count_ones() >= START_OF_4 {
            self.speaking = true;
            let frames = u8::BITS - self.verdicts.leading_zeros();
            return Some(VadEvent::SpeechStarted {
                at: now.saturating_sub(FRAME * frames),
            });
        }
        self.idle(now)
    }

    /// Lets time pass without a frame, so that speech also ends on a stalled stream.
    pub fn idle(&mut self, now: Duration) -> Option<VadEvent> {
        if self.speaking && now.saturating_sub(self.last_speech) >= self.config.hangover {
            self.speaking = false;
            self.verdicts = 0;
            return Some(VadEvent::SpeechEnded {
                at: self.last_speech,
            });
        }
        None
    }

    fn remember(&mut self, rms_dbfs: f32) {
        let bin = (rms_dbfs + 96.0).clamp(0.0, (BINS - 1) as f32) as u8;
        if self.seen == HISTORY {
            self.bins[usize::from(self.levels[self.next])] -= 1;
        } else {
            self.seen += 1;
        }
        self.levels[self.next] = bin;
        self.bins[usize::from(bin)] += 1;
        self.next = (self.next + 1) % HISTORY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(vad: &mut Vad, from: u64, levels: &[f32]) -> Vec<VadEvent> {
        let at = |i: usize| Duration::from_millis((from + i as u64 + 1) * 20);
        levels
            .iter()
            .enumerate()
            .filter_map(|(i, &level)| vad.push(level, at(i)))
            .collect()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn speech_is_dated_by_its_own_first_and_last_frame() {
        let mut vad = Vad::default();
        assert!(feed(&mut vad, 0, &[-80.0; 100]).is_empty());
        let started = feed(&mut vad, 100, &[-20.0; 25]);
        assert_eq!(started, [VadEvent::SpeechStarted { at: ms(2_000) }]);
        let ended = feed(&mut vad, 125, &[-80.0; 50]);
        assert_eq!(ended, [VadEvent::SpeechEnded { at: ms(2_500) }]);
    }

    #[test]
    fn a_click_is_not_speech_and_a_pause_is_not_its_end() {
        let mut vad = Vad::default();
        assert!(feed(&mut vad, 0, &[-20.0, -20.0, -80.0, -80.0, -20.0]).is_empty());
        assert_eq!(feed(&mut vad, 10, &[-20.0, -80.0, -20.0, -20.0]).len(), 1);
        assert!(feed(&mut vad, 14, &[-80.0; 19]).is_empty());
        assert!(feed(&mut vad, 33, &[-20.0]).is_empty());
        assert!(vad.is_speaking());
    }

    #[test]
    fn a_noisy_line_raises_the_gate() {
        let mut vad = Vad::default();
        let first = feed(&mut vad, 0, &[-42.0; 260]);
        assert!(!vad.is_speaking(), "steady noise ends as noise: {first:?}");
        assert!((vad.noise_floor_dbfs() + 42.0).abs() <= 1.0);
        assert!(feed(&mut vad, 260, &[-36.0; 10]).is_empty());
        assert_eq!(feed(&mut vad, 270, &[-25.0; 10]).len(), 1);
    }

    #[test]
    fn a_stalled_stream_ends_speech_too() {
        let mut vad = Vad::default();
        feed(&mut vad, 0, &[-20.0; 10]);
        assert_eq!(vad.idle(ms(599)), None);
        assert_eq!(
            vad.idle(ms(600)),
            Some(VadEvent::SpeechEnded { at: ms(200) })
        );
    }
}
