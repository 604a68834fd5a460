//! Loudness of a frame, the meter drawn from it, and the two ways a leg can be dead.

use std::time::Duration;

use super::FRAME;

/// What a frame of digital silence measures.
pub const SILENCE_DBFS: f32 = -96.0;
/// Bottom of the drawn scale.
pub const METER_FLOOR_DBFS: f32 = -60.0;
const FALL_DB_PER_S: f32 = 20.0;
const PEAK_HOLD: Duration = Duration::from_secs(1);
/// Samples at or beyond this are taken as clipped.
const CLIP: u16 = 32_000;

/// Squared sample of every µ-law code word: a frame's level costs one look-up per byte.
static ULAW_SQUARE: [u32; 256] = ulaw_squares();

/// Loudness of a piece of audio. dBFS: 0 is full scale, [`SILENCE_DBFS`] the floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub rms_dbfs: f32,
    pub peak_dbfs: f32,
    /// Samples at full scale.
    pub clipped: u32,
    pub samples: u32,
}

/// Ballistics of a drawn meter: up at once, down 20 dB/s, the peak mark stands for a second.
#[derive(Clone, Debug)]
pub struct Meter {
    rms_dbfs: f32,
    peak_dbfs: f32,
    peak_at: Duration,
    at: Duration,
}

/// What a meter shows, never below [`METER_FLOOR_DBFS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeterReading {
    pub rms_dbfs: f32,
    pub peak_dbfs: f32,
}

/// Watches one leg for frames that stop, sound that never comes and clipping.
#[derive(Clone, Debug)]
pub struct LegHealth {
    since: Duration,
    last_frame: Duration,
    last_sound: Duration,
    second: u64,
    clipped: u32,
    samples: u32,
    clipping: bool,
}

impl Level {
    pub const SILENCE: Self = Self {
        rms_dbfs: SILENCE_DBFS,
        peak_dbfs: SILENCE_DBFS,
        clipped: 0,
        samples: 0,
    };
}

/// Level of µ-law audio of any length; an empty slice is silence.
pub fn level_ulaw(bytes: &[u8]) -> Level {
    // Four sums side by side: one would wait for itself at every byte.
    let (mut sums, mut maxima) = ([0u64; 4], [0u32; 4]);
    let quads = bytes.chunks_exact(4);
    for &b in quads.remainder() {
        let square = ULAW_SQUARE[usize::from(b)];
        sums[0] += u64::from(square);
        maxima[0] = maxima[0].max(square);
    }
    for quad in quads {
        for lane in 0..4 {
            let square = ULAW_SQUARE[usize::from(quad[lane])];
            sums[lane] += u64::from(square);
            maxima[lane] = maxima[lane].max(square);
        }
    }
    let max = maxima.into_iter().max().unwrap_or_default();
    // Only the two outermost code words lie beyond the clipping line.
    let clipped = if max >= u32::from(CLIP) * u32::from(CLIP) {
        bytes
            .iter()
            .map(|b| u32::from(matches!(b, 0x00 | 0x80)))
            .sum()
    } else {
        0
    };
    level(
        sums.into_iter().sum::<u64>() as f64,
        max,
        clipped,
        bytes.len(),
    )
}

/// Level of 16-bit samples.
pub fn level_pcm(samples: &[i16]) -> Level {
    let (mut sum, mut max, mut clipped) = (0u64, 0u32, 0u32);
    for &s in samples {
        let magnitude = u32::from(s.unsigned_abs());
        sum += u64::from(magnitude * magnitude);
        max = max.max(magnitude * magnitude);
        clipped += u32::from(magnitude >= u32::from(CLIP));
    }
    level(sum as f64, max, clipped, samples.len())
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    pub fn new() -> Self {
        Self {
            rms_dbfs: METER_FLOOR_DBFS,
            peak_dbfs: METER_FLOOR_DBFS,
            peak_at: Duration::ZERO,
            at: Duration::ZERO,
        }
    }

    /// Takes the level of one frame.
    pub fn push(&mut self, level: Level, now: Duration) {
        let falling = self.reading(now);
        self.at = now;
        self.rms_dbfs = level.rms_dbfs.max(falling.rms_dbfs);
        if level.peak_dbfs >= falling.peak_dbfs {
            self.peak_dbfs = level.peak_dbfs.max(METER_FLOOR_DBFS);
            self.peak_at = now;
        }
    }

    /// The reading as of `now`, fallen since the last frame if none came.
    pub fn reading(&self, now: Duration) -> MeterReading {
        let fallen = |from: f32, since: Duration| {
            let seconds = now.saturating_sub(since).as_secs_f32();
            (from - FALL_DB_PER_S * seconds).max(METER_FLOOR_DBFS)
        };
        MeterReading {
            rms_dbfs: fallen(self.rms_dbfs, self.at),
            peak_dbfs: fallen(self.peak_dbfs, self.peak_at + PEAK_HOLD),
        }
    }
}

impl LegHealth {
    /// No inbound frame for this long means the stream stands.
    pub const STALL: Duration = Duration::from_secs(2);
    /// No sound for this long since the call was answered means one-way audio.
    pub const ONE_WAY: Duration = Duration::from_secs(10);

    /// Starts at the moment the call is up.
    pub fn new(now: Duration) -> Self {
        Self {
            since: now,
            last_frame: now,
            last_sound: now,
            second: now.as_secs(),
            clipped: 0,
            samples: 0,
            clipping: false,
        }
    }

