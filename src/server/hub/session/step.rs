//! In step with the other clients, which costs next to nothing, or on its own.

use crate::call::Verb;
use crate::engine::Feed;

use super::super::fanout::Seat;
use super::Hub;

impl Hub {
    /// Leaves the facts to the fan-out, once all of them so far are on their way.
    pub(super) fn fall_in(&mut self) {
        let is_up_to_date = |feed: &Feed| feed.cursor() == self.sent && self.outbox.is_empty();
        if self.grant.leads.is_some() || !self.feed.as_ref().is_some_and(is_up_to_date) {
            return;
        }
        let unmasked = self.grant.allows(Verb::Unmask);
        self.seat = self.app.fanout.join(&self.socket, self.sent, unmasked);
        if self.seat.is_some() {
            self.feed = None;
        }
    }

    /// Follows the facts itself again from where the fan-out left off; `false` when there are no
    /// more.
    pub(super) async fn fall_out(&mut self, reached: Option<u64>) -> bool {
        self.seat = None;
        self.sent = reached.unwrap_or(self.sent);
        self.outbox.slow_down(self.app.core.clock.elapsed());
        let board = &self.app.core.switchboard;
        self.feed = Feed::open(board, Some((board.epoch(), self.sent)))
            .await
            .ok();
        self.feed.is_some()
    }
}

/// Where the client fell out of step; never, while it is not in step.
pub(super) async fn fallen(seat: &mut Option<Seat>) -> Option<u64> {
    match seat {
        Some(seat) => seat.fallen().await,
        None => std::future::pending().await,
    }
}
