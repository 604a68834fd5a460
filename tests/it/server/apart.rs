//! An event that names another lead than its conversation's: neither lead's viewers read words of the
//! other, and nothing is lost.

use serde_json::{Value, json};
use wallboard::call::{Call, Grant, LineBody, Role};
use wallboard::providers::vendor::WebhookVerdict;

use super::conversations::{EVENTS, ended, said, stamp, started};
use crate::it::support::backend::{ADMIN, Backend};
use crate::it::support::sse::Sse;

fn named(conversation: &str, lead: &str, text: &str) -> Value {
    json!({"type": "user_message", "event_timestamp": stamp(), "data": {"conversation_id": conversation,
        "message": text, "metadata": {"lead_id": lead}}})
}

fn words(call: &Call) -> Vec<String> {
    let lines = call.lines.iter();
    lines
        .filter_map(|line| match &line.body {
            LineBody::Speech { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect()
}

fn verdict(backend: &Backend) -> WebhookVerdict {
    backend.server.webhooks().entries().last().unwrap().verdict
}

async fn stream(backend: &Backend, lead: &str) -> Sse {
    let request = backend
        .http
        .get(format!("{}/api/stream/conversation/{lead}", backend.url));
    let mut stream = Sse::of(request.bearer_auth(ADMIN).send().await.unwrap());
    assert_eq!(stream.event().await.kind(), "connected");
    stream
}

#[tokio::test]
async fn words_that_name_another_lead_reach_neither_leads_viewers_and_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::start_on_disk(dir.path()).await;
    let mut one = stream(&backend, "L1").await;
    let mut two = stream(&backend, "L2").await;
    let tell = async |event: &Value| {
        assert_eq!(backend.event(EVENTS, event).await.status(), 200, "{event}");
    };
    tell(&started("conv_1", Some("L1"))).await;
    tell(&said("user_message", "conv_1", "first lead's words")).await;
    tell(&named("conv_1", "L1", "again the first's")).await;
    assert_eq!(verdict(&backend), WebhookVerdict::Valid);
    let strangers = [
        named("conv_1", "L2", "second lead's secret"),
        named("conv_1", "L2", "second lead's other secret"),
        named("conv_1", "L3", "third lead's secret"),
    ];
    for stranger in &strangers {
        tell(stranger).await;
        assert_eq!(verdict(&backend), WebhookVerdict::OtherLead);
        let entry = backend.server.webhooks().entries().pop().unwrap();
        let advice = entry.advice.unwrap();
        assert!(
            advice.contains("kept apart") && !advice.contains("L2"),
            "{advice}"
        );
    }
    // Sent again it is the same event, wherever it went.
    tell(&strangers[0]).await;
    assert_eq!(verdict(&backend), WebhookVerdict::Duplicate);
    // What names nobody goes on where it was.
    tell(&said("agent_message", "conv_1", "still the first")).await;
    tell(&ended("conv_1")).await;

    let first = backend.call("conv_1").unwrap();
    assert_eq!(
        words(&first),
        ["first lead's words", "again the first's", "still the first"]
    );
    for (key, kept) in [
        (
            "conv_1 (L2)",
            &["second lead's secret", "second lead's other secret"][..],
        ),
        ("conv_1 (L3)", &["third lead's secret"]),
    ] {
        let call = backend.call(key).expect(key);
        assert_eq!(words(&call), kept);
        assert_eq!(call.facts.lead_id, None);
        assert!(!call.is_live(), "it is no call that goes on");
        assert_eq!(call.troubles[0].code, "other_lead");
    }

    // Neither stream has a word of the strangers.
    let frames = one.events(6).await;
    let heard: Vec<&str> = frames.iter().map(|frame| frame.words()).collect();
    let heard: Vec<&str> = heard.into_iter().filter(|text| !text.is_empty()).collect();
    assert_eq!(
        heard,
        ["first lead's words", "again the first's", "still the first"]
    );
    tell(&started("conv_2", Some("L2"))).await;
    let frames = two.events(2).await;
    assert!(
        frames
            .iter()
            .all(|frame| frame.data["conversationId"] == "conv_2")
    );

    // Whoever sees only one lead finds only its words; whoever sees all finds every word.
    let search = async |token: &str, lead: Option<&str>| {
        let lead = lead.map_or_else(String::new, |lead| format!("&lead_id={lead}"));
        let found = backend
            .get_json(&format!("/api/search?q=secret{lead}"), token)
            .await;
        found["data"]["count"].as_u64().unwrap()
    };
    for lead in ["L1", "L2"] {
        let grant = Grant {
            leads: Some([lead.to_owned()].into()),
            ..Grant::of(lead, Role::Operator)
        };
        let token = backend.token(grant);
        assert_eq!(search(&token, Some(lead)).await, 0, "{lead}");
        let calls = backend
            .get_json("/api/calls/active", &token)
            .await
            .to_string();
        assert!(!calls.contains("secret"), "{calls}");
    }
    assert_eq!(search(ADMIN, None).await, 3);

    // To forget a lead is to forget these, too.
    let request = backend.http.delete(format!("{}/api/leads/L1", backend.url));
    let gone: Value = request
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(gone["data"]["calls"], 3, "{gone}");
    assert_eq!(search(ADMIN, None).await, 0);
}

#[tokio::test]
async fn an_id_of_the_vendors_user_is_no_claim_to_another_lead() {
    let backend = Backend::start().await;
    let mut event = said("user_message", "conv_1", "hello");
    event["data"]["user_id"] = "u-7".into();
    for event in [started("conv_1", Some("L1")), event] {
        assert_eq!(backend.event(EVENTS, &event).await.status(), 200);
    }
    assert_eq!(verdict(&backend), WebhookVerdict::Valid);
    assert_eq!(words(&backend.call("conv_1").unwrap()), ["hello"]);
    assert_eq!(backend.calls(), 1);
}
