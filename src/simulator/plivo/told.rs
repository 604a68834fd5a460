//! What a backend may say on an audio stream. Everything else is refused with a reason.

use serde_json::Value;

/// Longest base64 audio of one message.
const PAYLOAD_MAX: usize = 16 * 1024;

#[derive(Debug, PartialEq)]
pub(super) enum Told {
    Audio(String),
    Checkpoint(String),
    Clear,
    Keys(String),
}

impl Told {
    /// # Errors
    /// What is wrong with the message.
    pub(super) fn read(text: &str, stream_id: &str) -> Result<Self, String> {
        let message: Value = serde_json::from_str(text).map_err(|_| "no JSON".to_owned())?;
        let field = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        let event = field("/event").ok_or("message without event")?;
        let mine = match message.get("streamId") {
            None => event == "playAudio" || event == "sendDTMF",
            Some(id) => id.as_str() == Some(stream_id),
        };
        if !mine {
            return Err(format!("{event}: streamId of another stream, or none"));
        }
        match event {
            "playAudio" => {
                if field("/media/contentType") != Some("audio/x-mulaw") {
                    return Err("playAudio: contentType is not audio/x-mulaw".to_owned());
                }
                let rate = message.pointer("/media/sampleRate");
                let rate =
                    rate.and_then(|rate| rate.as_u64().or_else(|| rate.as_str()?.parse().ok()));
                if rate != Some(8_000) {
                    return Err("playAudio: sampleRate is not 8000".to_owned());
                }
                match field("/media/payload") {
                    Some(payload) if payload.len() > PAYLOAD_MAX => {
                        Err("playAudio: payload over 16 KB".to_owned())
                    }
                    Some(payload) if !payload.is_empty() => Ok(Self::Audio(payload.to_owned())),
                    _ => Err("playAudio: no payload".to_owned()),
                }
            }
            "checkpoint" => match field("/name") {
                Some(name) if !name.is_empty() => Ok(Self::Checkpoint(name.to_owned())),
                _ => Err("checkpoint: no name".to_owned()),
            },
            "clearAudio" => Ok(Self::Clear),
            "sendDTMF" => match field("/dtmf") {
                Some(keys) => Ok(Self::Keys(keys.to_owned())),
                None => Err("sendDTMF: no dtmf".to_owned()),
            },
            other => Err(format!("unknown event {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Told;

    #[test]
    fn documented_messages_are_read_and_others_are_not() {
        let read = |text: &str| Told::read(text, "s");
        assert_eq!(
            read(
                r#"{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":"8000","payload":"//8="}}"#
            ),
            Ok(Told::Audio("//8=".to_owned()))
        );
        assert_eq!(
            read(r#"{"event":"checkpoint","streamId":"s","name":"cp"}"#),
            Ok(Told::Checkpoint("cp".to_owned()))
        );
        assert_eq!(
            read(r#"{"event":"clearAudio","streamId":"s"}"#),
            Ok(Told::Clear)
        );
        assert_eq!(
            read(r#"{"event":"sendDTMF","dtmf":"12#"}"#),
            Ok(Told::Keys("12#".to_owned()))
        );
        for wrong in [
            "x",
            "{}",
            r#"{"event":"clearAudio"}"#,
            r#"{"event":"clearAudio","streamId":"other"}"#,
            r#"{"event":"media","streamId":"s","media":{"payload":"//8="}}"#,
            r#"{"event":"playAudio","media":{"contentType":"audio/x-l16","sampleRate":8000,"payload":"//8="}}"#,
            r#"{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":16000,"payload":"//8="}}"#,
            r#"{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":""}}"#,
            r#"{"event":"checkpoint","streamId":"s"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
