//! A tone made and a tone measured: what audio tests and the tone fallback are written with.

use std::f64::consts::TAU;

/// Amplitude of the sine at `freq_hz` inside `samples`, in the units of the samples.
///
/// Goertzel's algorithm over a Hann window, so a tone off the bin grid leaks little into its
/// neighbours. Below two periods the answer means nothing.
pub fn goertzel(samples: &[f32], rate_hz: u32, freq_hz: f64) -> f64 {
    if samples.is_empty() || rate_hz == 0 {
        return 0.0;
    }
    let n = samples.len() as f64;
    let coeff = 2.0 * (TAU * freq_hz / f64::from(rate_hz)).cos();
    let (mut s1, mut s2) = (0.0f64, 0.0f64);
    for (i, &x) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * (i as f64 + 0.5) / n).cos();
        let s = f64::from(x) * window + coeff * s1 - s2;
        s2 = s1;
        s1 = s;
    }
    let power = (s1 * s1 + s2 * s2 - coeff * s1 * s2).max(0.0);
    // The Hann window halves the mean, a real sine has half its energy at the positive frequency.
    4.0 * power.sqrt() / n
}

/// `count` samples of a sine, starting at phase zero. `amplitude` in i16 units, clipped to them.
pub fn sine(freq_hz: f64, amplitude: f64, rate_hz: u32, count: usize) -> Vec<i16> {
    let step = TAU * freq_hz / f64::from(rate_hz.max(1));
    (0..count)
        .map(|i| (amplitude * (step * i as f64).sin()).round() as i16)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_at_its_own_frequency_only() {
        let tone: Vec<f32> = sine(437.0, 10_000.0, 8_000, 1_600)
            .iter()
            .map(|&s| s.into())
            .collect();
        assert!((goertzel(&tone, 8_000, 437.0) - 10_000.0).abs() < 20.0);
        assert!(goertzel(&tone, 8_000, 880.0) < 5.0);
        assert_eq!(goertzel(&[], 8_000, 440.0), 0.0);
    }
}
