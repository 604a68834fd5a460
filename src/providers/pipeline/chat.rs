//! The language model: what it is asked, and its answer as it is written.
//! Spec: OpenAI API reference, "Create chat completion", "Streaming" (2026-11).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::providers::tools::Tool;

/// Calls in one answer; a model in a loop asks for no more.
const CALLS_MAX: usize = 8;
/// Arguments of one call, bytes.
const ARGS_MAX: usize = 16 * 1024;

/// One piece of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Delta {
    pub(super) words: String,
    pub(super) calls: Vec<CallPiece>,
    /// Tokens read and written, told once at the end by servers that count.
    pub(super) tokens: Option<(u64, u64)>,
}

/// A part of a tool call; id and name come with the first one only.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CallPiece {
    index: u64,
    id: Option<String>,
    name: Option<String>,
    args: String,
}

/// A tool the model wants used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ToolUse {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) args: String,
}

/// The calls of one answer, put together from their pieces.
#[derive(Debug, Default)]
pub(super) struct ToolUses(BTreeMap<u64, ToolUse>);

impl ToolUses {
    pub(super) fn push(&mut self, piece: CallPiece) {
        if self.0.len() >= CALLS_MAX && !self.0.contains_key(&piece.index) {
            return;
        }
        let index = piece.index;
        let call = self.0.entry(index).or_default();
        if let Some(id) = piece.id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        if let Some(name) = piece.name.filter(|name| !name.is_empty()) {
            call.name = name;
        }
        if call.args.len() + piece.args.len() <= ARGS_MAX {
            call.args.push_str(&piece.args);
        }
    }

    /// The calls, in order. Servers that give no id get one, because the answer must name it.
    pub(super) fn take(&mut self, answer: u64) -> Vec<ToolUse> {
        let calls = std::mem::take(&mut self.0);
        calls
            .into_iter()
            .filter(|(_, call)| !call.name.is_empty())
            .map(|(index, mut call)| {
                if call.id.is_empty() {
                    call.id = format!("call_{answer}_{index}");
                }
                call
            })
            .collect()
    }
}

/// Reads the data of one event; `None` at the end of the answer.
///
/// # Errors
/// What the server says went wrong, or that it is not understood.
pub(super) fn read_delta(data: &str) -> Result<Option<Delta>, String> {
    if data.trim() == "[DONE]" {
        return Ok(None);
    }
    let event: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
    if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
        let message = error.get("message").or(Some(error));
        let text = message.and_then(Value::as_str).unwrap_or("an error");
        return Err(text.chars().take(200).collect());
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let mut delta = Delta::default();
    if let Some(piece) = event.pointer("/choices/0/delta") {
        delta.words = text(piece.get("content")).unwrap_or_default();
        let calls = piece.get("tool_calls").and_then(Value::as_array);
        for (place, call) in calls.into_iter().flatten().enumerate() {
            delta.calls.push(CallPiece {
                index: call
                    .get("index")
                    .and_then(Value::as_u64)
                    .unwrap_or(place as u64),
                id: text(call.get("id")),
                name: text(call.pointer("/function/name")),
                args: text(call.pointer("/function/arguments")).unwrap_or_default(),
            });
        }
    }
    let count = |name: &str| {
        event
            .pointer(&format!("/usage/{name}"))
            .and_then(Value::as_u64)
    };
    if let (Some(read), Some(written)) = (count("prompt_tokens"), count("completion_tokens")) {
        delta.tokens = Some((read, written));
    }
    Ok(Some(delta))
}

/// The request for an answer.
pub(super) fn request(model: Option<&str>, messages: Vec<Value>, tools: &[Tool]) -> Value {
    let mut body = json!({
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    if let Value::Object(body) = &mut body {
        if let Some(model) = model {
            body.insert("model".into(), json!(model));
        }
        if !tools.is_empty() {
            let tools = tools.iter().map(|tool| {
                json!({"type": "function", "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                }})
            });
            body.insert("tools".into(), tools.collect());
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(data: &str) -> Delta {
        read_delta(data).unwrap().unwrap()
    }

    #[test]
    fn words_and_counts_are_read_from_all_kinds_of_servers() {
        let rows = [
            (
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}"#,
                "Hel",
                None,
            ),
            (r#"{"choices":[{"delta":{"content":null}}]}"#, "", None),
            (
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
                "",
                None,
            ),
            (
                r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}"#,
                "",
                Some((12, 3)),
            ),
            (r#"{"usage":null}"#, "", None),
        ];
        for (data, words, tokens) in rows {
            let delta = delta(data);
            assert_eq!(
                (delta.words.as_str(), delta.tokens),
                (words, tokens),
                "{data}"
            );
        }
        assert_eq!(read_delta("[DONE]"), Ok(None));
        assert_eq!(
            read_delta(r#"{"error":{"message":"no such model"}}"#),
            Err("no such model".into())
        );
        assert!(read_delta("<html>").is_err());
    }

    #[test]
    fn calls_are_put_together_by_their_place() {
        let mut uses = ToolUses::default();
        for data in [
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"lookup","arguments":""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"order\":"}},{"index":1,"function":{"name":"end_call","arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"7}"}}]}}]}"#,
        ] {
            for piece in delta(data).calls {
                uses.push(piece);
            }
        }
        let calls = uses.take(4);
        let seen: Vec<_> = calls
            .iter()
            .map(|call| (call.id.as_str(), call.name.as_str(), call.args.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("call_1", "lookup", r#"{"order":7}"#),
                ("call_4_1", "end_call", "{}")
            ]
        );
    }

    #[test]
    fn a_model_in_a_loop_is_bounded() {
        let mut uses = ToolUses::default();
        for index in 0..100 {
            for _ in 0..4 {
                uses.push(CallPiece {
                    index,
                    name: Some("x".into()),
                    args: "y".repeat(ARGS_MAX / 2),
                    ..CallPiece::default()
                });
            }
        }
        let calls = uses.take(1);
        assert_eq!(calls.len(), CALLS_MAX);
        assert!(calls.iter().all(|call| call.args.len() <= ARGS_MAX));
    }

    #[test]
    fn tools_are_declared_only_if_there_are_any() {
        let body = request(Some("m"), vec![], &[]);
        assert!(body.get("tools").is_none() && body["stream"] == true);
        let body = request(None, vec![], &[Tool::end_call()]);
        assert_eq!(body["tools"][0]["function"]["name"], "end_call");
        assert!(body.get("model").is_none());
    }
}
