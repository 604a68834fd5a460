//! Speech made of text over REST, for words an operator types. Two kinds of service: whatever speaks
//! OpenAI's `/audio/speech`, and ElevenLabs' text-to-speech in the agent's own voice.
//! Pure but for `shell`. Spec: OpenAI docs, "Create speech"; ElevenLabs docs, "Create speech" (2026-11).

pub mod shell;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::call::Secret;
use crate::media::Wav;

/// Longest text spoken at once, in characters (the services' own limit is 4,096 and more).
pub const TEXT_CHARS_MAX: usize = 2_000;
/// Largest answer: two minutes of 16-bit sound at 48 kHz.
pub const ANSWER_BYTES_MAX: usize = 12 * 1024 * 1024;

/// A service that speaks OpenAI's REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeechSettings {
    /// Base that ends in `/v1`; plain http only on loopback.
    pub url: String,
    pub model: String,
    pub voice: String,
    pub api_key: Option<Secret>,
}

/// The body of `/audio/speech`. WAV, because what servers call `pcm` differs in its rate.
pub(crate) fn request(settings: &SpeechSettings, text: &str) -> Value {
    json!({
        "model": settings.model,
        "voice": settings.voice,
        "input": cut(text),
        "response_format": "wav",
    })
}

/// The telephone's form of an answer.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn from_wav(bytes: &[u8]) -> Result<Bytes, String> {
    let wav = Wav::parse(bytes).map_err(|error| error.to_string())?;
    let ulaw = wav.to_ulaw_8k().map_err(|error| error.to_string())?;
    if ulaw.is_empty() {
        return Err("the service made no sound".to_owned());
    }
    Ok(Bytes::from(ulaw))
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_of_any_rate_becomes_telephone_sound() {
        let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend(16_000_u32.to_le_bytes());
        wav.extend(32_000_u32.to_le_bytes());
        wav.extend([2, 0, 16, 0]);
        wav.extend(b"data");
        wav.extend(640_u32.to_le_bytes());
        wav.extend(std::iter::repeat_n([0, 16], 320).flatten());
        let ulaw = from_wav(&wav).expect("sound");
        assert!((150..=170).contains(&ulaw.len()), "{}", ulaw.len());
        assert!(from_wav(b"{\"error\":1}").is_err());
    }

    #[test]
    fn a_long_text_is_cut() {
        let settings = SpeechSettings {
            url: String::new(),
            model: "m".into(),
            voice: "v".into(),
            api_key: None,
        };
        let body = request(&settings, &"x".repeat(5_000));
        assert_eq!(body["input"].as_str().expect("text").len(), TEXT_CHARS_MAX);
        assert_eq!(body["response_format"], "wav");
    }
}
