//! CPU of bridging one call, without sockets: `cargo bench --bench bridge`.
//!
//! First the session with the Twilio and ElevenLabs codecs (a frame in and a frame out, every 20 ms
//! of call time), then the whole runner: task, outboxes, facts, gauges and one listener a call, with
//! wires made of channels on a paused clock. What the kernel and TLS add is not in it.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures time and prints it"
)]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use wallboard::bridge::{
    AgentBrief, AgentCodec, AgentOut, CarrierCodec, CarrierIn, Effect, Effects, Input, Session,
    SessionPlan, StreamStart, Wire,
};
use wallboard::call::{CallFacts, CallId, CallStatus};
use wallboard::engine::{
    AgentConnection, AgentDialer, AgentError, AgentPlan, BoxSocket, Clock, Core, CoreParts,
    MemoryJournal, Plans, Target, Tasks, WireClosed,
};
use wallboard::media::{MediaFormat, sine, ulaw_encode_sample};
use wallboard::providers::elevenlabs::ElevenLabsCodec;
use wallboard::providers::twilio::TwilioCodec;

const CALLS: usize = 300;
const SECONDS: u64 = 20;
const FRAMES: u64 = 200_000;

const READY: &str = r#"{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":{"conversation_id":"conv_1","agent_output_audio_format":"ulaw_8000","user_input_audio_format":"ulaw_8000"}}"#;

/// A stopwatch for this thread's processor time, so that a busy machine does not show; the wall
/// clock where the system does not tell.
struct Watch {
    cpu: Option<Duration>,
    wall: Instant,
}

impl Watch {
    fn start() -> Self {
        Self {
            cpu: cpu_time(),
            wall: Instant::now(),
        }
    }

    fn spent(&self) -> Duration {
        match (self.cpu, cpu_time()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => self.wall.elapsed(),
        }
    }
}

/// Linux: nanoseconds on the processor are the first figure of `schedstat`.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// Two seconds of a tone as base64 frames, so that levels and detector have work to do.
fn payloads() -> Vec<String> {
    use base64::Engine as _;
    let tone: Vec<u8> = sine(400.0, 8_000.0, 8_000, 16_000)
        .into_iter()
        .map(ulaw_encode_sample)
        .collect();
    tone.chunks(160)
        .map(|frame| base64::engine::general_purpose::STANDARD.encode(frame))
        .collect()
}

fn carrier_wire(payload: &str, chunk: u64) -> Wire {
    Wire::Text(format!(
        r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{}","payload":"{payload}"}},"streamSid":"MZ1"}}"#,
        chunk + 1,
        chunk * 20
    ))
}

fn agent_wire(payload: &str, utterance: u64) -> Wire {
    Wire::Text(format!(
        r#"{{"type":"audio","audio_event":{{"audio_base_64":"{payload}","event_id":{utterance}}}}}"#
    ))
}

fn twilio() -> (TwilioCodec, StreamStart) {
    let mut codec = TwilioCodec::new();
    let start = r#"{"event":"start","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"streamSid":"MZ1"}"#;
    match codec.decode(&Wire::Text(start.to_owned())).unwrap() {
        CarrierIn::Start(start) => (codec, start),
        other => panic!("{other:?}"),
    }
}

fn machine(listening: bool) {
    let payloads = payloads();
    let (mut carrier, _) = twilio();
    let mut agent = ElevenLabsCodec::new();
    let mut effects = Effects::new();
    let mut session = Session::new(
        SessionPlan {
            call: CallId::from_parts(0, [0; 10]),
            stream_id: "MZ1".into(),
            carrier_format: MediaFormat::ULAW_8K,
            brief: AgentBrief::default(),
            talk_max: None,
            turns_before: 0,
            lines_before: Vec::new(),
            seed: 1,
            quality: wallboard::media::Thresholds::default(),
            floor: wallboard::bridge::Floor::Agent,
            tools: std::collections::BTreeSet::new(),
            cost_max: None,
            spent_usd: 0.0,
            note: None,
        },
        Duration::ZERO,
    );
    session.start(Duration::ZERO, &mut effects);
    session.step(
        Duration::ZERO,
        Input::AgentConnected { can_say: false },
        &mut effects,
    );
    for word in agent.decode(&Wire::Text(READY.into())).unwrap() {
        session.step(Duration::ZERO, Input::Agent(word), &mut effects);
    }
    session.set_listening(Duration::ZERO, listening);
    let wires: Vec<(Wire, Wire)> = (0..FRAMES)
        .map(|n| {
            let payload = &payloads[n as usize % payloads.len()];
            (carrier_wire(payload, n + 1), agent_wire(payload, n / 500))
        })
        .collect();
    let (mut sent, mut taps) = (0u64, 0usize);
    let watch = Watch::start();
    for (n, (from_carrier, from_agent)) in wires.iter().enumerate() {
        let now = Duration::from_millis(20 * (n as u64 + 1));
        effects.clear();
        let word = carrier.decode(from_carrier).unwrap();
        session.step(now, Input::Carrier(word), &mut effects);
        for word in agent.decode(from_agent).unwrap() {
            session.step(now, Input::Agent(word), &mut effects);
        }
        taps += effects.taps.len();
        for effect in &effects.list {
            match effect {
                Effect::ToCarrier(out) => sent += u64::from(carrier.encode(out).is_some()),
                Effect::ToAgent(out @ AgentOut::Audio(_)) => sent += agent.encode(out).len() as u64,
                _ => {}
            }
        }
    }
    let spent = watch.spent();
    assert!(sent >= 2 * FRAMES - 20 && (taps > 0) == listening);
    report(
        if listening {
            "session + codecs, one listener"
        } else {
            "session + codecs"
        },
        spent,
        FRAMES as f64 / 50.0,
    );
}

