//! What the vendor tells after a call: transcript, figures, analysis; or that there was no call.

use serde_json::Value;

use super::look::{Look, number, word};
use super::{EventKind, Speaker};

/// Lines of a transcript taken; a call of hours has fewer.
const LINES_MAX: usize = 5_000;
/// Topics taken.
const TOPICS_MAX: usize = 20;

/// How a call went, in the board's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    Completed,
    Busy,
    NoAnswer,
    Failed,
}

/// A conversation that is over. Nearly everything may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PostCall {
    pub lines: Vec<Spoken>,
    pub result: Option<CallResult>,
    /// A voicemail answered.
    pub voicemail: bool,
    /// Whether the vendor considers it over; a record may be told of while it is made.
    pub over: bool,
    pub reason: Option<String>,
    pub duration_s: Option<u32>,
    pub cost_usd: Option<f64>,
    pub agent_name: Option<String>,
    pub agent_number: Option<String>,
    /// The vendor gave an analysis; each part may be missing in it.
    pub analysed: bool,
    pub summary: Option<String>,
    pub sentiment: Option<String>,
    pub topics: Vec<String>,
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct Spoken {
    pub who: Speaker,
    pub text: String,
    /// Caller stops → first audio, where the vendor measured it.
    pub latency_ms: Option<u32>,
    /// The caller cut it off.
    pub interrupted: bool,
}

impl PostCall {
    pub(super) fn read(look: Look<'_>) -> Self {
        let result = look.word(&["d.metadata.phone_call.call_result"]);
        let status = look.word(&["d.status"]);
        let failed = status.as_deref() == Some("failed");
        Self {
            lines: lines(look),
            result: match result.as_deref() {
                Some("answered" | "voicemail") => Some(CallResult::Completed),
                Some("busy") => Some(CallResult::Busy),
                Some("no_answer" | "no-answer") => Some(CallResult::NoAnswer),
                Some("failed") => Some(CallResult::Failed),
                _ => failed.then_some(CallResult::Failed),
            },
            voicemail: result.as_deref() == Some("voicemail"),
            over: !matches!(status.as_deref(), Some("initiated" | "in-progress")),
            reason: look.word(&["d.metadata.termination_reason", "d.metadata.error.reason"]),
            duration_s: look
                .number(&["d.metadata.call_duration_secs"])
                .and_then(|seconds| u32::try_from(seconds).ok()),
            cost_usd: look
                .at("d.metadata.cost_fiat")
                .and_then(Value::as_f64)
                .filter(|usd| usd.is_finite() && *usd >= 0.0),
            agent_name: look.word(&["d.agent_name"]),
            agent_number: look.word(&["d.metadata.phone_call.agent_number"]),
            analysed: look.at("d.analysis").is_some_and(Value::is_object),
            summary: look.text(&["d.analysis.transcript_summary", "d.analysis.summary"]),
            sentiment: look.text(&[
                "d.analysis.sentiment",
                "d.analysis.data_collection_results.sentiment.value",
            ]),
            topics: topics(look),
        }
    }
}

fn lines(look: Look<'_>) -> Vec<Spoken> {
    let Some(rows) = look.at("d.transcript").and_then(Value::as_array) else {
        return Vec::new();
    };
    rows.iter().take(LINES_MAX).filter_map(spoken).collect()
}

fn spoken(row: &Value) -> Option<Spoken> {
    let text = row.get("message").and_then(word)?;
    let who = match row.get("role").and_then(Value::as_str) {
        Some("user") => Speaker::User,
        _ => Speaker::Agent,
    };
    Some(Spoken {
        who,
        text,
        latency_ms: latency_ms(row),
        interrupted: row.get("interrupted").and_then(Value::as_bool) == Some(true),
    })
}

/// Both shapes of the metrics are in use: nested below `metrics`, and flat.
fn latency_ms(row: &Value) -> Option<u32> {
    const NAME: &str = "convai_ttf_audio_since_silence";
    let metrics = row.get("conversation_turn_metrics")?;
    let metrics = metrics.get("metrics").unwrap_or(metrics);
    let seconds = metrics.get(NAME)?.get("elapsed_time")?.as_f64()?;
    (0.0..3600.0)
        .contains(&seconds)
        .then_some((seconds * 1000.0) as u32)
}

fn topics(look: Look<'_>) -> Vec<String> {
    let places = [
        "d.analysis.topics",
        "d.analysis.data_collection_results.topics.value",
    ];
    let found = places.iter().find_map(|path| match look.at(path)? {
        Value::Array(rows) => Some(rows.iter().filter_map(word).collect::<Vec<_>>()),
        Value::String(text) => Some(
            text.split(',')
                .map(|topic| topic.trim().to_owned())
                .filter(|topic| !topic.is_empty())
                .collect(),
        ),
        _ => None,
    });
    let mut topics = found.unwrap_or_default();
    topics.truncate(TOPICS_MAX);
    topics
}

pub(super) fn not_initiated(look: Look<'_>) -> EventKind {
    let reason = look
        .word(&["d.failure_reason"])
        .unwrap_or_else(|| "unknown".to_owned());
    let sip = look.at("d.metadata.body.sip_status_code").and_then(number);
    let result = match (reason.as_str(), sip) {
        ("busy", _) | (_, Some(486 | 600)) => CallResult::Busy,
        ("no-answer" | "no_answer", _) | (_, Some(408 | 480)) => CallResult::NoAnswer,
        _ => CallResult::Failed,
    };
    let more = look.word(&["d.metadata.body.error_reason"]);
    EventKind::NotInitiated {
        result,
        reason: match more {
            Some(more) => format!("{reason}: {more}"),
            None => reason,
        },
    }
}
