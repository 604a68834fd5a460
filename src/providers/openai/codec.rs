//! The conversation socket: OpenAI Realtime's JSON to the bridge's words and back, in both dialects.
//! Unknown messages are named and passed over. Spec: PyPI `openai` 3.52 (`types/realtime`,
//! `types/beta/realtime`), OpenAI docs, "Realtime conversations" (2026-11).
//!
//! Three things the vendor leaves to its client are done here. Only one answer may be made at a
//! time, so what asks for another waits ([`Answers`]). What still comes of an answer the caller
//! broke into is thrown away. And the caller's words are written down late, often after the answer
//! to them began: their line is opened when the vendor takes their audio, so that the order stays.

mod read;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bridge::{AgentCodec, AgentIn, AgentOut, DecodeError, Wire};
use crate::media::MediaFormat;
use crate::providers::base64_audio;
use crate::providers::json::Text;

use super::items::Items;
use super::queue::Answers;
use super::setup::{Greeting, session_update, turns_update, verbatim};
use super::{OpenAiSettings, VENDOR};

/// Ids of messages whose refusal is harmless: what they were about was over already.
const LATE_PREFIX: &str = "wb-late-";
/// What can be the time left of a conversation that begins: less or more is a wrong clock.
const LEFT_MIN: Duration = Duration::from_secs(5);
const LEFT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Tool calls remembered, so that none runs twice.
const CALLS_MAX: usize = 64;

/// Translates one conversation socket.
#[derive(Debug)]
pub struct OpenAiCodec {
    settings: OpenAiSettings,
    greeting: Greeting,
    begun: bool,
    opened: bool,
    conversation: String,
    gives: MediaFormat,
    items: Items,
    answers: Answers,
    /// Ids of the latest tool calls, newest last.
    calls: std::collections::VecDeque<String>,
    /// A failed answer was asked for again already.
    retried: bool,
    /// The vendor's limit is nearly reached and was told.
    limit_told: bool,
    /// Only what it is given to say may be said.
    hushed: bool,
    language: Option<String>,
    /// When the socket was opened, seconds since 1970 by the vendor's clock.
    opened_at: Option<i64>,
    /// When the vendor ends the conversation, by the same clock.
    expires_at: Option<i64>,
}

impl OpenAiCodec {
    pub fn new(settings: OpenAiSettings) -> Self {
        Self {
            settings,
            greeting: Greeting::None,
            begun: false,
            opened: false,
            conversation: String::new(),
            gives: MediaFormat::ULAW_8K,
            items: Items::default(),
            answers: Answers::default(),
            calls: std::collections::VecDeque::new(),
            retried: false,
            limit_told: false,
            hushed: false,
            language: None,
            opened_at: None,
            expires_at: None,
        }
    }

    /// Lets the codec read how long the vendor means the conversation to last.
    ///
    /// `unix_s`: when the socket was opened, by the vendor's clock, seconds since 1970.
    #[must_use]
    pub fn opened_at(self, unix_s: i64) -> Self {
        Self {
            opened_at: Some(unix_s),
            ..self
        }
    }

    /// How long the conversation lasts: the vendor's word or the configured limit, whichever is
    /// earlier.
    fn lasts(&self) -> Option<Duration> {
        let told = self.expires_at.zip(self.opened_at);
        // Both are whole seconds, cut.
        let left = told.map(|(expires, opened)| expires.saturating_sub(opened).saturating_sub(1));
        let left = left
            .and_then(|left| u64::try_from(left).ok())
            .map(Duration::from_secs)
            .filter(|left| (LEFT_MIN..=LEFT_MAX).contains(left));
        left.into_iter().chain(self.settings.lasts).min()
    }

