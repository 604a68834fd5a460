//! Marks of webhooks that were taken: a signed one that is sent again after a restart is recognised.

use rusqlite::{Connection, params};

use crate::engine::WebhookMark;

/// How long a delivery is remembered: much longer than a signature is good for, and as long as
/// vendors try again.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// As many as a running backend remembers.
const READ_MAX: u32 = 16_384;

/// Adds one and lets go of those that are too old.
pub(super) fn write(connection: &Connection, mark: &WebhookMark, at: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM marks WHERE at < ?1")?
        .execute([at - KEPT_MS])?;
    connection
        .prepare_cached("INSERT OR IGNORE INTO marks (mark, at) VALUES (?1, ?2)")?
        .execute(params![mark, at])?;
    Ok(())
}

/// The newest, oldest first.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<WebhookMark>> {
    let mut statement = connection.prepare("SELECT mark FROM marks ORDER BY at DESC LIMIT ?1")?;
    let rows = statement.query_map([READ_MAX], |row| row.get(0))?;
    let mut marks: Vec<WebhookMark> = rows.collect::<Result<_, _>>()?;
    marks.reverse();
    Ok(marks)
}
