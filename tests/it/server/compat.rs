//! Namespace `/` as dashboards in the wild see it.

use std::time::Duration;

use serde_json::{Value, json};
use wallboard::call::{AgentLink, CallStatus, Fact, Grant, Role, Source, Track};
use wallboard::engine::Target;

use crate::it::support::backend::{ADMIN, Backend, sid};
use crate::it::support::socketio::SioClient;

async fn join(backend: &Backend, token: &str) -> SioClient {
    SioClient::join(&backend.url, "/", json!({ "token": token }))
        .await
        .unwrap()
}

async fn post(backend: &Backend, call: &str, facts: Vec<Fact>) {
    let target = Target::Known {
        carrier: "twilio".into(),
        carrier_call_id: call.to_owned(),
    };
    backend.core.switchboard.post(target, facts).await.unwrap();
}

/// All events up to and with the first of this name.
async fn up_to(client: &mut SioClient, last: &str) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    loop {
        let event = client.event().await.unwrap();
        let done = event.0 == last;
        events.push(event);
        if done {
            return events;
        }
    }
}

#[tokio::test]
async fn a_stranger_is_refused_unless_the_namespace_is_public() {
    let backend = Backend::start().await;
    let refused = SioClient::join(&backend.url, "/", json!({})).await;
    assert_eq!(refused.err().as_deref(), Some("unauthorized"));
    let open = Backend::start_with(|settings| settings.public_namespace = true, |_| {}).await;
    let mut client = SioClient::join(&open.url, "/", json!({})).await.unwrap();
    open.status(&sid("CA", 1), "ringing", "1").await;
    loop {
        let list = client.wait_for("active_calls").await;
        if list[0]["from"] == "+14155550134" {
            break;
        }
        assert_eq!(list, json!([]), "the contract shows whole numbers here");
    }
}

#[tokio::test]
async fn each_fact_is_one_update_whatever_a_socket_subscribed_to() {
    let backend = Backend::start().await;
    let call = sid("CA", 1);
    let mut client = join(&backend, ADMIN).await;
    assert_eq!(client.wait_for("active_calls").await, json!([]));
    client.emit_bare("subscribe_to_calls").await;
    client.emit("subscribe_to_call", json!(call)).await;
    client.emit_acked("ping", json!(null)).await;
    while client.acked.is_empty() {
        client.event().await.unwrap();
        if client.acked.is_empty() {
            backend.status(&sid("CA", 99), "queued", "0").await;
        }
    }
    for (sequence, word) in ["initiated", "ringing", "in-progress", "completed"]
        .iter()
        .enumerate()
    {
        backend.status(&call, word, &sequence.to_string()).await;
    }
    let events = up_to(&mut client, "call_ended").await;
    let mine = |name: &str| -> Vec<&Value> {
        events
            .iter()
            .filter(|(event, data)| event == name && data["callSid"] == call.as_str())
            .map(|(_, data)| data)
            .collect()
    };
    let kinds: Vec<&str> = mine("call_update")
        .iter()
        .map(|update| update["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["new_call", "status_update", "status_update", "call_ended"]
    );
    assert_eq!(mine("new_call").len(), 1);
    assert_eq!(mine("call_ended").len(), 1);
    let ended = mine("call_update")[3];
    assert_eq!(ended["data"]["status"], "completed");
    assert_eq!(ended["data"]["duration"], 47);
    assert_eq!(ended["v"], 1);
    assert_eq!(ended["provider"], "twilio");
}

#[tokio::test]
async fn the_agent_and_the_words_are_told_to_those_who_asked() {
    let backend = Backend::start().await;
    let call = sid("CA", 1);
    backend.status(&call, "in-progress", "1").await;
    let mut reader = join(&backend, ADMIN).await;
    let mut other = join(&backend, ADMIN).await;
    reader
        .emit("subscribe_to_call_transcript", json!(call))
        .await;
    reader.emit_bare("unsubscribe_from_calls").await;
    reader.emit("subscribe_to_campaigns", json!(null)).await;
    assert_eq!(reader.wait_for("active_campaigns").await, json!([]));
    let words = |text: &str, last: bool| {
        let (turn, track, text) = (1, Track::FromCaller, text.to_owned());
        if last {
            Fact::UtteranceFinal {
                turn,
                track,
                text,
                latency_ms: None,
            }
        } else {
            Fact::UtteranceInterim { turn, track, text }
        }
    };
    let facts = vec![
        Fact::ConversationStarted {
            conversation_id: "conv_1".into(),
        },
        Fact::AgentLinkChanged {
            link: AgentLink::Connected,
            reason: None,
            attempt: None,
        },
        words("hel", false),
        words("hello", true),
        Fact::CallEnded {
            status: CallStatus::Completed,
            ended_by: None,
            cause: None,
            duration_s: None,
            source: Source::Webhook,
        },
    ];
    post(&backend, &call, facts).await;
    let events = up_to(&mut reader, "call_transcript").await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "transcript_update",
            "transcript_update",
            "transcript_message",
            "call_transcript_message",
            "transcript_update",
            "call_transcript",
        ]
    );
    assert_eq!(events[1].1["data"]["isPartial"], false);
    assert_eq!(events[5].1["transcript"]["messages"][0]["message"], "hello");
    assert_eq!(events[5].1["transcript"]["summary"], Value::Null);

    let events = up_to(&mut other, "call_ended").await;
    assert!(events.iter().all(|(name, _)| !name.contains("transcript")));
    let linked = events
        .iter()
        .find(|(_, data)| data["data"]["status"] == "connected_to_ai");
    assert_eq!(linked.unwrap().1["data"]["conversationId"], "conv_1");
    assert_eq!(linked.unwrap().1["data"]["callStatus"], "in-progress");
}

#[tokio::test]
async fn a_viewer_gets_masked_numbers_and_the_list_once_a_second_at_most() {
    let backend = Backend::start().await;
    let token = backend.token(Grant::of("vic", Role::Viewer));
    let mut client = loop {
        match SioClient::join(&backend.url, "/", json!({ "token": token })).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    client.wait_for("active_calls").await;
    for number in 0..30 {
        backend.status(&sid("CA", number), "ringing", "1").await;
    }
    let mut lists = 0;
    loop {
        let (name, data) = client.event().await.unwrap();
        assert!(!data.to_string().contains("14155550134"), "{name}: {data}");
        if name == "active_calls" {
            lists += 1;
            if data.as_array().unwrap().len() == 30 {
                break;
            }
        }
    }
    assert!(lists <= 3, "{lists} lists for 30 changes");
}
