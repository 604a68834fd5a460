//! The tools an agent may use: handing the caller to a person, asking for one, and those an operator
//! has configured. Each ends in words for the agent.

use std::future::Future;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::Value;

use crate::call::text::clean_label;
use crate::call::{Action, ActionState, Call, CallId, Command, Grant, Role};

use super::ports::ToolAsk;
use super::{AgentPlan, Core};

/// Hands the caller to a person.
pub const TRANSFER_CALL: &str = "transfer_call";
/// Says that a person is wanted on this call; the detector of help requests does the rest.
pub const REQUEST_HUMAN: &str = "request_human";
/// Whom the agent acts as; shown to operators and in the audit trail.
const AGENT: &str = "agent";
/// The carrier's word on a transfer must come within this; its request is repeated meanwhile.
const TRANSFER_WITHIN: Duration = Duration::from_secs(40);
/// Longest reason kept, in characters.
const REASON_CHARS_MAX: usize = 300;

type Outcome = Result<String, String>;

/// Runs one tool. The future may be dropped: what was asked of the carrier is seen through by the
/// command desk.
pub(super) fn run(
    core: &Core,
    call: CallId,
    agent: &AgentPlan,
    tool_call_id: String,
    name: &str,
    args: &str,
) -> impl Future<Output = Outcome> + Send + 'static {
    let args = match serde_json::from_str::<Value>(args) {
        Ok(args @ Value::Object(_)) => Ok(args),
        Ok(_) => Err("the arguments are not a JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are not JSON: {error}")),
    };
    let ran: BoxFuture<'static, Outcome> = match (name, args) {
        (_, Err(error)) => std::future::ready(Err(error)).boxed(),
        (TRANSFER_CALL, Ok(args)) => transfer(core.clone(), call, args).boxed(),
        (REQUEST_HUMAN, Ok(_)) => {
            std::future::ready(Ok("a person has been asked for".to_owned())).boxed()
        }
        (name, Ok(args)) => match agent.extras.tools.get(name) {
            Some(tool) => {
                let lead_id = core
                    .switchboard
                    .read(|board| board.get(call)?.facts.lead_id.clone());
                tool.run(ToolAsk {
                    call,
                    tool_call_id,
                    lead_id,
                    args,
                })
            }
            None => std::future::ready(Err(format!("unknown tool: {name}"))).boxed(),
        },
    };
    ran
}

/// By the same door operators use, so that an operator at it already is not overrun.
async fn transfer(core: Core, call: CallId, args: Value) -> Outcome {
    let (to, reason) = target(&core, &args)?;
    let command = Command {
        id: core.clock.command_id(),
        call: Some(call),
        action: Action::Transfer { to },
        reason: Some(reason),
    };
    let id = command.id;
    let grant = Grant::of(AGENT, Role::Operator);
    let reply = core.command(&grant, command).await;
    if let Some(refusal) = reply.error {
        return Err(refusal.message);
    }
    let settled = core.switchboard.until(call, move |call: &Call| {
        let action = call.actions.iter().find(|action| action.command == id)?;
        match action.state {
            ActionState::Accepted => None,
            ActionState::Done => Some(Ok("the caller is being transferred".to_owned())),
            ActionState::Failed => Some(Err(action
                .message
                .clone()
                .unwrap_or_else(|| "the transfer failed".to_owned()))),
            ActionState::Unconfirmed => Some(Err(
                "the carrier did not answer; it may still happen".to_owned(),
            )),
        }
    });
    match tokio::time::timeout(TRANSFER_WITHIN, settled).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Err("the call has ended".to_owned()),
        Err(_) => Err("the carrier did not answer in time".to_owned()),
    }
}

/// Where to and why, as the agent says.
fn target(core: &Core, args: &Value) -> Result<(String, String), String> {
    let text = |key: &str| {
        let text = args.get(key).and_then(Value::as_str).unwrap_or_default();
        let text: String = clean_label(text)
            .trim()
            .chars()
            .take(REASON_CHARS_MAX)
            .collect();
        (!text.is_empty()).then_some(text)
    };
    let reason = text("reason").ok_or("the argument reason is missing")?;
    let names = || {
        core.transfers
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(destination) = text("destination") {
        // Only places somebody has configured: the model must not dial what it likes.
        let known = core
            .transfers
            .keys()
            .find(|name| name.eq_ignore_ascii_case(&destination));
        return match known {
            Some(name) => Ok((name.clone(), reason)),
            None => Err(format!(
                "there is no destination {destination}; there is: {}",
                names()
            )),
        };
    }
    let number = core.transfer_number.clone();
    let to = number.or_else(|| core.transfers.keys().next().cloned());
    to.map(|to| (to, reason))
        .ok_or_else(|| "no number to transfer to is configured".to_owned())
}

#[cfg(test)]
mod tests;
