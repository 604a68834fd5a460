//! The vendor-free conversation machine: `Session::step(now, Input, &mut Effects)`.
//!
//! Level 1: pure. It owns barge-in, playout marks, the transcript, turn times, and the decisions to
//! reconnect, to fall back and to hang up; it opens no socket and reads no clock. The runner in
//! `engine/` performs the effects and feeds back what came of them.

mod caller;
mod effects;
mod health;
mod link;
mod outbox;
mod session;
mod turns;
mod voice;
mod words;

#[cfg(test)]
mod tests;

pub use effects::*;
pub use outbox::{AgentOutbox, CarrierOutbox};
pub use session::Session;
pub use words::*;
