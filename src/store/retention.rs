//! Retention: what is removed after how many days. Works in small steps, so that writing is never
//! held up for long.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::journal::SqliteJournal;
use super::recordings;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Calls removed in one transaction.
const STEP: usize = 200;
/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// Days each kind is kept; `None` keeps it for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Everything about an ended call, transcript and recordings included.
    pub calls_days: Option<u32>,
    /// What was said; the call itself stays.
    pub transcripts_days: Option<u32>,
    /// Recording files.
    pub recordings_days: Option<u32>,
    /// The timeline and the figures.
    pub events_days: Option<u32>,
    pub audit_days: Option<u32>,
}

/// What a purge removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    pub calls: usize,
    pub transcripts: usize,
    pub recordings: usize,
    pub events: usize,
    pub audit: usize,
}

#[derive(Debug, Default)]
pub(super) struct Gone {
    pub(super) calls: HashSet<String>,
    purged: Purged,
}

impl Gone {
    pub(super) fn count(&self) -> Purged {
        self.purged
    }
}

impl SqliteJournal {
    /// Purges now and then, until the tasks end.
    pub fn keep_retention(&self, retention: Retention) {
        if retention == Retention::default() {
            return;
        }
        let journal = self.clone();
        self.tasks().spawn("retention", async move {
            let mut ticks = tokio::time::interval(EVERY);
            let token = journal.tasks().token().clone();
            loop {
                // Cancel-safe: a tick that loses is simply taken later.
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                match journal.purge(retention).await {
                    Ok(purged) if purged == Purged::default() => {}
                    Ok(purged) => tracing::info!(?purged, "old data removed"),
                    Err(error) => tracing::warn!(%error, "old data could not be removed"),
                }
            }
        });
    }
}

pub(super) fn purge(
    connection: &Connection,
    folder: &Path,
    retention: &Retention,
    now_ms: i64,
) -> rusqlite::Result<Gone> {
    let mut gone = Gone::default();
    let before = |days: u32| now_ms - i64::from(days) * DAY_MS;
    if let Some(days) = retention.recordings_days {
        gone.purged.recordings += files(connection, folder, before(days))?;
    }
    if let Some(days) = retention.calls_days {
        while calls(connection, folder, before(days), &mut gone)? == STEP {}
    }
    if let Some(days) = retention.transcripts_days {
        while transcripts(connection, before(days), &mut gone)? == STEP {}
        connection.execute("DELETE FROM messages WHERE at < ?1", [before(days)])?;
    }
    if let Some(days) = retention.events_days {
        for (table, column) in [("events", "at"), ("turns", "at"), ("quality", "at")] {
            gone.purged.events += connection.execute(
                &format!("DELETE FROM {table} WHERE {column} < ?1"),
                [before(days)],
            )?;
        }
    }
    if let Some(days) = retention.audit_days {
        gone.purged.audit =
            connection.execute("DELETE FROM audit WHERE at < ?1", [before(days)])?;
    }
    Ok(gone)
}

/// Removes recording files and remembers that they are gone.
fn files(connection: &Connection, folder: &Path, before: i64) -> rusqlite::Result<usize> {
    let ids = column(
        connection,
        "SELECT r.file_id FROM recordings r JOIN calls c ON c.id = r.call_id
         WHERE r.file_id IS NOT NULL AND c.ended_at < ?1",
        before,
    )?;
    remove(connection, folder, &ids)
}

fn remove(connection: &Connection, folder: &Path, ids: &[String]) -> rusqlite::Result<usize> {
    let mut removed = 0;
    for id in ids {
        if recordings::remove_file(folder, id) {
            connection.execute(
                "UPDATE recordings SET file_id = NULL, state = 'removed' WHERE file_id = ?1",
                [id],
            )?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn calls(
    connection: &Connection,
    folder: &Path,
    before: i64,
    gone: &mut Gone,
) -> rusqlite::Result<usize> {
    let ids = column(
        connection,
        &format!("SELECT id FROM calls WHERE live = 0 AND ended_at < ?1 LIMIT {STEP}"),
        before,
    )?;
    let count = ids.len();
    remove_calls(connection, folder, &ids, gone)?;
    Ok(count)
}

/// Removes calls with all that belongs to them.
pub(super) fn remove_calls(
    connection: &Connection,
    folder: &Path,
    ids: &[String],
    gone: &mut Gone,
) -> rusqlite::Result<()> {
    for id in ids {
        let files = {
            let mut statement = connection.prepare_cached(
                "SELECT file_id FROM recordings WHERE call_id = ?1 AND file_id IS NOT NULL",
            )?;
            let rows = statement.query_map([id], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        gone.purged.recordings += remove(connection, folder, &files)?;
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for id in ids {
        for table in [
            "utterances",
            "turns",
            "quality",
            "alerts",
            "recordings",
            "events",
            "call_log",
        ] {
            transaction
                .prepare_cached(&format!("DELETE FROM {table} WHERE call_id = ?1"))?
                .execute([id])?;
        }
        transaction
            .prepare_cached("DELETE FROM leads WHERE last_call = ?1 AND imported_at IS NULL")?
            .execute([id])?;
        // Somebody's list outlives the calls made from it.
        transaction
            .prepare_cached("UPDATE leads SET last_call = '' WHERE last_call = ?1")?
            .execute([id])?;
        transaction
            .prepare_cached("DELETE FROM calls WHERE id = ?1")?
            .execute([id])?;
    }
    transaction.commit()?;
    gone.purged.calls += ids.len();
    gone.calls.extend(ids.iter().cloned());
    Ok(())
}

fn transcripts(connection: &Connection, before: i64, gone: &mut Gone) -> rusqlite::Result<usize> {
    let ids = column(
        connection,
        &format!(
            "SELECT id FROM calls WHERE live = 0 AND ended_at < ?1
             AND EXISTS (SELECT 1 FROM utterances WHERE call_id = calls.id) LIMIT {STEP}"
        ),
        before,
    )?;
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for id in &ids {
        unsay(&transaction, id)?;
    }
    transaction.commit()?;
    gone.purged.transcripts += ids.len();
    let count = ids.len();
    // What is folded in memory still has the lines.
    gone.calls.extend(ids);
    Ok(count)
}

/// Removes what was said in a call and what was made of it; the call itself stays.
pub(super) fn unsay(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    for script in [
        "DELETE FROM utterances WHERE call_id = ?1",
        "UPDATE call_log SET transcript = '', summary = NULL WHERE call_id = ?1",
        "UPDATE calls SET state = json_remove(state, '$.analysis') WHERE id = ?1",
        "DELETE FROM events WHERE call_id = ?1 AND type LIKE 'utterance%'",
        "DELETE FROM events WHERE call_id = ?1 AND type IN
            ('tool_called', 'tool_returned', 'conversation_analysed', 'whispered', 'dtmf')",
    ] {
        connection.prepare_cached(script)?.execute(params![id])?;
    }
    Ok(())
}

fn column(connection: &Connection, query: &str, before: i64) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([before], |row| row.get(0))?;
    rows.collect()
}
