//! Calls with their transcripts as a file: JSON Lines or CSV, page by page, so that its size does not
//! matter. And the opposite: everything of one lead removed.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use chrono::SecondsFormat;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Call, CallReport, ErrorCode, LineBody, Numbers, Verb, utterances};
use crate::engine::{AuditEntry, HistoryQuery};

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::shape::role;
use super::super::state::App;
use super::success;

/// Calls read at once.
const PAGE: usize = 50;
const COLUMNS: &str = "id,lead_id,name,carrier,direction,from,to,agent,status,started_at,ended_at,\
    duration_s,summary,sentiment,transcript\r\n";

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    format: Format,
    #[serde(default, alias = "leadId")]
    lead_id: Option<String>,
    #[serde(default)]
    since: Option<chrono::DateTime<chrono::Utc>>,
    #[serde(default, alias = "q")]
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Jsonl,
    Csv,
}

/// An export under way.
struct Export {
    app: Arc<App>,
    caller: Caller,
    format: Format,
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
        Format::Jsonl => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
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
        if self.format == Format::Csv && !std::mem::replace(&mut self.headed, true) {
            text.push_str(COLUMNS);
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
                    self.write(&whole, &mut text);
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

    fn write(&self, call: &Call, text: &mut String) {
        let now = self.app.core.clock.now();
        let report = CallReport::of(call, self.caller.numbers(), now);
        match self.format {
            Format::Jsonl => {
                let mut row = serde_json::to_value(&report).unwrap_or_default();
                row["utterances"] = json!(utterances(call));
                row["analysis"] = json!(call.analysis);
                text.push_str(&row.to_string());
                text.push('\n');
            }
            Format::Csv => csv_row(call, &report, self.caller.numbers(), text),
        }
    }
}

fn csv_row(call: &Call, report: &CallReport, numbers: Numbers, text: &mut String) {
    let time = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let analysis = call.analysis.as_ref();
    let said: Vec<String> = call
        .lines
        .iter()
        .filter(|line| !line.is_unheard())
        .filter_map(|line| match &line.body {
            LineBody::Speech { track, text, .. } => Some(format!("{}: {text}", role(*track))),
            _ => None,
        })
        .collect();
    let direction = serde_json::to_value(call.facts.direction).unwrap_or_default();
    let cells = [
        call.id.to_string(),
        call.facts.lead_id.clone().unwrap_or_default(),
        call.facts.name.clone().unwrap_or_default(),
        call.facts.carrier.clone(),
        direction.as_str().unwrap_or_default().to_owned(),
        numbers.show(&call.facts.from),
        numbers.show(&call.facts.to),
        call.facts.agent.clone().unwrap_or_default(),
        call.status.as_str().to_owned(),
        time(call.started_at),
        call.ended_at.map(time).unwrap_or_default(),
        report.duration_s.map(|s| s.to_string()).unwrap_or_default(),
        analysis.and_then(|a| a.summary.clone()).unwrap_or_default(),
        analysis
            .and_then(|a| a.sentiment.clone())
            .unwrap_or_default(),
        said.join("\n"),
    ];
    let row: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    text.push_str(&row.join(","));
    text.push_str("\r\n");
}

/// One cell (RFC 4180). What a spreadsheet would run as a formula begins with an apostrophe; a phone
/// number is none.
fn cell(text: &str) -> String {
    let is_number = text.len() > 1
        && text.strip_prefix('+').is_some_and(|rest| {
            rest.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'*')
        });
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    let guarded = if runs {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if guarded.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
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

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_are_quoted_and_run_nothing() {
        let rows = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\nbye", "\"say \"\"hi\"\"\nbye\""),
            ("=1+1", "'=1+1"),
            ("-2", "'-2"),
            ("+14155550134", "+14155550134"),
            ("+cmd|x", "'+cmd|x"),
        ];
        for (text, expected) in rows {
            assert_eq!(cell(text), expected);
        }
    }
}
