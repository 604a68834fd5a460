//! `leads`: a list of people taken in from a CSV file, and looked at.

use std::path::Path;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::LeadRow;
use crate::cli::args::{LeadsImport, LeadsLs, LeadsVerb};
use crate::cli::config::Config;
use crate::cli::out;
use crate::cli::{Failure, Outcome};

use super::Client;

/// Leads sent in one request.
const BATCH: usize = 200;
/// Largest file read, bytes.
const FILE_MAX: u64 = 64 * 1024 * 1024;

pub async fn run(verb: &LeadsVerb, config: &Config, as_json: bool) -> Outcome {
    match verb {
        LeadsVerb::Import(args) => import(args, config, as_json).await,
        LeadsVerb::Ls(args) => ls(args, config, as_json).await,
    }
}

/// A row that was not taken: its line in the file, from 1, and why.
#[derive(Debug, PartialEq, Eq)]
struct Bad {
    line: u64,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Kept {
    data: Counts,
}

#[derive(Debug, Deserialize)]
struct Counts {
    accepted: usize,
    rejected: Vec<Rejected>,
}

#[derive(Debug, Deserialize)]
struct Rejected {
    index: usize,
    message: String,
}

async fn import(args: &LeadsImport, config: &Config, as_json: bool) -> Outcome {
    let (good, mut bad) = read(&args.file)?;
    let client = Client::find(&args.remote, config)?;
    let mut kept = 0;
    for batch in good.chunks(BATCH) {
        let rows: Vec<&LeadRow> = batch.iter().map(|(_, row)| row).collect();
        let url = client.url(&["api", "leads"]);
        let answer: Kept = client.post(url, &json!({ "leads": rows })).await?;
        kept += answer.data.accepted;
        bad.extend(answer.data.rejected.into_iter().map(|rejected| Bad {
            line: batch.get(rejected.index).map_or(0, |(line, _)| *line),
            message: rejected.message,
        }));
    }
    bad.sort_by_key(|bad| bad.line);
    if as_json {
        let rejected: Vec<Value> = bad
            .iter()
            .map(|bad| json!({ "line": bad.line, "message": bad.message }))
            .collect();
        out::json(&json!({ "imported": kept, "rejected": rejected }))?;
    } else {
        out::line(&format!("{kept} leads imported"))?;
        for bad in &bad {
            out::line(&format!("line {}: {}", bad.line, bad.message))?;
        }
    }
    match bad.len() {
        0 => Ok(()),
        count => Err(Failure::failed(
            format!("{count} rows were not imported, all others were"),
            "mend the lines named and import the file again; leads are matched by their id",
        )),
    }
}

/// The rows of a file with their lines, good ones and bad ones.
fn read(path: &Path) -> Outcome<(Vec<(u64, LeadRow)>, Vec<Bad>)> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::usage(
            format!("{} cannot be read: {error}", path.display()),
            "give a CSV file whose first line names its columns: id, name, number",
        )
    };
    let size = std::fs::metadata(path)
        .map_err(|error| unreadable(&error))?
        .len();
    if size > FILE_MAX {
        return Err(unreadable(&"it is larger than 64 MiB"));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(&error))?;
    rows(&bytes).map_err(|error| unreadable(&error))
}

type Rows = (Vec<(u64, LeadRow)>, Vec<Bad>);

/// # Errors
/// The first line names no column a lead is known by.
fn rows(bytes: &[u8]) -> Result<Rows, String> {
    // Spreadsheets put a byte order mark before the first column's name.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let columns = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut probe = LeadRow::default();
    for column in &columns {
        probe.set(column, "x");
    }
    if probe.id.is_none() && probe.number.is_none() {
        return Err("no column is called id or number".to_owned());
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = line_of(bytes, error.position());
                let message = match error.kind() {
                    csv::ErrorKind::UnequalLengths {
                        expected_len, len, ..
                    } => format!("{len} fields where the first line names {expected_len}"),
                    csv::ErrorKind::Utf8 { .. } => "it is not UTF-8 text".to_owned(),
                    _ => error.to_string(),
                };
                bad.push(Bad { line, message });
                continue;
            }
        };
        let line = line_of(bytes, record.position());
        let mut row = LeadRow::default();
        for (column, value) in columns.iter().zip(&record) {
            row.set(column, value);
        }
        // The backend judges too; here it costs no request.
        match row.clone().checked(now()) {
            Ok(_) => good.push((line, row)),
            Err(message) => bad.push(Bad { line, message }),
        }
    }
    Ok((good, bad))
}

/// The line a record begins in, from 1. Its position is that of the blank lines before it.
fn line_of(bytes: &[u8], position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let begin = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let blank = bytes.iter().skip(begin);
    let blank = blank.take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + blank.filter(|byte| **byte == b'\n').count() as u64
}

#[expect(
    clippy::disallowed_methods,
    reason = "only to judge a row; the backend stamps it with its own clock"
)]
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}

#[derive(Debug, Deserialize)]
struct Listed {
    data: Page,
}

#[derive(Debug, Deserialize)]
struct Page {
    leads: Vec<Value>,
    next: Option<String>,
}

async fn ls(args: &LeadsLs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let mut after: Option<String> = None;
    loop {
        let mut url = client.url(&["api", "leads"]);
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", "500");
            if let Some(text) = &args.find {
                query.append_pair("text", text);
            }
            if let Some(after) = &after {
                query.append_pair("after", after);
            }
        }
        let page: Listed = client.get(url).await?;
        for lead in &page.data.leads {
            if as_json {
                out::json(lead)?;
            } else {
                let text = |key: &str| lead[key].as_str().unwrap_or("-").to_owned();
                out::line(&format!(
                    "{:<20} {:<18} {:<12} {}",
                    text("id"),
                    text("number"),
                    text("call_status"),
                    text("name")
                ))?;
            }
        }
        match page.data.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_row_is_named_by_its_line_and_loses_no_other() {
        let file = b"\xef\xbb\xbfid,Phone,Name\n\
            L1,+14155550134,Ana\n\
            L2,0155,Ben\n\
            L3,+14155550136\n\
            \n\
            L4,,\"Roy, Cy\"\n";
        let (good, bad) = rows(file).expect("readable");
        let ids: Vec<_> = good
            .iter()
            .map(|(line, row)| (*line, row.id.clone().unwrap_or_default()))
            .collect();
        assert_eq!(ids, [(2, "L1".to_owned()), (6, "L4".to_owned())]);
        assert_eq!(good[1].1.name.as_deref(), Some("Roy, Cy"));
        assert_eq!(bad[0].line, 3);
        assert!(bad[0].message.contains("no number"), "{bad:?}");
        assert_eq!(
            (bad[1].line, bad[1].message.as_str()),
            (4, "2 fields where the first line names 3")
        );
    }

    #[test]
    fn a_file_without_the_columns_is_refused_whole() {
        assert!(rows(b"a,b\n1,2\n").is_err());
        assert!(rows(b"").is_err());
    }
}
