//! Fakes of ElevenLabs: its webhooks after a call, and the family of live events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::providers::hex;
use crate::providers::vendor::{Fake, FakeAsk, FakeKind, Fakes, Fault, GREETING};

use super::sign_webhook;
use super::vendor::settings;

const POST_CALL: &str = "/api/webhooks/elevenlabs/post-call";
const EVENTS: &str = "/api/webhooks/elevenlabs/conversation-events";

pub(super) const FAKES: Fakes = Fakes {
    kinds: KINDS,
    // The carrier's id of the call; most lines of the vendor's are one carrier's.
    random_id: |random| format!("CA{}", hex(&random)),
    make,
};

const KINDS: &[FakeKind] = &[
    post_call(
        "elevenlabs.post-call",
        "post_call_transcription",
        "transcript and analysis after the call",
    ),
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
    post_call(
        "elevenlabs.post-call-audio",
        "post_call_audio",
        "the recording after the call",
    ),
    post_call(
        "elevenlabs.initiation-failure",
        "call_initiation_failure",
        "a call that never became a conversation",
    ),
    live(
        "elevenlabs.conversation-event",
        "user_transcript",
        "a live conversation event",
    ),
];

const fn post_call(name: &'static str, event: &'static str, about: &'static str) -> FakeKind {
    FakeKind {
        name,
        path: POST_CALL,
        about,
        event,
        fields: &[],
    }
}

/// An event of the live family.
const fn live(name: &'static str, event: &'static str, about: &'static str) -> FakeKind {
    FakeKind {
        path: EVENTS,
        ..post_call(name, event, about)
    }
}

/// Half a second of silence: one frame of MPEG-2 layer III, repeated.
fn silent_mp3() -> Vec<u8> {
    let mut frame = vec![0xff, 0xf3, 0x18, 0xc4];
    frame.resize(72, 0);
    frame.repeat(20)
}

fn make(kind: &FakeKind, ask: &FakeAsk<'_>) -> Result<Fake, Fault> {
    let event = kind.event;
    let settings = settings(ask.setup);
    let secret = settings.webhook_secret.ok_or_else(|| {
        (
            "elevenlabs.webhook_secret is not set, so nothing can be signed".to_owned(),
            "set ELEVENLABS_CONVERSATION_EVENTS_WEBHOOK_SECRET or elevenlabs.webhook_secret_file"
                .to_owned(),
        )
    })?;
    let at = ask.now.timestamp();
    // Two of the same in one second are two events.
    let stamp = ask.now.timestamp_micros() as f64 / 1e6;
    let agent = settings.agent_id.unwrap_or_else(|| "agent_test".into());
    // A conversation belongs to one lead: two leads are two conversations.
    let conversation = match (ask.conversation, ask.lead) {
        (Some(id), _) => id.to_owned(),
        (None, Some(lead)) => format!("conv_test_{lead}"),
        (None, None) => "conv_test".to_owned(),
    };
    let mut data = json!({"agent_id": agent, "conversation_id": conversation});
    if ask.sid_is_named || ask.conversation.is_none() {
        data["call_sid"] = json!(ask.sid);
    }
    if let Some(lead) = ask.lead {
        data["conversation_initiation_client_data"] =
            json!({"dynamic_variables": {"lead_id": lead}});
    }
    let text = ask.text.unwrap_or(GREETING);
    match event {
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
    if event == "post_call_transcription" {
        data["transcript"] = json!([
            {"role": "agent", "message": "Hello, how can I help?", "time_in_call_secs": 0},
            {"role": "user", "message": "This is a test.", "time_in_call_secs": 3},
        ]);
        data["metadata"] = json!({"call_duration_secs": 12});
        data["analysis"] =
            json!({"transcript_summary": "A test call.", "call_successful": "success"});
        data["status"] = json!("done");
    }
    for (name, value) in ask.fields {
        data[name] = json!(value);
    }
    let body = json!({"type": event, "event_timestamp": stamp, "data": data}).to_string();
    let seconds = u64::try_from(at).unwrap_or(0);
    let signature = sign_webhook(body.as_bytes(), &secret, seconds);
    let signed = vec![("elevenlabs-signature".into(), signature)];
    Ok(Fake::of("application/json", body, signed))
}
