//! The event stream of one lead, as browsers and programs read it.

use std::time::Duration;

use serde_json::json;
use wallboard::call::{Fact, Grant, LeadMessage, Role};
use wallboard::engine::Target;

use crate::it::support::backend::{ADMIN, Backend};
use crate::it::support::sse::Sse;

use super::conversations::{EVENTS, ended, said, stamp, started};

const PATH: &str = "/api/stream/conversation";

async fn open(backend: &Backend, lead: &str, last: Option<&str>) -> Sse {
    let mut request = backend.http.get(format!("{}{PATH}/{lead}", backend.url));
    request = request.bearer_auth(ADMIN);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    Sse::of(request.send().await.unwrap())
}

async fn tell(backend: &Backend, event: &serde_json::Value) {
    assert_eq!(backend.event(EVENTS, event).await.status(), 200);
}

#[tokio::test]
async fn a_conversation_is_told_in_the_words_dashboards_know() {
    let backend = Backend::start().await;
    let mut stream = open(&backend, "L1", None).await;
    let mut other = open(&backend, "L2", None).await;
    let connected = stream.event().await;
    assert_eq!(connected.data, json!({"type": "connected", "leadId": "L1"}));
    tell(&backend, &started("conv_1", Some("L1"))).await;
    tell(&backend, &said("agent_message", "conv_1", "Hello")).await;
    tell(&backend, &said("user_message", "conv_1", "Hi\nthere 👋")).await;
    let more = |kind: &str, metadata: serde_json::Value| json!({"type": kind, "data": {"conversation_id": "conv_1", "metadata": metadata}});
    tell(
        &backend,
        &more("interruption", json!({"interruption_type": "user"})),
    )
    .await;
    tell(
        &backend,
        &more("silence_detected", json!({"silence_duration_ms": 4_000})),
    )
    .await;
    tell(
        &backend,
        &more("silence_detected", json!({"silence_duration_ms": 6_000})),
    )
    .await;
    tell(&backend, &ended("conv_1")).await;
    let record = json!({"type": "post_call_transcription", "data": {"conversation_id": "conv_1",
        "analysis": {"transcript_summary": "A greeting."}}});
    tell(&backend, &record).await;
    let frames = stream.events(8).await;
    let kinds: Vec<&str> = frames.iter().map(|frame| frame.kind()).collect();
    assert_eq!(
        kinds,
        [
            "call_initiated",
            "conversation_started",
            "voice_sent",
            "voice_received",
            "interruption",
            "silence_detected",
            "conversation_ended",
            "post_call_summary"
        ]
    );
    for frame in &frames {
        assert_eq!(frame.data["leadId"], "L1");
        assert!(frame.id.is_some() && frame.data["timestamp"].is_string());
    }
    assert_eq!(frames[1].data["conversationId"], "conv_1");
    assert_eq!(frames[2].data["sentBy"], "agent");
    assert_eq!(frames[3].words(), "Hi\nthere 👋");
    assert_eq!(frames[3].data["phoneNumber"], "+14155550134");
    assert_eq!(frames[5].data["duration"], 6_000);
    assert_eq!(frames[6].data["duration"], 45_000);
    assert_eq!(frames[7].data["summary"], "A greeting.");
    assert_eq!(frames[7].data["transcript"].as_array().unwrap().len(), 2);
    // Nothing of it reached the neighbour.
    tell(&backend, &started("conv_2", Some("L2"))).await;
    assert_eq!(other.event().await.kind(), "connected");
    assert_eq!(other.event().await.data["leadId"], "L2");
}

