//! What the simulated carrier knows: calls, recordings, counters. Behind plain locks held for a few
//! lines; nothing here waits.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::engine::{Clock, Tasks};
use crate::simulator::line::{Method, StreamCut};
use crate::simulator::rng::Rng;

use super::config::PlivoSimConfig;
use super::copies::Copies;
use super::ending::Ended;
use super::recording::Recordings;
use crate::simulator::line::poster::{self, Callback, Form, Poster};

/// Orders to a call in progress. At most [`ORDERS_MAX`] wait; more are refused.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// REST ends it.
    End,
    /// REST gives it another document; a stream that keeps the call alive goes on first.
    Transfer(Source),
    /// The person puts the phone down.
    HangUp,
    Press(char),
    Cut(StreamCut),
}

pub(super) const ORDERS_MAX: usize = 16;

/// Where a document comes from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) url: String,
    pub(super) method: Method,
}

/// Where a call stands, in the carrier's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlivoStatus {
    #[default]
    Queued,
    Ringing,
    InProgress,
    Over,
}

impl PlivoStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Over => "completed",
        }
    }
}

/// One call as seen from outside; tests and the demo wait on it.
#[derive(Clone, Debug, Default)]
pub struct PlivoCallView {
    pub status: PlivoStatus,
    /// Hangup code and source, once over.
    pub ended: Option<Ended>,
    pub streams: u32,
    pub stream_open: bool,
    pub frames_sent: u64,
    pub media_received: u64,
    /// Agent audio really played to the caller.
    pub played_ms: u64,
    /// Thereof with voice in it.
    pub heard_ms: u64,
    pub clears: u32,
    /// Audio thrown away by clears.
    pub cleared_ms: u64,
    pub checkpoints_received: u32,
    pub checkpoints_played: u32,
    pub keys: String,
    /// What the backend did that the carrier would not accept, each once.
    pub errors: Vec<String>,
    /// Elements run so far, by name.
    pub steps: Vec<&'static str>,
    /// What the carrier was asked to speak, by REST.
    pub spoken: Vec<String>,
    /// Callbacks sent, `kind:value`.
    pub callbacks: Vec<String>,
    /// One-way copies that are being sent now.
    pub copies_open: u32,
    /// What was said on them to the carrier, against its rules.
    pub copy_messages: u32,
}

impl PlivoCallView {
    pub fn is_over(&self) -> bool {
        self.status == PlivoStatus::Over
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) uuid: String,
    pub(super) outbound: bool,
    pub(super) from: String,
    pub(super) caller_name: Option<String>,
    pub(super) to: String,
    pub(super) created: DateTime<Utc>,
    pub(super) times: Mutex<Times>,
    pub(super) view: watch::Sender<PlivoCallView>,
    pub(super) orders: mpsc::Sender<Order>,
    /// Callbacks of this call, sent in order by one task. Full: the call waits.
    callbacks: mpsc::Sender<Callback>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) answered: Option<DateTime<Utc>>,
    pub(super) ended: Option<DateTime<Utc>>,
    pub(super) talked: Duration,
}

impl Entry {
    pub(super) fn status(&self) -> PlivoStatus {
        self.view.borrow().status
    }

    pub(super) fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut PlivoCallView)) {
        self.view.send_modify(change);
    }

    pub(super) fn error(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|view| {
            if !view.errors.contains(&what) {
                view.errors.push(what);
            }
        });
    }

    pub(super) fn direction(&self) -> &'static str {
        if self.outbound { "outbound" } else { "inbound" }
    }

    /// Queues a callback; waits when the call has 32 unsent ones.
    pub(super) async fn tell(&self, label: String, callback: Callback) {
        self.note(|view| view.callbacks.push(label));
        if self.callbacks.send(callback).await.is_err() {
            tracing::debug!("simulated carrier: callback after the end of the simulation");
        }
    }

    /// The resource of a call that is live or waits.
    pub(super) fn live_resource(&self, api_id: &str) -> Value {
        json!({
            "api_id": api_id, "call_uuid": self.uuid, "call_status": self.status().as_str(),
            "direction": self.direction(), "from": plain(&self.from), "to": plain(&self.to),
            "caller_name": self.from, "request_uuid": self.uuid,
            "session_start": self.created.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        })
    }

    /// The record of a call that has ended.
    pub(super) fn ended_resource(&self, api_id: &str, account: &str) -> Value {
        let times = *self.times();
        let ended = self.view.borrow().ended.clone().unwrap_or_default();
        // The account's console stands in another zone, with its offset written out.
        let zone = chrono::FixedOffset::east_opt(5 * 3_600 + 1_800);
        let date = |at: Option<DateTime<Utc>>| {
            let (at, zone) = (at?, zone?);
            Some(
                at.with_timezone(&zone)
                    .format("%Y-%m-%d %H:%M:%S%:z")
                    .to_string(),
            )
        };
        json!({
            "api_id": api_id, "call_uuid": self.uuid, "call_direction": self.direction(),
            "from_number": plain(&self.from), "to_number": plain(&self.to),
            "initiation_time": date(Some(self.created)), "answer_time": date(times.answered),
            "end_time": date(times.ended), "call_duration": times.talked.as_secs(),
            "bill_duration": times.talked.as_secs().div_ceil(60) * 60,
            "billed_duration": times.talked.as_secs().div_ceil(60) * 60,
            "total_amount": "0.00850", "total_rate": "0.00850", "parent_call_uuid": null,
            "hangup_cause_code": ended.code, "hangup_cause_name": ended.name,
            "hangup_source": ended.source,
            "resource_uri": format!("/v1/Account/{account}/Call/{}/", self.uuid),
        })
    }
}

