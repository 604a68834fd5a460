//! A client's audio in and out: which format it is in, and from there to the leg's format and back.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::media::{Encoding, MediaFormat, Transcoder, Wav, WavFormat, pcm16_header};

use super::incoming::{Content, Meta};
use super::trouble::Trouble;

/// Format of the leg between a conversation and its bridge.
pub(super) const LEG: MediaFormat = MediaFormat::PCM_16K;
/// Longest message: twenty seconds at 16 kHz.
pub(super) const AUDIO_MAX: usize = 640 * 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// How a client wants its audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub container: Container,
    pub format: MediaFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// Every message is a file of its own.
    Wav,
    Raw,
}

impl Wish {
    /// Reads `format` and `sample_rate` of the handshake.
    ///
    /// # Errors
    /// What cannot be sent.
    pub(super) fn read(format: Option<&str>, rate_hz: Option<u32>) -> Result<Self, Trouble> {
        let word = format.unwrap_or("wav").to_ascii_lowercase();
        let container = if word == "wav" {
            Container::Wav
        } else {
            Container::Raw
        };
        let name = match word.as_str() {
            "wav" | "pcm" | "linear16" | "pcm16" => "audio/x-l16",
            "mulaw" | "ulaw" => "audio/x-mulaw",
            _ => return Err(wrong_format("connect", &word)),
        };
        let usual = if name == "audio/x-mulaw" {
            8_000
        } else {
            16_000
        };
        let format = MediaFormat::from_mime(name, rate_hz.unwrap_or(usual))
            .map_err(|error| rate_trouble("connect", &error.to_string()))?;
        Ok(Self { container, format })
    }

    /// As in `meta_info.format`.
    pub(super) fn name(self) -> &'static str {
        match (self.container, self.format.encoding) {
            (Container::Wav, _) => "wav",
            (Container::Raw, Encoding::Pcm16Le) => "pcm",
            (Container::Raw, _) => "mulaw",
        }
    }

    /// One message's audio, as base64.
    pub(super) fn encode(self, transcoder: &mut Transcoder, pcm: &[u8]) -> String {
        let mut raw = Vec::with_capacity(pcm.len() + 44);
        if self.container == Container::Raw {
            transcoder.convert(pcm, &mut raw);
            return STANDARD.encode(raw);
        }
        transcoder.convert(pcm, &mut raw);
        let head = pcm16_header(self.format.rate_hz, raw.len());
        STANDARD.encode([&head[..], &raw].concat())
    }
}

