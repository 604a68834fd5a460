//! The vendor's HTTP side: the socket's handshake, refused as the vendor refuses it.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::conversation::Conversation;
use super::state::Shared;
use super::wire::Words;

#[derive(Deserialize)]
struct Asked {
    model: Option<String>,
}

fn refuse(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = axum::Json(json!({"error": {
        "type": "invalid_request_error", "code": code, "message": message, "param": null,
    }}));
    (status, body).into_response()
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/realtime", any(socket))
        .fallback(async || refuse(404, "unknown_url", "Unknown request URL"))
        .with_state(shared)
}

async fn socket(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let cfg = &shared.cfg;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let key = header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or("");
    if !bool::from(key.as_bytes().ct_eq(cfg.api_key.as_bytes())) {
        return refuse(401, "invalid_api_key", "Incorrect API key provided");
    }
    if let Some(status) = cfg.faults.refuse_signed_url {
        return refuse(status, "simulated", "simulated refusal");
    }
    if shared.draw(|rng| rng.chance(cfg.faults.rate_limit_pct)) {
        return refuse(429, "rate_limit_exceeded", "Too many requests");
    }
    let speaks_beta = header("openai-beta") == Some("realtime=v1");
    if speaks_beta != cfg.beta {
        return refuse(
            400,
            "beta_api_shape_disabled",
            "The Realtime Beta API is no longer supported",
        );
    }
    let model = asked.model.unwrap_or_default();
    let known = cfg.models.is_empty() || cfg.models.contains(&model);
    if model.is_empty() || !known {
        return refuse(404, "model_not_found", "The model does not exist");
    }
    let entry = shared.open(&model);
    let words = Words::new(cfg.beta);
    upgrade
        .protocols(["realtime"])
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(16 * 1024 * 1024)
        .on_upgrade(move |socket| {
            Conversation {
                shared,
                entry,
                socket,
                words,
            }
            .run()
        })
}
