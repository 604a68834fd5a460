//! Sockets made of channels, vendors that speak in plain words, and a core around them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::super::*;
use crate::bridge::{
    AgentBrief, AgentCodec, AgentIn, AgentOut, CarrierAudio, CarrierOut, DecodeError,
};
use crate::bridge::{CarrierIn, Wire};
use crate::call::{AgentLink, Call, CallFacts, CallStatus};
use crate::engine::ports::{AgentConnection, AgentDialer, AgentError, CarrierError, WireClosed};
use crate::engine::{
    AgentPlan, CarrierCall, CarrierControl, Carriers, Clock, CoreParts, DialOrder, Fallback,
    MemoryJournal, Plans, RecordingOrder, Target, Tasks,
};
use crate::media::MediaFormat;

/// Our end of a socket under test.
pub(super) struct Peer {
    pub(super) to_us: mpsc::Sender<Result<Wire, WireClosed>>,
    pub(super) from_us: mpsc::Receiver<Wire>,
}

pub(super) struct TestSocket {
    read: mpsc::Receiver<Result<Wire, WireClosed>>,
    write: PollSender<Wire>,
}

pub(super) fn socket(room: usize) -> (BoxSocket, Peer) {
    let (to_us, read) = mpsc::channel(4_096);
    let (write, from_us) = mpsc::channel(room);
    let socket = TestSocket {
        read,
        write: PollSender::new(write),
    };
    (Box::new(socket), Peer { to_us, from_us })
}

pub(super) fn gone() -> WireClosed {
    WireClosed {
        code: None,
        reason: "gone".into(),
    }
}

impl Stream for TestSocket {
    type Item = Result<Wire, WireClosed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.read.poll_recv(cx)
    }
}

impl Sink<Wire> for TestSocket {
    type Error = WireClosed;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        self.write.poll_reserve(cx).map_err(|_| gone())
    }

    fn start_send(mut self: Pin<&mut Self>, wire: Wire) -> Result<(), WireClosed> {
        self.write.send_item(wire).map_err(|_| gone())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        self.write.close();
        Poll::Ready(Ok(()))
    }
}

pub(super) fn garbage(vendor: &'static str) -> DecodeError {
    DecodeError {
        vendor,
        reason: "not a word".into(),
    }
}

#[derive(Debug)]
pub(super) struct CarrierWords;

impl CarrierCodec for CarrierWords {
    fn vendor(&self) -> &'static str {
        "testcarrier"
    }

    fn decode(&mut self, wire: &Wire) -> Result<CarrierIn, DecodeError> {
        match wire {
            Wire::Binary(payload) => Ok(CarrierIn::Audio(CarrierAudio {
                payload: payload.clone(),
                chunk: None,
                timestamp_ms: None,
            })),
            Wire::Text(word) if word == "stop" => Ok(CarrierIn::Stop),
            Wire::Text(_) => Err(garbage("testcarrier")),
        }
    }

    fn encode(&mut self, out: &CarrierOut) -> Option<Wire> {
        match out {
            CarrierOut::Audio(payload) => Some(Wire::Binary(payload.clone())),
            CarrierOut::Mark { .. } => None,
            CarrierOut::Clear => Some(Wire::Text("clear".into())),
        }
    }
}

#[derive(Debug)]
pub(super) struct AgentWords;

impl AgentCodec for AgentWords {
    fn vendor(&self) -> &'static str {
        "testagent"
    }

    fn decode(&mut self, wire: &Wire) -> Result<Vec<AgentIn>, DecodeError> {
        let word = match wire {
            Wire::Binary(payload) => AgentIn::Audio {
                utterance: 1,
                payload: payload.clone(),
            },
            Wire::Text(word) => match word.as_str() {
                "ready" => AgentIn::Ready {
                    conversation_id: "conv_7".into(),
                    takes: MediaFormat::ULAW_8K,
                    gives: MediaFormat::ULAW_8K,
                },
                "hello" => AgentIn::AgentText {
                    utterance: 1,
                    text: "Hello".into(),
                    interim: false,
                },
                "interrupt" => AgentIn::Interruption { utterance: 1 },
                "hang up" => AgentIn::HangUp {
                    reason: "end_call".into(),
                },
                _ => return Err(garbage("testagent")),
            },
        };
        Ok(vec![word])
    }

    fn encode(&mut self, out: &AgentOut) -> Vec<Wire> {
        match out {
            AgentOut::Audio(payload) => vec![Wire::Binary(payload.clone())],
            AgentOut::Begin(brief) => vec![Wire::Text(format!("begin {:?}", brief.variables))],
            AgentOut::Context { text } => vec![Wire::Text(format!("context {text}"))],
            _ => Vec::new(),
        }
    }

    fn ended_on_purpose(&self, code: Option<u16>, reason: &str) -> Option<String> {
        (code == Some(1000)).then(|| reason.to_owned())
    }
}

/// Hands out prepared sockets; none left means the key is refused.
#[derive(Debug, Default)]
pub(super) struct Agents {
    peers: Mutex<Vec<mpsc::Sender<Peer>>>,
}

