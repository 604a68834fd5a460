//! The vendor's HTTP side: the socket's handshake, refused as the vendor refuses it.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
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
        .route("/v1/models/{model}", get(model))
        .fallback(async || refuse(404, "unknown_url", "Unknown request URL"))
        .with_state(shared)
}

fn knows_key(shared: &Shared, headers: &HeaderMap) -> bool {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or("");
    given.as_bytes().ct_eq(shared.cfg.api_key.as_bytes()).into()
}

fn has_model(shared: &Shared, model: &str) -> bool {
    let known = &shared.cfg.models;
    !model.is_empty() && (known.is_empty() || known.iter().any(|name| name == model))
}

async fn model(
    State(shared): State<Arc<Shared>>,
    Path(model): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !knows_key(&shared, &headers) {
        return refuse(401, "invalid_api_key", "Incorrect API key provided");
    }
    if !has_model(&shared, &model) {
        return refuse(404, "model_not_found", "The model does not exist");
    }
    let body = json!({"id": model, "object": "model", "created": 0, "owned_by": "simulated"});
    axum::Json(body).into_response()
}

async fn socket(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let cfg = &shared.cfg;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !knows_key(&shared, &headers) {
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
    if !has_model(&shared, &model) {
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
