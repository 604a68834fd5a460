//! The voice: recordings of the agents in the scripts, whole or in part, and a hum for the rest.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::simulator::speech::{Line, library};
use crate::simulator::ulaw;

use super::think::normal;

/// How far a cut inside a recording may move to a pause.
const SNAP_FRAMES: usize = 18;
/// A hum lasts as long as the words would.
const MS_PER_CHAR: u64 = 58;
const HUM_MS_MAX: u64 = 20_000;

struct Recording {
    words: String,
    audio: Bytes,
}

static RECORDINGS: LazyLock<Vec<Recording>> = LazyLock::new(|| {
    let lines = library().iter().flat_map(|script| &script.lines);
    lines
        .filter_map(|line| match line {
            Line::Agent(line) => Some(Recording {
                words: normal(&line.text),
                audio: line.audio.clone(),
            }),
            _ => None,
        })
        .collect()
});

/// The words as telephone audio.
pub(super) fn speak(text: &str) -> Vec<u8> {
    let wanted = normal(text);
    for recording in RECORDINGS.iter() {
        if let Some(audio) = part_of(recording, &wanted) {
            return audio.to_vec();
        }
    }
    hum(text.chars().count())
}

/// The stretch of a recording that says these words; pieces of one line join without a gap.
fn part_of<'a>(recording: &'a Recording, wanted: &str) -> Option<&'a [u8]> {
    if wanted.is_empty() {
        return None;
    }
    let at = format!(" {} ", recording.words).find(&format!(" {wanted} "))?;
    let whole = recording.words.len().max(1);
    let frames = recording.audio.len() / ulaw::FRAME_BYTES;
    let cut = |chars: usize| match chars {
        0 => 0,
        chars if chars >= whole => recording.audio.len(),
        chars => quietest(&recording.audio, chars * frames / whole) * ulaw::FRAME_BYTES,
    };
    recording.audio.get(cut(at)..cut(at + wanted.len()))
}

/// The quietest frame near this one.
fn quietest(audio: &[u8], frame: usize) -> usize {
    let level = |n: &usize| {
        let from = n * ulaw::FRAME_BYTES;
        audio
            .get(from..from + ulaw::FRAME_BYTES)
            .map_or(0.0, ulaw::level_dbfs)
    };
    (frame.saturating_sub(SNAP_FRAMES)..=frame + SNAP_FRAMES)
        .min_by(|a, b| level(a).total_cmp(&level(b)))
        .unwrap_or(frame)
}

/// Syllables of a voice that has no words.
fn hum(chars: usize) -> Vec<u8> {
    let ms = (chars as u64 * MS_PER_CHAR).clamp(200, HUM_MS_MAX);
    let mut out = Vec::with_capacity(ms as usize * 8);
    for n in 0..ms * 8 {
        let t = n as f64 / 8_000.0;
        // A buzz with two formants, louder and softer five times a second.
        let pitch = 118.0 + 14.0 * (t * 2.3).sin();
        let buzz: f64 = (1..=9)
            .map(|k| {
                let hz = pitch * f64::from(k);
                let near = |formant: f64| 1.0 / (1.0 + ((hz - formant) / 160.0).powi(2));
                let loud = near(520.0 + 120.0 * (t * 4.1).sin()) + 0.6 * near(1_100.0);
                loud * (std::f64::consts::TAU * hz * t).sin()
            })
            .sum();
        let syllable = (t * std::f64::consts::PI * 5.0).sin().abs().powf(0.6);
        out.push(ulaw::encode((buzz * syllable * 5_500.0) as i16));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_line_is_played_and_its_sentences_make_it_up() {
        let line = "Good morning, Harborview Dental, this is Maya. How can I help?";
        let whole = speak(line);
        let parts = [
            speak("Good morning, Harborview Dental, this is Maya."),
            speak("How can I help?"),
        ];
        assert_eq!(whole, parts.concat());
        assert!(parts.iter().all(|part| part.len() > 3_000));
    }

    #[test]
    fn what_nobody_recorded_is_hummed_for_as_long() {
        let hum = speak("zebra umbrella");
        assert_eq!(hum.len() as u64, 14 * MS_PER_CHAR * 8);
        assert!(ulaw::level_dbfs(&hum) > -30.0);
    }
}
