//! `audit`: who did what, to which call, why, and what came of it.

use chrono::Local;
use serde::Deserialize;

use crate::cli::args::AuditArgs;
use crate::cli::config::Config;
use crate::cli::out::{self, Table};
use crate::cli::{Failure, Outcome};
use crate::engine::AuditEntry;

use super::Client;

#[derive(Debug, Deserialize)]
struct Answer {
    data: Trail,
}

#[derive(Debug, Deserialize)]
struct Trail {
    audit: Vec<AuditEntry>,
}

/// Prints the newest rows first, as the page does.
pub async fn audit(args: &AuditArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let mut url = client.url(&["api", "audit"]);
    url.query_pairs_mut()
        .append_pair("limit", &args.limit.to_string());
    let answer: Answer = client.get(url).await?;
    let rows = answer.data.audit;
    if as_json {
        return rows.iter().try_for_each(out::json);
    }
    if rows.is_empty() {
        crate::cli::config_verbs::notice("nobody has done anything yet");
        return Ok::<(), Failure>(());
    }
    let mut table = Table::new(&["WHEN", "WHO", "FROM", "DID", "RESULT", "CALL", "WHY"]);
    for row in rows {
        table.row(cells(row));
    }
    table.print()
}

fn cells(row: AuditEntry) -> [String; 7] {
    let dash = || "–".to_owned();
    [
        row.at
            .with_timezone(&Local)
            .format("%m-%d %H:%M:%S")
            .to_string(),
        row.by,
        row.from.unwrap_or_else(dash),
        row.verb.replace('_', " "),
        row.result,
        row.call.map_or_else(dash, |call| call.to_string()),
        row.reason.unwrap_or_default(),
    ]
}
