//! `lead`, `search`, `export`, `purge`: what was said, looked at, taken along, and removed.

use serde::Deserialize;
use serde_json::Value;

use crate::call::text::{clean, clean_label};
use crate::cli::args::{ExportArgs, OneLead, PurgeArgs, SearchArgs};
use crate::cli::config::Config;
use crate::cli::out;
use crate::cli::{Failure, Outcome};

use super::Client;

#[derive(Debug, Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Debug, Deserialize)]
struct Timeline {
    messages: Vec<Value>,
    summary: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Matches {
    found: Vec<Value>,
}

/// A field as one line of a terminal.
fn word(row: &Value, field: &str) -> String {
    clean_label(row[field].as_str().unwrap_or_default()).into_owned()
}

/// `2026-11-21 04:00:09`.
fn time(row: &Value, field: &str) -> String {
    let text = word(row, field).replace('T', " ");
    text.chars().take(19).collect()
}

pub async fn lead(args: &OneLead, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let url = client.url(&["api", "leads", &args.lead, "timeline"]);
    if as_json {
        let answer: Answer<Value> = client.get(url).await?;
        return out::json(&answer.data);
    }
    let answer: Answer<Timeline> = client.get(url).await?;
    if answer.data.messages.is_empty() {
        return out::line("nothing was said with this lead");
    }
    for row in &answer.data.messages {
        let text = format!(
            "{}  {:<5}  {:<8}  {}",
            time(row, "timestamp"),
            word(row, "type"),
            word(row, "sentBy"),
            word(row, "content")
        );
        out::line(&text)?;
    }
    match answer.data.summary {
        Some(summary) => out::line(&format!("summary: {}", clean(&summary))),
        None => Ok(()),
    }
}

pub async fn search(args: &SearchArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let mut url = client.url(&["api", "search"]);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("q", &args.text);
        query.append_pair("limit", &args.limit.to_string());
        let rest = [
            ("lead_id", &args.lead),
            ("since", &args.since),
            ("by", &args.by),
        ];
        for (name, value) in rest {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
    }
    let answer: Answer<Matches> = client.get(url).await?;
    for row in &answer.data.found {
        if as_json {
            out::json(row)?;
        } else {
            let text = format!(
                "{}  {}  {:<8}  {:<5}  {}",
                time(row, "at"),
                word(row, "call"),
                word(row, "lead_id"),
                word(row, "role"),
                word(row, "text")
            );
            out::line(&text)?;
        }
    }
    if answer.data.found.is_empty() && !as_json {
        return out::line("nothing found");
    }
    Ok(())
}

pub async fn export(args: &ExportArgs, config: &Config) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let mut url = client.url(&["api", "export"]);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("format", &args.format);
        for (name, value) in [("lead_id", &args.lead), ("since", &args.since)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
    }
    let mut response = client.open(url).await?;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => out::write_all(&chunk)?,
            Ok(None) => return Ok(()),
            Err(error) => {
                return Err(Failure::failed(
                    format!("the export broke off: {error}"),
                    "look at the backend's log, then try again",
                ));
            }
        }
    }
}

pub async fn purge(args: &PurgeArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let url = client.url(&["api", "leads", &args.lead]);
    let answer: Answer<Value> = client.delete(url).await?;
    if as_json {
        return out::json(&answer.data);
    }
    let count = |field: &str| answer.data[field].as_u64().unwrap_or(0);
    let text = format!(
        "removed: {} calls, {} messages, {} recordings",
        count("calls"),
        count("messages"),
        count("recordings")
    );
    out::line(&text)
}
