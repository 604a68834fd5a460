//! A small backend for the tests: answers with a document, takes callbacks and streams, checks every signature.

use std::sync::Mutex;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
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

/// What the backend's media handler does once a stream has started.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Play {
    /// Two seconds of tone and a mark; then the rest of the script's patience.
    ToneAndMark,
    /// Ten seconds of tone, a mark, a clear after the first caller frames.
    ToneThenClear,
    Nonsense,
    CloseAtOnce,
    Listen,
}

pub(super) struct Backend {
    pub(super) base: String,
    pub(super) play: Play,
    pub(super) twiml_tail: &'static str,
    pub(super) seen: Mutex<Vec<(String, Vec<(String, String)>)>>,
    pub(super) streamed: Mutex<Vec<Value>>,
    pub(super) fail_first: Mutex<u32>,
    pub(super) sequence: Mutex<Vec<String>>,
}

impl Backend {
    async fn start(tasks: &Tasks, play: Play, twiml_tail: &'static str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Arc::new(Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            play,
            twiml_tail,
            seen: Mutex::default(),
            streamed: Mutex::default(),
            fail_first: Mutex::default(),
            sequence: Mutex::default(),
        });
        let app = Router::new()
            .route("/voice", post(voice))
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

    fn news(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .filter(|(path, _)| path == "/news")
            .map(|(_, form)| {
                let get = |key: &str| {
                    form.iter()
                        .find(|(k, _)| k == key)
                        .map(|(_, v)| v.clone())
                        .unwrap_or_default()
                };
                let word = ["CallStatus", "AnsweredBy", "RecordingStatus", "StreamEvent"]
                    .iter()
                    .map(|key| get(key))
                    .find(|v| !v.is_empty());
                word.unwrap_or_default()
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
}

type App = State<Arc<Backend>>;

async fn read(backend: &Backend, request: Request) -> Vec<(String, String)> {
    let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
    let body = axum::body::to_bytes(request.into_body(), 65_536)
        .await
        .unwrap();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let signed = sign(
        "simulated-auth-token",
        &format!("{}{path}", backend.base),
        &form,
    );
    assert_eq!(
        headers.get("x-twilio-signature").unwrap().to_str().unwrap(),
        signed
    );
    assert!(headers.contains_key("i-twilio-idempotency-token"));
    backend.seen.lock().unwrap().push((path, form.clone()));
    form
}

async fn voice(State(backend): App, request: Request) -> Response {
    read(&backend, request).await;
    let socket = backend.base.replace("http:", "ws:");
    let body = format!(
        "<Response><Connect><Stream url=\"{socket}/media\" statusCallback=\"{}/news#rc=3&amp;rp=all\"><Parameter name=\"wb\" value=\"t1\"/></Stream></Connect>{}</Response>",
        backend.base, backend.twiml_tail,
    );
    ([(header::CONTENT_TYPE, "text/xml")], body).into_response()
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

async fn media(State(backend): App, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let url = format!("{}/media", backend.base.replace("http:", "ws:"));
    let signed = sign("simulated-auth-token", &url, &[]);
    assert_eq!(
        headers.get("x-twilio-signature").unwrap().to_str().unwrap(),
        signed
    );
    upgrade.on_upgrade(move |socket| converse(backend, socket))
}

async fn converse(backend: Arc<Backend>, mut socket: WebSocket) {
    let mut frames = 0;
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else {
            continue;
        };
        let value: Value = serde_json::from_str(text.as_str()).unwrap();
        let event = value["event"].as_str().unwrap_or("").to_owned();
        let sid = value["streamSid"].as_str().unwrap_or("").to_owned();
        backend.sequence.lock().unwrap().push(event.clone());
        let send = |what: Value| Message::text(what.to_string());
        let tone = |ms| json!({"event": "media", "streamSid": sid, "media": {"payload": STANDARD.encode(ulaw::tone(440.0, ms, -12.0))}});
        let mark = json!({"event": "mark", "streamSid": sid, "mark": {"name": "m1"}});
        if event == "start" {
            match backend.play {
                Play::CloseAtOnce => return,
                Play::ToneAndMark => {
                    socket.send(send(tone(400))).await.unwrap();
                    socket.send(send(mark)).await.unwrap();
                }
                Play::ToneThenClear => {
                    for _ in 0..10 {
                        socket.send(send(tone(1_000))).await.unwrap();
                    }
                    socket.send(send(mark)).await.unwrap();
                }
                Play::Nonsense => {
                    socket
                        .send(send(json!({"event": "connected"})))
                        .await
                        .unwrap();
                    socket
                        .send(send(json!({"event": "clear", "streamSid": "MZother"})))
                        .await
                        .unwrap();
                }
                Play::Listen => {}
            }
        }
        if event == "media" {
            frames += 1;
            if frames == 20 && backend.play == Play::ToneThenClear {
                socket
                    .send(send(json!({"event": "clear", "streamSid": sid})))
                    .await
                    .unwrap();
            }
        }
        if backend.streamed.lock().unwrap().len() < 2_000 {
            backend.streamed.lock().unwrap().push(value);
        }
    }
}

pub(super) struct Rig {
    pub(super) tasks: Tasks,
    pub(super) backend: Arc<Backend>,
    pub(super) sim: TwilioSim,
    pub(super) http: reqwest::Client,
}

impl Rig {
    pub(super) async fn new(play: Play, tail: &'static str, script: Script) -> Self {
        Self::with(play, tail, script, Faults::default()).await
    }

    pub(super) async fn with(
        play: Play,
        tail: &'static str,
        script: Script,
        faults: Faults,
    ) -> Self {
        let tasks = Tasks::new();
        let backend = Backend::start(&tasks, play, tail).await;
        let cfg = TwilioSimConfig {
            timing: Timing::quick(),
            faults,
            ..TwilioSimConfig::default()
        };
        cfg.cast.assign(CUSTOMER, Arc::new(script));
        let sim = TwilioSim::start(cfg, &tasks).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            tasks,
            backend,
            sim,
            http,
        }
    }

    pub(super) fn inbound(&self) -> TestCall {
        self.sim.place_inbound(InboundCall {
            from: CUSTOMER.to_owned(),
            caller_name: Some("Ann".to_owned()),
            voice_url: format!("{}/voice#rc=3&rp=all", self.backend.base),
            fallback_url: None,
            status_callback: Some(format!("{}/news#rc=3&rp=all", self.backend.base)),
        })
    }

    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let url = format!(
            "{}/2010-04-01/Accounts/{}{path}",
            self.sim.api_base(),
            self.sim.account_sid()
        );
        let request = self.http.post(url).form(form);
        let request = request.basic_auth(self.sim.account_sid(), Some("simulated-auth-token"));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(super) async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.sim.api_base());
        let request = self.http.get(url);
        let request = request.basic_auth(self.sim.account_sid(), Some("simulated-auth-token"));
        request.send().await.unwrap()
    }

    pub(super) async fn dial(&self, more: &[(&str, &str)]) -> TestCall {
        let (voice, news) = (
            format!("{}/voice", self.backend.base),
            format!("{}/news#rc=3&rp=all", self.backend.base),
        );
        let mut form = vec![
            ("To", CUSTOMER),
            ("From", "+15555550100"),
            ("Url", voice.as_str()),
            ("StatusCallback", news.as_str()),
        ];
        for event in ["initiated", "ringing", "answered", "completed"] {
            form.push(("StatusCallbackEvent", event));
        }
        form.extend_from_slice(more);
        let (status, call) = self.post("/Calls.json", &form).await;
        assert_eq!(
            (status, call["status"].as_str()),
            (201, Some("queued")),
            "{call}"
        );
        self.sim.call(call["sid"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}