#[tokio::test]
async fn a_viewer_that_comes_again_misses_nothing_and_gets_nothing_twice() {
    let backend = Backend::start().await;
    let mut stream = open(&backend, "L1", None).await;
    tell(&backend, &started("conv_1", Some("L1"))).await;
    let mut words = Vec::new();
    for n in 0..30 {
        tell(
            &backend,
            &said("user_message", "conv_1", &format!("word {n}")),
        )
        .await;
        if n % 7 == 3 {
            // Goes away in the middle of things, with some frames unread.
            while words.len() < n - 1 {
                let frame = stream.event().await;
                if frame.kind() == "voice_received" {
                    words.push(frame.words().to_owned());
                }
            }
            let last = stream.last_id.clone();
            drop(stream);
            tell(&backend, &said("user_message", "conv_2", "somebody else")).await;
            stream = open(&backend, "L1", last.as_deref()).await;
        }
    }
    while words.len() < 30 {
        let frame = stream.event().await;
        if frame.kind() == "voice_received" {
            words.push(frame.words().to_owned());
        }
    }
    let expected: Vec<String> = (0..30).map(|n| format!("word {n}")).collect();
    assert_eq!(words, expected);
}

#[tokio::test]
async fn a_place_of_another_run_gets_the_history_and_so_does_who_asks() {
    let backend = Backend::start().await;
    tell(&backend, &started("conv_1", Some("L1"))).await;
    tell(&backend, &said("agent_message", "conv_1", "Hello")).await;
    let text = LeadMessage {
        id: "m1".into(),
        lead_id: "L1".into(),
        sent_by: "user".into(),
        channel: "sms".into(),
        phone: None,
        text: "See you".into(),
        ..LeadMessage::default()
    };
    let fact = Fact::LeadMessaged { message: text };
    backend
        .core
        .switchboard
        .post(Target::Backend, vec![fact])
        .await
        .unwrap();
    let gone = format!("{}-4", uuid::Uuid::from_u128(7));
    for (query, last) in [
        ("", Some(gone.as_str())),
        ("", Some("junk")),
        ("?load=true", None),
    ] {
        let mut stream = open(&backend, &format!("L1{query}"), last).await;
        assert_eq!(stream.event().await.kind(), "connected");
        let history = stream.event().await;
        assert_eq!(history.kind(), "conversation_history");
        assert!(history.id.is_some());
        let rows = history.data["messages"].as_array().unwrap();
        let said: Vec<_> = rows
            .iter()
            .map(|row| (&row["content"], &row["type"]))
            .collect();
        assert_eq!(
            said,
            [
                (&json!("Hello"), &json!("voice")),
                (&json!("See you"), &json!("sms"))
            ]
        );
        assert_eq!(history.data["totalMessages"], 2);
        tell(
            &backend,
            &json!({"type": "interruption", "event_timestamp": stamp(), "data": {"conversation_id": "conv_1"}}),
        )
        .await;
        assert_eq!(stream.event().await.kind(), "interruption");
    }
}