fn report(name: &str, spent: Duration, call_seconds: f64) {
    let frames = call_seconds * 50.0;
    println!(
        "{name:36} {:>7.0} ns/frame pair   {:.3} CPU-s per 1,000 call-s",
        spent.as_nanos() as f64 / frames,
        spent.as_secs_f64() / call_seconds * 1_000.0
    );
}

/// A socket made of two channels.
struct Line {
    read: mpsc::Receiver<Wire>,
    write: PollSender<Wire>,
}

struct Peer {
    to_us: mpsc::Sender<Wire>,
    from_us: mpsc::Receiver<Wire>,
}

fn line() -> (BoxSocket, Peer) {
    let (to_us, read) = mpsc::channel(64);
    let (write, from_us) = mpsc::channel(64);
    let write = PollSender::new(write);
    (Box::new(Line { read, write }), Peer { to_us, from_us })
}

fn gone() -> WireClosed {
    WireClosed {
        code: None,
        reason: String::new(),
    }
}

impl Stream for Line {
    type Item = Result<Wire, WireClosed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.read.poll_recv(cx).map(|wire| wire.map(Ok))
    }
}

impl Sink<Wire> for Line {
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

#[derive(Debug)]
struct Dialer(Arc<Mutex<Vec<mpsc::Sender<Peer>>>>);

impl AgentDialer for Dialer {
    fn vendor(&self) -> &'static str {
        "elevenlabs"
    }

    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>> {
        let peer_goes_to = self.0.lock().unwrap().pop();
        Box::pin(async move {
            let (socket, peer) = line();
            peer_goes_to
                .ok_or(AgentError::Timeout)?
                .try_send(peer)
                .map_err(|_| AgentError::Timeout)?;
            let codec: Box<dyn AgentCodec> = Box::new(ElevenLabsCodec::new());
            Ok((socket, codec))
        })
    }
}

/// One caller and one agent, 50 frames a second each way; returns the frames that arrived.
async fn talk(carrier: Peer, agent: Peer, payloads: Arc<Vec<String>>) -> usize {
    let (mut carrier, mut agent) = (carrier, agent);
    agent.to_us.send(Wire::Text(READY.into())).await.unwrap();
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let mut arrived = 0;
    for n in 0..SECONDS * 50 {
        beat.tick().await;
        let payload = &payloads[n as usize % payloads.len()];
        let (from_carrier, from_agent) =
            (carrier_wire(payload, n + 1), agent_wire(payload, n / 100));
        carrier.to_us.send(from_carrier).await.unwrap();
        agent.to_us.send(from_agent).await.unwrap();
        while carrier.from_us.try_recv().is_ok() {
            arrived += 1;
        }
        while agent.from_us.try_recv().is_ok() {
            arrived += 1;
        }
    }
    arrived
}

async fn runner() -> (Duration, usize) {
    let peers = Arc::new(Mutex::new(Vec::new()));
    let agent = AgentPlan {
        id: "bench".into(),
        kind: "elevenlabs",
        dialer: Arc::new(Dialer(Arc::clone(&peers))),
        brief: AgentBrief::default(),
        minutes_max: None,
        concurrent_max: None,
        extras: wallboard::engine::AgentExtras::default(),
    };
    let core = Core::new(CoreParts {
        plans: Plans {
            agents: BTreeMap::from([("bench".to_owned(), agent)]),
            default_agent: Some("bench".into()),
            ..Plans::default()
        },
        ..CoreParts::new(
            Tasks::new(),
            Clock::start(),
            Arc::new(MemoryJournal::default()),
        )
    });
    let payloads = Arc::new(payloads());
    let mut talks = tokio::task::JoinSet::new();
    let mut listeners = tokio::task::JoinSet::new();
    for n in 0..CALLS {
        let facts = CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some(format!("CA{n}")),
            ..CallFacts::default()
        };
        let target = Target::Carrier {
            facts,
            status: CallStatus::InProgress,
            started_at: None,
        };
        let posted = core.switchboard.post(target, Vec::new()).await.unwrap();
        let call = posted.call.unwrap();
        let (sender, mut receiver) = mpsc::channel(1);
        peers.lock().unwrap().push(sender);
        let (socket, carrier) = line();
        let (codec, start) = twilio();
        core.attach_stream(call, socket, Box::new(codec), start);
        let agent = receiver.recv().await.unwrap();
        let mut tap = core.taps.join(call).unwrap();
        listeners.spawn(async move {
            while !matches!(
                tap.recv().await,
                Err(tokio::sync::broadcast::error::RecvError::Closed)
            ) {}
        });
        talks.spawn(talk(carrier, agent, Arc::clone(&payloads)));
    }
    let watch = Watch::start();
    let mut arrived = 0;
    while let Some(count) = talks.join_next().await {
        arrived += count.unwrap();
    }
    let spent = watch.spent();
    listeners.abort_all();
    (spent, arrived)
}

fn main() {
    machine(false);
    machine(true);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (spent, arrived) = runtime.block_on(runner());
    let call_seconds = CALLS as f64 * SECONDS as f64;
    report("runner, 300 calls, listener each", spent, call_seconds);
    println!(
        "{:36} {arrived} of {} (wires made by the bench are in the time)",
        "messages that arrived",
        CALLS as u64 * SECONDS * 100
    );
}
