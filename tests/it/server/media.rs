//! Who may stream into which call.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use wallboard::call::{CallStatus, Secret};
use wallboard::providers::twilio::sign;

use crate::it::support::backend::{Backend, PUBLIC, TWILIO_TOKEN, sid};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

const PATH: &str = "/outbound-media-stream";

async fn open(
    backend: &Backend,
    path: &str,
    headers: &[(&'static str, String)],
) -> Result<Socket, Error> {
    let url = format!("{}{path}", backend.url.replacen("http", "ws", 1));
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .insert(*name, HeaderValue::from_str(value).unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

fn signature(path: &str) -> (&'static str, String) {
    let url = format!("{}{path}", PUBLIC.replacen("https", "wss", 1));
    (
        "x-twilio-signature",
        sign(&url, &[], &Secret::new(TWILIO_TOKEN)),
    )
}

fn start(call: &str, ticket: Option<&str>) -> Message {
    let custom = ticket.map_or(json!({}), |ticket| json!({ "wb": ticket }));
    let stream = sid("MZ", 1);
    Message::text(
        json!({
            "event": "start", "sequenceNumber": "1", "streamSid": stream,
            "start": {
                "accountSid": sid("AC", 1), "streamSid": stream, "callSid": call, "tracks": ["inbound"],
                "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 },
                "customParameters": custom,
            },
        })
        .to_string(),
    )
}

/// The code the server closes with.
async fn closed(socket: &mut Socket) -> Option<u16> {
    loop {
        match timeout(Duration::from_secs(5), socket.next())
            .await
            .unwrap()?
        {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waited = timeout(Duration::from_secs(5), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("in time");
}

async fn ticket_of(backend: &Backend, call: &str) -> String {
    let form = [
        ("CallSid", call),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
    ];
    let text = backend
        .webhook("/incoming-call", &form)
        .await
        .text()
        .await
        .unwrap();
    let from = text.split("name=\"wb\" value=\"").nth(1).unwrap();
    from.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_signed_stream_of_an_unknown_call_is_adopted() {
    let backend = Backend::start().await;
    let paths = [
        (PATH.to_owned(), 1),
        (format!("{PATH}/some/segment"), 2),
        // The other carrier's address; the signature says whose stream it is.
        ("/media-stream".to_owned(), 3),
    ];
    for (path, number) in paths {
        let call = sid("CA", number);
        let mut socket = open(&backend, &path, &[signature(&path)]).await.unwrap();
        socket.send(start(&call, None)).await.unwrap();
        until(|| backend.call(&call).is_some()).await;
        let seen = backend.call(&call).unwrap();
        assert_eq!(seen.status, CallStatus::InProgress);
        assert!(seen.facts.adopted);
    }
}

#[tokio::test]
async fn a_ticket_admits_to_its_own_call_only() {
    let backend = Backend::start().await;
    let (invited, other) = (sid("CA", 1), sid("CA", 2));
    let ticket = ticket_of(&backend, &invited).await;
    backend.status(&other, "in-progress", "1").await;
    let mut thief = open(&backend, PATH, &[]).await.unwrap();
    thief.send(start(&other, Some(&ticket))).await.unwrap();
    assert_eq!(closed(&mut thief).await, Some(1008));

    let mut guest = open(&backend, PATH, &[]).await.unwrap();
    guest.send(start(&invited, Some(&ticket))).await.unwrap();
    until(|| backend.call(&invited).unwrap().status == CallStatus::InProgress).await;

    backend.status(&invited, "completed", "3").await;
    let mut late = open(&backend, PATH, &[]).await.unwrap();
    late.send(start(&invited, Some(&ticket))).await.unwrap();
    assert_eq!(closed(&mut late).await, Some(1008));
}

#[tokio::test]
async fn without_a_proof_nothing_is_created() {
    let backend = Backend::start().await;
    let call = sid("CA", 1);
    let forged = (
        "x-twilio-signature",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
    );
    for headers in [vec![], vec![forged]] {
        let mut socket = open(&backend, PATH, &headers).await.unwrap();
        socket
            .send(Message::text(r#"{"event":"connected"}"#))
            .await
            .unwrap();
        socket.send(start(&call, Some("made-up"))).await.unwrap();
        assert_eq!(closed(&mut socket).await, Some(1008));
    }
    assert_eq!(backend.calls(), 0);
}

#[tokio::test]
async fn a_browser_is_turned_away_before_the_upgrade() {
    let backend = Backend::start().await;
    let origin = ("origin", backend.url.clone());
    let refused = open(&backend, PATH, &[signature(PATH), origin])
        .await
        .unwrap_err();
    let Error::Http(response) = refused else {
        panic!("{refused}")
    };
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn an_oversized_message_ends_the_socket_with_its_own_code() {
    let backend = Backend::start().await;
    let mut socket = open(&backend, PATH, &[signature(PATH)]).await.unwrap();
    let _may_be_cut = socket.send(Message::text("x".repeat(300 * 1024))).await;
    let code = closed(&mut socket).await;
    assert!(matches!(code, Some(1009 | 1008) | None), "{code:?}");
    assert_eq!(backend.calls(), 0);
}
