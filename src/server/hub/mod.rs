//! Namespace `/wallboard`: our attach protocol v1 (contract A4). One hub task per client; it follows
//! the facts itself, or leaves that to the fan-out while its client keeps up. One JSON object per event, no binary, no acks asked for.

pub(super) mod door;
mod encode;
mod fanout;
mod ordered;
mod outbox;
mod requests;
mod session;
mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use socketioxide::layer::SocketIoLayer;
use socketioxide::{ParserConfig, SocketIo};

use super::state::App;

pub(super) use encode::Encoder;
pub(super) use fanout::Fanout;
pub(super) use ordered::{Asked, Inbox, listen_for};

/// Name of the namespace.
pub const NAMESPACE: &str = "/wallboard";
/// Version of the protocol.
pub const PROTOCOL: u8 = 1;

/// Packets that may wait for one client, two megabytes at most. Full: its hub waits a moment, then
/// it is told that it lags.
const PACKETS_MAX: usize = 64;
/// Largest message taken from a client, bytes: the protocol's own default, which a client of the
/// voice gateway may count on.
const MESSAGE_MAX: usize = 1_000_000;

/// The Socket.IO layer with this namespace on it.
pub(super) fn layer(app: &Arc<App>) -> (SocketIoLayer, SocketIo) {
    let parser = ParserConfig::common()
        .max_incoming_binaries(4)
        .max_incoming_binary_buf_size(1024 * 1024);
    let (layer, io) = SocketIo::builder()
        .max_buffer_size(PACKETS_MAX)
        .ping_interval(Duration::from_secs(10))
        .ping_timeout(Duration::from_secs(10))
        .connect_timeout(Duration::from_secs(10))
        .max_payload(MESSAGE_MAX as u64)
        .ws_max_message_size(MESSAGE_MAX)
        .ws_max_frame_size(MESSAGE_MAX)
        .ws_read_buffer_size(4 * 1024)
        .with_parser(parser)
        .build_layer();
    door::open(&io, app);
    app.tasks.spawn("fan-out", fanout::run(Arc::clone(app)));
    (layer, io)
}
