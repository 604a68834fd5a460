//! Looking at calls: live ones from the board, past ones from the journal.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Call, ErrorCode, Verb, utterances};
use crate::engine::HistoryQuery;

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::shape;
use super::super::state::App;
use super::success;

const PAGE_MAX: usize = 200;
const PAGE_DEFAULT: usize = 50;

type Answer = Result<Json<Value>, ApiError>;

#[derive(Debug, Default, Deserialize)]
pub(super) struct PastQuery {
    #[serde(default, alias = "q")]
    text: Option<String>,
    #[serde(default, alias = "leadId")]
    lead_id: Option<String>,
    #[serde(default)]
    since: Option<chrono::DateTime<chrono::Utc>>,
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default, alias = "count")]
    limit: Option<usize>,
}

/// Live calls, oldest first.
pub(super) async fn active(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    caller.need(Verb::View)?;
    let now = app.core.clock.now();
    let numbers = caller.numbers();
    let calls: Vec<Value> = app.core.switchboard.read(|board| {
        board
            .live()
            .filter(|call| caller.sees(call))
            .map(|call| shape::call(call, numbers, now).into())
            .collect()
    });
    let data = json!({ "count": calls.len(), "calls": calls });
    Ok(Json(success(app.core.clock, "active calls", data)))
}

/// The alerts that stand, the worst first, then the oldest.
pub(super) async fn alerts(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    caller.need(Verb::View)?;
    let numbers = caller.numbers();
    let mut standing = app.core.switchboard.read(|board| {
        let calls = board.live().filter(|call| caller.sees(call));
        calls
            .flat_map(|call| {
                call.alerts.iter().map(move |alert| {
                    let row = json!({
                        "id": call.id,
                        "carrier_call_id": call.facts.carrier_call_id,
                        "number": numbers.show(call.caller_number()),
                        "agent": call.facts.agent,
                        "rule": alert.rule,
                        "severity": alert.severity,
                        "reason": alert.reason,
                        "value": alert.value,
                        "threshold": alert.threshold,
                        "since": alert.since,
                        "evidence": alert.evidence,
                        "acknowledged_by": alert.acknowledged_by,
                        "snoozed_until": alert.snoozed_until,
                    });
                    (alert.severity, alert.since, row)
                })
            })
            .collect::<Vec<_>>()
    });
    standing.sort_by(|(a, since_a, _), (b, since_b, _)| b.cmp(a).then(since_a.cmp(since_b)));
    let rows: Vec<Value> = standing.into_iter().map(|(_, _, row)| row).collect();
    let data = json!({ "count": rows.len(), "alerts": rows });
    Ok(Json(success(app.core.clock, "alerts", data)))
}

/// All calls, newest first, a page at a time.
pub(super) async fn past(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<PastQuery>,
) -> Answer {
    caller.need(Verb::History)?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let wanted = HistoryQuery {
        text: query.text.filter(|text| !text.trim().is_empty()),
        lead_id: query.lead_id,
        since: query.since,
        cursor: query.cursor,
        limit,
        ..HistoryQuery::default()
    };
    let page =
        app.core.journal.history(wanted).await.map_err(|error| {
            ApiError::new(ErrorCode::Unavailable, error.to_string(), "try again")
        })?;
    let now = app.core.clock.now();
    let numbers = caller.numbers();
    let calls: Vec<Value> = page
        .items
        .iter()
        .filter(|call| caller.sees(call))
        .map(|call| {
            // The board is ahead of the disk.
            let live = app.core.switchboard.read(|board| {
                board
                    .get(call.id)
                    .map(|call| shape::call(call, numbers, now))
            });
            live.unwrap_or_else(|| shape::call(call, numbers, now))
                .into()
        })
        .collect();
    let data = json!({ "count": calls.len(), "calls": calls, "next": page.next });
    Ok(Json(success(app.core.clock, "calls", data)))
}

/// One call with its transcript.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(key): Path<String>,
) -> Answer {
    let call = find(&app, &caller, &key).await?;
    let now = app.core.clock.now();
    let fields = if caller.grant().allows(Verb::Transcript) {
        shape::call_whole(&call, caller.numbers(), now)
    } else {
        shape::call(&call, caller.numbers(), now)
    };
    Ok(Json(success(
        app.core.clock,
        "call",
        json!({ "call": fields }),
    )))
}

/// What was said, as rows and as one document.
pub(super) async fn transcript(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(key): Path<String>,
) -> Answer {
    caller.need(Verb::Transcript)?;
    let call = find(&app, &caller, &key).await?;
    let data = json!({
        "id": call.id,
        "callSid": call.call_sid(),
        "utterances": utterances(&call),
        "utterances_dropped": call.lines_dropped,
        "transcript": shape::transcript(&call),
    });
    Ok(Json(success(app.core.clock, "transcript", data)))
}

/// The recordings of one call.
pub(super) async fn recordings(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(key): Path<String>,
) -> Answer {
    caller.need(Verb::Recordings)?;
    let call = find(&app, &caller, &key).await?;
    let list: Vec<Value> = call.recordings.iter().map(shape::recording).collect();
    let data = json!({ "callSid": call.call_sid(), "count": list.len(), "recordings": list });
    Ok(Json(success(app.core.clock, "recordings", data)))
}

/// The call of this id, ours or the carrier's, on the board or in the journal. What the caller may
/// not see does not exist.
pub(super) async fn find(app: &App, caller: &Caller, key: &str) -> Result<Call, ApiError> {
    caller.need(Verb::View)?;
    let on_board = app.core.switchboard.read(|board| board.find(key).cloned());
    let call = match on_board {
        Some(call) => Some(call),
        None => in_journal(app, key).await?,
    };
    call.filter(|call| caller.sees(call))
        .ok_or_else(|| ApiError::not_found("call"))
}

async fn in_journal(app: &App, key: &str) -> Result<Option<Call>, ApiError> {
    let journal = &app.core.journal;
    let mut id = key.parse().ok();
    for desk in app.carriers.desks() {
        if id.is_none() {
            let carrier = desk.carrier().to_owned();
            id = journal.ended_call(carrier, key.to_owned()).await;
        }
    }
    let Some(id) = id else { return Ok(None) };
    let query = HistoryQuery {
        call: Some(id),
        limit: 1,
        ..HistoryQuery::default()
    };
    let page = journal
        .history(query)
        .await
        .map_err(|error| ApiError::new(ErrorCode::Unavailable, error.to_string(), "try again"))?;
    Ok(page.items.into_iter().next())
}
