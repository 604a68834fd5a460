//! The running bridges, by call: where a command for a live conversation goes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::call::{CallId, ErrorCode, Refusal};

pub use crate::bridge::BridgeOrder;

/// Orders waiting for one bridge; more than that is refused.
pub const ORDERS_MAX: usize = 64;

/// An order and where its outcome goes.
#[derive(Debug)]
pub struct Order {
    pub order: BridgeOrder,
    pub done: oneshot::Sender<Result<(), Refusal>>,
}

/// Handle to the registry. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Bridges {
    running: Arc<Mutex<HashMap<CallId, (u64, mpsc::Sender<Order>)>>>,
    generations: Arc<AtomicU64>,
}

impl Bridges {
    /// A number no other bridge of this registry has.
    pub fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a bridge; returns its orders and the sender of the one it replaces.
    /// `generation` tells the two apart when the older one leaves late.
    pub fn register(
        &self,
        call: CallId,
        generation: u64,
    ) -> (mpsc::Receiver<Order>, Option<mpsc::Sender<Order>>) {
        let (sender, receiver) = mpsc::channel(ORDERS_MAX);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let older = running
            .insert(call, (generation, sender))
            .map(|(_, sender)| sender);
        (receiver, older)
    }

    /// Takes a bridge off, unless a newer one has its place. Returns whether it was the present one.
    pub fn unregister(&self, call: CallId, generation: u64) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_present = running
            .get(&call)
            .is_some_and(|(present, _)| *present == generation);
        if is_present {
            running.remove(&call);
        }
        is_present
    }

    pub fn is_running(&self, call: CallId) -> bool {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&call)
    }

    pub fn calls(&self) -> Vec<CallId> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect()
    }

    /// Gives an order and waits until the bridge has carried it out.
    pub async fn order(&self, call: CallId, order: BridgeOrder) -> Result<(), Refusal> {
        let sender = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.get(&call).map(|(_, sender)| sender.clone())
        };
        let Some(sender) = sender else {
            return Err(Refusal::new(
                ErrorCode::Unsupported,
                "this call's audio does not pass through this backend",
                "only bridged calls can be steered; end or transfer it through the carrier",
            ));
        };
        let (done, outcome) = oneshot::channel();
        sender.try_send(Order { order, done }).map_err(|_| {
            Refusal::new(
                ErrorCode::Overloaded,
                "the bridge has too many orders waiting",
                "try again",
            )
        })?;
        outcome.await.unwrap_or_else(|_| {
            Err(Refusal::new(
                ErrorCode::Conflict,
                "the bridge ended meanwhile",
                "look at the call",
            ))
        })
    }
}
