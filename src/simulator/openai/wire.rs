//! The vendor's messages, written as it writes them. Spec: PyPI `openai` 3.52, `types/realtime`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::told::Refusal;

/// Writes messages with rising event ids.
#[derive(Debug, Default)]
pub(super) struct Words {
    beta: bool,
    written: u64,
}

/// What a session is besides its settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    /// Seconds since 1970.
    pub(super) expires_at: i64,
}

/// Where a part of an answer belongs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) response_id: String,
    pub(super) item_id: String,
}

impl Words {
    pub(super) fn new(beta: bool) -> Self {
        Self { beta, written: 0 }
    }

    fn event(&mut self, kind: &str, more: Value) -> String {
        self.written += 1;
        let kind = if self.beta { older_name(kind) } else { kind };
        let mut event = json!({"type": kind, "event_id": format!("event_{}", self.written)});
        if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
            event.extend(more);
        }
        event.to_string()
    }

    pub(super) fn session(&mut self, kind: &str, about: &About<'_>, settled: &Value) -> String {
        let mut session = settled.clone();
        if !session.is_object() {
            session = json!({});
        }
        if let Value::Object(fields) = &mut session {
            fields.insert("id".into(), json!(about.id));
            fields.insert("object".into(), json!("realtime.session"));
            fields.insert("model".into(), json!(about.model));
            fields.insert("expires_at".into(), json!(about.expires_at));
            if !self.beta {
                fields.insert("type".into(), json!("realtime"));
            }
        }
        self.event(kind, json!({"session": session}))
    }

    pub(super) fn error(&mut self, refusal: &Refusal) -> String {
        self.event(
            "error",
            json!({"error": {
                "type": "invalid_request_error", "code": refusal.code, "message": refusal.message,
                "param": refusal.param, "event_id": refusal.event_id,
            }}),
        )
    }

    pub(super) fn speech_started(&mut self, item_id: &str, at_ms: u64) -> String {
        self.event(
            "input_audio_buffer.speech_started",
            json!({"audio_start_ms": at_ms, "item_id": item_id}),
        )
    }

    pub(super) fn speech_stopped(&mut self, item_id: &str, at_ms: u64) -> String {
        self.event(
            "input_audio_buffer.speech_stopped",
            json!({"audio_end_ms": at_ms, "item_id": item_id}),
        )
    }

    pub(super) fn committed(&mut self, item_id: &str, previous: Option<&str>) -> [String; 2] {
        let item = json!({
            "id": item_id, "object": "realtime.item", "type": "message", "role": "user",
            "status": "completed", "content": [{"type": "input_audio", "transcript": null}],
        });
        [
            self.event(
                "input_audio_buffer.committed",
                json!({"previous_item_id": previous, "item_id": item_id}),
            ),
            self.event(
                "conversation.item.added",
                json!({"previous_item_id": previous, "item": item}),
            ),
        ]
    }

    pub(super) fn transcribed(&mut self, item_id: &str, text: &str) -> [String; 2] {
        let tokens = text.split_whitespace().count();
        [
            self.event(
                "conversation.item.input_audio_transcription.delta",
                json!({"item_id": item_id, "content_index": 0, "delta": text}),
            ),
            self.event(
                "conversation.item.input_audio_transcription.completed",
                json!({"item_id": item_id, "content_index": 0, "transcript": text, "usage": {
                    "type": "tokens", "total_tokens": tokens * 3, "input_tokens": tokens * 2,
                    "output_tokens": tokens,
                    "input_token_details": {"audio_tokens": tokens * 2, "text_tokens": 0},
                }}),
            ),
        ]
    }

    pub(super) fn truncated(&mut self, item_id: &str, audio_end_ms: u64) -> String {
        self.event(
            "conversation.item.truncated",
            json!({"item_id": item_id, "content_index": 0, "audio_end_ms": audio_end_ms}),
        )
    }

    pub(super) fn item_added(&mut self, item: &Value) -> String {
        self.event(
            "conversation.item.added",
            json!({"previous_item_id": null, "item": item}),
        )
    }

    pub(super) fn response_created(&mut self, id: &str) -> String {
        self.event(
            "response.created",
            json!({"response": {
                "id": id, "object": "realtime.response", "status": "in_progress", "output": [],
            }}),
        )
    }

    /// The first messages of what will be spoken.
    pub(super) fn speech_begins(&mut self, place: &Place) -> [String; 3] {
        let item = self.message(place, "in_progress", None);
        [
            self.output_item("response.output_item.added", place, &item),
            self.item_added(&item),
            self.event(
                "response.content_part.added",
                part(place, json!({"part": {"type": "audio", "transcript": ""}})),
            ),
        ]
    }

    pub(super) fn words(&mut self, place: &Place, delta: &str) -> String {
        self.event(
            "response.output_audio_transcript.delta",
            part(place, json!({"delta": delta})),
        )
    }

    pub(super) fn audio(&mut self, place: &Place, audio: &[u8]) -> String {
        self.event(
            "response.output_audio.delta",
            part(place, json!({"delta": STANDARD.encode(audio)})),
        )
    }

    /// The last messages of what was spoken, whole or cut.
    pub(super) fn speech_ends(&mut self, place: &Place, text: &str, status: &str) -> [String; 5] {
        let item = self.message(place, status, Some(text));
        [
            self.event("response.output_audio.done", part(place, json!({}))),
            self.event(
                "response.output_audio_transcript.done",
                part(place, json!({"transcript": text})),
            ),
            self.event(
                "response.content_part.done",
                part(
                    place,
                    json!({"part": {"type": "audio", "transcript": text}}),
                ),
            ),
            self.output_item("response.output_item.done", place, &item),
            self.event(
                "conversation.item.done",
                json!({"previous_item_id": null, "item": item}),
            ),
        ]
    }

    pub(super) fn function_call(
        &mut self,
        place: &Place,
        call_id: &str,
        name: &str,
        args: &str,
    ) -> [String; 4] {
        let item = |status: &str, arguments: &str| {
            json!({
                "id": place.item_id, "object": "realtime.item", "type": "function_call",
                "status": status, "name": name, "call_id": call_id, "arguments": arguments,
            })
        };
        let about = json!({
            "response_id": place.response_id, "item_id": place.item_id, "output_index": 0,
            "call_id": call_id,
        });
        let with = |name: &str, value: &str| {
            let mut about = about.clone();
            if let Value::Object(fields) = &mut about {
                fields.insert(name.to_owned(), json!(value));
            }
            about
        };
        let mut done = with("arguments", args);
        if let Value::Object(fields) = &mut done {
            fields.insert("name".to_owned(), json!(name));
        }
        [
            self.output_item(
                "response.output_item.added",
                place,
                &item("in_progress", ""),
            ),
            self.event(
                "response.function_call_arguments.delta",
                with("delta", args),
            ),
            self.event("response.function_call_arguments.done", done),
            self.output_item("response.output_item.done", place, &item("completed", args)),
        ]
    }

    /// `status`: `completed`, `cancelled` or `failed`; `spoken_ms` for the bill.
    pub(super) fn response_done(&mut self, id: &str, status: &str, spoken_ms: u64) -> [String; 2] {
        let details = match status {
            "cancelled" => json!({"type": "cancelled", "reason": "turn_detected"}),
            "failed" => json!({"type": "failed", "error": {
                "type": "server_error", "code": "server_error", "message": "The server had an error",
            }}),
            _ => Value::Null,
        };
        let (text_out, audio_out) = (spoken_ms / 250, spoken_ms / 50);
        let done = self.event(
            "response.done",
            json!({"response": {
                "id": id, "object": "realtime.response", "status": status,
                "status_details": details, "conversation_id": "conv_1", "output": [],
                "usage": {
                    "total_tokens": 420 + text_out + audio_out, "input_tokens": 420,
                    "output_tokens": text_out + audio_out,
                    "input_token_details": {"text_tokens": 320, "audio_tokens": 100,
                        "image_tokens": 0, "cached_tokens": 256, "cached_tokens_details":
                            {"text_tokens": 256, "audio_tokens": 0, "image_tokens": 0}},
                    "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
                },
            }}),
        );
        let limits = self.event(
            "rate_limits.updated",
            json!({"rate_limits": [
                {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60.0},
                {"name": "tokens", "limit": 200_000, "remaining": 180_000, "reset_seconds": 6.0},
            ]}),
        );
        [done, limits]
    }

    fn message(&self, place: &Place, status: &str, text: Option<&str>) -> Value {
        let kind = if self.beta { "audio" } else { "output_audio" };
        let content = text.map_or_else(
            || json!([]),
            |text| json!([{"type": kind, "transcript": text}]),
        );
        json!({
            "id": place.item_id, "object": "realtime.item", "type": "message",
            "role": "assistant", "status": status, "content": content,
        })
    }

    fn output_item(&mut self, kind: &str, place: &Place, item: &Value) -> String {
        self.event(
            kind,
            json!({"response_id": place.response_id, "output_index": 0, "item": item}),
        )
    }
}

