//! Looking into the past: pages of calls, newest first, with search over what was said.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::call::{Call, CallId, LeadMessage, StoreLevel};
use crate::engine::{AuditEntry, HistoryPage, HistoryQuery};

use super::lines::{self, Wanted};

/// Calls on one page at most.
const PAGE_MAX: usize = 200;
/// Calls on a page nobody gave a size for.
const PAGE: usize = 50;
/// Transcript lines of each call in a list.
const LIST_LINES: u32 = 20;
/// Transcript lines of one call that was asked for by id.
const CALL_LINES: u32 = 20_000;
/// Newest utterances a search looks at: a word that everybody says must not read the whole file.
const MATCHES_MAX: usize = 50_000;

/// One page. A list carries the last lines of each call; a call asked for by id carries them all.
pub(super) fn page(connection: &Connection, query: &HistoryQuery) -> rusqlite::Result<HistoryPage> {
    if query.audit {
        let limit = query.limit.clamp(1, PAGE_MAX);
        return Ok(HistoryPage {
            audit: audit_trail(connection, limit)?,
            ..HistoryPage::default()
        });
    }
    if let Some(id) = query.call {
        let found = lines::load(connection, &id.to_string(), Wanted::All(CALL_LINES))?;
        return Ok(HistoryPage {
            items: found.into_iter().collect(),
            ..HistoryPage::default()
        });
    }
    let limit = match query.limit {
        0 => PAGE,
        some => some.min(PAGE_MAX),
    };
    let (filter, values) = conditions(query);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, state FROM calls WHERE {filter} ORDER BY id DESC LIMIT {}",
        limit + 1
    ))?;
    let found = statement.query_map(params_from_iter(values), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let found: Vec<(String, String)> = found.collect::<Result<_, _>>()?;
    let next = match found.get(limit) {
        Some(_) => found.get(limit - 1).map(|(id, _)| id.clone()),
        None => None,
    };
    let mut items = Vec::new();
    for (id, state) in found.iter().take(limit) {
        items.extend(readable(
            id,
            lines::with_lines(connection, id, state, Wanted::Last(LIST_LINES)),
        )?);
    }
    Ok(HistoryPage {
        items,
        next,
        ..HistoryPage::default()
    })
}

/// The conditions of a query and their values, in order.
fn conditions(query: &HistoryQuery) -> (String, Vec<Value>) {
    let mut parts = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut with = |part: &str, value: Value| {
        values.push(value);
        parts.push(part.replace('?', &format!("?{}", values.len())));
    };
    // A cursor that is not an id of ours would compare as text and skip at random.
    let cursor = query.cursor.as_deref().map(str::parse::<CallId>);
    match cursor {
        Some(Ok(id)) => with("id < ?", id.to_string().into()),
        Some(Err(_)) => with("? = 1", 0.into()),
        None => {}
    }
    if let Some(lead) = &query.lead_id {
        with("lead_id = ?", lead.clone().into());
    }
    if let Some(since) = query.since {
        with("started_at >= ?", since.timestamp_millis().into());
    }
    let text = query.text.as_deref().map(str::trim).unwrap_or_default();
    if !text.is_empty() {
        let like = format!("%{}%", text.replace(['\\', '%', '_'], ""));
        values.push(like.into());
        let like = values.len();
        let mut any =
            format!("name LIKE ?{like} OR from_number LIKE ?{like} OR to_number LIKE ?{like}");
        if let Some(phrase) = quoted(text) {
            values.push(phrase.into());
            let phrase = values.len();
            any = format!(
                "{any} OR id IN (SELECT call_id FROM utterances WHERE id IN (
                    SELECT rowid FROM utterances_fts WHERE utterances_fts MATCH ?{phrase}
                    ORDER BY rowid DESC LIMIT {MATCHES_MAX}))"
            );
        }
        parts.push(format!("({any})"));
    }
    (parts.join(" AND "), values)
}

/// User input as a full-text query: every word in quotes, so that nothing in it is an operator, and
/// the last one as a beginning, so that results come while typing. `None` when no word is left.
pub(super) fn quoted(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"").replace('\0', "")))
        .collect();
    if words.is_empty() {
        return None;
    }
    Some(format!("{}*", words.join(" ")))
}

/// The newest text messages of a lead, oldest first.
pub(super) fn messages(
    connection: &Connection,
    lead: &str,
    limit: usize,
) -> rusqlite::Result<Vec<(DateTime<Utc>, LeadMessage)>> {
    let mut statement = connection.prepare_cached(
        "SELECT at, id, sent_by, channel, phone, text FROM messages
         WHERE lead_id = ?1 ORDER BY at DESC, id DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(rusqlite::params![lead, limit], |row| {
        let message = LeadMessage {
            id: row.get(1)?,
            lead_id: lead.to_owned(),
            sent_by: row.get(2)?,
            channel: row.get(3)?,
            phone: row.get(4)?,
            text: row.get(5)?,
            store: StoreLevel::All,
        };
        Ok((time(row.get(0)?), message))
    })?;
    let mut messages: Vec<_> = rows.collect::<Result<_, _>>()?;
    messages.reverse();
    Ok(messages)
}

/// The calls that had not ended, oldest first.
pub(super) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<Call>> {
    let mut statement =
        connection.prepare("SELECT id, state FROM calls WHERE live = 1 ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut calls = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, state): (String, String) = (row.get(0)?, row.get(1)?);
        calls.extend(readable(
            &id,
            lines::with_lines(connection, &id, &state, Wanted::AsHeld),
        )?);
    }
    Ok(calls)
}

/// A call whose JSON cannot be read is left out, loudly: it must not hide all the others.
fn readable(id: &str, call: rusqlite::Result<Call>) -> rusqlite::Result<Option<Call>> {
    match call {
        Err(rusqlite::Error::FromSqlConversionFailure(_, _, error)) => {
            tracing::error!(call = id, %error, "a call in the journal cannot be read");
            metrics::counter!("wallboard_journal_unreadable_total").increment(1);
            Ok(None)
        }
        other => other.map(Some),
    }
}

pub(super) fn audit_trail(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<AuditEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT at, who, client, verb, call_id, command_id, reason, result FROM audit
         ORDER BY id DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([limit as i64], |row| {
        let id = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let command = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Ok(AuditEntry {
            at: time(row.get(0)?),
            by: row.get(1)?,
            from: row.get(2)?,
            verb: row.get(3)?,
            call: id(row.get(4)?),
            command: command(row.get(5)?),
            reason: row.get(6)?,
            result: row.get(7)?,
        })
    })?;
    rows.collect()
}

pub(super) fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}
