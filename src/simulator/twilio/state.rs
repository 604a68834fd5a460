//! What the simulated carrier knows: calls, recordings, counters. Behind plain locks held for a few
//! lines; nothing here waits.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::call::CallStatus;
use crate::engine::{Clock, Tasks};

use super::config::TwilioSimConfig;
use super::copies::Copies;
use super::recording::Recordings;
use crate::simulator::line::Method;
use crate::simulator::line::StreamCut;
use crate::simulator::line::poster::{self, Callback, Form, Poster};

/// Orders to a call in progress. At most [`ORDERS_MAX`] wait; more are refused.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// REST: `Status=completed` or `canceled`.
    End(CallStatus),
    /// REST: a new document.
    Redirect(Source),
    /// The person puts the phone down.
    HangUp,
    Press(char),
    Cut(StreamCut),
}

pub(super) const ORDERS_MAX: usize = 16;

/// Where a document comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Inline(String),
    Url { url: String, method: Method },
}

/// One call as seen from outside; tests and the demo wait on it.
#[derive(Clone, Debug, Default)]
pub struct CallView {
    pub status: Option<CallStatus>,
    pub answered_by: Option<String>,
    /// Streams opened so far, and whether one is open now.
    pub streams: u32,
    pub stream_open: bool,
    pub frames_sent: u64,
    pub media_received: u64,
    pub bytes_received: u64,
    /// Agent audio really played to the caller.
    pub played_ms: u64,
    /// Thereof with voice in it.
    pub heard_ms: u64,
    pub clears: u32,
    /// Audio thrown away by clears.
    pub cleared_ms: u64,
    pub marks_received: u32,
    pub marks_echoed: u32,
    /// Keys pressed and sent.
    pub keys: String,
    /// Carrier error and warning codes, in order.
    pub errors: Vec<u32>,
    /// Verbs run so far, by name.
    pub verbs: Vec<&'static str>,
    /// Callbacks sent, `kind:value`.
    pub callbacks: Vec<String>,
    /// `caller`, `api` or `document`.
    pub ended_by: Option<&'static str>,
    /// One-way copies that are being sent now.
    pub copies_open: u32,
    /// What was said on them to the carrier, against its rules.
    pub copy_messages: u32,
}

impl CallView {
    pub fn is_over(&self) -> bool {
        self.status.is_some_and(CallStatus::is_terminal)
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sid: String,
    pub(super) parent: Option<String>,
    pub(super) direction: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) caller_name: Option<String>,
    pub(super) created: DateTime<Utc>,
    pub(super) times: Mutex<Times>,
    pub(super) view: watch::Sender<CallView>,
    pub(super) orders: mpsc::Sender<Order>,
    /// Callbacks of this call, sent in order by one task. Full: the call waits.
    pub(super) callbacks: mpsc::Sender<Callback>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) answered: Option<DateTime<Utc>>,
    pub(super) ended: Option<DateTime<Utc>>,
    pub(super) talked: Duration,
}

impl Entry {
    pub(super) fn status(&self) -> CallStatus {
        self.view.borrow().status.unwrap_or(CallStatus::Queued)
    }

    pub(super) fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut CallView)) {
        self.view.send_modify(change);
    }

    pub(super) fn error(&self, code: u32) {
        // One of a kind is enough: a stream that keeps sending nonsense is warned once.
        self.note(|view| {
            if !view.errors.contains(&code) {
                view.errors.push(code);
            }
        });
    }

    /// The REST resource.
    pub(super) fn resource(&self, account: &str) -> Value {
        let times = *self.times();
        let date = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc2822());
        let status = match self.status() {
            CallStatus::Initiated => CallStatus::Queued,
            status => status,
        };
        let uri = format!("/2010-04-01/Accounts/{account}/Calls/{}", self.sid);
        let sub = |name: &str| format!("{uri}/{name}.json");
        json!({
            "sid": self.sid, "account_sid": account, "api_version": "2010-04-01",
            "parent_call_sid": self.parent, "direction": self.direction,
            "from": self.from, "from_formatted": self.from, "to": self.to, "to_formatted": self.to,
            "caller_name": self.caller_name, "status": status.as_str(),
            "answered_by": self.view.borrow().answered_by,
            "date_created": date(Some(self.created)), "date_updated": date(times.ended.or(times.answered).or(Some(self.created))),
            "start_time": date(times.answered), "end_time": date(times.ended),
            "duration": times.ended.map(|_| times.talked.as_secs().to_string()),
            "price": null, "price_unit": "USD", "phone_number_sid": null, "forwarded_from": null,
            "group_sid": null, "annotation": null, "trunk_sid": "", "queue_time": "0",
            "uri": format!("{uri}.json"),
            "subresource_uris": { "recordings": sub("Recordings"), "streams": sub("Streams"),
                "transcriptions": sub("Transcriptions"), "notifications": sub("Notifications"), "events": sub("Events") },
        })
    }
}

