//! µ-law helpers of the simulated peers: silence, noise, tones and levels of 20 ms frames.

use std::f64::consts::TAU;
use std::sync::LazyLock;

use super::rng::Rng;

pub use crate::media::{
    FRAME_MS, FRAME_SAMPLES as FRAME_BYTES, ULAW_SILENCE as SILENCE, ulaw_decode_sample as decode,
    ulaw_encode_sample as encode,
};

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
