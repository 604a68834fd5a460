//! What operators ask for over HTTP. Idempotent by `Idempotency-Key`; with `wait` the answer comes
//! when it is known how the command went.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::call::{
    Action, ActionState, Call, CallId, Command, CommandId, ErrorCode, Refusal, Reply,
};

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::shape::stamp;
use super::super::state::App;
use super::calls::find;

/// Longest wait for the outcome of a command; the carrier's own word takes a few seconds.
const OUTCOME_WITHIN: Duration = Duration::from_secs(15);

type Answer = Result<Json<Value>, ApiError>;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Waiting {
    #[serde(default)]
    wait: Option<bool>,
}

/// `POST /api/calls/{id}/{verb}`.
pub(super) async fn steer(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((key, verb)): Path<(String, String)>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Some(name) = action_name(&verb) else {
        return Err(ApiError::new(
            ErrorCode::NotFound,
            format!("there is no command {verb}"),
            "terminate, transfer, whisper, say, pause, resume, takeover, handback, record/…, claim, \
             release, flag, note, ack, snooze",
        ));
    };
    carry_out(&app, &caller, Some(&key), name, waiting, &headers, &body).await
}

/// `POST /api/calls/{id}/record/{order}`.
pub(super) async fn record(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((key, order)): Path<(String, String)>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let name = match order.as_str() {
        "start" => "record_start",
        "pause" => "record_pause",
        "resume" => "record_resume",
        "stop" => "record_stop",
        _ => return Err(super::not_found().await),
    };
    carry_out(&app, &caller, Some(&key), name, waiting, &headers, &body).await
}

/// `POST /api/outbound-call`. Answers once the carrier has taken the call, with its id.
pub(super) async fn dial(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let waiting = Waiting {
        wait: Some(waiting.wait.unwrap_or(true)),
    };
    carry_out(&app, &caller, None, "dial", waiting, &headers, &body).await
}

/// `POST /api/dialing/{order}`: no more outbound calls, or again.
pub(super) async fn dialing(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(order): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let name = match order.as_str() {
        "stop" => "stop_dialing",
        "resume" => "resume_dialing",
        _ => return Err(super::not_found().await),
    };
    let waiting = Waiting { wait: Some(false) };
    carry_out(&app, &caller, None, name, waiting, &headers, &body).await
}

/// The action of a path segment.
fn action_name(segment: &str) -> Option<&'static str> {
    Some(match segment {
        "terminate" | "end" => "terminate",
        "transfer" => "transfer",
        "whisper" => "whisper",
        "say" => "say",
        "pause" => "pause_agent",
        "resume" => "resume_agent",
        "takeover" => "take_over",
        "handback" => "hand_back",
        "claim" => "claim",
        "release" => "release",
        "flag" => "flag",
        "note" => "note",
        "ack" => "acknowledge",
        "snooze" => "snooze",
        "unmask" => "unmask",
        _ => return None,
    })
}

