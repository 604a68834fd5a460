//! Fakes of ElevenLabs: JSON, signed with the webhook secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::providers::elevenlabs;

use super::super::args::TriggerArgs;
use super::super::config::Config;
use super::super::{Failure, Outcome};
use super::{Body, Fake, GREETING, Kind, fields};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "elevenlabs.post-call",
        path: "/api/webhooks/elevenlabs/post-call",
        about: "transcript and analysis after the call",
        body: Body::ElevenLabs("post_call_transcription"),
    },
    live(
        "elevenlabs.conversation_started",
        "conversation_started",
        "a conversation begins (--lead)",
    ),
    live(
        "elevenlabs.user_message",
        "user_message",
        "the caller says something (--text)",
    ),
    live(
        "elevenlabs.agent_message",
        "agent_message",
        "the agent says something (--text)",
    ),
    live(
        "elevenlabs.interruption",
        "interruption",
        "the caller interrupts the agent",
    ),
    live(
        "elevenlabs.silence_detected",
        "silence_detected",
        "nobody speaks",
    ),
    live(
        "elevenlabs.conversation_ended",
        "conversation_ended",
        "a conversation ends",
    ),
    Kind {
        name: "elevenlabs.post-call-audio",
        path: "/api/webhooks/elevenlabs/post-call",
        about: "the recording after the call",
        body: Body::ElevenLabs("post_call_audio"),
    },
    Kind {
        name: "elevenlabs.initiation-failure",
        path: "/api/webhooks/elevenlabs/post-call",
        about: "a call that never became a conversation",
        body: Body::ElevenLabs("call_initiation_failure"),
    },
    Kind {
        name: "elevenlabs.conversation-event",
        path: "/api/webhooks/elevenlabs/conversation-events",
        about: "a live conversation event",
        body: Body::ElevenLabs("user_transcript"),
    },
];

/// An event of the live family.
const fn live(name: &'static str, event: &'static str, about: &'static str) -> Kind {
    Kind {
        name,
        path: "/api/webhooks/elevenlabs/conversation-events",
        about,
        body: Body::ElevenLabs(event),
    }
}

/// Half a second of silence: one frame of MPEG-2 layer III, repeated.
fn silent_mp3() -> Vec<u8> {
    let mut frame = vec![0xff, 0xf3, 0x18, 0xc4];
    frame.resize(72, 0);
    frame.repeat(20)
}

pub(super) fn event(
    args: &TriggerArgs,
    config: &Config,
    kind: &str,
    sid: &str,
    now: DateTime<Utc>,
) -> Outcome<Fake> {
    let random = sid.to_owned();
    let Some(secret) = &config.elevenlabs.webhook_secret else {
        return Err(Failure::usage(
            "elevenlabs.webhook_secret is not set, so nothing can be signed",
            "set ELEVENLABS_CONVERSATION_EVENTS_WEBHOOK_SECRET or elevenlabs.webhook_secret_file",
        ));
    };
    let at = now.timestamp();
    // Two of the same in one second are two events.
    let stamp = now.timestamp_micros() as f64 / 1e6;
    let agent = config
        .elevenlabs
        .agent_id
        .clone()
        .unwrap_or_else(|| "agent_test".into());
    // A conversation belongs to one lead: two leads are two conversations.
    let conversation = match (&args.conversation, &args.lead) {
        (Some(id), _) => id.clone(),
        (None, Some(lead)) => format!("conv_test_{lead}"),
        (None, None) => "conv_test".to_owned(),
    };
    let mut data = json!({"agent_id": agent, "conversation_id": conversation});
    if let Some(sid) = args
        .sid
        .as_ref()
        .or(args.conversation.is_none().then_some(&random))
    {
        data["call_sid"] = json!(sid);
    }
    if let Some(lead) = &args.lead {
        data["conversation_initiation_client_data"] =
            json!({"dynamic_variables": {"lead_id": lead}});
    }
    let text = args.text.as_deref().unwrap_or(GREETING);
    match kind {
        "user_message" | "agent_message" | "user_transcript" => data["message"] = json!(text),
        "interruption" => data["metadata"] = json!({"interruption_type": "user"}),
        "silence_detected" => data["metadata"] = json!({"silence_duration_ms": 6000}),
        "conversation_ended" => {
            data["duration_ms"] = json!(45_000);
            data["end_reason"] = json!("caller hung up");
        }
        "post_call_audio" => {
            data["full_audio"] = json!(STANDARD.encode(silent_mp3()));
        }
        "call_initiation_failure" => data["failure_reason"] = json!("busy"),
        _ => {}
    }
    if kind == "post_call_transcription" {
        data["transcript"] = json!([
            {"role": "agent", "message": "Hello, how can I help?", "time_in_call_secs": 0},
            {"role": "user", "message": "This is a test.", "time_in_call_secs": 3},
        ]);
        data["metadata"] = json!({"call_duration_secs": 12});
        data["analysis"] =
            json!({"transcript_summary": "A test call.", "call_successful": "success"});
        data["status"] = json!("done");
    }
    for (name, value) in fields(args)? {
        data[name] = json!(value);
    }
    let body = json!({"type": kind, "event_timestamp": stamp, "data": data}).to_string();
    let seconds = u64::try_from(at).unwrap_or(0);
    let signature = elevenlabs::sign_webhook(body.as_bytes(), secret, seconds);
    Ok(Fake {
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("elevenlabs-signature".into(), signature),
        ],
        query: None,
        body,
    })
}
