//! The least a backend can do: a document, a stream, a conversation, and bytes between them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message as Wire;

use crate::engine::Tasks;
use crate::simulator::Stage;

#[derive(Clone)]
pub(super) struct Bridge(Arc<Inner>);

struct Inner {
    base: String,
    agents: String,
    http: reqwest::Client,
    numbers: Mutex<HashMap<String, (String, String)>>,
    dialled: AtomicUsize,
}

impl Bridge {
    pub(super) async fn start(tasks: &Tasks, agents: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bridge = Self(Arc::new(Inner {
            base: format!("http://{}", listener.local_addr().unwrap()),
            agents: agents.to_owned(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            numbers: Mutex::default(),
            dialled: AtomicUsize::new(0),
        }));
        let app = Router::new()
            .route("/incoming-call", post(document))
            .route("/call-status-callback", post(|| async {}))
            .route("/api/outbound-call", post(dialled))
            .route("/media", any(media))
            .with_state(bridge.clone());
        let token = tasks.token().clone();
        tasks.spawn("test bridge", async move {
            tokio::select! {
                () = token.cancelled() => {}
                _ = async { axum::serve(listener, app).await } => {}
            }
        });
        bridge
    }

    pub(super) fn base(&self) -> &str {
        &self.0.base
    }

    pub(super) fn dialled(&self) -> usize {
        self.0.dialled.load(Ordering::Relaxed)
    }
}

async fn dialled(State(bridge): State<Bridge>) {
    bridge.0.dialled.fetch_add(1, Ordering::Relaxed);
}

async fn document(State(bridge): State<Bridge>, body: String) -> Response {
    let form: HashMap<_, _> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let numbers = (form["From"].clone(), form["To"].clone());
    bridge
        .0
        .numbers
        .lock()
        .unwrap()
        .insert(form["CallSid"].clone(), numbers);
    let socket = bridge.0.base.replace("http:", "ws:");
    let body = format!(
        "<Response><Connect><Stream url=\"{socket}/media\"/></Connect><Hangup/></Response>"
    );
    ([(header::CONTENT_TYPE, "text/xml")], body).into_response()
}

async fn media(State(bridge): State<Bridge>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| async move {
        let _ = converse(bridge, socket).await;
    })
}

async fn converse(bridge: Bridge, mut carrier: WebSocket) -> Option<()> {
    let (call, stream) = loop {
        let Message::Text(text) = carrier.recv().await?.ok()? else {
            continue;
        };
        let value: Value = serde_json::from_str(text.as_str()).ok()?;
        if value["event"] == "start" {
            let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
            break (text(&value["start"]["callSid"]), text(&value["streamSid"]));
        }
    };
    let (from, to) = bridge.0.numbers.lock().unwrap().get(&call).cloned()?;
    let url = format!(
        "{}/v1/convai/conversation/get-signed-url?agent_id=a",
        bridge.0.agents
    );
    let answer = bridge
        .0
        .http
        .get(url)
        .header("xi-api-key", Stage::API_KEY)
        .send()
        .await
        .ok()?;
    let answer: Value = answer.json().await.ok()?;
    let (mut agent, _) = connect_async(answer["signed_url"].as_str()?).await.ok()?;
    let begin = json!({"type": "conversation_initiation_client_data",
        "dynamic_variables": {"call_id": call, "caller_number": from, "called_number": to}});
    agent.send(Wire::text(begin.to_string())).await.ok()?;
    let to_carrier = |value: Value| Message::text(value.to_string());
    loop {
        tokio::select! {
            message = carrier.recv() => {
                let Message::Text(text) = message?.ok()? else { continue };
                let value: Value = serde_json::from_str(text.as_str()).ok()?;
                if value["event"] == "media" {
                    let chunk = json!({"user_audio_chunk": value["media"]["payload"]});
                    agent.send(Wire::text(chunk.to_string())).await.ok()?;
                } else if value["event"] == "mark" {
                    return None;
                }
            }
            message = agent.next() => {
                let Wire::Text(text) = message?.ok()? else { continue };
                let value: Value = serde_json::from_str(text.as_str()).ok()?;
                match value["type"].as_str()? {
                    "audio" => {
                        let payload = &value["audio_event"]["audio_base_64"];
                        let media = json!({"event": "media", "streamSid": stream, "media": {"payload": payload}});
                        carrier.send(to_carrier(media)).await.ok()?;
                    }
                    "interruption" => {
                        carrier.send(to_carrier(json!({"event": "clear", "streamSid": stream}))).await.ok()?;
                    }
                    "ping" => {
                        let pong = json!({"type": "pong", "event_id": value["ping_event"]["event_id"]});
                        agent.send(Wire::text(pong.to_string())).await.ok()?;
                    }
                    "agent_tool_response" if value["agent_tool_response"]["tool_name"] == "end_call" => {
                        let mark = json!({"event": "mark", "streamSid": stream, "mark": {"name": "end"}});
                        carrier.send(to_carrier(mark)).await.ok()?;
                    }
                    _ => {}
                }
            }
        }
    }
}
