//! Hands on a conversation that has no telephone: listening, taking over and typing, handing back, and
//! what is greyed because there is no line.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use wallboard::call::{
    Action, Call, CallId, Command, ErrorCode, Grant, LineBody, Reply, Role, Track,
};

use crate::it::support::backend::ADMIN;
use crate::it::support::socketio::SioClient;

use super::house::{House, answer};

async fn order(house: &House, call: CallId, action: Action) -> Reply {
    let core = &house.backend.core;
    let command = Command {
        id: core.clock.command_id(),
        call: Some(call),
        action,
        reason: None,
    };
    core.command(&Grant::of("ann", Role::Operator), command)
        .await
}

/// Joins, and finds its call on the board.
async fn joined(house: &House, auth: Value) -> (SioClient, CallId, String) {
    let mut client = house.join(auth).await;
    let session = client.wait_for("session").await;
    let id = session["call"].as_str().unwrap().to_owned();
    let linked = |call: &Call| call.conversation_id.is_some() && !call.limits.is_empty();
    let call = house.until(&id, "the agent is there", linked).await;
    (client, call.id, id)
}

fn has(call: &Call, track: Track, words: &str) -> bool {
    call.lines.iter().any(|line| match &line.body {
        LineBody::Speech {
            track: who, text, ..
        } => *who == track && text == words,
        _ => false,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_listened_to_like_a_call() {
    let house = House::open().await;
    let (mut client, _, id) = joined(&house, json!({"agentId": "maya"})).await;
    let url = format!(
        "{}/api/calls/{id}/listen",
        house.backend.url.replacen("http", "ws", 1)
    );
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {ADMIN}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let (mut ear, _) = connect_async(request).await.unwrap();
    house
        .until(&id, "somebody listens", |call| !call.listeners.is_empty())
        .await;
    client
        .emit("text", json!({"data": "tell me a long story"}))
        .await;
    // Silence at first, then the agent's voice.
    let voice = timeout(Duration::from_secs(20), async {
        loop {
            if let Message::Binary(frame) = ear.next().await.unwrap().unwrap() {
                if frame.iter().any(|byte| !matches!(byte, 0xff | 0x7f)) {
                    return;
                }
            }
        }
    });
    voice.await.expect("the agent is heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_takes_a_conversation_over_types_and_hands_it_back() {
    let house = House::open().await;
    let auth = json!({"agentId": "quiet", "audio": false});
    let (mut client, call, id) = joined(&house, auth).await;
    client.emit("text", json!({"data": "hello"})).await;
    let (_, text) = answer(&mut client).await;
    assert!(
        text["data"].as_str().unwrap().starts_with("Hello!"),
        "{text}"
    );
    assert!(order(&house, call, Action::TakeOver {}).await.ok);
    house
        .until(&id, "it is held", |call| {
            call.held_by.as_deref() == Some("ann")
        })
        .await;
    // What the client writes is read at once, all of it, and the agent keeps quiet.
    for words in ["Are you a machine?", "Please answer."] {
        client.emit("text", json!({"data": words})).await;
        house
            .until(&id, "it is read", |call| {
                has(call, Track::FromCaller, words)
            })
            .await;
    }
    let text = "No, I am Ann. How can I help?".to_owned();
    assert!(
        order(&house, call, Action::Say { text: text.clone() })
            .await
            .ok
    );
    let (_, told) = answer(&mut client).await;
    assert_eq!(told["data"], text, "the person's words and no others");
    let board = house
        .until(&id, "it stands there", |call| {
            has(call, Track::FromOperator, &text)
        })
        .await;
    assert_eq!(board.held_by.as_deref(), Some("ann"));
    let note = Some("Ann promised a call back".to_owned());
    assert!(order(&house, call, Action::HandBack { note }).await.ok);
    house
        .until(&id, "it is back", |call| call.held_by.is_none())
        .await;
    client
        .emit("text", json!({"data": "When are you open?"}))
        .await;
    let (_, text) = answer(&mut client).await;
    assert!(
        text["data"].as_str().unwrap().starts_with("We are open"),
        "{text}"
    );
    let asked = house
        .parts
        .view()
        .asked
        .last()
        .cloned()
        .unwrap()
        .to_string();
    assert!(asked.contains("Ann promised a call back"), "{asked}");
    assert!(
        asked.contains("Please answer."),
        "the model knows what was said: {asked}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_words_are_heard_by_a_client_with_sound() {
    let house = House::open().await;
    let (mut client, call, id) = joined(&house, json!({"agentId": "quiet"})).await;
    assert!(order(&house, call, Action::TakeOver {}).await.ok);
    house
        .until(&id, "it is held", |call| call.held_by.is_some())
        .await;
    let text = "One moment, I look it up for you.".to_owned();
    assert!(
        order(&house, call, Action::Say { text: text.clone() })
            .await
            .ok
    );
    let (chunks, told) = answer(&mut client).await;
    assert!(!chunks.is_empty(), "it is spoken");
    assert_eq!(told["data"], text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_for_a_client_that_only_reads_are_not_made_speech() {
    let house = House::open().await;
    for audio in [true, false] {
        let before = house.parts.view().spoken.len();
        let auth = json!({"agentId": "voiced", "audio": audio});
        let (mut client, call, id) = joined(&house, auth).await;
        let hint = "They have called twice.".to_owned();
        assert!(order(&house, call, Action::Whisper { text: hint }).await.ok);
        assert!(order(&house, call, Action::TakeOver {}).await.ok);
        house
            .until(&id, "it is held", |call| call.held_by.is_some())
            .await;
        let text = "One moment, I look it up for you.".to_owned();
        let say = Action::Say { text: text.clone() };
        assert!(order(&house, call, say).await.ok);
        let (chunks, told) = answer(&mut client).await;
        assert_eq!(
            (told["data"].as_str(), chunks.is_empty()),
            (Some(text.as_str()), !audio)
        );
        house
            .until(&id, "it stands there", |call| {
                has(call, Track::FromOperator, &text)
            })
            .await;
        assert!(
            order(&house, call, Action::HandBack { note: None })
                .await
                .ok
        );
        house
            .until(&id, "it is back", |call| call.held_by.is_none())
            .await;
        let made = house.parts.view().spoken.split_off(before);
        assert_eq!(made.contains(&text), audio, "audio {audio}: {made:?}");
        assert!(audio || made.is_empty(), "{made:?}");
        client
            .emit("text", json!({"data": "When are you open?"}))
            .await;
        let (_, told) = answer(&mut client).await;
        let told = told["data"].as_str().unwrap();
        assert!(told.starts_with("We are open"), "{told}");
        let say = "Bring your card, please.".to_owned();
        assert!(
            order(&house, call, Action::Say { text: say.clone() })
                .await
                .ok
        );
        house
            .until(&id, "the agent has said it", |call| {
                call.lines
                    .iter()
                    .any(|line| matches!(&line.body, LineBody::Speech { text, .. } if *text == say))
            })
            .await;
        let more = house.parts.view().spoken.len() - before;
        assert_eq!(more > 0, audio, "spoken {more}, audio {audio}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_line_is_greyed_with_the_reason() {
    let house = House::open().await;
    let (_client, call, id) = joined(&house, json!({"agentId": "quiet", "audio": false})).await;
    let board = house.call(&id).unwrap();
    for (action, order_of) in [
        (
            "transfer",
            Action::Transfer {
                to: "+12065550177".into(),
            },
        ),
        ("record_start", Action::RecordStart {}),
    ] {
        let reason = board.limit(action).unwrap().to_owned();
        assert!(reason.starts_with("chat "), "{reason}");
        let refusal = order(&house, call, order_of).await.error.unwrap();
        assert_eq!(
            (refusal.code, refusal.message),
            (ErrorCode::Unsupported, reason)
        );
    }
    assert!(board.limit("take_over").is_none() && board.limit("say").is_none());
}
