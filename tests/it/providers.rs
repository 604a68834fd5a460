//! The vendors' shells against stand-ins on loopback: wire, retries, limits, and where keys go.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use wallboard::bridge::{AgentBrief, AgentIn, AgentOut};
use wallboard::call::{CallStatus, DialRequest};
use wallboard::engine::{
    AgentDialer, AgentError, CarrierControl, CarrierError, Clock, DialOrder, RecordingOrder, Tasks,
};
use wallboard::providers::elevenlabs::ElevenLabsSettings;
use wallboard::providers::elevenlabs::shell::ElevenLabsDialer;
use wallboard::providers::twilio::TwilioSettings;
use wallboard::providers::twilio::shell::TwilioControl;

const AC: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const CA: &str = "CA1234567890abcdef1234567890abcdef";

/// One request as the stand-in saw it.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: String,
}

type Log = Arc<Mutex<Vec<Seen>>>;
type Answer = (StatusCode, Vec<(&'static str, String)>, Vec<u8>);

/// A server that answers by `script` and remembers what it was asked. Returns its base URL.
async fn stand_in(
    tasks: &Tasks,
    script: impl Fn(usize, &Seen) -> Answer + Clone + Send + Sync + 'static,
) -> (String, Log) {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let app = Router::new().fallback(
        move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let request = Seen {
                method,
                uri: uri.to_string(),
                headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            };
            let mut log = seen.lock().unwrap();
            log.push(request.clone());
            let (status, headers, body) = script(log.len(), &request);
            async move {
                let mut response = (status, body).into_response();
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
        },
    );
    (serve(tasks, app).await, log)
}

async fn serve(tasks: &Tasks, app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let token = tasks.token().clone();
    tasks.spawn("stand-in", async move {
        tokio::select! {
            _ = axum::serve(listener, app) => {}
            () = token.cancelled() => {}
        }
    });
    base
}

fn json(status: u16, body: impl Into<String>) -> Answer {
    (
        StatusCode::from_u16(status).unwrap(),
        vec![],
        body.into().into_bytes(),
    )
}

fn twilio(base: &str) -> TwilioControl {
    let settings = TwilioSettings {
        account_sid: Some(AC.into()),
        auth_token: Some("canary-token".into()),
        phone_number: Some("+15557650000".into()),
        api_base: base.into(),
        ..TwilioSettings::default()
    };
    TwilioControl::new(&settings, Some("https://wb.example.com/")).unwrap()
}

#[tokio::test]
async fn dial_sends_one_request_with_our_callbacks() {
    let tasks = Tasks::new();
    let (base, log) = stand_in(&tasks, |_, _| {
        json(201, format!(r#"{{"sid":"{CA}","status":"queued"}}"#))
    })
    .await;
    let call = Clock::start().call_id();
    let request = DialRequest {
        number: "+15551230000".into(),
        ..DialRequest::default()
    };
    let order = DialOrder {
        call,
        request,
        amd: "detect".into(),
        record: true,
    };
    assert_eq!(twilio(&base).dial(order).await.unwrap(), CA);
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].uri, format!("/2010-04-01/Accounts/{AC}/Calls.json"));
    assert!(
        log[0].headers["authorization"]
            .to_str()
            .unwrap()
            .starts_with("Basic ")
    );
    let form = url::form_urlencoded::parse(log[0].body.as_bytes())
        .into_owned()
        .collect::<Vec<_>>();
    let value = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        value("Url"),
        Some(
            format!("https://wb.example.com/outbound-call-twiml?call={call}#rc=3&rp=all").as_str()
        )
    );
    assert_eq!(value("From"), Some("+15557650000"));
    assert_eq!(value("MachineDetection"), Some("Enable"));
    assert_eq!(value("Record"), Some("true"));
    tasks.cancel();
}

#[tokio::test]
async fn a_dial_is_never_repeated_and_a_hang_up_is() {
    let tasks = Tasks::new();
    let (base, log) = stand_in(&tasks, |count, _| match count {
        1 | 2 => json(503, "<html>"),
        _ => json(200, format!(r#"{{"sid":"{CA}","status":"completed"}}"#)),
    })
    .await;
    let control = twilio(&base);
    let order = DialOrder {
        call: Clock::start().call_id(),
        request: DialRequest {
            number: "+1555".into(),
            ..DialRequest::default()
        },
        amd: "off".into(),
        record: false,
    };
    assert!(matches!(
        control.dial(order).await,
        Err(CarrierError::Unreachable(_))
    ));
    assert_eq!(log.lock().unwrap().len(), 1);
    control.hang_up(CA.into()).await.unwrap();
    assert_eq!(log.lock().unwrap().len(), 3);
    assert_eq!(log.lock().unwrap()[2].body, "Status=completed");
    tasks.cancel();
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let tasks = Tasks::new();
    let (base, _log) = stand_in(&tasks, |count, _| match count {
        1 => json(404, r#"{"code":20404,"message":"not found","status":404}"#),
        2 => json(
            401,
            r#"{"code":20003,"message":"Authenticate","status":401}"#,
        ),
        3 => (
            StatusCode::TOO_MANY_REQUESTS,
            vec![("retry-after", "60".into())],
            vec![],
        ),
        _ => json(
            400,
            r#"{"code":21220,"message":"Call is not in-progress","status":400}"#,
        ),
    })
    .await;
    let control = twilio(&base);
    let mut ends = Vec::new();
    for _ in 0..4 {
        ends.push(control.hang_up(CA.into()).await.unwrap_err());
    }
    assert!(matches!(ends[0], CarrierError::AlreadyEnded));
    assert!(matches!(ends[1], CarrierError::Unauthorized));
    assert!(matches!(
        ends[2],
        CarrierError::RateLimited {
            retry_after_s: Some(60)
        }
    ));
    assert!(matches!(ends[3], CarrierError::AlreadyEnded));
    tasks.cancel();
}

#[tokio::test]
async fn live_calls_follow_pages_inside_the_account_only() {
    let tasks = Tasks::new();
    let (base, log) = stand_in(&tasks, |_, seen| {
        let next = if seen.uri.contains("in-progress") && !seen.uri.contains("Page=1") {
            format!(r#""/2010-04-01/Accounts/{AC}/Calls.json?Status=in-progress&Page=1""#)
        } else if seen.uri.contains("ringing") {
            r#""https://evil.example.com/steal""#.to_owned()
        } else {
            "null".to_owned()
        };
        json(200, format!(r#"{{"calls":[{{"sid":"{CA}","status":"in-progress","direction":"inbound","from":"+1","to":"+2"}},{{"sid":"CA2","status":"levitating"}}],"next_page_uri":{next}}}"#))
    })
    .await;
    let live = twilio(&base).live_calls().await.unwrap();
    assert_eq!(live.len(), 4);
    assert!(
        live.iter()
            .all(|call| call.status == CallStatus::InProgress)
    );
    assert_eq!(log.lock().unwrap().len(), 4);
    tasks.cancel();
}

#[tokio::test]
async fn redirects_never_carry_the_credentials_away() {
    let tasks = Tasks::new();
    let (elsewhere, stolen) = stand_in(&tasks, |_, _| json(200, "RIFF")).await;
    let target = format!("{elsewhere}/stolen");
    let (base, _log) = stand_in(&tasks, move |_, _| {
        (
            StatusCode::FOUND,
            vec![("location", target.clone())],
            vec![],
        )
    })
    .await;
    let fetched = twilio(&base).fetch_recording("RE1".into()).await;
    assert!(matches!(fetched, Err(CarrierError::Refused { .. })));
    assert!(stolen.lock().unwrap().is_empty());
    tasks.cancel();
}

#[tokio::test]
async fn recordings_come_from_the_configured_host_and_ids_stay_ids() {
    let tasks = Tasks::new();
    let (base, log) = stand_in(&tasks, |_, seen| match seen.method {
        Method::GET => json(200, "RIFF…"),
        _ => json(201, r#"{"sid":"RE1","status":"in-progress"}"#),
    })
    .await;
    let control = twilio(&base);
    assert_eq!(
        control
            .record(CA.into(), None, RecordingOrder::Start)
            .await
            .unwrap(),
        "RE1"
    );
    assert!(
        control
            .fetch_recording("RE1".into())
            .await
            .unwrap()
            .starts_with(b"RIFF")
    );
    assert_eq!(
        log.lock().unwrap()[1].uri,
        format!("/2010-04-01/Accounts/{AC}/Recordings/RE1.wav?RequestedChannels=2")
    );
    assert!(
        control
            .fetch_recording("../../../etc".into())
            .await
            .is_err()
    );
    assert_eq!(log.lock().unwrap().len(), 2);
    tasks.cancel();
}

#[test]
fn secrets_do_not_show() {
    let control = twilio("http://127.0.0.1:9");
    assert!(!format!("{control:?}").contains("canary"));
    let settings = ElevenLabsSettings {
        api_key: Some("canary".into()),
        ..ElevenLabsSettings::default()
    };
    assert!(
        !format!(
            "{settings:?} {:?}",
            ElevenLabsDialer::new(&settings, "a").unwrap()
        )
        .contains("canary")
    );
}

/// A stand-in vendor whose conversation says hello, echoes a pong and ends.
async fn vendor(tasks: &Tasks, status: u16) -> String {
    let conversation = |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            let begin = socket.recv().await.unwrap().unwrap().into_text().unwrap();
            assert!(begin.as_str().contains("conversation_initiation_client_data"));
            let hello = r#"{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":{"conversation_id":"conv_1","agent_output_audio_format":"ulaw_8000","user_input_audio_format":"ulaw_8000"}}"#;
            socket.send(Message::Text(hello.into())).await.unwrap();
            let goodbye = CloseFrame { code: 1000, reason: "done".into() };
            socket.send(Message::Close(Some(goodbye))).await.unwrap();
            // Until the other side has said goodbye too.
            while let Some(Ok(_)) = socket.recv().await {}
        })
    };
    let signed = move |headers: HeaderMap, uri: Uri| async move {
        assert_eq!(headers["xi-api-key"], "canary");
        assert_eq!(uri.query(), Some("agent_id=agent_1"));
        let host = headers["host"].to_str().unwrap();
        let body = if status == 200 {
            format!(
                r#"{{"signed_url":"ws://{host}/v1/convai/conversation?agent_id=agent_1&conversation_signature=x"}}"#
            )
        } else {
            r#"{"detail":{"status":"x","message":"no such agent"}}"#.to_owned()
        };
        let response: Response = (StatusCode::from_u16(status).unwrap(), body).into_response();
        response
    };
    let app = Router::new()
        .route("/v1/convai/conversation/get-signed-url", get(signed))
        .route("/v1/convai/conversation", get(conversation));
    serve(tasks, app).await
}

fn dialer(base: &str, api_key: Option<&str>) -> ElevenLabsDialer {
    let settings = ElevenLabsSettings {
        api_key: api_key.map(Into::into),
        api_base: base.into(),
        ws_base: base.into(),
        ..ElevenLabsSettings::default()
    };
    ElevenLabsDialer::new(&settings, "agent_1").unwrap()
}

#[tokio::test]
async fn conversation_opens_by_signed_url_or_directly_and_its_end_is_told_once() {
    let tasks = Tasks::new();
    let base = vendor(&tasks, 200).await;
    for key in [Some("canary"), None] {
        let (mut socket, mut codec) = dialer(&base, key).connect().await.unwrap();
        for wire in codec.encode(&AgentOut::Begin(AgentBrief::default())) {
            socket.send(wire).await.unwrap();
        }
        let hello = socket.next().await.unwrap().unwrap();
        let said = codec.decode(&hello).unwrap();
        assert!(
            matches!(&said[0], AgentIn::Ready { conversation_id, .. } if conversation_id == "conv_1")
        );
        let closed = socket.next().await.unwrap().unwrap_err();
        assert_eq!((closed.code, closed.reason.as_str()), (Some(1000), "done"));
        assert_eq!(
            codec
                .ended_on_purpose(closed.code, &closed.reason)
                .as_deref(),
            Some("done")
        );
        assert!(socket.next().await.is_none());
        socket.close().await.unwrap();
    }
    tasks.cancel();
}

#[tokio::test]
async fn agents_that_cannot_be_reached_say_why() {
    let tasks = Tasks::new();
    let of = |status: u16| {
        let tasks = tasks.clone();
        async move {
            dialer(&vendor(&tasks, status).await, Some("canary"))
                .connect()
                .await
                .err()
                .unwrap()
        }
    };
    assert!(matches!(of(401).await, AgentError::Unauthorized));
    assert!(matches!(of(429).await, AgentError::RateLimited));
    assert!(matches!(of(404).await, AgentError::Refused(reason) if reason == "no such agent"));
    let nobody = dialer("http://127.0.0.1:1", None)
        .connect()
        .await
        .err()
        .unwrap();
    assert!(nobody.is_transient());
    tasks.cancel();
}
