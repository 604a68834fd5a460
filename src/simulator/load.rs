//! Load: many calls at once with stamped frames, faults on request, and figures at the end.

mod carriers;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::engine::{Clock, Tasks};

use super::elevenlabs::{ElevenLabsSim, ElevenLabsSimConfig};
use super::line::{FarEnd, FarTick, Faults, Payload};
use super::openai::{OpenAiSim, OpenAiSimConfig};
use super::plivo::PlivoSimConfig;
use super::stamp::{Arrived, BargeIns, STAMP_BYTES, Stamp, Tally, Tracker};
use super::stamped::AgentLoad;
use super::twilio::TwilioSimConfig;
use super::ulaw::{self, FRAME_BYTES};

use carriers::Seen;
pub use carriers::{CarrierSim, CarrierStats};

/// After its time a call has this long to be ended by the backend and the carrier.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Which carrier is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vendor {
    #[default]
    Twilio,
    Plivo,
}

/// What a carrier under load does.
#[derive(Clone)]
pub struct CarrierLoad {
    pub vendor: Vendor,
    /// The backend, for instance `http://127.0.0.1:8787`.
    pub target: Url,
    /// What the backend takes its own public address for, where that differs.
    pub public_url: Option<Url>,
    /// Where the simulated REST API listens.
    pub listen: SocketAddr,
    /// Account SID or Auth ID.
    pub account: String,
    pub auth_token: String,
    pub number: String,
    /// Calls at a time.
    pub calls: usize,
    /// All calls are up after this time.
    pub ramp: Duration,
    /// Length of one call.
    pub talk: Duration,
    /// Calls that end are replaced until this time has passed; at least `talk`.
    pub run_for: Duration,
    pub faults: Faults,
    pub seed: u64,
}

impl CarrierLoad {
    pub fn new(vendor: Vendor, target: Url) -> Self {
        let (account, auth_token, number) = match vendor {
            Vendor::Twilio => {
                let plain = TwilioSimConfig::default();
                (plain.account_sid, plain.auth_token, plain.number)
            }
            Vendor::Plivo => {
                let plain = PlivoSimConfig::default();
                (plain.auth_id, plain.auth_token, plain.number)
            }
        };
        Self {
            vendor,
            target,
            public_url: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            account,
            auth_token,
            number,
            calls: 10,
            ramp: Duration::from_secs(5),
            talk: Duration::from_secs(30),
            run_for: Duration::from_secs(30),
            faults: Faults::default(),
            seed: 1,
        }
    }
}

impl std::fmt::Debug for CarrierLoad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CarrierLoad")
            .field("target", &self.target.as_str())
            .field("calls", &self.calls)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// The figures of a carrier's run; printed as JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CarrierReport {
    pub calls_placed: u64,
    pub calls_streamed: u64,
    /// Calls not over in time; 0 is right.
    pub calls_stuck: u64,
    pub by_status: BTreeMap<String, u64>,
    pub ended_by: BTreeMap<String, u64>,
    /// The carrier's error and warning codes, or its words where it has none.
    pub errors: BTreeMap<String, u64>,
    pub frames_sent: u64,
    /// Left out by the gap fault.
    pub frames_dropped_on_purpose: u64,
    pub media_messages_received: u64,
    pub clears: u64,
    pub marks_received: u64,
    pub marks_echoed: u64,
    /// Agent → caller, as it arrived here.
    pub from_agent: Arrived,
    /// From the agent's event to the clear as it arrived here.
    pub barge_in: BargeIns,
    pub webhooks: CarrierStats,
    pub seconds: f64,
}

