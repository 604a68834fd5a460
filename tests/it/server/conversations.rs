//! Webhooks of conversations whose audio does not pass through here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wallboard::call::{AgentLink, Call, CallStatus, LineBody, MediaLink, Track};
use wallboard::providers::vendor::WebhookVerdict;

use crate::it::support::backend::{Backend, sid};

pub const EVENTS: &str = "/api/webhooks/elevenlabs/conversation-events";
const POST_CALL: &str = "/api/webhooks/elevenlabs/post-call";

pub fn said(kind: &str, conversation: &str, text: &str) -> Value {
    json!({"type": kind, "event_timestamp": stamp(), "data":
        {"conversation_id": conversation, "message": text}})
}

/// A time no other event has.
pub fn stamp() -> f64 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    1_795_219_200.0 + f64::from(NEXT.fetch_add(1, Ordering::Relaxed)) / 1000.0
}

pub fn started(conversation: &str, lead: Option<&str>) -> Value {
    let mut body = json!({"type": "conversation_started", "event_timestamp": stamp(), "data":
        {"conversation_id": conversation, "metadata": {"phone_number": "+14155550134"}}});
    if let Some(lead) = lead {
        body["data"]["conversation_initiation_client_data"] =
            json!({"dynamic_variables": {"lead_id": lead}});
    }
    body
}

pub fn ended(conversation: &str) -> Value {
    json!({"type": "conversation_ended", "event_timestamp": stamp(), "data":
        {"conversation_id": conversation, "duration_ms": 45_000, "end_reason": "caller hung up"}})
}

