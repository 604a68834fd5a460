//! What several modules need: a terminal that can be looked at.

pub mod pty;
pub mod backend;
pub mod socketio;
