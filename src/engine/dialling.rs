//! Placing calls: whether it is allowed at present, and what was asked of each call placed.
//! The asking is kept here and not in a URL, so that a prompt is never in a log of the carrier.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::{CallId, DialRequest, ErrorCode, Refusal};

/// Requests kept for calls that have not ended; the oldest goes when it is full.
const REQUESTS_MAX: usize = 10_000;

/// Handle to the dialling state. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Dialling {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    stopped_by: Option<String>,
    requests: HashMap<CallId, DialRequest>,
}

impl Dialling {
    /// # Errors
    /// `unavailable` while the backend drains or an admin has stopped dialling.
    pub fn admit(&self) -> Result<(), Refusal> {
        let state = self.lock();
        if state.draining {
            return Err(Refusal::new(
                ErrorCode::Unavailable,
                "the backend is going down and takes no new calls",
                "try again when it is back",
            ));
        }
        if let Some(by) = &state.stopped_by {
            let mut refusal = Refusal::new(
                ErrorCode::Unavailable,
                format!("dialling was stopped by {by}"),
                "an admin resumes it with resume_dialing",
            );
            refusal.by = Some(by.clone());
            return Err(refusal);
        }
        Ok(())
    }

    /// No call is placed until [`Dialling::resume`].
    pub fn stop(&self, by: &str) {
        self.lock().stopped_by = Some(by.to_owned());
    }

    pub fn resume(&self) {
        self.lock().stopped_by = None;
    }

    pub fn stopped_by(&self) -> Option<String> {
        self.lock().stopped_by.clone()
    }

    /// From now on no call is placed and new ones are to be refused.
    pub fn start_draining(&self) {
        self.lock().draining = true;
    }

    pub fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// What was asked when this call was placed; `None` for calls we did not place.
    pub fn request_of(&self, call: CallId) -> Option<DialRequest> {
        self.lock().requests.get(&call).cloned()
    }

    pub(super) fn remember(&self, call: CallId, request: DialRequest) {
        let mut state = self.lock();
        if state.requests.len() >= REQUESTS_MAX {
            // Ids sort by time: the least is the oldest.
            if let Some(oldest) = state.requests.keys().min().copied() {
                state.requests.remove(&oldest);
            }
        }
        state.requests.insert(call, request);
    }

    pub(super) fn forget(&self, call: CallId) {
        self.lock().requests.remove(&call);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
