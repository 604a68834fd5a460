//! Text messages of a lead, and everything said with it in one line of time.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{ErrorCode, Fact, LeadMessage, StoreLevel, Verb};
use crate::engine::{LeadTimeline, Target, random};

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::leads;
use super::super::shape;
use super::super::state::App;
use super::success;

/// Characters of one message.
const TEXT_MAX: usize = 8_000;

type Answer = Result<Json<Value>, ApiError>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
struct Given {
    #[serde(alias = "message", alias = "content")]
    text: String,
    #[serde(default, alias = "sentBy")]
    sent_by: Option<String>,
    #[serde(default, alias = "type")]
    channel: Option<String>,
    #[serde(default)]
    id: Option<String>,
}

fn sees(caller: &Caller, lead: &str) -> Result<(), ApiError> {
    if caller.grant().sees_lead(Some(lead)) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::Forbidden,
        "this token may not see that lead",
        "ask for a token with this lead",
    ))
}

async fn read(app: &App, lead: &str) -> Result<LeadTimeline, ApiError> {
    let read = app.core.lead_timeline(lead).await;
    read.map_err(|error| ApiError::new(ErrorCode::Unavailable, error.to_string(), "try again"))
}

/// `GET /api/leads/{id}/messages`: text and voice, oldest first, at most 200.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(lead): Path<String>,
) -> Answer {
    caller.need(Verb::Transcript)?;
    sees(&caller, &lead)?;
    let timeline = read(&app, &lead).await?;
    let messages: Vec<Value> = timeline.said.iter().map(leads::message).collect();
    let data = json!({ "leadId": lead, "count": messages.len(), "messages": messages });
    Ok(Json(success(app.core.clock, "messages", data)))
}

/// `GET /api/leads/{id}/timeline`: the same with the lead's calls and its last summary.
pub(super) async fn timeline(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(lead): Path<String>,
) -> Answer {
    caller.need(Verb::Transcript)?;
    caller.need(Verb::History)?;
    sees(&caller, &lead)?;
    let timeline = read(&app, &lead).await?;
    let (now, numbers) = (app.core.clock.now(), caller.numbers());
    let calls: Vec<Value> = timeline
        .calls
        .iter()
        .map(|call| shape::call(call, numbers, now).into())
        .collect();
    let mut data = leads::history(&timeline, &lead, numbers);
    data["calls"] = calls.into();
    Ok(Json(success(app.core.clock, "timeline", data)))
}

/// `POST /api/leads/{id}/messages`: adds a text. Answered once it is kept; the same id, or the same
/// `Idempotency-Key`, is taken once.
pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(lead): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    caller.need(Verb::Note)?;
    sees(&caller, &lead)?;
    let given: Given = serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid(error.to_string(), r#"send {"text":"…"}"#))?;
    let text: String = given.text.trim().chars().take(TEXT_MAX).collect();
    if text.is_empty() {
        return Err(ApiError::invalid(
            "the message is empty",
            r#"send {"text":"…"}"#,
        ));
    }
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    let id = given.id.as_deref().or(key).map_or_else(
        || crate::providers::hex(&random::<16>()),
        |key| format!("{}/{key}", caller.grant().user),
    );
    let seen = format!("message/{lead}/{id}");
    let told_before = app.seen.contains(&seen);
    if !told_before {
        let message = LeadMessage {
            id: id.clone(),
            lead_id: lead.clone(),
            sent_by: given.sent_by.unwrap_or_else(|| caller.grant().user.clone()),
            channel: given.channel.unwrap_or_else(|| "text".to_owned()),
            phone: None,
            text,
            store: StoreLevel::All,
        };
        let fact = Fact::LeadMessaged { message };
        app.core
            .switchboard
            .post_stored(Target::Backend, vec![fact])
            .await?;
        app.seen.insert(&seen);
    }
    let data = json!({ "leadId": lead, "id": id, "duplicate": told_before });
    Ok(Json(success(app.core.clock, "message kept", data)))
}
