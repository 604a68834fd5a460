//! Fakes of Plivo: a form, signed V3 with the auth token and a fresh nonce.

use crate::providers::vendor::{CALLED, CALLER, Fake, FakeAsk, FakeKind, Fakes, Fault};

use super::vendor::settings;
use super::{SignedMethod, routes, sign_v3};

/// A recording and a stream that exist nowhere.
const RECORDING: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const STREAM: &str = "aaaaaaaa-0000-4000-8000-000000000002";

pub(super) const FAKES: Fakes = Fakes {
    kinds: KINDS,
    random_id: |random| {
        uuid::Builder::from_random_bytes(random)
            .into_uuid()
            .to_string()
    },
    make,
};

const KINDS: &[FakeKind] = &[
    FakeKind {
        name: "plivo.answer",
        path: routes::ANSWER,
        about: "a call comes in",
        event: "",
        fields: &[("Event", "StartApp"), ("CallStatus", "ringing")],
    },
    FakeKind {
        name: "plivo.ring",
        path: routes::RING,
        about: "a call that was placed rings",
        event: "",
        fields: &[
            ("Event", "Ring"),
            ("CallStatus", "ringing"),
            ("Direction", "outbound"),
        ],
    },
    FakeKind {
        name: "plivo.hangup",
        path: routes::HANGUP,
        about: "a call ended (--status, --set HangupCauseCode=3010)",
        event: "",
        fields: &[
            ("Event", "Hangup"),
            ("CallStatus", "completed"),
            ("HangupCause", "NORMAL_CLEARING"),
            ("HangupCauseName", "Normal Hangup"),
            ("HangupCauseCode", "4000"),
            ("HangupSource", "Caller"),
            ("Duration", "47"),
            ("BillDuration", "60"),
            ("TotalCost", "0.00850"),
        ],
    },
    FakeKind {
        name: "plivo.machine-detection",
        path: routes::MACHINE,
        about: "a machine picked up",
        event: "",
        fields: &[
            ("Event", "MachineDetection"),
            ("CallStatus", "in-progress"),
            ("Direction", "outbound"),
            ("Machine", "true"),
            ("IfMachine", "continue"),
        ],
    },
    FakeKind {
        name: "plivo.recording",
        path: routes::RECORDING,
        about: "a recording is ready",
        event: "",
        fields: &[
            ("RecordingID", RECORDING),
            ("RecordingDuration", "45"),
            ("RecordingDurationMs", "45000"),
            ("RecordUrl", "https://media.plivo.com/fake.wav"),
        ],
    },
    FakeKind {
        name: "plivo.stream-status",
        path: routes::STREAM_STATUS,
        about: "an audio stream started, stopped or filled up",
        event: "",
        fields: &[("Event", "StartStream"), ("StreamID", STREAM)],
    },
];

fn make(kind: &FakeKind, ask: &FakeAsk<'_>) -> Result<Fake, Fault> {
    let settings = settings(ask.setup);
    let token = settings.auth_token.ok_or_else(|| {
        (
            "plivo.auth_token is not set, so nothing can be signed".to_owned(),
            "set it as the backend has it: PLIVO_AUTH_TOKEN or plivo.auth_token_file".to_owned(),
        )
    })?;
    // Numbers come without the plus.
    let bare = |number: &str| number.trim_start_matches('+').to_owned();
    let to = settings.phone_number.as_deref().unwrap_or(CALLED);
    let started = ask.now.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
    let mut params: Vec<(String, String)> = [
        ("CallUUID", ask.sid.to_owned()),
        ("From", bare(CALLER)),
        ("To", bare(to)),
        ("Direction", "inbound".to_owned()),
        ("ParentAuthID", settings.auth_id.unwrap_or_default()),
        ("SessionStart", started),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (name, value) in kind.fields {
        params.retain(|(known, _)| known != name);
        params.push(((*name).to_owned(), (*value).to_owned()));
    }
    let params = ask.with_wanted(params);
    let nonce = ask.nonce.to_string();
    let url = format!("{}{}", ask.signed_for, kind.path);
    let signature = sign_v3(SignedMethod::Post, &url, &params, &nonce, &token);
    let prefix = &settings.header_prefix;
    let signed = vec![
        (format!("{prefix}-signature-v3"), signature),
        (format!("{prefix}-signature-v3-nonce"), nonce),
    ];
    Ok(Fake::form(params, signed))
}
