//! How a vendor names a stream's encoding and rate, and the way from one such format to another.
//! Mono only: carriers and agents both speak single tracks. Base64 is the codecs' business.

use std::fmt;
use std::str::FromStr;

use super::{
    Resampler, TELEPHONE_RATE_HZ, alaw_decode_sample, alaw_encode_sample, ulaw_decode_sample,
    ulaw_encode_sample,
};

/// Rates some vendor offers. Others are refused: a filter for an odd ratio could grow without end.
const RATES_HZ: [u32; 8] = [
    8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
];

/// Code words of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// G.711 µ-law, one byte.
    Ulaw,
    /// G.711 A-law, one byte.
    Alaw,
    /// Signed 16 bit, little-endian.
    Pcm16Le,
}

/// Encoding and rate of one mono track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MediaFormat {
    pub encoding: Encoding,
    pub rate_hz: u32,
}

/// A format this build cannot carry. Holds the offending word, shortened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("unknown audio encoding `{0}`")]
    Encoding(String),
    #[error("unsupported sample rate {0} Hz")]
    Rate(u32),
}

/// Converts a stream of bytes in one format to another.
#[derive(Clone, Debug)]
pub struct Transcoder {
    from: MediaFormat,
    to: MediaFormat,
    resampler: Resampler,
    /// First half of a 16-bit sample whose second half has not arrived.
    odd: Option<u8>,
    samples: Vec<i16>,
    resampled: Vec<i16>,
}

impl Encoding {
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Ulaw | Self::Alaw => 1,
            Self::Pcm16Le => 2,
        }
    }
}

impl MediaFormat {
    /// What a telephone carrier sends unless told otherwise.
    pub const ULAW_8K: Self = Self {
        encoding: Encoding::Ulaw,
        rate_hz: TELEPHONE_RATE_HZ,
    };
    pub const ALAW_8K: Self = Self {
        encoding: Encoding::Alaw,
        rate_hz: TELEPHONE_RATE_HZ,
    };
    pub const PCM_16K: Self = Self {
        encoding: Encoding::Pcm16Le,
        rate_hz: 16_000,
    };
    pub const PCM_24K: Self = Self {
        encoding: Encoding::Pcm16Le,
        rate_hz: 24_000,
    };

    /// Reads one word: `ulaw_8000`, `pcm_16000`, `g711_ulaw`, `pcm16` (24 kHz, as OpenAI means it),
    /// `audio/pcmu`, `audio/x-mulaw;rate=8000`, `audio/x-l16;rate=16000`. Case does not matter.
    pub fn parse(word: &str) -> Result<Self, FormatError> {
        Self::with_rate(word, None)
    }

    /// The same where the rate travels beside the word; a rate inside the word is the fallback.
    pub fn from_mime(word: &str, rate_hz: u32) -> Result<Self, FormatError> {
        Self::with_rate(word, Some(rate_hz))
    }

    fn with_rate(word: &str, rate_hz: Option<u32>) -> Result<Self, FormatError> {
        let lower = word.trim().to_ascii_lowercase();
        let unknown = || FormatError::Encoding(word.chars().take(40).collect());
        let (name, written) = split_rate(&lower);
        let (encoding, implied) = match name.strip_prefix("audio/").unwrap_or(name) {
            "ulaw" | "mulaw" | "x-mulaw" | "x-ulaw" | "basic" | "pcmu" | "g711_ulaw" => {
                (Encoding::Ulaw, TELEPHONE_RATE_HZ)
            }
            "alaw" | "x-alaw" | "pcma" | "g711_alaw" => (Encoding::Alaw, TELEPHONE_RATE_HZ),
            "x-l16" | "l16" | "linear16" => (Encoding::Pcm16Le, TELEPHONE_RATE_HZ),
            "pcm" | "pcm16" => (Encoding::Pcm16Le, 24_000),
            _ => return Err(unknown()),
        };
        let rate_hz = rate_hz.or(written).unwrap_or(implied);
        if RATES_HZ.contains(&rate_hz) {
            Ok(Self { encoding, rate_hz })
        } else {
            Err(FormatError::Rate(rate_hz))
        }
    }

