//! Webhooks about conversations, whoever sends them: the vendor's own post-call webhooks, relays that
//! forward the client events of a conversation, and the older family of live events. Tolerant by
//! rule: every field is looked for in several places, unknown types and fields are no error.
//! Spec: elevenlabs Python 2.78 (2026-11); the order of the look-ups is this project's own.

mod audio;
mod clues;
mod look;
mod post_call;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde_json::Value;

use look::Look;

pub use audio::{AudioSplit, SplitError};
pub use clues::{Clues, normal_number};
pub use post_call::{CallResult, PostCall, Spoken};

/// A conversation id some senders fill in when they have none.
const PLACEHOLDER: &str = "The unique identifier for the conversation";
/// Longest id taken; longer ones are nobody's.
const ID_MAX: usize = 200;

/// Why a body is not an event at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("the body is not JSON")]
    NotJson,
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the event has no type")]
    NoType,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    User,
    Agent,
}

/// One webhook, read.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationEvent {
    pub kind: EventKind,
    /// The type as it came, in lower case.
    pub word: String,
    pub conversation_id: Option<String>,
    /// The carrier's id of the call.
    pub call_sid: Option<String>,
    pub agent_id: Option<String>,
    pub clues: Clues,
    /// When it happened, by the sender's clock.
    pub at: Option<DateTime<Utc>>,
    /// The vendor's number of this utterance, same for its partial and final forms.
    pub event_id: Option<u32>,
    /// Two bodies that are the same byte for byte are the same event: it carries a time or number.
    pub is_marked: bool,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// The conversation begins; `ringing`: it was only asked for.
    Started {
        ringing: bool,
    },
    Ended {
        reason: Option<String>,
        duration_ms: Option<u64>,
    },
    Said {
        who: Speaker,
        text: String,
        partial: bool,
    },
    /// What of the agent's words was really said.
    Corrected {
        original: Option<String>,
        corrected: String,
    },
    Interrupted {
        kind: Option<String>,
    },
    Silent {
        duration_ms: u64,
    },
    ToolCalled {
        id: String,
        name: String,
        args: String,
    },
    ToolReturned {
        id: String,
        name: String,
        ok: bool,
        result: String,
    },
    PostCall(Box<PostCall>),
    /// The audio travels beside the fields and is taken out before they are read.
    Audio,
    /// The call never became a conversation.
    NotInitiated {
        result: CallResult,
        reason: String,
    },
    Machine {
        answered_by: Option<String>,
    },
    /// A known type there is nothing to tell of.
    Idle,
    Unknown,
}

impl EventKind {
    /// The vendor's own webhooks, as against live events.
    pub fn is_official(&self) -> bool {
        matches!(
            self,
            Self::PostCall(_) | Self::Audio | Self::NotInitiated { .. } | Self::Machine { .. }
        )
    }
}

/// Reads a webhook's body.
///
/// # Errors
/// [`EventError`]: it is no JSON object with a type. Anything else is an event, if need be an
/// unknown one.
pub fn read_event(body: &[u8]) -> Result<ConversationEvent, EventError> {
    let body: Value = serde_json::from_slice(body).map_err(|_| EventError::NotJson)?;
    if !body.is_object() {
        return Err(EventError::NotAnObject);
    }
    let look = Look::new(&body);
    let word = look
        .word(&["body.type", "body.event_type", "body.event", "d.type"])
        .ok_or(EventError::NoType)?
        .to_lowercase();
    let event_id = look
        .number(&["n.event_id", "d.event_id"])
        .and_then(|id| u32::try_from(id).ok());
    let at = look.time(&[
        "body.event_timestamp",
        "d.event_timestamp",
        "d.timestamp",
        "body.timestamp",
    ]);
    Ok(ConversationEvent {
        kind: kind_of(&word, look),
        conversation_id: id(look.word(&[
            "d.conversation_id",
            "body.conversation_id",
            "d.conversationId",
            "d.conversation.id",
            "d.call.conversation_id",
            "d.conversation_initiation_metadata_event.conversation_id",
        ]))
        .filter(|id| id != PLACEHOLDER),
        call_sid: id(look.word(&[
            "d.call_sid",
            "d.callSid",
            "d.CallSid",
            "d.metadata.phone_call.call_sid",
            "d.metadata.body.CallSid",
            "d.metadata.body.call_sid",
            "c.dynamic_variables.system__call_sid",
            "d.dynamic_variables.system__call_sid",
        ])),
        agent_id: id(look.word(&["d.agent_id", "body.agent_id"])),
        clues: Clues::read(look),
        is_marked: at.is_some() || event_id.is_some(),
        at,
        event_id,
        word,
    })
}

fn id(text: Option<String>) -> Option<String> {
    text.filter(|text| text.len() <= ID_MAX)
}

