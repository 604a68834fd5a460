//! The simulated agent with a hand-made bridge: real sockets, the bridge's duties done by the test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::simulator::speech::{Cut, Ending, Line, Script, ToolLine, ToolVia};
use crate::simulator::ulaw;

const CALLER: &str = "+15555550142";

struct Rig {
    tasks: Tasks,
    sim: ElevenLabsSim,
    http: reqwest::Client,
}

impl Rig {
    async fn new(script: Script, faults: AgentFaults) -> Self {
        crate::simulator::install_tls();
        let tasks = Tasks::new();
        let cfg = ElevenLabsSimConfig {
            faults,
            ready_after: Duration::from_millis(5),
            ping_every: Duration::from_millis(100),
            ..ElevenLabsSimConfig::default()
        };
        cfg.cast.assign(CALLER, Arc::new(script));
        let sim = ElevenLabsSim::start(cfg, &tasks).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { tasks, sim, http }
    }

    async fn signed_url(&self) -> String {
        let url = format!(
            "{}/v1/convai/conversation/get-signed-url?agent_id=agent_1",
            self.sim.api_base()
        );
        let response = self
            .http
            .get(url)
            .header("xi-api-key", "simulated-api-key")
            .send()
            .await;
        let body: Value = response.unwrap().json().await.unwrap();
        body["signed_url"].as_str().unwrap().to_owned()
    }

    async fn bridge(&self) -> Bridge {
        let (socket, _) = connect_async(self.signed_url().await).await.unwrap();
        let mut bridge = Bridge {
            socket,
            seen: Vec::new(),
        };
        bridge
            .send(json!({
                "type": "conversation_initiation_client_data",
                "dynamic_variables": {"call_id": "c-1", "caller_number": CALLER, "called_number": "+15555550100"},
            }))
            .await;
        bridge
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

struct Bridge {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    seen: Vec<Value>,
}

impl Bridge {
    async fn send(&mut self, value: Value) {
        self.socket
            .send(Message::text(value.to_string()))
            .await
            .unwrap();
    }

    /// Sends one caller frame every 20 ms while reading, until `done` or the socket ends.
    async fn talk(&mut self, audio: &[u8], mut done: impl FnMut(&Value) -> bool) -> Option<Value> {
        let mut frames = audio.chunks(160);
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let limit = tokio::time::sleep(Duration::from_secs(10));
        tokio::pin!(limit);
        loop {
            tokio::select! {
                () = &mut limit => panic!("gave up: {:#?}", self.kinds()),
                _ = ticks.tick() => {
                    let frame = frames.next().unwrap_or(&[0xff; 160]);
                    let chunk = json!({"user_audio_chunk": STANDARD.encode(frame)});
                    if self.socket.send(Message::text(chunk.to_string())).await.is_err() {
                        return None;
                    }
                }
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let value: Value = serde_json::from_str(text.as_str()).unwrap_or(Value::Null);
                        self.seen.push(value.clone());
                        if value["type"] == "ping" {
                            self.send(json!({"type": "pong", "event_id": value["ping_event"]["event_id"]})).await;
                        }
                        if done(&value) {
                            return Some(value);
                        }
                    }
                    Some(Ok(Message::Close(frame))) => {
                        self.seen.push(json!({"type": "close", "code": frame.map(|f| u16::from(f.code))}));
                        return None;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                },
            }
        }
    }

    fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self
            .seen
            .iter()
            .map(|v| v["type"].as_str().unwrap_or("?").to_owned())
            .collect();
        kinds.retain(|kind| kind != "ping");
        kinds.dedup();
        kinds
    }
}

fn is(kind: &'static str) -> impl FnMut(&Value) -> bool {
    move |value| value["type"] == kind
}

#[tokio::test]
async fn the_agent_greets_hears_and_answers_in_the_vendors_order() {
    let script = Script::tones("t", 3, 400).with_ending(Ending::Agent);
    let rig = Rig::new(script, AgentFaults::default()).await;
    let mut bridge = rig.bridge().await;
    bridge.talk(&[], is("agent_response")).await.unwrap();
    tokio::time::timeout(
        Duration::from_secs(5),
        bridge.talk(&[], |v| v["type"] == "ping"),
    )
    .await
    .unwrap();
    // Let the greeting play out, then speak.
    let mut voice = vec![0xff; 8 * 700];
    voice.extend(ulaw::tone(700.0, 600, -12.0));
    let end = bridge
        .talk(&voice, is("agent_tool_response"))
        .await
        .unwrap();
    assert_eq!(end["agent_tool_response"]["tool_name"], "end_call");
    assert_eq!(
        bridge.kinds(),
        [
            "conversation_initiation_metadata",
            "audio",
            "agent_response",
            "audio",
            "tentative_user_transcript",
            "user_transcript",
            "audio",
            "agent_response",
            "audio",
            "agent_tool_response"
        ]
    );
    let heard = bridge
        .seen
        .iter()
        .find(|v| v["type"] == "user_transcript")
        .unwrap();
    assert_eq!(
        heard["user_transcription_event"]["user_transcript"],
        "Caller line 0"
    );
    let view = rig.sim.conversations()[0].view();
    assert_eq!(
        view.lines,
        [
            "agent: Agent line 0",
            "user: Caller line 0",
            "agent: Agent line 1"
        ]
    );
    assert!(view.pongs > 0 && rig.sim.open_sockets() == 1);
    bridge.socket.close(None).await.unwrap();
    let view = rig.sim.conversations()[0].wait(|v| !v.open).await.unwrap();
    assert_eq!(view.closed, Some(1005));
}

