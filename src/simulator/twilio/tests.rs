//! The simulated carrier against a small backend written for the test: real sockets, real signatures.

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

use super::*;
use crate::simulator::speech::{Ending, Outcome, Script};
use crate::simulator::ulaw;

const CUSTOMER: &str = "+15555550142";

/// What the backend's media handler does once a stream has started.
#[derive(Clone, Copy, PartialEq)]
enum Play {
    /// Two seconds of tone and a mark; then the rest of the script's patience.
    ToneAndMark,
    /// Ten seconds of tone, a mark, a clear after the first caller frames.
    ToneThenClear,
    Nonsense,
    CloseAtOnce,
    Listen,
}

struct Backend {
    base: String,
    play: Play,
    twiml_tail: &'static str,
    seen: Mutex<Vec<(String, Vec<(String, String)>)>>,
    streamed: Mutex<Vec<Value>>,
    fail_first: Mutex<u32>,
    sequence: Mutex<Vec<String>>,
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

    async fn wait_news(&self, count: usize) -> Vec<String> {
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

struct Rig {
    tasks: Tasks,
    backend: Arc<Backend>,
    sim: TwilioSim,
    http: reqwest::Client,
}

impl Rig {
    async fn new(play: Play, tail: &'static str, script: Script) -> Self {
        Self::with(play, tail, script, Faults::default()).await
    }

    async fn with(play: Play, tail: &'static str, script: Script, faults: Faults) -> Self {
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

    fn inbound(&self) -> TestCall {
        self.sim.place_inbound(InboundCall {
            from: CUSTOMER.to_owned(),
            caller_name: Some("Ann".to_owned()),
            voice_url: format!("{}/voice#rc=3&rp=all", self.backend.base),
            fallback_url: None,
            status_callback: Some(format!("{}/news#rc=3&rp=all", self.backend.base)),
        })
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
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

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.sim.api_base());
        let request = self.http.get(url);
        let request = request.basic_auth(self.sim.account_sid(), Some("simulated-auth-token"));
        request.send().await.unwrap()
    }

    async fn dial(&self, more: &[(&str, &str)]) -> TestCall {
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

#[tokio::test]
async fn an_incoming_call_streams_signed_and_in_order_and_ends_with_one_callback() {
    let rig = Rig::new(Play::ToneAndMark, "", Script::tones("t", 2, 300)).await;
    let call = rig.inbound();
    let view = call.wait_over().await.unwrap();
    assert_eq!(
        (view.status, view.ended_by),
        (Some(CallStatus::Completed), Some("caller"))
    );
    assert_eq!((view.marks_received, view.marks_echoed), (1, 1));
    assert!(view.heard_ms >= 300 && view.errors.is_empty(), "{view:?}");
    let news = rig.backend.wait_news(3).await;
    assert_eq!(news, ["stream-started", "stream-stopped", "completed"]);
    let seen = rig.backend.streamed.lock().unwrap();
    assert_eq!(
        seen[0],
        json!({"event": "connected", "protocol": "Call", "version": "1.0.0"})
    );
    assert_eq!(seen[1]["start"]["customParameters"], json!({"wb": "t1"}));
    assert_eq!(seen[1]["start"]["callSid"], call.sid());
    let media: Vec<&Value> = seen.iter().filter(|v| v["event"] == "media").collect();
    for (n, frame) in media.iter().enumerate() {
        assert_eq!(frame["media"]["chunk"], (n + 1).to_string());
        assert_eq!(frame["media"]["timestamp"], (n * 20).to_string());
        assert_eq!(frame["media"]["payload"].as_str().unwrap().len(), 216);
    }
    for (n, message) in seen.iter().skip(1).enumerate() {
        assert_eq!(message["sequenceNumber"], (n + 1).to_string());
    }
    assert_eq!(seen.last().unwrap()["event"], "stop");
}

#[tokio::test]
async fn clear_stops_playback_and_returns_pending_marks() {
    let script = Script::tones("t", 2, 300).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::ToneThenClear, "", script).await;
    let call = rig.inbound();
    let view = call
        .wait("mark", |v| v.clears == 1 && v.marks_echoed == 1)
        .await
        .unwrap();
    assert!(
        view.cleared_ms > 9_000 && view.played_ms < 1_000,
        "{view:?}"
    );
    call.hang_up();
    call.wait_over().await.unwrap();
}

#[tokio::test]
async fn nonsense_from_the_backend_is_a_warning_once_and_the_call_goes_on() {
    let script = Script::tones("t", 2, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Nonsense, "", script).await;
    let call = rig.inbound();
    let view = call
        .wait("warning", |v| !v.errors.is_empty() && v.frames_sent > 20)
        .await
        .unwrap();
    assert_eq!(view.errors, [31_951]);
    assert!(view.stream_open);
}

#[tokio::test]
async fn after_the_backend_closes_the_stream_the_document_goes_on() {
    let rig = Rig::new(
        Play::CloseAtOnce,
        "<Say>One moment please.</Say><Hangup/>",
        Script::tones("t", 2, 100),
    )
    .await;
    let view = rig.inbound().wait_over().await.unwrap();
    assert_eq!(view.verbs, ["Connect", "Say", "Hangup"]);
    assert_eq!(view.ended_by, Some("document"));
}

#[tokio::test]
async fn a_dialled_call_tells_every_step_and_the_machine_verdict() {
    let mut script = Script::tones("t", 2, 100).with_ending(Ending::Nobody);
    script.answered_by = Some("machine_end_beep".to_owned());
    let rig = Rig::new(Play::Listen, "", script).await;
    let news = format!("{}/news", rig.backend.base);
    let call = rig
        .dial(&[
            ("MachineDetection", "DetectMessageEnd"),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", &news),
        ])
        .await;
    call.wait("verdict", |v| v.answered_by.is_some())
        .await
        .unwrap();
    let (status, _) = rig
        .post(
            &format!("/Calls/{}.json", call.sid()),
            &[("Status", "completed")],
        )
        .await;
    assert_eq!(status, 200);
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.ended_by, Some("api"));
    let news = rig.backend.wait_news(7).await;
    assert_eq!(
        news,
        [
            "initiated",
            "ringing",
            "in-progress",
            "stream-started",
            "machine_end_beep",
            "stream-stopped",
            "completed"
        ]
    );
    let again = rig
        .post(
            &format!("/Calls/{}.json", call.sid()),
            &[("Status", "completed")],
        )
        .await;
    assert_eq!((again.0, again.1["code"].as_u64()), (400, Some(21_220)));
    let resource = rig
        .get(&format!(
            "/2010-04-01/Accounts/{}/Calls/{}.json",
            rig.sim.account_sid(),
            call.sid()
        ))
        .await;
    let resource: Value = resource.json().await.unwrap();
    assert_eq!(
        (&resource["status"], &resource["answered_by"]),
        (&json!("completed"), &json!("machine_end_beep"))
    );
    assert!(resource["duration"].is_string());
}

#[tokio::test]
async fn calls_nobody_answers_end_with_the_carriers_word_and_sip_code() {
    for (outcome, sip, word) in [
        (Outcome::Busy, 486, "busy"),
        (Outcome::NoAnswer, 487, "no-answer"),
        (Outcome::Failed, 603, "failed"),
    ] {
        let script = Script {
            outcome,
            sip,
            ..Script::tones("t", 0, 0)
        };
        let rig = Rig::new(Play::Listen, "", script).await;
        let call = rig.dial(&[]).await;
        let view = call.wait_over().await.unwrap();
        assert_eq!(view.status.map(CallStatus::as_str), Some(word));
        let news = rig
            .backend
            .wait_news(if word == "failed" { 2 } else { 3 })
            .await;
        assert_eq!(news.last().map(String::as_str), Some(word));
        let seen = rig.backend.seen.lock().unwrap();
        let last = &seen.last().unwrap().1;
        assert!(
            last.contains(&("SipResponseCode".to_owned(), sip.to_string())),
            "{last:?}"
        );
    }
}

#[tokio::test]
async fn a_recording_is_started_paused_stopped_and_fetched_as_sound() {
    let script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::ToneAndMark, "", script).await;
    let call = rig.inbound();
    call.wait_stream().await.unwrap();
    let path = format!("/Calls/{}/Recordings.json", call.sid());
    let news = format!("{}/news", rig.backend.base);
    let wish = [
        ("RecordingStatusCallback", news.as_str()),
        ("RecordingStatusCallbackEvent", "in-progress"),
        ("RecordingStatusCallbackEvent", "completed"),
        ("RecordingChannels", "dual"),
    ];
    let (status, recording) = rig.post(&path, &wish).await;
    assert_eq!(
        (status, recording["status"].as_str()),
        (201, Some("in-progress"))
    );
    let (twice, error) = rig.post(&path, &wish).await;
    assert_eq!((twice, error["code"].as_u64()), (400, Some(21_220)));
    call.wait_heard(300).await.unwrap();
    let current = format!("/Calls/{}/Recordings/Twilio.CURRENT.json", call.sid());
    let (_, paused) = rig
        .post(&current, &[("Status", "paused"), ("PauseBehavior", "skip")])
        .await;
    assert_eq!(paused["status"], "paused");
    rig.post(&current, &[("Status", "in-progress")]).await;
    rig.post(&current, &[("Status", "stopped")]).await;
    let all = rig.backend.wait_news(3).await;
    assert_eq!(all, ["stream-started", "in-progress", "completed"]);
    let url = rig
        .backend
        .seen
        .lock()
        .unwrap()
        .last()
        .unwrap()
        .1
        .iter()
        .find(|(k, _)| k == "RecordingUrl")
        .unwrap()
        .1
        .clone();
    let path = url.strip_prefix(rig.sim.api_base()).unwrap();
    let wav = rig.get(&format!("{path}.wav")).await.bytes().await.unwrap();
    assert!(wav.starts_with(b"RIFF") && wav.len() > 4_000);
    assert!(
        wav[44..]
            .chunks(2)
            .any(|s| i16::from_le_bytes([s[0], s[1]]).abs() > 5_000)
    );
}

#[tokio::test]
async fn wrong_credentials_and_unknown_things_are_refused_in_the_carriers_shape() {
    let rig = Rig::new(Play::Listen, "", Script::tones("t", 0, 0)).await;
    let base = format!(
        "{}/2010-04-01/Accounts/{}",
        rig.sim.api_base(),
        rig.sim.account_sid()
    );
    let refused = rig
        .http
        .get(format!("{base}/Calls.json"))
        .basic_auth("AC1", Some("x"));
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], 20_003);
    let missing = rig
        .get(&format!(
            "/2010-04-01/Accounts/{}/Calls/CAnone.json",
            rig.sim.account_sid()
        ))
        .await;
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.json::<Value>().await.unwrap()["code"], 20_404);
}

