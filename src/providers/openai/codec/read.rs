//! The vendor's messages, one by one.

use serde_json::Value;

use crate::bridge::AgentIn;

use super::super::END_CALL;
use super::super::pricing::{cost_usd, response_usage, transcription_usage};
use super::super::queue::REQUEST_PREFIX;
use super::super::setup::{BEGIN_ID, formats};
use super::{CALLS_MAX, LATE_PREFIX, OpenAiCodec};

/// The caller was heard, but nobody wrote down what.
const UNWRITTEN: &str = "…";
/// A limit of which so little is left is told, percent.
const LIMIT_LOW_PCT: f64 = 2.0;

impl OpenAiCodec {
    pub(super) fn read(&mut self, kind: &str, message: &Value, said: &mut Vec<AgentIn>) {
        match kind {
            "session.created" => {
                self.conversation = text(message, "/session/id");
                self.expiry(message);
            }
            "session.updated" => self.session_updated(message, said),
            "input_audio_buffer.speech_started" => {
                self.items.get(&text(message, "/item_id"), "");
                if self.settings.interrupts && !self.hushed {
                    self.answers.interrupted();
                }
                said.push(AgentIn::CallerSpeechStarted);
            }
            "input_audio_buffer.speech_stopped" => said.push(AgentIn::CallerSpeechStopped),
            "input_audio_buffer.committed" => self.caller_taken(message, said),
            "conversation.item.input_audio_transcription.delta" => {
                self.caller_wrote(message, said);
            }
            "conversation.item.input_audio_transcription.completed" => {
                self.caller_written(&text(message, "/transcript"), message, said);
            }
            "conversation.item.input_audio_transcription.failed" => {
                let error = message.get("error").unwrap_or(&Value::Null);
                said.push(trouble(error, "transcription_failed"));
                self.caller_written("", message, said);
            }
            "response.created" => self.answers.began(&text(message, "/response/id")),
            "response.output_item.added" => self.item_begun(message, said),
            "response.output_audio_transcript.delta"
            | "response.audio_transcript.delta"
            | "response.output_text.delta"
            | "response.text.delta" => self.agent_wrote(message, said),
            "response.output_audio_transcript.done" | "response.audio_transcript.done" => {
                self.agent_written(message, "/transcript", said);
            }
            "response.output_text.done" | "response.text.done" => {
                self.agent_written(message, "/text", said);
            }
            "response.function_call_arguments.done" => self.function_call(message, said),
            "response.output_item.done" => {
                let item = message.get("item").unwrap_or(&Value::Null);
                if item.get("type").and_then(Value::as_str) == Some("function_call") {
                    self.function_call(item, said);
                }
            }
            "response.done" => self.answer_done(message, said),
            "rate_limits.updated" => self.limits(message, said),
            "error" => self.error(message.get("error").unwrap_or(&Value::Null), said),
            other if is_idle_talk(other) => {}
            other => said.push(AgentIn::Unknown {
                kind: other.chars().take(60).collect(),
            }),
        }
    }

    /// Our settings are in force: now the conversation may begin.
    fn session_updated(&mut self, message: &Value, said: &mut Vec<AgentIn>) {
        if !self.begun || std::mem::replace(&mut self.opened, true) {
            return;
        }
        self.expiry(message);
        let session = message.get("session").unwrap_or(&Value::Null);
        let id = text(session, "/id");
        if !id.is_empty() {
            self.conversation = id;
        }
        let (takes, gives) = match formats(session) {
            Ok(formats) => formats,
            Err(word) => {
                said.push(AgentIn::Refused {
                    reason: format!("the agent uses the audio format {word}"),
                });
                return;
            }
        };
        self.gives = gives;
        said.push(AgentIn::Ready {
            conversation_id: self.conversation.clone(),
            takes,
            gives,
        });
        if let Some(max) = self.lasts() {
            said.push(AgentIn::Lasts { max });
        }
        if let Some(answer) = self.greeting.answer() {
            self.answers.want(answer);
        }
    }

    fn expiry(&mut self, message: &Value) {
        let told = message.pointer("/session/expires_at");
        self.expires_at = told.and_then(Value::as_i64).or(self.expires_at);
    }

    /// The caller's turn has its place in the conversation; its text comes when it comes.
    fn caller_taken(&mut self, message: &Value, said: &mut Vec<AgentIn>) {
        if self.settings.transcription_model.is_none() {
            return;
        }
        let item = self.items.get(&text(message, "/item_id"), "");
        if item.text.is_empty() && !item.told {
            said.push(AgentIn::CallerText {
                utterance: item.number,
                text: UNWRITTEN.to_owned(),
                interim: true,
            });
        }
    }

