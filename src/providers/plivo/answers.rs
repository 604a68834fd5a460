//! Answers of Plivo's REST API, read. Figures come as strings or numbers, `error` as text or as an
//! object of field to message. Spec: Plivo docs, "Calls", "Recordings", "API errors" (2026-11).

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::call::text::clean;
use crate::call::{CallStatus, Direction};
use crate::providers::RestFailure;

use super::codes::{status_of, status_word};
use super::e164;

/// A call, live or ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResource {
    pub call_uuid: String,
    /// `None` for a word this build does not know.
    pub status: Option<CallStatus>,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub started_at: Option<DateTime<Utc>>,
    pub duration_s: Option<u32>,
    pub hangup_code: Option<u32>,
    pub hangup_name: Option<String>,
    pub hangup_source: Option<String>,
    /// US dollars.
    pub cost_usd: Option<f64>,
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

/// Live and queued calls (`call_status`, `session_start`, `from`) and ended ones (`hangup_…`,
/// `initiation_time`, `from_number`) have different names for the same things.
#[derive(Deserialize)]
struct RawCall {
    call_uuid: String,
    #[serde(default)]
    call_status: Option<String>,
    #[serde(default, alias = "call_direction")]
    direction: Option<String>,
    #[serde(default, alias = "from_number")]
    from: Option<String>,
    #[serde(default, alias = "to_number")]
    to: Option<String>,
    #[serde(default)]
    session_start: Option<String>,
    #[serde(default)]
    initiation_time: Option<String>,
    #[serde(default)]
    end_time: Option<String>,
    #[serde(default)]
    call_duration: Option<Value>,
    #[serde(default)]
    hangup_cause_code: Option<Value>,
    #[serde(default)]
    hangup_cause_name: Option<String>,
    #[serde(default)]
    hangup_source: Option<String>,
    #[serde(default)]
    total_amount: Option<Value>,
}

impl From<RawCall> for CallResource {
    fn from(raw: RawCall) -> Self {
        let hangup_code = raw.hangup_cause_code.as_ref().and_then(whole);
        let ended = hangup_code.is_some() || raw.end_time.is_some();
        let word = raw.call_status.as_deref();
        let party = |text: Option<String>| text.map(|text| e164(&text)).unwrap_or_default();
        Self {
            status: if ended {
                Some(status_of(hangup_code, None, word))
            } else {
                word.and_then(status_word)
            },
            direction: match raw.direction.as_deref() {
                Some("outbound") => Direction::Outbound,
                _ => Direction::Inbound,
            },
            from: party(raw.from),
            to: party(raw.to),
            started_at: raw
                .session_start
                .as_deref()
                .or(raw.initiation_time.as_deref())
                .and_then(time),
            duration_s: raw.call_duration.as_ref().and_then(whole),
            hangup_code,
            hangup_name: raw.hangup_cause_name,
            hangup_source: raw.hangup_source,
            cost_usd: raw.total_amount.as_ref().and_then(amount),
            call_uuid: raw.call_uuid,
        }
    }
}

/// `2026-11-21 04:00:00+05:30` with its offset, or `2026-11-21 04:00:00.123456`, which is UTC.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z")
        .map(|at| at.with_timezone(&Utc))
        .or_else(|_| {
            NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").map(|at| at.and_utc())
        })
        .ok()
}

fn whole(value: &Value) -> Option<u32> {
    let number = value
        .as_u64()
        .or_else(|| value.as_str()?.trim().parse().ok());
    number.and_then(|number| u32::try_from(number).ok())
}

fn amount(value: &Value) -> Option<f64> {
    let amount = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    (amount.is_finite() && amount >= 0.0).then_some(amount)
}

/// # Errors
/// [`BadAnswer`]
pub fn read_call(body: &[u8]) -> Result<CallResource, BadAnswer> {
    let raw: RawCall = serde_json::from_slice(body)?;
    Ok(raw.into())
}

