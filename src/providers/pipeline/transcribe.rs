//! Speech to text: the request with the caller's utterance in it, and what was heard.
//! Spec: OpenAI API reference, "Create transcription" (2026-11); RFC 7578 for the form.

use serde_json::Value;

use crate::media::pcm16_header;

/// Rate of what is sent.
pub(super) const RATE_HZ: u32 = 16_000;
/// Longest transcript taken, in characters.
const TEXT_MAX: usize = 8_000;

/// The form of one request: body and content type.
pub(super) struct Form {
    pub(super) body: Vec<u8>,
    pub(super) content_type: String,
}

/// The request for `pcm` (16 bit, little-endian, 16 kHz, mono). `boundary` must not occur in it;
/// sixteen random bytes in hex are good for that.
pub(super) fn form(
    pcm: &[u8],
    model: Option<&str>,
    language: Option<&str>,
    boundary: &str,
) -> Form {
    let mut body = Vec::with_capacity(pcm.len() + 1_024);
    let mut field = |name: &str, value: &str| {
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    };
    for (name, value) in [
        ("model", model),
        ("language", language),
        ("response_format", Some("json")),
    ] {
        if let Some(value) = value {
            field(name, value);
        }
    }
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"speech.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(&pcm16_header(RATE_HZ, pcm.len()));
    body.extend_from_slice(pcm);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Form {
        body,
        content_type: format!("multipart/form-data; boundary={boundary}"),
    }
}

/// What was heard; empty when it was noise.
///
/// # Errors
/// The answer is not a transcript.
pub(super) fn read(body: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(body).map_err(|_| "not UTF-8".to_owned())?;
    let trimmed = text.trim_start();
    if !trimmed.starts_with('{') {
        // `response_format=text` servers. A page of HTML is a wrong address.
        if trimmed.starts_with('<') {
            return Err("a web page".to_owned());
        }
        return Ok(shorten(text));
    }
    let answer: Value = serde_json::from_str(trimmed).map_err(|error| error.to_string())?;
    // Recognisers make words up when they hear nothing, and say so only here.
    let figure = |segment: &Value, name: &str| segment.get(name).and_then(Value::as_f64);
    let is_made_up = |segment: &Value| {
        figure(segment, "no_speech_prob").is_some_and(|p| p > 0.6)
            && figure(segment, "avg_logprob").is_some_and(|p| p < -1.0)
    };
    if let Some(segments) = answer.get("segments").and_then(Value::as_array) {
        if !segments.is_empty() && segments.iter().all(is_made_up) {
            return Ok(String::new());
        }
    }
    match answer.get("text").and_then(Value::as_str) {
        Some(text) => Ok(shorten(text)),
        None => Err("no text in the answer".to_owned()),
    }
}

fn shorten(text: &str) -> String {
    let text: String = text.trim().chars().take(TEXT_MAX).collect();
    // What recognisers write for sounds that are no words.
    let is_sound = (text.starts_with('[') && text.ends_with(']'))
        || (text.starts_with('(') && text.ends_with(')'));
    if is_sound { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Wav;

    #[test]
    fn the_form_holds_a_wav_file_and_the_fields() {
        let pcm = [1, 0, 2, 0, 3, 0];
        let form = form(&pcm, Some("whisper-1"), Some("en"), "b0");
        assert_eq!(form.content_type, "multipart/form-data; boundary=b0");
        let text = String::from_utf8_lossy(&form.body).into_owned();
        assert!(text.contains("name=\"model\"\r\n\r\nwhisper-1\r\n"));
        assert!(text.contains("name=\"language\"\r\n\r\nen\r\n"));
        assert!(text.ends_with("\r\n--b0--\r\n"));
        let at = form.body.windows(4).position(|w| w == b"RIFF").unwrap();
        let file = &form.body[at..form.body.len() - "\r\n--b0--\r\n".len()];
        let wav = Wav::parse(file).unwrap();
        assert_eq!((wav.rate_hz, wav.channels, wav.data), (16_000, 1, &pcm[..]));
    }

    #[test]
    fn transcripts_are_read_in_every_form_servers_give_them() {
        let rows: [(&str, Result<&str, ()>); 8] = [
            (
                r#"{"text":" Hello there. ","usage":{"type":"tokens"}}"#,
                Ok("Hello there."),
            ),
            (
                r#"{"text":"Thank you.","segments":[{"no_speech_prob":0.9,"avg_logprob":-1.4}]}"#,
                Ok(""),
            ),
            (
                r#"{"text":"Thank you.","segments":[{"no_speech_prob":0.9,"avg_logprob":-0.2}]}"#,
                Ok("Thank you."),
            ),
            ("plain words\n", Ok("plain words")),
            ("[BLANK_AUDIO]", Ok("")),
            ("<html>no</html>", Err(())),
            (r#"{"error":"x"}"#, Err(())),
            ("{", Err(())),
        ];
        for (body, expected) in rows {
            let got = read(body.as_bytes());
            assert_eq!(got.as_deref().map_err(|_| ()), expected, "{body}");
        }
        assert!(read(&[0xFF, 0xFE]).is_err());
    }
}
