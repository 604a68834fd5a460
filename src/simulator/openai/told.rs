//! What a client may say, read as strictly as the vendor reads it: an unknown message, field, voice
//! or format is refused with the vendor's own error. Spec: PyPI `openai` 3.52, `types/realtime`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A message of a client.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Session(Box<Settings>),
    /// Turn detection alone: whether the caller is answered, and interrupts.
    Turns {
        answers: bool,
        interrupts: bool,
    },
    Audio(Vec<u8>),
    /// Something said into the conversation: by the system, or typed for the caller.
    Text {
        role: String,
        text: String,
    },
    ToolOutput {
        call_id: String,
        output: String,
    },
    Truncate {
        item_id: String,
        audio_end_ms: u64,
    },
    Create {
        instructions: Option<String>,
    },
    Cancel {
        response_id: Option<String>,
    },
    Other,
}

/// What a client settled.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings {
    pub(super) instructions: String,
    pub(super) interrupts: bool,
    /// Answers are made only when asked for.
    pub(super) hushed: bool,
    pub(super) transcribes: bool,
    pub(super) tools: Vec<String>,
    /// As it came, to be confirmed.
    pub(super) session: Value,
}

/// The vendor's refusal of one message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) param: Option<String>,
    /// Id the client gave its message.
    pub(super) event_id: Option<String>,
}

const VOICES: [&str; 10] = [
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
];

/// # Errors
/// The error the vendor answers with.
pub(super) fn read(text: &str, beta: bool) -> Result<Told, Refusal> {
    // By far the most frequent.
    if let Some(rest) = text.strip_prefix(r#"{"type":"input_audio_buffer.append","audio":""#)
        && let Some(payload) = rest.strip_suffix(r#""}"#)
    {
        return audio(payload).map_err(|error| error.of(&Value::Null));
    }
    let message: Value = serde_json::from_str(text).map_err(|_| {
        let error = Wrong::new("invalid_json", "the message is no JSON");
        error.of(&Value::Null)
    })?;
    understand(&message, beta).map_err(|error| error.of(&message))
}

/// What is wrong, without the message's id.
struct Wrong {
    code: &'static str,
    message: String,
    param: Option<String>,
}

impl Wrong {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
        }
    }

    fn at(code: &'static str, param: &str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.to_owned()),
            ..Self::new(code, message)
        }
    }

    fn of(self, message: &Value) -> Refusal {
        let event_id = message.get("event_id").and_then(Value::as_str);
        Refusal {
            code: self.code,
            message: self.message,
            param: self.param,
            event_id: event_id.map(str::to_owned),
        }
    }
}

