//! Change of sample rate by a rational polyphase FIR filter. Streaming: pieces of any length give
//! the same samples as one long piece.
//!
//! Linear interpolation, as most playback paths use, leaves images 13 dB below a 3 kHz tone, which
//! is audible on every telephone voice; this filter leaves them far below the noise of G.711.

use std::f64::consts::{PI, TAU};

/// Length of the filter in samples of the slower side: with the window used, one output sample
/// sees 2 ms of telephone audio to either side.
const TAPS: usize = 32;
/// Where the pass band ends, as a share of the slower side's Nyquist frequency.
const CUTOFF: f64 = 0.92;
/// Independent sums per output sample, so that the compiler can use vector registers.
const LANES: usize = 8;

/// Converts a mono stream from one rate to another. Delay: 16 samples of the slower side.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// Output samples per `down` input samples, reduced.
    up: usize,
    down: usize,
    taps: usize,
    /// `up` rows of `taps` weights, oldest sample first, each row summing to 1.
    weights: Vec<f32>,
    /// The last `taps - 1` samples already used, then samples not yet used.
    history: Vec<f32>,
    /// Row for the next output sample.
    phase: usize,
    /// Start of the next output's window in `history`.
    position: usize,
}

impl Resampler {
    /// A converter with silence behind it. Rates in Hz; zero is taken as 1.
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        let (from, to) = (from_hz.max(1) as usize, to_hz.max(1) as usize);
        let divisor = gcd(from, to);
        let (up, down) = (to / divisor, from / divisor);
        let taps = taps_per_phase(up, down);
        let weights = if up == down {
            Vec::new()
        } else {
            design(up, down, taps)
        };
        let mut this = Self {
            up,
            down,
            taps,
            weights,
            history: Vec::new(),
            phase: 0,
            position: 0,
        };
        this.reset();
        this
    }

    /// Same rate on both sides: samples pass unchanged and undelayed.
    pub fn is_identity(&self) -> bool {
        self.up == self.down
    }

    /// Forgets the past, as after a cut in the audio.
    pub fn reset(&mut self) {
        self.phase = 0;
        self.position = 0;
        self.history.clear();
        if !self.is_identity() {
            self.history.resize(self.taps - 1, 0.0);
        }
    }

    /// Converts `input` and appends what it completes to `out`. 16-bit samples, clipped.
    pub fn push(&mut self, input: &[i16], out: &mut Vec<i16>) {
        if self.is_identity() {
            out.extend_from_slice(input);
            return;
        }
        self.history.extend(input.iter().map(|&s| f32::from(s)));
        self.run(|x| out.push(x.round().clamp(-32_768.0, 32_767.0) as i16));
    }

    /// The same for floating samples of any scale; nothing is clipped.
    pub fn push_f32(&mut self, input: &[f32], out: &mut Vec<f32>) {
        if self.is_identity() {
            out.extend_from_slice(input);
            return;
        }
        self.history.extend_from_slice(input);
        self.run(|x| out.push(x));
    }

    fn run(&mut self, mut emit: impl FnMut(f32)) {
        while let Some(window) = self.history.get(self.position..self.position + self.taps) {
            let row = self.phase * self.taps;
            emit(dot(window, &self.weights[row..row + self.taps]));
            self.phase += self.down;
            self.position += self.phase / self.up;
            self.phase %= self.up;
        }
        // When going down in rate the next window may begin beyond what has arrived.
        let used = self.position.min(self.history.len());
        self.history.copy_within(used.., 0);
        self.history.truncate(self.history.len() - used);
        self.position -= used;
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (x, y) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum()
}

/// Going down in rate, one slower sample spans several faster ones, so the rows grow with it.
/// Always a multiple of [`LANES`].
fn taps_per_phase(up: usize, down: usize) -> usize {
    let taps = if down > up {
        (TAPS * down).div_ceil(up)
    } else {
        TAPS
    };
    taps.next_multiple_of(LANES)
}

