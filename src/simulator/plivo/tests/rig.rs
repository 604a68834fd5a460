//! A small backend for the tests: answers with a document, takes callbacks and streams, checks every
//! signature.

use std::sync::Mutex;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::*;
use crate::simulator::line::{Faults, Timing};
use crate::simulator::speech::Script;
use crate::simulator::ulaw;

pub(super) const CUSTOMER: &str = "+15555550142";
const TOKEN: &str = "simulated-auth-token";

/// What the backend's media handler does once a stream has started.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Play {
    /// Tone and a checkpoint.
    ToneAndMark,
    /// Ten seconds of tone, a checkpoint, a clear after the first caller frames.
    ToneThenClear,
    Nonsense,
    /// Closes after a number of caller frames.
    CloseAfter(u32),
    Listen,
}

pub(super) struct Backend {
    pub(super) base: String,
    play: Play,
    tail: &'static str,
    pub(super) seen: Mutex<Vec<(String, Vec<(String, String)>)>>,
    pub(super) streamed: Mutex<Vec<Value>>,
    pub(super) fail_first: Mutex<u32>,
}

impl Backend {
    async fn start(tasks: &Tasks, play: Play, tail: &'static str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Arc::new(Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            play,
            tail,
            seen: Mutex::default(),
            streamed: Mutex::default(),
            fail_first: Mutex::default(),
        });
        let app = Router::new()
            .route("/answer", post(answer))
            .route("/transfer", post(transfer))
            .route("/action", post(action))
            .route("/news", post(news))
            .route("/media", any(media))
            .with_state(Arc::clone(&backend));
        let token = tasks.token().clone();
        tasks.spawn("test backend", async move {
            tokio::select! {
                () = token.cancelled() => {}
                _ = async { axum::serve(listener, app).await } => {}
            }
        });
        backend
    }

    /// One word of each callback, in order.
    pub(super) fn news(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|(path, _)| path == "/news")
            .map(|(_, form)| {
                let get = |key: &str| form.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
                get("RecordingDuration")
                    .map(|length| {
                        if length == "-1" {
                            "running"
                        } else {
                            "recorded"
                        }
                        .to_owned()
                    })
                    .or_else(|| get("DialAction"))
                    .or_else(|| get("HangupCauseCode"))
                    .or_else(|| get("Event"))
                    .unwrap_or_default()
            })
            .collect()
    }

    pub(super) async fn wait_news(&self, count: usize) -> Vec<String> {
        for _ in 0..500 {
            let news = self.news();
            if news.len() >= count {
                return news;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {:?}", self.news());
    }

    pub(super) fn field(&self, path: &str, key: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        let form = seen.iter().rev().find(|(p, _)| p == path)?;
        form.1
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.clone())
    }
}

type App = State<Arc<Backend>>;

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).unwrap().to_str().unwrap()
}

async fn read(backend: &Backend, request: Request) {
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let body = axum::body::to_bytes(request.into_body(), 65_536)
        .await
        .unwrap();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let url = format!("{}{uri}", backend.base);
    let nonce = text(&headers, "x-plivo-signature-v3-nonce");
    let signed = sign_post(TOKEN, &url, &form, nonce);
    assert_eq!(text(&headers, "x-plivo-signature-v3"), signed);
    assert_eq!(text(&headers, "x-plivo-signature-ma-v3"), signed);
    let path = uri.path().to_owned();
    backend.seen.lock().unwrap().push((path, form));
}

