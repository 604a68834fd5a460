//! Writing what is pending: one transaction for everything that came together.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::call::{Call, CallId, LeadMessage, Line, RecordingState};
use crate::engine::AuditEntry;

use super::project::{Projection, Row, Tracked};
use super::{lines, log, marks, retention};

/// Writes all rows and all calls that are behind, or nothing.
pub(super) fn commit(
    connection: &Connection,
    run: i64,
    projection: &Projection,
    rows: &[Row],
) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for tracked in projection.behind() {
        write_call(&transaction, tracked)?;
    }
    for row in rows {
        write_row(&transaction, run, row)?;
    }
    transaction.commit()
}

fn write_call(connection: &Connection, tracked: &Tracked) -> rusqlite::Result<()> {
    let wordless = (!tracked.call.facts.store.keeps_words()).then(|| tracked.call.without_words());
    let call = wordless.as_ref().unwrap_or(&tracked.call);
    let id = call.id.to_string();
    let state = serde_json::to_string(&call.without_lines()).map_err(unwritable)?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO calls (id, carrier, carrier_call_id, direction, from_number,
                to_number, name, lead_id, agent, status, live, started_at, answered_at, ended_at,
                duration_s, state, conversation_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            id,
            call.facts.carrier,
            call.facts.carrier_call_id,
            word(&call.facts.direction),
            call.facts.from,
            call.facts.to,
            call.facts.name,
            call.facts.lead_id,
            call.facts.agent,
            call.status.as_str(),
            call.is_live(),
            call.started_at.timestamp_millis(),
            call.answered_at.map(|at| at.timestamp_millis()),
            call.ended_at.map(|at| at.timestamp_millis()),
            call.duration_s,
            state,
            call.conversation_id,
        ])?;
    for no in &tracked.lines {
        // A line that memory has let go of since was written when it was last changed.
        let at = no.checked_sub(call.lines_dropped);
        if let Some(line) = at.and_then(|at| call.lines.get(at as usize)) {
            write_line(connection, &id, *no, line)?;
        }
    }
    log::write_lead(connection, call)?;
    write_recordings(connection, call)?;
    log::write_log(connection, call)
}

fn write_line(connection: &Connection, call: &str, no: u32, line: &Line) -> rusqlite::Result<()> {
    let (text, settled) = lines::words(line);
    let body = serde_json::to_string(line).map_err(unwritable)?;
    connection
        .prepare_cached(
            "INSERT INTO utterances (call_id, no, turn, at, settled, text, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (call_id, no) DO UPDATE SET
                turn = excluded.turn, at = excluded.at, settled = excluded.settled,
                text = excluded.text, body = excluded.body",
        )?
        .execute(params![
            call,
            no,
            line.turn,
            line.at.timestamp_millis(),
            settled,
            text,
            body
        ])?;
    Ok(())
}

fn write_recordings(connection: &Connection, call: &Call) -> rusqlite::Result<()> {
    for recording in &call.recordings {
        connection
            .prepare_cached(
                "INSERT INTO recordings (call_id, recording, state, duration_s, error, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (call_id, recording) DO UPDATE SET
                    state = CASE WHEN state = 'removed' THEN state ELSE excluded.state END,
                    error = excluded.error,
                    duration_s = coalesce(excluded.duration_s, duration_s),
                    updated_at = excluded.updated_at",
            )?
            .execute(params![
                call.id.to_string(),
                recording.id,
                state_word(recording.state),
                recording.duration_s,
                recording.error,
                call.updated_at.timestamp_millis()
            ])?;
    }
    Ok(())
}

