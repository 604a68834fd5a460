//! The least a server of news can do: it answers every callback, and passes one text of the size
//! wallboard's has on to every open socket. Nothing is verified, kept, masked or numbered.
//! What wallboard uses beyond this is what wallboard costs.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Form, State};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use serde::Deserialize;
use tokio::sync::broadcast;

/// The environment variable that makes this bench the floor, at the address it holds.
pub const ADDRESS: &str = "WALLBOARD_BENCH_FLOOR";

#[derive(Deserialize)]
struct Callback {
    #[serde(rename = "CallSid")]
    sid: String,
    #[serde(rename = "CallStatus")]
    status: String,
}

type News = broadcast::Sender<Arc<str>>;

/// Serves until the process is ended.
pub async fn serve(address: &str) {
    let (news, _) = broadcast::channel::<Arc<str>>(1_024);
    let router = Router::new()
        .route("/call-status-callback", post(callback))
        .route("/socket.io/", get(subscribe))
        .with_state(news);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}

async fn callback(State(news): State<News>, Form(callback): Form<Callback>) {
    let event = if callback.status == "completed" {
        r#""type":"call_ended","reason":"completed","ended_by":"caller","duration_s":0"#.to_owned()
    } else {
        format!(
            r#""type":"call_seen","carrier":"twilio","carrier_call_id":"{}","direction":"inbound","from":"+1•••0134","to":"+1•••0000","status":"ringing""#,
            callback.sid
        )
    };
    // The call of `CAnews7` is named `CAnews7` here, so that its end can be told apart.
    let text = format!(
        r#"42/wallboard,["envelopes",{{"from":1,"to":2,"items":[{{"v":1,"seq":2,"at":"2026-01-01T00:00:00.000Z","call":"{}","event":{{{event}}}}}]}}]"#,
        callback.sid
    );
    let _nobody = news.send(text.into());
}

async fn subscribe(
    State(news): State<News>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    upgrade
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .on_upgrade(async move |socket| {
            // Whoever leaves is simply gone.
            let _gone = pass_on(news, socket).await;
        })
}

/// Just enough Socket.IO for the bench's client: open, join, an empty board, then the news.
async fn pass_on(news: News, mut socket: WebSocket) -> Option<()> {
    let open = r#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    socket.send(Message::text(open)).await.ok()?;
    socket.recv().await?.ok()?;
    socket
        .send(Message::text(r#"40/wallboard,{"sid":"floor"}"#))
        .await
        .ok()?;
    socket.recv().await?.ok()?;
    let mut news = news.subscribe();
    let board =
        r#"42/wallboard,["snapshot",{"id":"r","epoch":1,"seq":1,"part":1,"parts":1,"calls":[]}]"#;
    socket.send(Message::text(board)).await.ok()?;
    loop {
        let text = news.recv().await.ok()?;
        socket.send(Message::text(text.as_ref())).await.ok()?;
    }
}
