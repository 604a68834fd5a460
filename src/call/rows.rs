//! Calls as rows of a file: CSV for spreadsheets, JSON Lines for programs. The one place where a row
//! is made, whoever writes the file.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::json;

use super::text::{clean, clean_json};
use super::{Call, CallReport, LineBody, Numbers, utterances};

const COLUMNS: &str = "id,lead_id,name,carrier,direction,from,to,agent,status,started_at,ended_at,\
    duration_s,summary,sentiment,transcript\r\n";

/// How a list of calls is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rows {
    /// One object a line: the call as `CallReport` has it, `utterances` and `analysis`.
    #[default]
    Jsonl,
    /// One row a call, after a row of column names (RFC 4180).
    Csv,
}

impl Rows {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "jsonl" | "json" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// The format's name, and what a file of it ends in.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }

    /// What stands before the first row.
    pub fn head(self) -> &'static str {
        match self {
            Self::Jsonl => "",
            Self::Csv => COLUMNS,
        }
    }

    /// Appends one call as it stands at `now`, its line end included. Every text is cleaned; the
    /// transcript holds the lines `call` holds, so a list's calls are to be read whole first.
    pub fn write(self, call: &Call, numbers: Numbers, now: DateTime<Utc>, into: &mut String) {
        let report = CallReport::of(call, numbers, now);
        match self {
            Self::Jsonl => {
                let mut row = serde_json::to_value(&report).unwrap_or_default();
                row["utterances"] = json!(utterances(call));
                row["analysis"] = json!(call.analysis);
                into.push_str(&clean_json(row).to_string());
                into.push('\n');
            }
            Self::Csv => csv(call, &report, into),
        }
    }
}

fn csv(call: &Call, report: &CallReport, into: &mut String) {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let analysis = call.analysis.as_ref();
    let said: Vec<String> = call
        .lines
        .iter()
        .filter(|line| !line.is_unheard())
        .filter_map(|line| match &line.body {
            LineBody::Speech { track, text, .. } => {
                Some(format!("{}: {}", track.role(), clean(text)))
            }
            _ => None,
        })
        .collect();
    let direction = serde_json::to_value(call.facts.direction).unwrap_or_default();
    let of = |text: Option<&String>| {
        text.map(|text| clean(text).into_owned())
            .unwrap_or_default()
    };
    let cells = [
        call.id.to_string(),
        of(call.facts.lead_id.as_ref()),
        of(call.facts.name.as_ref()),
        of(Some(&call.facts.carrier)),
        direction.as_str().unwrap_or_default().to_owned(),
        of(Some(&report.from)),
        of(Some(&report.to)),
        of(call.facts.agent.as_ref()),
        call.status.as_str().to_owned(),
        time(call.started_at),
        call.ended_at.map(time).unwrap_or_default(),
        report.duration_s.map(|s| s.to_string()).unwrap_or_default(),
        of(analysis.and_then(|analysis| analysis.summary.as_ref())),
        of(analysis.and_then(|analysis| analysis.sentiment.as_ref())),
        said.join("\n"),
    ];
    into.push_str(&record(&cells));
}

/// One record (RFC 4180).
fn record(cells: &[String]) -> String {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let written = writer.write_record(cells.iter().map(|text| harmless(text).into_owned()));
    // Memory takes every record, and it is made of text.
    let bytes = written.ok().and_then(|()| writer.into_inner().ok());
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// What a spreadsheet would run as a formula begins with an apostrophe; a phone number is none.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_number = text.len() > 1
        && text.strip_prefix('+').is_some_and(|rest| {
            rest.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'*')
        });
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    if runs {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallFacts, CallId, CallStatus};

    #[test]
    fn cells_are_quoted_and_run_nothing() {
        let rows = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\nbye", "\"say \"\"hi\"\"\nbye\""),
            ("=1+1", "'=1+1"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+14155550134", "+14155550134"),
            ("+cmd|x", "'+cmd|x"),
        ];
        for (text, expected) in rows {
            let record = record(&[text.to_owned(), "next".to_owned()]);
            assert_eq!(record, format!("{expected},next\r\n"));
        }
    }

    #[test]
    fn a_row_has_a_cell_for_every_column_and_no_number_that_is_not_to_be_seen() {
        let at = "2026-11-21T04:00:00Z".parse().unwrap();
        let facts = CallFacts {
            carrier: "plivo".into(),
            from: "+14155550134".into(),
            to: "+15555550200".into(),
            name: Some("=HYPERLINK(\u{1b}[2J)".into()),
            ..CallFacts::default()
        };
        let id = CallId::from_parts(1, [7; 10]);
        let call = Call::new(id, facts, CallStatus::Completed, at);
        for rows in [Rows::Csv, Rows::Jsonl] {
            for (numbers, is_seen) in [(Numbers::Whole, true), (Numbers::Masked, false)] {
                let mut text = String::new();
                rows.write(&call, numbers, at, &mut text);
                assert_eq!(text.contains("+14155550134"), is_seen, "{text}");
                assert!(!text.contains('\u{1b}') && text.ends_with('\n'), "{text}");
                assert_eq!(Rows::parse(rows.as_str()), Some(rows));
            }
        }
        let mut row = String::new();
        Rows::Csv.write(&call, Numbers::Whole, at, &mut row);
        let commas = |text: &str| text.matches(',').count();
        assert_eq!(commas(&row), commas(Rows::Csv.head()));
        assert!(row.contains(",'=HYPERLINK"), "{row}");
    }
}