    fn caller_wrote(&mut self, message: &Value, said: &mut Vec<AgentIn>) {
        let item = self.items.get(&text(message, "/item_id"), "");
        item.write(&text(message, "/delta"));
        if !item.told && !item.text.trim().is_empty() {
            said.push(AgentIn::CallerText {
                utterance: item.number,
                text: item.text.trim().to_owned(),
                interim: true,
            });
        }
    }

    fn caller_written(&mut self, words: &str, message: &Value, said: &mut Vec<AgentIn>) {
        let item = self.items.get(&text(message, "/item_id"), "");
        item.told = true;
        let words = match words.trim() {
            "" => UNWRITTEN,
            words => words,
        };
        said.push(AgentIn::CallerText {
            utterance: item.number,
            text: words.to_owned(),
            interim: false,
        });
        if let Some(usage) = message.get("usage") {
            self.used(transcription_usage(usage), said);
        }
    }

    /// Numbers what the agent will say before any of it comes.
    fn item_begun(&mut self, message: &Value, said: &mut Vec<AgentIn>) {
        let item = message.get("item").unwrap_or(&Value::Null);
        let id = text(item, "/id");
        if item.get("type").and_then(Value::as_str) == Some("message") && !id.is_empty() {
            let response = text(message, "/response_id");
            let utterance = self.items.get(&id, &response).number;
            if self.answers.is_given(&response) {
                said.push(AgentIn::Given { utterance });
            }
        }
    }

    fn agent_wrote(&mut self, message: &Value, said: &mut Vec<AgentIn>) {
        let response = text(message, "/response_id");
        let is_void = self.answers.is_void(&response);
        let item = self.items.get(&text(message, "/item_id"), &response);
        item.write(&text(message, "/delta"));
        if !is_void && !item.told && !item.text.trim().is_empty() {
            said.push(AgentIn::AgentText {
                utterance: item.number,
                text: item.text.trim().to_owned(),
                interim: true,
            });
        }
    }

    fn agent_written(&mut self, message: &Value, field: &str, said: &mut Vec<AgentIn>) {
        let response = text(message, "/response_id");
        let item = self.items.get(&text(message, "/item_id"), &response);
        let whole = text(message, field);
        if !whole.trim().is_empty() {
            item.text.clear();
            item.write(&whole);
        }
        said.extend(last_words(item));
    }

    /// Whichever of the two messages about a call comes first counts.
    fn function_call(&mut self, item: &Value, said: &mut Vec<AgentIn>) {
        let (call_id, name) = (text(item, "/call_id"), text(item, "/name"));
        if call_id.is_empty() || name.is_empty() || self.calls.contains(&call_id) {
            return;
        }
        if self.calls.len() == CALLS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(call_id.clone());
        let args = match text(item, "/arguments") {
            args if args.trim().is_empty() => "{}".to_owned(),
            args => args,
        };
        if name == END_CALL {
            said.push(AgentIn::ToolNews {
                tool_call_id: call_id,
                name,
                ok: Some(true),
                result: Some(String::new()),
            });
            said.push(AgentIn::HangUp {
                reason: "the agent ended the call".to_owned(),
            });
            return;
        }
        said.push(AgentIn::ToolCall {
            tool_call_id: call_id,
            name,
            args,
        });
    }

    fn answer_done(&mut self, message: &Value, said: &mut Vec<AgentIn>) {
        let response = message.get("response").unwrap_or(&Value::Null);
        let id = text(response, "/id");
        for item in self.items.of_response(&id) {
            said.extend(last_words(item));
        }
        self.answers.ended(&id);
        let details = response.get("status_details").unwrap_or(&Value::Null);
        match response.get("status").and_then(Value::as_str) {
            Some("failed") => {
                let error = details.get("error").unwrap_or(&Value::Null);
                said.push(trouble(error, "response_failed"));
                // Once: the caller waits for this answer. A vendor in trouble is not pressed.
                if !self.hushed && !std::mem::replace(&mut self.retried, true) {
                    self.answers.want(Value::Null);
                }
            }
            Some("incomplete") => {
                let reason = text(details, "/reason");
                said.push(AgentIn::Trouble {
                    code: "response_incomplete".to_owned(),
                    message: match reason.as_str() {
                        "max_output_tokens" => "the answer was cut: it grew too long".to_owned(),
                        "content_filter" => "the answer was cut by the content filter".to_owned(),
                        reason => format!("the answer was cut: {reason}"),
                    },
                });
            }
            _ => self.retried = false,
        }
        if let Some(usage) = response.get("usage").filter(|usage| usage.is_object()) {
            self.used(response_usage(usage), said);
        }
    }

