//! µ-law helpers of the simulated peers: silence, noise, tones and levels of 20 ms frames.

use std::f64::consts::TAU;
use std::sync::LazyLock;

use super::rng::Rng;

/// 20 ms at 8 kHz.
pub const FRAME_BYTES: usize = 160;
/// One tick of every media loop here.
pub const FRAME_MS: u64 = 20;
/// Digital silence.
pub const SILENCE: u8 = 0xff;

/// µ-law code → linear (ITU-T G.711 table 2a).
pub fn decode(code: u8) -> i16 {
    let code = !code;
    let exponent = (code >> 4) & 7;
    let magnitude = ((i16::from(code & 0x0f) << 3) + 0x84) << exponent;
    if code & 0x80 == 0 {
        magnitude - 0x84
    } else {
        0x84 - magnitude
    }
}

/// Linear → µ-law code.
pub fn encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80_u8 } else { 0 };
    let magnitude = (i32::from(sample).abs() + 0x84).min(0x7fff);
    let exponent = (31 - (magnitude as u32).leading_zeros())
        .saturating_sub(7)
        .min(7);
    let mantissa = ((magnitude >> (exponent + 3)) & 0x0f) as u8;
    !(sign | ((exponent as u8) << 4) | mantissa)
}

static SQUARES: LazyLock<Vec<f32>> = LazyLock::new(|| {
    (0..=255_u8)
        .map(|code| (f32::from(decode(code)) / 32_768.0).powi(2))
        .collect()
});

/// RMS level of µ-law audio in dBFS, floor -90.
pub fn level_dbfs(audio: &[u8]) -> f32 {
    if audio.is_empty() {
        return -90.0;
    }
    let sum: f32 = audio
        .iter()
        .map(|code| SQUARES.get(usize::from(*code)).copied().unwrap_or(0.0))
        .sum();
    (10.0 * (sum / audio.len() as f32).max(1e-9).log10()).max(-90.0)
}

/// A sine, for tests, beeps and tone scripts.
pub fn tone(freq_hz: f64, ms: u64, dbfs: f64) -> Vec<u8> {
    let amplitude = 32_767.0 * 10f64.powf(dbfs / 20.0);
    (0..ms * 8)
        .map(|n| encode((amplitude * (TAU * freq_hz * n as f64 / 8_000.0).sin()) as i16))
        .collect()
}

/// White noise of a phone line at about `dbfs` RMS, repeatable for a seed.
pub fn noise(ms: u64, dbfs: f64, seed: u64) -> Vec<u8> {
    let peak = 32_767.0 * 10f64.powf(dbfs / 20.0) * 3f64.sqrt();
    let mut rng = Rng::new(seed);
    (0..ms * 8)
        .map(|_| encode((peak * (rng.below(2_001) as f64 / 1_000.0 - 1.0)) as i16))
        .collect()
}
