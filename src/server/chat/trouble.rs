//! What a client is told when something is wrong: what, where, and how to mend it. Details of our own
//! side stay in the log.

use serde::Serialize;
use serde_json::{Value, json};

/// One refusal. `message` is what older clients show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub message: String,
    pub code: &'static str,
    /// The event or field it is about.
    #[serde(rename = "where")]
    pub place: &'static str,
    /// How to mend it.
    pub hint: String,
}

impl Trouble {
    pub(super) fn new(
        code: &'static str,
        place: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            message: message.into(),
            code,
            place,
            hint: hint.into(),
        }
    }

    pub(super) fn no_agent_id() -> Self {
        Self::new(
            "no_agent",
            "connect",
            "No agent ID provided",
            "connect with auth: { agentId: \"…\" } or ?agentId=…",
        )
    }

    pub(super) fn unknown_agent(id: &str, known: &[&str]) -> Self {
        let id: String = crate::call::text::clean_label(id)
            .chars()
            .take(64)
            .collect();
        let hint = match known {
            [] => "no agent is configured: add an [[agent]] to config.toml".to_owned(),
            known => format!("configured: {}", known.join(", ")),
        };
        Self::new(
            "unknown_agent",
            "connect",
            format!("Agent with ID {id} not found"),
            hint,
        )
    }

    pub(super) fn busy(place: &'static str) -> Self {
        Self::new(
            "busy",
            place,
            "busy",
            "wait for the answer, or send clear; four turns may wait",
        )
    }

    pub(super) fn too_fast(place: &'static str) -> Self {
        Self::new(
            "too_fast",
            place,
            "too fast: this message was dropped",
            "send audio no faster than twice as fast as it plays, and at most a minute ahead",
        )
    }

    /// The answer to an acknowledgement.
    pub(super) fn ack(&self) -> Value {
        json!({"ok": false, "error": self})
    }
}

/// The answer to an acknowledgement when all is well.
pub(super) fn accepted() -> Value {
    json!({"ok": true})
}
