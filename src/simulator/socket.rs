//! A carrier's own WebSocket to the backend.

use axum::http::{HeaderValue, header};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens it without Nagle's delay. `host` is the name the backend takes its own for, where that
/// differs from where it is reached; larger messages than `message_max` bytes are an error.
pub(super) async fn open(
    mut request: Request,
    host: Option<String>,
    message_max: usize,
) -> Result<Socket, Error> {
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(&host).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(Some(message_max));
    connect_async_with_config(request, Some(config), true)
        .await
        .map(|(socket, _)| socket)
}