    pub fn push(&mut self, level: Level, now: Duration) {
        self.last_frame = now;
        if level.rms_dbfs >= METER_FLOOR_DBFS {
            self.last_sound = now;
        }
        if now.as_secs() != self.second {
            self.clipping = self.clipped * 100 > self.samples;
            (self.second, self.clipped, self.samples) = (now.as_secs(), 0, 0);
        }
        self.clipped += level.clipped;
        self.samples += level.samples;
    }

    /// Frames have stopped coming.
    pub fn stalled(&self, now: Duration) -> bool {
        now.saturating_sub(self.last_frame) > Self::STALL
    }

    /// Nothing above the floor was ever heard, or nothing for a long while.
    pub fn one_way(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) > Self::ONE_WAY
            && now.saturating_sub(self.last_sound) > Self::ONE_WAY
    }

    /// More than one sample in a hundred was at full scale in the last whole second.
    pub fn clipping(&self) -> bool {
        self.clipping
    }

    /// How long the leg has been without sound.
    pub fn quiet_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last_sound).saturating_sub(FRAME)
    }
}

fn level(sum: f64, max_square: u32, clipped: u32, samples: usize) -> Level {
    if sum <= 0.0 {
        return Level {
            samples: samples as u32,
            ..Level::SILENCE
        };
    }
    // Power in dB needs no square root: 20 log of the root is 10 log of the square.
    let dbfs = |square: f32| (10.0 * square.log10() - 90.309).max(SILENCE_DBFS);
    Level {
        rms_dbfs: dbfs((sum / samples as f64) as f32),
        peak_dbfs: dbfs(max_square as f32),
        clipped,
        samples: samples as u32,
    }
}

const fn ulaw_squares() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut b = 0usize;
    while b < 256 {
        let u = !(b as u8);
        let x = (((((u & 0x0F) as u32) << 3) + 132) << ((u >> 4) & 7)) - 132;
        table[b] = x * x;
        b += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{sine, ulaw_decode_sample, ulaw_encode_sample};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn loud(dbfs: f32) -> Level {
        Level {
            rms_dbfs: dbfs,
            peak_dbfs: dbfs,
            clipped: 0,
            samples: 160,
        }
    }

    #[test]
    fn the_table_of_squares_agrees_with_the_decoder() {
        for code in 0..=255u8 {
            let x = i32::from(ulaw_decode_sample(code));
            assert_eq!(ULAW_SQUARE[usize::from(code)], (x * x) as u32);
        }
    }

    #[test]
    fn levels_match_the_published_vectors() {
        assert_eq!(level_ulaw(&[0xFF; 160]).rms_dbfs, SILENCE_DBFS);
        assert_eq!(level_ulaw(&[]).rms_dbfs, SILENCE_DBFS);
        let square: Vec<u8> = [0x80, 0x00].into_iter().cycle().take(160).collect();
        let level = level_ulaw(&square);
        assert!((level.rms_dbfs + 0.17).abs() < 0.01 && (level.peak_dbfs + 0.17).abs() < 0.01);
        assert_eq!(level.clipped, 160);
        for (amplitude, dbfs) in [
            (32_000.0, -3.15),
            (10_000.0, -13.33),
            (1_000.0, -33.32),
            (100.0, -53.07),
        ] {
            let pcm = sine(1_000.0, amplitude, 8_000, 160);
            let ulaw: Vec<u8> = pcm.iter().map(|&s| ulaw_encode_sample(s)).collect();
            let got = level_ulaw(&ulaw).rms_dbfs;
            assert!((got - dbfs).abs() < 0.3, "{amplitude}: {got}");
            assert!((level_pcm(&pcm).rms_dbfs - dbfs).abs() < 0.3, "{amplitude}");
        }
    }

    #[test]
    fn a_meter_rises_at_once_and_falls_slowly() {
        let mut meter = Meter::new();
        meter.push(loud(-10.0), ms(100));
        assert_eq!(
            meter.reading(ms(100)),
            MeterReading {
                rms_dbfs: -10.0,
                peak_dbfs: -10.0
            }
        );
        meter.push(loud(SILENCE_DBFS), ms(600));
        let reading = meter.reading(ms(1_100));
        assert!((reading.rms_dbfs + 30.0).abs() < 0.01, "{reading:?}");
        assert_eq!(reading.peak_dbfs, -10.0, "the peak stands for a second");
        assert!((meter.reading(ms(2_100)).peak_dbfs + 30.0).abs() < 0.01);
        assert_eq!(meter.reading(ms(60_000)).rms_dbfs, METER_FLOOR_DBFS);
    }

    #[test]
    fn a_silent_leg_and_a_stalled_leg_are_told_apart() {
        let mut leg = LegHealth::new(ms(0));
        for i in 0..600u64 {
            leg.push(Level::SILENCE, ms(i * 20));
        }
        assert!(leg.one_way(ms(12_000)) && !leg.stalled(ms(12_000)));
        leg.push(loud(-20.0), ms(12_020));
        assert!(!leg.one_way(ms(12_040)) && leg.stalled(ms(14_100)));
    }

    #[test]
    fn clipping_is_judged_over_a_second() {
        let mut leg = LegHealth::new(ms(0));
        for i in 0..=50u64 {
            leg.push(
                Level {
                    clipped: 2,
                    ..loud(-1.0)
                },
                ms(i * 20),
            );
        }
        assert!(leg.clipping());
        for i in 51..=150u64 {
            leg.push(loud(-1.0), ms(i * 20));
        }
        assert!(!leg.clipping());
    }
}
