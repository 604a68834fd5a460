//! Leads: looking at them, and taking in somebody's list.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{ErrorCode, Lead, LeadRow, Verb};
use crate::engine::{LeadQuery, StoreError};

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::shape::stamp;
use super::super::state::App;
use super::success;

/// Leads taken in one request; longer lists come in several.
const ROWS_MAX: usize = 1_000;

type Answer = Result<Json<Value>, ApiError>;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default, alias = "q")]
    text: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Given {
    Many { leads: Vec<Value> },
    One(Value),
}

/// `GET /api/leads`: in the order of their ids, a page at a time.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Answer {
    caller.need(Verb::History)?;
    let query = LeadQuery {
        text: wanted.text,
        after: wanted.after,
        limit: wanted.limit.unwrap_or_default(),
    };
    let page = app.core.journal.leads(query).await.map_err(unavailable)?;
    let leads: Vec<Value> = page
        .items
        .iter()
        .filter(|lead| caller.grant().sees_lead(Some(&lead.id)))
        .map(|lead| shown(lead, &caller))
        .collect();
    let data = json!({ "count": leads.len(), "leads": leads, "next": page.next });
    Ok(Json(success(app.core.clock, "leads", data)))
}

/// `POST /api/leads`: one lead, or `{"leads":[…]}`. Every good row is kept; a bad one is named by its
/// place and says why, and takes no other down with it.
pub(super) async fn keep(State(app): State<Arc<App>>, caller: Caller, body: Bytes) -> Answer {
    caller.need(Verb::Dial)?;
    let rows = match serde_json::from_slice(&body) {
        Ok(Given::Many { leads }) => leads,
        Ok(Given::One(lead @ Value::Object(_))) => vec![lead],
        Ok(Given::One(_)) | Err(_) => {
            return Err(ApiError::invalid(
                "the body is no lead",
                r#"send {"id":"L1","name":"Ana","number":"+14155550134"} or {"leads":[…]}"#,
            ));
        }
    };
    if rows.len() > ROWS_MAX {
        return Err(ApiError::invalid(
            format!("{} leads at once", rows.len()),
            format!("send at most {ROWS_MAX} in one request"),
        ));
    }
    let now = app.core.clock.now();
    let mut good = Vec::new();
    let mut rejected = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let lead = serde_json::from_value::<LeadRow>(row)
            .map_err(|error| error.to_string())
            .and_then(|row| row.checked(now))
            .and_then(|lead| {
                let may = caller.grant().sees_lead(Some(&lead.id));
                may.then_some(lead)
                    .ok_or_else(|| "this token may not touch that lead".to_owned())
            });
        match lead {
            Ok(lead) => good.push(lead),
            Err(message) => rejected.push(json!({ "index": index, "message": message })),
        }
    }
    let kept = good.len();
    app.core
        .journal
        .keep_leads(good)
        .await
        .map_err(unavailable)?;
    let data = json!({ "accepted": kept, "rejected": rejected });
    Ok(Json(success(app.core.clock, "leads kept", data)))
}

fn shown(lead: &Lead, caller: &Caller) -> Value {
    json!({
        "id": lead.id,
        "name": lead.name,
        "number": lead.number.as_deref().map(|number| caller.numbers().show(number)),
        "call_status": lead.call_status,
        "transferred_to_human": lead.transferred_to_human,
        "last_call": lead.last_call,
        "fields": lead.fields,
        "updated_at": stamp(lead.updated_at),
    })
}

fn unavailable(error: StoreError) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, error.to_string(), "try again")
}
