//! The form parameters of the REST calls, checked as the carrier (and its SDK's types) would.

use std::time::Duration;

use url::Url;

use crate::call::CallStatus;

use super::recording::State;
use super::rest::{ApiError, source};
use super::state::Order;
use super::wishes::{Amd, RecordWish, Wishes};
use crate::simulator::line::Method;

type Form = [(String, String)];

const EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];
const RECORDING_EVENTS: [&str; 3] = ["in-progress", "completed", "absent"];

const CREATE: [&str; 42] = [
    "To",
    "From",
    "Url",
    "Twiml",
    "ApplicationSid",
    "Method",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "SendDigits",
    "Timeout",
    "Record",
    "RecordingChannels",
    "RecordingStatusCallback",
    "RecordingStatusCallbackMethod",
    "RecordingStatusCallbackEvent",
    "RecordingTrack",
    "RecordingConfigurationId",
    "Trim",
    "SipAuthUsername",
    "SipAuthPassword",
    "MachineDetection",
    "MachineDetectionTimeout",
    "MachineDetectionSpeechThreshold",
    "MachineDetectionSpeechEndThreshold",
    "MachineDetectionSilenceTimeout",
    "AsyncAmd",
    "AsyncAmdStatusCallback",
    "AsyncAmdStatusCallbackMethod",
    "CallerId",
    "Byoc",
    "CallReason",
    "CallToken",
    "Passports",
    "TimeLimit",
    "ClientNotificationUrl",
    "Transcribe",
    "TranscriptionConfiguration",
    "TranscriptionStatusCallback",
    "HidePhoneNumbers",
];

fn get<'a>(form: &'a Form, key: &str) -> Option<&'a str> {
    form.iter()
        .find(|(k, _)| k == key)
        .map(|(_, v)| v.as_str())
        .filter(|v| !v.is_empty())
}

fn only(form: &Form, known: &[&str]) -> Result<(), ApiError> {
    match form.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        Some((key, _)) => Err(ApiError::new(
            400,
            20_001,
            format!("unknown parameter {key}"),
        )),
        None => Ok(()),
    }
}

fn method(form: &Form, key: &str) -> Result<Method, ApiError> {
    match get(form, key) {
        None | Some("POST") => Ok(Method::Post),
        Some("GET") => Ok(Method::Get),
        Some(other) => Err(ApiError::new(
            400,
            21_403,
            format!("{key} {other:?} is not valid"),
        )),
    }
}

fn web_url<'a>(form: &'a Form, key: &str, code: u32) -> Result<Option<&'a str>, ApiError> {
    let Some(text) = get(form, key) else {
        return Ok(None);
    };
    let fine = Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.contains('_'))
    });
    if fine {
        Ok(Some(text))
    } else {
        Err(ApiError::new(
            400,
            code,
            format!("{key} is not a valid URL: {text}"),
        ))
    }
}

fn flag(form: &Form, key: &str) -> Result<bool, ApiError> {
    match get(form, key) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(ApiError::new(
            400,
            20_001,
            format!("{key} {other:?} is no boolean"),
        )),
    }
}

fn seconds(form: &Form, key: &str) -> Result<Option<Duration>, ApiError> {
    get(form, key)
        .map(|text| {
            let bad = |_| ApiError::new(400, 20_001, format!("{key} {text:?} is no number"));
            text.parse().map(Duration::from_secs).map_err(bad)
        })
        .transpose()
}

/// Repeated keys; every value must be one of `known`.
fn events(form: &Form, key: &str, known: &[&str], code: u32) -> Result<Vec<String>, ApiError> {
    let mut chosen = Vec::new();
    for (_, value) in form.iter().filter(|(k, _)| k == key) {
        if !known.contains(&value.as_str()) {
            return Err(ApiError::new(
                400,
                code,
                format!("{key} {value:?} is not valid"),
            ));
        }
        chosen.push(value.clone());
    }
    if chosen.is_empty() {
        chosen.push("completed".to_owned());
    }
    Ok(chosen)
}

/// E.164, or a `client:` or `sip:` address.
fn party(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or("");
    let number = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    number || text.starts_with("client:") || text.starts_with("sip:")
}

pub(super) struct CreateCall {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) wishes: Wishes,
}