fn write_row(connection: &Connection, run: i64, row: &Row) -> rusqlite::Result<()> {
    match row {
        Row::Event {
            seq,
            at,
            call,
            kind,
            body,
        } => connection
            .prepare_cached(
                "INSERT INTO events (run, seq, at, call_id, type, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![run, *seq as i64, at, text(*call), kind, body])?,
        Row::Turn { call, at, timing } => connection
            .prepare_cached(
                "INSERT INTO turns (call_id, turn, at, latency_ms, ears_ms, token_ms, think_ms,
                    voice_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                call.to_string(),
                timing.turn,
                at,
                timing.latency_ms,
                timing.ears_ms,
                timing.token_ms,
                timing.think_ms,
                timing.voice_ms
            ])?,
        Row::Quality { call, at, quality } => connection
            .prepare_cached(
                "INSERT INTO quality (call_id, at, source, band, bridge_score, jitter_ms, gap_pct,
                    rtt_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                call.to_string(),
                at,
                quality.source,
                word(&quality.band),
                quality.bridge_score,
                quality.jitter_ms,
                quality.gap_pct,
                quality.rtt_ms
            ])?,
        Row::AlertRaised { call, alert } => {
            return write_alert(connection, *call, alert);
        }
        Row::AlertCleared { call, rule, at } => connection
            .prepare_cached(
                "UPDATE alerts SET cleared_at = ?3
                 WHERE call_id = ?1 AND cleared_at IS NULL AND (?2 IS NULL OR rule = ?2)",
            )?
            .execute(params![call.to_string(), rule, at])?,
        Row::AlertAcknowledged { call, rule, by } => connection
            .prepare_cached(
                "UPDATE alerts SET acknowledged_by = ?3
                 WHERE call_id = ?1 AND cleared_at IS NULL AND rule = ?2",
            )?
            .execute(params![call.to_string(), rule, by])?,
        Row::Kept {
            call,
            recording,
            file_id,
            bytes,
            at,
        } => connection
            .prepare_cached(
                "INSERT INTO recordings (call_id, recording, state, file_id, bytes, updated_at)
                 VALUES (?1, ?2, 'completed', ?3, ?4, ?5)
                 ON CONFLICT (call_id, recording) DO UPDATE SET
                    file_id = coalesce(file_id, excluded.file_id), bytes = excluded.bytes",
            )?
            .execute(params![
                call.to_string(),
                recording,
                file_id,
                *bytes as i64,
                at
            ])?,
        Row::Mark { mark, at } => return marks::write(connection, mark, *at),
        Row::Unsaid { call } => return retention::unsay(connection, &call.to_string()),
        Row::Message { at, message } => return write_message(connection, *at, message),
        Row::Audit(entry) => return write_audit(connection, entry),
        Row::Lead(lead) => return log::import_lead(connection, lead),
    };
    Ok(())
}

/// An alert that is raised again says something new of the same row.
fn write_alert(
    connection: &Connection,
    call: CallId,
    alert: &crate::call::Alert,
) -> rusqlite::Result<()> {
    let call = call.to_string();
    let severity = word(&alert.severity);
    let changed = connection
        .prepare_cached(
            "UPDATE alerts SET severity = ?3, reason = ?4, value = ?5, threshold = ?6
             WHERE call_id = ?1 AND rule = ?2 AND cleared_at IS NULL",
        )?
        .execute(params![
            call,
            alert.rule,
            severity,
            alert.reason,
            alert.value,
            alert.threshold
        ])?;
    if changed == 0 {
        connection
            .prepare_cached(
                "INSERT INTO alerts (call_id, rule, severity, reason, value, threshold, since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                call,
                alert.rule,
                severity,
                alert.reason,
                alert.value,
                alert.threshold,
                alert.since.timestamp_millis()
            ])?;
    }
    Ok(())
}

fn write_message(connection: &Connection, at: i64, message: &LeadMessage) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO messages (id, lead_id, at, sent_by, channel, phone, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            message.id,
            message.lead_id,
            at,
            message.sent_by,
            message.channel,
            message.phone,
            message.text
        ])?;
    Ok(())
}

fn write_audit(connection: &Connection, entry: &AuditEntry) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO audit (at, who, client, verb, call_id, command_id, reason, result)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            entry.at.timestamp_millis(),
            entry.by,
            entry.from,
            entry.verb,
            text(entry.call),
            entry.command.map(|command| command.to_string()),
            entry.reason,
            entry.result
        ])?;
    Ok(())
}

fn text(call: Option<CallId>) -> Option<String> {
    call.map(|call| call.to_string())
}

/// The wire word of a unit variant.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn state_word(state: RecordingState) -> String {
    word(&state)
}

pub(super) fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
