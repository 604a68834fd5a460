//! The least a bridge can do, to measure the machine with: `BRIDGE=floor benches/load.sh`.
//!
//! It answers every call with a stream, opens the agent's socket and passes the audio on as the text
//! it came as: nothing is decoded, paced, metered, kept or shown. What wallboard uses beyond this is
//! what wallboard costs.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends where something is wrong"
)]

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message as FromCarrier, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{any, post};
use axum::serve::ListenerExt as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const READ_BUFFER: usize = 4 * 1024;
const AGENT_PATH: &str = "/v1/convai/conversation?agent_id=agent_load";

/// Where it serves and where its agent is: `host:port` each.
struct Places {
    here: String,
    agent: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CarrierSays<'a> {
    event: &'a str,
    stream_sid: Option<&'a str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
}

#[derive(Deserialize)]
struct Media<'a> {
    payload: &'a str,
}

#[derive(Deserialize)]
struct AgentSays<'a> {
    #[serde(borrow)]
    audio_event: Option<Audio<'a>>,
    ping_event: Option<Ping>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    audio_base_64: &'a str,
}

#[derive(Deserialize)]
struct Ping {
    event_id: u64,
}

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"));
    let (Some(here), Some(agent)) = (args.next(), args.next()) else {
        println!("floor needs two addresses: where to serve, and the agent's; see benches/load.sh");
        return;
    };
    let key = std::env::var("ELEVENLABS_API_KEY").unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serve(Places { here, agent, key }));
}

async fn serve(places: Places) {
    let listener = tokio::net::TcpListener::bind(&places.here).await.unwrap();
    let router = Router::new()
        .route("/incoming-call", post(answer))
        .route("/call-status-callback", post(|| async {}))
        .route("/outbound-media-stream", any(stream))
        .fallback(|| async {})
        .with_state(Arc::new(places));
    println!("floor serves on it");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}

async fn answer(State(places): State<Arc<Places>>) -> ([(&'static str, &'static str); 1], String) {
    let url = format!("ws://{}/outbound-media-stream", places.here);
    let twiml = format!(r#"<Response><Connect><Stream url="{url}"/></Connect></Response>"#);
    ([("content-type", "text/xml")], twiml)
}

async fn stream(State(places): State<Arc<Places>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .on_upgrade(async move |carrier| {
            // The end of either side is the end of both.
            let _over = bridge(&places, carrier).await;
        })
}

async fn bridge(places: &Places, mut carrier: WebSocket) -> Option<()> {
    let mut request = format!("ws://{}{AGENT_PATH}", places.agent)
        .into_client_request()
        .ok()?;
    request
        .headers_mut()
        .insert("xi-api-key", places.key.parse().ok()?);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0);
    let (mut agent, _) = connect_async_with_config(request, Some(config), true)
        .await
        .ok()?;
    let begin = r#"{"type":"conversation_initiation_client_data"}"#;
    agent.send(Message::text(begin)).await.ok()?;
    let mut media = String::new();
    loop {
        tokio::select! {
            word = carrier.next() => {
                let FromCarrier::Text(text) = word?.ok()? else { continue };
                let says: CarrierSays<'_> = serde_json::from_str(&text).ok()?;
                match (says.event, says.media) {
                    ("media", Some(Media { payload })) => {
                        let chunk = format!(r#"{{"user_audio_chunk":"{payload}"}}"#);
                        agent.send(Message::text(chunk)).await.ok()?;
                    }
                    ("start", _) => {
                        let sid = says.stream_sid?;
                        media = format!(r#"{{"event":"media","streamSid":"{sid}","media":{{"payload":""#);
                    }
                    ("stop", _) => return None,
                    _ => {}
                }
            }
            word = agent.next() => {
                let Message::Text(text) = word?.ok()? else { continue };
                let says: AgentSays<'_> = serde_json::from_str(&text).ok()?;
                if let Some(audio) = says.audio_event {
                    let frame = format!("{media}{}\"}}}}", audio.audio_base_64);
                    carrier.send(FromCarrier::text(frame)).await.ok()?;
                } else if let Some(Ping { event_id }) = says.ping_event {
                    let pong = format!(r#"{{"type":"pong","event_id":{event_id}}}"#);
                    agent.send(Message::text(pong)).await.ok()?;
                }
            }
        }
    }
}
