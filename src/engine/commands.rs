//! Operator commands: permission, idempotency, routing, outcome.

use crate::call::{Command, ErrorCode, Grant, Refusal, Reply};

use super::Core;

/// The command desk.
#[derive(Clone, Debug, Default)]
pub struct Commands {}

impl Commands {
    /// Checks and carries out one command.
    pub async fn handle(&self, _core: &Core, grant: &Grant, command: Command) -> Reply {
        if !grant.allows(command.action.verb()) {
            return Reply::refused(command.id, Refusal::forbidden(command.action.verb()));
        }
        Reply::refused(command.id, Refusal::new(ErrorCode::Unsupported, "", ""))
    }
}