pub async fn send(backend: &Backend, events: &[Value]) {
    for event in events {
        let answer = backend.event(EVENTS, event).await;
        assert_eq!(answer.status(), 200, "{event}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["success"], true);
    }
}

fn spoken(call: &Call) -> Vec<(Track, String)> {
    let lines = call.lines.iter();
    lines
        .filter_map(|line| match &line.body {
            LineBody::Speech { track, text, .. } => Some((*track, text.clone())),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_conversation_told_of_becomes_an_observed_call_and_ends() {
    let backend = Backend::start().await;
    send(
        &backend,
        &[
            started("conv_1", Some("L1")),
            said("agent_message", "conv_1", "Hello, this is Ann."),
            said("user_message", "conv_1", "Hi."),
            said("user_message", "conv_1", "Hi."),
        ],
    )
    .await;
    let call = backend.call("conv_1").unwrap();
    assert!(call.facts.observed);
    assert_eq!(call.facts.lead_id.as_deref(), Some("L1"));
    assert_eq!(call.status, CallStatus::InProgress);
    assert_eq!(call.media_link, MediaLink::None);
    assert_eq!(call.agent_link, AgentLink::Connected);
    let expected = [
        (Track::FromAgent, "Hello, this is Ann.".to_owned()),
        (Track::FromCaller, "Hi.".to_owned()),
        (Track::FromCaller, "Hi.".to_owned()),
    ];
    assert_eq!(spoken(&call), expected);
    send(&backend, &[ended("conv_1"), ended("conv_1")]).await;
    let call = backend.call("conv_1").unwrap();
    assert_eq!(call.status, CallStatus::Completed);
    assert_eq!(call.duration_s, Some(45));
    assert_eq!(call.end_cause.as_deref(), Some("caller hung up"));
    assert_eq!(backend.calls(), 1);
}

#[tokio::test]
async fn forged_old_and_unreadable_events_are_refused_and_nothing_is_created() {
    use crate::it::support::backend::ELEVENLABS_SECRET;
    use wallboard::call::Secret;
    use wallboard::providers::elevenlabs::sign_webhook;

    let backend = Backend::start().await;
    let now = u64::try_from(backend.core.clock.now().timestamp()).unwrap();
    let body = started("conv_1", Some("L1")).to_string();
    let right = Secret::new(ELEVENLABS_SECRET);
    let sign = |secret: &Secret, at: u64| sign_webhook(body.as_bytes(), secret, at);
    let rows = [
        ("elevenlabs-signature", String::new()),
        ("elevenlabs-signature", "hello".to_owned()),
        (
            "elevenlabs-signature",
            sign(&Secret::new("wsec_other"), now),
        ),
        ("elevenlabs-signature", sign(&right, now - 2_000)),
        ("elevenlabs-signature", sign(&right, now + 2_000)),
        ("xi-signature", "1".to_owned()),
    ];
    for (header, value) in rows {
        let request = backend.http.post(format!("{}{EVENTS}", backend.url));
        let answer = request
            .header(header, &value)
            .body(body.clone())
            .send()
            .await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 401, "{value}");
        let told: Value = answer.json().await.unwrap();
        assert_eq!(told, json!({"error": "invalid signature"}));
    }
    assert_eq!(backend.calls(), 0);
    assert!(backend.journal.envelopes().is_empty());
    // The alias is a place for the same proof.
    let request = backend.http.post(format!("{}{EVENTS}", backend.url));
    let request = request.header("xi-signature", sign(&right, now));
    assert_eq!(
        request.body(body.clone()).send().await.unwrap().status(),
        200
    );
    // The same delivery again is taken once.
    let request = backend.http.post(format!("{}{EVENTS}", backend.url));
    let request = request.header("elevenlabs-signature", sign(&right, now));
    assert_eq!(
        request.body(body.clone()).send().await.unwrap().status(),
        200
    );
    let log = backend.server.webhooks().entries();
    assert_eq!(log.last().unwrap().verdict, WebhookVerdict::Duplicate);
    for body in [json!([1]), json!({"data": {}}), json!("text")] {
        assert_eq!(backend.event(EVENTS, &body).await.status(), 400, "{body}");
    }
    let big = json!({"type": "user_message", "message": "x".repeat(1_100_000)});
    assert_eq!(backend.event(EVENTS, &big).await.status(), 413);
    assert_eq!(
        backend
            .event(EVENTS, &json!({"type": "news"}))
            .await
            .status(),
        200
    );
    let health = backend.http.get(format!("{}{EVENTS}", backend.url)).send();
    let health: Value = health.await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["environment"]["hasWebhookSecret"], true);
}

#[tokio::test]
async fn without_a_secret_the_route_says_so() {
    let backend = Backend::start_open().await;
    let answer = backend.event(EVENTS, &started("conv_1", None)).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(backend.calls(), 0);
}

#[tokio::test]
async fn a_temporary_id_is_promoted_and_the_carriers_id_joins() {
    let backend = Backend::start().await;
    let carrier = sid("CA", 9);
    let begun = json!({"type": "call_initiated", "data": {
        "temp_conversation_id": "temp_1", "to_number": "+14155550134", "lead_id": "L1"}});
    let real = json!({"type": "conversation_started", "data": {"conversation_id": "conv_1",
        "conversation_initiation_client_data": {"temp_conversation_id": "temp_1"}}});
    let sid = json!({"type": "agent_message", "data":
        {"conversation_id": "conv_1", "call_sid": carrier, "message": "Hello"}});
    send(&backend, &[begun, real, sid]).await;
    assert_eq!(backend.calls(), 1);
    let call = backend.call("conv_1").unwrap();
    assert_eq!(call.facts.carrier, "twilio");
    assert_eq!(
        call.facts.carrier_call_id.as_deref(),
        Some(carrier.as_str())
    );
    assert_eq!(call.facts.lead_id.as_deref(), Some("L1"));
    assert_eq!(call.facts.to, "+14155550134");
    assert!(backend.call(&carrier).is_some() && backend.call("temp_1").is_some());
}

#[tokio::test]
async fn a_call_the_carrier_told_of_gets_its_conversation() {
    let backend = Backend::start().await;
    let carrier = sid("CA", 3);
    backend.status(&carrier, "in-progress", "1").await;
    send(&backend, &[started("conv_1", Some("L1"))]).await;
    assert_eq!(backend.calls(), 1);
    let call = backend.call("conv_1").unwrap();
    assert_eq!(
        call.facts.carrier_call_id.as_deref(),
        Some(carrier.as_str())
    );
    assert!(call.facts.observed);
    // The carrier's own word comes here: it ends the call, in its own words.
    backend.status(&carrier, "completed", "2").await;
    let call = backend.call("conv_1").unwrap();
    assert_eq!(
        (call.status, call.duration_s),
        (CallStatus::Completed, Some(47))
    );
}

#[tokio::test]
async fn the_record_after_the_call_fills_gaps_and_repeats_nothing() {
    let backend = Backend::start().await;
    send(
        &backend,
        &[
            started("conv_1", Some("L1")),
            said("agent_message", "conv_1", "Hello"),
            ended("conv_1"),
        ],
    )
    .await;
    let record = |id: &str| {
        json!({"type": "post_call_transcription", "event_timestamp": stamp(), "data": {
            "conversation_id": id, "status": "done", "agent_name": "Sales",
            "transcript": [
                {"role": "agent", "message": "Hello"},
                {"role": "user", "message": "Hi there"},
                {"role": "agent", "message": "Hello"},
            ],
            "metadata": {"call_duration_secs": 45, "cost_fiat": 0.02,
                "phone_call": {"agent_number": "+15557650000", "external_number": "+14155550199",
                    "direction": "outbound", "call_result": "answered"}},
            "analysis": {"transcript_summary": "A greeting.", "call_successful": "success"}}})
    };
    for _ in 0..2 {
        assert_eq!(
            backend.event(POST_CALL, &record("conv_1")).await.status(),
            200
        );
    }
    let call = backend.call("conv_1").unwrap();
    let texts: Vec<String> = spoken(&call).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["Hello", "Hi there", "Hello"]);
    let analysis = call.analysis.unwrap();
    assert_eq!(analysis.summary.as_deref(), Some("A greeting."));
    assert_eq!((analysis.sentiment, analysis.topics.len()), (None, 0));
    assert_eq!(call.cost_usd, Some(0.02));
    // One nobody told of while it lasted.
    assert_eq!(
        backend.event(POST_CALL, &record("conv_2")).await.status(),
        200
    );
    let call = backend.call("conv_2").unwrap();
    assert_eq!(call.status, CallStatus::Completed);
    assert_eq!(
        (spoken(&call).len(), call.facts.to.as_str()),
        (3, "+14155550199")
    );
    let busy = json!({"type": "call_initiation_failure", "data":
        {"conversation_id": "conv_3", "failure_reason": "busy"}});
    assert_eq!(backend.event(POST_CALL, &busy).await.status(), 200);
    assert_eq!(backend.call("conv_3").unwrap().status, CallStatus::Busy);
}

#[tokio::test]
async fn a_recording_streams_to_the_disk_and_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::start_on_disk(dir.path()).await;
    send(&backend, &[started("conv_1", Some("L1"))]).await;
    let sound: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let audio = |sound: &[u8]| {
        json!({"type": "post_call_audio", "event_timestamp": 1_795_219_200, "data":
            {"agent_id": "a", "conversation_id": "conv_1", "full_audio": STANDARD.encode(sound)}})
    };
    // Forged: nothing stays.
    let request = backend.http.post(format!("{}{POST_CALL}", backend.url));
    let now = backend.core.clock.now().timestamp();
    let forged = request.header(
        "elevenlabs-signature",
        format!("t={now},v0={}", "0".repeat(64)),
    );
    let forged = forged.body(audio(&sound).to_string()).send().await.unwrap();
    assert_eq!(forged.status(), 401);
    let files = || {
        std::fs::read_dir(dir.path().join("recordings"))
            .unwrap()
            .count()
    };
    assert_eq!(files(), 0);
    for _ in 0..2 {
        assert_eq!(backend.event(POST_CALL, &audio(&sound)).await.status(), 200);
    }
    assert_eq!(files(), 1);
    let call = backend.call("conv_1").unwrap();
    assert_eq!(call.recordings.len(), 1);
    let url = call.recordings[0].url.clone().unwrap();
    let answer = backend.get(&url, crate::it::support::backend::ADMIN).await;
    assert_eq!(answer.headers()["content-type"], "audio/mpeg");
    assert_eq!(answer.bytes().await.unwrap(), sound);
}

