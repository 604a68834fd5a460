//! The gauges a client watches: read as they are, sent when they have changed.

use serde_json::{Value, json};

use super::Hub;

/// Calls whose gauges one client may watch.
const WATCHED_MAX: usize = 64;

impl Hub {
    pub(super) fn watch(&mut self, data: &Value) {
        let wanted = data.get("calls").and_then(Value::as_array);
        let board = &self.app.core.switchboard;
        let calls = wanted.into_iter().flatten().filter_map(Value::as_str);
        let calls: Vec<&str> = calls.take(WATCHED_MAX).collect();
        self.watched = board.read(|board| {
            calls
                .iter()
                .filter_map(|key| board.find(key))
                .filter(|call| self.grant.sees_lead(call.facts.lead_id.as_deref()))
                .map(|call| call.id)
                .collect()
        });
        self.shown.clear();
    }

    /// Sends the watched readings if any of them changed.
    pub(super) fn show_gauges(&mut self) {
        if self.watched.is_empty() || self.lagged.is_some() {
            return;
        }
        let readings = self.app.core.gauges.read(&self.watched);
        if readings == self.shown {
            return;
        }
        let body = json!({ "at": self.app.core.clock.now(), "calls": readings });
        // A reading that does not fit is simply not shown: the next one is newer.
        if self.emit("gauges", &body) {
            self.shown = readings;
        }
    }
}
