//! The bridge's words on the pipeline's "socket". Audio is binary (the agent's with its utterance
//! number in front); everything else is JSON of our own.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::bridge::{AgentBrief, AgentCodec, AgentIn, AgentOut, DecodeError, Usage, Wire};
use crate::media::MediaFormat;

use super::VENDOR;

/// What the caller's audio must be.
pub(super) const TAKES: MediaFormat = MediaFormat::PCM_16K;
/// What the agent's audio is.
pub(super) const GIVES: MediaFormat = MediaFormat::ULAW_8K;

/// Translates one conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct PipelineCodec;

/// What the pipeline is told, audio apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told {
    Begin {
        brief: AgentBrief,
    },
    Typed {
        text: String,
    },
    Say {
        text: String,
    },
    Context {
        text: String,
    },
    ToolResult {
        id: String,
        ok: bool,
        result: String,
    },
    Cancel,
    /// Listen and write down, but say only what is given.
    Hush,
    Unhush {
        answer: bool,
    },
    Truncate {
        utterance: u64,
        heard_ms: u32,
    },
}

/// What the pipeline says, audio apart.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Ready {
        conversation: String,
    },
    Caller {
        utterance: u64,
        text: String,
    },
    Agent {
        utterance: u64,
        text: String,
        interim: bool,
    },
    Correction {
        utterance: u64,
        original: String,
        corrected: String,
    },
    Given {
        utterance: u64,
    },
    SpeechStarted,
    SpeechStopped,
    Tool {
        id: String,
        name: String,
        args: String,
    },
    HangUp {
        reason: String,
    },
    Used {
        tokens_in: u64,
        tokens_out: u64,
        heard_s: f64,
        usd: Option<f64>,
    },
    Refused {
        reason: String,
    },
    Trouble {
        code: String,
        message: String,
    },
}

/// Writes what the pipeline says; `None` for words it never uses.
pub(super) fn say(word: AgentIn) -> Option<Wire> {
    let said = match word {
        AgentIn::Audio { utterance, payload } => {
            let mut bytes = BytesMut::with_capacity(8 + payload.len());
            bytes.put_u64(utterance);
            bytes.put(payload);
            return Some(Wire::Binary(bytes.freeze()));
        }
        AgentIn::Ready {
            conversation_id, ..
        } => Said::Ready {
            conversation: conversation_id,
        },
        AgentIn::CallerText {
            utterance, text, ..
        } => Said::Caller { utterance, text },
        AgentIn::AgentText {
            utterance,
            text,
            interim,
        } => Said::Agent {
            utterance,
            text,
            interim,
        },
        AgentIn::AgentCorrection {
            utterance,
            original,
            corrected,
        } => Said::Correction {
            utterance,
            original,
            corrected,
        },
        AgentIn::Given { utterance } => Said::Given { utterance },
        AgentIn::CallerSpeechStarted => Said::SpeechStarted,
        AgentIn::CallerSpeechStopped => Said::SpeechStopped,
        AgentIn::ToolCall {
            tool_call_id,
            name,
            args,
        } => Said::Tool {
            id: tool_call_id,
            name,
            args,
        },
        AgentIn::HangUp { reason } => Said::HangUp { reason },
        AgentIn::Usage { usage, usd } => Said::Used {
            tokens_in: usage.text_in,
            tokens_out: usage.text_out,
            heard_s: usage.transcribed_s,
            usd,
        },
        AgentIn::Refused { reason } => Said::Refused { reason },
        AgentIn::Trouble { code, message } => Said::Trouble { code, message },
        AgentIn::Interruption { .. }
        | AgentIn::Lasts { .. }
        | AgentIn::Ping { .. }
        | AgentIn::ToolNews { .. }
        | AgentIn::Owing
        | AgentIn::Unknown { .. } => return None,
    };
    serde_json::to_string(&said).ok().map(Wire::Text)
}

impl AgentCodec for PipelineCodec {
    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn decode(&mut self, wire: &Wire) -> Result<Vec<AgentIn>, DecodeError> {
        let unreadable = |reason: String| DecodeError {
            vendor: VENDOR,
            reason,
        };
        let text = match wire {
            Wire::Text(text) => text,
            Wire::Binary(bytes) => {
                let number = bytes.first_chunk::<8>();
                let number = number.ok_or_else(|| unreadable("a short message".into()))?;
                return Ok(vec![AgentIn::Audio {
                    utterance: u64::from_be_bytes(*number),
                    payload: bytes.slice(8..),
                }]);
            }
        };
        let said: Said =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        Ok(vec![read(said)])
    }