/// A message about the only part of the only item of an answer.
fn part(place: &Place, more: Value) -> Value {
    let mut part = json!({
        "response_id": place.response_id, "item_id": place.item_id, "output_index": 0,
        "content_index": 0,
    });
    if let (Value::Object(part), Value::Object(more)) = (&mut part, more) {
        part.extend(more);
    }
    part
}

fn older_name(kind: &str) -> &str {
    match kind {
        "response.output_audio.delta" => "response.audio.delta",
        "response.output_audio.done" => "response.audio.done",
        "response.output_audio_transcript.delta" => "response.audio_transcript.delta",
        "response.output_audio_transcript.done" => "response.audio_transcript.done",
        "conversation.item.added" => "conversation.item.created",
        kind => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every message this file can write, checked against the vendor's types by `tests/interop`.
    #[test]
    fn every_message_stands_in_the_fixture() {
        let mut words = Words::new(false);
        let place = Place {
            response_id: "resp_1".into(),
            item_id: "item_a".into(),
        };
        let refusal = Refusal {
            code: "invalid_value",
            message: "Invalid value".into(),
            param: Some("session.voice".into()),
            event_id: Some("e1".into()),
        };
        let about = About {
            id: "sess_1",
            model: "gpt-realtime-2.1",
            expires_at: 1_795_222_800,
        };
        let mut lines = vec![
            words.session("session.created", &about, &Value::Null),
            words.session(
                "session.updated",
                &about,
                &json!({"type": "realtime", "instructions": "x"}),
            ),
            words.error(&refusal),
            words.speech_started("item_c", 1_200),
            words.speech_stopped("item_c", 2_900),
        ];
        lines.extend(words.committed("item_c", None));
        lines.extend(words.transcribed("item_c", "hello there"));
        lines.push(words.response_created("resp_1"));
        lines.extend(words.speech_begins(&place));
        lines.push(words.words(&place, "Hel"));
        lines.push(words.audio(&place, &[0xff; 5]));
        lines.extend(words.speech_ends(&place, "Hello", "completed"));
        lines.extend(words.function_call(&place, "call_1", "transfer_call", "{}"));
        for status in ["completed", "cancelled", "failed"] {
            lines.extend(words.response_done("resp_1", status, 1_000));
        }
        lines.push(words.truncated("item_a", 460));
        let fixture = include_str!("../../../tests/fixtures/openai/simulated.jsonl");
        let known: Vec<&str> = fixture.lines().collect();
        assert_eq!(
            known,
            lines,
            "write them to the fixture:\n{}",
            lines.join("\n")
        );
    }
}
