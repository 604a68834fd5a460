//! `ls`, `show`, `alerts`, `webhooks`: looking, once.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::text::mask_number;
use crate::call::{CallId, CallReport, CallStatus, Direction, Severity, Track, UtteranceReport};
use crate::cli::args::{AlertsArgs, LsArgs, OneCall, WebhooksArgs};
use crate::cli::config::Config;
use crate::cli::out::{self, Table};
use crate::cli::{Failure, Outcome};
use crate::engine::{Clock, ENDED_SHOWN};

use super::Client;

/// Calls asked for at once; the backend's own limit.
const PAGE: &str = "200";
/// Past calls printed by `ls --all`.
const ALL_MAX: usize = 10_000;
/// How often `webhooks --follow` asks.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Debug, Deserialize)]
struct Page {
    calls: Vec<CallReport>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct One {
    call: Whole,
}

#[derive(Debug, Deserialize)]
struct Whole {
    #[serde(flatten)]
    report: CallReport,
    /// `None` for a token that may not read transcripts.
    #[serde(default)]
    utterances: Option<Vec<UtteranceReport>>,
    /// The operator who speaks in the agent's place.
    #[serde(default)]
    held_by: Option<String>,
}

pub async fn ls(args: &LsArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let live: Answer<Page> = client.get(client.url(&["api", "calls", "active"])).await?;
    let mut calls = live.data.calls;
    calls.sort_by_key(|call| std::cmp::Reverse(call.started_at));
    if !args.live {
        let known: BTreeSet<String> = calls.iter().map(|call| call.id.to_string()).collect();
        let past = past(&client, args.all).await?;
        let new = past
            .into_iter()
            .filter(|call| !known.contains(&call.id.to_string()));
        calls.extend(new);
    }
    if as_json {
        return calls.iter().try_for_each(out::json);
    }
    if calls.is_empty() {
        crate::cli::config_verbs::notice("no calls");
        return Ok(());
    }
    let headings = [
        "ID", "STATUS", "TIME", "", "NUMBER", "NAME", "AGENT", "TURN", "SCORE", "WHY",
    ];
    let mut table = Table::new(&headings);
    for call in &calls {
        table.row(row(call));
    }
    table.print()
}

/// Ended calls: those the board still shows, or all.
async fn past(client: &Client, all: bool) -> Outcome<Vec<CallReport>> {
    let recent = chrono::Duration::from_std(ENDED_SHOWN).unwrap_or_default();
    let since = Clock::start().now() - recent;
    let mut calls = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut url = client.url(&["api", "calls"]);
        url.query_pairs_mut().append_pair("limit", PAGE);
        if let Some(cursor) = &cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let page: Answer<Page> = client.get(url).await?;
        let before = calls.len();
        let shown = |call: &CallReport| all || call.ended_at.is_none_or(|at| at > since);
        calls.extend(page.data.calls.into_iter().filter(shown));
        cursor = page.data.next;
        // Newest first: a page with nothing recent is followed by older ones only.
        let is_over = !all && calls.len() == before;
        if cursor.is_none() || is_over || calls.len() >= ALL_MAX {
            return Ok(calls);
        }
    }
}

fn row(call: &CallReport) -> [String; 10] {
    let (arrow, number) = match call.direction {
        Direction::Inbound => ("in", &call.from),
        Direction::Outbound => ("out", &call.to),
    };
    let dash = || "–".to_owned();
    let why: Vec<String> = call
        .alerts
        .iter()
        .map(|alert| {
            let mark = if alert.severity == Severity::Critical {
                "!"
            } else {
                ""
            };
            format!("{}{mark}", alert.rule)
        })
        .chain(call.end_cause.clone())
        .collect();
    [
        call.id.to_string(),
        call.status.as_str().to_owned(),
        call.duration_s.map_or_else(dash, clock_text),
        arrow.to_owned(),
        masked(number),
        call.name.clone().unwrap_or_else(dash),
        call.agent.clone().unwrap_or_else(dash),
        call.turn_p95_ms
            .map_or_else(dash, |ms| format!("{:.1} s", f64::from(ms) / 1000.0)),
        call.score.map_or_else(dash, |score| format!("{score:.1}")),
        why.join(", "),
    ]
}

/// A table is often read over a shoulder: numbers are masked whoever asks.
fn masked(number: &str) -> String {
    if number.contains('•') {
        number.to_owned()
    } else {
        mask_number(number)
    }
}

/// `04:31`, or `1:04:31`.
fn clock_text(seconds: u32) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

