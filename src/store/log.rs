//! The call log and the leads: what became of a call and of the person, in the words of whoever
//! works through a list.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::call::{Call, Lead, LeadKey, LineBody, Track, lead_status};
use crate::engine::{LeadPage, LeadQuery};

use super::pending::unwritable;

/// Leads on one page at most.
const PAGE_MAX: usize = 1_000;
/// Leads on a page nobody gave a size for.
const PAGE: usize = 100;
const COLUMNS: &str =
    "id, name, number, call_status, transferred_to_human, last_call, fields, updated_at";

/// `called` from the start on; `transferred` once somebody has picked up, and for good.
pub(super) fn write_lead(connection: &Connection, call: &Call) -> rusqlite::Result<()> {
    let Some(lead) = &call.facts.lead_id else {
        return Ok(());
    };
    // An older call of the same lead may still send late news: the newest call speaks for it.
    connection
        .prepare_cached(
            "INSERT INTO leads (id, name, last_call, call_status, transferred_to_human, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET
                name = coalesce(excluded.name, name), last_call = excluded.last_call,
                call_status = CASE WHEN transferred_to_human = 1 THEN call_status
                    ELSE excluded.call_status END,
                transferred_to_human = max(transferred_to_human, excluded.transferred_to_human),
                updated_at = excluded.updated_at
             WHERE excluded.last_call >= last_call",
        )?
        .execute(params![
            lead,
            call.facts.name,
            call.id.to_string(),
            status(call),
            transferred(call),
            call.updated_at.timestamp_millis()
        ])?;
    Ok(())
}

/// The row of the call's start, what a transfer adds to it, and the whole of it at the end.
pub(super) fn write_log(connection: &Connection, call: &Call) -> rusqlite::Result<()> {
    let reason = call
        .transfer
        .as_ref()
        .and_then(|transfer| transfer.reason.clone());
    if call.is_live() {
        // Written only when it says something new: this runs with every line of a live call.
        connection
            .prepare_cached(
                "INSERT INTO call_log (call_id, lead_id, status, carrier_status, transferred,
                    transfer_reason, transcript)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, '')
                 ON CONFLICT (call_id) DO UPDATE SET lead_id = excluded.lead_id,
                    status = excluded.status, carrier_status = excluded.carrier_status,
                    transferred = excluded.transferred,
                    transfer_reason = excluded.transfer_reason
                 WHERE status <> excluded.status OR transfer_reason IS NOT excluded.transfer_reason
                    OR carrier_status IS NOT excluded.carrier_status
                    OR lead_id IS NOT excluded.lead_id",
            )?
            .execute(params![
                call.id.to_string(),
                call.facts.lead_id,
                status(call),
                call.status.as_str(),
                transferred(call),
                reason
            ])?;
        return Ok(());
    }
    let summary = call
        .analysis
        .as_ref()
        .and_then(|analysis| analysis.summary.clone());
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO call_log (call_id, lead_id, status, carrier_status,
                transferred, transfer_reason, duration_s, transcript, summary, ended_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            call.id.to_string(),
            call.facts.lead_id,
            status(call),
            call.status.as_str(),
            transferred(call),
            reason,
            talked_s(call),
            transcript(call),
            summary,
            call.ended_at.map(|at| at.timestamp_millis())
        ])?;
    Ok(())
}

/// A row of somebody's list. What became of a known lead stays what it is.
pub(super) fn import_lead(connection: &Connection, lead: &Lead) -> rusqlite::Result<()> {
    let fields = serde_json::to_string(&lead.fields).map_err(unwritable)?;
    connection
        .prepare_cached(
            "INSERT INTO leads (id, name, number, fields, last_call, call_status,
                transferred_to_human, imported_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, '', ?5, 0, ?6, ?6)
             ON CONFLICT (id) DO UPDATE SET
                name = coalesce(excluded.name, name), number = coalesce(excluded.number, number),
                fields = CASE excluded.fields WHEN '{}' THEN fields ELSE excluded.fields END,
                imported_at = excluded.imported_at, updated_at = excluded.updated_at",
        )?
        .execute(params![
            lead.id,
            lead.name,
            lead.number,
            fields,
            lead_status::NEW,
            lead.updated_at.timestamp_millis()
        ])?;
    Ok(())
}

pub(super) fn lead(connection: &Connection, key: &LeadKey) -> rusqlite::Result<Option<Lead>> {
    let (column, value) = match key {
        LeadKey::Id(id) => ("id", id),
        LeadKey::Number(number) => ("number", number),
    };
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM leads WHERE {column} = ?1 ORDER BY updated_at DESC LIMIT 1"
        ))?
        .query_row([value], read)
        .optional()
}

pub(super) fn leads(connection: &Connection, query: &LeadQuery) -> rusqlite::Result<LeadPage> {
    let limit = match query.limit {
        0 => PAGE,
        some => some.min(PAGE_MAX),
    };
    let mut parts = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    if let Some(after) = &query.after {
        parts.push("id > ?");
        values.push(after.clone().into());
    }
    let text = query.text.as_deref().map(str::trim).unwrap_or_default();
    if !text.is_empty() {
        let like = format!("%{}%", text.replace(['\\', '%', '_'], ""));
        parts.push("(name LIKE ? OR id LIKE ? OR number LIKE ?)");
        values.extend(std::iter::repeat_n(Value::from(like), 3));
    }
    let filter = parts.join(" AND ");
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM leads WHERE {filter} ORDER BY id LIMIT {}",
        limit + 1
    ))?;
    let rows = statement.query_map(params_from_iter(values), read)?;
    let mut items: Vec<Lead> = rows.collect::<Result<_, _>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|lead| lead.id.clone());
    Ok(LeadPage { items, next })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Lead> {
    let (last_call, fields): (String, String) = (row.get(5)?, row.get(6)?);
    let updated_at: i64 = row.get(7)?;
    Ok(Lead {
        id: row.get(0)?,
        name: row.get(1)?,
        number: row.get(2)?,
        call_status: row.get(3)?,
        transferred_to_human: row.get(4)?,
        last_call: last_call.parse().ok(),
        fields: serde_json::from_str(&fields).unwrap_or_default(),
        updated_at: chrono::DateTime::from_timestamp_millis(updated_at).unwrap_or_default(),
    })
}

fn status(call: &Call) -> &'static str {
    if transferred(call) {
        lead_status::TRANSFERRED
    } else {
        lead_status::CALLED
    }
}

fn transferred(call: &Call) -> bool {
    call.transfer
        .as_ref()
        .is_some_and(|transfer| transfer.state == "connected")
}

/// From the answer to the end, seconds; nothing for a call that nobody answered.
fn talked_s(call: &Call) -> Option<u32> {
    call.answered_at?;
    Some(call.elapsed_s(call.ended_at?))
}

fn transcript(call: &Call) -> String {
    let mut text = String::new();
    for line in call.lines.iter().filter(|line| !line.is_unheard()) {
        if let LineBody::Speech {
            track, text: said, ..
        } = &line.body
        {
            let who = match track {
                Track::FromCaller => "caller",
                Track::FromAgent => "agent",
                Track::FromOperator => "operator",
            };
            text.push_str(who);
            text.push_str(": ");
            text.push_str(said);
            text.push('\n');
        }
    }
    text
}