pub(super) fn create_call(form: &Form) -> Result<CreateCall, ApiError> {
    only(form, &CREATE)?;
    let to =
        get(form, "To").ok_or_else(|| ApiError::new(400, 21_201, "No 'To' number is specified"))?;
    if !party(to) {
        return Err(ApiError::new(
            400,
            21_211,
            format!("Invalid 'To' Phone Number: {to}"),
        ));
    }
    let from = get(form, "From")
        .ok_or_else(|| ApiError::new(400, 21_213, "No 'From' number is specified"))?;
    if !party(from) {
        return Err(ApiError::new(
            400,
            21_212,
            format!("Invalid 'From' Phone Number: {from}"),
        ));
    }
    let url = web_url(form, "Url", 21_205)?;
    let twiml = get(form, "Twiml");
    if twiml.is_some_and(|text| text.len() > 4_000) {
        return Err(ApiError::new(400, 21_218, "Twiml is over 4000 characters"));
    }
    let document = source(url, method(form, "Method")?, twiml)
        .ok_or_else(|| ApiError::new(400, 21_205, "Url parameter is required"))?;
    let fallback_method = method(form, "FallbackMethod")?;
    let status_method = method(form, "StatusCallbackMethod")?;
    let wishes = Wishes {
        document: Some(document),
        fallback: web_url(form, "FallbackUrl", 21_205)?.map(|u| (u.to_owned(), fallback_method)),
        status_callback: web_url(form, "StatusCallback", 21_609)?
            .map(|u| (u.to_owned(), status_method)),
        events: events(form, "StatusCallbackEvent", &EVENTS, 21_626)?,
        ring_max: Some(seconds(form, "Timeout")?.unwrap_or(Duration::from_secs(60))),
        time_limit: seconds(form, "TimeLimit")?,
        amd: amd(form)?,
        record: if flag(form, "Record")? {
            Some(recording(form)?)
        } else {
            None
        },
    };
    Ok(CreateCall {
        to: to.to_owned(),
        from: from.to_owned(),
        wishes,
    })
}

fn amd(form: &Form) -> Result<Option<Amd>, ApiError> {
    let message_end = match get(form, "MachineDetection") {
        None => return Ok(None),
        Some("Enable") => false,
        Some("DetectMessageEnd") => true,
        Some(other) => {
            return Err(ApiError::new(
                400,
                20_001,
                format!("MachineDetection {other:?}"),
            ));
        }
    };
    let within = |key: &str, low: u64, high: u64| match get(form, key).map(str::parse::<u64>) {
        None => Ok(()),
        Some(Ok(value)) if (low..=high).contains(&value) => Ok(()),
        Some(_) => Err(ApiError::new(400, 20_001, format!("{key} is out of range"))),
    };
    within("MachineDetectionTimeout", 3, 59)?;
    within("MachineDetectionSpeechThreshold", 1_000, 6_000)?;
    within("MachineDetectionSpeechEndThreshold", 500, 5_000)?;
    within("MachineDetectionSilenceTimeout", 2_000, 10_000)?;
    method(form, "AsyncAmdStatusCallbackMethod")?;
    let callback = web_url(form, "AsyncAmdStatusCallback", 21_609)?.map(str::to_owned);
    Ok(Some(Amd {
        message_end,
        callback,
        asynchronous: flag(form, "AsyncAmd")?,
    }))
}

fn recording(form: &Form) -> Result<RecordWish, ApiError> {
    let bad = |key: &str, value: &str| ApiError::new(400, 20_001, format!("{key} {value:?}"));
    let channels = match get(form, "RecordingChannels") {
        None | Some("mono") => 1,
        Some("dual") => 2,
        Some(other) => return Err(bad("RecordingChannels", other)),
    };
    let track = get(form, "RecordingTrack").unwrap_or("both");
    if !["inbound", "outbound", "both"].contains(&track) {
        return Err(bad("RecordingTrack", track));
    }
    match get(form, "Trim") {
        None | Some("trim-silence" | "do-not-trim") => {}
        Some(other) => return Err(bad("Trim", other)),
    }
    method(form, "RecordingStatusCallbackMethod")?;
    let wanted = events(
        form,
        "RecordingStatusCallbackEvent",
        &RECORDING_EVENTS,
        20_001,
    )?;
    let callback = web_url(form, "RecordingStatusCallback", 21_609)?;
    Ok(RecordWish {
        channels,
        track: track.to_owned(),
        callback: callback.map(|url| (url.to_owned(), wanted)),
    })
}

pub(super) fn start_recording(form: &Form) -> Result<RecordWish, ApiError> {
    only(
        form,
        &[
            "RecordingStatusCallbackEvent",
            "RecordingStatusCallback",
            "RecordingStatusCallbackMethod",
            "Trim",
            "RecordingChannels",
            "RecordingTrack",
            "RecordingConfigurationId",
        ],
    )?;
    recording(form)
}

pub(super) fn update_recording(form: &Form) -> Result<State, ApiError> {
    only(form, &["Status", "PauseBehavior"])?;
    let silence = match get(form, "PauseBehavior") {
        None | Some("silence") => true,
        Some("skip") => false,
        Some(other) => {
            return Err(ApiError::new(
                400,
                20_001,
                format!("PauseBehavior {other:?}"),
            ));
        }
    };
    match get(form, "Status") {
        Some("paused") => Ok(State::Paused { silence }),
        Some("in-progress") => Ok(State::InProgress),
        Some("stopped") => Ok(State::Stopped),
        other => Err(ApiError::new(
            400,
            20_001,
            format!("Status {other:?} is not valid"),
        )),
    }
}

