//! Answers of Twilio's REST API, read. Figures are strings, nearly everything is nullable, and bodies of
//! failures come in two classes or as HTML. Spec: Twilio docs, "Calls resource", "API errors".

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::call::text::clean;
use crate::call::{AnsweredBy, CallStatus, Direction};
use crate::providers::RestFailure;

use super::{direction, error_text};

/// A call resource. Nearly everything is nullable and figures are strings.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResource {
    pub sid: String,
    /// `None` for a word this build does not know.
    pub status: Option<CallStatus>,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub started_at: Option<DateTime<Utc>>,
    pub duration_s: Option<u32>,
    pub answered_by: Option<AnsweredBy>,
    pub parent_call_sid: Option<String>,
}

#[derive(Deserialize)]
struct RawCall {
    sid: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    direction: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    start_time: Option<String>,
    #[serde(default)]
    date_created: Option<String>,
    #[serde(default)]
    duration: Option<Value>,
    #[serde(default)]
    answered_by: Option<String>,
    #[serde(default)]
    parent_call_sid: Option<String>,
}

impl From<RawCall> for CallResource {
    fn from(raw: RawCall) -> Self {
        let time = |text: &Option<String>| {
            let text = text.as_deref()?;
            DateTime::parse_from_rfc2822(text)
                .ok()
                .map(|at| at.with_timezone(&Utc))
        };
        Self {
            status: raw.status.as_deref().and_then(CallStatus::parse),
            direction: direction(raw.direction.as_deref().unwrap_or_default()),
            from: raw.from.unwrap_or_default(),
            to: raw.to.unwrap_or_default(),
            started_at: time(&raw.start_time).or_else(|| time(&raw.date_created)),
            duration_s: raw.duration.as_ref().and_then(whole),
            answered_by: raw.answered_by.as_deref().map(AnsweredBy::parse),
            parent_call_sid: raw.parent_call_sid,
            sid: raw.sid,
        }
    }
}

fn whole(value: &Value) -> Option<u32> {
    value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .or_else(|| value.as_str()?.parse().ok())
}

/// An answer that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreadable answer: {0}")]
pub struct BadAnswer(String);

impl From<serde_json::Error> for BadAnswer {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// # Errors
/// [`BadAnswer`]
pub fn read_call(body: &[u8]) -> Result<CallResource, BadAnswer> {
    let raw: RawCall = serde_json::from_slice(body)?;
    Ok(raw.into())
}

/// One page of calls, and where the next one is.
///
/// # Errors
/// [`BadAnswer`]
pub fn read_calls(body: &[u8]) -> Result<(Vec<CallResource>, Option<String>), BadAnswer> {
    #[derive(Deserialize)]
    struct Page {
        calls: Vec<RawCall>,
        #[serde(default)]
        next_page_uri: Option<String>,
    }
    let page: Page = serde_json::from_slice(body)?;
    Ok((
        page.calls.into_iter().map(Into::into).collect(),
        page.next_page_uri,
    ))
}

/// The id of a recording that was started or changed.
///
/// # Errors
/// [`BadAnswer`]
pub fn read_recording(body: &[u8]) -> Result<String, BadAnswer> {
    #[derive(Deserialize)]
    struct Raw {
        sid: String,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    Ok(raw.sid)
}

/// The id of a stream that was started.
///
/// # Errors
/// [`BadAnswer`]
pub fn read_stream(body: &[u8]) -> Result<String, BadAnswer> {
    // A `sid`, as that of a recording.
    read_recording(body)
}

/// Reads an error of either class (`code`/`message`, or RFC 9457 `title`/`detail`) or a body that is
/// neither. `about_call` says that the request was about one call: then its absence or wrong state
/// means that it is over.
pub fn read_failure(status: u16, body: &[u8], about_call: bool) -> RestFailure {
    #[derive(Default, Deserialize)]
    struct Raw {
        #[serde(default)]
        code: Option<Value>,
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        title: Option<String>,
        #[serde(default)]
        detail: Option<String>,
    }
    let raw: Raw = serde_json::from_slice(body).unwrap_or_default();
    let code = raw
        .code
        .as_ref()
        .and_then(|code| code.as_i64().or_else(|| code.as_str()?.parse().ok()));
    match (status, code) {
        (_, Some(21_220 | 20_404)) if about_call => RestFailure::AlreadyEnded,
        (404, _) if about_call => RestFailure::AlreadyEnded,
        (401, _) | (_, Some(20_003)) => RestFailure::Unauthorized,
        (429, _) | (_, Some(20_429)) => RestFailure::RateLimited,
        (500.., _) => RestFailure::Unavailable { status },
        _ => {
            let said = raw.message.or(raw.detail).or(raw.title);
            let known = code
                .and_then(|code| error_text(&code.to_string()))
                .map(str::to_owned);
            let message = known.or(said).unwrap_or_else(|| format!("HTTP {status}"));
            RestFailure::Refused {
                code,
                message: clean(&message).chars().take(300).collect(),
            }
        }
    }
}