fn understand(message: &Value, beta: bool) -> Result<Told, Wrong> {
    let kind = message.get("type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| Wrong::at("missing_required_parameter", "type", "no type"))?;
    let more: &[&str] = match kind {
        "session.update" => &["session"],
        "input_audio_buffer.append" => &["audio"],
        "input_audio_buffer.commit" | "input_audio_buffer.clear" => &[],
        "conversation.item.create" => &["item", "previous_item_id"],
        "conversation.item.truncate" => &["item_id", "content_index", "audio_end_ms"],
        "conversation.item.delete" | "conversation.item.retrieve" => &["item_id"],
        "response.create" => &["response"],
        "response.cancel" => &["response_id"],
        other => {
            return Err(Wrong::at(
                "invalid_value",
                "type",
                format!("type {other:?}"),
            ));
        }
    };
    only(message, "", &[&["type", "event_id"], more].concat())?;
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    let need = |name: &str| {
        text(name).ok_or_else(|| Wrong::at("missing_required_parameter", name, "is missing"))
    };
    Ok(match kind {
        "session.update" => {
            let session = message.get("session").unwrap_or(&Value::Null);
            if let Some(turns) = turns_alone(session, beta) {
                return turns;
            }
            Told::Session(Box::new(if beta {
                older(session)?
            } else {
                present(session)?
            }))
        }
        "input_audio_buffer.append" => audio(need("audio")?)?,
        "conversation.item.create" => item(message.get("item").unwrap_or(&Value::Null))?,
        "conversation.item.truncate" => {
            let index = message.get("content_index").and_then(Value::as_u64);
            index.ok_or_else(|| Wrong::at("invalid_type", "content_index", "no integer"))?;
            let ms = message.get("audio_end_ms").and_then(Value::as_u64);
            Told::Truncate {
                item_id: need("item_id")?.to_owned(),
                audio_end_ms: ms
                    .ok_or_else(|| Wrong::at("invalid_type", "audio_end_ms", "no integer"))?,
            }
        }
        "response.create" => {
            let response = message.get("response").unwrap_or(&Value::Null);
            const KNOWN: [&str; 11] = [
                "audio",
                "conversation",
                "input",
                "instructions",
                "max_output_tokens",
                "metadata",
                "output_modalities",
                "parallel_tool_calls",
                "reasoning",
                "tool_choice",
                "tools",
            ];
            only(response, "response", &KNOWN)?;
            let instructions = response.get("instructions").and_then(Value::as_str);
            Told::Create {
                instructions: instructions.map(str::to_owned),
            }
        }
        "response.cancel" => Told::Cancel {
            response_id: text("response_id").map(str::to_owned),
        },
        _ => Told::Other,
    })
}

/// An update of a settled session that changes turn detection and repeats nothing but its input.
fn turns_alone(session: &Value, beta: bool) -> Option<Result<Told, Wrong>> {
    let at = if beta {
        "/turn_detection"
    } else {
        "/audio/input/turn_detection"
    };
    let turns = session.pointer(at)?;
    let settles = ["instructions", "model", "voice", "modalities"];
    let settles_sound = session.pointer("/audio/output").is_some();
    if settles_sound || settles.iter().any(|key| session.get(key).is_some()) {
        return None;
    }
    let known = || {
        if beta {
            return only(session, "session", &["turn_detection"]);
        }
        expect(session, "/type", &["realtime"])?;
        expect(session, "/audio/input/format/type", &["audio/pcmu"])?;
        only(session, "session", &["type", "audio"])
    };
    let answers = turns.get("create_response").and_then(Value::as_bool);
    Some(
        known()
            .and_then(|()| turn_detection(turns))
            .map(|interrupts| Told::Turns {
                answers: answers.unwrap_or(true),
                interrupts,
            }),
    )
}

fn audio(payload: &str) -> Result<Told, Wrong> {
    STANDARD
        .decode(payload)
        .map(Told::Audio)
        .map_err(|_| Wrong::at("invalid_value", "audio", "audio is no base64"))
}

fn only(value: &Value, path: &str, known: &[&str]) -> Result<(), Wrong> {
    let unknown = value
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, _)| !known.contains(&key.as_str()));
    match unknown {
        Some((key, _)) => {
            let param = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            Err(Wrong::at(
                "unknown_parameter",
                &param,
                format!("Unknown parameter: '{param}'."),
            ))
        }
        None => Ok(()),
    }
}

fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn expect(value: &Value, pointer: &str, words: &[&str]) -> Result<(), Wrong> {
    let word = text_at(value, pointer);
    if words.contains(&word) {
        return Ok(());
    }
    let param = format!("session{}", pointer.replace('/', "."));
    Err(Wrong::at(
        "invalid_value",
        &param,
        format!("Invalid value: '{word}'. Supported values are: {words:?}."),
    ))
}

/// The present dialect, as a telephone bridge uses it.
fn present(session: &Value) -> Result<Settings, Wrong> {
    const KNOWN: [&str; 14] = [
        "type",
        "model",
        "output_modalities",
        "instructions",
        "max_output_tokens",
        "audio",
        "tools",
        "tool_choice",
        "tracing",
        "truncation",
        "reasoning",
        "parallel_tool_calls",
        "prompt",
        "include",
    ];
    if session.get("type").is_none() {
        return Err(Wrong::at(
            "missing_required_parameter",
            "session.type",
            "Missing required parameter: 'session.type'.",
        ));
    }
    expect(session, "/type", &["realtime"])?;
    only(session, "session", &KNOWN)?;
    let at = |pointer: &str| session.pointer(pointer).unwrap_or(&Value::Null);
    only(at("/audio"), "session.audio", &["input", "output"])?;
    only(
        at("/audio/input"),
        "session.audio.input",
        &[
            "format",
            "noise_reduction",
            "transcription",
            "turn_detection",
        ],
    )?;
    only(
        at("/audio/output"),
        "session.audio.output",
        &["format", "voice", "speed"],
    )?;
    only(
        at("/audio/input/transcription"),
        "session.audio.input.transcription",
        &[
            "model",
            "language",
            "languages",
            "prompt",
            "keywords",
            "delay",
        ],
    )?;
    let modalities = at("/output_modalities");
    if modalities != &Value::Null && modalities != &serde_json::json!(["audio"]) {
        return Err(Wrong::at(
            "invalid_value",
            "session.output_modalities",
            "only [\"audio\"] is simulated",
        ));
    }
    for leg in ["input", "output"] {
        expect(
            session,
            &format!("/audio/{leg}/format/type"),
            &["audio/pcmu"],
        )?;
    }
    expect(session, "/audio/output/voice", &VOICES)?;
    Ok(Settings {
        instructions: text_at(session, "/instructions").to_owned(),
        interrupts: turn_detection(at("/audio/input/turn_detection"))?,
        hushed: false,
        transcribes: at("/audio/input/transcription").is_object(),
        tools: tools(session)?,
        session: session.clone(),
    })
}