/// Numbers leave this carrier without their plus sign.
pub(super) fn plain(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

/// Everything the tasks of one simulated carrier share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cfg: PlivoSimConfig,
    pub(super) api_base: String,
    pub(super) poster: Arc<Poster>,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) calls: Mutex<Calls>,
    pub(super) recordings: Mutex<Recordings>,
    pub(super) copies: Mutex<Copies>,
    pub(super) rest_requests: AtomicU64,
    pub(super) rest_refused: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    by_uuid: HashMap<String, Arc<Entry>>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl Calls {
    pub(super) fn get(&self, uuid: &str) -> Option<Arc<Entry>> {
        self.by_uuid.get(uuid).cloned()
    }

    /// Newest first, as the carrier lists them.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.order
            .iter()
            .rev()
            .filter_map(|uuid| self.by_uuid.get(uuid))
    }

    fn add(&mut self, entry: Arc<Entry>, kept: usize) {
        self.order.push_back(entry.uuid.clone());
        self.by_uuid.insert(entry.uuid.clone(), entry);
        let mut over = self.order.len().saturating_sub(kept);
        let by_uuid = &mut self.by_uuid;
        // Only ended calls are forgotten; live ones stay however many there are.
        self.order.retain(|uuid| {
            let ended = by_uuid
                .get(uuid)
                .is_none_or(|entry| entry.status() == PlivoStatus::Over);
            if over > 0 && ended {
                over -= 1;
                by_uuid.remove(uuid);
                return false;
            }
            true
        });
    }
}

/// A call about to exist.
pub(super) struct NewCall {
    pub(super) outbound: bool,
    pub(super) from: String,
    pub(super) caller_name: Option<String>,
    pub(super) to: String,
}

impl Shared {
    pub(super) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recordings(&self) -> MutexGuard<'_, Recordings> {
        self.recordings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn copies(&self) -> MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn uuid(&self) -> String {
        self.poster.draw(uuid)
    }

    /// Registers a call and starts the task that sends its callbacks.
    pub(super) fn open(self: &Arc<Self>, new: NewCall) -> (Arc<Entry>, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (callbacks, outbox) = mpsc::channel(32);
        let entry = Arc::new(Entry {
            uuid: self.uuid(),
            outbound: new.outbound,
            from: new.from,
            caller_name: new.caller_name,
            to: new.to,
            created: self.clock.now(),
            times: Mutex::default(),
            view: watch::Sender::new(PlivoCallView::default()),
            orders,
            callbacks,
        });
        self.calls()
            .add(Arc::clone(&entry), self.cfg.timing.kept_calls);
        poster::deliver(&self.poster, &self.tasks, outbox);
        (entry, inbox)
    }

    /// The fields every voice request carries.
    pub(super) fn base_form(&self, entry: &Entry, status: &str, event: &str) -> Form {
        let mut form: Form = Vec::with_capacity(20);
        let mut put = |key: &str, value: &str| form.push((key.to_owned(), value.to_owned()));
        put("CallUUID", &entry.uuid);
        put("From", plain(&entry.from));
        put("To", plain(&entry.to));
        put("Direction", entry.direction());
        put("CallStatus", status);
        put("Event", event);
        if let Some(name) = &entry.caller_name {
            put("CallerName", name);
        }
        put(
            "SessionStart",
            &entry.created.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        );
        put("ParentAuthID", &self.cfg.auth_id);
        if entry.outbound {
            for key in ["RequestUUID", "ALegUUID", "ALegRequestUUID"] {
                put(key, &entry.uuid);
            }
        }
        form
    }
}

/// The shape of the carrier's ids, from the seeded generator.
fn uuid(rng: &mut Rng) -> String {
    let digits = rng.sid("");
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default().to_owned();
    format!(
        "{}-{}-{}-{}-{}",
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32)
    )
}