pub(super) fn update_call(form: &Form) -> Result<Order, ApiError> {
    only(
        form,
        &[
            "Status",
            "Url",
            "Method",
            "Twiml",
            "FallbackUrl",
            "FallbackMethod",
            "StatusCallback",
            "StatusCallbackMethod",
            "TimeLimit",
        ],
    )?;
    match get(form, "Status") {
        Some("completed") => return Ok(Order::End(CallStatus::Completed)),
        Some("canceled") => return Ok(Order::End(CallStatus::Canceled)),
        Some(other) => {
            return Err(ApiError::new(
                400,
                21_218,
                format!("Invalid Status {other:?}"),
            ));
        }
        None => {}
    }
    let (url, twiml) = (web_url(form, "Url", 21_205)?, get(form, "Twiml"));
    if url.is_some() && twiml.is_some() {
        return Err(ApiError::new(400, 20_001, "Url and Twiml are exclusive"));
    }
    source(url, method(form, "Method")?, twiml)
        .map(Order::Redirect)
        .ok_or_else(|| ApiError::new(400, 20_001, "nothing to update"))
}

/// What a one-way stream is asked to be.
#[derive(Clone, Debug)]
pub(super) struct StreamWish {
    pub(super) url: String,
    pub(super) parameters: Vec<(String, String)>,
}

/// Parameters of one stream at most.
const PARAMETERS_MAX: u32 = 99;

/// Only copies of both tracks: nothing here asks for less.
pub(super) fn start_stream(form: &Form) -> Result<StreamWish, ApiError> {
    let numbered: Vec<String> = (1..=PARAMETERS_MAX)
        .flat_map(|n| [format!("Parameter{n}.Name"), format!("Parameter{n}.Value")])
        .collect();
    let mut known = vec![
        "Url",
        "Name",
        "Track",
        "StatusCallback",
        "StatusCallbackMethod",
    ];
    known.extend(numbered.iter().map(String::as_str));
    only(form, &known)?;
    let url = get(form, "Url").unwrap_or_default();
    let parsed = Url::parse(url).ok();
    // Query strings are not passed on: parameters are the place for custom data.
    let fine =
        parsed.is_some_and(|url| matches!(url.scheme(), "ws" | "wss") && url.query().is_none());
    if !fine {
        return Err(ApiError::new(
            400,
            31_910,
            format!("Url is not valid: {url}"),
        ));
    }
    if get(form, "Track") != Some("both_tracks") {
        return Err(ApiError::new(400, 20_001, "Track must be both_tracks here"));
    }
    let parameters = (1..=PARAMETERS_MAX).filter_map(|n| {
        let name = get(form, &format!("Parameter{n}.Name"))?;
        let value = get(form, &format!("Parameter{n}.Value"))?;
        Some((name.to_owned(), value.to_owned()))
    });
    Ok(StreamWish {
        url: url.to_owned(),
        parameters: parameters.collect(),
    })
}

pub(super) fn stop_stream(form: &Form) -> Result<(), ApiError> {
    only(form, &["Status"])?;
    match get(form, "Status") {
        Some("stopped") => Ok(()),
        other => Err(ApiError::new(400, 20_001, format!("Status {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect()
    }

    #[test]
    fn what_the_carrier_would_refuse_is_refused_with_its_code() {
        let base = "To=%2B15555550123&From=%2B15555550100&Url=https%3A%2F%2Fwb.example.com%2Ft";
        assert!(create_call(&form(base)).is_ok());
        for (text, code) in [
            ("From=%2B15555550100&Url=https://h/t".to_owned(), 21_201),
            (
                "To=5550123&From=%2B15555550100&Url=https://h/t".to_owned(),
                21_211,
            ),
            (
                "To=%2B15555550123&From=x&Url=https://h/t".to_owned(),
                21_212,
            ),
            ("To=%2B15555550123&From=%2B15555550100".to_owned(), 21_205),
            (format!("{base}&StatusCallbackEvent=in-progress"), 21_626),
            (
                format!("{base}&StatusCallback=https%3A%2F%2Fbad_host%2Fx"),
                21_609,
            ),
            (format!("{base}&MachineDetection=Yes"), 20_001),
            (format!("{base}&Record=1"), 20_001),
            (format!("{base}&Foo=bar"), 20_001),
        ] {
            let refused = create_call(&form(&text)).err().and_then(|e| e.code);
            assert_eq!(refused, Some(code), "{text}");
        }
        assert_eq!(
            update_call(&form("Status=ended"))
                .err()
                .and_then(|e| e.code),
            Some(21_218)
        );
        assert!(update_call(&form("Url=https://h/x&Twiml=%3CResponse/%3E")).is_err());
    }
}
