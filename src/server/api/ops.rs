//! What operations ask: alive, ready, figures, and what became of webhooks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::call::{ErrorCode, Verb};
use crate::engine::StoreHealth;

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::state::App;

/// Alive. Says nothing else: anybody may ask.
pub(super) async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Ready for new calls: not draining, and what happens can be kept.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let health = app
        .core
        .journal
        .health()
        .map(|health| health.borrow().clone());
    let reason = if app.is_draining() || app.stopping().is_cancelled() {
        Some("draining")
    } else if matches!(health, Some(StoreHealth::Failing { .. })) {
        Some("the journal cannot write")
    } else {
        None
    };
    match reason {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "not ready", "reason": reason })),
        )
            .into_response(),
    }
}

/// Prometheus text.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.need(Verb::Metrics)?;
    let Some(metrics) = &app.metrics else {
        return Err(ApiError::new(
            ErrorCode::Unsupported,
            "this backend records no metrics",
            "run `wallboard serve`",
        ));
    };
    let live = app.core.switchboard.read(|board| board.live().count());
    metrics::gauge!("wallboard_calls_live").set(live as f64);
    metrics.0.run_upkeep();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], metrics.0.render()).into_response())
}

/// The newest webhooks and what became of them.
pub(super) async fn webhooks(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.need(Verb::Config)?;
    let body = json!({ "success": true, "data": { "webhooks": app.webhooks.entries() } });
    Ok(Json(body).into_response())
}
