//! The conversations of this backend: who finds them again, and the orders they get as any carrier's
//! calls do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;

use crate::call::{CallEvent, CallId, CallStatus, Direction, Fact};
use crate::engine::{
    Batch, CarrierCall, CarrierControl, CarrierError, DialOrder, Feed, RecordingOrder,
};

use super::super::state::App;
use super::CARRIER;
use super::session::Order;

/// Conversations at once, all agents together. More are refused.
pub(super) const SESSIONS_MAX: usize = 2_000;

/// One conversation, as others reach it.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub call: CallId,
    pub agent: String,
    /// Opens the conversation to whoever shows it.
    pub key: String,
    /// It was begun by a client that hears nothing, so that nothing is synthesised.
    pub is_read: bool,
    pub orders: mpsc::Sender<Order>,
}

/// Cheap to clone; clones share the conversations.
#[derive(Clone, Debug, Default)]
pub struct ChatDesk {
    /// By the carrier's call id.
    sessions: Arc<Mutex<HashMap<String, Handle>>>,
}

impl ChatDesk {
    pub fn new() -> Self {
        Self::default()
    }

    /// What commands on its calls are carried out by.
    pub fn control(&self) -> Arc<dyn CarrierControl> {
        Arc::new(self.clone())
    }

    pub(super) fn enter(&self, id: &str, handle: Handle) -> bool {
        let mut sessions = self.lock();
        if sessions.len() >= SESSIONS_MAX {
            return false;
        }
        sessions.insert(id.to_owned(), handle);
        true
    }

    pub(super) fn leave(&self, id: &str) {
        self.lock().remove(id);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The conversation this key opens.
    pub(super) fn find(&self, key: &str, agent: &str) -> Option<Handle> {
        self.lock()
            .values()
            .find(|handle| {
                handle.agent == agent && bool::from(handle.key.as_bytes().ct_eq(key.as_bytes()))
            })
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Handle>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes each conversation the facts of its call, until the server goes down.
    pub(in crate::server) fn follow(&self, app: &Arc<App>) {
        let desk = self.clone();
        let switchboard = app.core.switchboard.clone();
        let stopping = app.stopping().clone();
        app.tasks.spawn("chat facts", async move {
            let Ok(mut feed) = Feed::from_now(&switchboard).await else {
                return;
            };
            loop {
                let batch = tokio::select! {
                    () = stopping.cancelled() => return,
                    batch = feed.next() => batch,
                };
                match batch {
                    Ok(Batch::Envelopes { items, .. }) => {
                        let calls: HashMap<CallId, mpsc::Sender<Order>> = desk
                            .lock()
                            .values()
                            .map(|handle| (handle.call, handle.orders.clone()))
                            .collect();
                        for envelope in items {
                            let to = envelope.call.and_then(|call| calls.get(&call));
                            if let (Some(to), CallEvent::Known(fact)) = (to, &envelope.event) {
                                if is_news(fact) {
                                    // A conversation that is so far behind misses a text, not sound.
                                    let _behind = to.try_send(Order::Fact(fact.clone()));
                                }
                            }
                        }
                    }
                    // After an overload: what was missed is past, the conversations go on.
                    Ok(Batch::Snapshot { .. }) => {}
                    Err(_) => return,
                }
            }
        });
    }
}

/// What a conversation acts on.
fn is_news(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::UtteranceInterim { .. }
            | Fact::UtteranceFinal { .. }
            | Fact::UtteranceTruncated { .. }
            | Fact::TroubleNoted { .. }
            | Fact::AgentLinkChanged { .. }
            | Fact::TakenOver { .. }
            | Fact::HandedBack { .. }
    )
}

impl CarrierControl for ChatDesk {
    fn name(&self) -> &'static str {
        CARRIER
    }

    fn dials(&self) -> bool {
        false
    }

    fn transfers(&self) -> bool {
        false
    }

    fn records(&self) -> bool {
        false
    }

    fn dial(&self, _: DialOrder) -> BoxFuture<'static, Result<String, CarrierError>> {
        unsupported("placing calls")
    }

    fn is_read(&self, carrier_call_id: &str) -> bool {
        let sessions = self.lock();
        sessions
            .get(carrier_call_id)
            .is_some_and(|handle| handle.is_read)
    }

    fn hang_up(&self, carrier_call_id: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        let orders = self.lock().get(&carrier_call_id).map(|h| h.orders.clone());
        async move {
            match orders {
                // Ended meanwhile is what was wanted.
                Some(orders) => orders
                    .send(Order::HangUp)
                    .await
                    .map_err(|_| CarrierError::AlreadyEnded),
                None => Err(CarrierError::AlreadyEnded),
            }
        }
        .boxed()
    }

    fn transfer(&self, _: String, _: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        unsupported("transferring a client")
    }

    fn record(
        &self,
        _: String,
        _: Option<String>,
        _: RecordingOrder,
    ) -> BoxFuture<'static, Result<String, CarrierError>> {
        unsupported("recording")
    }

    fn live_calls(&self) -> BoxFuture<'static, Result<Vec<CarrierCall>, CarrierError>> {
        let calls = self
            .lock()
            .iter()
            .map(|(id, handle)| live(id, handle))
            .collect();
        std::future::ready(Ok(calls)).boxed()
    }

    fn find(
        &self,
        carrier_call_id: String,
    ) -> BoxFuture<'static, Result<Option<CarrierCall>, CarrierError>> {
        let found = self
            .lock()
            .get(&carrier_call_id)
            .map(|h| live(&carrier_call_id, h));
        std::future::ready(Ok(found)).boxed()
    }

    fn fetch_recording(&self, _: String) -> BoxFuture<'static, Result<Bytes, CarrierError>> {
        unsupported("recording")
    }
}

fn live(id: &str, handle: &Handle) -> CarrierCall {
    CarrierCall {
        carrier_call_id: id.to_owned(),
        status: CallStatus::InProgress,
        direction: Direction::Inbound,
        from: String::new(),
        to: handle.agent.clone(),
        started_at: None,
        duration_s: None,
    }
}

fn unsupported<T: Send + 'static>(
    what: &'static str,
) -> BoxFuture<'static, Result<T, CarrierError>> {
    std::future::ready(Err(CarrierError::Unsupported(what))).boxed()
}