/// The dialect before.
fn older(session: &Value) -> Result<Settings, Wrong> {
    const KNOWN: [&str; 12] = [
        "modalities",
        "instructions",
        "voice",
        "input_audio_format",
        "output_audio_format",
        "input_audio_transcription",
        "turn_detection",
        "tools",
        "tool_choice",
        "temperature",
        "max_response_output_tokens",
        "speed",
    ];
    only(session, "session", &KNOWN)?;
    for leg in ["input", "output"] {
        expect(session, &format!("/{leg}_audio_format"), &["g711_ulaw"])?;
    }
    expect(session, "/voice", &VOICES)?;
    let at = |name: &str| session.get(name).unwrap_or(&Value::Null);
    Ok(Settings {
        instructions: text_at(session, "/instructions").to_owned(),
        interrupts: turn_detection(at("turn_detection"))?,
        hushed: false,
        transcribes: at("input_audio_transcription").is_object(),
        tools: tools(session)?,
        session: session.clone(),
    })
}

/// Whether speech interrupts the answer.
fn turn_detection(value: &Value) -> Result<bool, Wrong> {
    let known: &[&str] = match text_at(value, "/type") {
        "server_vad" => &[
            "type",
            "threshold",
            "prefix_padding_ms",
            "silence_duration_ms",
            "create_response",
            "interrupt_response",
            "idle_timeout_ms",
        ],
        "semantic_vad" => &["type", "eagerness", "create_response", "interrupt_response"],
        other => {
            return Err(Wrong::at(
                "invalid_value",
                "session.audio.input.turn_detection.type",
                format!("turn detection {other:?} is not simulated"),
            ));
        }
    };
    only(value, "session.audio.input.turn_detection", known)?;
    let threshold = value.get("threshold").map_or(Some(0.5), Value::as_f64);
    if !threshold.is_some_and(|threshold| (0.0..=1.0).contains(&threshold)) {
        return Err(Wrong::at(
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
            "must be a decimal between 0 and 1",
        ));
    }
    Ok(value
        .get("interrupt_response")
        .and_then(Value::as_bool)
        .unwrap_or(true))
}

fn tools(session: &Value) -> Result<Vec<String>, Wrong> {
    let none = Vec::new();
    let declared = session.get("tools").and_then(Value::as_array);
    declared
        .unwrap_or(&none)
        .iter()
        .map(|tool| {
            only(
                tool,
                "session.tools",
                &["type", "name", "description", "parameters"],
            )?;
            let name = text_at(tool, "/name");
            if text_at(tool, "/type") != "function" || name.is_empty() {
                return Err(Wrong::at("invalid_value", "session.tools", "no function"));
            }
            Ok(name.to_owned())
        })
        .collect()
}

fn item(item: &Value) -> Result<Told, Wrong> {
    match text_at(item, "/type") {
        "message" => {
            only(
                item,
                "item",
                &["type", "id", "object", "role", "status", "content"],
            )?;
            let role = text_at(item, "/role");
            let wanted = if role == "assistant" {
                "output_text"
            } else {
                "input_text"
            };
            if !["system", "user", "assistant"].contains(&role)
                || text_at(item, "/content/0/type") != wanted
            {
                return Err(Wrong::at(
                    "invalid_value",
                    "item.content",
                    "no text of this role",
                ));
            }
            Ok(Told::Text {
                role: role.to_owned(),
                text: text_at(item, "/content/0/text").to_owned(),
            })
        }
        "function_call_output" => {
            only(
                item,
                "item",
                &["type", "id", "object", "status", "call_id", "output"],
            )?;
            let output = item.get("output").and_then(Value::as_str);
            Ok(Told::ToolOutput {
                call_id: text_at(item, "/call_id").to_owned(),
                output: output
                    .ok_or_else(|| Wrong::at("invalid_type", "item.output", "no string"))?
                    .to_owned(),
            })
        }
        other => Err(Wrong::at(
            "invalid_value",
            "item.type",
            format!("item {other:?}"),
        )),
    }
}

#[cfg(test)]
mod tests;
