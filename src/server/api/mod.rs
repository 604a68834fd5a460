//! The HTTP API (contract A3): JSON in, JSON out, errors in one shape.

mod audit;
mod calls;
mod commands;
mod export;
mod leads;
mod listen;
mod messages;
mod ops;
mod page;
mod recordings;
mod search;
mod tickets;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use serde_json::{Value, json};

use crate::engine::Clock;

use super::error::ApiError;
use super::shape::stamp;
use super::start::BODY_MAX;
use super::state::App;

pub(super) use tickets::listen_url;

/// A body must be whole within this.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The routes of the API.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/api/webhooks", get(ops::webhooks))
        .route("/api/alerts", get(calls::alerts))
        .route("/api/audit", get(audit::trail))
        .route("/api/dialing/{order}", post(commands::dialing))
        .route("/api/calls", get(calls::past))
        .route("/api/calls/active", get(calls::active))
        .route("/api/calls/{id}", get(calls::one))
        .route("/api/calls/{id}/transcript", get(calls::transcript))
        .route("/api/calls/{id}/recordings", get(calls::recordings))
        .route("/api/recordings/{id}", get(recordings::one))
        .route("/api/leads/{id}", delete(export::purge))
        .route(
            "/api/leads/{id}/messages",
            get(messages::list).post(messages::add),
        )
        .route("/api/leads/{id}/timeline", get(messages::timeline))
        .route("/api/search", get(search::search))
        .route("/api/export", get(export::export))
        .route("/api/leads", get(leads::list).post(leads::keep))
        .route("/api/outbound-call", post(commands::dial))
        .route("/outbound-call", post(commands::dial))
        .route("/api/calls/{id}/{verb}", post(commands::steer))
        .route("/api/calls/{id}/record/{order}", post(commands::record))
        .route("/api/tickets", post(tickets::issue))
        .route("/api/calls/{id}/audio.wav", get(listen::wav))
        .route("/api/calls/{id}/listen", get(listen::frames))
        .route("/listen/{id}", get(page::page))
        .route_layer(middleware::from_fn(whole_body))
}

/// Has the body whole before a route waits for it: a client may not be slow for ever.
async fn whole_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_WITHIN, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(body)) => Body::from(body),
        Ok(Err(_)) => return refuse_body(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return refuse_body(StatusCode::REQUEST_TIMEOUT),
    };
    next.run(Request::from_parts(parts, body)).await
}

fn refuse_body(status: StatusCode) -> Response {
    ApiError::invalid("the body is too big or too slow", "at most 256 KiB in 10 s")
        .with_status(status)
        .into_response()
}

pub(super) async fn not_found() -> ApiError {
    ApiError::new(
        crate::call::ErrorCode::NotFound,
        "no such route",
        "the routes are listed in the documentation",
    )
}

/// The envelope of every success.
fn success(clock: Clock, message: &str, data: Value) -> Value {
    json!({
        "success": true,
        "data": data,
        "message": message,
        "timestamp": stamp(clock.now()),
    })
}