    fn encode(&mut self, out: &AgentOut) -> Vec<Wire> {
        let told = match out {
            AgentOut::Audio(payload) => return vec![Wire::Binary(payload.clone())],
            AgentOut::Begin(brief) => Told::Begin {
                brief: brief.clone(),
            },
            AgentOut::Typed { text } => Told::Typed { text: text.clone() },
            AgentOut::UserText { text } => Told::Say { text: text.clone() },
            AgentOut::Context { text } => Told::Context { text: text.clone() },
            AgentOut::ToolResult {
                tool_call_id,
                ok,
                result,
            } => Told::ToolResult {
                id: tool_call_id.clone(),
                ok: *ok,
                result: result.clone(),
            },
            AgentOut::Cancel => Told::Cancel,
            AgentOut::Hush => Told::Hush,
            AgentOut::Unhush { answer } => Told::Unhush { answer: *answer },
            AgentOut::Truncate {
                utterance,
                heard_ms,
            } => Told::Truncate {
                utterance: *utterance,
                heard_ms: *heard_ms,
            },
            AgentOut::Pong { .. } | AgentOut::Owed => return Vec::new(),
        };
        serde_json::to_string(&told)
            .ok()
            .map(Wire::Text)
            .into_iter()
            .collect()
    }

    fn ended_on_purpose(&self, _code: Option<u16>, _reason: &str) -> Option<String> {
        None
    }

    fn can_say(&self) -> bool {
        true
    }
}

fn read(said: Said) -> AgentIn {
    match said {
        Said::Ready { conversation } => AgentIn::Ready {
            conversation_id: conversation,
            takes: TAKES,
            gives: GIVES,
        },
        Said::Caller { utterance, text } => AgentIn::CallerText {
            utterance,
            text,
            interim: false,
        },
        Said::Agent {
            utterance,
            text,
            interim,
        } => AgentIn::AgentText {
            utterance,
            text,
            interim,
        },
        Said::Correction {
            utterance,
            original,
            corrected,
        } => AgentIn::AgentCorrection {
            utterance,
            original,
            corrected,
        },
        Said::Given { utterance } => AgentIn::Given { utterance },
        Said::SpeechStarted => AgentIn::CallerSpeechStarted,
        Said::SpeechStopped => AgentIn::CallerSpeechStopped,
        Said::Tool { id, name, args } => AgentIn::ToolCall {
            tool_call_id: id,
            name,
            args,
        },
        Said::HangUp { reason } => AgentIn::HangUp { reason },
        Said::Used {
            tokens_in,
            tokens_out,
            heard_s,
            usd,
        } => AgentIn::Usage {
            usage: Usage {
                text_in: tokens_in,
                text_out: tokens_out,
                transcribed_s: heard_s,
                ..Usage::default()
            },
            usd,
        },
        Said::Refused { reason } => AgentIn::Refused { reason },
        Said::Trouble { code, message } => AgentIn::Trouble { code, message },
    }
}

/// What the bridge tells the pipeline: caller audio, or a word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    Audio(Bytes),
    Told(Told),
}

/// Reads what the codec wrote.
///
/// # Errors
/// Not written by it.
pub(super) fn hear(wire: Wire) -> Result<Order, String> {
    match wire {
        Wire::Binary(bytes) => Ok(Order::Audio(bytes)),
        Wire::Text(text) => serde_json::from_str(&text)
            .map(Order::Told)
            .map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_survives_the_way() {
        let words = [
            AgentIn::Ready {
                conversation_id: "c".into(),
                takes: TAKES,
                gives: GIVES,
            },
            AgentIn::Audio {
                utterance: 7,
                payload: Bytes::from_static(&[1, 2, 3]),
            },
            AgentIn::CallerText {
                utterance: 1,
                text: "hi".into(),
                interim: false,
            },
            AgentIn::AgentText {
                utterance: 2,
                text: "\"ho\"".into(),
                interim: true,
            },
            AgentIn::AgentCorrection {
                utterance: 2,
                original: "a b".into(),
                corrected: "a".into(),
            },
            AgentIn::CallerSpeechStarted,
            AgentIn::CallerSpeechStopped,
            AgentIn::ToolCall {
                tool_call_id: "t".into(),
                name: "lookup".into(),
                args: "{}".into(),
            },
            AgentIn::HangUp { reason: "x".into() },
            AgentIn::Usage {
                usage: Usage {
                    text_in: 3,
                    transcribed_s: 1.5,
                    ..Usage::default()
                },
                usd: Some(0.25),
            },
            AgentIn::Refused { reason: "x".into() },
            AgentIn::Trouble {
                code: "c".into(),
                message: "m".into(),
            },
        ];
        let mut codec = PipelineCodec;
        for word in words {
            let wire = say(word.clone()).unwrap();
            assert_eq!(codec.decode(&wire).unwrap(), [word]);
        }
        assert!(
            codec
                .decode(&Wire::Binary(Bytes::from_static(b"abc")))
                .is_err()
        );
        assert!(codec.decode(&Wire::Text("{}".into())).is_err());
    }

    #[test]
    fn orders_survive_the_way() {
        let orders = [
            AgentOut::Begin(AgentBrief {
                prompt: Some("p".into()),
                takes_over: true,
                ..AgentBrief::default()
            }),
            AgentOut::Truncate {
                utterance: 3,
                heard_ms: 70,
            },
            AgentOut::Cancel,
            AgentOut::Typed { text: "t".into() },
        ];
        for order in orders {
            let wire = PipelineCodec.encode(&order).remove(0);
            assert!(matches!(hear(wire), Ok(Order::Told(_))), "{order:?}");
        }
        assert!(PipelineCodec.encode(&AgentOut::Owed).is_empty());
        assert!(hear(Wire::Text("?".into())).is_err());
    }
}
