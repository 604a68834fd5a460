//! `wallboard trigger`: a fake webhook, signed as the vendor signs, sent to a backend.
//!
//! The right to send one is knowing the signing secret, which comes from the configuration.

mod elevenlabs;
mod plivo;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::call::Secret;
use crate::engine::{Clock, random};
use crate::providers::twilio;

use super::args::TriggerArgs;
use super::config::{Config, nearest};
use super::out::{self, Table};
use super::verbs::Place;
use super::{Failure, Outcome};

/// One kind of fake.
struct Kind {
    name: &'static str,
    path: &'static str,
    about: &'static str,
    body: Body,
}

#[derive(Clone, Copy)]
enum Body {
    /// Twilio's form, signed with the auth token. Fields beyond those every request has.
    Form(&'static [(&'static str, &'static str)]),
    /// Plivo's form, signed V3. As above.
    Plivo(&'static [(&'static str, &'static str)]),
    /// Twilio's Event Streams: JSON whose hash is in the signed URL.
    CloudEvent,
    /// ElevenLabs' JSON of this type.
    ElevenLabs(&'static str),
}

/// What is said when nobody says what.
const GREETING: &str = "Hello, this is a test.";
const RECORDING: &str = "REaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const STREAM: &str = "MZaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

const KINDS: &[Kind] = &[
    Kind {
        name: "twilio.incoming-call",
        path: "/incoming-call",
        about: "a call comes in",
        body: Body::Form(&[("CallStatus", "ringing"), ("Direction", "inbound")]),
    },
    Kind {
        name: "twilio.call-status",
        path: "/call-status-callback",
        about: "a call's status changed (--status)",
        body: Body::Form(&[
            ("CallStatus", "in-progress"),
            ("Direction", "inbound"),
            ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", "2"),
        ]),
    },
    Kind {
        name: "twilio.amd",
        path: "/amd-status-callback",
        about: "who picked up (--set AnsweredBy=human)",
        body: Body::Form(&[
            ("AnsweredBy", "machine_end_beep"),
            ("MachineDetectionDuration", "8120"),
        ]),
    },
    Kind {
        name: "twilio.recording",
        path: "/recording-status-callback",
        about: "a recording is ready",
        body: Body::Form(&[
            ("RecordingSid", RECORDING),
            ("RecordingStatus", "completed"),
            ("RecordingDuration", "45"),
            ("RecordingChannels", "2"),
            ("RecordingSource", "OutboundAPI"),
            ("RecordingTrack", "both"),
        ]),
    },
    Kind {
        name: "twilio.stream-status",
        path: "/stream-status-callback",
        about: "a media stream started, stopped or failed",
        body: Body::Form(&[("StreamSid", STREAM), ("StreamEvent", "stream-started")]),
    },
    Kind {
        name: "twilio.quality",
        path: "/quality-insights-callback",
        about: "the carrier's own quality figures",
        body: Body::CloudEvent,
    },
    Kind {
        name: "twilio.sms",
        path: "/sms",
        about: "a text message comes in (--text)",
        body: Body::Form(&[("NumMedia", "0")]),
    },
];

/// A request ready to go.
struct Fake {
    headers: Vec<(String, String)>,
    query: Option<String>,
    body: String,
}

/// All fakes, in the order they are listed.
fn kinds() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().chain(elevenlabs::KINDS).chain(plivo::KINDS)
}

pub async fn run(args: &TriggerArgs, config: &Config, as_json: bool) -> Outcome {
    let Some(name) = &args.event else {
        return list(as_json);
    };
    let kind = kinds().find(|kind| kind.name == name).ok_or_else(|| {
        let fix = nearest(name, kinds().map(|kind| kind.name)).map_or_else(
            || "`wallboard trigger` lists them".to_owned(),
            |close| format!("did you mean {close}?"),
        );
        Failure::usage(format!("there is no event {name}"), fix)
    })?;
    let place = Place::find(&args.remote, config)?;
    let sent_to = place.url.as_str().trim_end_matches('/').to_owned();
    let signed_for = config.server.public_url.clone().unwrap_or(sent_to.clone());
    let random_id = match kind.body {
        Body::Plivo(_) => plivo::random_uuid,
        Body::Form(_) | Body::CloudEvent | Body::ElevenLabs(_) => random_sid,
    };
    let sid = args.sid.clone().unwrap_or_else(random_id);
    let now = Clock::start().now();
    let fake = match kind.body {
        Body::Form(fields) => form(args, config, kind, fields, &signed_for, &sid, now)?,
        Body::Plivo(fields) => plivo::form(args, config, kind, fields, &signed_for, &sid, now)?,
        Body::CloudEvent => cloud_event(config, kind, &signed_for, &sid, now)?,
        Body::ElevenLabs(event) => elevenlabs::event(args, config, event, &sid, now)?,
    };
    send(&sent_to, &signed_for, kind, &sid, fake, as_json).await
}

fn list(as_json: bool) -> Outcome {
    if as_json {
        for kind in kinds() {
            out::json(&json!({"event": kind.name, "path": kind.path, "about": kind.about}))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["EVENT", "PATH", "WHAT"]);
    for kind in kinds() {
        table.row([kind.name, kind.path, kind.about].map(str::to_owned));
    }
    table.print()
}

fn random_sid() -> String {
    use std::fmt::Write;
    let mut sid = String::from("CA");
    for byte in random::<16>() {
        let _ = write!(sid, "{byte:02x}");
    }
    sid
}

fn twilio_token(config: &Config) -> Outcome<&Secret> {
    config.twilio.auth_token.as_ref().ok_or_else(|| {
        Failure::usage(
            "twilio.auth_token is not set, so nothing can be signed",
            "set it as the backend has it: TWILIO_AUTH_TOKEN or twilio.auth_token_file",
        )
    })
}

/// Splits `--set NAME=VALUE`.
fn fields(args: &TriggerArgs) -> Outcome<Vec<(String, String)>> {
    args.fields
        .iter()
        .map(|text| {
            text.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .ok_or_else(|| {
                    Failure::usage(format!("--set {text} has no ="), "write --set NAME=VALUE")
                })
        })
        .collect()
}

fn form(
    args: &TriggerArgs,
    config: &Config,
    kind: &Kind,
    own: &[(&str, &str)],
    signed_for: &str,
    sid: &str,
    now: DateTime<Utc>,
) -> Outcome<Fake> {
    let account = config
        .twilio
        .account_sid
        .clone()
        .unwrap_or_else(|| format!("AC{}", "0".repeat(32)));
    let to = config
        .twilio
        .phone_number
        .clone()
        .unwrap_or_else(|| "+15557650000".into());
    let mut params: Vec<(String, String)> = [
        ("AccountSid", account.as_str()),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", sid),
        ("From", "+15551230000"),
        ("To", to.as_str()),
        ("Timestamp", &now.to_rfc2822()),
    ]
    .into_iter()
    .chain(own.iter().copied())
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if kind.path == "/sms" {
        let text = args.text.as_deref().unwrap_or(GREETING);
        params.push(("Body".into(), text.to_owned()));
        params.push(("MessageSid".into(), sid.replacen("CA", "SM", 1)));
    }
    let params = with_wanted(params, args)?;
    let url = format!("{signed_for}{}", kind.path);
    let signature = twilio::sign(&url, &params, twilio_token(config)?);
    Ok(Fake {
        headers: vec![
            (
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            ),
            (twilio::SIGNATURE_HEADER.into(), signature),
        ],
        query: None,
        body: form_body(params),
    })
}

/// The fields with what the command line wants of them.
fn with_wanted(
    mut params: Vec<(String, String)>,
    args: &TriggerArgs,
) -> Outcome<Vec<(String, String)>> {
    let mut wanted = fields(args)?;
    if let Some(status) = &args.status {
        wanted.push(("CallStatus".into(), status.clone()));
    }
    for (name, value) in wanted {
        params.retain(|(known, _)| *known != name);
        params.push((name, value));
    }
    Ok(params)
}

fn form_body(params: Vec<(String, String)>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(params)
        .finish()
}

fn cloud_event(
    config: &Config,
    kind: &Kind,
    signed_for: &str,
    sid: &str,
    now: DateTime<Utc>,
) -> Outcome<Fake> {
    let at = now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let edge = json!({"interval": {
        "codec_name": "pcmu", "packets_received": 500, "packets_lost": 2,
        "packets_loss_percentage": 0.4,
        "jitter": {"avg": 3.0, "max": 9.0}, "mos": {"value": 4.39}, "rtt": {"value": 81},
    }});
    let body = json!([{
        "specversion": "1.0",
        "type": "com.twilio.voice.insights.call-metrics.gateway",
        "source": format!("DG{}", "0".repeat(32)),
        "id": format!("EZ{}", &random_sid()[2..]),
        "dataschema": "https://events-schemas.twilio.com/VoiceInsights.CallMetric/2",
        "datacontenttype": "application/json",
        "time": at,
        "data": {"timestamp": at, "call_sid": sid, "edge": "carrier_edge",
                 "direction": "inbound", "carrier_edge": edge},
    }])
    .to_string();
    let url = twilio::with_body_hash(&format!("{signed_for}{}", kind.path), body.as_bytes());
    let signature = twilio::sign(&url, &[], twilio_token(config)?);
    Ok(Fake {
        headers: vec![
            ("content-type".into(), "application/json".into()),
            (twilio::SIGNATURE_HEADER.into(), signature),
        ],
        query: url.split_once('?').map(|(_, query)| query.to_owned()),
        body,
    })
}

async fn send(
    sent_to: &str,
    signed_for: &str,
    kind: &Kind,
    sid: &str,
    fake: Fake,
    as_json: bool,
) -> Outcome {
    let query = fake
        .query
        .map_or_else(String::new, |query| format!("?{query}"));
    let url = format!("{sent_to}{}{query}", kind.path);
    let http = super::verbs::http()?;
    let mut request = http.post(&url).body(fake.body);
    for (name, value) in fake.headers {
        request = request.header(name, value);
    }
    let response = request
        .timeout(std::time::Duration::from_secs(20))
        .send()
        .await
        .map_err(|_| {
            Failure::unreachable(
                format!("{sent_to} cannot be reached"),
                "check --url and that the backend is running",
            )
        })?;
    let status = response.status();
    let answer = response.text().await.unwrap_or_default();
    if as_json {
        out::json(&json!({
            "event": kind.name, "sid": sid, "url": format!("{signed_for}{}", kind.path),
            "status": status.as_u16(), "answer": answer,
        }))?;
    } else {
        out::line(&format!("{} {} → {status}", kind.name, sid))?;
        let answer = crate::call::text::clean(&answer);
        if !answer.is_empty() {
            out::line(&answer)?;
        }
    }
    match status.as_u16() {
        200..=299 => Ok(()),
        401 | 403 => Err(Failure::refused(
            format!("the backend refused the signature ({status})"),
            "its secret or its server.public_url differs from the ones used here",
        )),
        503 => Err(Failure::failed(
            "the backend's route is closed: it has no signature secret",
            "set the secret on the backend",
        )),
        _ => Err(Failure::failed(
            format!("the backend answered {status}"),
            "see its log",
        )),
    }
}
