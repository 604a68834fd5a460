//! Calls with their transcripts as a file: JSON Lines or CSV, page by page, so that its size does not
//! matter. And the opposite: everything of one lead removed.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Call, ErrorCode, Rows, Verb};
use crate::engine::{AuditEntry, HistoryQuery};

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::state::App;
use super::success;

/// Calls read at once.
const PAGE: usize = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    format: Rows,
    #[serde(default, alias = "leadId")]
    lead_id: Option<String>,
    #[serde(default)]
    since: Option<chrono::DateTime<chrono::Utc>>,
    #[serde(default, alias = "q")]
    text: Option<String>,
}

/// An export under way.
struct Export {
    app: Arc<App>,
    caller: Caller,
    format: Rows,
    query: Option<HistoryQuery>,
    headed: bool,
}

/// `GET /api/export?format=jsonl|csv`.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    caller.need(Verb::Export)?;
    note(&app, &caller, "export", wanted.lead_id.as_deref());
    let kind = match wanted.format {
        Rows::Jsonl => "application/x-ndjson",
        Rows::Csv => "text/csv; charset=utf-8",
    };
    let export = Export {
        query: Some(HistoryQuery {
            text: wanted.text,
            lead_id: wanted.lead_id,
            since: wanted.since,
            limit: PAGE,
            ..HistoryQuery::default()
        }),
        app,
        caller,
        format: wanted.format,
        headed: false,
    };
    let pages = stream::try_unfold(export, async |mut export| {
        let page = export.next().await?;
        Ok::<_, std::io::Error>(page.map(|page| (page, export)))
    });
    let mut response = Response::new(Body::from_stream(pages));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

impl Export {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let mut text = String::new();
        if !std::mem::replace(&mut self.headed, true) {
            text.push_str(self.format.head());
        }
        // An empty page would end the body: look on until there is something, or nothing more.
        while let Some(mut query) = self.query.take() {
            let journal = &self.app.core.journal;
            let page = journal
                .history(query.clone())
                .await
                .map_err(std::io::Error::other)?;
            for call in &page.items {
                if self.caller.sees(call) {
                    let whole = self.whole(call).await?;
                    let now = self.app.core.clock.now();
                    self.format
                        .write(&whole, self.caller.numbers(), now, &mut text);
                }
            }
            query.cursor = page.next;
            self.query = query.cursor.is_some().then_some(query);
            if !text.is_empty() {
                break;
            }
        }
        Ok((!text.is_empty()).then(|| text.into()))
    }

    /// The call with all its lines: a list carries only the last ones.
    async fn whole(&self, call: &Call) -> std::io::Result<Call> {
        let query = HistoryQuery {
            call: Some(call.id),
            limit: 1,
            ..HistoryQuery::default()
        };
        let page = self.app.core.journal.history(query).await;
        let found = page
            .map_err(std::io::Error::other)?
            .items
            .into_iter()
            .next();
        Ok(found.unwrap_or_else(|| call.clone()))
    }
}

/// `DELETE /api/leads/{id}`: removes its calls, messages and recordings for good. What comes later
/// about those calls is not taken.
pub(super) async fn purge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(lead): Path<String>,
) -> Result<Json<Value>, ApiError> {
    caller.need(Verb::Config)?;
    if !caller.grant().sees_lead(Some(&lead)) {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "this token may not touch that lead",
            "ask for a token with this lead",
        ));
    }
    let is_live = app.core.switchboard.read(|board| {
        board
            .live()
            .any(|call| call.facts.lead_id.as_deref() == Some(lead.as_str()))
    });
    if is_live {
        return Err(ApiError::new(
            ErrorCode::Conflict,
            "this lead is in a call",
            "try again when it has ended",
        ));
    }
    let gone = app
        .core
        .journal
        .purge_lead(lead.clone())
        .await
        .map_err(|error| ApiError::new(ErrorCode::Unavailable, error.to_string(), "try again"))?;
    app.core.switchboard.forget_lead(lead.clone()).await?;
    note(&app, &caller, "purge_lead", Some(&lead));
    let data = json!({
        "leadId": lead, "calls": gone.calls, "messages": gone.messages,
        "recordings": gone.recordings,
    });
    Ok(Json(success(app.core.clock, "removed", data)))
}

fn note(app: &App, caller: &Caller, verb: &str, lead: Option<&str>) {
    let entry = AuditEntry {
        at: app.core.clock.now(),
        by: caller.grant().user.clone(),
        from: None,
        verb: verb.to_owned(),
        call: None,
        command: None,
        reason: lead.map(|lead| format!("lead {lead}")),
        result: "done".to_owned(),
    };
    if let Err(error) = app.core.journal.audit(entry) {
        tracing::warn!(%error, verb, "not audited");
    }
}