pub async fn show(args: &OneCall, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let url = client.url(&["api", "calls", &args.call]);
    let one: Answer<One> = client.get(url).await?;
    let Whole {
        report,
        utterances,
        held_by,
    } = one.data.call;
    if as_json {
        let mut fields = match serde_json::to_value(&report) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        fields.insert("utterances".into(), json!(utterances));
        fields.insert("held_by".into(), json!(held_by));
        return out::json(&fields);
    }
    let mut facts = facts(&report);
    if let Some(by) = held_by {
        facts.push(("speaks", by));
    }
    let mut table = Table::default();
    for (name, value) in facts {
        table.row([name.to_owned(), value]);
    }
    table.print()?;
    let Some(utterances) = utterances else {
        return out::line("\nthis token may not read transcripts");
    };
    if utterances.is_empty() {
        return Ok(());
    }
    out::line("")?;
    utterances
        .iter()
        .try_for_each(|said| out::line(&said_line(said)))
}

fn facts(call: &CallReport) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("call", call.id.to_string()),
        (
            "carrier",
            match &call.carrier_call_id {
                Some(id) => format!("{} {id}", call.carrier),
                None => call.carrier.clone(),
            },
        ),
        ("from", masked(&call.from)),
        ("to", masked(&call.to)),
        ("status", call.status.as_str().to_owned()),
        ("started", stamp(call.started_at)),
    ];
    let mut add = |name, value: Option<String>| {
        if let Some(value) = value {
            rows.push((name, value));
        }
    };
    add("name", call.name.clone());
    add("lead", call.lead_id.clone());
    add("agent", call.agent.clone());
    add("answered", call.answered_at.map(stamp));
    add(
        "answered by",
        call.answered_by.map(|who| who.as_str().to_owned()),
    );
    add("ended", call.ended_at.map(stamp));
    add("ended by", call.ended_by.clone());
    add("cause", call.end_cause.clone());
    add("duration", call.duration_s.map(clock_text));
    add("disposition", call.disposition.clone());
    if call.status == CallStatus::InProgress {
        add("agent link", Some(call.agent_link.as_str().to_owned()));
        add("media link", Some(call.media_link.as_str().to_owned()));
    }
    let turns = call.turn_p50_ms.zip(call.turn_p95_ms);
    add(
        "turns",
        turns.map(|(p50, p95)| format!("p50 {p50} ms, p95 {p95} ms")),
    );
    add(
        "bridge score",
        call.score.map(|score| format!("{score:.1}")),
    );
    let alerts: Vec<&str> = call
        .alerts
        .iter()
        .map(|alert| alert.rule.as_str())
        .collect();
    add("alerts", (!alerts.is_empty()).then(|| alerts.join(", ")));
    add(
        "listening",
        (!call.listeners.is_empty()).then(|| call.listeners.join(", ")),
    );
    add(
        "recording",
        call.recording
            .as_ref()
            .and_then(|recording| recording.url.clone()),
    );
    add("cost", call.cost_usd.map(|usd| format!("${usd:.2}")));
    rows
}