    fn audio(&mut self, quick: &Quick<'_>) -> Result<Vec<AgentIn>, DecodeError> {
        let text = |field: &Option<Text<'_>>| {
            field
                .as_ref()
                .map(|text| text.0.clone().into_owned())
                .unwrap_or_default()
        };
        let (Some(delta), Some(item_id)) = (&quick.delta, &quick.item_id) else {
            return Err(unreadable("audio without its body"));
        };
        let response = text(&quick.response_id);
        let payload = base64_audio(&delta.0).map_err(unreadable)?;
        if self.answers.is_void(&response) {
            return Ok(Vec::new());
        }
        let item = self.items.get(&item_id.0, &response);
        item.content_index = quick.content_index.unwrap_or(item.content_index);
        item.audio_bytes += payload.len() as u64;
        Ok(vec![AgentIn::Audio {
            utterance: item.number,
            payload: Bytes::from(payload),
        }])
    }

    /// The answers that may be asked for now.
    fn owed(&mut self) -> Vec<Wire> {
        self.answers.take().into_iter().map(wire).collect()
    }

    fn truncate(&mut self, utterance: u64, heard_ms: u32) -> Vec<Wire> {
        let Some(item) = self.items.by_number(utterance) else {
            return Vec::new();
        };
        // More than was received is refused, and would leave the whole text in the model's memory.
        let received_ms = self.gives_ms(item.audio_bytes);
        if item.audio_bytes == 0 {
            return Vec::new();
        }
        vec![wire(json!({
            "type": "conversation.item.truncate",
            "event_id": format!("{LATE_PREFIX}{utterance}"),
            "item_id": item.id,
            "content_index": item.content_index,
            "audio_end_ms": u64::from(heard_ms).min(received_ms),
        }))]
    }

    fn gives_ms(&self, bytes: u64) -> u64 {
        let per_second =
            self.gives.encoding.bytes_per_sample() as u64 * u64::from(self.gives.rate_hz);
        bytes.saturating_mul(1_000) / per_second.max(1)
    }

    fn cancel(&mut self) -> Vec<Wire> {
        let Some(response_id) = self.answers.cancel() else {
            return Vec::new();
        };
        vec![wire(json!({
            "type": "response.cancel",
            "event_id": format!("{LATE_PREFIX}cancel"),
            "response_id": response_id,
        }))]
    }

    fn tool_result(&mut self, call_id: &str, ok: bool, result: &str) -> Vec<Wire> {
        // The output is a string that holds JSON: what is JSON already goes as it is.
        let is_json = serde_json::from_str::<Value>(result)
            .is_ok_and(|value| value.is_object() || value.is_array());
        let output = match (ok, is_json) {
            (true, true) => result.to_owned(),
            (true, false) => json!({"ok": true, "result": result}).to_string(),
            (false, _) => json!({"ok": false, "error": result}).to_string(),
        };
        if !self.hushed {
            self.answers.want(Value::Null);
        }
        let item = json!({
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": call_id, "output": output},
        });
        std::iter::once(wire(item)).chain(self.owed()).collect()
    }
}

impl AgentCodec for OpenAiCodec {
    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn decode(&mut self, wire: &Wire) -> Result<Vec<AgentIn>, DecodeError> {
        let Wire::Text(text) = wire else {
            return Err(unreadable("a binary message"));
        };
        let quick: Quick<'_> =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if matches!(
            quick.kind.0.as_ref(),
            "response.output_audio.delta" | "response.audio.delta"
        ) {
            return self.audio(&quick);
        }
        let message: Value =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let mut said = Vec::new();
        self.read(&quick.kind.0, &message, &mut said);
        if self.answers.is_due() {
            said.push(AgentIn::Owing);
        }
        Ok(said)
    }

    fn encode(&mut self, out: &AgentOut) -> Vec<Wire> {
        match out {
            AgentOut::Audio(payload) => {
                let mut text = String::with_capacity(48 + payload.len().div_ceil(3) * 4);
                text.push_str(r#"{"type":"input_audio_buffer.append","audio":""#);
                STANDARD.encode_string(payload, &mut text);
                text.push_str("\"}");
                vec![Wire::Text(text)]
            }
            AgentOut::Begin(brief) => {
                self.greeting = Greeting::of(brief);
                self.begun = true;
                self.language.clone_from(&brief.language);
                vec![wire(session_update(&self.settings, brief))]
            }
            // The vendor pings on the socket itself.
            AgentOut::Pong { .. } => Vec::new(),
            AgentOut::ToolResult {
                tool_call_id,
                ok,
                result,
            } => self.tool_result(tool_call_id, *ok, result),
            AgentOut::Context { text } => vec![wire(json!({
                "type": "conversation.item.create",
                "item": {
                    "type": "message",
                    "role": "system",
                    "content": [{"type": "input_text", "text": text}],
                },
            }))],
            AgentOut::UserText { text } => {
                self.answers.want_given(verbatim(text));
                self.owed()
            }
            AgentOut::Typed { text } => {
                let item = json!({
                    "type": "conversation.item.create",
                    "item": {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": text}],
                    },
                });
                self.answers.want(Value::Null);
                std::iter::once(wire(item)).chain(self.owed()).collect()
            }
            AgentOut::Cancel => self.cancel(),
            AgentOut::Hush => {
                self.hushed = true;
                self.greeting = Greeting::None;
                self.answers.forget();
                vec![wire(turns_update(
                    &self.settings,
                    self.language.as_deref(),
                    false,
                ))]
            }
            AgentOut::Unhush { answer } => {
                self.hushed = false;
                if *answer {
                    self.answers.want(Value::Null);
                }
                let update = turns_update(&self.settings, self.language.as_deref(), true);
                std::iter::once(wire(update)).chain(self.owed()).collect()
            }
            AgentOut::Truncate {
                utterance,
                heard_ms,
            } => self.truncate(*utterance, *heard_ms),
            AgentOut::Owed => self.owed(),
        }
    }

    /// The vendor never ends a conversation because it is over: a lost one is continued in another.
    fn ended_on_purpose(&self, _code: Option<u16>, _reason: &str) -> Option<String> {
        None
    }

    /// Word for word, by an answer of its own.
    fn can_say(&self) -> bool {
        true
    }
}

/// What audio needs, flat and borrowed: it is most of the traffic.
#[derive(Deserialize)]
struct Quick<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    response_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    item_id: Option<Text<'a>>,
    #[serde(default)]
    content_index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Text<'a>>,
}

fn wire(message: Value) -> Wire {
    Wire::Text(message.to_string())
}

fn unreadable(reason: impl Into<String>) -> DecodeError {
    DecodeError {
        vendor: VENDOR,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests;
