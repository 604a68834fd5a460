//! What several modules need: a terminal that can be looked at.

pub mod backend;
pub mod peers;
pub mod pipeline;
pub mod pty;
pub mod socketio;
pub mod sse;
