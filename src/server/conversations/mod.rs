//! Conversations whose audio does not pass through here: what the agent vendor, or a relay, tells of
//! them by webhook. They become calls on the board like any other, marked as observed.
//!
//! Way of a webhook: proof over the raw body → reading → told before? → on the board → on disk →
//! answered.

mod audio;
mod desk;
mod door;
mod facts;
mod initiation;
mod monitor;
mod quiet;
mod sources;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::call::Secret;
use crate::engine::ConversationMonitor;

use super::shape::stamp;
use super::state::App;

pub(super) use desk::Conversations;
pub(super) use monitor::watch_conversations;
pub(super) use quiet::end_forgotten;

/// Live events: sentences.
const EVENT_MAX: u64 = 1024 * 1024;
/// Post-call webhooks carry the recording of the whole call, in base64.
const POST_CALL_MAX: u64 = 96 * 1024 * 1024;

const EVENTS: &str = "/api/webhooks/elevenlabs/conversation-events";
const POST_CALL: &str = "/api/webhooks/elevenlabs/post-call";

/// What is configured about the webhooks of conversations.
#[derive(Clone, Debug, Default)]
pub struct ConversationSettings {
    /// Proves them; without it the routes answer 503.
    pub webhook_secret: Option<Secret>,
    /// Whether an agent is configured, for the health answer.
    pub has_agent: bool,
    /// The vendor's monitoring socket, where it shall be used.
    pub monitor: Option<Arc<dyn ConversationMonitor>>,
}

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(EVENTS, get(health).merge(post(events)))
        .route(POST_CALL, get(health).merge(post(post_call)))
        .route(
            "/api/webhooks/elevenlabs/conversation-initiation",
            post(initiation::begin),
        )
}

async fn events(State(app): State<Arc<App>>, request: Request) -> Response {
    door::take(app, EVENTS, EVENT_MAX, request).await
}

async fn post_call(State(app): State<Arc<App>>, request: Request) -> Response {
    door::take(app, POST_CALL, POST_CALL_MAX, request).await
}

async fn health(State(app): State<Arc<App>>) -> Json<Value> {
    let settings = &app.conversation_settings;
    Json(json!({
        "status": "healthy",
        "service": "elevenlabs-conversation-events-webhook",
        "timestamp": stamp(app.core.clock.now()),
        "environment": {
            "hasWebhookSecret": settings.webhook_secret.is_some(),
            "hasAgentId": settings.has_agent,
        },
    }))
}
