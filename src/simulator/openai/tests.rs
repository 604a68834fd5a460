//! The simulated agent with a hand-made client: real sockets, the client's duties done by the test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::simulator::elevenlabs::AgentFaults;
use crate::simulator::speech::{Cut, Ending, Line, Script, ToolLine, ToolVia};
use crate::simulator::ulaw;

const CALLER: &str = "+15555550142";

struct Rig {
    tasks: Tasks,
    sim: OpenAiSim,
}

impl Rig {
    async fn new(script: Script) -> Self {
        Self::with(script, OpenAiSimConfig::default()).await
    }

    async fn with(script: Script, cfg: OpenAiSimConfig) -> Self {
        crate::simulator::install_tls();
        let tasks = Tasks::new();
        let cfg = OpenAiSimConfig {
            ready_after: Duration::from_millis(5),
            ..cfg
        };
        cfg.cast.assign(CALLER, Arc::new(script));
        let sim = OpenAiSim::start(cfg, &tasks).await.unwrap();
        Self { tasks, sim }
    }

    async fn connect(&self, key: &str, header: Option<&str>) -> Result<Client, u16> {
        let url = format!("{}?model=gpt-realtime-2.1", self.sim.realtime_url());
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        if let Some(header) = header {
            let value = header.parse().unwrap();
            request.headers_mut().insert("openai-beta", value);
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Client {
                socket,
                seen: Vec::new(),
            }),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Connected, settled and confirmed.
    async fn client(&self, interrupts: bool) -> Client {
        let mut client = self.connect("simulated-api-key", None).await.unwrap();
        client.send(settings(interrupts)).await;
        client.talk(&[], is("session.updated")).await.unwrap();
        client
    }
}

fn settings(interrupts: bool) -> Value {
    json!({"type": "session.update", "event_id": "begin", "session": {
        "type": "realtime", "instructions": format!("A call from {CALLER} to +15555550200."),
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": {"type": "audio/pcmu"},
                "transcription": {"model": "gpt-realtime-whisper"},
                "turn_detection": {"type": "server_vad", "threshold": 0.7,
                    "interrupt_response": interrupts}},
            "output": {"format": {"type": "audio/pcmu"}, "voice": "shimmer"}},
        "tools": [{"type": "function", "name": "end_call", "parameters": {"type": "object"}}],
    }})
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    seen: Vec<Value>,
}

impl Client {
    async fn send(&mut self, value: Value) {
        self.socket
            .send(Message::text(value.to_string()))
            .await
            .unwrap();
    }

    /// The vendor may have closed meanwhile.
    async fn ask(&mut self) {
        let ask = json!({"type": "response.create"}).to_string();
        drop(self.socket.send(Message::text(ask)).await);
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
                    let chunk = json!({"type": "input_audio_buffer.append", "audio": STANDARD.encode(frame)});
                    if self.socket.send(Message::text(chunk.to_string())).await.is_err() {
                        return None;
                    }
                }
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let value: Value = serde_json::from_str(text.as_str()).unwrap_or(Value::Null);
                        self.seen.push(value.clone());
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
        kinds.dedup();
        kinds
    }
}

fn is(kind: &'static str) -> impl FnMut(&Value) -> bool {
    move |value| value["type"] == kind
}

#[tokio::test]
async fn the_agent_speaks_when_asked_and_answers_the_caller_in_the_vendors_order() {
    let rig = Rig::new(Script::tones("t", 3, 400).with_ending(Ending::Agent)).await;
    let mut client = rig.client(true).await;
    let quiet = tokio::time::timeout(
        Duration::from_millis(400),
        client.talk(&[], is("response.created")),
    );
    assert!(quiet.await.is_err(), "nobody asked yet");
    client.ask().await;
    client.talk(&[], is("response.done")).await.unwrap();
    let order: Vec<String> = client.kinds();
    let wanted = [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
    ];
    assert_eq!(order[2..8], wanted, "{order:#?}");
    // Let the greeting play out, then speak.
    let mut voice = vec![0xff; 8 * 700];
    voice.extend(ulaw::tone(700.0, 600, -12.0));
    let end = client
        .talk(&voice, is("response.function_call_arguments.done"))
        .await
        .unwrap();
    assert_eq!(end["name"], "end_call");
    let at = |kind: &str| client.seen.iter().position(|v| v["type"] == kind).unwrap();
    assert!(at("input_audio_buffer.speech_started") < at("input_audio_buffer.speech_stopped"));
    assert!(at("input_audio_buffer.speech_stopped") < at("input_audio_buffer.committed"));
    let written = at("conversation.item.input_audio_transcription.completed");
    assert!(at("input_audio_buffer.committed") < written);
    assert_eq!(client.seen[written]["transcript"], "Caller line 0");
    let view = rig.sim.conversations()[0].view();
    assert_eq!(
        view.lines,
        [
            "agent: Agent line 0",
            "user: Caller line 0",
            "agent: Agent line 1"
        ]
    );
    assert!(view.refused.is_empty() && rig.sim.open_sockets() == 1);
    client.socket.close(None).await.unwrap();
    rig.sim.conversations()[0].wait(|v| !v.open).await.unwrap();
}

