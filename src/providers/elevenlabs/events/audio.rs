//! Takes the recording out of `post_call_audio` while the body comes in: tens of megabytes of base64
//! in one JSON string. What is left is small and is read like any other event.

use crate::providers::base64_audio;

/// The field that holds the audio.
const FIELD: &[u8] = b"full_audio";
/// Characters of base64 that make whole bytes.
const GROUP: usize = 4;

/// Why a body cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    #[error("the event is too big")]
    TooBig,
    #[error("the audio is not base64: {0}")]
    NotBase64(String),
}

/// Splits a body into its fields and its audio, chunk by chunk. Strings keep their meaning: the
/// field's name inside another string is not the field.
#[derive(Debug)]
pub struct AudioSplit {
    fields: Vec<u8>,
    fields_max: usize,
    state: State,
    /// The beginning of the string last read, as far as it may be the field's name.
    name: Vec<u8>,
    /// The last string was the field's name, and nothing but a colon followed.
    named: bool,
    base64: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    InString,
    Escaped,
    InAudio,
    AudioEscaped,
    /// Digits of `\\uXXXX` inside the audio still to come, and what they make so far.
    AudioUnicode(u8, u16),
}

impl AudioSplit {
    /// `fields_max`: bytes of everything but the audio.
    pub fn new(fields_max: usize) -> Self {
        Self {
            fields: Vec::new(),
            fields_max,
            state: State::Between,
            name: Vec::new(),
            named: false,
            base64: Vec::new(),
        }
    }

    /// Takes the next bytes; decoded audio is appended to `audio`.
    ///
    /// # Errors
    /// [`SplitError`]; the rest of the body is of no use then.
    pub fn push(&mut self, chunk: &[u8], audio: &mut Vec<u8>) -> Result<(), SplitError> {
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            if self.state == State::InAudio {
                let run = rest
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'\\'))
                    .unwrap_or(rest.len());
                if run > 0 {
                    let (text, left) = rest.split_at(run);
                    self.base64.extend_from_slice(text);
                    self.decode(audio)?;
                    rest = left;
                    continue;
                }
            }
            self.step(byte, audio)?;
            rest = after;
        }
        if self.fields.len() > self.fields_max {
            return Err(SplitError::TooBig);
        }
        Ok(())
    }

    /// Everything but the audio, in whose place an empty string is left.
    pub fn into_fields(self) -> Vec<u8> {
        self.fields
    }

    fn step(&mut self, byte: u8, audio: &mut Vec<u8>) -> Result<(), SplitError> {
        match self.state {
            State::Between => {
                self.fields.push(byte);
                match byte {
                    b'"' if self.named => self.state = State::InAudio,
                    b'"' => {
                        self.name.clear();
                        self.state = State::InString;
                    }
                    b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
                    _ => self.named = false,
                }
            }
            State::InString => {
                self.fields.push(byte);
                match byte {
                    b'"' => {
                        self.named = self.name == FIELD;
                        self.state = State::Between;
                    }
                    b'\\' => self.state = State::Escaped,
                    _ if self.name.len() <= FIELD.len() => self.name.push(byte),
                    _ => {}
                }
            }
            State::Escaped => {
                self.fields.push(byte);
                // Whatever it is, it is no letter of the name.
                self.name.push(b'\\');
                self.state = State::InString;
            }
            State::InAudio if byte == b'\\' => self.state = State::AudioEscaped,
            State::InAudio => {
                self.fields.push(byte);
                self.finish(audio)?;
                self.named = false;
                self.state = State::Between;
            }
            State::AudioEscaped => {
                self.state = State::InAudio;
                match byte {
                    b'u' => self.state = State::AudioUnicode(4, 0),
                    b'/' => self.base64.push(b'/'),
                    // Line breaks inside base64 are no part of it.
                    _ => {}
                }
            }
            State::AudioUnicode(left, so_far) => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0) as u16;
                let value = so_far << 4 | digit;
                self.state = if left > 1 {
                    State::AudioUnicode(left - 1, value)
                } else {
                    self.base64.extend(u8::try_from(value).ok());
                    State::InAudio
                };
            }
        }
        Ok(())
    }

    /// Decodes what is whole. The last group is held back: it may be padded.
    fn decode(&mut self, audio: &mut Vec<u8>) -> Result<(), SplitError> {
        let whole = self.base64.len().saturating_sub(1) / GROUP * GROUP;
        let rest = self.base64.split_off(whole);
        let ready = std::mem::replace(&mut self.base64, rest);
        append(&ready, audio)
    }

    fn finish(&mut self, audio: &mut Vec<u8>) -> Result<(), SplitError> {
        let last = std::mem::take(&mut self.base64);
        append(&last, audio)
    }
}

fn append(base64: &[u8], audio: &mut Vec<u8>) -> Result<(), SplitError> {
    if base64.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(base64).map_err(|_| SplitError::NotBase64("bytes".into()))?;
    let bytes = base64_audio(text).map_err(SplitError::NotBase64)?;
    audio.extend_from_slice(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn split(body: &[u8], at: usize) -> Result<(Vec<u8>, Vec<u8>), SplitError> {
        let mut split = AudioSplit::new(4096);
        let mut audio = Vec::new();
        for chunk in body.chunks(at) {
            split.push(chunk, &mut audio)?;
        }
        Ok((split.into_fields(), audio))
    }

    #[test]
    fn only_the_field_is_taken_and_escapes_are_read() {
        let rows: [(&str, &str, &[u8]); 5] = [
            (
                r#"{"a":"full_audio","b":1}"#,
                r#"{"a":"full_audio","b":1}"#,
                b"",
            ),
            (
                r#"{"full_audio" : "aGk=","x":"y"}"#,
                r#"{"full_audio" : "","x":"y"}"#,
                b"hi",
            ),
            (
                r#"{"full_audio":"\/\/8\u003d"}"#,
                r#"{"full_audio":""}"#,
                &[255, 255],
            ),
            (
                r#"{"full_audio":null,"b":"aGk="}"#,
                r#"{"full_audio":null,"b":"aGk="}"#,
                b"",
            ),
            (
                r#"{"m":"\"full_audio\":\"aGk=\""}"#,
                r#"{"m":"\"full_audio\":\"aGk=\""}"#,
                b"",
            ),
        ];
        for (body, fields, audio) in rows {
            let (left, taken) = split(body.as_bytes(), 3).expect("splits");
            assert_eq!(
                (left.as_slice(), taken.as_slice()),
                (fields.as_bytes(), audio),
                "{body}"
            );
        }
        assert!(split(br#"{"full_audio":"@@@@@@@@"}"#, 8).is_err());
        assert_eq!(split(&[b'x'; 5000], 100), Err(SplitError::TooBig));
    }

    proptest! {
        #[test]
        fn any_audio_in_any_chunks_comes_out_whole(
            sound in proptest::collection::vec(0u8.., 0..600), at in 1usize..70) {
            let body = format!(r#"{{"type":"post_call_audio","data":{{"full_audio":"{}","conversation_id":"c"}}}}"#,
                STANDARD.encode(&sound));
            let (fields, audio) = split(body.as_bytes(), at).expect("splits");
            prop_assert_eq!(audio, sound);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&fields).is_ok());
        }
    }
}
