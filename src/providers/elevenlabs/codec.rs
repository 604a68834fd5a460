//! The conversation socket: ElevenLabs' JSON to the bridge's words and back. Unknown messages are
//! named and passed over: the vendor adds kinds every few weeks.
//! Spec: npm `@elevenlabs/types` 0.23, `@elevenlabs/client` 1.25 (2026-11).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::bridge::{AgentBrief, AgentCodec, AgentIn, AgentOut, DecodeError, Wire};
use crate::media::{Encoding, MediaFormat};
use crate::providers::base64_audio;
use crate::providers::json::{Count, Text};

use super::VENDOR;

/// Longest streamed answer kept while it is being written, bytes.
const PART_BYTES_MAX: usize = 64 * 1024;

/// Translates one conversation socket.
#[derive(Debug, Default)]
pub struct ElevenLabsCodec {
    opened: bool,
    /// Highest event id seen: what messages without one of their own belong to.
    latest: u64,
    /// The answer that is being streamed, and its id.
    writing: Option<(u64, String)>,
}

impl ElevenLabsCodec {
    pub fn new() -> Self {
        Self::default()
    }

    fn number(&mut self, event: &Value) -> u64 {
        let id = event.get("event_id").and_then(whole).unwrap_or(self.latest);
        self.latest = self.latest.max(id);
        id
    }

    /// As [`Self::number`] for what opens a turn: without an id it gets the next one.
    fn number_next(&mut self, event: &Value) -> u64 {
        let id = event
            .get("event_id")
            .and_then(whole)
            .unwrap_or(self.latest + 1);
        self.latest = self.latest.max(id);
        id
    }

    fn metadata(&mut self, event: &Value) -> AgentIn {
        if std::mem::replace(&mut self.opened, true) {
            return trouble("protocol", "the conversation was opened twice");
        }
        let format = |name: &str| {
            let word = event
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or("pcm_16000");
            read_format(word).ok_or(word)
        };
        match (
            format("user_input_audio_format"),
            format("agent_output_audio_format"),
        ) {
            (Ok(takes), Ok(gives)) => AgentIn::Ready {
                conversation_id: string(event, "conversation_id"),
                takes,
                gives,
            },
            (Err(word), _) | (_, Err(word)) => trouble(
                "audio_format",
                &format!("the agent uses the audio format {word}; set it to ulaw_8000"),
            ),
        }
    }

    fn part(&mut self, event: &Value) -> Vec<AgentIn> {
        let utterance = self.number(event);
        let text = string(event, "text");
        let fresh = self.writing.as_ref().is_none_or(|(id, _)| *id != utterance);
        if fresh || event.get("type").and_then(Value::as_str) == Some("start") {
            self.writing = Some((utterance, String::new()));
        }
        let Some((_, written)) = &mut self.writing else {
            return Vec::new();
        };
        if written.len() + text.len() <= PART_BYTES_MAX {
            written.push_str(&text);
        }
        let so_far = written.trim();
        if so_far.is_empty() {
            return Vec::new();
        }
        vec![AgentIn::AgentText {
            utterance,
            text: so_far.to_owned(),
            interim: true,
        }]
    }