fn stamp(at: DateTime<Utc>) -> String {
    at.with_timezone(&chrono::Local)
        .format("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// One line of a transcript: time, who, what, how long the caller waited.
pub fn said_line(said: &UtteranceReport) -> String {
    let who = match said.track {
        Track::FromCaller => "caller",
        Track::FromAgent => "agent",
        Track::FromOperator => "operator",
    };
    let latency = said
        .latency_ms
        .map(|ms| format!("  [{:.1} s]", f64::from(ms) / 1000.0))
        .unwrap_or_default();
    let cut = said
        .cut_at_ms
        .map(|ms| format!("  [cut off after {:.1} s]", f64::from(ms) / 1000.0))
        .unwrap_or_default();
    let at = said.at.with_timezone(&chrono::Local).format("%H:%M:%S");
    let text = crate::call::text::clean(&said.text).replace('\n', " ");
    format!("{at} {who:<9}{text}{latency}{cut}")
}

/// An alert that stands, with its call.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Standing {
    pub id: CallId,
    pub carrier_call_id: Option<String>,
    pub number: String,
    pub agent: Option<String>,
    pub rule: String,
    pub severity: Severity,
    pub reason: String,
    pub value: f64,
    pub threshold: f64,
    pub since: DateTime<Utc>,
    pub evidence: Vec<u32>,
    pub acknowledged_by: Option<String>,
    pub snoozed_until: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct AllStanding {
    alerts: Vec<Standing>,
}

/// The alerts that stand, of one call or of all, the worst first.
pub async fn standing(client: &Client, call: Option<&str>) -> Outcome<Vec<Standing>> {
    let id = match call {
        Some(call) => Some(resolve(client, call).await?),
        None => None,
    };
    let all: Answer<AllStanding> = client.get(client.url(&["api", "alerts"])).await?;
    let mut alerts = all.data.alerts;
    alerts.retain(|alert| id.is_none_or(|id| id == alert.id));
    Ok(alerts)
}

pub async fn alerts(args: &AlertsArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let alerts = standing(&client, None).await?;
    if as_json {
        alerts.iter().try_for_each(out::json)?;
    } else if alerts.is_empty() {
        crate::cli::config_verbs::notice("nothing asks for attention");
    } else {
        let now = Clock::start().now();
        let mut table = Table::new(&[
            "SEVERITY", "SINCE", "RULE", "WHY", "CALL", "NUMBER", "AGENT", "TAKEN",
        ]);
        for alert in alerts {
            table.row(alert_row(alert, now));
        }
        table.print()?;
    }
    if !args.follow {
        return Ok(());
    }
    super::follow::alerts(&args.remote, config, as_json).await
}

fn alert_row(alert: Standing, now: DateTime<Utc>) -> [String; 8] {
    let severity = match alert.severity {
        Severity::Info => "info",
        Severity::Warn => "warning",
        Severity::Critical => "critical",
    };
    let snoozed = alert.snoozed_until.filter(|until| *until > now);
    let taken = match (alert.acknowledged_by, snoozed) {
        (Some(by), _) => format!("by {by}"),
        (None, Some(until)) => {
            let until = until.with_timezone(&chrono::Local).format("%H:%M");
            format!("snoozed until {until}")
        }
        (None, None) => String::new(),
    };
    let since = u32::try_from((now - alert.since).num_seconds().max(0)).unwrap_or(u32::MAX);
    [
        severity.to_owned(),
        clock_text(since),
        alert.rule,
        alert.reason,
        alert.id.to_string(),
        masked(&alert.number),
        alert.agent.unwrap_or_else(|| "–".to_owned()),
        taken,
    ]
}

#[derive(Debug, Deserialize)]
struct Webhooks {
    webhooks: Vec<Value>,
}

pub async fn webhooks(args: &WebhooksArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let url = client.url(&["api", "webhooks"]);
    let mut printed: BTreeSet<String> = BTreeSet::new();
    loop {
        let answer: Answer<Webhooks> = client.get(url.clone()).await?;
        let mut entries = answer.data.webhooks;
        entries.sort_by_key(|entry| entry["at"].as_str().unwrap_or_default().to_owned());
        let present: BTreeSet<String> = entries.iter().map(ToString::to_string).collect();
        for entry in &entries {
            if !printed.contains(&entry.to_string()) {
                webhook(entry, as_json)?;
            }
        }
        if !args.follow {
            if entries.is_empty() && !as_json {
                crate::cli::config_verbs::notice("no webhook has come yet");
            }
            return Ok(());
        }
        printed = present;
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(FOLLOW_EVERY) => {}
        }
    }
}

fn webhook(entry: &Value, as_json: bool) -> Outcome {
    if as_json {
        return out::json(entry);
    }
    let word = |name: &str| {
        let text = entry[name].as_str().unwrap_or_default();
        crate::call::text::clean_label(text).into_owned()
    };
    let at: Option<DateTime<Utc>> = word("at").parse().ok();
    let at = at.map_or_else(|| word("at"), stamp);
    out::line(&format!(
        "{at}  {:<8} {:<32} {:<18} {}",
        word("carrier"),
        word("path"),
        word("verdict"),
        entry["status"]
    ))?;
    let given = word("advice");
    let advice = if given.is_empty() {
        mending(&word("verdict"))
    } else {
        &given
    };
    if advice.is_empty() {
        return Ok(());
    }
    out::line(&format!("    → {advice}"))
}

/// What to do about a verdict that comes without advice of its own.
fn mending(verdict: &str) -> &'static str {
    match verdict {
        "missing_signature" => "not from the carrier, or a proxy strips the signature header",
        "malformed_signature" => "a proxy rewrites the signature header, or somebody is trying",
        "wrong_secret" => {
            "the secret configured here is not the one it was signed with; if it was rotated, set the \
             new one; otherwise it is forged"
        }
        "clock_skew" => "set this machine's clock (NTP), or it is an old delivery sent again",
        "not_configured" => "set the vendor's secret; `wallboard doctor` names it",
        _ => "",
    }
}

/// The id a user gave, as the backend knows it, so that an unknown call is said at once.
pub async fn resolve(client: &Client, call: &str) -> Outcome<crate::call::CallId> {
    let one: Answer<One> = client
        .get(client.url(&["api", "calls", call]))
        .await
        .map_err(|failure: Failure| match failure.exit {
            crate::cli::Exit::NotFound => Failure::not_found(
                format!("there is no call {call}"),
                "`wallboard ls` lists them; our id and the carrier's both work",
            ),
            _ => failure,
        })?;
    Ok(one.data.call.report.id)
}
