//! `POST /api/webhooks/elevenlabs/conversation-initiation`: the vendor asks, while the phone rings,
//! what its agent should know. It is the first anybody hears of an inbound call on the vendor's own
//! line. Not signed: the vendor sends a header of ours, `Authorization: Bearer wb_…`, of a token that
//! may dial.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};

use crate::call::{ErrorCode, LeadKey, Verb};
use crate::engine::PostError;
use crate::providers::elevenlabs::read_event;

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::state::App;
use super::sources::Source;

pub(super) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    caller.need(Verb::Dial)?;
    let asked: Value = serde_json::from_slice(&body)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| {
            ApiError::invalid("the body is no JSON object", "send caller_id, call_sid")
        })?;
    let event = json!({ "type": "call_initiated", "data": asked }).to_string();
    let event = read_event(event.as_bytes())
        .map_err(|error| ApiError::invalid(error.to_string(), "send caller_id, call_sid"))?;
    let core = &app.core;
    let work = async {
        let taken = app
            .conversations
            .take(core, Source::Webhook, &event)
            .await?;
        core.journal.flush().await?;
        Ok(taken)
    };
    let taken = tokio::time::timeout(app.settings.webhook_wait, work).await;
    let taken = taken.unwrap_or(Err(PostError::Full))?;
    let mut variables = json!({
        "lead_id": "", "customer_name": "", "conversation_context": "",
        "call_id": taken.call, "temp_conversation_id": taken.call,
        "customer_phone": event.clues.phone,
    });
    if let Some(lead) = taken.lead {
        if !caller.grant().sees_lead(Some(&lead)) {
            return Err(ApiError::new(
                ErrorCode::Forbidden,
                "this token may not see that lead",
                "give the vendor a token that sees every lead",
            ));
        }
        variables["conversation_context"] =
            core.lead_context(&lead).await.unwrap_or_default().into();
        let known = core.journal.lead(LeadKey::Id(lead.clone())).await;
        if let Ok(Some(known)) = known {
            variables["customer_name"] = known.name.unwrap_or_default().into();
        }
        variables["lead_id"] = lead.into();
    }
    Ok(Json(json!({
        "type": "conversation_initiation_client_data",
        "dynamic_variables": variables,
    })))
}
