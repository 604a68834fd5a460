//! What the simulated vendor knows: conversations past and present, and where a broken one stood.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::engine::{Clock, Tasks};
use crate::simulator::rng::Rng;
use crate::simulator::speech::Progress;
use crate::simulator::stamped::AgentTally;
use crate::simulator::twilio::{TestCall, TwilioSim};

use super::config::ElevenLabsSimConfig;
use super::native::Webhooks;
use super::wire::Begin;

/// Conversations remembered for the list and for tests.
const KEPT: usize = 400;
/// Signed URLs not yet used, and broken conversations not yet resumed.
const OPEN_MAX: usize = 4_000;
/// A signed URL must be used within this time.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// One conversation as seen from outside.
#[derive(Clone, Debug, Default)]
pub struct ConversationView {
    pub begin: Option<Begin>,
    pub open: bool,
    pub audio_received_ms: u64,
    pub chunks_received: u64,
    pub audio_sent_ms: u64,
    pub pongs: u32,
    pub interruptions: u32,
    /// `agent: …` and `user: …`, in order.
    pub lines: Vec<String>,
    /// `id: result` of client tools.
    pub tool_results: Vec<String>,
    pub contexts: Vec<String>,
    pub user_messages: Vec<String>,
    /// What the bridge said that the vendor would not accept.
    pub refused: Option<String>,
    /// Close code of the bridge; 1006 when it just went away.
    pub closed: Option<u16>,
    /// Monitoring sockets open now.
    pub monitors: u32,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) agent_id: String,
    pub(super) started_unix: i64,
    pub(super) view: watch::Sender<ConversationView>,
}

impl Entry {
    pub(super) fn note(&self, change: impl FnOnce(&mut ConversationView)) {
        self.view.send_modify(change);
    }

    /// The REST resource.
    pub(super) fn resource(&self, now_unix: i64) -> Value {
        let view = self.view.borrow();
        let transcript: Vec<Value> = (view.lines.iter())
            .filter_map(|line| line.split_once(": "))
            .map(|(role, text)| json!({"role": role, "message": text, "time_in_call_secs": 0}))
            .collect();
        let direction = if view
            .begin
            .as_ref()
            .is_some_and(|b| b.variable("direction") == "outbound")
        {
            "outbound"
        } else {
            "inbound"
        };
        json!({
            "agent_id": self.agent_id, "agent_name": "Simulated", "conversation_id": self.id,
            "status": if view.open { "in-progress" } else { "done" },
            "start_time_unix_secs": self.started_unix, "call_duration_secs": now_unix - self.started_unix,
            "message_count": transcript.len(), "call_successful": "unknown", "direction": direction,
            "has_audio": false, "transcript": transcript,
            "metadata": {"start_time_unix_secs": self.started_unix,
                "call_duration_secs": now_unix - self.started_unix},
        })
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
    pub(super) cfg: ElevenLabsSimConfig,
    pub(super) ws_base: String,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) tally: AgentTally,
    /// Conversations opened so far.
    pub(super) opened: watch::Sender<usize>,
    webhooks: Mutex<Option<Webhooks>>,
    line: Mutex<Option<TwilioSim>>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    rng: Rng,
    conversations: VecDeque<Arc<Entry>>,
    signed: VecDeque<(String, Duration)>,
    broken: HashMap<String, Broken>,
}

impl Shared {
    pub(super) fn new(
        cfg: ElevenLabsSimConfig,
        ws_base: String,
        tasks: Tasks,
        clock: Clock,
    ) -> Self {
        let rng = Rng::new(cfg.seed).fork("elevenlabs");
        let inner = Inner {
            rng,
            conversations: VecDeque::new(),
            signed: VecDeque::new(),
            broken: HashMap::new(),
        };
        let inner = Mutex::new(inner);
        Self {
            cfg,
            ws_base,
            tasks,
            clock,
            tally: AgentTally::default(),
            opened: watch::Sender::new(0),
            webhooks: Mutex::new(None),
            line: Mutex::new(None),
            inner,
        }
    }

    pub(super) fn tell(&self, webhooks: Webhooks) {
        let mut kept = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(webhooks);
    }

    pub(super) fn webhooks(&self) -> Option<Webhooks> {
        let kept = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    pub(super) fn call_through(&self, line: TwilioSim) {
        let mut kept = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(line);
    }

    /// A call to `number` over the carrier's account it was given, if any.
    pub(super) fn ring(&self, number: &str) -> Option<TestCall> {
        let kept = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|line| line.place_elsewhere(number))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn draw<T>(&self, f: impl FnOnce(&mut Rng) -> T) -> T {
        f(&mut self.inner().rng)
    }

    /// A token for one socket.
    pub(super) fn sign(&self) -> String {
        let now = self.clock.elapsed();
        let mut inner = self.inner();
        let token = inner.rng.sid("cvtkn_");
        inner.signed.push_back((token.clone(), now));
        if inner.signed.len() > OPEN_MAX {
            inner.signed.pop_front();
        }
        token
    }

    /// Uses a token up. `false` when it was never given, used before, or is too old.
    pub(super) fn redeem(&self, token: &str) -> bool {
        let now = self.clock.elapsed();
        let mut inner = self.inner();
        let Some(at) = inner.signed.iter().position(|(known, _)| known == token) else {
            return false;
        };
        inner
            .signed
            .remove(at)
            .is_some_and(|(_, since)| now.saturating_sub(since) < SIGNED_FOR)
    }

    pub(super) fn open(&self, agent_id: &str) -> Arc<Entry> {
        let started_unix = self.clock.now().timestamp();
        let mut inner = self.inner();
        let entry = Arc::new(Entry {
            id: inner.rng.sid("conv_"),
            agent_id: agent_id.to_owned(),
            started_unix,
            view: watch::Sender::new(ConversationView {
                open: true,
                ..Default::default()
            }),
        });
        inner.conversations.push_back(Arc::clone(&entry));
        self.opened.send_modify(|count| *count += 1);
        if inner.conversations.len() > KEPT
            && let Some(at) = inner
                .conversations
                .iter()
                .position(|e| !e.view.borrow().open)
        {
            inner.conversations.remove(at);
        }
        entry
    }

    pub(super) fn conversations(&self) -> Vec<Arc<Entry>> {
        self.inner().conversations.iter().cloned().collect()
    }

    pub(super) fn broke(&self, key: String, broken: Broken) {
        let mut inner = self.inner();
        if inner.broken.len() < OPEN_MAX {
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
