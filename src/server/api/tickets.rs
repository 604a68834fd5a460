//! Browser tickets: one use, one thing, soon.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{CallId, ErrorCode, Grant, Refusal, Verb};
use crate::engine::ListenUrl;

use super::super::auth::Session;
use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::shape::stamp;
use super::super::state::App;
use super::super::tickets::{OPEN_WITHIN, TicketUse};

#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    #[serde(rename = "use")]
    purpose: TicketUse,
    #[serde(default)]
    call: Option<String>,
    #[serde(default, alias = "leadId")]
    lead: Option<String>,
}

/// `POST /api/tickets`.
pub(super) async fn issue(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wish): Json<Wish>,
) -> Result<Json<Value>, ApiError> {
    let (target, path) = match wish.purpose {
        TicketUse::Sse => {
            caller.need(Verb::Transcript)?;
            let lead = wish.lead.ok_or_else(|| {
                ApiError::invalid("which lead?", "{\"use\":\"sse\",\"lead\":\"…\"}")
            })?;
            if !caller.grant().sees_lead(Some(&lead)) {
                return Err(ApiError::new(
                    ErrorCode::Forbidden,
                    "this token may not see that lead",
                    "ask for a token with this lead",
                ));
            }
            let path = format!("/api/stream/conversation/{}", escaped(&lead));
            (lead, path)
        }
        TicketUse::Listen | TicketUse::Wav => {
            caller.need(Verb::Listen)?;
            let key = wish.call.ok_or_else(|| {
                ApiError::invalid("which call?", "{\"use\":\"listen\",\"call\":\"…\"}")
            })?;
            let call = app
                .core
                .switchboard
                .read(|board| {
                    board
                        .find(&key)
                        .filter(|call| caller.sees(call))
                        .map(|call| call.id)
                })
                .ok_or_else(|| ApiError::not_found("call"))?;
            let path = match wish.purpose {
                TicketUse::Wav => format!("/api/calls/{call}/audio.wav"),
                _ => format!("/listen/{call}"),
            };
            (call.to_string(), path)
        }
    };
    let clock = app.core.clock;
    let ticket = app.tickets.issue(
        caller.session.clone(),
        wish.purpose,
        target,
        clock.elapsed(),
        OPEN_WITHIN,
    );
    let expires_at = stamp(clock.now() + OPEN_WITHIN);
    let url = format!("{path}?ticket={ticket}");
    Ok(Json(json!({
        "success": true,
        "ticket": ticket,
        "expires_at": expires_at,
        "url": url,
        "data": { "ticket": ticket, "expires_at": expires_at, "url": url },
    })))
}

fn escaped(text: &str) -> String {
    // In a path a plus is a plus.
    let escaped: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    escaped.replace('+', "%20")
}

/// Makes listen URLs for the screen in the same process. `base` is where browsers reach us.
pub(in crate::server) fn listen_url(app: &Arc<App>, base: String) -> Arc<ListenUrl> {
    let app = Arc::clone(app);
    Arc::new(move |grant: &Grant, call: CallId| {
        if !grant.allows(Verb::Listen) {
            return Err(Refusal::forbidden(Verb::Listen));
        }
        let session = Session::embedded(grant.clone());
        let ticket = app.tickets.issue(
            session,
            TicketUse::Listen,
            call.to_string(),
            app.core.clock.elapsed(),
            OPEN_WITHIN,
        );
        Ok(format!("{base}/listen/{call}?ticket={ticket}"))
    })
}
