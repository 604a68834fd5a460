//! The voice gateway as a client: joining a conversation, a line or sound there, an answer back.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::RemoteSettings;
use super::link::Heard;
use super::socketio::{Address, Conn};

/// Longest sound in one message, base64: 20 s of telephone sound and some.
const AUDIO_MAX: usize = 256 * 1024;

/// One connection to one conversation. Dropping it leaves.
pub struct ChatLink {
    conn: Conn,
}

/// What a conversation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatNews {
    /// We are in it; the key finds it again.
    Here {
        session: String,
        resumed: bool,
    },
    /// A whole answer, or the agent's greeting.
    Text {
        text: String,
        is_greeting: bool,
    },
    /// What is being said, in the format that was asked for.
    Audio {
        data: Bytes,
        /// Nothing of this answer follows.
        is_last: bool,
    },
    /// What has not been played is not to be.
    Clear,
    Trouble {
        message: String,
        hint: String,
    },
    Ended(String),
    /// The backend does not let us in.
    Refused(String),
    /// The connection is gone.
    Down(String),
}

impl fmt::Debug for ChatLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatLink").finish_non_exhaustive()
    }
}

impl ChatLink {
    /// Begins to connect; everything further is heard.
    ///
    /// # Errors
    /// The system is out of threads.
    pub fn dial(settings: &RemoteSettings, auth: Value) -> std::io::Result<Self> {
        let address = Address {
            base: settings.base().to_owned(),
            namespace: "/chat/v1",
            auth,
            ca: None,
        };
        Ok(Self {
            conn: Conn::dial(address)?,
        })
    }

    /// Says a line. A connection that does not take it is soon heard to be down.
    pub fn say(&self, text: &str) {
        let _down = self.conn.send("text", json!({"data": text}));
    }

    /// Sends some of the caller's voice: signed 16 bit, little-endian, one channel. `is_end`: they
    /// have said all. A connection that takes no more loses it, as a telephone line would.
    pub fn speak(&self, pcm: &[u8], rate_hz: u32, is_end: bool) {
        let mut meta = json!({"format": "pcm", "sample_rate": rate_hz});
        if is_end {
            meta["eos"] = json!(true);
        }
        let message = json!({"data": STANDARD.encode(pcm), "meta_info": meta});
        let _down = self.conn.send("audio", message);
    }

    /// Makes the agent be quiet.
    pub fn clear(&self) {
        let _down = self.conn.send("clear", json!({}));
    }

    /// The next news. Cancel-safe.
    pub async fn hear(&mut self) -> ChatNews {
        loop {
            let news = match self.conn.hear().await {
                None => Some(ChatNews::Down("the connection ended".into())),
                Some(Heard::Up) => None,
                Some(Heard::Refused(word)) => Some(ChatNews::Refused(word)),
                Some(Heard::Down(reason)) => Some(ChatNews::Down(reason)),
                Some(Heard::Message { event, data }) => read(&event, &data),
            };
            if let Some(news) = news {
                return news;
            }
        }
    }
}

fn read(event: &str, data: &Value) -> Option<ChatNews> {
    let word = |name: &str| {
        let word = data.get(name).and_then(Value::as_str);
        word.unwrap_or_default().to_owned()
    };
    match event {
        "session" => Some(ChatNews::Here {
            session: word("session"),
            resumed: data.get("resumed").and_then(Value::as_bool) == Some(true),
        }),
        "text" if data.pointer("/meta_info/partial") != Some(&Value::Bool(true)) => {
            let category = data.pointer("/meta_info/message_category");
            Some(ChatNews::Text {
                text: word("data"),
                is_greeting: category.and_then(Value::as_str) == Some("agent_welcome_message"),
            })
        }
        "audio" => {
            let coded = data.get("data").and_then(Value::as_str)?;
            // No message of ours is so long; a backend that sends one is not listened to.
            let coded = Some(coded).filter(|coded| coded.len() <= AUDIO_MAX)?;
            let ends = data.pointer("/meta_info/end_of_synthesizer_stream");
            Some(ChatNews::Audio {
                data: STANDARD.decode(coded).ok()?.into(),
                is_last: ends == Some(&Value::Bool(true)),
            })
        }
        "clear" => Some(ChatNews::Clear),
        "error" => Some(ChatNews::Trouble {
            message: word("message"),
            hint: word("hint"),
        }),
        "ended" => Some(ChatNews::Ended(word("reason"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_partials_passed_over() {
        assert_eq!(
            read(
                "text",
                &json!({"data": "hi", "meta_info": {"sequence_id": 1}})
            ),
            Some(ChatNews::Text {
                text: "hi".into(),
                is_greeting: false
            })
        );
        assert_eq!(
            read(
                "text",
                &json!({"data": "h", "meta_info": {"partial": true}})
            ),
            None
        );
        assert_eq!(
            read("session", &json!({"session": "k", "resumed": true})),
            Some(ChatNews::Here {
                session: "k".into(),
                resumed: true
            })
        );
        assert_eq!(read("audio", &json!({})), None);
        assert_eq!(read("audio", &json!({"data": "not base64!"})), None);
        let meta = json!({"end_of_synthesizer_stream": true});
        assert_eq!(
            read("audio", &json!({"data": "//8=", "meta_info": meta})),
            Some(ChatNews::Audio {
                data: Bytes::from_static(&[255, 255]),
                is_last: true
            })
        );
        assert_eq!(read("clear", &json!({"data": null})), Some(ChatNews::Clear));
    }
}
