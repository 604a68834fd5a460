//! Removing one lead: its calls, what was said, its recordings and messages. The ids of its calls
//! stay behind as tombstones, so that nothing late brings them back. Gone means gone from the disk:
//! SQLite overwrites what it deletes (`secure_delete`), and [`scrub`] does the rest.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::call::{is_apart_of, names_lead_apart};
use crate::engine::PurgedLead;

use super::open::FILE;
use super::retention::{self, Gone};

/// # Errors
/// The file cannot be written; nothing but recording files may have gone then.
pub(super) fn lead(
    connection: &Connection,
    folder: &Path,
    lead: &str,
    now_ms: i64,
) -> rusqlite::Result<(PurgedLead, Gone)> {
    let mut ids: Vec<String> = {
        let mut statement =
            connection.prepare("SELECT id FROM calls WHERE lead_id = ?1 AND live = 0")?;
        let rows = statement.query_map([lead], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    ids.extend(apart(connection, lead)?);
    {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        for column in ["carrier_call_id", "conversation_id"] {
            transaction.execute(
                &format!(
                    "INSERT OR IGNORE INTO graves (key, at)
                     SELECT {column}, ?2 FROM calls
                     WHERE lead_id = ?1 AND live = 0 AND {column} IS NOT NULL"
                ),
                params![lead, now_ms],
            )?;
        }
        transaction.commit()?;
    }
    let mut gone = Gone::default();
    retention::remove_calls(connection, folder, &ids, &mut gone)?;
    let messages = connection.execute("DELETE FROM messages WHERE lead_id = ?1", [lead])?;
    connection.execute("DELETE FROM leads WHERE id = ?1", [lead])?;
    let purged = PurgedLead {
        calls: ids.len(),
        messages,
        recordings: gone.count().recordings,
    };
    Ok((purged, gone))
}

/// Calls that are no lead's because their events named two: this lead, or one of its conversations.
fn apart(connection: &Connection, lead: &str) -> rusqlite::Result<Vec<String>> {
    let conversations: Vec<String> = {
        let mut statement = connection.prepare(
            "SELECT conversation_id FROM calls WHERE lead_id = ?1 AND conversation_id IS NOT NULL
             UNION SELECT carrier_call_id FROM calls
             WHERE lead_id = ?1 AND carrier_call_id IS NOT NULL",
        )?;
        let rows = statement.query_map([lead], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut statement = connection.prepare(
        "SELECT id, carrier_call_id FROM calls
         WHERE lead_id IS NULL AND live = 0 AND carrier_call_id LIKE '% (%)'",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
    let about = |key: &str| {
        names_lead_apart(key, lead) || conversations.iter().any(|id| is_apart_of(key, id))
    };
    Ok(rows
        .into_iter()
        .filter_map(|(id, key)| about(&key).then_some(id))
        .collect())
}

/// Removes what deleting leaves behind: words in the search index, which otherwise only marks them as
/// deleted; the log the deletions were written through; and whole copies of the file that a migration
/// kept, which cannot forget a single lead.
///
/// Costs about two seconds for a million lines of transcript.
///
/// # Errors
/// The file cannot be written; nothing that was deleted comes back, but traces may remain.
pub(super) fn scrub(connection: &Connection, folder: &Path) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO utterances_fts (utterances_fts) VALUES ('optimize')",
        [],
    )?;
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy != 0 {
        tracing::warn!(
            "another program reads the database; traces of what was removed stay in its log until \
             the next checkpoint"
        );
    }
    for copy in copies(folder) {
        match std::fs::remove_file(&copy) {
            Ok(()) => tracing::info!(file = %copy.display(),
                "a copy of an older format is removed: it still held what was purged"),
            Err(error) => tracing::warn!(%error, file = %copy.display(),
                "a copy of an older format still holds what was purged; remove it by hand"),
        }
    }
    Ok(())
}

/// `wallboard.db.v3` and the like.
fn copies(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_copy = |name: &str| {
        let version = name
            .strip_prefix(FILE)
            .and_then(|rest| rest.strip_prefix(".v"));
        version.is_some_and(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            is_copy(entry.file_name().to_str()?).then(|| entry.path())
        })
        .collect()
}
