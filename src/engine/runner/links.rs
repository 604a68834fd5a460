//! The two sockets of a bridge, each with its codec and outbox: polled for reading and writing side
//! by side, so that neither waits for the other.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};

use crate::bridge::{
    AgentCodec, AgentOut, AgentOutbox, CarrierCodec, CarrierOut, CarrierOutbox, Wire,
};
use crate::engine::ports::{BoxSocket, WireClosed};

/// A socket that takes nothing for this long is dead, whatever TCP believes.
const STUCK: Duration = Duration::from_secs(10);
/// A goodbye may take this long; then the socket is dropped.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Says goodbye with 1000 and waits for it to be written, not for the answer.
pub(in crate::engine) async fn say_goodbye(mut socket: BoxSocket) {
    let _either_way_it_is_dropped = tokio::time::timeout(GOODBYE_WITHIN, socket.close()).await;
}

/// The transport of either end.
struct Pipe {
    socket: BoxSocket,
    unflushed: bool,
    stuck_since: Option<Duration>,
}

impl Pipe {
    fn new(socket: BoxSocket) -> Self {
        Self {
            socket,
            unflushed: false,
            stuck_since: None,
        }
    }

    /// Writes what the source has for as long as the socket takes it.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        source: &mut impl Source,
    ) -> Result<(), WireClosed> {
        let mut is_blocked = false;
        while !source.is_empty() {
            match self.socket.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => {
                    let Some(wire) = source.next() else { break };
                    self.socket.start_send_unpin(wire)?;
                    self.unflushed = true;
                }
                Poll::Ready(Err(closed)) => return Err(closed),
                Poll::Pending => {
                    is_blocked = true;
                    break;
                }
            }
        }
        if self.unflushed {
            match self.socket.poll_flush_unpin(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(closed)) => return Err(closed),
                Poll::Pending => is_blocked = true,
            }
        }
        if !is_blocked {
            self.stuck_since = None;
            return Ok(());
        }
        let since = *self.stuck_since.get_or_insert(now);
        if now.saturating_sub(since) >= STUCK {
            return Err(stuck());
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Wire, WireClosed>> {
        self.socket.poll_next_unpin(cx).map(|read| {
            read.unwrap_or_else(|| {
                Err(WireClosed {
                    code: None,
                    reason: "the peer vanished".into(),
                })
            })
        })
    }
}

fn stuck() -> WireClosed {
    WireClosed {
        code: None,
        reason: "the peer stopped reading".into(),
    }
}

/// What a socket is to be written.
trait Source {
    fn is_empty(&self) -> bool;

    /// `None` when nothing was left that this vendor has a message for.
    fn next(&mut self) -> Option<Wire>;
}

/// The carrier's stream.
pub(super) struct CarrierEnd {
    pipe: Option<Pipe>,
    source: CarrierSource,
}

struct CarrierSource {
    codec: Box<dyn CarrierCodec>,
    outbox: CarrierOutbox,
}

impl Source for CarrierSource {
    fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    fn next(&mut self) -> Option<Wire> {
        loop {
            let out = self.outbox.pop()?;
            if let Some(wire) = self.codec.encode(&out) {
                return Some(wire);
            }
        }
    }
}

impl CarrierEnd {
    pub(super) fn new(socket: BoxSocket, codec: Box<dyn CarrierCodec>) -> Self {
        Self {
            pipe: Some(Pipe::new(socket)),
            source: CarrierSource {
                codec,
                outbox: CarrierOutbox::new(),
            },
        }
    }

    pub(super) fn codec(&mut self) -> &mut dyn CarrierCodec {
        self.source.codec.as_mut()
    }

    /// Returns how many frames had to go.
    pub(super) fn push(&mut self, out: CarrierOut) -> u64 {
        self.source.outbox.push(out)
    }

    pub(super) fn wants_write(&self) -> bool {
        !self.source.is_empty() || self.pipe.as_ref().is_some_and(|pipe| pipe.unflushed)
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
    ) -> Result<(), WireClosed> {
        if self.source.outbox.is_jammed() {
            return Err(stuck());
        }
        match &mut self.pipe {
            Some(pipe) => pipe.poll_write(cx, now, &mut self.source),
            None => Ok(()),
        }
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Wire, WireClosed>> {
        match &mut self.pipe {
            Some(pipe) => pipe.poll_read(cx),
            None => Poll::Pending,
        }
    }

    /// The socket is closed: touch it no more.
    pub(super) fn gone(&mut self) {
        self.pipe = None;
    }

    pub(super) fn into_socket(self) -> Option<BoxSocket> {
        self.pipe.map(|pipe| pipe.socket)
    }
}

/// One conversation with the agent.
pub(super) struct AgentEnd {
    pipe: Pipe,
    source: AgentSource,
    /// Off while the agent is too far ahead.
    pub(super) reading: bool,
}

struct AgentSource {
    codec: Box<dyn AgentCodec>,
    outbox: AgentOutbox,
    /// One word may be several messages.
    encoded: VecDeque<Wire>,
}

impl Source for AgentSource {
    fn is_empty(&self) -> bool {
        self.outbox.is_empty() && self.encoded.is_empty()
    }

    fn next(&mut self) -> Option<Wire> {
        while self.encoded.is_empty() {
            self.encoded.extend(self.codec.encode(&self.outbox.pop()?));
        }
        self.encoded.pop_front()
    }
}

impl AgentEnd {
    pub(super) fn new(socket: BoxSocket, codec: Box<dyn AgentCodec>) -> Self {
        Self {
            pipe: Pipe::new(socket),
            source: AgentSource {
                codec,
                outbox: AgentOutbox::new(),
                encoded: VecDeque::new(),
            },
            reading: true,
        }
    }

    pub(super) fn codec(&mut self) -> &mut dyn AgentCodec {
        self.source.codec.as_mut()
    }

    /// Returns how many chunks had to go.
    pub(super) fn push(&mut self, out: AgentOut) -> u64 {
        self.source.outbox.push(out)
    }

    pub(super) fn wants_write(&self) -> bool {
        !self.source.is_empty() || self.pipe.unflushed
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
    ) -> Result<(), WireClosed> {
        if self.source.outbox.is_jammed() {
            return Err(stuck());
        }
        self.pipe.poll_write(cx, now, &mut self.source)
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Wire, WireClosed>> {
        if self.reading {
            self.pipe.poll_read(cx)
        } else {
            Poll::Pending
        }
    }

    pub(super) fn into_socket(self) -> BoxSocket {
        self.pipe.socket
    }
}