    #[expect(clippy::too_many_lines, reason = "one flat match over the kinds")]
    fn read(&mut self, kind: &str, message: &Value) -> Vec<AgentIn> {
        let none = Value::Null;
        let body = |name: &str| message.get(name).unwrap_or(&none);
        match kind {
            "conversation_initiation_metadata" => {
                vec![self.metadata(body("conversation_initiation_metadata_event"))]
            }
            "user_transcript" => {
                let event = body("user_transcription_event");
                let utterance = self.number_next(event);
                said_by_caller(utterance, event, false)
            }
            "tentative_user_transcript" => {
                let event = body("tentative_user_transcription_event");
                let utterance = event
                    .get("event_id")
                    .and_then(whole)
                    .unwrap_or(self.latest + 1);
                said_by_caller(utterance, event, true)
            }
            "agent_response" => {
                let event = body("agent_response_event");
                let utterance = self.number(event);
                self.writing = None;
                let text = trimmed(event, "agent_response");
                vec![AgentIn::AgentText {
                    utterance,
                    text,
                    interim: false,
                }]
            }
            "agent_chat_response_part" => self.part(body("text_response_part")),
            "agent_response_correction" => {
                let event = body("agent_response_correction_event");
                vec![AgentIn::AgentCorrection {
                    utterance: self.number(event),
                    original: trimmed(event, "original_agent_response"),
                    corrected: trimmed(event, "corrected_agent_response"),
                }]
            }
            "interruption" => {
                let utterance = self.number(body("interruption_event"));
                vec![AgentIn::Interruption { utterance }]
            }
            "ping" => {
                let event = body("ping_event");
                let rtt = event
                    .get("ping_ms")
                    .and_then(Value::as_f64)
                    .filter(|ms| *ms > 0.0);
                let id = event.get("event_id").and_then(whole).unwrap_or_default();
                vec![AgentIn::Ping {
                    id,
                    rtt_ms: rtt.map(|ms| ms as f32),
                }]
            }
            "client_tool_call" => {
                let call = body("client_tool_call");
                vec![AgentIn::ToolCall {
                    tool_call_id: string(call, "tool_call_id"),
                    name: string(call, "tool_name"),
                    args: call
                        .get("parameters")
                        .map_or_else(|| "{}".to_owned(), Value::to_string),
                }]
            }
            "agent_tool_request" => vec![tool_news(body("agent_tool_request"), None, None)],
            "agent_tool_response" => tool_answered(body("agent_tool_response")),
            "agent_tool_response_full_payload" => {
                let event = body("agent_tool_response_full_payload");
                let result = event.get("full_tool_result").map(plain);
                vec![tool_news(
                    event,
                    Some(!flag(event, "is_error")),
                    result.or(Some(String::new())),
                )]
            }
            "mcp_tool_call" => vec![mcp_news(body("mcp_tool_call"))],
            "error" => {
                let event = body("error_event");
                let code = event
                    .get("error_type")
                    .or_else(|| event.get("code"))
                    .map(plain);
                let said = ["message", "reason", "debug_message"].map(|name| string(event, name));
                let message = said
                    .into_iter()
                    .find(|text| !text.is_empty())
                    .unwrap_or_default();
                vec![AgentIn::Trouble {
                    code: code.unwrap_or_else(|| "error".into()),
                    message,
                }]
            }
            "guardrail_triggered" => {
                vec![trouble(
                    "guardrail",
                    "a guardrail of the agent was triggered",
                )]
            }
            _ => vec![AgentIn::Unknown {
                kind: kind.chars().take(60).collect(),
            }],
        }
    }
}

impl AgentCodec for ElevenLabsCodec {
    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn decode(&mut self, wire: &Wire) -> Result<Vec<AgentIn>, DecodeError> {
        let Wire::Text(text) = wire else {
            return Err(unreadable("a binary message"));
        };
        let quick: Quick<'_> =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if let ("audio", Some(event)) = (quick.kind.0.as_ref(), &quick.audio_event) {
            let payload = base64_audio(&event.audio_base_64.0).map_err(unreadable)?;
            let utterance = event.event_id.0.unwrap_or(self.latest);
            self.latest = self.latest.max(utterance);
            return Ok(vec![AgentIn::Audio {
                utterance,
                payload: Bytes::from(payload),
            }]);
        }
        let message = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        Ok(self.read(&quick.kind.0, &message))
    }

    fn encode(&mut self, out: &AgentOut) -> Vec<Wire> {
        let message = match out {
            AgentOut::Audio(payload) => {
                let mut text = String::with_capacity(24 + payload.len().div_ceil(3) * 4);
                text.push_str(r#"{"user_audio_chunk":""#);
                STANDARD.encode_string(payload, &mut text);
                text.push_str("\"}");
                return vec![Wire::Text(text)];
            }
            AgentOut::Begin(brief) => begin(brief),
            AgentOut::Pong { id } => json!({"type": "pong", "event_id": id}),
            AgentOut::ToolResult {
                tool_call_id,
                ok,
                result,
            } => json!({
                "type": "client_tool_result",
                "tool_call_id": tool_call_id,
                "result": result,
                "is_error": !ok,
            }),
            AgentOut::Context { text } => json!({"type": "contextual_update", "text": text}),
            AgentOut::UserText { text } | AgentOut::Typed { text } => {
                json!({"type": "user_message", "text": text})
            }
            // The vendor stops by itself and keeps its own account of what was heard.
            AgentOut::Cancel
            | AgentOut::Truncate { .. }
            | AgentOut::Owed
            | AgentOut::Hush
            | AgentOut::Unhush { .. } => return Vec::new(),
        };
        vec![Wire::Text(message.to_string())]
    }

    fn ended_on_purpose(&self, code: Option<u16>, reason: &str) -> Option<String> {
        (code == Some(1000)).then(|| match reason.trim() {
            "" => "the agent ended the conversation".to_owned(),
            reason => reason.to_owned(),
        })
    }
}

