//! A simulated Plivo account: REST, signed webhooks and audio streams, over real sockets.
//!
//! Strict where Plivo is strict: documents, parameters and stream messages it would refuse are
//! refused here. Spec: the vendor's documentation and SDKs as of 2026-11.

mod call;
mod config;
mod copies;
mod document;
mod ending;
mod fields;
mod habits;
mod handle;
mod news;
mod recording;
mod rest;
mod signature;
mod state;
mod stream;
mod told;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;

use crate::call::Secret;
use crate::engine::{Clock, Tasks};

use super::cast::Cast;
use super::line::FarEnd;
use super::line::Method;
use super::line::poster::Poster;
use super::rng::Rng;
use super::serve::serve;
use call::{Person, Run, Wishes, source};
use habits::PlivoHabits;
use state::{NewCall, Shared, Source};

pub use config::PlivoSimConfig;
pub use document::{DialStep, Step, StreamStep, parse as parse_xml};
pub use ending::Ended;
pub use handle::{PlivoCall, PlivoGaveUp};
pub use signature::{sign_get, sign_post};
pub use state::{PlivoCallView, PlivoStatus};

/// A running simulated account. Dropping it ends nothing: call [`PlivoSim::stop`], or end the task
/// tree it was started under.
#[derive(Clone, Debug)]
pub struct PlivoSim {
    shared: Arc<Shared>,
}

/// A call to the account's number, with the webhooks that number is configured for.
#[derive(Clone, Debug)]
pub struct PlivoInbound {
    pub from: String,
    pub caller_name: Option<String>,
    /// For instance `http://127.0.0.1:8787/answer#rc=3&rp=all`.
    pub answer_url: String,
    pub fallback_url: Option<String>,
    pub hangup_url: Option<String>,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PlivoStats {
    pub webhooks_sent: u64,
    pub webhooks_retried: u64,
    pub webhooks_failed: u64,
    pub rest_requests: u64,
    pub rest_refused: u64,
}

impl PlivoSim {
    /// Opens the REST server and is ready for calls.
    ///
    /// # Errors
    /// The address cannot be bound, or no HTTP client can be made.
    pub async fn start(cfg: PlivoSimConfig, tasks: &Tasks) -> io::Result<Self> {
        super::install_tls();
        let listener = TcpListener::bind(cfg.listen).await?;
        let api_base = format!("http://{}", listener.local_addr()?);
        let tasks = tasks.child();
        let rng = Rng::new(cfg.seed).fork("plivo");
        let habits = PlivoHabits {
            auth_token: Secret::new(cfg.auth_token.as_str()),
        };
        let poster = Poster::new(Box::new(habits), cfg.reach.clone(), cfg.faults, rng)?;
        let shared = Arc::new(Shared {
            cfg,
            api_base,
            poster: Arc::new(poster),
            tasks,
            clock: Clock::start(),
            calls: std::sync::Mutex::default(),
            recordings: std::sync::Mutex::default(),
            copies: std::sync::Mutex::default(),
            rest_requests: AtomicU64::new(0),
            rest_refused: AtomicU64::new(0),
        });
        let router = rest::router(Arc::clone(&shared));
        serve(&shared.tasks, "simulated carrier REST", listener, router);
        Ok(Self { shared })
    }

    /// For `plivo.api_base`.
    pub fn api_base(&self) -> &str {
        &self.shared.api_base
    }

    pub fn auth_id(&self) -> &str {
        &self.shared.cfg.auth_id
    }

    pub fn number(&self) -> &str {
        &self.shared.cfg.number
    }

    pub fn cast(&self) -> &Cast {
        &self.shared.cfg.cast
    }

    /// Somebody calls the account's number; who they are is decided by the cast.
    pub fn place_inbound(&self, call: PlivoInbound) -> PlivoCall {
        let person = person_for(&self.shared, &call.from, &self.shared.cfg.number);
        self.place(call, person)
    }

    /// As [`PlivoSim::place_inbound`] with a far end of the caller's own.
    pub(crate) fn place_with(&self, call: PlivoInbound, far: Box<dyn FarEnd>) -> PlivoCall {
        self.place(call, Person::with(far))
    }

    fn place(&self, call: PlivoInbound, person: Person) -> PlivoCall {
        let (entry, orders) = self.shared.open(NewCall {
            outbound: false,
            from: call.from,
            caller_name: call.caller_name,
            to: self.shared.cfg.number.clone(),
        });
        let handle = PlivoCall::new(&entry);
        let at = |url: String| -> Source { source(url, Method::Post) };
        let run = Run {
            shared: Arc::clone(&self.shared),
            entry,
            orders,
            wishes: Wishes {
                answer: at(call.answer_url),
                fallback: call.fallback_url.map(at),
                ring: None,
                hangup: call.hangup_url.map(at),
                machine: None,
                ring_max: Duration::from_secs(120),
            },
            person,
        };
        self.shared
            .tasks
            .spawn("simulated inbound call", run.inbound());
        handle
    }

    /// A call that runs over this account and is held elsewhere: an agent vendor's own. It was
    /// answered a moment ago, and lasts until somebody ends it.
    pub fn place_elsewhere(&self, number: &str) -> PlivoCall {
        let (entry, orders) = self.shared.open(NewCall {
            outbound: true,
            from: self.shared.cfg.number.clone(),
            caller_name: None,
            to: number.to_owned(),
        });
        let handle = PlivoCall::new(&entry);
        let run = Run {
            shared: Arc::clone(&self.shared),
            entry,
            orders,
            wishes: Wishes {
                answer: source(String::new(), Method::Post),
                fallback: None,
                ring: None,
                hangup: None,
                machine: None,
                ring_max: Duration::from_secs(120),
            },
            person: person_for(&self.shared, number, ""),
        };
        self.shared
            .tasks
            .spawn("simulated call held elsewhere", run.elsewhere());
        handle
    }

    /// A handle on any call, one dialled over REST for instance.
    pub fn call(&self, uuid: &str) -> Option<PlivoCall> {
        self.shared
            .calls()
            .get(uuid)
            .map(|entry| PlivoCall::new(&entry))
    }

    /// Newest first, ended ones included as far as they are remembered.
    pub fn calls(&self) -> Vec<PlivoCall> {
        self.shared.calls().newest().map(PlivoCall::new).collect()
    }

    /// Calls that are not over.
    pub fn live_calls(&self) -> usize {
        let calls = self.shared.calls();
        calls
            .newest()
            .filter(|entry| entry.status() != PlivoStatus::Over)
            .count()
    }

    pub fn stats(&self) -> PlivoStats {
        let counters = &self.shared.poster.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PlivoStats {
            webhooks_sent: get(&counters.sent),
            webhooks_retried: get(&counters.retried),
            webhooks_failed: get(&counters.failed),
            rest_requests: get(&self.shared.rest_requests),
            rest_refused: get(&self.shared.rest_refused),
        }
    }

    /// Ends every call and closes every socket of this simulation, without further callbacks.
    pub fn stop(&self) {
        self.shared.tasks.cancel();
    }
}

/// Who picks up at `number`, or calls from it. Somebody nobody cast is cast now, so that the agent
/// plays the same conversation.
fn person_for(shared: &Shared, number: &str, other: &str) -> Person {
    let cast = &shared.cfg.cast;
    let script = cast.find(number, other).unwrap_or_else(|| {
        let script = Cast::improvise(number);
        cast.assign(number, Arc::clone(&script));
        script
    });
    Person::acting(&script)
}

#[cfg(test)]
mod tests;