/// Windowed-sinc low pass at `up` times the input rate, cut into `up` rows.
fn design(up: usize, down: usize, taps: usize) -> Vec<f32> {
    let total = taps * up;
    // Cut-off as a share of the fast intermediate rate.
    let cutoff = CUTOFF * 0.5 / up.max(down) as f64;
    let middle = (total - 1) as f64 / 2.0;
    let tap = |n: usize| {
        let x = n as f64 - middle;
        let sinc = if x == 0.0 {
            2.0 * cutoff
        } else {
            (TAU * cutoff * x).sin() / (PI * x)
        };
        sinc * blackman_harris(n as f64 / (total - 1) as f64)
    };
    let mut weights = Vec::with_capacity(total);
    for phase in 0..up {
        // Row `phase` weighs the newest sample by tap `phase`, the one before by `phase + up`, …
        let row: Vec<f64> = (0..taps).rev().map(|k| tap(k * up + phase)).collect();
        let sum: f64 = row.iter().sum();
        weights.extend(row.iter().map(|w| (w / sum) as f32));
    }
    weights
}

fn blackman_harris(at: f64) -> f64 {
    let a = TAU * at;
    0.358_75 - 0.488_29 * a.cos() + 0.141_28 * (2.0 * a).cos() - 0.011_68 * (3.0 * a).cos()
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{goertzel, sine};

    fn run(from: u32, to: u32, freq: f64) -> Vec<f32> {
        let mut out = Vec::new();
        let tone = sine(freq, 10_000.0, from, from as usize / 2);
        Resampler::new(from, to).push(&tone, &mut out);
        out.iter()
            .skip(to as usize / 20)
            .map(|&s| f32::from(s))
            .collect()
    }

    fn db(ratio: f64) -> f64 {
        20.0 * ratio.max(1e-9).log10()
    }

    #[test]
    fn tones_keep_their_level_and_leave_no_image() {
        for (from, to) in [
            (8_000, 48_000),
            (8_000, 16_000),
            (8_000, 44_100),
            (16_000, 24_000),
        ] {
            for freq in [300.0, 1_000.0, 2_500.0] {
                let out = run(from, to, freq);
                let level = db(goertzel(&out, to, freq) / 10_000.0);
                let image = db(goertzel(&out, to, f64::from(from) - freq) / 10_000.0);
                assert!(level.abs() < 0.1, "{from}->{to} {freq}: {level} dB");
                assert!(image < -80.0, "{from}->{to} {freq}: image {image} dB");
            }
            let edge = db(goertzel(&run(from, to, 3_000.0), to, 3_000.0) / 10_000.0);
            assert!(edge > -0.5, "{from}->{to}: 3 kHz at {edge} dB");
        }
    }

    #[test]
    fn going_down_keeps_speech_and_removes_what_would_fold() {
        for from in [16_000, 24_000, 48_000, 44_100] {
            let out = run(from, 8_000, 1_000.0);
            assert!(db(goertzel(&out, 8_000, 1_000.0) / 10_000.0).abs() < 0.1);
            let folded = run(from, 8_000, 5_200.0);
            assert!(
                db(goertzel(&folded, 8_000, 2_800.0) / 10_000.0) < -75.0,
                "{from}"
            );
        }
    }

    #[test]
    fn pieces_give_the_same_samples_as_the_whole() {
        for (from, to) in [
            (8_000, 48_000),
            (24_000, 8_000),
            (44_100, 8_000),
            (8_000, 8_000),
        ] {
            let tone = sine(700.0, 9_000.0, from, 4_000);
            let mut whole = Vec::new();
            Resampler::new(from, to).push(&tone, &mut whole);
            let mut pieces = Vec::new();
            let mut resampler = Resampler::new(from, to);
            let mut rest = &tone[..];
            for len in [1, 2, 159, 3, 160, 7].into_iter().cycle() {
                let (now, later) = rest.split_at(len.min(rest.len()));
                resampler.push(now, &mut pieces);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            assert_eq!(whole, pieces, "{from}->{to}");
        }
    }

    #[test]
    fn a_frame_in_is_a_frame_out() {
        let mut out = Vec::new();
        let mut resampler = Resampler::new(8_000, 48_000);
        for _ in 0..5 {
            out.clear();
            resampler.push_f32(&[0.25; 160], &mut out);
            assert_eq!(out.len(), 960);
        }
        assert!(
            out.iter().all(|&x| (x - 0.25).abs() < 1e-5),
            "constant passes at gain 1"
        );
    }

    #[test]
    fn full_scale_clips_instead_of_wrapping() {
        let square: Vec<i16> = (0..800)
            .map(|i| if i / 8 % 2 == 0 { i16::MAX } else { i16::MIN })
            .collect();
        let mut out = Vec::new();
        Resampler::new(8_000, 48_000).push(&square, &mut out);
        assert!(
            out.windows(2)
                .all(|w| (i32::from(w[0]) - i32::from(w[1])).abs() < 40_000)
        );
    }
}
