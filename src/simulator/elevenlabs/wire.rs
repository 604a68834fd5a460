//! The vendor's messages, written as it writes them and read as strictly as it reads them.
//! Spec: the vendor's AsyncAPI package 0.23 and Python SDK 2.78.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::simulator::speech::{Did, ToolVia};

/// What a bridge may say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Begin(Box<Begin>),
    Audio(Vec<u8>),
    Pong(u64),
    ToolResult {
        id: String,
        is_error: bool,
        result: String,
    },
    Context(String),
    UserText(String),
    Activity,
    Other,
}

/// `conversation_initiation_client_data`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Begin {
    #[serde(default)]
    pub dynamic_variables: BTreeMap<String, Value>,
    #[serde(default)]
    pub conversation_config_override: Value,
    #[serde(default)]
    pub custom_llm_extra_body: Value,
    pub user_id: Option<String>,
}

impl Begin {
    /// A dynamic variable as text; empty if it was not given.
    pub fn variable(&self, name: &str) -> String {
        match self.dynamic_variables.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }
}

/// # Errors
/// The sentence the vendor would close with.
pub(super) fn read(text: &str) -> Result<Told, String> {
    // The one message without a type, and by far the most frequent.
    if let Some(rest) = text.strip_prefix(r#"{"user_audio_chunk":""#)
        && let Some(payload) = rest.strip_suffix(r#""}"#)
    {
        return audio(payload);
    }
    let value: Value = serde_json::from_str(text).map_err(|e| format!("invalid JSON: {e}"))?;
    if let Some(payload) = value.get("user_audio_chunk") {
        return audio(payload.as_str().ok_or("user_audio_chunk is no string")?);
    }
    let str_of = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let need = |key: &str| str_of(key).ok_or_else(|| format!("{key} is missing or no string"));
    match value.get("type").and_then(Value::as_str) {
        Some("conversation_initiation_client_data") => {
            let begin: Begin = serde_json::from_value(value).map_err(|e| e.to_string())?;
            let plain = |v: &Value| v.is_string() || v.is_number() || v.is_boolean() || v.is_null();
            match begin.dynamic_variables.iter().find(|(_, v)| !plain(v)) {
                Some((name, _)) => Err(format!(
                    "dynamic variable {name} is no string, number or bool"
                )),
                None => Ok(Told::Begin(Box::new(begin))),
            }
        }
        Some("pong") => match value.get("event_id").and_then(Value::as_u64) {
            Some(id) => Ok(Told::Pong(id)),
            None => Err("pong without event_id".to_owned()),
        },
        Some("client_tool_result") => Ok(Told::ToolResult {
            id: need("tool_call_id")?,
            result: need("result")?,
            is_error: value
                .get("is_error")
                .and_then(Value::as_bool)
                .ok_or("is_error is missing or no bool")?,
        }),
        Some("contextual_update") => Ok(Told::Context(need("text")?)),
        Some("user_message") => Ok(Told::UserText(str_of("text").unwrap_or_default())),
        Some("user_activity") => Ok(Told::Activity),
        Some("feedback" | "mcp_tool_approval_result" | "multimodal_message") => Ok(Told::Other),
        Some(other) => Err(format!("unknown message type {other:?}")),
        None => Err("message without type".to_owned()),
    }
}

fn audio(payload: &str) -> Result<Told, String> {
    STANDARD
        .decode(payload)
        .map(Told::Audio)
        .map_err(|e| format!("user_audio_chunk: {e}"))
}

pub(super) fn metadata(conversation_id: &str, output: &str, input: &str) -> String {
    json!({
        "type": "conversation_initiation_metadata",
        "conversation_initiation_metadata_event": {
            "conversation_id": conversation_id,
            "agent_output_audio_format": output,
            "user_input_audio_format": input,
        },
    })
    .to_string()
}

pub(super) fn ping(event_id: u64, ping_ms: Option<u64>) -> String {
    json!({"type": "ping", "ping_event": {"event_id": event_id, "ping_ms": ping_ms}}).to_string()
}

pub(super) fn error(code: u16, kind: &str, message: &str) -> String {
    json!({"type": "error", "error_event": {
        "code": code, "message": message, "error_type": kind, "reason": message,
    }})
    .to_string()
}

pub(super) fn audio_event(event_id: u64, audio: &[u8]) -> String {
    let mut text = String::with_capacity(audio.len() * 4 / 3 + 90);
    text.push_str(r#"{"type":"audio","audio_event":{"audio_base_64":""#);
    STANDARD.encode_string(audio, &mut text);
    text.push_str(r#"","event_id":"#);
    text.push_str(&event_id.to_string());
    text.push_str("}}");
    text
}

/// Everything but audio and the death of the socket, which are no single message.
pub(super) fn said(did: &Did) -> Option<String> {
    let value = match did {
        Did::Audio { .. } | Did::Died { .. } => return None,
        Did::Said { event_id, text } => json!({
            "type": "agent_response",
            "agent_response_event": {"agent_response": text, "event_id": event_id},
        }),
        Did::Interrupted { event_id } => json!({
            "type": "interruption", "interruption_event": {"event_id": event_id},
        }),
        Did::Corrected {
            event_id,
            original,
            heard,
        } => json!({
            "type": "agent_response_correction",
            "agent_response_correction_event": {
                "original_agent_response": original, "corrected_agent_response": heard,
                "event_id": event_id,
            },
        }),
        Did::CallerTentative { event_id, text } => json!({
            "type": "tentative_user_transcript",
            "tentative_user_transcription_event": {"user_transcript": text, "event_id": event_id},
        }),
        Did::CallerFinal { event_id, text } => json!({
            "type": "user_transcript",
            "user_transcription_event": {"user_transcript": text, "event_id": event_id},
        }),
        Did::ToolCall {
            event_id,
            id,
            name,
            args,
        } => json!({
            "type": "client_tool_call",
            "client_tool_call": {
                "tool_name": name, "tool_call_id": id, "parameters": args, "event_id": event_id,
            },
        }),
        Did::ToolRequest { event_id, id, name } => json!({
            "type": "agent_tool_request",
            "agent_tool_request": {
                "tool_name": name, "tool_call_id": id, "tool_type": "webhook", "event_id": event_id,
            },
        }),
        Did::ToolDone {
            event_id,
            id,
            name,
            via: ToolVia::Client,
            is_error,
            ..
        } => tool_done(*event_id, id, name, "client", *is_error),
        Did::ToolDone {
            event_id,
            id,
            name,
            via: ToolVia::Webhook,
            is_error,
            result,
        } => json!({
            "type": "agent_tool_response_full_payload",
            "agent_tool_response_full_payload": {
                "tool_name": name, "tool_call_id": id, "tool_type": "webhook",
                "is_error": is_error, "is_blocked": false, "is_called": true,
                "event_id": event_id, "full_tool_result": result, "truncated": false,
            },
        }),
        Did::EndCall { event_id } => {
            tool_done(*event_id, "tc_end_call", "end_call", "system", false)
        }
    };
    Some(value.to_string())
}

fn tool_done(event_id: u64, id: &str, name: &str, kind: &str, is_error: bool) -> Value {
    json!({
        "type": "agent_tool_response",
        "agent_tool_response": {
            "tool_name": name, "tool_call_id": id, "tool_type": kind, "is_error": is_error,
            "is_called": true, "event_id": event_id,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_the_vendors_package_is_read() {
        for text in [
            r#"{"type":"conversation_initiation_client_data"}"#,
            r#"{"type":"conversation_initiation_client_data","dynamic_variables":{"lead_id":"lead_001","n":1,"b":true},"user_id":"u-1","source_info":{"source":"wallboard","version":"0.1.0"}}"#,
            r#"{"user_audio_chunk":"//8="}"#,
            r#"{"user_audio_chunk": "//8="}"#,
            r#"{"type":"pong","event_id":7}"#,
            r#"{"type":"client_tool_result","tool_call_id":"tc_1","result":"string only","is_error":false}"#,
            r#"{"type":"contextual_update","text":"Supervisor note: offer 10%","context_id":"optional"}"#,
            r#"{"type":"user_message","text":"typed text"}"#,
            r#"{"type":"user_activity"}"#,
            r#"{"type":"feedback","event_id":12,"score":"like"}"#,
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
        assert_eq!(
            read(r#"{"user_audio_chunk":"//8="}"#),
            Ok(Told::Audio(vec![255, 255]))
        );
    }

    #[test]
    fn what_the_vendors_types_would_refuse_is_refused() {
        for text in [
            "hello",
            "{}",
            r#"{"type":"pong"}"#,
            r#"{"type":"clear"}"#,
            r#"{"user_audio_chunk":"%%%"}"#,
            r#"{"user_audio_chunk":7}"#,
            r#"{"type":"client_tool_result","tool_call_id":"t","result":{"a":1},"is_error":false}"#,
            r#"{"type":"client_tool_result","tool_call_id":"t","result":"x"}"#,
            r#"{"type":"conversation_initiation_client_data","dynamic_variables":{"a":{"b":1}}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
