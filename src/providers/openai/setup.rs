//! How a conversation begins: `session.update` in either dialect, the greeting, the variables of a
//! call in the instructions. Spec: OpenAI docs, "Realtime API reference", "Migrate from beta"
//! (2026-11).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::bridge::AgentBrief;
use crate::media::{Encoding, MediaFormat};

use super::{Dialect, INSTRUCTIONS, OpenAiSettings, Tool, TurnDetection};

/// Id of the `session.update`, so that its refusal is recognised.
pub(super) const BEGIN_ID: &str = "wb-begin";

/// What the agent shall say first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// These words.
    Say(String),
    /// Whatever its instructions lead it to.
    Own,
    /// Whatever the conversation so far leads it to: it was interrupted.
    Resume,
    /// Nothing: the caller speaks first.
    None,
}

/// What an agent is told that comes into a conversation another one began. Nobody else will say a
/// word if the caller's question is already behind them.
const RESUME: &str = "The connection was interrupted for a moment. Go on exactly where the \
    conversation was. Do not greet again and do not introduce yourself.";

impl Greeting {
    pub(super) fn of(brief: &AgentBrief) -> Self {
        match &brief.first_message {
            _ if brief.takes_over && brief.caller_is_next => Self::None,
            _ if brief.takes_over => Self::Resume,
            None => Self::Own,
            Some(text) if text.trim().is_empty() => Self::None,
            Some(text) => Self::Say(fill(text, &brief.variables)),
        }
    }

    /// The answer to ask for; `None` when the agent waits.
    pub(super) fn answer(&self) -> Option<Value> {
        match self {
            Self::Say(text) => Some(verbatim(text)),
            Self::Own => Some(Value::Null),
            Self::Resume => Some(json!({ "instructions": RESUME })),
            Self::None => None,
        }
    }
}

/// An answer that says these words and no others.
pub(super) fn verbatim(text: &str) -> Value {
    // As JSON, so that quotes in it cannot end the quotation.
    let quoted = Value::from(text);
    json!({
        "instructions": format!(
            "Say exactly the following to the caller, word for word, and nothing else: {quoted}"
        ),
    })
}

pub(super) fn session_update(settings: &OpenAiSettings, brief: &AgentBrief) -> Value {
    let instructions = brief
        .prompt
        .as_deref()
        .or(settings.instructions.as_deref())
        .filter(|text| !text.trim().is_empty())
        .unwrap_or(INSTRUCTIONS);
    let about = About {
        settings,
        instructions: fill(instructions, &brief.variables),
        voice: brief.voice.as_deref().unwrap_or(&settings.voice),
        language: brief.language.as_deref(),
        tools: settings.tools.iter().map(Tool::declaration).collect(),
    };
    let session = match settings.dialect {
        Dialect::Ga => about.ga(),
        Dialect::Beta => about.beta(),
    };
    json!({"type": "session.update", "event_id": BEGIN_ID, "session": session})
}

/// Whether the vendor answers the caller by itself, and nothing else. The whole input side goes along:
/// what is left out of a part that is present might be taken for its default.
pub(super) fn turns_update(
    settings: &OpenAiSettings,
    language: Option<&str>,
    answers: bool,
) -> Value {
    let about = About {
        settings,
        instructions: String::new(),
        voice: "",
        language,
        tools: Vec::new(),
    };
    let mut turns = about.turn_detection();
    if !answers {
        turns["create_response"] = json!(false);
        turns["interrupt_response"] = json!(false);
    }
    let session = match settings.dialect {
        Dialect::Ga => {
            let mut input = about.ga()["audio"]["input"].take();
            input["turn_detection"] = turns;
            json!({"type": "realtime", "audio": {"input": input}})
        }
        Dialect::Beta => json!({ "turn_detection": turns }),
    };
    json!({"type": "session.update", "session": session})
}

struct About<'a> {
    settings: &'a OpenAiSettings,
    instructions: String,
    voice: &'a str,
    language: Option<&'a str>,
    tools: Vec<Value>,
}