#[tokio::test]
async fn live_calls_are_listed_by_status_in_pages() {
    let script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Listen, "", script).await;
    for _ in 0..3 {
        rig.inbound().wait_stream().await.unwrap();
    }
    let first = format!(
        "/2010-04-01/Accounts/{}/Calls.json?Status=in-progress&PageSize=2",
        rig.sim.account_sid()
    );
    let page: Value = rig.get(&first).await.json().await.unwrap();
    assert_eq!(page["calls"].as_array().unwrap().len(), 2);
    let next: Value = rig
        .get(page["next_page_uri"].as_str().unwrap())
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(next["calls"].as_array().unwrap().len(), 1);
    assert!(next["next_page_uri"].is_null());
}

#[tokio::test]
async fn callbacks_are_retried_as_the_url_asks_and_doubled_as_the_fault_asks() {
    let faults = Faults {
        webhook_duplicate_pct: 100.0,
        ..Faults::default()
    };
    let rig = Rig::with(Play::CloseAtOnce, "", Script::tones("t", 0, 0), faults).await;
    *rig.backend.fail_first.lock().unwrap() = 2;
    rig.inbound().wait_over().await.unwrap();
    // Three callbacks, each twice, and some of the first tries failed.
    rig.backend.wait_news(7).await;
    assert!(rig.sim.stats().webhooks_duplicated >= 3);
}

