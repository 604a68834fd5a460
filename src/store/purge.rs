//! Removing one lead: its calls, what was said, its recordings and messages. The ids of its calls
//! stay behind as tombstones, so that nothing late brings them back.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::engine::PurgedLead;

use super::retention::{self, Gone};

/// # Errors
/// The file cannot be written; nothing but recording files may have gone then.
pub(super) fn lead(
    connection: &Connection,
    folder: &Path,
    lead: &str,
    now_ms: i64,
) -> rusqlite::Result<(PurgedLead, Gone)> {
    let ids: Vec<String> = {
        let mut statement =
            connection.prepare("SELECT id FROM calls WHERE lead_id = ?1 AND live = 0")?;
        let rows = statement.query_map([lead], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
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
