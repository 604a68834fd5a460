//! What was said, in any call: full-text search, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{ErrorCode, Track, Verb};
use crate::engine::SearchQuery;

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::shape::stamp;
use super::super::state::App;
use super::success;

const FOUND_MAX: usize = 200;
const FOUND_DEFAULT: usize = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(alias = "text")]
    q: String,
    #[serde(default, alias = "leadId")]
    lead_id: Option<String>,
    #[serde(default)]
    since: Option<chrono::DateTime<chrono::Utc>>,
    #[serde(default)]
    until: Option<chrono::DateTime<chrono::Utc>>,
    /// `user` or `agent`.
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

/// `GET /api/search?q=…`: matching lines of all transcripts.
pub(super) async fn search(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    caller.need(Verb::History)?;
    caller.need(Verb::Transcript)?;
    if wanted.q.trim().is_empty() {
        return Err(ApiError::invalid(
            "search for what?",
            "/api/search?q=refund",
        ));
    }
    let query = SearchQuery {
        text: wanted.q,
        lead_id: wanted.lead_id,
        leads: caller.grant().leads.clone(),
        since: wanted.since,
        until: wanted.until,
        limit: wanted.limit.unwrap_or(FOUND_DEFAULT).clamp(1, FOUND_MAX),
    };
    let found =
        app.core.journal.search(query).await.map_err(|error| {
            ApiError::new(ErrorCode::Unavailable, error.to_string(), "try again")
        })?;
    let rows: Vec<Value> = found
        .iter()
        .filter(|row| {
            let by = wanted.by.as_deref();
            by.is_none_or(|by| row.track.is_some_and(|track| track.role() == by))
        })
        .map(|row| {
            json!({
                "call": row.call,
                "lead_id": row.lead_id,
                "at": stamp(row.at),
                "role": row.track.map(Track::role),
                "text": row.text,
            })
        })
        .collect();
    let data = json!({ "count": rows.len(), "found": rows });
    Ok(Json(success(app.core.clock, "found", data)))
}
