//! What the simulated vendor knows: conversations past and present, and where a broken one stood.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::engine::{Clock, Tasks};
use crate::simulator::rng::Rng;
use crate::simulator::speech::Progress;
use crate::simulator::stamped::AgentTally;

use super::config::OpenAiSimConfig;

/// What sessions are told where nothing ends them.
const LASTS: Duration = Duration::from_secs(60 * 60);
/// Conversations remembered for tests.
const KEPT: usize = 400;
/// Broken conversations not yet resumed.
const BROKEN_MAX: usize = 4_000;

/// One conversation as seen from outside.
#[derive(Clone, Debug, Default)]
pub struct OpenAiView {
    /// What the client settled last.
    pub session: Option<Value>,
    pub open: bool,
    pub audio_received_ms: u64,
    pub audio_sent_ms: u64,
    pub answers: u32,
    pub interruptions: u32,
    pub cancels: u32,
    /// Item and milliseconds, in order.
    pub truncations: Vec<(String, u64)>,
    /// `agent: …` and `user: …`, in order.
    pub lines: Vec<String>,
    /// `call id: output` of tools.
    pub tool_outputs: Vec<String>,
    /// What the system role was told.
    pub hints: Vec<String>,
    /// What the client said that the vendor would not accept: the error's code and message.
    pub refused: Vec<String>,
    /// Close code of the client; 1006 when it just went away.
    pub closed: Option<u16>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) model: String,
    /// Told in every session, seconds since 1970.
    pub(super) expires_at: i64,
    pub(super) view: watch::Sender<OpenAiView>,
}

impl Entry {
    pub(super) fn note(&self, change: impl FnOnce(&mut OpenAiView)) {
        self.view.send_modify(change);
    }
}

/// Where the conversation of one call stood when its socket broke.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    pub(super) progress: Progress,
    pub(super) for_good: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cfg: OpenAiSimConfig,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) tally: AgentTally,
    /// Conversations opened so far.
    pub(super) opened: watch::Sender<usize>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    rng: Rng,
    conversations: VecDeque<Arc<Entry>>,
    broken: HashMap<String, Broken>,
}

impl Shared {
    pub(super) fn new(cfg: OpenAiSimConfig, tasks: Tasks) -> Self {
        let rng = Rng::new(cfg.seed).fork("openai");
        Self {
            cfg,
            tasks,
            clock: Clock::start(),
            tally: AgentTally::default(),
            opened: watch::Sender::new(0),
            inner: Mutex::new(Inner {
                rng,
                conversations: VecDeque::new(),
                broken: HashMap::new(),
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn draw<T>(&self, f: impl FnOnce(&mut Rng) -> T) -> T {
        f(&mut self.inner().rng)
    }

    pub(super) fn open(&self, model: &str) -> Arc<Entry> {
        let lasts = self.cfg.expires_after.unwrap_or(LASTS).as_secs();
        let now = self.clock.now().timestamp();
        let mut inner = self.inner();
        let entry = Arc::new(Entry {
            id: inner.rng.sid("sess_"),
            model: model.to_owned(),
            expires_at: now.saturating_add_unsigned(lasts),
            view: watch::Sender::new(OpenAiView {
                open: true,
                ..Default::default()
            }),
        });
        inner.conversations.push_back(Arc::clone(&entry));
        if inner.conversations.len() > KEPT
            && let Some(at) = inner
                .conversations
                .iter()
                .position(|entry| !entry.view.borrow().open)
        {
            inner.conversations.remove(at);
        }
        drop(inner);
        self.opened.send_modify(|count| *count += 1);
        entry
    }

    pub(super) fn conversations(&self) -> Vec<Arc<Entry>> {
        self.inner().conversations.iter().cloned().collect()
    }

    pub(super) fn broke(&self, key: String, broken: Broken) {
        let mut inner = self.inner();
        if inner.broken.len() < BROKEN_MAX {
            inner.broken.insert(key, broken);
        }
    }

    /// Where the call `key` stood when its last socket broke. A loss for good stays one.
    pub(super) fn resume(&self, key: &str) -> Option<Broken> {
        let mut inner = self.inner();
        match inner.broken.get(key) {
            Some(broken) if broken.for_good => Some(*broken),
            Some(_) => inner.broken.remove(key),
            None => None,
        }
    }
}
