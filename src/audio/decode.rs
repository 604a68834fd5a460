//! A recording's file as frames of a call. WAV (µ-law, 16-bit) and MP3, known by their first bytes,
//! whatever they are called; both come out as two telephone legs, which is what calls are.

use std::io::Cursor;

use bytes::Bytes;
use rodio::Source as _;

use crate::media::{
    FRAME_SAMPLES, Frame, Resampler, StereoFrame, TELEPHONE_RATE_HZ, Wav, WavError, WavFormat,
    ulaw_decode_sample, ulaw_encode_sample,
};

/// Two hours. What is longer ends there: it has to fit into memory.
const FRAMES_MAX: usize = 2 * 60 * 60 * 50;
/// Samples of one channel converted at a time.
const BLOCK: usize = 4096;
/// Rates recordings have. Others are refused: a filter for an odd ratio could grow without end.
const RATES_HZ: [u32; 9] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
];

/// Why a recording cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("it is neither WAV nor MP3")]
    Unknown,
    #[error(transparent)]
    Wav(#[from] WavError),
    #[error("this MP3 cannot be read: {0}")]
    Mp3(String),
    #[error("its {0} Hz are no rate of a recording")]
    Rate(u32),
    #[error("there is no sound in it")]
    Silent,
}

/// Reads a whole file, handing out frames as they are ready, until `emit` says `false`. Where the
/// file has two channels the first is the caller's; of more, the others are left out.
pub(super) fn decode(
    audio: &Bytes,
    mut emit: impl FnMut(&[StereoFrame]) -> bool,
) -> Result<(), DecodeError> {
    if audio.starts_with(b"RIFF") {
        wav(&Wav::parse(audio)?, &mut emit)
    } else if is_mp3(audio) {
        mp3(audio.clone(), &mut emit)
    } else {
        Err(DecodeError::Unknown)
    }
}

/// A tag, or the eleven set bits every frame of MPEG audio begins with.
fn is_mp3(audio: &[u8]) -> bool {
    match audio {
        [b'I', b'D', b'3', ..] => true,
        [0xFF, second, ..] => second & 0xE0 == 0xE0,
        _ => false,
    }
}

fn wav(file: &Wav<'_>, emit: &mut impl FnMut(&[StereoFrame]) -> bool) -> Result<(), DecodeError> {
    let channels = usize::from(file.channels);
    let mut legs = Legs::new(file.rate_hz, channels)?;
    let width = match file.format {
        WavFormat::Ulaw => 1,
        WavFormat::Pcm16 => 2,
    };
    for block in file.data.chunks(BLOCK * channels * width) {
        let samples = block.chunks_exact(width).map(|sample| {
            let value = match sample {
                [code] => ulaw_decode_sample(*code),
                [low, high] => i16::from_le_bytes([*low, *high]),
                _ => 0,
            };
            f32::from(value) / 32_768.0
        });
        if !legs.push(samples, emit) {
            return Ok(());
        }
    }
    legs.finish(emit)
}

fn mp3(audio: Bytes, emit: &mut impl FnMut(&[StereoFrame]) -> bool) -> Result<(), DecodeError> {
    let length = audio.len() as u64;
    let mut source = rodio::Decoder::builder()
        .with_data(Cursor::new(audio))
        .with_byte_len(length)
        .with_hint("mp3")
        .build()
        .map_err(|error| DecodeError::Mp3(error.to_string()))?;
    let channels = usize::from(source.channels().get());
    let mut legs = Legs::new(source.sample_rate().get(), channels)?;
    let mut block: Vec<f32> = Vec::with_capacity(BLOCK * channels);
    loop {
        block.clear();
        block.extend(source.by_ref().take(BLOCK * channels));
        if block.is_empty() {
            return legs.finish(emit);
        }
        if !legs.push(block.iter().copied(), emit) {
            return Ok(());
        }
    }
}

/// Two legs on their way to telephone frames. One channel goes to both.
struct Legs {
    channels: usize,
    caller: Leg,
    agent: Option<Leg>,
    frames: Vec<StereoFrame>,
    count: usize,
}

