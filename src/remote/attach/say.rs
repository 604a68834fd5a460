//! What is said in more than one place.

use crate::call::{Command, ErrorCode, Refusal};
use crate::remote::link::Out;

pub(super) fn fail(reason: String) -> Vec<Out> {
    vec![Out::Fail {
        reason,
        retry_in: None,
    }]
}

pub(super) fn send_command(command: &Command) -> Option<Out> {
    let data = serde_json::to_value(command).ok()?;
    Some(Out::Send {
        event: "command",
        data,
    })
}

pub(super) fn not_now(is_live: bool) -> Refusal {
    if is_live {
        Refusal::new(
            ErrorCode::Overloaded,
            "too many requests under way",
            "wait for their answers",
        )
    } else {
        Refusal::new(
            ErrorCode::Unavailable,
            "there is no link to the backend",
            "try again when it is up",
        )
    }
}

pub(super) fn unanswered(message: &str) -> Refusal {
    Refusal::new(
        ErrorCode::Timeout,
        message,
        "it may have been carried out all the same: look at the call",
    )
}
