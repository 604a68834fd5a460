//! Listeners and subscribers that vanish or stop reading: nobody else notices.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};
use wallboard::call::{Fact, Role, Track};
use wallboard::engine::Target;

use super::rig::{ADMIN, House, Plot, chat};

/// A socket with a small receive buffer, so that not reading is felt soon.
async fn tcp(url: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let address = url.trim_start_matches("http://").parse().unwrap();
    socket.connect(address).await.unwrap()
}

async fn listen(house: &House, call: &str, token: &str) -> WebSocketStream<TcpStream> {
    let url = format!(
        "{}/api/calls/{call}/listen",
        house.url.replacen("http", "ws", 1)
    );
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    client_async(request, tcp(&house.url).await)
        .await
        .unwrap()
        .0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_killed_leaves_no_tap_and_costs_the_caller_nothing() {
    let house = House::start(Plot::default()).await;
    let (call, id) = house.talking(1, chat()).await;
    let token = house.token("ann", Role::Listener).await;
    let mut ears = Vec::new();
    for _ in 0..3 {
        let mut ear = listen(&house, call.sid(), &token).await;
        assert!(matches!(ear.next().await, Some(Ok(Message::Binary(_)))));
        ears.push(ear);
    }
    house
        .wait_card(call.sid(), "three listen", |card| card.listeners.len() == 3)
        .await;
    // One is reset, one closes the line, one stays and reads nothing.
    ears.remove(0).get_ref().set_zero_linger().unwrap();
    drop(ears.remove(0));
    let left = Instant::now();
    house
        .wait_card(call.sid(), "one is left", |card| card.listeners.len() == 1)
        .await;
    eprintln!("C7: killed listeners gone after {:?}", left.elapsed());
    assert!(left.elapsed() < Duration::from_secs(10));
    // The call goes on as before for another while, with the one that does not read.
    let (heard, sent) = (call.view().heard_ms, call.view().frames_sent);
    call.wait("two more seconds", |view| view.frames_sent >= sent + 100)
        .await
        .unwrap();
    assert!(call.view().heard_ms > heard);
    drop(ears);
    house
        .wait_card(call.sid(), "nobody listens", |card| {
            card.listeners.is_empty()
        })
        .await;
    call.hang_up();
    let card = house
        .wait_card(call.sid(), "the summary", |card| card.summary.is_some())
        .await;
    let summary = card.summary.unwrap();
    assert_eq!(summary.frames_dropped, 0, "{summary:?}");
    assert_eq!(card.id, id);
    assert!(house.core.taps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_does_not_read_is_put_aside_and_delays_nobody() {
    let house = House::start(Plot::default()).await;
    let (_call, id) = house.talking(1, chat()).await;
    let url = format!(
        "{}/socket.io/?EIO=4&transport=websocket",
        house.url.replacen("http", "ws", 1)
    );
    let (mut stuck, _) = client_async(url, tcp(&house.url).await).await.unwrap();
    let join = format!(r#"40/wallboard,{{"token":"{ADMIN}","v":1}}"#);
    stuck.send(Message::text(join)).await.unwrap();
    let mut inside = false;
    while !inside {
        let message = stuck.next().await.unwrap().unwrap();
        inside = message.to_text().is_ok_and(|text| text.starts_with("40"));
    }
    let resume = r#"42/wallboard,["resume",{"id":"r","epoch":null,"since":null}]"#;
    stuck.send(Message::text(resume)).await.unwrap();
    let mut snapshot = false;
    while !snapshot {
        let message = stuck.next().await.unwrap().unwrap();
        snapshot = message
            .to_text()
            .is_ok_and(|text| text.contains("\"snapshot\""));
    }
    let mut healthy = house.join(ADMIN).await;
    healthy.wait_for("hello").await;
    healthy
        .emit(
            "resume",
            serde_json::json!({ "id": "r", "epoch": null, "since": null }),
        )
        .await;
    healthy.wait_for("snapshot").await;

    // Far more than fits into every buffer on the way to the stuck one.
    let words = "word ".repeat(800);
    let mut slowest = Duration::ZERO;
    for round in 0..300_u32 {
        let facts = (0..8)
            .map(|number| Fact::UtteranceFinal {
                turn: 10_000 + round * 8 + number,
                track: Track::FromAgent,
                text: words.clone(),
                latency_ms: None,
            })
            .collect();
        let posted = house.core.switchboard.post(Target::Call(id), facts).await;
        let (to, at) = (posted.unwrap().seq, Instant::now());
        loop {
            let batch = healthy.wait_for("envelopes").await;
            if batch["to"].as_u64().unwrap() >= to {
                break;
            }
        }
        slowest = slowest.max(at.elapsed());
    }
    eprintln!("C9: slowest delivery beside a stuck subscriber {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");

    // When it reads again it was told to resume, or put out; it did not get all of it.
    let (mut bytes, mut told) = (0, false);
    while let Ok(Some(Ok(message))) =
        tokio::time::timeout(Duration::from_secs(5), stuck.next()).await
    {
        bytes += message.len();
        let text = message.to_text().unwrap_or_default();
        if text.contains("\"lagged\"") || text.contains("\"bye\"") || message.is_close() {
            told = true;
            break;
        }
    }
    eprintln!("C9: held for the stuck subscriber: {} KiB", bytes / 1024);
    assert!(told, "it was told");
    assert!(bytes < 9 * 1024 * 1024, "{bytes}");
    stuck.send(Message::text(resume)).await.unwrap();
    let mut whole = false;
    while !whole {
        let message = stuck.next().await.unwrap().unwrap();
        whole = message
            .to_text()
            .is_ok_and(|text| text.contains("\"snapshot\""));
    }
}
