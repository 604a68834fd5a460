//! Clients that do wrong: slow heads, floods, readers that do not read.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wallboard::call::{Fact, Track};
use wallboard::engine::Target;

use crate::it::support::backend::{ADMIN, Backend, sid};
use crate::it::support::socketio::SioClient;

const ID: &str = "0190a000-0000-7000-8000-000000000001";

#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let backend = Backend::start().await;
    let mut slow = TcpStream::connect(backend.server.local_addr())
        .await
        .unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let cut = timeout(Duration::from_secs(15), slow.read_to_end(&mut answer));
    cut.await.expect("cut after ten seconds").unwrap();
    let alive = backend
        .http
        .get(format!("{}/healthz", backend.url))
        .send()
        .await;
    assert!(alive.unwrap().status().is_success());
}

#[tokio::test]
async fn too_many_connections_are_refused_and_others_served() {
    let backend = Backend::start_with(|settings| settings.connections_max = 8, |_| {}).await;
    let address = backend.server.local_addr();
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    let mut refused = 0;
    for socket in &mut held {
        let mut byte = [0; 1];
        if let Ok(Ok(0) | Err(_)) =
            timeout(Duration::from_millis(100), socket.read(&mut byte)).await
        {
            refused += 1;
        }
    }
    assert_eq!(refused, 12);
    drop(held);
    let served = timeout(Duration::from_secs(5), async {
        loop {
            let answer = backend
                .http
                .get(format!("{}/healthz", backend.url))
                .send()
                .await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
        }
    });
    served.await.expect("places are given back");
}

async fn talk(backend: &Backend, call: &str, turns: std::ops::Range<u32>) {
    for turn in turns {
        let target = Target::Known {
            carrier: "twilio".into(),
            carrier_call_id: call.to_owned(),
        };
        let text = "word ".repeat(1_000);
        let fact = Fact::UtteranceFinal {
            turn,
            track: Track::FromAgent,
            text,
            latency_ms: None,
        };
        backend
            .core
            .switchboard
            .post(target, vec![fact])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_it_lags_and_resumes_whole() {
    let backend = Backend::start().await;
    let call = sid("CA", 1);
    backend.status(&call, "in-progress", "1").await;
    let auth = json!({ "token": ADMIN, "v": 1 });
    let mut slow = SioClient::join(&backend.url, "/wallboard", auth.clone())
        .await
        .unwrap();
    let hello = slow.wait_for("hello").await;
    slow.emit("resume", json!({ "id": ID, "epoch": null, "since": null }))
        .await;
    slow.wait_for("snapshot").await;
    let mut good = SioClient::join(&backend.url, "/wallboard", auth)
        .await
        .unwrap();
    good.emit("resume", json!({ "id": ID, "epoch": null, "since": null }))
        .await;
    good.wait_for("snapshot").await;

    // More than the queue and the sockets' buffers hold; the other client keeps reading.
    let writer = talk(&backend, &call, 0..6_000);
    let reader = async {
        let mut to = 0;
        while to < backend.core.switchboard.seq() || to < 6_000 {
            to = good.wait_for("envelopes").await["to"].as_u64().unwrap();
        }
    };
    timeout(Duration::from_secs(60), async {
        tokio::join!(writer, reader)
    })
    .await
    .expect("the slow client delays nobody");

    let mut reached = 0;
    let lagged = loop {
        let (event, data) = slow.event().await.expect("told before it is put out");
        match event.as_str() {
            "envelopes" => {
                assert!(data["from"].as_u64().unwrap() >= reached);
                reached = data["to"].as_u64().unwrap();
            }
            "lagged" => break data,
            _ => {}
        }
    };
    assert_eq!(
        lagged["from"].as_u64().unwrap(),
        reached,
        "nothing is skipped silently"
    );
    slow.emit(
        "resume",
        json!({ "id": ID, "epoch": hello["epoch"], "since": reached }),
    )
    .await;
    loop {
        let (event, data) = slow.event().await.unwrap();
        let to = match event.as_str() {
            "snapshot" => data["seq"].as_u64(),
            "envelopes" => data["to"].as_u64(),
            _ => None,
        };
        if to == Some(backend.core.switchboard.seq()) {
            break;
        }
    }
}

#[tokio::test]
async fn a_flood_of_requests_is_answered_in_order_or_refused() {
    let backend = Backend::start().await;
    let auth = json!({ "token": ADMIN, "v": 1 });
    let mut client = SioClient::join(&backend.url, "/wallboard", auth)
        .await
        .unwrap();
    client.wait_for("hello").await;
    for number in 0..500 {
        client.emit("ping", json!({ "id": number })).await;
    }
    let mut last = -1;
    for _ in 0..500 {
        let reply = client.wait_for("reply").await;
        if reply["ok"] == true {
            let number = reply["id"].as_i64().unwrap();
            assert!(number > last, "{number} after {last}");
            last = number;
        } else {
            assert_eq!(reply["error"]["code"], "overloaded");
        }
    }
    assert!(last >= 0);
    client.emit("ping", json!({ "id": "still here" })).await;
    assert_eq!(client.wait_for("reply").await["id"], "still here");
}

#[tokio::test]
async fn a_socket_io_message_of_a_megabyte_ends_only_its_sender() {
    let backend = Backend::start().await;
    let url = format!(
        "{}/socket.io/?EIO=4&transport=websocket",
        backend.url.replacen("http", "ws", 1)
    );
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let big = format!("40/wallboard,{}", json!({ "token": "x".repeat(1_000_000) }));
    let _may_fail = futures_util::SinkExt::send(&mut socket, big.into()).await;
    let ended = timeout(Duration::from_secs(5), async {
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                break;
            }
        }
    });
    ended.await.expect("the connection ends");
    let alive = backend
        .http
        .get(format!("{}/healthz", backend.url))
        .send()
        .await;
    assert!(alive.unwrap().status().is_success());
}