#[tokio::test]
async fn a_call_the_vendor_places_is_told_of_from_ring_to_record() {
    use std::sync::Arc;
    use std::time::Duration;
    use wallboard::call::{Action, Command, DialRequest, Grant, Secret};
    use wallboard::engine::{Tasks, VendorCalls, Vendors};
    use wallboard::providers::elevenlabs::ElevenLabsSettings;
    use wallboard::providers::elevenlabs::shell_calls::ElevenLabsCalls;
    use wallboard::simulator::elevenlabs::{ElevenLabsSim, ElevenLabsSimConfig, Webhooks};

    use crate::it::support::backend::ELEVENLABS_SECRET;

    let tasks = Tasks::new();
    let sim = ElevenLabsSim::start(ElevenLabsSimConfig::default(), &tasks)
        .await
        .unwrap();
    let settings = ElevenLabsSettings {
        api_key: Some(Secret::new("simulated-api-key")),
        agent_id: Some("agent_1".into()),
        phone_number_id: Some("phnum_1".into()),
        api_base: sim.api_base().to_owned(),
        ..ElevenLabsSettings::default()
    };
    let calls = ElevenLabsCalls::new(&settings, std::collections::BTreeMap::default());
    let calls: Arc<dyn VendorCalls> = Arc::new(calls.unwrap().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::start_with(
        |_| {},
        |parts| {
            parts.vendors = Vendors::from([("elevenlabs", calls)]);
            let journal = wallboard::store::open(dir.path(), &parts.tasks, parts.clock).unwrap();
            parts.journal = Arc::new(journal);
        },
    )
    .await;
    let text = json!({"text": "Where is my parcel?", "sentBy": "user", "channel": "sms"});
    let kept = backend
        .post(
            "/api/leads/L7/messages",
            crate::it::support::backend::ADMIN,
            text,
        )
        .await;
    assert_eq!(kept.status(), 200);
    sim.tell(Webhooks {
        base: backend.url.clone(),
        secret: Secret::new(ELEVENLABS_SECRET),
        pace: Duration::from_millis(2),
        live: true,
    });
    let command = Command {
        id: backend.core.clock.command_id(),
        call: None,
        action: Action::Dial {
            request: DialRequest {
                number: "+14155550134".into(),
                lead_id: Some("L7".into()),
                via: Some("elevenlabs".into()),
                ..DialRequest::default()
            },
        },
        reason: None,
    };
    let reply = backend.core.command(&Grant::admin("ana"), command).await;
    assert!(reply.ok, "{reply:?}");
    let id = reply.result.unwrap()["call"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let analysed = backend
        .core
        .switchboard
        .until(id, |call| call.analysis.clone().map(|_| call.clone()));
    let call = tokio::time::timeout(Duration::from_secs(20), analysed).await;
    let call = call
        .unwrap()
        .expect("the call, with the vendor's record of it");
    assert_eq!(
        backend.calls(),
        1,
        "the webhooks found the call that was placed"
    );
    assert!(call.facts.observed && !call.is_live());
    assert_eq!(call.facts.lead_id.as_deref(), Some("L7"));
    // What was written before was told to the agent.
    let begin = sim.conversations()[0].view().begin.unwrap();
    assert_eq!(begin.variable("lead_id"), "L7");
    let context = begin.variable("conversation_context");
    assert!(context.contains("user: Where is my parcel?"), "{context}");
    assert!(
        call.conversation_id
            .is_some_and(|id| id.starts_with("conv_"))
    );
    assert!(call.lines.len() > 2);
    let refused = DialRequest {
        number: "+14155550134".into(),
        via: Some("nobody".into()),
        ..DialRequest::default()
    };
    let command = Command {
        id: backend.core.clock.command_id(),
        call: None,
        action: Action::Dial { request: refused },
        reason: None,
    };
    let reply = backend.core.command(&Grant::admin("ana"), command).await;
    assert!(!reply.ok);
    tasks.cancel();
}

#[tokio::test]
async fn the_vendor_is_told_who_rings_before_its_agent_speaks() {
    use wallboard::call::{Grant, Role};

    const PATH: &str = "/api/webhooks/elevenlabs/conversation-initiation";
    let backend = Backend::start().await;
    let asked = json!({"caller_id": "+14155550134", "agent_id": "agent_1",
        "called_number": "+15557650000", "call_sid": sid("CA", 4)});
    let ask = async |token: &str| {
        let request = backend.http.post(format!("{}{PATH}", backend.url));
        request
            .bearer_auth(token)
            .json(&asked)
            .send()
            .await
            .unwrap()
    };
    let viewer = backend.token(Grant::of("eve", Role::Viewer));
    assert_eq!(ask(&viewer).await.status(), 403);
    assert_eq!(backend.calls(), 0);
    let operator = backend.token(Grant::of("vendor", Role::Operator));
    let answer: Value = ask(&operator).await.json().await.unwrap();
    assert_eq!(answer["type"], "conversation_initiation_client_data");
    let call = backend.call(&sid("CA", 4)).unwrap();
    assert_eq!(call.status, CallStatus::Ringing);
    assert_eq!(call.facts.from, "+14155550134");
    assert_eq!(answer["dynamic_variables"]["call_id"], json!(call.id));
    assert_eq!(answer["dynamic_variables"]["conversation_context"], "");
}
