//! Calling an operator who looks elsewhere.

use std::time::Duration;

use crate::call::text::mask_number;
use crate::call::{CallEvent, Fact, Severity};
use crate::engine::Update;
use crate::ui::model::Model;
use crate::ui::term::{Notify, notification_here};

use super::Screen;

/// Calls for attention at most this often.
const NOTIFY_EVERY: Duration = Duration::from_secs(10);

impl Screen {
    /// Calls an operator who looks elsewhere when something has become critical.
    pub(super) fn call_for_attention(&mut self, update: &Update) {
        let looks_elsewhere = !self.tells_focus || !self.model.has_focus;
        if self.notify == Notify::Off || (self.notify != Notify::Bell && !looks_elsewhere) {
            return;
        }
        let now = self.clock.elapsed();
        let is_too_soon = self
            .notified_at
            .is_some_and(|at| now.saturating_sub(at) < NOTIFY_EVERY);
        if let Some(words) = attention(update, &self.model).filter(|_| !is_too_soon) {
            self.notified_at = Some(now);
            self.term.aside(&notification_here(self.notify, &words));
        }
    }
}

/// What has just become critical, in words; numbers masked.
fn attention(update: &Update, model: &Model) -> Option<String> {
    let Update::Envelopes { items, .. } = update else {
        return None;
    };
    items.iter().find_map(|envelope| {
        let CallEvent::Known(Fact::AlertRaised { alert }) = &envelope.event else {
            return None;
        };
        let call = model.board.get(envelope.call?)?;
        let known = call.alerts.iter().find(|known| known.rule == alert.rule);
        let is_new = alert.severity == Severity::Critical
            && known.is_none_or(|known| {
                let is_quiet = known.acknowledged_by.is_some()
                    || known.snoozed_until.is_some_and(|until| until > envelope.at);
                known.severity != Severity::Critical && !is_quiet
            });
        is_new.then(|| format!("{}: {}", alert.reason, mask_number(call.caller_number())))
    })
}