/// Everything the tasks of one simulated carrier share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cfg: TwilioSimConfig,
    pub(super) api_base: String,
    pub(super) poster: Arc<Poster>,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) calls: Mutex<Calls>,
    pub(super) recordings: Mutex<Recordings>,
    pub(super) copies: Mutex<Copies>,
    pub(super) rest: RestCounters,
}

#[derive(Debug, Default)]
pub(super) struct RestCounters {
    pub(super) requests: AtomicU64,
    pub(super) refused: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    by_sid: HashMap<String, Arc<Entry>>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl Calls {
    pub(super) fn get(&self, sid: &str) -> Option<Arc<Entry>> {
        self.by_sid.get(sid).cloned()
    }

    /// Newest first, as the carrier lists them.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.order
            .iter()
            .rev()
            .filter_map(|sid| self.by_sid.get(sid))
    }

    fn add(&mut self, entry: Arc<Entry>, kept: usize) {
        self.order.push_back(entry.sid.clone());
        self.by_sid.insert(entry.sid.clone(), entry);
        let over = self.order.len().saturating_sub(kept);
        // Only ended calls are forgotten; live ones stay however many there are.
        let mut budget = over;
        let by_sid = &mut self.by_sid;
        self.order.retain(|sid| {
            let ended = by_sid.get(sid).is_none_or(|e| e.status().is_terminal());
            if budget > 0 && ended {
                budget -= 1;
                by_sid.remove(sid);
                return false;
            }
            true
        });
    }
}

/// A call about to exist.
pub(super) struct NewCall {
    pub(super) parent: Option<String>,
    pub(super) direction: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) caller_name: Option<String>,
    pub(super) status: CallStatus,
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

    /// Registers a call and starts the task that sends its callbacks.
    pub(super) fn open(self: &Arc<Self>, new: NewCall) -> (Arc<Entry>, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (callbacks, outbox) = mpsc::channel(32);
        let view = CallView {
            status: Some(new.status),
            ..CallView::default()
        };
        let entry = Arc::new(Entry {
            sid: self.poster.draw(|rng| rng.sid("CA")),
            parent: new.parent,
            direction: new.direction,
            from: new.from,
            to: new.to,
            caller_name: new.caller_name,
            created: self.clock.now(),
            times: Mutex::default(),
            view: watch::Sender::new(view),
            orders,
            callbacks,
        });
        self.calls()
            .add(Arc::clone(&entry), self.cfg.timing.kept_calls);
        poster::deliver(&self.poster, &self.tasks, outbox);
        (entry, inbox)
    }

    /// The fields every voice request carries.
    pub(super) fn base_form(&self, entry: &Entry, status: CallStatus) -> Form {
        let mut form: Form = Vec::with_capacity(24);
        let mut put = |key: &str, value: &str| form.push((key.to_owned(), value.to_owned()));
        put("AccountSid", &self.cfg.account_sid);
        put("ApiVersion", "2010-04-01");
        put("CallSid", &entry.sid);
        put("CallStatus", status.as_str());
        put("Direction", entry.direction);
        put("From", &entry.from);
        put("To", &entry.to);
        put("Caller", &entry.from);
        put("Called", &entry.to);
        for party in ["From", "To", "Caller", "Called"] {
            put(&format!("{party}City"), "");
            put(&format!("{party}State"), "");
            put(&format!("{party}Zip"), "");
            put(&format!("{party}Country"), "US");
        }
        if let Some(name) = &entry.caller_name {
            put("CallerName", name);
        }
        if let Some(parent) = &entry.parent {
            put("ParentCallSid", parent);
        }
        form
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