impl AgentDialer for Agents {
    fn vendor(&self) -> &'static str {
        "testagent"
    }

    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>> {
        let to_test = self.peers.lock().expect("no panic").pop();
        Box::pin(async move {
            let to_test = to_test.ok_or(AgentError::Unauthorized)?;
            let (socket, peer) = socket(4_096);
            let _test_may_have_ended = to_test.send(peer).await;
            Ok((socket, Box::new(AgentWords) as Box<dyn AgentCodec>))
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Phone {
    pub(super) hung_up: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct PhoneControl(Arc<Phone>);

impl CarrierControl for PhoneControl {
    fn name(&self) -> &'static str {
        "testcarrier"
    }

    fn dial(&self, _: DialOrder) -> BoxFuture<'static, Result<String, CarrierError>> {
        Box::pin(async { Err(CarrierError::Unsupported("dialling")) })
    }

    fn hang_up(&self, _: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        self.0.hung_up.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }

    fn transfer(&self, _: String, _: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        Box::pin(async { Err(CarrierError::Unsupported("transfer")) })
    }

    fn record(
        &self,
        _: String,
        _: Option<String>,
        _: RecordingOrder,
    ) -> BoxFuture<'static, Result<String, CarrierError>> {
        Box::pin(async { Err(CarrierError::Unsupported("recording")) })
    }

    fn live_calls(&self) -> BoxFuture<'static, Result<Vec<CarrierCall>, CarrierError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn find(&self, _: String) -> BoxFuture<'static, Result<Option<CarrierCall>, CarrierError>> {
        Box::pin(async { Ok(None) })
    }

    fn fetch_recording(&self, _: String) -> BoxFuture<'static, Result<Bytes, CarrierError>> {
        Box::pin(async { Err(CarrierError::Unsupported("recording")) })
    }
}

pub(super) struct House {
    pub(super) core: Core,
    pub(super) call: CallId,
    pub(super) phone: Arc<Phone>,
    pub(super) agents: Arc<Agents>,
}

impl House {
    pub(super) async fn open() -> Self {
        let clock = Clock::start();
        let tasks = Tasks::new();
        let phone = Arc::new(Phone::default());
        let agents = Arc::new(Agents::default());
        let agent = AgentPlan {
            id: "support".into(),
            kind: "testagent",
            dialer: Arc::clone(&agents) as Arc<dyn AgentDialer>,
            brief: AgentBrief::default(),
            minutes_max: None,
            concurrent_max: None,
            extras: crate::engine::AgentExtras::default(),
        };
        let mut carriers = Carriers::new();
        carriers.insert("testcarrier", Arc::new(PhoneControl(Arc::clone(&phone))));
        let core = Core::new(CoreParts {
            carriers,
            plans: Plans {
                agents: BTreeMap::from([("support".to_owned(), agent)]),
                default_agent: Some("support".into()),
                fallback: Fallback::Say("Sorry.".into()),
                ..Plans::default()
            },
            ..CoreParts::new(tasks, clock, Arc::new(MemoryJournal::default()))
        });
        let facts = CallFacts {
            carrier: "testcarrier".into(),
            carrier_call_id: Some("CA1".into()),
            from: "+15551230000".into(),
            ..CallFacts::default()
        };
        let target = Target::Carrier {
            facts,
            status: CallStatus::InProgress,
            started_at: None,
        };
        let posted = core.switchboard.post(target, Vec::new()).await;
        let call = posted.expect("taken").call.expect("created");
        Self {
            core,
            call,
            phone,
            agents,
        }
    }

    /// Prepares one agent; its peer comes when it is dialled.
    pub(super) fn expect_agent(&self) -> mpsc::Receiver<Peer> {
        let (sender, receiver) = mpsc::channel(1);
        self.agents.peers.lock().expect("no panic").push(sender);
        receiver
    }

    pub(super) fn attach(&self, stream_id: &str, room: usize) -> (Peer, JoinHandle<()>) {
        let (socket, peer) = socket(room);
        let start = StreamStart {
            stream_id: stream_id.into(),
            carrier_call_id: "CA1".into(),
            account_id: None,
            format: MediaFormat::ULAW_8K,
            custom: BTreeMap::from([
                ("wb".to_owned(), "ticket".to_owned()),
                ("plan".to_owned(), "gold".to_owned()),
            ]),
        };
        let handle = self
            .core
            .attach_stream(self.call, socket, Box::new(CarrierWords), start);
        (peer, handle)
    }

    pub(super) async fn bridged(&self) -> (Peer, Peer, JoinHandle<()>) {
        let mut agents = self.expect_agent();
        let (carrier, handle) = self.attach("MZ1", 4_096);
        let mut agent = agents.recv().await.expect("dialled");
        let begin = agent.from_us.recv().await;
        assert!(matches!(begin, Some(Wire::Text(word)) if word.starts_with("begin")));
        agent.say("ready").await;
        self.until(|call| call.agent_link == AgentLink::Connected)
            .await;
        (carrier, agent, handle)
    }

    pub(super) fn look(&self) -> Call {
        self.core
            .switchboard
            .read(|board| board.get(self.call).cloned())
            .expect("on the board")
    }

    pub(super) async fn until(&self, wanted: impl Fn(&Call) -> bool) {
        for _ in 0..2_000 {
            if wanted(&self.look()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never so: {:?}", self.look());
    }
}

impl Peer {
    pub(super) async fn say(&self, word: &str) {
        self.to_us
            .send(Ok(Wire::Text(word.into())))
            .await
            .expect("read");
    }

    pub(super) async fn play(&self, bytes: Vec<u8>) {
        self.to_us
            .send(Ok(Wire::Binary(Bytes::from(bytes))))
            .await
            .expect("read");
    }

    /// Everything up to the close, or what comes within this long.
    pub(super) async fn rest(&mut self, within: Duration) -> Vec<Wire> {
        let mut words = Vec::new();
        let until = tokio::time::Instant::now() + within;
        while let Ok(Some(word)) = tokio::time::timeout_at(until, self.from_us.recv()).await {
            words.push(word);
        }
        words
    }
}

pub(super) fn audio_frames(words: &[Wire]) -> usize {
    words
        .iter()
        .filter(|word| matches!(word, Wire::Binary(_)))
        .count()
}