impl About<'_> {
    fn ga(&self) -> Value {
        let mut input = Map::new();
        input.insert("format".into(), json!({"type": "audio/pcmu"}));
        if self.settings.reduce_noise {
            input.insert("noise_reduction".into(), json!({"type": "near_field"}));
        }
        if let Some(transcription) = self.transcription() {
            input.insert("transcription".into(), transcription);
        }
        input.insert("turn_detection".into(), self.turn_detection());
        let mut output = Map::new();
        output.insert("format".into(), json!({"type": "audio/pcmu"}));
        output.insert("voice".into(), json!(self.voice));
        if let Some(speed) = self.settings.speed {
            output.insert("speed".into(), figure(speed));
        }
        json!({
            "type": "realtime",
            "model": self.settings.model,
            "output_modalities": ["audio"],
            "instructions": self.instructions,
            "max_output_tokens": self.answer_max(),
            "audio": {"input": input, "output": output},
            "tools": self.tools,
            "tool_choice": "auto",
        })
    }

    fn beta(&self) -> Value {
        let mut session = json!({
            "modalities": ["text", "audio"],
            "instructions": self.instructions,
            "voice": self.voice,
            "input_audio_format": "g711_ulaw",
            "output_audio_format": "g711_ulaw",
            "turn_detection": self.turn_detection(),
            "tools": self.tools,
            "tool_choice": "auto",
            "temperature": 0.8,
            "max_response_output_tokens": self.answer_max(),
        });
        if let (Some(transcription), Value::Object(fields)) = (self.transcription(), &mut session) {
            fields.insert("input_audio_transcription".into(), transcription);
        }
        session
    }

    fn transcription(&self) -> Option<Value> {
        let model = self.settings.transcription_model.as_deref()?;
        let mut transcription = json!({"model": model});
        if let (Some(language), Value::Object(fields)) = (self.language, &mut transcription) {
            fields.insert("language".into(), json!(language));
        }
        Some(transcription)
    }

    fn turn_detection(&self) -> Value {
        let interrupts = self.settings.interrupts;
        match self.settings.turns {
            TurnDetection::Server {
                threshold,
                silence_ms,
                prefix_ms,
            } => json!({
                "type": "server_vad",
                "threshold": figure(threshold),
                "prefix_padding_ms": prefix_ms,
                "silence_duration_ms": silence_ms,
                "create_response": true,
                "interrupt_response": interrupts,
            }),
            TurnDetection::Semantic { eagerness } => json!({
                "type": "semantic_vad",
                "eagerness": eagerness.as_str(),
                "create_response": true,
                "interrupt_response": interrupts,
            }),
        }
    }

    fn answer_max(&self) -> Value {
        match self.settings.answer_tokens_max {
            Some(tokens) => json!(tokens),
            None => json!("inf"),
        }
    }
}

/// 0.7 and not 0.699999988079071.
fn figure(value: f32) -> Value {
    let text = value.to_string();
    json!(text.parse::<f64>().unwrap_or_else(|_| f64::from(value)))
}

