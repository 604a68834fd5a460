//! The doors: tokens that are taken away, pages that should not be here, clients that dawdle.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};
use wallboard::call::Role;

use super::rig::{ADMIN, House, Plot, chat};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_cuts_every_open_socket_within_two_seconds() {
    let house = House::start(Plot::default()).await;
    let (call, id) = house.talking(1, chat()).await;
    let token = house.token("ann", Role::Operator).await;
    // The server reads the token file twice a second.
    let mut board = house.join(&token).await;
    board.wait_for("hello").await;
    let url = format!(
        "{}/api/calls/{id}/listen",
        house.url.replacen("http", "ws", 1)
    );
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let (mut ear, _) = connect_async(request).await.unwrap();
    let wav = house
        .get(&format!("/api/calls/{id}/audio.wav"), &token)
        .await;
    assert_eq!(wav.status(), 200);
    let mut wav = wav.bytes_stream();
    assert!(wav.next().await.is_some());

    let revoked = Instant::now();
    house.tokens.revoke("ann", house.core.clock.now()).unwrap();
    let left = async {
        while board.event().await.is_some() {}
        revoked.elapsed()
    };
    let deaf = async {
        while let Some(Ok(Message::Binary(_))) = ear.next().await {}
        revoked.elapsed()
    };
    let silent = async {
        while let Some(Ok(_)) = wav.next().await {}
        revoked.elapsed()
    };
    let ends = tokio::time::timeout(Duration::from_secs(10), async {
        tokio::join!(left, deaf, silent)
    });
    let ends = ends.await.expect("all were cut");
    eprintln!("C25: cut after {ends:?}");
    for took in [ends.0, ends.1, ends.2] {
        assert!(took <= Duration::from_secs(2), "{ends:?}");
    }
    let refused = house.get("/api/calls/active", &token).await;
    assert_eq!(refused.status(), 401);
    assert!(call.view().stream_open, "the call goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_gets_nothing_beyond_its_role() {
    let house = House::start(Plot::default()).await;
    let (call, id) = house.talking(1, chat()).await;
    let token = house.token("eve", Role::Viewer).await;
    for path in [
        "terminate",
        "transfer",
        "whisper",
        "say",
        "takeover",
        "record/start",
        "unmask",
        "note",
    ] {
        let path = format!("/api/calls/{id}/{path}");
        let body = serde_json::json!({ "text": "x", "to": "+14155550111" });
        let answer = house.post(&path, &token, body).await;
        assert_eq!(answer.status(), 403, "{path}");
    }
    let dial = serde_json::json!({ "number": "+14155550111" });
    assert_eq!(
        house
            .post("/api/outbound-call", &token, dial)
            .await
            .status(),
        403
    );
    for path in ["audio.wav", "listen"] {
        let answer = house.get(&format!("/api/calls/{id}/{path}"), &token).await;
        assert!(answer.status().is_client_error(), "{path}");
    }
    assert_eq!(house.get("/api/webhooks", &token).await.status(), 403);
    let shown = house
        .get("/api/calls/active", &token)
        .await
        .text()
        .await
        .unwrap();
    assert!(!shown.contains("4155550001"), "numbers are masked");
    assert!(call.view().stream_open);
}

async fn upgrade(url: &str, header: (&'static str, &str)) -> u16 {
    let mut request = url.into_client_request().unwrap();
    let value = HeaderValue::from_str(header.1).unwrap();
    request
        .headers_mut()
        .insert(HeaderName::from_static(header.0), value);
    match connect_async(request).await {
        Ok(_) => 101,
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_pages_and_rebound_names_get_nowhere() {
    let house = House::start(Plot::default()).await;
    let ws = house.url.replacen("http", "ws", 1);
    let port = house.url.rsplit(':').next().unwrap();
    let sockets = [
        format!("{ws}/socket.io/?EIO=4&transport=websocket"),
        format!("{ws}/outbound-media-stream"),
        format!("{ws}/api/calls/x/listen"),
    ];
    for url in &sockets {
        for origin in ["https://evil.example.net", "null", "http://127.0.0.1:1"] {
            assert_eq!(
                upgrade(url, ("origin", origin)).await,
                403,
                "{url} {origin}"
            );
        }
        let rebound = format!("evil.example.net:{port}");
        assert_eq!(upgrade(url, ("host", &rebound)).await, 421, "{url}");
    }
    let polling = format!("{}/socket.io/?EIO=4&transport=polling", house.url);
    for path in [
        "/api/calls/active",
        "/api/outbound-call",
        "/metrics",
        "/listen/x",
    ] {
        for request in [
            house.http.get(format!("{}{path}", house.url)),
            house.http.post(format!("{}{path}", house.url)),
            house.http.get(&polling),
        ] {
            let request = request.bearer_auth(ADMIN);
            let page = request
                .try_clone()
                .unwrap()
                .header("origin", "https://evil.example.net");
            let page = page.send().await.unwrap();
            assert_eq!(page.status(), 403, "{path}");
            assert!(page.headers().get("access-control-allow-origin").is_none());
            let rebound = request
                .header("host", "evil.example.net")
                .send()
                .await
                .unwrap();
            assert_eq!(rebound.status(), 421, "{path}");
        }
    }
}

/// Sends `words`, then nothing; how long the server lets it. `None`: longer than anybody should.
async fn dawdle(url: &str, words: String) -> Option<Duration> {
    let mut socket = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .unwrap();
    let began = Instant::now();
    socket.write_all(words.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let ended = socket.read_to_end(&mut answer);
    let ended = tokio::time::timeout(Duration::from_secs(16), ended).await;
    ended.ok().map(|_reset_or_end| began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_dawdle_are_cut_while_others_are_served() {
    let house = House::start(Plot::default()).await;
    let host = house.url.trim_start_matches("http://");
    let half_head = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nX-Slow: ");
    let half_body = format!(
        "POST /call-status-callback HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 1000\r\n\r\nCallSid="
    );
    let api_body = format!(
        "POST /api/outbound-call HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {ADMIN}\r\nContent-Length: 1000\r\n\r\n{{"
    );
    let stream = format!(
        "GET /outbound-media-stream HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let crowd = (0..200).map(|_| dawdle(&house.url, half_head.clone()));
    let crowd = futures_util::future::join_all(crowd);
    let served = async {
        let began = Instant::now();
        for _ in 0..20 {
            let answer = house.get("/healthz", ADMIN).await;
            assert_eq!(answer.status(), 200);
        }
        began.elapsed()
    };
    let (crowd, body, api, stream, silent, other, served) = tokio::join!(
        crowd,
        dawdle(&house.url, half_body),
        dawdle(&house.url, api_body),
        dawdle(&house.url, stream),
        dawdle(&house.url, String::new()),
        dawdle(&house.url, "P".to_owned()),
        served
    );
    let cut = [
        (
            "half a head",
            crowd
                .into_iter()
                .reduce(|one, other| Some(one?.max(other?)))
                .flatten(),
        ),
        ("half a webhook", body),
        ("half an API body", api),
        ("no start", stream),
        ("nothing at all", silent),
        ("half of another protocol", other),
    ];
    eprintln!("C27: cut after {cut:?}; others served in {served:?}");
    for (what, took) in cut {
        assert!(
            took.is_some_and(|took| took < Duration::from_secs(14)),
            "{what}: {took:?}"
        );
    }
    assert!(served < Duration::from_secs(3), "{served:?}");
}
