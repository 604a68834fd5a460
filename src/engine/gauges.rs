//! The latest reading of every bridged call. Written a few times a second by bridges, read by
//! screens and hubs; nothing waits for anything here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::{CallId, Gauge};

/// Latest gauges by call.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    latest: Arc<Mutex<HashMap<CallId, Gauge>>>,
}

impl Gauges {
    pub fn set(&self, gauge: Gauge) {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(gauge.call, gauge);
    }

    pub fn remove(&self, call: CallId) {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&call);
    }

    /// The readings of these calls, as far as there are any.
    pub fn read(&self, calls: &[CallId]) -> Vec<Gauge> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .iter()
            .filter_map(|call| latest.get(call).cloned())
            .collect()
    }
}