    fn used(&mut self, usage: crate::bridge::Usage, said: &mut Vec<AgentIn>) {
        let usd = self
            .settings
            .prices
            .as_ref()
            .map(|prices| cost_usd(&usage, prices));
        said.push(AgentIn::Usage { usage, usd });
    }

    fn limits(&mut self, message: &Value, said: &mut Vec<AgentIn>) {
        let none = Vec::new();
        let limits = message
            .get("rate_limits")
            .and_then(Value::as_array)
            .unwrap_or(&none);
        let low = limits.iter().find_map(|limit| {
            let of = |name: &str| limit.get(name).and_then(Value::as_f64);
            let (all, left) = (of("limit")?, of("remaining")?);
            (all > 0.0 && left / all * 100.0 < LIMIT_LOW_PCT).then(|| text(limit, "/name"))
        });
        let was_told = std::mem::replace(&mut self.limit_told, low.is_some());
        if let Some(name) = low.filter(|_| !was_told) {
            said.push(AgentIn::Trouble {
                code: "rate_limit".to_owned(),
                message: format!("the vendor's limit of {name} is nearly used up"),
            });
        }
    }

    /// Most errors leave the conversation standing; some end it before it begins, some only say
    /// that we were late.
    fn error(&mut self, error: &Value, said: &mut Vec<AgentIn>) {
        let (code, about) = (text(error, "/code"), text(error, "/event_id"));
        if about.starts_with(LATE_PREFIX) || code == "response_cancel_not_active" {
            return;
        }
        if code == "conversation_already_has_active_response" {
            self.answers.came_too_early();
            return;
        }
        if about.starts_with(REQUEST_PREFIX) {
            self.answers.refused();
        }
        let lost = matches!(
            code.as_str(),
            "insufficient_quota"
                | "invalid_api_key"
                | "model_not_found"
                | "beta_api_shape_disabled"
                | "account_deactivated"
        );
        if lost || (about == BEGIN_ID && !self.opened) {
            let message = text(error, "/message");
            let reason = match (code.as_str(), message.is_empty()) {
                ("beta_api_shape_disabled", _) => {
                    "the vendor no longer speaks this dialect: set openai.dialect = \"ga\"".into()
                }
                (_, false) => message,
                (code, true) => format!("the vendor refused: {code}"),
            };
            said.push(AgentIn::Refused { reason });
            return;
        }
        if code == "session_expired" {
            said.push(AgentIn::Trouble {
                code,
                message: "the vendor's limit of one conversation is reached; it goes on in a new \
                          one"
                .to_owned(),
            });
            return;
        }
        said.push(trouble(error, "error"));
    }
}

/// The final text of what the agent said, once.
fn last_words(item: &mut super::super::items::Item) -> Option<AgentIn> {
    let words = item.text.trim();
    if item.told || words.is_empty() {
        return None;
    }
    let said = AgentIn::AgentText {
        utterance: item.number,
        text: words.to_owned(),
        interim: false,
    };
    item.told = true;
    Some(said)
}

/// Known messages that carry nothing the bridge acts on.
fn is_idle_talk(kind: &str) -> bool {
    matches!(
        kind,
        "conversation.created"
            | "conversation.item.created"
            | "conversation.item.added"
            | "conversation.item.done"
            | "conversation.item.retrieved"
            | "conversation.item.truncated"
            | "conversation.item.deleted"
            | "conversation.item.input_audio_transcription.segment"
            | "input_audio_buffer.cleared"
            | "input_audio_buffer.timeout_triggered"
            | "response.content_part.added"
            | "response.content_part.done"
            | "response.output_audio.done"
            | "response.audio.done"
            | "response.function_call_arguments.delta"
    )
}

/// `code`, else `type`, with the vendor's own words.
fn trouble(error: &Value, otherwise: &str) -> AgentIn {
    let word = ["/code", "/type"]
        .into_iter()
        .map(|field| text(error, field))
        .find(|word| !word.is_empty());
    let message = text(error, "/message");
    AgentIn::Trouble {
        code: word.unwrap_or_else(|| otherwise.to_owned()),
        message: if message.is_empty() {
            "the vendor gave no reason".to_owned()
        } else {
            message
        },
    }
}

/// A text field; anything else is empty.
fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
