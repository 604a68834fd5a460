//! The runner with sockets made of channels and paused time.

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

use super::*;
use crate::bridge::{
    AgentBrief, AgentCodec, AgentIn, AgentOut, CarrierAudio, CarrierOut, DecodeError,
};
use crate::call::{AgentLink, Call, CallFacts, CallStatus, Envelope, MediaLink};
use crate::engine::{
    AgentPlan, Bridges, CarrierCall, CarrierControl, Carriers, Clock, Commands, DialOrder,
    Fallback, Gauges, HistoryPage, HistoryQuery, Journal, Plans, RecordingOrder, StoreError,
    Switchboard, Taps, Target, Tasks,
};
use crate::media::MediaFormat;

/// Our end of a socket under test.
struct Peer {
    to_us: mpsc::Sender<Result<Wire, WireClosed>>,
    from_us: mpsc::Receiver<Wire>,
}

struct TestSocket {
    read: mpsc::Receiver<Result<Wire, WireClosed>>,
    write: PollSender<Wire>,
}

fn socket(room: usize) -> (BoxSocket, Peer) {
    let (to_us, read) = mpsc::channel(4_096);
    let (write, from_us) = mpsc::channel(room);
    let socket = TestSocket {
        read,
        write: PollSender::new(write),
    };
    (Box::new(socket), Peer { to_us, from_us })
}