    /// Bytes of one second.
    pub const fn bytes_per_second(self) -> usize {
        self.rate_hz as usize * self.encoding.bytes_per_sample()
    }

    /// Playing time of `bytes`, in milliseconds, rounded down.
    pub const fn ms(self, bytes: usize) -> u64 {
        bytes as u64 * 1_000 / self.bytes_per_second() as u64
    }
}

impl FromStr for MediaFormat {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        Self::parse(word)
    }
}

/// `ulaw_8000`, `pcm_16000`: the words ElevenLabs uses and our configuration shows.
impl fmt::Display for MediaFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.encoding {
            Encoding::Ulaw => "ulaw",
            Encoding::Alaw => "alaw",
            Encoding::Pcm16Le => "pcm",
        };
        write!(f, "{name}_{}", self.rate_hz)
    }
}

impl Transcoder {
    pub fn new(from: MediaFormat, to: MediaFormat) -> Self {
        Self {
            from,
            to,
            resampler: Resampler::new(from.rate_hz, to.rate_hz),
            odd: None,
            samples: Vec::new(),
            resampled: Vec::new(),
        }
    }

    pub const fn from(&self) -> MediaFormat {
        self.from
    }

    pub const fn to(&self) -> MediaFormat {
        self.to
    }

    /// Both sides are the same: the caller may forward its bytes and never call [`Self::convert`].
    pub fn is_passthrough(&self) -> bool {
        self.from == self.to
    }

    /// Converts `input` and appends the result to `out`. An odd byte of a 16-bit stream and the
    /// filter's tail wait for the next call.
    pub fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if self.is_passthrough() {
            out.extend_from_slice(input);
            return;
        }
        self.samples.clear();
        self.decode(input);
        if self.resampler.is_identity() {
            encode(self.to.encoding, &self.samples, out);
        } else {
            self.resampled.clear();
            self.resampler.push(&self.samples, &mut self.resampled);
            encode(self.to.encoding, &self.resampled, out);
        }
    }

    /// Forgets the past, as after a cut in the audio (barge-in, reconnect).
    pub fn reset(&mut self) {
        self.odd = None;
        self.resampler.reset();
    }

    fn decode(&mut self, input: &[u8]) {
        match self.from.encoding {
            Encoding::Ulaw => self
                .samples
                .extend(input.iter().map(|&b| ulaw_decode_sample(b))),
            Encoding::Alaw => self
                .samples
                .extend(input.iter().map(|&b| alaw_decode_sample(b))),
            Encoding::Pcm16Le => {
                let mut rest = input;
                if let (Some(low), Some((&high, tail))) = (self.odd, rest.split_first()) {
                    self.samples.push(i16::from_le_bytes([low, high]));
                    self.odd = None;
                    rest = tail;
                }
                let pairs = rest.chunks_exact(2);
                if let [low] = *pairs.remainder() {
                    self.odd = Some(low);
                }
                self.samples
                    .extend(pairs.map(|p| i16::from_le_bytes([p[0], p[1]])));
            }
        }
    }
}

fn encode(encoding: Encoding, samples: &[i16], out: &mut Vec<u8>) {
    match encoding {
        Encoding::Ulaw => out.extend(samples.iter().map(|&s| ulaw_encode_sample(s))),
        Encoding::Alaw => out.extend(samples.iter().map(|&s| alaw_encode_sample(s))),
        Encoding::Pcm16Le => out.extend(samples.iter().flat_map(|s| s.to_le_bytes())),
    }
}

