//! An accepted WebSocket as the engine knows sockets: text and binary only, one error at the end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::{Sink, Stream};
use tokio_tungstenite::tungstenite;

use crate::bridge::Wire;
use crate::engine::WireClosed;

/// Bytes of the read buffer of one media socket. It is cleared for every read and kept for as long
/// as the call; a carrier's message has some 400 bytes. The library's default is 128 KiB.
pub(super) const READ_BUFFER: usize = 2 * 1024;
/// Largest message taken from a peer.
pub(super) const MESSAGE_MAX: usize = 256 * 1024;
/// Bytes that may wait for a peer that does not read; unbounded by default.
pub(super) const WRITE_BUFFER_MAX: usize = 1024 * 1024;

/// An accepted socket.
#[derive(Debug)]
pub(super) struct AcceptedSocket {
    inner: WebSocket,
    ended: bool,
    said_goodbye: bool,
}

impl AcceptedSocket {
    pub(super) fn new(inner: WebSocket) -> Self {
        Self {
            inner,
            ended: false,
            said_goodbye: false,
        }
    }

    /// Closes with a code of our choice.
    pub(super) async fn close_with(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        // The peer may be gone already; nothing else is left to do then.
        let _gone = self.inner.send(Message::Close(Some(frame))).await;
    }

    /// Tells a peer that broke the protocol so, without waiting for it.
    fn scold(&mut self, cx: &mut Context<'_>, code: u16) {
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        self.said_goodbye = true;
        let mut inner = Pin::new(&mut self.inner);
        if inner
            .as_mut()
            .start_send(Message::Close(Some(frame)))
            .is_ok()
        {
            let _unsent = inner.poll_flush(cx);
        }
    }
}

impl Stream for AcceptedSocket {
    type Item = Result<Wire, WireClosed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            let closed = match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => {
                    return Poll::Ready(Some(Ok(Wire::Text(text.to_string()))));
                }
                Some(Ok(Message::Binary(bytes))) => {
                    return Poll::Ready(Some(Ok(Wire::Binary(bytes))));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(frame))) => WireClosed {
                    code: frame.as_ref().map(|frame| frame.code),
                    reason: frame.map_or_else(String::new, |frame| frame.reason.to_string()),
                },
                Some(Err(error)) => {
                    let reason = error.to_string();
                    if let Some(code) = fault_of(error) {
                        self.scold(cx, code);
                    }
                    WireClosed { code: None, reason }
                }
                None => WireClosed {
                    code: None,
                    reason: "the peer vanished".to_owned(),
                },
            };
            self.ended = true;
            return Poll::Ready(Some(Err(closed)));
        }
    }
}

impl Sink<Wire> for AcceptedSocket {
    type Error = WireClosed;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        Pin::new(&mut self.inner).poll_ready(cx).map_err(gone)
    }

    fn start_send(mut self: Pin<&mut Self>, wire: Wire) -> Result<(), WireClosed> {
        let message = match wire {
            Wire::Text(text) => Message::Text(text.into()),
            Wire::Binary(bytes) => Message::Binary(bytes),
        };
        Pin::new(&mut self.inner).start_send(message).map_err(gone)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(gone)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        if !self.said_goodbye && !self.ended {
            ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(gone)?;
            self.said_goodbye = true;
            let frame = CloseFrame {
                code: close_code::NORMAL,
                reason: "".into(),
            };
            Pin::new(&mut self.inner)
                .start_send(Message::Close(Some(frame)))
                .map_err(gone)?;
        }
        Pin::new(&mut self.inner).poll_close(cx).map_err(gone)
    }
}

fn gone(error: axum::Error) -> WireClosed {
    WireClosed {
        code: None,
        reason: error.to_string(),
    }
}

/// The close code for a peer's mistake; `None` when the connection itself broke. RFC 6455 §7.4.1.
fn fault_of(error: axum::Error) -> Option<u16> {
    match *error.into_inner().downcast::<tungstenite::Error>().ok()? {
        tungstenite::Error::Capacity(_) => Some(close_code::SIZE),
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => None,
        tungstenite::Error::Protocol(_) => Some(close_code::PROTOCOL),
        tungstenite::Error::Utf8(_) => Some(close_code::INVALID),
        _ => None,
    }
}
