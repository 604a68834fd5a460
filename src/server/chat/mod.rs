//! Namespace `/chat/v1`: talking to an agent over Socket.IO, by voice or text, without a telephone.
//! Every conversation is a call on the board, of the carrier `chat`, and is bridged as any other; this
//! room is its carrier. The events are those of `protocols/bolna-chat-v1` §4, in the order they came.
//!
//! A conversation ([`session`]) belongs to no socket: sockets join it, leave it, and find it again
//! within a grace period. Only its task emits to them.

mod answer;
mod desk;
mod door;
mod incoming;
mod leg;
mod session;
mod sound;
mod trouble;

use std::sync::Arc;

use socketioxide::SocketIo;

use super::state::App;

pub use desk::ChatDesk;

/// Name of the namespace.
pub const NAMESPACE: &str = "/chat/v1";
/// The carrier of its calls.
pub const CARRIER: &str = "chat";

/// Opens the namespace.
pub(super) fn attach(io: &SocketIo, app: &Arc<App>) {
    app.chat.follow(app);
    door::open(io, app);
}