#[tokio::test]
async fn one_answer_at_a_time_and_every_request_gets_one() {
    let rig = Rig::new(Script::tones("t", 1, 3_000).with_ending(Ending::Nobody)).await;
    let mut client = rig.client(true).await;
    client.ask().await;
    client.ask().await;
    let error = client.talk(&[], is("error")).await.unwrap();
    assert_eq!(
        error["error"]["code"],
        "conversation_already_has_active_response"
    );
    client.talk(&[], is("response.done")).await.unwrap();
    client.ask().await;
    let empty = client.talk(&[], is("response.done")).await.unwrap();
    assert_eq!(empty["response"]["status"], "completed");
    let say = r#"Say exactly the following, word for word: "One moment, please.""#;
    client
        .send(json!({"type": "response.create", "response": {"instructions": say}}))
        .await;
    let said = client
        .talk(&[], is("response.output_audio_transcript.done"))
        .await
        .unwrap();
    assert_eq!(said["transcript"], "One moment, please.");
    client.send(json!({"type": "response.cancel"})).await;
    let done = client
        .talk(&[], |v| {
            v["type"] == "response.done" || v["type"] == "error"
        })
        .await;
    assert!(done.is_some());
}

#[tokio::test]
async fn speaking_over_the_agent_starts_speech_and_what_was_unheard_can_be_cut() {
    for interrupts in [true, false] {
        let mut script = Script::barge_in_tones("t");
        if let Some(Line::Agent(line)) = script.lines.get_mut(2) {
            // Long enough to be still on its way when the caller speaks.
            line.audio = ulaw::tone(440.0, 20_000, -12.0).into();
        }
        let rig = Rig::new(script).await;
        let mut client = rig.client(interrupts).await;
        client.ask().await;
        client.talk(&[], is("response.done")).await.unwrap();
        let mut voice = vec![0xff; 8 * 700];
        voice.extend(ulaw::tone(700.0, 400, -12.0));
        client.talk(&voice, is("response.created")).await.unwrap();
        client
            .talk(&[], is("response.output_audio.delta"))
            .await
            .unwrap();
        let voice = ulaw::tone(700.0, 600, -12.0);
        client
            .talk(&voice, is("input_audio_buffer.speech_started"))
            .await
            .unwrap();
        if !interrupts {
            client.send(json!({"type": "response.cancel"})).await;
        }
        let done = client.talk(&[], is("response.done")).await.unwrap();
        assert_eq!(done["response"]["status"], "cancelled");
        let item = client
            .seen
            .iter()
            .rev()
            .find(|v| v["type"] == "response.output_audio.delta")
            .unwrap()["item_id"]
            .clone();
        let cut = |ms: u64| {
            json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0,
                "audio_end_ms": ms})
        };
        client.send(cut(60_000)).await;
        let error = client.talk(&[], is("error")).await.unwrap();
        assert!(
            error["error"]["message"]
                .as_str()
                .unwrap()
                .contains("already shorter")
        );
        client.send(cut(200)).await;
        client
            .talk(&[], is("conversation.item.truncated"))
            .await
            .unwrap();
        let view = rig.sim.conversations()[0].view();
        assert_eq!(
            (view.interruptions, view.cancels),
            (1, u32::from(!interrupts))
        );
        assert_eq!(view.truncations.len(), 1);
    }
}

