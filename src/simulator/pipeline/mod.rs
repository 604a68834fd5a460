//! Simulated speech recognition, language model and speech synthesis: three HTTP endpoints of the
//! OpenAI-compatible kind on loopback. No model is in them. The recogniser knows the recorded callers
//! by the sound of their sentences, the model answers by the scripts and a few rules, and the voice
//! plays recordings and hums what it has none of. Spec: OpenAI API reference, "Create transcription",
//! "Create chat completion", "Create speech" (2026-11).

mod hear;
mod rest;
mod think;
mod voice;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::engine::Tasks;

use super::serve::serve;

/// Requests remembered for tests, of each kind.
const KEPT: usize = 200;

/// What the three endpoints are told before they start.
#[derive(Clone)]
pub struct PipelineSimConfig {
    pub listen: SocketAddr,
    /// `None`: anybody may ask.
    pub api_key: Option<String>,
    /// Rate of the speech that is sent.
    pub rate_hz: u32,
    /// How long a transcription takes.
    pub hear_after: Duration,
    /// Until the model's first word, and between two words.
    pub think_after: Duration,
    pub word_every: Duration,
    /// Until the first sound.
    pub speak_after: Duration,
}

impl Default for PipelineSimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_key: None,
            rate_hz: 24_000,
            hear_after: Duration::from_millis(120),
            think_after: Duration::from_millis(150),
            word_every: Duration::from_millis(12),
            speak_after: Duration::from_millis(80),
        }
    }
}

impl std::fmt::Debug for PipelineSimConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineSimConfig")
            .field("listen", &self.listen)
            .field("api_key", &self.api_key.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

/// What has been asked so far.
#[derive(Clone, Debug, Default)]
pub struct PipelineView {
    /// What was recognised.
    pub heard: Vec<String>,
    /// The questions to the model, whole.
    pub asked: Vec<Value>,
    /// What was to be spoken.
    pub spoken: Vec<String>,
    /// Answers of the model and of the voice whose listener went away before their end.
    pub dropped: u32,
    /// Requests with a wrong key.
    pub refused: u32,
}

/// Which of the three endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Hear,
    Think,
    Speak,
}

/// A running simulation. Dropping it ends nothing; see [`PipelineSim::stop`].
#[derive(Clone, Debug)]
pub struct PipelineSim {
    shared: Arc<Shared>,
    url: String,
}

#[derive(Debug)]
struct Shared {
    cfg: PipelineSimConfig,
    tasks: Tasks,
    /// HTTP status each endpoint answers with at present; 200 is the real answer.
    status: [AtomicU16; 3],
    requests: AtomicU64,
    view: watch::Sender<PipelineView>,
    told: Mutex<()>,
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut PipelineView)) {
        let _one_at_a_time = self.lock();
        self.view.send_modify(|view| {
            change(view);
            trim(&mut view.heard);
            trim(&mut view.asked);
            trim(&mut view.spoken);
        });
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status_of(&self, endpoint: Endpoint) -> u16 {
        self.status
            .get(endpoint as usize)
            .map_or(200, |status| status.load(Ordering::Relaxed))
    }
}

fn trim<T>(list: &mut Vec<T>) {
    let too_many = list.len().saturating_sub(KEPT);
    list.drain(..too_many);
}

impl PipelineSim {
    /// Opens the server and is ready.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(cfg: PipelineSimConfig, tasks: &Tasks) -> io::Result<Self> {
        let listener = TcpListener::bind(cfg.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            cfg,
            tasks: tasks.child(),
            status: [200, 200, 200].map(AtomicU16::new),
            requests: AtomicU64::new(0),
            view: watch::channel(PipelineView::default()).0,
            told: Mutex::new(()),
        });
        let router = rest::router(Arc::clone(&shared));
        serve(&shared.tasks, "simulated pipeline parts", listener, router);
        Ok(Self {
            shared,
            url: format!("http://{address}/v1"),
        })
    }

    /// For `chat.asr.url`, `chat.llm.url` and `chat.tts.url` alike.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn view(&self) -> PipelineView {
        self.shared.view.borrow().clone()
    }

    /// Requests of all kinds so far.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// From now on this endpoint answers with this status; 200 mends it.
    pub fn answer_with(&self, endpoint: Endpoint, status: u16) {
        if let Some(place) = self.shared.status.get(endpoint as usize) {
            place.store(status, Ordering::Relaxed);
        }
    }

    /// Waits until `happened`, at most 20 seconds. `Err` is what was seen instead.
    ///
    /// # Errors
    /// It did not happen in time.
    pub async fn wait(
        &self,
        happened: impl FnMut(&PipelineView) -> bool,
    ) -> Result<PipelineView, Box<PipelineView>> {
        let mut view = self.shared.view.subscribe();
        match tokio::time::timeout(Duration::from_secs(20), view.wait_for(happened)).await {
            Ok(Ok(seen)) => Ok(seen.clone()),
            Ok(Err(_)) | Err(_) => Err(Box::new(self.view())),
        }
    }

    /// Ends the server.
    pub fn stop(&self) {
        self.shared.tasks.cancel();
    }
}
