//! A simulated Twilio account: REST, signed webhooks and media streams, over real sockets.
//!
//! Strict where Twilio is strict: documents, parameters and stream messages it would refuse are
//! refused here with its codes. Spec: the vendor's API reference and SDKs as of 2026-11.

mod call;
mod config;
mod copies;
mod document;
mod habits;
mod handle;
mod news;
mod params;
mod recording;
mod rest;
mod signature;
mod state;
mod stream;
mod told;
mod twiml;
mod wishes;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;

use crate::call::{CallStatus, Secret};
use crate::engine::{Clock, Tasks};

use super::cast::Cast;
use super::line::poster::Poster;
use super::line::{FarEnd, Method};
use super::rng::Rng;
use super::serve::serve;
use super::stats::Percentiles;
use call::Run;
use habits::TwilioHabits;
use state::{NewCall, RestCounters, Shared, Source};
use wishes::{Person, Wishes};

pub use config::TwilioSimConfig;
pub use handle::{GaveUp, TestCall};
pub use signature::sign;
pub use state::CallView;
pub use twiml::{DialVerb, RecordVerb, StreamVerb, TwimlError, Verb, parse as parse_twiml};

/// A running simulated account. Dropping it ends nothing: call [`TwilioSim::stop`], or end the
/// task tree it was started under.
#[derive(Clone, Debug)]
pub struct TwilioSim {
    shared: Arc<Shared>,
}

/// A call to the account's number, with the webhooks that number is configured for.
#[derive(Clone, Debug)]
pub struct InboundCall {
    pub from: String,
    /// What caller-name lookup gives.
    pub caller_name: Option<String>,
    /// For instance `http://127.0.0.1:8787/incoming-call#rc=3&rp=all`.
    pub voice_url: String,
    pub fallback_url: Option<String>,
    pub status_callback: Option<String>,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TwilioStats {
    pub webhooks_sent: u64,
    pub webhooks_retried: u64,
    pub webhooks_failed: u64,
    pub webhooks_duplicated: u64,
    pub webhooks_delayed: u64,
    pub webhook_latency: Percentiles,
    pub rest_requests: u64,
    pub rest_refused: u64,
}

impl TwilioSim {
    /// Opens the REST server and is ready for calls.
    ///
    /// # Errors
    /// The address cannot be bound, or no HTTP client can be made.
    pub async fn start(cfg: TwilioSimConfig, tasks: &Tasks) -> io::Result<Self> {
        super::install_tls();
        let listener = TcpListener::bind(cfg.listen).await?;
        let api_base = format!("http://{}", listener.local_addr()?);
        let tasks = tasks.child();
        let rng = Rng::new(cfg.seed).fork("twilio");
        let habits = TwilioHabits {
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
            rest: RestCounters::default(),
        });
        let router = rest::router(Arc::clone(&shared));
        serve(&shared.tasks, "simulated carrier REST", listener, router);
        Ok(Self { shared })
    }

    /// For `twilio.api_base`.
    pub fn api_base(&self) -> &str {
        &self.shared.api_base
    }

    pub fn account_sid(&self) -> &str {
        &self.shared.cfg.account_sid
    }

    pub fn number(&self) -> &str {
        &self.shared.cfg.number
    }

    pub fn cast(&self) -> &Cast {
        &self.shared.cfg.cast
    }

    /// Somebody calls the account's number; who they are is decided by the cast.
    pub fn place_inbound(&self, call: InboundCall) -> TestCall {
        let person = far_end_for(&self.shared, &call.from, &self.shared.cfg.number);
        self.place(call, person)
    }

    /// As [`TwilioSim::place_inbound`] with a far end of the caller's own.
    pub(crate) fn place_with(&self, call: InboundCall, far: Box<dyn FarEnd>) -> TestCall {
        let person = Person {
            far,
            outcome: super::speech::Outcome::Answered,
            ring: Duration::ZERO,
            sip: 200,
            answered_by: None,
            quality: super::speech::LineQuality::default(),
        };
        self.place(call, person)
    }

    fn place(&self, call: InboundCall, person: Person) -> TestCall {
        let (entry, orders) = self.shared.open(NewCall {
            parent: None,
            direction: "inbound",
            from: call.from,
            to: self.shared.cfg.number.clone(),
            caller_name: call.caller_name,
            status: CallStatus::Ringing,
        });
        let handle = TestCall::new(&entry);
        let wishes = Wishes {
            document: Some(Source::Url {
                url: call.voice_url,
                method: Method::Post,
            }),
            fallback: call.fallback_url.map(|url| (url, Method::Post)),
            status_callback: call.status_callback.map(|url| (url, Method::Post)),
            // A number's status callback is told of the end only.
            events: vec!["completed".to_owned()],
            ..Wishes::default()
        };
        let shared = Arc::clone(&self.shared);
        let run = Run {
            shared,
            entry,
            orders,
            wishes,
            person,
            sequence: 0,
        };
        self.shared
            .tasks
            .spawn("simulated inbound call", run.inbound());
        handle
    }

    /// A call that runs over this account and is held elsewhere: an agent vendor's own. It was
    /// answered a moment ago, and lasts until somebody ends it.
    pub fn place_elsewhere(&self, number: &str) -> TestCall {
        let (entry, orders) = self.shared.open(NewCall {
            parent: None,
            direction: "outbound-api",
            from: self.shared.cfg.number.clone(),
            to: number.to_owned(),
            caller_name: None,
            status: CallStatus::Ringing,
        });
        let handle = TestCall::new(&entry);
        let run = Run {
            shared: Arc::clone(&self.shared),
            entry,
            orders,
            wishes: Wishes::default(),
            person: far_end_for(&self.shared, number, ""),
            sequence: 0,
        };
        self.shared
            .tasks
            .spawn("simulated call held elsewhere", run.elsewhere());
        handle
    }

    /// A handle on any call, one dialled over REST for instance.
    pub fn call(&self, sid: &str) -> Option<TestCall> {
        self.shared
            .calls()
            .get(sid)
            .map(|entry| TestCall::new(&entry))
    }

    /// Newest first, ended ones included as far as they are remembered.
    pub fn calls(&self) -> Vec<TestCall> {
        self.shared.calls().newest().map(TestCall::new).collect()
    }

    /// Calls that are not over, dialled legs excluded.
    pub fn live_calls(&self) -> usize {
        let calls = self.shared.calls();
        calls
            .newest()
            .filter(|e| e.parent.is_none() && !e.status().is_terminal())
            .count()
    }

    pub fn stats(&self) -> TwilioStats {
        let (c, r) = (&self.shared.poster.counters, &self.shared.rest);
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let latency = c
            .latency
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        TwilioStats {
            webhooks_sent: get(&c.sent),
            webhooks_retried: get(&c.retried),
            webhooks_failed: get(&c.failed),
            webhooks_duplicated: get(&c.duplicated),
            webhooks_delayed: get(&c.delayed),
            webhook_latency: latency.percentiles(),
            rest_requests: get(&r.requests),
            rest_refused: get(&r.refused),
        }
    }

    /// Ends every call and closes every socket of this simulation, without further callbacks.
    pub fn stop(&self) {
        self.shared.tasks.cancel();
    }
}

/// Who picks up at `number`, or calls from it. Somebody nobody cast is cast now, so that the agent
/// plays the same conversation.
fn far_end_for(shared: &Shared, number: &str, other: &str) -> Person {
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