async fn carry_out(
    app: &App,
    caller: &Caller,
    key: Option<&str>,
    name: &'static str,
    waiting: Waiting,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answer {
    let mut args = read_args(body)?;
    let reason = args
        .remove("reason")
        .and_then(|reason| reason.as_str().map(str::to_owned));
    let wait = waiting.wait.unwrap_or(false) || args.get("wait") == Some(&Value::Bool(true));
    let id = command_id(app, headers)?;
    let (call, is_past) = match key {
        Some(key) => {
            let (call, is_past) = reach(app, caller, key).await?;
            (Some(call), is_past)
        }
        None => (None, false),
    };
    let action: Action = serde_json::from_value(json!({ "verb": name, "args": args }))
        .map_err(|error| ApiError::invalid(format!("{name}: {error}"), "see the documentation"))?;
    let command = Command {
        id,
        call,
        action,
        reason: reason.clone(),
    };
    let reply = app.core.command(caller.grant(), command).await;
    if let Some(refusal) = reply.error {
        return Err(refusal.into());
    }
    let placed = reply.result.as_ref().and_then(|result| result.get("call"));
    let placed = placed
        .and_then(Value::as_str)
        .and_then(|id| id.parse().ok());
    let about = call.or(placed);
    let outcome = match (wait, about) {
        (true, Some(_)) if is_past => Outcome {
            state: "done",
            error: None,
        },
        (true, Some(call)) => outcome(app, call, id).await,
        _ => Outcome {
            state: "accepted",
            error: None,
        },
    };
    Ok(Json(answer(app, caller, about, reason, &reply, outcome)))
}

/// How a command went, as far as is known.
struct Outcome {
    state: &'static str,
    error: Option<Refusal>,
}

async fn outcome(app: &App, call: CallId, command: CommandId) -> Outcome {
    let settled = |call: &Call| {
        let action = call
            .actions
            .iter()
            .find(|action| action.command == command)?;
        (action.state != ActionState::Accepted).then(|| (action.state, action.message.clone()))
    };
    let waited = app.core.switchboard.until(call, settled);
    let (state, message) = match tokio::time::timeout(OUTCOME_WITHIN, waited).await {
        Ok(Some(settled)) => settled,
        Ok(None) | Err(_) => (ActionState::Unconfirmed, None),
    };
    match state {
        ActionState::Done => Outcome {
            state: "done",
            error: None,
        },
        ActionState::Failed => Outcome {
            state: "failed",
            error: Some(Refusal::new(
                ErrorCode::Unavailable,
                message.unwrap_or_else(|| "it could not be done".to_owned()),
                "look at the call's troubles",
            )),
        },
        ActionState::Accepted | ActionState::Unconfirmed => Outcome {
            state: "unconfirmed",
            error: Some(Refusal::new(
                ErrorCode::Timeout,
                "accepted, but the carrier's own word has not come in time",
                "look at the call again in a moment",
            )),
        },
    }
}

fn answer(
    app: &App,
    caller: &Caller,
    call: Option<CallId>,
    reason: Option<String>,
    reply: &Reply,
    outcome: Outcome,
) -> Value {
    let good = outcome.state != "failed";
    let seen = call.and_then(|id| {
        app.core
            .switchboard
            .read(|board| board.get(id).map(|call| (call.call_sid(), call.status)))
    });
    let (sid, status) = match seen {
        Some((sid, status)) => (Some(sid), Some(status)),
        None => (None, None),
    };
    let timestamp = stamp(app.core.clock.now());
    // Numbers in a result (unmask) are for whoever was allowed to ask.
    let result = reply.result.clone();
    json!({
        "success": good,
        "ok": good,
        "id": reply.id,
        "state": outcome.state,
        "error": outcome.error,
        "result": result,
        "call": call,
        "callSid": sid,
        "by": caller.grant().user,
        "data": {
            "success": good,
            "callSid": sid,
            "id": call,
            "status": status,
            "state": outcome.state,
            "timestamp": timestamp,
            "reason": reason,
        },
        "timestamp": timestamp,
    })
}

fn read_args(body: &Bytes) -> Result<Map<String, Value>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(args)) => Ok(args),
        Ok(_) => Err(ApiError::invalid("the body is one JSON object", "or empty")),
        Err(error) => Err(ApiError::invalid(
            format!("the body is not JSON: {error}"),
            "send one JSON object, or nothing",
        )),
    }
}

/// The id of a command: the caller's own key, so that sending it twice does it once.
fn command_id(app: &App, headers: &HeaderMap) -> Result<CommandId, ApiError> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(app.core.clock.command_id());
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=200).contains(&key.len()))
        .ok_or_else(|| {
            ApiError::invalid(
                "Idempotency-Key is not readable",
                "1 to 200 ASCII characters",
            )
        })?;
    Ok(key.parse().unwrap_or_else(|_| {
        let sum: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&sum[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().into()
    }))
}

/// The call of this id, and whether it has left the board: then only what is written about it can be
/// meant, and that is done once it is taken.
async fn reach(app: &App, caller: &Caller, key: &str) -> Result<(CallId, bool), ApiError> {
    let id = find(app, caller, key).await?.id;
    let is_past = app.core.switchboard.read(|board| board.get(id).is_none());
    Ok((id, is_past))
}