struct Leg {
    resampler: Resampler,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Leg {
    fn new(rate_hz: u32) -> Self {
        Self {
            resampler: Resampler::new(rate_hz, TELEPHONE_RATE_HZ),
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    fn convert(&mut self) {
        self.resampler.push_f32(&self.input, &mut self.output);
        self.input.clear();
    }

    fn frame(&self, at: usize) -> Option<Frame> {
        let samples = self.output.get(at..at + FRAME_SAMPLES)?;
        let mut frame = [0; FRAME_SAMPLES];
        for (code, sample) in frame.iter_mut().zip(samples) {
            *code = ulaw_encode_sample((sample * 32_768.0).clamp(-32_768.0, 32_767.0) as i16);
        }
        Some(frame)
    }
}

impl Legs {
    fn new(rate_hz: u32, channels: usize) -> Result<Self, DecodeError> {
        if !RATES_HZ.contains(&rate_hz) {
            return Err(DecodeError::Rate(rate_hz));
        }
        Ok(Self {
            channels: channels.max(1),
            caller: Leg::new(rate_hz),
            agent: (channels > 1).then(|| Leg::new(rate_hz)),
            frames: Vec::new(),
            count: 0,
        })
    }

    /// Takes interleaved samples, whole groups of them. `false`: nobody wants more.
    fn push(
        &mut self,
        samples: impl Iterator<Item = f32>,
        emit: &mut impl FnMut(&[StereoFrame]) -> bool,
    ) -> bool {
        for (index, sample) in samples.enumerate() {
            match (index % self.channels, &mut self.agent) {
                (0, _) => self.caller.input.push(sample),
                (1, Some(agent)) => agent.input.push(sample),
                _ => {}
            }
        }
        self.caller.convert();
        if let Some(agent) = &mut self.agent {
            agent.convert();
        }
        self.hand_out(emit)
    }

    fn hand_out(&mut self, emit: &mut impl FnMut(&[StereoFrame]) -> bool) -> bool {
        let mut at = 0;
        self.frames.clear();
        while let Some(caller) = self.caller.frame(at) {
            let agent = match &self.agent {
                Some(agent) => agent.frame(at),
                None => Some(caller),
            };
            let Some(agent) = agent else { break };
            self.frames.push(StereoFrame { caller, agent });
            at += FRAME_SAMPLES;
        }
        self.caller.output.drain(..at);
        if let Some(agent) = &mut self.agent {
            agent.output.drain(..at);
        }
        self.count += self.frames.len();
        self.frames.is_empty() || (emit(&self.frames) && self.count < FRAMES_MAX)
    }

    /// What is left becomes a last frame.
    fn finish(mut self, emit: &mut impl FnMut(&[StereoFrame]) -> bool) -> Result<(), DecodeError> {
        if self.count == 0 && self.caller.output.is_empty() {
            return Err(DecodeError::Silent);
        }
        let missing = FRAME_SAMPLES - self.caller.output.len() % FRAME_SAMPLES;
        if missing < FRAME_SAMPLES {
            for leg in [Some(&mut self.caller), self.agent.as_mut()]
                .into_iter()
                .flatten()
            {
                leg.output.extend(std::iter::repeat_n(0.0, missing));
            }
            self.hand_out(emit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{goertzel, pcm16_header, sine, ulaw_header};

    /// 440 Hz on the left (or only) channel, 880 Hz on the right; made with LAME 3.100.
    const MONO_44K: &[u8] = include_bytes!("../../tests/fixtures/elevenlabs/mono_44k.mp3");
    const STEREO_24K: &[u8] = include_bytes!("../../tests/fixtures/elevenlabs/stereo_24k.mp3");

    fn frames(file: &[u8]) -> Result<Vec<StereoFrame>, DecodeError> {
        let mut all = Vec::new();
        let audio = Bytes::copy_from_slice(file);
        decode(&audio, |frames| {
            all.extend_from_slice(frames);
            true
        })?;
        Ok(all)
    }

    /// Amplitude of a tone in the caller's and the agent's leg, away from the edges.
    fn tone(frames: &[StereoFrame], hz: f64) -> (f64, f64) {
        let inner = &frames[10..frames.len() - 5];
        let leg = |pick: fn(&StereoFrame) -> &Frame| {
            let samples: Vec<f32> = inner
                .iter()
                .flat_map(|frame| {
                    pick(frame)
                        .iter()
                        .map(|&code| ulaw_decode_sample(code).into())
                })
                .collect();
            goertzel(&samples, TELEPHONE_RATE_HZ, hz)
        };
        (leg(|frame| &frame.caller), leg(|frame| &frame.agent))
    }

    #[test]
    fn an_mp3_of_one_channel_is_heard_in_both_legs() {
        let frames = frames(MONO_44K).unwrap();
        assert!((100..=108).contains(&frames.len()), "{}", frames.len());
        let (caller, agent) = tone(&frames, 440.0);
        assert!((caller - 9_000.0).abs() < 500.0, "{caller}");
        assert!((caller - agent).abs() < 1.0);
    }

    #[test]
    fn an_mp3_of_two_channels_keeps_them_apart() {
        let frames = frames(STEREO_24K).unwrap();
        let (caller, other) = tone(&frames, 440.0);
        assert!(
            (caller - 9_000.0).abs() < 700.0 && other < 200.0,
            "{caller} {other}"
        );
        let (other, agent) = tone(&frames, 880.0);
        assert!(
            (agent - 9_000.0).abs() < 700.0 && other < 200.0,
            "{agent} {other}"
        );
    }

    #[test]
    fn wavs_of_carriers_are_read_in_both_codings() {
        let pcm = sine(440.0, 9_000.0, 8_000, 8_000);
        let mut mulaw = ulaw_header(2, Some(16_000)).to_vec();
        mulaw.extend(pcm.iter().flat_map(|&s| [ulaw_encode_sample(s), 0xFF]));
        let heard = frames(&mulaw).unwrap();
        assert_eq!(heard.len(), 50);
        let (caller, agent) = tone(&heard, 440.0);
        assert!(
            (caller - 9_000.0).abs() < 200.0 && agent < 1.0,
            "{caller} {agent}"
        );

        let wide = sine(440.0, 9_000.0, 16_000, 16_000);
        let mut linear = pcm16_header(16_000, 32_000).to_vec();
        linear.extend(wide.iter().flat_map(|s| s.to_le_bytes()));
        let heard = frames(&linear).unwrap();
        assert!((49..=50).contains(&heard.len()), "{}", heard.len());
        assert!((tone(&heard, 440.0).0 - 9_000.0).abs() < 200.0);
    }

    #[test]
    fn a_file_cut_short_plays_as_far_as_it_goes() {
        let whole = frames(MONO_44K).unwrap().len();
        let half = frames(&MONO_44K[..MONO_44K.len() / 2]).unwrap().len();
        assert!(
            half > whole / 3 && half < whole * 2 / 3,
            "{half} of {whole}"
        );
    }

    #[test]
    fn what_is_no_recording_is_refused_with_a_reason() {
        assert_eq!(frames(b"<html>not found</html>"), Err(DecodeError::Unknown));
        assert_eq!(frames(b""), Err(DecodeError::Unknown));
        assert_eq!(frames(&ulaw_header(1, Some(0))), Err(DecodeError::Silent));
        assert!(matches!(
            frames(b"RIFF\0\0\0\0WAVE"),
            Err(DecodeError::Wav(_))
        ));
        assert!(frames(&[0xFF; 4096]).is_err());
        let mut odd = pcm16_header(7_999, 4).to_vec();
        odd.extend([0; 4]);
        assert_eq!(frames(&odd), Err(DecodeError::Rate(7_999)));
    }

    #[test]
    fn nothing_more_is_read_once_nobody_wants_it() {
        let mut calls = 0;
        let audio = Bytes::from_static(MONO_44K);
        decode(&audio, |_| {
            calls += 1;
            false
        })
        .unwrap();
        assert_eq!(calls, 1);
    }
}