#[tokio::test]
async fn what_was_said_before_the_lead_was_known_is_delivered_when_it_is() {
    let backend = Backend::start().await;
    let mut stream = open(&backend, "L9", None).await;
    tell(&backend, &started("conv_1", None)).await;
    tell(&backend, &said("agent_message", "conv_1", "Hello")).await;
    assert_eq!(backend.call("conv_1").unwrap().facts.lead_id, None);
    let mut late = said("user_message", "conv_1", "It is me");
    late["data"]["metadata"] = json!({"leadId": "L9"});
    tell(&backend, &late).await;
    let frames = stream.events(5).await;
    let kinds: Vec<&str> = frames.iter().map(|frame| frame.kind()).collect();
    let expected = [
        "connected",
        "call_initiated",
        "conversation_started",
        "voice_sent",
        "voice_received",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(
        backend.call("conv_1").unwrap().facts.lead_id.as_deref(),
        Some("L9")
    );
}

#[tokio::test]
async fn only_those_who_may_see_a_lead_see_it() {
    let backend = Backend::start().await;
    let mut grant = Grant::of("ana", Role::Viewer);
    grant.leads = Some(["L1".to_owned()].into());
    let token = backend.token(grant);
    assert_eq!(
        backend
            .get(&format!("{PATH}/L1"), "wb_wrong")
            .await
            .status(),
        401
    );
    let anonymous = backend
        .http
        .get(format!("{}{PATH}/L1", backend.url))
        .send()
        .await;
    assert_eq!(anonymous.unwrap().status(), 401);
    assert_eq!(
        backend.get(&format!("{PATH}/L2"), &token).await.status(),
        403
    );
    let inside = backend
        .get(&format!("{PATH}/L1?phoneNumber=%2B14155550134"), &token)
        .await;
    let mut stream = Sse::of(inside);
    assert_eq!(stream.event().await.kind(), "connected");
    // A stranger's call cannot be drawn into sight by naming its phone.
    tell(&backend, &started("conv_1", None)).await;
    assert_eq!(backend.call("conv_1").unwrap().facts.lead_id, None);
    // Numbers are masked for who may not see them.
    tell(&backend, &started("conv_2", Some("L1"))).await;
    let seen = stream.event().await;
    assert_eq!(seen.kind(), "call_initiated");
    assert!(
        !seen.data.to_string().contains("4155550134"),
        "{}",
        seen.data
    );
    // A revoked token is cut off.
    backend
        .tokens
        .revoke("ana", backend.core.clock.now())
        .unwrap();
    while stream.next().await.is_some() {}
}

#[tokio::test]
async fn a_browser_opens_with_a_ticket_and_may_come_again_with_it() {
    let backend = Backend::start().await;
    let asked = backend.http.post(format!("{}/api/tickets", backend.url));
    let asked = asked
        .bearer_auth(ADMIN)
        .json(&json!({"use": "sse", "lead": "L 1"}));
    let ticket: serde_json::Value = asked.send().await.unwrap().json().await.unwrap();
    let url = format!("{}{}", backend.url, ticket["url"].as_str().unwrap());
    let wrong = url.replace("L+1", "L2").replace("L%201", "L2");
    for _ in 0..2 {
        let mut stream = Sse::of(backend.http.get(&url).send().await.unwrap());
        let connected = stream.event().await;
        assert_eq!(connected.data["leadId"], "L 1");
    }
    assert_ne!(wrong, url);
    assert_eq!(backend.http.get(&wrong).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_phone_named_by_the_page_is_that_leads() {
    let backend = Backend::start().await;
    let mut stream = open(&backend, "L5?phoneNumber=4155550134", None).await;
    assert_eq!(stream.event().await.kind(), "connected");
    tell(&backend, &started("conv_1", None)).await;
    assert_eq!(stream.event().await.kind(), "call_initiated");
    assert_eq!(
        backend.call("conv_1").unwrap().facts.lead_id.as_deref(),
        Some("L5")
    );
}

#[tokio::test]
async fn a_viewer_that_does_not_read_is_cut_and_the_others_are_served() {
    let backend = Backend::start().await;
    tell(&backend, &started("conv_1", Some("L1"))).await;
    let slow = open(&backend, "L1", None).await;
    let mut quick = open(&backend, "L1", None).await;
    assert_eq!(quick.event().await.kind(), "connected");
    let call = backend.call("conv_1").unwrap().id;
    // More than the sockets between can hold.
    let text = "x".repeat(8_000);
    for block in 0..20_u32 {
        let facts = (0..50).map(|n| Fact::UtteranceFinal {
            turn: block * 50 + n + 1,
            track: wallboard::call::Track::FromCaller,
            text: text.clone(),
            latency_ms: None,
        });
        let facts: Vec<Fact> = facts.collect();
        backend
            .core
            .switchboard
            .post(Target::Call(call), facts)
            .await
            .unwrap();
        assert_eq!(quick.events(50).await.len(), 50);
    }
    // What it had not been sent is not waiting for it anywhere: it may come again and resume.
    let mut slow = slow;
    let mut read = 0;
    while tokio::time::timeout(Duration::from_secs(10), slow.next())
        .await
        .unwrap()
        .is_some()
    {
        read += 1;
    }
    assert!(read < 1_000, "{read} frames were kept for it");
}