/// The raw bytes of a message.
///
/// # Errors
/// No audio, not base64, too long.
pub(super) fn bytes_of(data: Option<Content>) -> Result<Bytes, Trouble> {
    let bytes = match data {
        Some(Content::Binary(bytes)) => bytes,
        Some(Content::Text(text)) => {
            if text.len() > AUDIO_MAX.div_ceil(3) * 4 + 4 {
                return Err(too_large());
            }
            // A data URL is what a page's FileReader gives.
            let coded = match text.split_once(";base64,") {
                Some((head, coded)) if head.starts_with("data:") => coded,
                _ => text.as_str(),
            };
            Bytes::from(BASE64.decode(coded.trim()).map_err(|error| {
                Trouble::new(
                    "bad_base64",
                    "audio.data",
                    format!("audio.data is not base64: {error}"),
                    "send the bytes as standard base64, or as a binary attachment",
                )
            })?)
        }
        Some(Content::Other) | None => {
            return Err(Trouble::new(
                "no_audio",
                "audio.data",
                "audio.data is missing",
                "send { data: \"<base64>\", meta_info: { format: \"pcm\" } } or a buffer",
            ));
        }
    };
    if bytes.is_empty() {
        return Err(Trouble::new(
            "no_audio",
            "audio.data",
            "audio.data is empty",
            "",
        ));
    }
    if bytes.len() > AUDIO_MAX {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Turns one client's messages into the leg's format. Keeps the resampler's state between messages
/// of one format.
#[derive(Debug, Default)]
pub(super) struct Listener {
    transcoder: Option<Transcoder>,
}

impl Listener {
    /// The message's audio as [`LEG`] samples.
    ///
    /// # Errors
    /// A format nobody here can read.
    pub(super) fn read(&mut self, bytes: &Bytes, meta: &Meta) -> Result<Vec<u8>, Trouble> {
        let word = meta.format.as_deref().unwrap_or("").to_ascii_lowercase();
        let is_file = bytes.starts_with(b"RIFF") && matches!(word.as_str(), "" | "wav");
        let (format, samples) = if is_file || word == "wav" {
            of_file(bytes)?
        } else {
            (of_word(&word, meta.sample_rate)?, bytes.clone())
        };
        if format.encoding == Encoding::Pcm16Le && samples.len() % 2 == 1 && meta.eos == Some(true)
        {
            return Err(Trouble::new(
                "wrong_format",
                "audio.data",
                "16-bit audio of an odd number of bytes",
                "check meta_info.format",
            ));
        }
        let transcoder = match &mut self.transcoder {
            Some(transcoder) if transcoder.from() == format => transcoder,
            place => place.insert(Transcoder::new(format, LEG)),
        };
        let mut pcm = Vec::with_capacity(samples.len() * 4);
        transcoder.convert(&samples, &mut pcm);
        Ok(pcm)
    }
}

fn of_file(bytes: &Bytes) -> Result<(MediaFormat, Bytes), Trouble> {
    let wrong = |reason: String| {
        Trouble::new(
            "wrong_format",
            "audio.data",
            format!("this WAV file cannot be read: {reason}"),
            "send 16-bit PCM or µ-law, one channel",
        )
    };
    let wav = Wav::parse(bytes).map_err(|error| wrong(error.to_string()))?;
    if wav.channels != 1 {
        return Err(wrong(format!("{} channels", wav.channels)));
    }
    let name = match wav.format {
        WavFormat::Ulaw => "audio/x-mulaw",
        WavFormat::Pcm16 => "audio/x-l16",
    };
    let format = MediaFormat::from_mime(name, wav.rate_hz).map_err(|e| wrong(e.to_string()))?;
    Ok((format, bytes.slice_ref(wav.data)))
}

fn of_word(word: &str, rate_hz: Option<u32>) -> Result<MediaFormat, Trouble> {
    let (name, usual) = match word {
        "" | "pcm" | "linear16" | "pcm16" | "raw" => ("audio/x-l16", 16_000),
        "mulaw" | "ulaw" | "audio/x-mulaw" => ("audio/x-mulaw", 8_000),
        "alaw" => ("audio/x-alaw", 8_000),
        _ => return Err(wrong_format("audio.meta_info.format", word)),
    };
    MediaFormat::from_mime(name, rate_hz.unwrap_or(usual))
        .map_err(|error| rate_trouble("audio.meta_info.sample_rate", &error.to_string()))
}

fn wrong_format(place: &'static str, word: &str) -> Trouble {
    let word: String = crate::call::text::clean_label(word)
        .chars()
        .take(32)
        .collect();
    Trouble::new(
        "wrong_format",
        place,
        format!("unknown audio format {word}"),
        "use pcm (16 bit, little-endian, 16 kHz unless sample_rate says otherwise), mulaw (8 kHz) or wav",
    )
}

fn rate_trouble(place: &'static str, reason: &str) -> Trouble {
    Trouble::new(
        "wrong_format",
        place,
        reason.to_owned(),
        "use 8000, 11025, 16000, 22050, 24000, 32000, 44100 or 48000",
    )
}

fn too_large() -> Trouble {
    Trouble::new(
        "too_large",
        "audio.data",
        "this audio message is too large",
        "send at most 640 KiB (20 s at 16 kHz) in one message; stream longer speech in pieces",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<Content> {
        Some(Content::Text(text.into()))
    }

    fn meta(format: &str, sample_rate: Option<u32>) -> Meta {
        Meta {
            format: Some(format.into()),
            sample_rate,
            ..Meta::default()
        }
    }

    #[test]
    fn bytes_come_out_of_base64_data_urls_and_buffers() {
        for data in [
            text("AQID"),
            text("data:audio/wav;base64,AQID"),
            Some(Content::Binary(Bytes::from_static(&[1, 2, 3]))),
        ] {
            assert_eq!(&bytes_of(data).unwrap()[..], [1, 2, 3]);
        }
        let code = |data| bytes_of(data).unwrap_err().code;
        assert_eq!(code(text("?!")), "bad_base64");
        assert_eq!(code(text("")), "no_audio");
        assert_eq!(code(None), "no_audio");
        assert_eq!(code(Some(Content::Other)), "no_audio");
        assert_eq!(code(text(&"A".repeat(AUDIO_MAX * 2))), "too_large");
        assert_eq!(
            code(Some(Content::Binary(Bytes::from(vec![0; AUDIO_MAX + 1])))),
            "too_large"
        );
    }

    #[test]
    fn a_second_is_a_second_in_every_format() {
        let file = [&pcm16_header(8_000, 16_000)[..], &[0; 16_000]].concat();
        for (bytes, meta) in [
            (vec![0xFF; 8_000], meta("mulaw", None)),
            (vec![0; 32_000], Meta::default()),
            (vec![0; 48_000], meta("linear16", Some(24_000))),
            (file.clone(), meta("wav", None)),
            (file, Meta::default()),
        ] {
            let pcm = Listener::default()
                .read(&Bytes::from(bytes), &meta)
                .unwrap();
            assert!(
                (31_700..=32_000).contains(&pcm.len()),
                "{meta:?}: {}",
                pcm.len()
            );
        }
        for wrong in [
            meta("opus", None),
            meta("pcm", Some(12_345)),
            meta("wav", None),
        ] {
            let error = Listener::default().read(&Bytes::from_static(&[0; 64]), &wrong);
            assert_eq!(error.unwrap_err().code, "wrong_format");
        }
    }

    #[test]
    fn what_is_sent_is_what_it_says() {
        let wish = Wish::read(None, None).unwrap();
        assert_eq!((wish.container, wish.format), (Container::Wav, LEG));
        let coded = wish.encode(&mut Transcoder::new(LEG, wish.format), &[0; 640]);
        let file = STANDARD.decode(coded).unwrap();
        let wav = Wav::parse(&file).unwrap();
        assert_eq!((wav.rate_hz, wav.data.len()), (16_000, 640));
        let wish = Wish::read(Some("mulaw"), None).unwrap();
        assert_eq!((wish.name(), wish.format), ("mulaw", MediaFormat::ULAW_8K));
        assert!(Wish::read(Some("mp3"), None).is_err());
    }
}