fn gone() -> WireClosed {
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

fn garbage(vendor: &'static str) -> DecodeError {
    DecodeError {
        vendor,
        reason: "not a word".into(),
    }
}

#[derive(Debug)]
struct CarrierWords;

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
struct AgentWords;

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
struct Agents {
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

#[derive(Debug)]
struct NoJournal;

impl Journal for NoJournal {
    fn append(&self, _: Arc<Envelope>) -> Result<(), StoreError> {
        Ok(())
    }

    fn flush(&self) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn history(&self, _: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, StoreError>> {
        Box::pin(async { Ok(HistoryPage::default()) })
    }

    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<Call>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn ended_before(&self, _: String, _: String) -> BoxFuture<'static, bool> {
        Box::pin(async { false })
    }
}

#[derive(Debug, Default)]
struct Phone {
    hung_up: AtomicUsize,
}

#[derive(Debug)]
struct PhoneControl(Arc<Phone>);

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

struct House {
    core: Core,
    call: CallId,
    phone: Arc<Phone>,
    agents: Arc<Agents>,
}

impl House {
    async fn open() -> Self {
        let clock = Clock::start();
        let tasks = Tasks::new();
        let journal: Arc<dyn Journal> = Arc::new(NoJournal);
        let phone = Arc::new(Phone::default());
        let agents = Arc::new(Agents::default());
        let agent = AgentPlan {
            id: "support".into(),
            kind: "testagent",
            dialer: Arc::clone(&agents) as Arc<dyn AgentDialer>,
            brief: AgentBrief::default(),
            minutes_max: None,
        };
        let mut carriers = Carriers::new();
        carriers.insert("testcarrier", Arc::new(PhoneControl(Arc::clone(&phone))));
        let core = Core {
            backend_id: "test".into(),
            clock,
            switchboard: Switchboard::start(&tasks, clock, Arc::clone(&journal)),
            tasks,
            journal,
            carriers: Arc::new(carriers),
            plans: Arc::new(Plans {
                routes: Vec::new(),
                agents: BTreeMap::from([("support".to_owned(), agent)]),
                default_by_carrier: BTreeMap::new(),
                default_agent: Some("support".into()),
                fallback: Fallback::Say("Sorry.".into()),
            }),
            bridges: Bridges::default(),
            taps: Taps::default(),
            gauges: Gauges::default(),
            commands: Commands::default(),
        };
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
    fn expect_agent(&self) -> mpsc::Receiver<Peer> {
        let (sender, receiver) = mpsc::channel(1);
        self.agents.peers.lock().expect("no panic").push(sender);
        receiver
    }

    fn attach(&self, stream_id: &str, room: usize) -> (Peer, JoinHandle<()>) {
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

    async fn bridged(&self) -> (Peer, Peer, JoinHandle<()>) {
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

    fn look(&self) -> Call {
        self.core
            .switchboard
            .read(|board| board.get(self.call).cloned())
            .expect("on the board")
    }

    async fn until(&self, wanted: impl Fn(&Call) -> bool) {
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
    async fn say(&self, word: &str) {
        self.to_us
            .send(Ok(Wire::Text(word.into())))
            .await
            .expect("read");
    }

    async fn play(&self, bytes: Vec<u8>) {
        self.to_us
            .send(Ok(Wire::Binary(Bytes::from(bytes))))
            .await
            .expect("read");
    }

    /// Everything up to the close, or what comes within this long.
    async fn rest(&mut self, within: Duration) -> Vec<Wire> {
        let mut words = Vec::new();
        let until = tokio::time::Instant::now() + within;
        while let Ok(Some(word)) = tokio::time::timeout_at(until, self.from_us.recv()).await {
            words.push(word);
        }
        words
    }
}

fn audio_frames(words: &[Wire]) -> usize {
    words
        .iter()
        .filter(|word| matches!(word, Wire::Binary(_)))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_bridged_both_ways_and_shows_on_the_board() {
    let house = House::open().await;
    let mut agents = house.expect_agent();
    let (mut carrier, handle) = house.attach("MZ1", 4_096);
    for n in 0..20u8 {
        carrier.play(vec![n; 160]).await;
    }
    let mut agent = agents.recv().await.expect("dialled");
    let begin = agent.from_us.recv().await;
    let Some(Wire::Text(begin)) = begin else {
        panic!("{begin:?}");
    };
    assert!(begin.contains("\"plan\": \"gold\"") && begin.contains("+15551230000"));
    assert!(!begin.contains("ticket"), "our ticket is not for the agent");
    agent.say("ready").await;
    for n in 0..20u8 {
        assert_eq!(
            agent.from_us.recv().await,
            Some(Wire::Binary(Bytes::from(vec![n; 160])))
        );
    }
    agent.play(vec![9; 1_600]).await;
    agent.say("hello").await;
    house.until(|call| call.lines.len() == 1).await;
    assert_eq!(
        audio_frames(&carrier.rest(Duration::from_millis(400)).await),
        10
    );
    let call = house.look();
    assert_eq!(call.conversation_id.as_deref(), Some("conv_7"));
    assert_eq!(call.media_link, MediaLink::Up);
    assert_eq!(house.core.gauges.read(&[house.call]).len(), 1);
    carrier.say("stop").await;
    handle.await.expect("no panic");
    let call = house.look();
    assert!(call.is_live(), "only the carrier ends a call");
    assert_eq!(call.stream_id, None);
    assert_eq!(call.summary.map(|summary| summary.frames_in), Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_torn_stream_closes_the_agent_and_leaves_nothing_behind() {
    let house = House::open().await;
    let (carrier, mut agent, handle) = house.bridged().await;
    drop(carrier);
    handle.await.expect("no panic");
    assert!(
        agent.rest(Duration::from_secs(2)).await.is_empty() && agent.from_us.is_closed(),
        "the agent's socket is closed"
    );
    assert_eq!(house.look().media_link, MediaLink::Lost);
    assert!(house.core.bridges.calls().is_empty() && house.core.taps.is_empty());
    assert!(house.core.gauges.read(&[house.call]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_gives_the_line_back_at_once() {
    let house = House::open().await;
    let (mut carrier, handle) = house.attach("MZ1", 16);
    handle.await.expect("no panic");
    assert_eq!(carrier.from_us.recv().await, None, "the stream is closed");
    let call = house.look();
    assert_eq!(call.agent_link, AgentLink::Fallback);
    assert!(call.is_live());
}

#[tokio::test(start_paused = true)]
async fn a_second_stream_takes_the_call_over() {
    let house = House::open().await;
    let (mut first, agent, handle) = house.bridged().await;
    agent.say("hello").await;
    house.until(|call| call.lines.len() == 1).await;
    let mut agents = house.expect_agent();
    let (second, second_handle) = house.attach("MZ2", 4_096);
    handle.await.expect("no panic");
    assert!(first.rest(Duration::from_secs(1)).await.is_empty());
    let mut agent = agents.recv().await.expect("dialled again");
    agent.say("ready").await;
    house
        .until(|call| {
            call.stream_id.as_deref() == Some("MZ2") && call.agent_link == AgentLink::Connected
        })
        .await;
    agent.say("hello").await;
    house.until(|call| call.lines.len() == 2).await;
    let recap = agent.rest(Duration::from_millis(50)).await;
    assert!(
        recap
            .iter()
            .any(|word| matches!(word, Wire::Text(text) if text.contains("You: Hello")))
    );
    assert!(house.core.bridges.is_running(house.call) && house.core.taps.len() == 1);
    second.say("stop").await;
    second_handle.await.expect("no panic");
    assert!(house.core.taps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_does_not_read_delays_nobody() {
    let house = House::open().await;
    let mut agents = house.expect_agent();
    let (carrier, _handle) = house.attach("MZ1", 1);
    let mut agent = agents.recv().await.expect("dialled");
    agent.say("ready").await;
    agent.play(vec![1; 8 * 5_000]).await;
    for n in 0..100u8 {
        carrier.play(vec![n; 160]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = agent.rest(Duration::from_millis(100)).await;
    assert_eq!(audio_frames(&heard), 100);
    let order = house.core.bridges.order(
        house.call,
        BridgeOrder::Whisper {
            text: "offer ten percent".into(),
        },
    );
    assert!(order.await.is_ok());
    assert_eq!(
        agent.from_us.recv().await,
        Some(Wire::Text("context offer ten percent".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_carrier_socket_is_given_up() {
    let house = House::open().await;
    let mut agents = house.expect_agent();
    let (carrier, handle) = house.attach("MZ1", 1);
    let agent = agents.recv().await.expect("dialled");
    agent.say("ready").await;
    agent.play(vec![1; 8 * 20_000]).await;
    for _ in 0..700 {
        // It talks but does not listen.
        let _gone = carrier
            .to_us
            .send(Ok(Wire::Binary(Bytes::from(vec![0xFF; 160]))))
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    handle.await.expect("no panic");
    assert_eq!(house.look().media_link, MediaLink::Lost);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_reaches_the_carrier_and_the_board() {
    let house = House::open().await;
    let (mut carrier, agent, _handle) = house.bridged().await;
    agent.play(vec![1; 8 * 3_000]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    agent.say("interrupt").await;
    house.until(|call| call.interruptions == 1).await;
    let words = carrier.rest(Duration::from_millis(500)).await;
    assert_eq!(words.last(), Some(&Wire::Text("clear".into())));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_up_ends_the_call_through_the_carrier() {
    let house = House::open().await;
    let (carrier, agent, handle) = house.bridged().await;
    agent.say("hang up").await;
    for _ in 0..100 {
        if house.phone.hung_up.load(Ordering::SeqCst) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(house.phone.hung_up.load(Ordering::SeqCst), 1);
    carrier.say("stop").await;
    handle.await.expect("no panic");
    assert_eq!(house.look().agent_link, AgentLink::None);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_goes_down_hands_the_call_to_the_fallback() {
    let house = House::open().await;
    let (mut carrier, _agent, _handle) = house.bridged().await;
    house.core.tasks.cancel();
    assert!(house.core.tasks.shutdown(Duration::from_secs(2)).await);
    assert!(carrier.rest(Duration::from_secs(1)).await.is_empty());
    assert!(carrier.from_us.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_both_sides_and_leaving_is_noticed() {
    let house = House::open().await;
    let (carrier, agent, _handle) = house.bridged().await;
    let mut tap = house.core.taps.join(house.call).expect("bridged");
    agent.play(vec![0x21; 8 * 2_000]).await;
    let mut both = false;
    for _ in 0..50 {
        carrier.play(vec![0x11; 160]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        while let Ok(frame) = tap.try_recv() {
            both |= frame.caller[80] == 0x11 && frame.agent[80] == 0x21;
        }
    }
    assert!(both);
}
