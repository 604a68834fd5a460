//! The vendor's HTTP side: signed URLs, the agent's formats, conversations, and the socket's upgrade.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::simulator::ulaw;

use super::conversation::Conversation;
use super::state::Shared;

type App = State<Arc<Shared>>;

#[derive(Deserialize)]
struct Asked {
    agent_id: Option<String>,
    conversation_signature: Option<String>,
}

pub(super) fn refuse(status: u16, kind: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = axum::Json(json!({"detail": {"status": kind, "message": message}}));
    (status, body).into_response()
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let keyed = Router::new()
        .route("/v1/convai/conversation/get-signed-url", get(signed_url))
        .route("/v1/convai/conversation/get_signed_url", get(signed_url))
        .route("/v1/convai/conversations", get(list))
        .route("/v1/convai/conversations/{id}", get(fetch))
        .route(
            "/v1/convai/conversations/{id}/monitor",
            any(super::monitor::open),
        )
        .route("/v1/convai/agents/{id}", get(agent))
        .route("/v1/text-to-speech/{voice}", post(speak))
        .route(
            "/v1/convai/twilio/outbound-call",
            post(super::native::outbound_call),
        )
        .route(
            "/v1/user",
            get(|| async { axum::Json(json!({"user_id": "simulated"})) }),
        )
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), gate));
    Router::new()
        .route("/v1/convai/conversation", any(socket))
        .merge(keyed)
        .fallback(|| async { refuse(404, "not_found", "Not Found") })
        .with_state(shared)
}

async fn gate(State(shared): App, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get("xi-api-key")
        .map_or(&b""[..], |v| v.as_bytes());
    if !bool::from(given.ct_eq(shared.cfg.api_key.as_bytes())) {
        return refuse(401, "invalid_api_key", "Invalid API key");
    }
    next.run(request).await
}

fn known(shared: &Shared, agent_id: &str) -> bool {
    let all = &shared.cfg.agent_ids;
    !agent_id.is_empty() && (all.is_empty() || all.iter().any(|id| id == agent_id))
}

async fn signed_url(State(shared): App, Query(asked): Query<Asked>) -> Response {
    let faults = shared.cfg.faults;
    if let Some(status) = faults.refuse_signed_url {
        return refuse(status, "simulated", "simulated refusal");
    }
    if shared.draw(|rng| rng.chance(faults.rate_limit_pct)) {
        return refuse(
            429,
            "too_many_concurrent_requests",
            "Too many concurrent requests",
        );
    }
    let agent_id = asked.agent_id.unwrap_or_default();
    if !known(&shared, &agent_id) {
        return refuse(404, "agent_not_found", "The agent does not exist");
    }
    let mut url = format!("{}/v1/convai/conversation?", shared.ws_base);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("agent_id", &agent_id)
        .append_pair("conversation_signature", &shared.sign())
        .finish();
    url.push_str(&query);
    axum::Json(json!({"signed_url": url})).into_response()
}

async fn socket(
    State(shared): App,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let agent_id = asked.agent_id.unwrap_or_default();
    let key = headers.get("xi-api-key").map_or(&b""[..], |v| v.as_bytes());
    let allowed = match asked.conversation_signature {
        Some(token) => shared.redeem(&token),
        None => bool::from(key.ct_eq(shared.cfg.api_key.as_bytes())),
    };
    if !allowed {
        return refuse(
            403,
            "forbidden",
            "The signed URL is invalid, used or expired",
        );
    }
    if !known(&shared, &agent_id) {
        return refuse(404, "agent_not_found", "The agent does not exist");
    }
    let entry = shared.open(&agent_id);
    upgrade
        .protocols(["convai"])
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(1024 * 1024)
        .on_upgrade(move |socket| {
            Conversation {
                shared,
                entry,
                socket,
            }
            .run()
        })
}

async fn list(State(shared): App) -> Response {
    let now = shared.clock.now().timestamp();
    let all: Vec<_> = shared
        .conversations()
        .iter()
        .rev()
        .map(|e| e.resource(now))
        .collect();
    let page: Vec<_> = all.into_iter().take(100).collect();
    axum::Json(json!({"conversations": page, "next_cursor": null, "has_more": false}))
        .into_response()
}

async fn fetch(State(shared): App, Path(id): Path<String>) -> Response {
    let now = shared.clock.now().timestamp();
    match shared.conversations().iter().find(|entry| entry.id == id) {
        Some(entry) => axum::Json(entry.resource(now)).into_response(),
        None => refuse(404, "document_not_found", "Conversation not found"),
    }
}

#[derive(Deserialize)]
struct Speech {
    text: String,
}

#[derive(Deserialize)]
struct SpeechForm {
    output_format: Option<String>,
}

/// Speech as a tone that lasts as long as the words.
async fn speak(
    Path(voice): Path<String>,
    Query(form): Query<SpeechForm>,
    axum::Json(speech): axum::Json<Speech>,
) -> Response {
    if voice != "voice_sim" || form.output_format.as_deref() != Some("ulaw_8000") {
        return refuse(422, "invalid", "unknown voice or format");
    }
    let ms = (speech.text.chars().count() as u64 * 60).clamp(400, 8_000);
    ulaw::tone(330.0, ms, -14.0).into_response()
}

async fn agent(State(shared): App, Path(id): Path<String>) -> Response {
    if !known(&shared, &id) {
        return refuse(404, "agent_not_found", "The agent does not exist");
    }
    axum::Json(json!({
        "agent_id": id, "name": "Simulated",
        "conversation_config": {
            "tts": {"agent_output_audio_format": shared.cfg.output_format, "voice_id": "voice_sim"},
            "asr": {"user_input_audio_format": shared.cfg.input_format},
            "conversation": {"client_events": ["audio", "interruption", "user_transcript",
                "tentative_user_transcript", "agent_response", "agent_response_correction", "ping",
                "client_tool_call", "agent_tool_request", "agent_tool_response"]},
        },
        "platform_settings": {"auth": {"enable_auth": true}},
    }))
    .into_response()
}
