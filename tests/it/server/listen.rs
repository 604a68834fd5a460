//! Hearing a call: once per ticket, one way, and over when the token is.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use wallboard::call::{CallFacts, CallId, CallStatus, Grant, Role};
use wallboard::engine::{StereoFrame, Target};

use crate::it::support::backend::{ADMIN, Backend, sid};

const FRAME: StereoFrame = StereoFrame {
    caller: [1; 160],
    agent: [2; 160],
};

/// A bridged call whose audio is played until the test ends.
async fn audible(backend: &Backend) -> CallId {
    let target = Target::Carrier {
        facts: CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some(sid("CA", 1)),
            ..CallFacts::default()
        },
        status: CallStatus::InProgress,
        started_at: None,
    };
    let posted = backend.core.switchboard.post(target, vec![]).await.unwrap();
    let call = posted.call.unwrap();
    let tap = backend.core.taps.open(call);
    let token = backend.core.tasks.token().clone();
    backend.core.tasks.spawn("test audio", async move {
        while !token.is_cancelled() {
            tap.send(FRAME);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    call
}

async fn ticket(backend: &Backend, purpose: &str, call: CallId) -> Value {
    let answer = backend
        .post(
            "/api/tickets",
            ADMIN,
            json!({ "use": purpose, "call": call }),
        )
        .await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_wav_of_unknown_length_plays_caller_left_and_agent_right() {
    let backend = Backend::start().await;
    let call = audible(&backend).await;
    let ticket = ticket(&backend, "wav", call).await;
    let url = format!("{}{}", backend.url, ticket["url"].as_str().unwrap());
    let request = backend.http.get(&url).header("Range", "bytes=0-");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let mut body = answer.bytes_stream();
    let mut bytes = Vec::new();
    while bytes.len() < 400 {
        bytes.extend(
            timeout(Duration::from_secs(5), body.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap(),
        );
    }
    assert_eq!(&bytes[..4], b"RIFF");
    assert_eq!(bytes[4..8], [0xff; 4]);
    let header = bytes.len() % 320;
    assert_eq!(bytes[header..header + 4], [1, 2, 1, 2]);
    let listeners = backend.call(&sid("CA", 1)).unwrap().listeners;
    assert_eq!(listeners[0].by, "admin");
    drop(body);
    timeout(Duration::from_secs(5), async {
        while !backend.call(&sid("CA", 1)).unwrap().listeners.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a listener that hung up is gone from the board");
    assert_eq!(
        backend.http.get(&url).send().await.unwrap().status(),
        401,
        "one use"
    );
}

#[tokio::test]
async fn the_listening_socket_plays_frames_and_takes_nothing() {
    let backend = Backend::start().await;
    let call = audible(&backend).await;
    let url = format!(
        "{}/api/calls/{call}/listen",
        backend.url.replacen("http", "ws", 1)
    );
    assert!(connect_async(&url).await.is_err(), "no token, no audio");
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {ADMIN}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let (mut socket, _) = connect_async(request).await.unwrap();
    let message = timeout(Duration::from_secs(5), socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let Message::Binary(bytes) = message else {
        panic!("{message:?}")
    };
    assert_eq!(bytes.len(), 320);
    assert_eq!(bytes[..4], [1, 2, 1, 2]);
    socket
        .send(Message::Binary(vec![0; 160].into()))
        .await
        .unwrap();
    let closed = timeout(Duration::from_secs(5), async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.unwrap().code.into(),
                Some(Ok(_)) => {}
                _ => return 0_u16,
            }
        }
    });
    assert_eq!(closed.await.unwrap(), 1008);
}

#[tokio::test]
async fn the_page_spends_its_ticket_and_can_load_nothing_foreign() {
    let backend = Backend::start().await;
    let call = audible(&backend).await;
    let first = ticket(&backend, "listen", call).await;
    let url = format!("{}{}", backend.url, first["url"].as_str().unwrap());
    let page = backend.http.get(&url).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'nonce-"),
        "{policy}"
    );
    let text = page.text().await.unwrap();
    assert!(!text.contains("{{") && !text.contains(first["ticket"].as_str().unwrap()));
    assert!(
        !text.contains("http://") && !text.contains("https://"),
        "nothing foreign"
    );
    let next = text
        .split("?ticket=")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let socket = format!(
        "{}/api/calls/{call}/listen?ticket={next}",
        backend.url.replacen("http", "ws", 1)
    );
    let (mut socket, _) = connect_async(&socket).await.unwrap();
    assert!(
        timeout(Duration::from_secs(5), socket.next())
            .await
            .unwrap()
            .unwrap()
            .is_ok()
    );
    assert_eq!(backend.http.get(&url).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_viewer_may_not_listen_and_a_revoked_listener_is_cut() {
    let backend = Backend::start().await;
    let call = audible(&backend).await;
    let viewer = backend.token(Grant::of("vic", Role::Viewer));
    let listener = backend.token(Grant::of("lis", Role::Listener));
    let path = format!("/api/calls/{call}/audio.wav");
    while backend.get("/api/calls/active", &listener).await.status() == 401 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(backend.get(&path, &viewer).await.status(), 403);
    let answer = backend.get(&path, &listener).await;
    assert_eq!(answer.status(), 200);
    backend
        .tokens
        .revoke("lis", backend.core.clock.now())
        .unwrap();
    let mut body = answer.bytes_stream();
    let cut = timeout(Duration::from_secs(2), async {
        while body.next().await.is_some() {}
    });
    cut.await.expect("cut within two seconds");
}