fn xml(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

async fn answer(State(backend): App, request: Request) -> Response {
    read(&backend, request).await;
    let socket = backend.base.replace("http:", "ws:");
    xml(format!(
        "<Response><Stream bidirectional=\"true\" contentType=\"audio/x-mulaw;rate=8000\" keepCallAlive=\"true\" statusCallbackUrl=\"{}/news\" extraHeaders=\"wb=t1,lead=42\">{socket}/media?wb=t1&amp;x=1</Stream>{}</Response>",
        backend.base, backend.tail,
    ))
}

async fn transfer(State(backend): App, request: Request) -> Response {
    read(&backend, request).await;
    let base = &backend.base;
    xml(format!(
        "<Response><Dial action=\"{base}/action\" callbackUrl=\"{base}/news\"><Number>15555550177</Number></Dial></Response>"
    ))
}

async fn action(State(backend): App, request: Request) -> Response {
    read(&backend, request).await;
    xml("<Response><Hangup/></Response>".to_owned())
}

async fn news(State(backend): App, request: Request) -> Response {
    read(&backend, request).await;
    let mut left = backend.fail_first.lock().unwrap();
    if *left > 0 {
        *left -= 1;
        return axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    ().into_response()
}

async fn media(
    State(backend): App,
    uri: Uri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let url = format!("{}{uri}", backend.base);
    let nonce = text(&headers, "x-plivo-signature-v3-nonce");
    assert_eq!(
        text(&headers, "x-plivo-signature-v3"),
        sign_get(TOKEN, &url, nonce)
    );
    upgrade.on_upgrade(move |socket| converse(backend, socket))
}

async fn converse(backend: Arc<Backend>, mut socket: WebSocket) {
    let mut frames = 0;
    let mut id = String::new();
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else {
            continue;
        };
        let value: Value = serde_json::from_str(text.as_str()).unwrap();
        let event = value["event"].as_str().unwrap_or("").to_owned();
        let tone = |ms| json!({"event": "playAudio", "media": {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": STANDARD.encode(ulaw::tone(440.0, ms, -12.0))}});
        let mut say = Vec::new();
        if event == "start" {
            id = value["start"]["streamId"].as_str().unwrap().to_owned();
            let mark = json!({"event": "checkpoint", "streamId": id, "name": "m1"});
            match backend.play {
                Play::ToneAndMark => say = vec![tone(400), mark],
                Play::ToneThenClear => {
                    say = (0..10).map(|_| tone(1_000)).collect();
                    say.push(mark);
                }
                Play::Nonsense => {
                    say = vec![
                        json!({"event": "media", "streamId": id, "media": {"payload": "//8="}}),
                        json!({"event": "clearAudio", "streamId": "another"}),
                    ];
                }
                Play::CloseAfter(_) | Play::Listen => {}
            }
        }
        if event == "media" {
            frames += 1;
            if frames == 20 && backend.play == Play::ToneThenClear {
                say.push(json!({"event": "clearAudio", "streamId": id}));
            }
            if backend.play == Play::CloseAfter(frames) {
                return;
            }
        }
        if backend.streamed.lock().unwrap().len() < 2_000 {
            backend.streamed.lock().unwrap().push(value);
        }
        for message in say {
            drop(socket.send(Message::text(message.to_string())).await);
        }
    }
}

pub(super) struct Rig {
    tasks: Tasks,
    pub(super) backend: Arc<Backend>,
    pub(super) sim: PlivoSim,
    http: reqwest::Client,
}

impl Rig {
    pub(super) async fn new(play: Play, tail: &'static str, script: Script) -> Self {
        let tasks = Tasks::new();
        let backend = Backend::start(&tasks, play, tail).await;
        let cfg = PlivoSimConfig {
            timing: Timing::quick(),
            faults: Faults::default(),
            ..PlivoSimConfig::default()
        };
        cfg.cast.assign(CUSTOMER, Arc::new(script));
        let sim = PlivoSim::start(cfg, &tasks).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            tasks,
            backend,
            sim,
            http,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}#rc=3&rp=all", self.backend.base)
    }

    pub(super) fn inbound(&self) -> PlivoCall {
        self.sim.place_inbound(PlivoInbound {
            from: CUSTOMER.to_owned(),
            caller_name: None,
            answer_url: self.url("/answer?lead=42"),
            fallback_url: None,
            hangup_url: Some(self.url("/news")),
        })
    }

    pub(super) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let url = format!(
            "{}/v1/Account/{}{path}",
            self.sim.api_base(),
            self.sim.auth_id()
        );
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let request = request.basic_auth(self.sim.auth_id(), Some(TOKEN));
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(reqwest::Method::POST, path, Some(body)).await
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(reqwest::Method::GET, path, None).await
    }

    pub(super) async fn delete(&self, path: &str) -> u16 {
        self.ask(reqwest::Method::DELETE, path, None).await.0
    }

    pub(super) async fn dial(&self, more: Value) -> PlivoCall {
        let mut body = json!({
            "from": "15555550200", "to": "15555550142",
            "answer_url": self.url("/answer"), "ring_url": self.url("/news"),
            "hangup_url": self.url("/news"),
        });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let (status, answer) = self.post("/Call/", body).await;
        assert_eq!(
            (status, answer["message"].as_str()),
            (201, Some("call fired")),
            "{answer}"
        );
        self.sim
            .call(answer["request_uuid"].as_str().unwrap())
            .unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}
