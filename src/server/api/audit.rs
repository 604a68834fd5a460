//! Who did what, to which call, why, and what came of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::HistoryQuery;

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::state::App;
use super::success;

const ROWS_MAX: usize = 200;
const ROWS_DEFAULT: usize = 50;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    limit: Option<usize>,
}

/// The newest rows first. For whoever manages the tokens and sees every lead.
pub(super) async fn trail(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let query = HistoryQuery {
        audit: true,
        limit: wanted.limit.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX),
        ..HistoryQuery::default()
    };
    let page = app.core.history(caller.grant(), query).await?;
    let data = json!({ "count": page.audit.len(), "audit": page.audit });
    Ok(Json(success(app.core.clock, "audit trail", data)))
}