/// What audio needs, flat and borrowed: it is most of the traffic.
#[derive(Deserialize)]
struct Quick<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    audio_event: Option<AudioEvent<'a>>,
}

#[derive(Deserialize)]
struct AudioEvent<'a> {
    #[serde(borrow)]
    audio_base_64: Text<'a>,
    #[serde(default)]
    event_id: Count,
}

/// The first message. Only what is set is overridden: an override the agent's settings forbid fails
/// the conversation.
fn begin(brief: &AgentBrief) -> Value {
    let mut agent = Map::new();
    if let Some(prompt) = &brief.prompt {
        agent.insert("prompt".into(), json!({ "prompt": prompt }));
    }
    for (name, value) in [
        ("first_message", &brief.first_message),
        ("language", &brief.language),
    ] {
        if let Some(value) = value {
            agent.insert(name.into(), json!(value));
        }
    }
    let mut overrides = Map::new();
    if !agent.is_empty() {
        overrides.insert("agent".into(), Value::Object(agent));
    }
    if let Some(voice) = &brief.voice {
        overrides.insert("tts".into(), json!({ "voice_id": voice }));
    }
    let variables: Map<String, Value> = brief
        .variables
        .iter()
        .filter(|(name, _)| !name.starts_with("system__"))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let mut message = json!({
        "type": "conversation_initiation_client_data",
        "source_info": {"source": "wallboard", "version": env!("CARGO_PKG_VERSION")},
    });
    if let Value::Object(fields) = &mut message {
        if !overrides.is_empty() {
            fields.insert(
                "conversation_config_override".into(),
                Value::Object(overrides),
            );
        }
        if !variables.is_empty() {
            fields.insert("dynamic_variables".into(), Value::Object(variables));
        }
    }
    message
}

/// `ulaw_8000`, `pcm_16000` and so on. PCM is 16 bit, little endian, mono.
fn read_format(word: &str) -> Option<MediaFormat> {
    let (encoding, rate) = word.split_once('_')?;
    let encoding = match encoding {
        "ulaw" => Encoding::Ulaw,
        "alaw" => Encoding::Alaw,
        "pcm" => Encoding::Pcm16Le,
        _ => return None,
    };
    let rate_hz = rate
        .parse()
        .ok()
        .filter(|rate| (8_000..=48_000).contains(rate))?;
    Some(MediaFormat { encoding, rate_hz })
}

fn said_by_caller(utterance: u64, event: &Value, interim: bool) -> Vec<AgentIn> {
    let text = trimmed(event, "user_transcript");
    if text.is_empty() {
        return Vec::new();
    }
    vec![AgentIn::CallerText {
        utterance,
        text,
        interim,
    }]
}

fn tool_news(event: &Value, ok: Option<bool>, result: Option<String>) -> AgentIn {
    AgentIn::ToolNews {
        tool_call_id: string(event, "tool_call_id"),
        name: string(event, "tool_name"),
        ok,
        result,
    }
}

/// `end_call` that was carried out is the agent hanging up: the vendor's own client ends there.
fn tool_answered(event: &Value) -> Vec<AgentIn> {
    let ok = !flag(event, "is_error");
    let called = event
        .get("is_called")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    let mut said = vec![tool_news(event, Some(ok && called), Some(String::new()))];
    if ok && called && string(event, "tool_name") == "end_call" {
        said.push(AgentIn::HangUp {
            reason: "the agent ended the call".to_owned(),
        });
    }
    said
}

fn mcp_news(event: &Value) -> AgentIn {
    match string(event, "state").as_str() {
        "success" => tool_news(
            event,
            Some(true),
            Some(event.get("result").map(plain).unwrap_or_default()),
        ),
        "failure" => tool_news(event, Some(false), Some(string(event, "error_message"))),
        _ => tool_news(event, None, None),
    }
}

fn trouble(code: &str, message: &str) -> AgentIn {
    AgentIn::Trouble {
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

fn string(event: &Value, name: &str) -> String {
    event
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn trimmed(event: &Value, name: &str) -> String {
    event
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn flag(event: &Value, name: &str) -> bool {
    event.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// A string as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn whole(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

fn unreadable(reason: impl Into<String>) -> DecodeError {
    DecodeError {
        vendor: VENDOR,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests;