/// Runs a carrier to its end. `ready` is told the REST base before the first call.
///
/// # Errors
/// The REST address cannot be bound.
pub async fn run_carrier(
    load: CarrierLoad,
    tasks: &Tasks,
    ready: impl FnOnce(&CarrierSim),
) -> io::Result<CarrierReport> {
    let sim = CarrierSim::start(&load, tasks).await?;
    ready(&sim);
    let run = Arc::new(Run {
        base: load
            .public_url
            .as_ref()
            .unwrap_or(&load.target)
            .as_str()
            .trim_end_matches('/')
            .to_owned(),
        until: Instant::now() + load.ramp + load.run_for.max(load.talk),
        talk: load.talk,
        sim: sim.clone(),
        clock: Clock::start(),
        tally: Arc::default(),
        dropped: Arc::default(),
        report: Mutex::default(),
        tail: tail(),
    });
    let began = Instant::now();
    let workers: Vec<_> = (0..load.calls)
        .map(|n| {
            let run = Arc::clone(&run);
            let at = began + load.ramp.mul_f64(n as f64 / load.calls.max(1) as f64);
            tasks.spawn("simulated line", async move {
                sleep_until(at).await;
                run.line(n as u32).await;
            })
        })
        .collect();
    let all = async {
        for worker in workers {
            // A line that panicked was logged and is missing from the figures.
            drop(worker.await);
        }
        // The last status callbacks.
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    tokio::select! {
        () = tasks.token().cancelled() => {}
        () = all => {}
    }
    let mut report = run
        .report
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    report.from_agent = run.tally.report();
    report.barge_in = run.tally.barge_ins();
    report.frames_dropped_on_purpose = run.dropped.load(Ordering::Relaxed);
    report.webhooks = sim.stats();
    report.seconds = began.elapsed().as_secs_f64();
    sim.stop();
    Ok(report)
}

/// Runs an agent vendor until the task tree is cancelled. `ready` is told the addresses.
///
/// # Errors
/// The address cannot be bound.
pub async fn run_agent(
    cfg: ElevenLabsSimConfig,
    tasks: &Tasks,
    ready: impl FnOnce(&ElevenLabsSim),
) -> io::Result<AgentLoad> {
    let sim = ElevenLabsSim::start(cfg, tasks).await?;
    ready(&sim);
    tasks.token().cancelled().await;
    // The sockets notice the same token and hand in their last figures.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(sim.load())
}

/// As [`run_agent`], playing OpenAI Realtime. Where it acts conversations, their figures are those
/// of the messages alone.
///
/// # Errors
/// The address cannot be bound.
pub async fn run_realtime(
    cfg: OpenAiSimConfig,
    tasks: &Tasks,
    ready: impl FnOnce(&OpenAiSim),
) -> io::Result<AgentLoad> {
    let is_stamped = cfg.load.is_some();
    let sim = OpenAiSim::start(cfg, tasks).await?;
    ready(&sim);
    tasks.token().cancelled().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    if is_stamped {
        return Ok(sim.load());
    }
    let talks = sim.conversations();
    let refused = talks.iter().map(|talk| talk.view().refused.len() as u64);
    Ok(AgentLoad {
        conversations: sim.opened() as u64,
        sockets_open: sim.open_sockets() as u64,
        messages_refused: refused.sum(),
        ..AgentLoad::default()
    })
}

struct Run {
    base: String,
    until: Instant,
    talk: Duration,
    sim: CarrierSim,
    clock: Clock,
    tally: Arc<Tally>,
    dropped: Arc<AtomicU64>,
    report: Mutex<CarrierReport>,
    tail: Arc<str>,
}

impl Run {
    /// One telephone line: call after call until the time is up.
    async fn line(&self, line: u32) {
        let mut n = 0_u32;
        while Instant::now() < self.until {
            let left = self.until.saturating_duration_since(Instant::now());
            // A last call too short to tell anything is not placed.
            if n > 0 && left < self.talk / 4 {
                return;
            }
            let talk = self.talk.min(left);
            let id = line.wrapping_mul(1_000).wrapping_add(n);
            let far = LoadCaller {
                call: id,
                seq: 0,
                ticks_left: (talk.as_millis() / 20) as u64,
                tail: Arc::clone(&self.tail),
                clock: self.clock,
                tally: Arc::clone(&self.tally),
                dropped: Arc::clone(&self.dropped),
                tracker: Tracker::default(),
                frame: Vec::new(),
            };
            let from = format!("+1555{:07}", id % 10_000_000);
            let within = talk + END_WITHIN;
            let seen = self.sim.call(&self.base, from, Box::new(far), within).await;
            self.add(&seen);
            if seen.streams == 0 {
                // A refusing backend is not to be flooded.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            n += 1;
        }
    }

    fn add(&self, seen: &Seen) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.calls_placed += 1;
        report.calls_streamed += u64::from(seen.streams > 0);
        report.calls_stuck += u64::from(!seen.is_over);
        *report.by_status.entry(seen.status.to_owned()).or_default() += 1;
        *report.ended_by.entry(seen.ended_by.to_owned()).or_default() += 1;
        for code in &seen.errors {
            *report.errors.entry(code.clone()).or_default() += 1;
        }
        report.frames_sent += seen.frames_sent;
        report.media_messages_received += seen.media_received;
        report.clears += u64::from(seen.clears);
        report.marks_received += u64::from(seen.marks_received);
        report.marks_echoed += u64::from(seen.marks_echoed);
    }
}

/// The rest of every frame behind its stamp: a voice-like tone, encoded once.
fn tail() -> Arc<str> {
    let tone = ulaw::tone(440.0, 20, -18.0);
    STANDARD
        .encode(tone.get(STAMP_BYTES..).unwrap_or_default())
        .into()
}

/// A caller who only sends stamped frames and counts what comes back.
struct LoadCaller {
    call: u32,
    seq: u64,
    ticks_left: u64,
    tail: Arc<str>,
    clock: Clock,
    tally: Arc<Tally>,
    dropped: Arc<AtomicU64>,
    tracker: Tracker,
    frame: Vec<u8>,
}

impl LoadCaller {
    fn now_us(&self) -> u64 {
        u64::try_from(self.clock.now().timestamp_micros()).unwrap_or(0)
    }
}

impl FarEnd for LoadCaller {
    fn tick(&mut self, _heard: &[u8]) -> FarTick {
        let stamp = Stamp {
            call: self.call,
            seq: self.seq,
            sent_us: self.now_us(),
            after_barge_in: false,
        };
        self.seq += 1;
        self.ticks_left = self.ticks_left.saturating_sub(1);
        let mut payload = String::with_capacity(FRAME_BYTES * 4 / 3 + 4);
        STANDARD.encode_string(stamp.write(), &mut payload);
        payload.push_str(&self.tail);
        FarTick {
            payload: Payload::Base64(payload),
            key: None,
            hangup: self.ticks_left == 0,
        }
    }

    fn listens(&self) -> bool {
        false
    }

    fn received(&mut self, payload: &str) {
        self.frame.clear();
        if STANDARD.decode_vec(payload, &mut self.frame).is_ok() {
            let now_us = self.now_us();
            self.tracker.hear(&self.frame, now_us, &self.tally);
        }
    }

    fn cleared(&mut self) {
        let now_us = self.now_us();
        self.tracker.cleared(now_us);
    }

    fn lost(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for LoadCaller {
    fn drop(&mut self) {
        self.tracker.flush(&self.tally);
    }
}
