//! Who is acting on a call at this moment. Two operators who press the same key at once must not
//! both reach the carrier: one wins, the other is told who.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::{CallId, ErrorCode, Refusal};

/// What excludes each other on one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// Whatever takes the caller away from the agent: end, transfer.
    End,
    Record,
    /// Who speaks: pause, resume, take over, hand back.
    Floor,
    /// Whose call it is.
    Claim,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Holds {
    held: Arc<Mutex<HashMap<(CallId, Class), (String, &'static str)>>>,
}

/// The right to act; gives itself back when dropped.
#[derive(Debug)]
pub(super) struct Hold {
    holds: Holds,
    key: (CallId, Class),
}

impl Holds {
    /// # Errors
    /// `conflict`, naming who acts already and with what.
    pub(super) fn take(
        &self,
        call: CallId,
        class: Class,
        by: &str,
        verb: &'static str,
    ) -> Result<Hold, Refusal> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (call, class);
        if let Some((holder, doing)) = held.get(&key) {
            return Err(held_by(
                holder,
                format!("{holder} is already at it ({doing})"),
                "wait for the outcome on the card",
            ));
        }
        held.insert(key, (by.to_owned(), verb));
        drop(held);
        Ok(Hold {
            holds: self.clone(),
            key,
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self
            .holds
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.key);
    }
}

/// A conflict with somebody.
pub(super) fn held_by(by: &str, message: impl Into<String>, hint: &str) -> Refusal {
    let mut refusal = Refusal::new(ErrorCode::Conflict, message, hint);
    refusal.by = Some(by.to_owned());
    refusal
}
