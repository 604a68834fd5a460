//! The recogniser: it knows the recorded callers' sentences by how loud they are when. Anything else
//! it only measures.

use std::sync::LazyLock;

use crate::media::{MediaFormat, Transcoder, Wav};
use crate::simulator::speech::{Line, library};
use crate::simulator::ulaw;

/// Points of a sentence's outline.
const POINTS: usize = 48;
/// Quieter frames are pauses.
const GATE_DBFS: f32 = -42.0;
/// Outlines that agree less are of different sentences.
const ALIKE_MIN: f32 = 0.82;
/// Lengths may differ by this factor.
const LENGTH_MAX: f32 = 1.2;

struct Known {
    text: String,
    outline: Outline,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let lines = library().iter().flat_map(|script| &script.lines);
    lines
        .filter_map(|line| match line {
            Line::Caller(line) => Some(Known {
                text: line.text.clone(),
                outline: Outline::of(&line.audio)?,
            }),
            _ => None,
        })
        .collect()
});

struct Outline {
    ms: f32,
    points: [f32; POINTS],
}

impl Outline {
    /// `None` for silence.
    fn of(ulaw: &[u8]) -> Option<Self> {
        let levels: Vec<f32> = ulaw
            .chunks(ulaw::FRAME_BYTES)
            .map(|frame| ulaw::level_dbfs(frame).max(GATE_DBFS - 10.0))
            .collect();
        let is_loud = |level: &f32| *level > GATE_DBFS;
        let from = levels.iter().position(is_loud)?;
        let to = levels.iter().rposition(is_loud)? + 1;
        let voiced = levels.get(from..to)?;
        let mut points = [0.0; POINTS];
        for (n, point) in points.iter_mut().enumerate() {
            let start = n * voiced.len() / POINTS;
            let end = ((n + 1) * voiced.len() / POINTS).max(start + 1);
            let span = voiced.get(start..end.min(voiced.len()))?;
            *point = span.iter().sum::<f32>() / span.len().max(1) as f32;
        }
        let mean = points.iter().sum::<f32>() / POINTS as f32;
        for point in &mut points {
            *point -= mean;
        }
        Some(Self {
            ms: voiced.len() as f32 * 20.0,
            points,
        })
    }

    /// -1 to 1.
    fn likeness(&self, other: &Self) -> f32 {
        let factor = (self.ms / other.ms).max(other.ms / self.ms);
        if factor > LENGTH_MAX {
            return -1.0;
        }
        let dot = |a: &[f32; POINTS], b: &[f32; POINTS]| -> f32 {
            a.iter().zip(b).map(|(a, b)| a * b).sum()
        };
        let size = (dot(&self.points, &self.points) * dot(&other.points, &other.points)).sqrt();
        dot(&self.points, &other.points) / size.max(1e-6)
    }
}

/// What is said in a WAV file. `None`: it is none.
pub(super) fn transcribe(file: &[u8]) -> Option<String> {
    let wav = Wav::parse(file).ok()?;
    let ulaw = wav.to_ulaw_8k().ok()?;
    let Some(outline) = Outline::of(&ulaw) else {
        return Some(String::new());
    };
    let best = KNOWN
        .iter()
        .map(|known| (known.outline.likeness(&outline), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Some(match best {
        Some((likeness, known)) if likeness >= ALIKE_MIN => known.text.clone(),
        _ => format!("I spoke for {:.1} seconds.", outline.ms / 1_000.0),
    })
}

/// Telephone audio as samples of another rate, 16 bit.
pub(super) fn pcm(ulaw: &[u8], rate_hz: u32) -> Vec<u8> {
    let to = MediaFormat {
        rate_hz,
        ..MediaFormat::PCM_16K
    };
    let mut out = Vec::new();
    Transcoder::new(MediaFormat::ULAW_8K, to).convert(ulaw, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pcm16_header;

    fn file(ulaw: &[u8]) -> Vec<u8> {
        let pcm = pcm(ulaw, 16_000);
        [&pcm16_header(16_000, pcm.len())[..], &pcm].concat()
    }

    #[test]
    fn every_recorded_caller_is_understood() {
        let lines = library().iter().flat_map(|script| &script.lines);
        for line in lines {
            let Line::Caller(line) = line else { continue };
            let padded = [
                &[ulaw::SILENCE; 2_400][..],
                &line.audio,
                &[ulaw::SILENCE; 6_400],
            ];
            assert_eq!(transcribe(&file(&padded.concat())).unwrap(), line.text);
        }
    }

    #[test]
    fn what_nobody_recorded_is_measured() {
        let hum = ulaw::tone(200.0, 1_500, -12.0);
        assert_eq!(transcribe(&file(&hum)).unwrap(), "I spoke for 1.5 seconds.");
        assert_eq!(transcribe(&file(&[ulaw::SILENCE; 8_000])).unwrap(), "");
        assert_eq!(transcribe(b"nonsense"), None);
    }
}
