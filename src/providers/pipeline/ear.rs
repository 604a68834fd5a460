//! Hears the caller's turns: where speech begins, where it ends, and the utterance between.
//!
//! Two judges must agree. `earshot` (a small neural network in Rust, 16 ms frames) tells voice from
//! other sounds: on the bundled speech it is right within 130 ms of the first word and never sees a
//! gap longer than 430 ms, while the energy gate of `media::Vad` opens for any loud noise. On its
//! own it takes steady hiss for voice, so a frame must also stand out from the line's noise floor,
//! which `media::Vad` follows. Time is the audio's own: what comes in a burst is judged in a burst.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use earshot::Detector;

use crate::media::{Vad, VadConfig, level_pcm};

use super::transcribe::RATE_HZ;

/// Samples of one frame of the detector.
const FRAME: usize = 256;
const FRAME_MS: u64 = FRAME as u64 * 1_000 / RATE_HZ as u64;
/// The detector's own proposal.
const VOICE: f32 = 0.5;
/// Quieter is nobody speaking into this telephone.
const QUIET_DBFS: f32 = -52.0;
/// How far speech stands out from the line's noise.
const MARGIN_DB: f32 = 6.0;
/// Kept from before the speech: its first sound is often softer than the detector's threshold.
const LEAD_IN: usize = RATE_HZ as usize * 3 / 10;
/// A turn longer than this is handed on as it is.
const TURN_MAX: usize = RATE_HZ as usize * 30;
/// Less voice than this in a turn is a click or a cough.
const VOICED_MS_MIN: u64 = 100;

/// How sure the ear must be that speech began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nobody else is speaking.
    Open,
    /// The agent speaks: its echo and the caller's "mhm" are not to interrupt it.
    Wary,
}

impl Guard {
    /// Voiced frames of the last twelve that make a beginning.
    fn frames(self) -> u32 {
        match self {
            Self::Open => 4,
            Self::Wary => 9,
        }
    }
}

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    Began,
    /// The turn, as 16-bit samples.
    Ended(Vec<u8>),
    /// It was no speech after all.
    Nothing,
}

/// One caller's ear. Takes 16-bit little-endian samples, 16 kHz, mono.
pub(super) struct Ear {
    detector: Box<Detector>,
    floor: Vad,
    silence_ms: u64,
    clock_ms: u64,
    odd: Option<u8>,
    frame: Vec<i16>,
    /// Verdicts of the last frames, newest in bit 0.
    verdicts: u16,
    lead_in: VecDeque<i16>,
    turn: Option<Turn>,
}

struct Turn {
    samples: Vec<u8>,
    voiced_ms: u64,
    quiet_ms: u64,
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear")
            .field("clock_ms", &self.clock_ms)
            .field("is_speaking", &self.is_hearing())
            .finish_non_exhaustive()
    }
}

impl Ear {
    /// `silence` ends a turn.
    pub(super) fn new(silence: Duration) -> Self {
        Self {
            detector: Detector::default_boxed(),
            floor: Vad::new(VadConfig::default()),
            silence_ms: silence.as_millis() as u64,
            clock_ms: 0,
            odd: None,
            frame: Vec::with_capacity(FRAME),
            verdicts: 0,
            lead_in: VecDeque::with_capacity(LEAD_IN),
            turn: None,
        }
    }

    /// A turn is under way.
    pub(super) fn is_hearing(&self) -> bool {
        self.turn.is_some()
    }

    /// Takes audio in, in pieces of any length.
    pub(super) fn push(&mut self, pcm: &[u8], guard: Guard) -> Vec<Heard> {
        let mut heard = Vec::new();
        for byte in pcm {
            let Some(low) = self.odd.take() else {
                self.odd = Some(*byte);
                continue;
            };
            self.frame.push(i16::from_le_bytes([low, *byte]));
            if self.frame.len() == FRAME {
                self.judge(guard, &mut heard);
                self.frame.clear();
            }
        }
        heard
    }

