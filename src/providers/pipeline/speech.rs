//! Text to speech: the request for one piece of an answer, and its audio as µ-law, whatever the
//! server sends. Spec: OpenAI API reference, "Create speech" (2026-11).

use serde_json::{Value, json};

use crate::media::{MediaFormat, Transcoder};

/// A file's head is known within this, or it is no file.
const HEAD_MAX: usize = 8 * 1024;

/// The request for one piece. `wav` is asked for because its head says the rate, which differs from
/// server to server.
pub(super) fn request(model: Option<&str>, voice: Option<&str>, text: &str) -> Value {
    let mut body = json!({"input": text, "response_format": "wav"});
    if let Value::Object(body) = &mut body {
        for (name, value) in [("model", model), ("voice", voice)] {
            if let Some(value) = value {
                body.insert(name.into(), json!(value));
            }
        }
    }
    body
}

/// Reads the audio of one answer as it comes.
#[derive(Debug)]
pub(super) enum SpeechReader {
    /// Not enough yet to say what it is.
    Head(Vec<u8>),
    Body(Box<Transcoder>),
}

impl Default for SpeechReader {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl SpeechReader {
    /// Takes bytes in and appends µ-law at 8 kHz to `out`.
    ///
    /// # Errors
    /// It is audio nobody here can read; the words say what to change.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::Body(transcoder) => transcoder.convert(bytes, out),
            Self::Head(head) => {
                head.extend_from_slice(bytes);
                let Some((format, at)) = sniff(head)? else {
                    return Ok(());
                };
                let mut transcoder = Transcoder::new(format, MediaFormat::ULAW_8K);
                transcoder.convert(head.get(at..).unwrap_or_default(), out);
                *self = Self::Body(Box::new(transcoder));
            }
        }
        Ok(())
    }
}

/// What the bytes are and where the sound begins in them; `None`: more are needed.
fn sniff(head: &[u8]) -> Result<Option<(MediaFormat, usize)>, String> {
    if head.len() < 12 {
        return Ok(None);
    }
    if head.starts_with(b"ID3") || is_mpeg(head) {
        return Err("it sends MP3 although WAV was asked for".to_owned());
    }
    for (magic, name) in [
        (&b"OggS"[..], "Ogg"),
        (b"fLaC", "FLAC"),
        (b"{", "JSON"),
        (b"<", "HTML"),
    ] {
        if head.starts_with(magic) {
            return Err(format!("it sends {name} although WAV was asked for"));
        }
    }
    if !head.starts_with(b"RIFF") {
        // Raw samples, as OpenAI means `pcm`.
        return Ok(Some((MediaFormat::PCM_24K, 0)));
    }
    let mut format = None;
    let mut at = 12;
    while let Some(part) = head.get(at..at + 8) {
        let size = u32::from_le_bytes([part[4], part[5], part[6], part[7]]) as usize;
        match &part[..4] {
            b"fmt " => {
                let Some(body) = head.get(at + 8..at + 24) else {
                    break;
                };
                format = Some(read_format(body)?);
            }
            b"data" => {
                let format = format.ok_or("a WAV file without a format")?;
                return Ok(Some((format, at + 8)));
            }
            _ => {}
        }
        at = at.saturating_add(8).saturating_add(size + (size & 1));
        if at > HEAD_MAX {
            return Err("a WAV file without sound".to_owned());
        }
    }
    if head.len() > HEAD_MAX {
        return Err("a WAV file without sound".to_owned());
    }
    Ok(None)
}

fn read_format(body: &[u8]) -> Result<MediaFormat, String> {
    let word = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
    let rate_hz = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
    let name = match (word(0), word(14)) {
        (1 | 0xFFFE, 16) => "audio/x-l16",
        (7, 8) => "audio/x-mulaw",
        (6, 8) => "audio/x-alaw",
        (code, bits) => return Err(format!("WAV format {code} with {bits} bits")),
    };
    if word(2) != 1 {
        return Err(format!("{} channels instead of one", word(2)));
    }
    MediaFormat::from_mime(name, rate_hz).map_err(|error| error.to_string())
}

/// An MPEG audio frame: eleven set bits, then a version and layer that exist.
fn is_mpeg(head: &[u8]) -> bool {
    let (Some(&first), Some(&second)) = (head.first(), head.get(1)) else {
        return false;
    };
    first == 0xFF
        && second & 0xE0 == 0xE0
        && second & 0x18 != 0x08
        && second & 0x06 != 0
        && second != 0xFF
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{pcm16_header, sine};

    fn pcm(rate_hz: u32) -> Vec<u8> {
        sine(500.0, 8_000.0, rate_hz, rate_hz as usize)
            .iter()
            .flat_map(|s| s.to_le_bytes())
            .collect()
    }

    fn read(bytes: &[u8], by: usize) -> Result<Vec<u8>, String> {
        let mut reader = SpeechReader::default();
        let mut out = Vec::new();
        for chunk in bytes.chunks(by) {
            reader.push(chunk, &mut out)?;
        }
        Ok(out)
    }

    #[test]
    fn a_second_of_any_rate_is_a_second_of_mulaw() {
        for rate in [8_000, 16_000, 22_050, 24_000, 48_000] {
            let mut file = pcm16_header(rate, usize::MAX).to_vec();
            file.extend(pcm(rate));
            for by in [1, 7, 4_096] {
                let ulaw = read(&file, by).unwrap();
                assert!(
                    (7_950..=8_000).contains(&ulaw.len()),
                    "{rate}: {}",
                    ulaw.len()
                );
            }
        }
        let raw = read(&pcm(24_000), 960).unwrap();
        assert!((7_950..=8_000).contains(&raw.len()));
    }

    #[test]
    fn other_containers_are_named() {
        let mut eleven = pcm16_header(16_000, 9).to_vec();
        eleven[22] = 2;
        for (bytes, word) in [
            (b"ID3\x04\0\0\0\0\0\0\0\0\0\0".to_vec(), "MP3"),
            (
                vec![0xFF, 0xFB, 0x90, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                "MP3",
            ),
            (b"OggS\0\0\0\0\0\0\0\0\0".to_vec(), "Ogg"),
            (br#"{"error":{"message":"x"}}"#.to_vec(), "JSON"),
            (eleven, "channels"),
        ] {
            let error = read(&bytes, 100).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        // Loud raw samples are not mistaken for MPEG frames.
        assert!(read(&[0xFF; 100], 10).is_ok());
    }

    #[test]
    fn a_head_that_never_ends_is_given_up() {
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        for _ in 0..2_000 {
            file.extend(b"junk\x02\0\0\0ab");
        }
        assert!(read(&file, 333).is_err());
    }
}