/// Puts the call's variables in where the text says `{{name}}`. Unknown names stay as they are, so
/// that a mistake shows.
pub(super) fn fill(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let known = after
            .split_once("}}")
            .and_then(|(name, tail)| Some((variables.get(name.trim())?, tail)));
        if let Some((value, tail)) = known {
            out.push_str(value);
            rest = tail;
        } else {
            out.push_str("{{");
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The formats a session reports, where it reports any; else what was asked for.
pub(super) fn formats(session: &Value) -> Result<(MediaFormat, MediaFormat), String> {
    let of = |ga: &str, beta: &str| -> Result<MediaFormat, String> {
        let format = session.pointer(ga);
        let word = format
            .and_then(|format| format.get("type"))
            .or_else(|| session.get(beta))
            .and_then(Value::as_str);
        let Some(word) = word else {
            return Ok(MediaFormat::ULAW_8K);
        };
        match word {
            "audio/pcmu" | "g711_ulaw" => Ok(MediaFormat::ULAW_8K),
            "audio/pcma" | "g711_alaw" => Ok(MediaFormat::ALAW_8K),
            "audio/pcm" | "pcm16" => {
                let rate = format.and_then(|format| format.get("rate")?.as_u64());
                Ok(MediaFormat {
                    encoding: Encoding::Pcm16Le,
                    rate_hz: rate
                        .and_then(|rate| u32::try_from(rate).ok())
                        .filter(|rate| (8_000..=48_000).contains(rate))
                        .unwrap_or(MediaFormat::PCM_24K.rate_hz),
                })
            }
            other => Err(other.chars().take(40).collect()),
        }
    };
    let takes = of("/audio/input/format", "input_audio_format")?;
    let gives = of("/audio/output/format", "output_audio_format")?;
    Ok((takes, gives))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief() -> AgentBrief {
        AgentBrief {
            prompt: Some("You call {{customer_name}} about {{ topic }}.".into()),
            language: Some("en".into()),
            variables: BTreeMap::from([("customer_name".to_owned(), "Ana {{x}}".to_owned())]),
            ..AgentBrief::default()
        }
    }

    #[test]
    fn the_present_dialect_is_complete_and_nothing_else() {
        let settings = OpenAiSettings {
            tools: vec![Tool::transfer_call(&[])],
            ..OpenAiSettings::default()
        };
        let message = session_update(&settings, &brief());
        let session = &message["session"];
        assert_eq!(
            session["audio"],
            json!({
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "noise_reduction": {"type": "near_field"},
                    "transcription": {"model": "gpt-realtime-whisper", "language": "en"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.7,
                        "prefix_padding_ms": 300, "silence_duration_ms": 800,
                        "create_response": true, "interrupt_response": true},
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "shimmer"},
            })
        );
        assert_eq!(session["type"], "realtime");
        assert_eq!(session["output_modalities"], json!(["audio"]));
        assert_eq!(
            session["instructions"],
            "You call Ana {{x}} about {{ topic }}."
        );
        assert_eq!(session["tools"][0]["name"], "transfer_call");
        assert_eq!(session["max_output_tokens"], "inf");
        assert!(session.get("temperature").is_none() && session.get("voice").is_none());
    }

    #[test]
    fn the_older_dialect_has_its_own_shape() {
        let settings = OpenAiSettings {
            dialect: Dialect::Beta,
            transcription_model: Some("whisper-1".into()),
            ..OpenAiSettings::default()
        };
        let session = session_update(&settings, &AgentBrief::default())["session"].take();
        assert_eq!(
            session,
            json!({
                "modalities": ["text", "audio"],
                "instructions": INSTRUCTIONS,
                "voice": "shimmer",
                "input_audio_format": "g711_ulaw",
                "output_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "whisper-1"},
                "turn_detection": {"type": "server_vad", "threshold": 0.7,
                    "prefix_padding_ms": 300, "silence_duration_ms": 800,
                    "create_response": true, "interrupt_response": true},
                "tools": [],
                "tool_choice": "auto",
                "temperature": 0.8,
                "max_response_output_tokens": "inf",
            })
        );
    }

    #[test]
    fn what_is_optional_can_be_chosen() {
        let settings = OpenAiSettings {
            turns: TurnDetection::Semantic {
                eagerness: super::super::Eagerness::Low,
            },
            interrupts: false,
            reduce_noise: false,
            transcription_model: None,
            speed: Some(1.2),
            answer_tokens_max: Some(400),
            ..OpenAiSettings::default()
        };
        let brief = AgentBrief {
            voice: Some("cedar".into()),
            ..AgentBrief::default()
        };
        let session = session_update(&settings, &brief)["session"].take();
        assert_eq!(
            session["audio"],
            json!({
                "input": {"format": {"type": "audio/pcmu"},
                    "turn_detection": {"type": "semantic_vad", "eagerness": "low",
                        "create_response": true, "interrupt_response": false}},
                "output": {"format": {"type": "audio/pcmu"}, "voice": "cedar", "speed": 1.2},
            })
        );
        assert_eq!(session["max_output_tokens"], 400);
    }

    #[test]
    fn who_takes_over_goes_on_and_greets_nobody() {
        let of = |first_message: Option<&str>, takes_over| {
            Greeting::of(&AgentBrief {
                first_message: first_message.map(str::to_owned),
                takes_over,
                variables: BTreeMap::from([("name".to_owned(), "Ana".to_owned())]),
                ..AgentBrief::default()
            })
        };
        assert_eq!(of(None, false), Greeting::Own);
        assert_eq!(
            of(Some("Hi {{name}}"), false),
            Greeting::Say("Hi Ana".into())
        );
        assert_eq!(of(Some(" "), false), Greeting::None);
        let waiting = AgentBrief {
            takes_over: true,
            caller_is_next: true,
            first_message: Some("Hi".into()),
            ..AgentBrief::default()
        };
        assert_eq!(Greeting::of(&waiting), Greeting::None);
        assert_eq!(of(None, true), Greeting::Resume);
        assert_eq!(of(Some(""), true), Greeting::Resume);
    }

    #[test]
    fn reported_formats_are_believed() {
        let pcm = json!({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}},
            "output": {"format": {"type": "audio/pcma"}}}});
        assert_eq!(
            formats(&pcm),
            Ok((MediaFormat::PCM_24K, MediaFormat::ALAW_8K))
        );
        let beta = json!({"input_audio_format": "pcm16", "output_audio_format": "g711_ulaw"});
        assert_eq!(
            formats(&beta),
            Ok((MediaFormat::PCM_24K, MediaFormat::ULAW_8K))
        );
        assert_eq!(
            formats(&json!({})),
            Ok((MediaFormat::ULAW_8K, MediaFormat::ULAW_8K))
        );
        assert!(formats(&json!({"input_audio_format": "opus"})).is_err());
    }
}
