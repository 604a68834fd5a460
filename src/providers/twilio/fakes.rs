//! Fakes of Twilio: a form, or Event Streams' JSON whose hash is in the signed URL.

use serde_json::json;

use crate::call::Secret;
use crate::providers::hex;
use crate::providers::vendor::{CALLED, CALLER, Fake, FakeAsk, FakeKind, Fakes, Fault, GREETING};

use super::vendor::settings;
use super::{SIGNATURE_HEADER, routes, sign, with_body_hash};

/// A recording and a stream that exist nowhere.
const RECORDING: &str = "REaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const STREAM: &str = "MZaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

pub(super) const FAKES: Fakes = Fakes {
    kinds: KINDS,
    random_id: |random| format!("CA{}", hex(&random)),
    make,
};

const KINDS: &[FakeKind] = &[
    FakeKind {
        name: "twilio.incoming-call",
        path: routes::INCOMING,
        about: "a call comes in",
        event: "",
        fields: &[("CallStatus", "ringing"), ("Direction", "inbound")],
    },
    FakeKind {
        name: "twilio.call-status",
        path: routes::STATUS,
        about: "a call's status changed (--status)",
        event: "",
        fields: &[
            ("CallStatus", "in-progress"),
            ("Direction", "inbound"),
            ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", "2"),
        ],
    },
    FakeKind {
        name: "twilio.amd",
        path: routes::AMD,
        about: "who picked up (--set AnsweredBy=human)",
        event: "",
        fields: &[
            ("AnsweredBy", "machine_end_beep"),
            ("MachineDetectionDuration", "8120"),
        ],
    },
    FakeKind {
        name: "twilio.recording",
        path: routes::RECORDING,
        about: "a recording is ready",
        event: "",
        fields: &[
            ("RecordingSid", RECORDING),
            ("RecordingStatus", "completed"),
            ("RecordingDuration", "45"),
            ("RecordingChannels", "2"),
            ("RecordingSource", "OutboundAPI"),
            ("RecordingTrack", "both"),
        ],
    },
    FakeKind {
        name: "twilio.stream-status",
        path: routes::STREAM_STATUS,
        about: "a media stream started, stopped or failed",
        event: "",
        fields: &[("StreamSid", STREAM), ("StreamEvent", "stream-started")],
    },
    FakeKind {
        name: "twilio.quality",
        path: routes::QUALITY,
        about: "the carrier's own quality figures",
        event: "",
        fields: &[],
    },
    FakeKind {
        name: "twilio.sms",
        path: routes::SMS,
        about: "a text message comes in (--text)",
        event: "",
        fields: &[("NumMedia", "0")],
    },
];

fn make(kind: &FakeKind, ask: &FakeAsk<'_>) -> Result<Fake, Fault> {
    let token = settings(ask.setup).auth_token.ok_or_else(|| {
        (
            "twilio.auth_token is not set, so nothing can be signed".to_owned(),
            "set it as the backend has it: TWILIO_AUTH_TOKEN or twilio.auth_token_file".to_owned(),
        )
    })?;
    Ok(if kind.path == routes::QUALITY {
        cloud_event(kind, ask, &token)
    } else {
        form(kind, ask, &token)
    })
}

fn form(kind: &FakeKind, ask: &FakeAsk<'_>, token: &Secret) -> Fake {
    let settings = settings(ask.setup);
    let account = settings.account_sid;
    let account = account.unwrap_or_else(|| format!("AC{}", "0".repeat(32)));
    let to = settings.phone_number.unwrap_or_else(|| CALLED.to_owned());
    let mut params: Vec<(String, String)> = [
        ("AccountSid", account.as_str()),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", ask.sid),
        ("From", CALLER),
        ("To", to.as_str()),
        ("Timestamp", &ask.now.to_rfc2822()),
    ]
    .into_iter()
    .chain(kind.fields.iter().copied())
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if kind.path == routes::SMS {
        let text = ask.text.unwrap_or(GREETING);
        params.push(("Body".into(), text.to_owned()));
        params.push(("MessageSid".into(), ask.sid.replacen("CA", "SM", 1)));
    }
    let params = ask.with_wanted(params);
    let signature = sign(&format!("{}{}", ask.signed_for, kind.path), &params, token);
    Fake::form(params, vec![(SIGNATURE_HEADER.into(), signature)])
}

fn cloud_event(kind: &FakeKind, ask: &FakeAsk<'_>, token: &Secret) -> Fake {
    let at = ask.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let edge = json!({"interval": {
        "codec_name": "pcmu", "packets_received": 500, "packets_lost": 2,
        "packets_loss_percentage": 0.4,
        "jitter": {"avg": 3.0, "max": 9.0}, "mos": {"value": 4.39}, "rtt": {"value": 81},
    }});
    let body = json!([{
        "specversion": "1.0",
        "type": "com.twilio.voice.insights.call-metrics.gateway",
        "source": format!("DG{}", "0".repeat(32)),
        "id": format!("EZ{:032x}", ask.nonce),
        "dataschema": "https://events-schemas.twilio.com/VoiceInsights.CallMetric/2",
        "datacontenttype": "application/json",
        "time": at,
        "data": {"timestamp": at, "call_sid": ask.sid, "edge": "carrier_edge",
                 "direction": "inbound", "carrier_edge": edge},
    }])
    .to_string();
    let url = format!("{}{}", ask.signed_for, kind.path);
    let url = with_body_hash(&url, body.as_bytes());
    let signature = sign(&url, &[], token);
    let query = url.split_once('?').map(|(_, query)| query.to_owned());
    let signed = vec![(SIGNATURE_HEADER.into(), signature)];
    Fake {
        query,
        ..Fake::of("application/json", body, signed)
    }
}
