//! WebSockets we dial, as the core's `BoxSocket`: small buffers, no Nagle delay, a ping every ten
//! seconds, and one plain word when it is over.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chrono::DateTime;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, handshake::client::Request};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::bridge::Wire;
use crate::engine::WireClosed;

use super::prepare_tls;

/// A handshake that takes longer has failed.
pub const DIAL_WITHIN: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(10);
/// Nothing heard for this long, pongs included: the peer is gone.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// Half a second of agent audio at the highest rate fits many times over.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The library's own buffer has no limit unless it is given one.
const WRITE_BYTES_MAX: usize = 512 * 1024;

/// What a dial came to.
#[derive(Debug)]
pub struct Dialled {
    pub socket: WsSocket<MaybeTlsStream<TcpStream>>,
    /// The peer's clock at the handshake, where it says: seconds since 1970.
    pub peer_unix_s: Option<i64>,
}

/// Opens a WebSocket within [`DIAL_WITHIN`].
///
/// # Errors
/// `None` when time ran out, else the library's error; an HTTP refusal is `Error::Http`.
pub async fn dial(request: Request) -> Result<Dialled, Option<Error>> {
    prepare_tls();
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let connecting = connect_async_tls_with_config(request, Some(config), true, None);
    match tokio::time::timeout(DIAL_WITHIN, connecting).await {
        Ok(Ok((socket, answer))) => {
            let date = answer.headers().get("date");
            let date = date.and_then(|date| date.to_str().ok());
            let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
            Ok(Dialled {
                socket: WsSocket::new(socket),
                peer_unix_s: date.map(|date| date.timestamp()),
            })
        }
        Ok(Err(error)) => Err(Some(error)),
        Err(_) => Err(None),
    }
}

/// A tungstenite socket behind the core's words.
#[derive(Debug)]
pub struct WsSocket<S> {
    inner: WebSocketStream<S>,
    beat: Interval,
    heard_at: Instant,
    ping_due: bool,
    goodbye_sent: bool,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsSocket<S> {
    /// Must be called inside a runtime: the heartbeat starts now.
    pub fn new(inner: WebSocketStream<S>) -> Self {
        let now = Instant::now();
        let mut beat = interval_at(now + PING_EVERY, PING_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            inner,
            beat,
            heard_at: now,
            ping_due: false,
            goodbye_sent: false,
            ended: false,
        }
    }

    fn end(
        &mut self,
        code: Option<u16>,
        reason: impl Into<String>,
    ) -> Poll<Option<Result<Wire, WireClosed>>> {
        self.ended = true;
        Poll::Ready(Some(Err(WireClosed {
            code,
            reason: reason.into(),
        })))
    }

    /// Sends the ping that is due if the socket takes it; if not, the next poll tries again.
    fn ping(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        if let Poll::Ready(ready) = Pin::new(&mut self.inner).poll_ready(context) {
            ready?;
            Pin::new(&mut self.inner).start_send(Message::Ping(bytes::Bytes::new()))?;
            self.ping_due = false;
            if let Poll::Ready(flushed) = Pin::new(&mut self.inner).poll_flush(context) {
                flushed?;
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WsSocket<S> {
    type Item = Result<Wire, WireClosed>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        while this.beat.poll_tick(context).is_ready() {
            if this.heard_at.elapsed() >= SILENT_MAX {
                return this.end(None, "nothing was heard for 30 s");
            }
            this.ping_due = true;
        }
        if this.ping_due && !this.goodbye_sent {
            if let Err(error) = this.ping(context) {
                return this.end(None, closed(&error).reason);
            }
        }
        loop {
            let message = ready!(Pin::new(&mut this.inner).poll_next(context));
            this.heard_at = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => {
                    return Poll::Ready(Some(Ok(Wire::Text(text.as_str().to_owned()))));
                }
                Some(Ok(Message::Binary(bytes))) => {
                    return Poll::Ready(Some(Ok(Wire::Binary(bytes))));
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return this.end(Some(frame.code.into()), frame.reason.as_str());
                }
                Some(Ok(Message::Close(None))) => {
                    return this.end(Some(1005), "closed without a reason");
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return this.end(None, closed(&error).reason),
                None => return this.end(None, "the connection ended"),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Wire> for WsSocket<S> {
    type Error = WireClosed;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        Pin::new(&mut self.get_mut().inner)
            .poll_ready(context)
            .map_err(|error| closed(&error))
    }

    fn start_send(self: Pin<&mut Self>, wire: Wire) -> Result<(), WireClosed> {
        let message = match wire {
            Wire::Text(text) => Message::text(text),
            Wire::Binary(bytes) => Message::Binary(bytes),
        };
        Pin::new(&mut self.get_mut().inner)
            .start_send(message)
            .map_err(|error| closed(&error))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        Pin::new(&mut self.get_mut().inner)
            .poll_flush(context)
            .map_err(|error| closed(&error))
    }

    /// Says goodbye with 1000; a peer that is gone already is no error.
    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        let this = self.get_mut();
        if !this.goodbye_sent {
            if ready!(Pin::new(&mut this.inner).poll_ready(context)).is_err() {
                return Poll::Ready(Ok(()));
            }
            let goodbye = CloseFrame {
                code: CloseCode::Normal,
                reason: "call ended".into(),
            };
            this.goodbye_sent = true;
            if Pin::new(&mut this.inner)
                .start_send(Message::Close(Some(goodbye)))
                .is_err()
            {
                return Poll::Ready(Ok(()));
            }
        }
        // What can go wrong now is that the peer was faster.
        let _outcome = ready!(Pin::new(&mut this.inner).poll_close(context));
        Poll::Ready(Ok(()))
    }
}

fn closed(error: &Error) -> WireClosed {
    let reason = match error {
        Error::ConnectionClosed | Error::AlreadyClosed => "the connection is closed".to_owned(),
        Error::Io(error) => format!("the connection broke: {}", error.kind()),
        Error::Capacity(_) => "a message was too large".to_owned(),
        Error::Protocol(error) => format!("a protocol error: {error}"),
        Error::WriteBufferFull(_) => "the peer does not read".to_owned(),
        _ => "the connection failed".to_owned(),
    };
    WireClosed { code: None, reason }
}