#[tokio::test]
async fn a_cut_stream_is_opened_again_for_the_same_call() {
    let script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Listen, "", script).await;
    let call = rig.inbound();
    call.wait_stream().await.unwrap();
    call.cut(StreamCut {
        how: CutHow::Reset,
        after_s: 0,
        reopen_after_ms: Some(50),
    });
    let view = call
        .wait("second stream", |v| v.streams == 2 && v.stream_open)
        .await
        .unwrap();
    assert_eq!(view.status, Some(CallStatus::InProgress));
    call.cut(StreamCut {
        how: CutHow::Fin,
        ..StreamCut::default()
    });
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.errors, [31_903]);
}

#[tokio::test]
async fn keys_arrive_as_dtmf_and_redirects_replace_the_document() {
    let script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Listen, "", script).await;
    let call = rig.inbound();
    call.wait_stream().await.unwrap();
    call.press('5');
    let (status, _) = rig
        .post(
            &format!("/Calls/{}.json", call.sid()),
            &[("Twiml", "<Response><Say>Connecting.</Say><Dial><Number>+15555550177</Number></Dial></Response>")],
        )
        .await;
    assert_eq!(status, 200);
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.verbs, ["Connect", "Say", "Dial"]);
    let dtmf = rig
        .backend
        .streamed
        .lock()
        .unwrap()
        .iter()
        .any(|v| v["dtmf"]["digit"] == "5");
    assert!(dtmf || view.frames_sent == 0);
}
