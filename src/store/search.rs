//! Looking for words in all transcripts, newest first.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::call::{Line, LineBody};
use crate::engine::{Found, SearchQuery};

use super::history::{quoted, time};

/// Matches looked at before filters that the index does not know.
const MATCHES_MAX: usize = 20_000;

pub(super) fn search(connection: &Connection, query: &SearchQuery) -> rusqlite::Result<Vec<Found>> {
    let Some(phrase) = quoted(&query.text) else {
        return Ok(Vec::new());
    };
    let mut values: Vec<Value> = vec![phrase.into()];
    let mut filter = String::new();
    let mut with = |part: &str, value: Value| {
        values.push(value);
        filter.push_str(&part.replace('?', &format!("?{}", values.len())));
    };
    if let Some(lead) = &query.lead_id {
        with(" AND c.lead_id = ?", lead.clone().into());
    }
    if let Some(since) = query.since {
        with(" AND u.at >= ?", since.timestamp_millis().into());
    }
    if let Some(until) = query.until {
        with(" AND u.at < ?", until.timestamp_millis().into());
    }
    let mut statement = connection.prepare(&format!(
        "SELECT u.call_id, c.lead_id, u.at, u.body, u.text
         FROM (SELECT rowid FROM utterances_fts WHERE utterances_fts MATCH ?1
               ORDER BY rowid DESC LIMIT {MATCHES_MAX}) f
         JOIN utterances u ON u.id = f.rowid JOIN calls c ON c.id = u.call_id
         WHERE 1{filter} ORDER BY u.at DESC, u.id DESC"
    ))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, lead): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        let (at, body, text): (i64, String, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let seen = match (&query.leads, &lead) {
            (None, _) => true,
            (Some(leads), Some(lead)) => leads.contains(lead),
            (Some(_), None) => false,
        };
        let (Ok(call), true) = (id.parse(), seen) else {
            continue;
        };
        let track = match serde_json::from_str::<Line>(&body).map(|line| line.body) {
            Ok(LineBody::Speech { track, .. }) => Some(track),
            Ok(_) | Err(_) => None,
        };
        found.push(Found {
            call,
            lead_id: lead,
            at: time(at),
            track,
            text,
        });
        if found.len() == query.limit {
            break;
        }
    }
    Ok(found)
}