    fn judge(&mut self, guard: Guard, heard: &mut Vec<Heard>) {
        self.clock_ms += FRAME_MS;
        let level = level_pcm(&self.frame).rms_dbfs;
        self.floor.push(level, Duration::from_millis(self.clock_ms));
        let floor = self.floor.noise_floor_dbfs();
        let score = self.detector.predict_i16(&self.frame);
        let voiced = score >= VOICE && level > QUIET_DBFS.max(floor + MARGIN_DB);
        self.verdicts = (self.verdicts << 1 | u16::from(voiced)) & 0x0FFF;
        if let Some(turn) = &mut self.turn {
            for sample in &self.frame {
                turn.samples.extend_from_slice(&sample.to_le_bytes());
            }
            if voiced {
                turn.voiced_ms += FRAME_MS;
                turn.quiet_ms = 0;
            } else {
                turn.quiet_ms += FRAME_MS;
            }
            let is_over = turn.quiet_ms >= self.silence_ms || turn.samples.len() / 2 >= TURN_MAX;
            if is_over {
                heard.push(self.end());
            }
            return;
        }
        self.lead_in.extend(&self.frame);
        let too_many = self.lead_in.len().saturating_sub(LEAD_IN);
        self.lead_in.drain(..too_many);
        if self.verdicts.count_ones() >= guard.frames() {
            let samples = self.lead_in.drain(..).flat_map(i16::to_le_bytes).collect();
            self.turn = Some(Turn {
                samples,
                voiced_ms: u64::from(self.verdicts.count_ones()) * FRAME_MS,
                quiet_ms: 0,
            });
            heard.push(Heard::Began);
        }
    }

    fn end(&mut self) -> Heard {
        self.verdicts = 0;
        match self.turn.take() {
            Some(turn) if turn.voiced_ms >= VOICED_MS_MIN => Heard::Ended(turn.samples),
            _ => Heard::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{MediaFormat, Transcoder};

    /// "Thursday works. Is that at the Mill Street office?", µ-law at 8 kHz.
    const WORDS: &[u8] = include_bytes!("../../../tests/fixtures/pipeline/thursday.ulaw");

    fn words() -> Vec<u8> {
        let mut out = Vec::new();
        Transcoder::new(MediaFormat::ULAW_8K, MediaFormat::PCM_16K).convert(WORDS, &mut out);
        out
    }

    fn silence(ms: usize) -> Vec<u8> {
        vec![0; ms * 32]
    }

    fn hiss(ms: usize, peak: f64) -> Vec<u8> {
        let mut random = 0x2545_F491_u32;
        (0..ms * 16)
            .flat_map(|_| {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                let sample = (f64::from(random) / f64::from(u32::MAX) * 2.0 - 1.0) * peak;
                (sample as i16).to_le_bytes()
            })
            .collect()
    }

    fn ear() -> Ear {
        Ear::new(Duration::from_millis(800))
    }

    #[test]
    fn a_turn_is_heard_whole_and_once_however_it_comes() {
        let words = words();
        for by in [99, 640, 64_000] {
            let mut ear = ear();
            let audio = [silence(400), words.clone(), silence(900)].concat();
            let heard: Vec<Heard> = audio
                .chunks(by)
                .flat_map(|chunk| ear.push(chunk, Guard::Open))
                .collect();
            let [Heard::Began, Heard::Ended(turn)] = heard.as_slice() else {
                panic!("{} events by {by}", heard.len());
            };
            assert!(
                turn.len() + 9_600 >= words.len(),
                "{} of {}",
                turn.len(),
                words.len()
            );
            assert!(!ear.is_hearing());
        }
    }

    #[test]
    fn hiss_is_nobody_speaking() {
        for peak in [60.0, 600.0, 2_000.0] {
            let mut ear = ear();
            // The line's noise is there from the beginning, as on a telephone.
            let heard = ear.push(&hiss(8_000, peak), Guard::Wary);
            let turns = heard
                .iter()
                .filter(|h| matches!(h, Heard::Ended(_)))
                .count();
            assert!(turns <= 1, "{turns} turns at {peak}");
            assert!(
                ear.push(&hiss(6_000, peak), Guard::Wary).is_empty(),
                "{peak}"
            );
        }
    }

    #[test]
    fn a_short_sound_does_not_interrupt_the_agent() {
        let short = words()[..4_000].to_vec();
        let sound = [silence(300), short, silence(900)].concat();
        assert!(ear().push(&sound, Guard::Wary).is_empty());
        assert!(!ear().push(&sound, Guard::Open).is_empty());
    }

    #[test]
    fn a_turn_without_end_is_handed_on() {
        let words = words();
        let mut ear = ear();
        let mut longest = 0;
        for _ in 0..13 {
            for heard in ear.push(&words, Guard::Open) {
                if let Heard::Ended(turn) = heard {
                    longest = longest.max(turn.len());
                }
            }
        }
        assert!(
            (TURN_MAX * 2..TURN_MAX * 2 + 1_024).contains(&longest),
            "{longest}"
        );
    }
}
