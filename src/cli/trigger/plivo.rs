//! Fakes of Plivo: a form, signed V3 with the auth token and a fresh nonce.

use chrono::{DateTime, Utc};

use crate::engine::random;
use crate::providers::plivo::{self, SignedMethod, routes};

use super::super::args::TriggerArgs;
use super::super::config::Config;
use super::super::{Failure, Outcome};
use super::{Body, Fake, Kind, form_body, with_wanted};

/// A recording and a stream that exist nowhere.
const RECORDING: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const STREAM: &str = "aaaaaaaa-0000-4000-8000-000000000002";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "plivo.answer",
        path: routes::ANSWER,
        about: "a call comes in",
        body: Body::Plivo(&[("Event", "StartApp"), ("CallStatus", "ringing")]),
    },
    Kind {
        name: "plivo.ring",
        path: routes::RING,
        about: "a call that was placed rings",
        body: Body::Plivo(&[
            ("Event", "Ring"),
            ("CallStatus", "ringing"),
            ("Direction", "outbound"),
        ]),
    },
    Kind {
        name: "plivo.hangup",
        path: routes::HANGUP,
        about: "a call ended (--status, --set HangupCauseCode=3010)",
        body: Body::Plivo(&[
            ("Event", "Hangup"),
            ("CallStatus", "completed"),
            ("HangupCause", "NORMAL_CLEARING"),
            ("HangupCauseName", "Normal Hangup"),
            ("HangupCauseCode", "4000"),
            ("HangupSource", "Caller"),
            ("Duration", "47"),
            ("BillDuration", "60"),
            ("TotalCost", "0.00850"),
        ]),
    },
    Kind {
        name: "plivo.machine-detection",
        path: routes::MACHINE,
        about: "a machine picked up",
        body: Body::Plivo(&[
            ("Event", "MachineDetection"),
            ("CallStatus", "in-progress"),
            ("Direction", "outbound"),
            ("Machine", "true"),
            ("IfMachine", "continue"),
        ]),
    },
    Kind {
        name: "plivo.recording",
        path: routes::RECORDING,
        about: "a recording is ready",
        body: Body::Plivo(&[
            ("RecordingID", RECORDING),
            ("RecordingDuration", "45"),
            ("RecordingDurationMs", "45000"),
            ("RecordUrl", "https://media.plivo.com/fake.wav"),
        ]),
    },
    Kind {
        name: "plivo.stream-status",
        path: routes::STREAM_STATUS,
        about: "an audio stream started, stopped or filled up",
        body: Body::Plivo(&[("Event", "StartStream"), ("StreamID", STREAM)]),
    },
];

/// An id as Plivo makes them.
pub(super) fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(random())
        .into_uuid()
        .to_string()
}

pub(super) fn form(
    args: &TriggerArgs,
    config: &Config,
    kind: &Kind,
    own: &[(&str, &str)],
    signed_for: &str,
    uuid: &str,
    now: DateTime<Utc>,
) -> Outcome<Fake> {
    let token = config.plivo.auth_token.as_ref().ok_or_else(|| {
        Failure::usage(
            "plivo.auth_token is not set, so nothing can be signed",
            "set it as the backend has it: PLIVO_AUTH_TOKEN or plivo.auth_token_file",
        )
    })?;
    // Numbers come without the plus.
    let bare = |number: Option<&String>| {
        let number = number.map_or("15557650000", String::as_str);
        number.trim_start_matches('+').to_owned()
    };
    let mut params: Vec<(String, String)> = [
        ("CallUUID", uuid.to_owned()),
        ("From", "15551230000".to_owned()),
        ("To", bare(config.plivo.phone_number.as_ref())),
        ("Direction", "inbound".to_owned()),
        (
            "ParentAuthID",
            config.plivo.auth_id.clone().unwrap_or_default(),
        ),
        (
            "SessionStart",
            now.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (name, value) in own {
        params.retain(|(known, _)| known != name);
        params.push(((*name).to_owned(), (*value).to_owned()));
    }
    let params = with_wanted(params, args)?;
    let nonce = u64::from_le_bytes(random()).to_string();
    let url = format!("{signed_for}{}", kind.path);
    let signature = plivo::sign_v3(SignedMethod::Post, &url, &params, &nonce, token);
    let prefix = &config.plivo.header_prefix;
    Ok(Fake {
        headers: vec![
            (
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            ),
            (format!("{prefix}-signature-v3"), signature),
            (format!("{prefix}-signature-v3-nonce"), nonce),
        ],
        query: None,
        body: form_body(params),
    })
}