/// `pcm_16000` and `audio/x-l16;rate=16000` carry a rate; `g711_ulaw` only looks as if it did.
fn split_rate(word: &str) -> (&str, Option<u32>) {
    if let Some((name, parameters)) = word.split_once(';') {
        let rate = parameters
            .split(';')
            .find_map(|p| p.trim().strip_prefix("rate="))
            .and_then(|r| r.trim().parse().ok());
        return (name.trim(), rate);
    }
    match word
        .rsplit_once('_')
        .map(|(name, digits)| (name, digits.parse()))
    {
        Some((name, Ok(rate))) => (name, Some(rate)),
        _ => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{goertzel, sine};

    #[test]
    fn vendor_words_are_understood() {
        let rows = [
            ("ulaw_8000", MediaFormat::ULAW_8K),
            ("ULAW_8000", MediaFormat::ULAW_8K),
            ("pcm_16000", MediaFormat::PCM_16K),
            ("alaw_8000", MediaFormat::ALAW_8K),
            ("audio/x-mulaw", MediaFormat::ULAW_8K),
            ("audio/x-mulaw;rate=8000", MediaFormat::ULAW_8K),
            ("audio/x-l16; rate=16000", MediaFormat::PCM_16K),
            ("audio/pcmu", MediaFormat::ULAW_8K),
            ("audio/pcma", MediaFormat::ALAW_8K),
            ("audio/pcm", MediaFormat::PCM_24K),
            ("g711_ulaw", MediaFormat::ULAW_8K),
            ("pcm16", MediaFormat::PCM_24K),
        ];
        for (word, format) in rows {
            assert_eq!(MediaFormat::parse(word), Ok(format), "{word}");
        }
        assert_eq!(
            MediaFormat::from_mime("audio/x-l16", 16_000),
            Ok(MediaFormat::PCM_16K)
        );
        assert_eq!(MediaFormat::PCM_16K.to_string(), "pcm_16000");
    }

    #[test]
    fn unknown_words_and_rates_are_refused() {
        assert!(matches!(
            MediaFormat::parse("opus_48000"),
            Err(FormatError::Encoding(_))
        ));
        assert_eq!(
            MediaFormat::parse("pcm_7999"),
            Err(FormatError::Rate(7_999))
        );
        assert_eq!(
            MediaFormat::from_mime("audio/x-mulaw", 0),
            Err(FormatError::Rate(0))
        );
    }

    #[test]
    fn playing_time_follows_the_format() {
        assert_eq!(MediaFormat::ULAW_8K.ms(160), 20);
        assert_eq!(MediaFormat::PCM_16K.ms(640), 20);
    }

    #[test]
    fn equal_formats_pass_bytes_untouched() {
        let mut transcoder = Transcoder::new(MediaFormat::ULAW_8K, MediaFormat::ULAW_8K);
        assert!(transcoder.is_passthrough());
        let mut out = vec![1];
        transcoder.convert(&[0x7F, 0x00], &mut out);
        assert_eq!(out, [1, 0x7F, 0x00]);
    }

    #[test]
    fn split_samples_are_joined_across_pieces() {
        let pcm: Vec<u8> = sine(500.0, 9_000.0, 8_000, 321)
            .iter()
            .flat_map(|s| s.to_le_bytes())
            .collect();
        let from = MediaFormat {
            encoding: Encoding::Pcm16Le,
            rate_hz: 8_000,
        };
        let mut whole = Vec::new();
        Transcoder::new(from, MediaFormat::ULAW_8K).convert(&pcm, &mut whole);
        let (mut pieces, mut transcoder) =
            (Vec::new(), Transcoder::new(from, MediaFormat::ULAW_8K));
        for piece in pcm.chunks(33) {
            transcoder.convert(piece, &mut pieces);
        }
        assert_eq!(whole.len(), 321);
        assert_eq!(whole, pieces);
    }

    #[test]
    fn an_agents_pcm_becomes_telephone_ulaw() {
        let pcm: Vec<u8> = sine(1_000.0, 9_000.0, 24_000, 24_000)
            .iter()
            .flat_map(|s| s.to_le_bytes())
            .collect();
        let mut ulaw = Vec::new();
        Transcoder::new(MediaFormat::PCM_24K, MediaFormat::ULAW_8K).convert(&pcm, &mut ulaw);
        assert_eq!(ulaw.len(), 8_000);
        let samples: Vec<f32> = ulaw[200..]
            .iter()
            .map(|&b| ulaw_decode_sample(b).into())
            .collect();
        let level = goertzel(&samples, 8_000, 1_000.0);
        assert!((level - 9_000.0).abs() < 150.0, "{level}");
    }
}