/// Ids of live or queued calls.
///
/// # Errors
/// [`BadAnswer`]
pub fn read_ids(body: &[u8]) -> Result<Vec<String>, BadAnswer> {
    #[derive(Deserialize)]
    struct Raw {
        calls: Vec<String>,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    Ok(raw.calls)
}

/// One page of ended calls, and whether there is another.
///
/// # Errors
/// [`BadAnswer`]
pub fn read_ended(body: &[u8]) -> Result<(Vec<CallResource>, bool), BadAnswer> {
    #[derive(Default, Deserialize)]
    struct Meta {
        #[serde(default)]
        next: Option<String>,
    }
    #[derive(Deserialize)]
    struct Raw {
        objects: Vec<RawCall>,
        #[serde(default)]
        meta: Meta,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    let more = raw.meta.next.is_some_and(|next| !next.is_empty());
    Ok((raw.objects.into_iter().map(Into::into).collect(), more))
}

/// The id of a call that was placed.
///
/// # Errors
/// [`BadAnswer`]
pub fn read_dialled(body: &[u8]) -> Result<String, BadAnswer> {
    #[derive(Deserialize)]
    struct Raw {
        request_uuid: Value,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    // A list where several numbers were called; we call one.
    let id = raw
        .request_uuid
        .as_str()
        .or_else(|| raw.request_uuid.get(0)?.as_str())
        .filter(|id| super::is_id(id));
    id.map(str::to_owned)
        .ok_or_else(|| BadAnswer("no request_uuid".to_owned()))
}

/// The id of a recording that was started.
///
/// # Errors
/// [`BadAnswer`]
pub fn read_recording(body: &[u8]) -> Result<String, BadAnswer> {
    #[derive(Deserialize)]
    struct Raw {
        recording_id: String,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    Ok(raw.recording_id)
}

/// The id of a stream that was started.
///
/// # Errors
/// [`BadAnswer`]
pub fn read_stream(body: &[u8]) -> Result<String, BadAnswer> {
    #[derive(Deserialize)]
    struct Raw {
        stream_id: String,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    Ok(raw.stream_id)
}

/// Where a recording's audio is.
///
/// # Errors
/// [`BadAnswer`]; also when the address is not one of the carrier's own.
pub fn read_recording_url(body: &[u8], api_base: &str) -> Result<Url, BadAnswer> {
    #[derive(Deserialize)]
    struct Raw {
        recording_url: String,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    let url = Url::parse(&raw.recording_url).map_err(|_| BadAnswer("not a URL".to_owned()))?;
    let base = Url::parse(api_base).map_err(|_| BadAnswer("not a base".to_owned()))?;
    if is_own_host(&url, &base) {
        Ok(url)
    } else {
        Err(BadAnswer(
            "the recording is not on the carrier's own host".to_owned(),
        ))
    }
}

/// The API's own host, or another of its domain (`api.plivo.com` → `*.plivo.com`) over https.
fn is_own_host(url: &Url, base: &Url) -> bool {
    if !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    let same = url.scheme() == base.scheme()
        && url.host() == base.host()
        && url.port_or_known_default() == base.port_or_known_default();
    let (Some(url::Host::Domain(host)), Some(url::Host::Domain(api))) = (url.host(), base.host())
    else {
        return same;
    };
    let domain = api.split_once('.').map_or(api, |(_, domain)| domain);
    // A base such as `plivo.test` must not open a whole top level.
    let sister = domain.contains('.')
        && host
            .strip_suffix(domain)
            .is_some_and(|head| head.ends_with('.'));
    same || (sister && url.scheme() == "https" && url.port().is_none())
}

/// Reads an error body, which may be JSON or plain text. `about_call` says that the request was
/// about one live call: then its absence means that it is over.
pub fn read_failure(status: u16, body: &[u8], about_call: bool) -> RestFailure {
    match status {
        404 if about_call => RestFailure::AlreadyEnded,
        401 => RestFailure::Unauthorized,
        429 => RestFailure::RateLimited,
        500.. => RestFailure::Unavailable { status },
        _ => {
            let said = error_text(body).unwrap_or_else(|| format!("HTTP {status}"));
            RestFailure::Refused {
                code: None,
                message: clean(&said).chars().take(300).collect(),
            }
        }
    }
}

fn error_text(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = match body.get("error").or_else(|| body.get("message"))? {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields
            .iter()
            .map(|(field, message)| {
                let message = message
                    .as_str()
                    .map_or_else(|| message.to_string(), str::to_owned);
                format!("{field}: {message}")
            })
            .collect::<Vec<_>>()
            .join("; "),
        other => other.to_string(),
    };
    (!text.trim().is_empty()).then_some(text)
}
