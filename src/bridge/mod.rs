//! The vendor-free conversation machine: `Session::step(now, Input) -> Effects`.
//!
//! Level 1: pure. It owns barge-in, playout marks, reconnect and fallback decisions; it opens no
//! socket and reads no clock.

mod words;

pub use words::*;