fn kind_of(word: &str, look: Look<'_>) -> EventKind {
    let partial = look.flag("d.is_partial") || look.flag("body.is_partial");
    match word {
        "user_message" | "user_transcript" | "user_transcription" | "transcript_user"
        | "conversation_user" | "voice_received" => said(look, Speaker::User, partial),
        "agent_message" | "agent_response" | "agent_transcript" | "conversation_agent"
        | "voice_sent" => said(look, Speaker::Agent, partial),
        "tentative_user_transcript" => said(look, Speaker::User, true),
        "live_transcript" => said(look, speaker(look), true),
        "conversation_started"
        | "conversation_initiation_metadata"
        | "call_started"
        | "call_initiated" => EventKind::Started {
            ringing: word == "call_initiated",
        },
        "conversation_ended" | "call_ended" | "call_terminated" | "call_completed"
        | "call_disconnected" | "call_ended_manual" => EventKind::Ended {
            reason: look.word(&["d.end_reason", "d.reason", "d.termination_reason"]),
            duration_ms: duration_ms(look),
        },
        "agent_response_correction" => corrected(look),
        "interruption" => EventKind::Interrupted {
            kind: look.word(&["d.metadata.interruption_type", "d.interruption_type"]),
        },
        "silence_detected" => EventKind::Silent {
            duration_ms: look
                .number(&[
                    "d.metadata.silence_duration_ms",
                    "d.silence_duration_ms",
                    "d.duration_ms",
                ])
                .unwrap_or(0),
        },
        "client_tool_call" | "agent_tool_request" | "mcp_tool_call" => tool_called(look),
        "agent_tool_response" | "agent_tool_response_full_payload" | "client_tool_result" => {
            tool_returned(look)
        }
        "post_call_transcription" => EventKind::PostCall(Box::new(PostCall::read(look))),
        "post_call_audio" => EventKind::Audio,
        "call_initiation_failure" => post_call::not_initiated(look),
        "answering_machine_detection" => EventKind::Machine {
            answered_by: look.word(&["d.answered_by", "d.AnsweredBy"]),
        },
        "ping" | "vad_score" | "audio" | "internal_turn_probability" | "context_usage" => {
            EventKind::Idle
        }
        _ => EventKind::Unknown,
    }
}

fn speaker(look: Look<'_>) -> Speaker {
    match look.word(&["d.speaker", "d.role", "d.sentBy"]).as_deref() {
        Some("agent" | "assistant" | "ai") => Speaker::Agent,
        _ => Speaker::User,
    }
}

fn said(look: Look<'_>, who: Speaker, partial: bool) -> EventKind {
    let text = look.text(&[
        "d.message",
        "d.text",
        "d.transcript",
        "d.response",
        "d.user_transcript",
        "d.agent_response",
        "d.user_transcription_event.user_transcript",
        "d.agent_response_event.agent_response",
        "d.tentative_user_transcription_event.user_transcript",
    ]);
    match text {
        Some(text) => EventKind::Said { who, text, partial },
        // A turn of tools only, or a placeholder: nothing was said.
        None => EventKind::Idle,
    }
}

fn corrected(look: Look<'_>) -> EventKind {
    let corrected = look.text(&[
        "n.corrected_agent_response",
        "d.corrected_agent_response",
        "d.message",
    ]);
    match corrected {
        Some(corrected) => EventKind::Corrected {
            original: look.text(&["n.original_agent_response", "d.original_agent_response"]),
            corrected,
        },
        None => EventKind::Idle,
    }
}

fn tool_called(look: Look<'_>) -> EventKind {
    let name = look.word(&["n.tool_name", "d.tool_name"]);
    let id = look.word(&["n.tool_call_id", "d.tool_call_id"]);
    match (id, name) {
        (Some(id), Some(name)) => EventKind::ToolCalled {
            id,
            name,
            args: look.json(&["n.parameters", "d.parameters"]),
        },
        _ => EventKind::Idle,
    }
}

fn tool_returned(look: Look<'_>) -> EventKind {
    let Some(id) = look.word(&["n.tool_call_id", "d.tool_call_id"]) else {
        return EventKind::Idle;
    };
    let failed = look.flag("n.is_error") || look.flag("d.is_error");
    EventKind::ToolReturned {
        id,
        name: look
            .word(&["n.tool_name", "d.tool_name"])
            .unwrap_or_default(),
        ok: !failed,
        result: look
            .text(&["n.full_tool_result", "n.result", "d.result"])
            .unwrap_or_default(),
    }
}

fn duration_ms(look: Look<'_>) -> Option<u64> {
    look.number(&[
        "d.duration_ms",
        "d.call_duration_ms",
        "d.conversation_duration_ms",
    ])
    .or_else(|| Some(look.number(&["d.metadata.call_duration_secs"])? * 1000))
}