#[tokio::test]
async fn audio_comes_faster_than_real_time() {
    let mut script = Script::tones("t", 1, 400);
    if let Some(Line::Agent(line)) = script.lines.get_mut(0) {
        line.audio = ulaw::tone(440.0, 5_000, -12.0).into();
    }
    let rig = Rig::new(script, AgentFaults::default()).await;
    let mut bridge = rig.bridge().await;
    let (began, mut bytes) = (tokio::time::Instant::now(), 0);
    bridge
        .talk(&[], |v| {
            let payload = v["audio_event"]["audio_base_64"].as_str().unwrap_or("");
            bytes += STANDARD.decode(payload).unwrap().len();
            bytes >= 40_000
        })
        .await
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn speaking_over_the_agent_interrupts_it_and_corrects_what_was_said() {
    let rig = Rig::new(Script::barge_in_tones("t"), AgentFaults::default()).await;
    let mut bridge = rig.bridge().await;
    bridge.talk(&[], is("agent_response")).await.unwrap();
    let mut voice = vec![0xff; 8 * 700];
    voice.extend(ulaw::tone(700.0, 400, -12.0));
    bridge.talk(&voice, is("agent_response")).await.unwrap();
    let voice = ulaw::tone(700.0, 600, -12.0);
    let fix = bridge
        .talk(&voice, is("agent_response_correction"))
        .await
        .unwrap();
    let fix = &fix["agent_response_correction_event"];
    assert_eq!(
        (&fix["original_agent_response"], &fix["event_id"]),
        (&json!("Agent line 1"), &json!(3))
    );
    assert_eq!(fix["corrected_agent_response"], "Agent");
    let interruption = bridge
        .seen
        .iter()
        .find(|v| v["type"] == "interruption")
        .unwrap();
    assert_eq!(interruption["interruption_event"]["event_id"], 3);
}

#[tokio::test]
async fn a_client_tool_waits_for_the_bridges_answer() {
    let mut script = Script::tones("t", 1, 100).with_ending(Ending::Agent);
    script.lines.insert(
        0,
        Line::Tool(ToolLine {
            name: "lookup_order".to_owned(),
            via: ToolVia::Client,
            args: json!({"order": "A1"}),
            result: "ok".to_owned(),
            takes: Duration::from_millis(10),
        }),
    );
    let rig = Rig::new(script, AgentFaults::default()).await;
    let mut bridge = rig.bridge().await;
    let call = bridge.talk(&[], is("client_tool_call")).await.unwrap();
    let call = &call["client_tool_call"];
    assert_eq!(
        (&call["tool_name"], &call["parameters"]),
        (&json!("lookup_order"), &json!({"order": "A1"}))
    );
    bridge
        .send(json!({"type": "client_tool_result", "tool_call_id": call["tool_call_id"], "result": "shipped", "is_error": false}))
        .await;
    bridge.talk(&[], is("agent_response")).await.unwrap();
    assert!(rig.sim.conversations()[0].view().tool_results[0].ends_with(": shipped"));
}

#[tokio::test]
async fn a_broken_conversation_goes_on_over_the_next_socket_and_a_lost_one_does_not() {
    for (for_good, expected) in [(false, "agent_response"), (true, "close")] {
        let mut script = Script::tones("t", 3, 100);
        script.lines.remove(1);
        script.lines.insert(
            1,
            Line::Die {
                how: Cut::Reset,
                for_good,
            },
        );
        let rig = Rig::new(script, AgentFaults::default()).await;
        let mut bridge = rig.bridge().await;
        assert!(bridge.talk(&[], |_| false).await.is_none());
        let mut again = rig.bridge().await;
        again.talk(&[], is("agent_response")).await;
        assert_eq!(again.kinds().last().map(String::as_str), Some(expected));
        if !for_good {
            assert_eq!(
                again.seen.last().unwrap()["agent_response_event"]["agent_response"],
                "Agent line 1"
            );
        }
    }
}

#[tokio::test]
async fn refusals_have_the_vendors_shape() {
    let faults = AgentFaults {
        refuse_signed_url: Some(429),
        ..AgentFaults::default()
    };
    let rig = Rig::new(Script::tones("t", 1, 100), faults).await;
    let url = format!(
        "{}/v1/convai/conversation/get-signed-url?agent_id=a",
        rig.sim.api_base()
    );
    let wrong = rig
        .http
        .get(&url)
        .header("xi-api-key", "no")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 401);
    assert!(wrong.json::<Value>().await.unwrap()["detail"]["message"].is_string());
    let busy = rig
        .http
        .get(&url)
        .header("xi-api-key", "simulated-api-key")
        .send()
        .await
        .unwrap();
    assert_eq!(busy.status(), 429);
}

#[tokio::test]
async fn a_signed_url_opens_one_socket_and_a_wrong_first_message_closes_it() {
    let rig = Rig::new(Script::tones("t", 1, 100), AgentFaults::default()).await;
    let url = rig.signed_url().await;
    let (socket, _) = connect_async(&url).await.unwrap();
    assert!(connect_async(&url).await.is_err());
    let mut bridge = Bridge {
        socket,
        seen: Vec::new(),
    };
    assert!(bridge.talk(&[], |_| false).await.is_none());
    assert_eq!(bridge.kinds(), ["error", "close"]);
    assert_eq!(bridge.seen.last().unwrap()["code"], 1008);
}