#[tokio::test]
async fn a_tool_waits_for_its_output_and_then_for_the_next_request() {
    let mut script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
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
    let rig = Rig::new(script).await;
    let mut client = rig.client(true).await;
    client.ask().await;
    let call = client
        .talk(&[], is("response.function_call_arguments.done"))
        .await
        .unwrap();
    assert_eq!(
        (&call["name"], &call["arguments"]),
        (&json!("lookup_order"), &json!(r#"{"order":"A1"}"#))
    );
    client.talk(&[], is("response.done")).await.unwrap();
    client
        .send(
            json!({"type": "conversation.item.create", "item": {"type": "function_call_output",
            "call_id": call["call_id"], "output": "{\"ok\":true}"}}),
        )
        .await;
    let quiet = tokio::time::timeout(
        Duration::from_millis(500),
        client.talk(&[], is("response.created")),
    );
    assert!(quiet.await.is_err());
    client.ask().await;
    client
        .talk(&[], is("response.output_audio_transcript.done"))
        .await
        .unwrap();
    assert!(rig.sim.conversations()[0].view().tool_outputs[0].ends_with("{\"ok\":true}"));
}

#[tokio::test]
async fn a_broken_conversation_goes_on_over_the_next_socket_and_a_lost_one_does_not() {
    for for_good in [false, true] {
        let mut script = Script::tones("t", 3, 100);
        script.lines.remove(1);
        script.lines.insert(
            1,
            Line::Die {
                how: Cut::Reset,
                for_good,
            },
        );
        let rig = Rig::new(script).await;
        let mut client = rig.client(true).await;
        client.ask().await;
        assert!(client.talk(&[], |_| false).await.is_none());
        let mut again = rig.client(true).await;
        again.ask().await;
        let said = again
            .talk(&[], is("response.output_audio_transcript.done"))
            .await;
        assert_eq!(said.is_none(), for_good);
        if let Some(said) = said {
            assert_eq!(said["transcript"], "Agent line 1");
        }
    }
}

#[tokio::test]
async fn failures_and_the_end_of_a_session_are_told() {
    let cfg = OpenAiSimConfig {
        fail_first_answer: true,
        expires_after: Some(Duration::from_millis(900)),
        ..OpenAiSimConfig::default()
    };
    let rig = Rig::with(Script::tones("t", 1, 100).with_ending(Ending::Nobody), cfg).await;
    let mut client = rig.client(true).await;
    client.ask().await;
    let failed = client.talk(&[], is("response.done")).await.unwrap();
    assert_eq!(
        failed["response"]["status_details"]["error"]["code"],
        "server_error"
    );
    assert!(client.talk(&[], |_| false).await.is_none());
    let expired = client.seen.iter().find(|v| v["type"] == "error").unwrap();
    assert_eq!(expired["error"]["code"], "session_expired");
    assert_eq!(client.seen.last().unwrap()["type"], "close");
}

#[tokio::test]
async fn handshakes_are_refused_with_the_vendors_status() {
    let rig = Rig::new(Script::tones("t", 1, 100)).await;
    assert_eq!(rig.connect("wrong", None).await.err(), Some(401));
    let old = rig.connect("simulated-api-key", Some("realtime=v1")).await;
    assert_eq!(old.err(), Some(400));
    let busy = OpenAiSimConfig {
        faults: AgentFaults {
            refuse_signed_url: Some(429),
            ..AgentFaults::default()
        },
        ..OpenAiSimConfig::default()
    };
    let rig = Rig::with(Script::tones("t", 1, 100), busy).await;
    assert_eq!(
        rig.connect("simulated-api-key", None).await.err(),
        Some(429)
    );
    let beta = OpenAiSimConfig {
        beta: true,
        ..OpenAiSimConfig::default()
    };
    let rig = Rig::with(Script::tones("t", 1, 100), beta).await;
    let mut old = rig
        .connect("simulated-api-key", Some("realtime=v1"))
        .await
        .unwrap();
    old.send(settings(true)).await;
    let error = old.talk(&[], is("error")).await.unwrap();
    assert_eq!(error["error"]["code"], "unknown_parameter");
    assert_eq!(rig.sim.conversations()[0].view().refused.len(), 1);
}
