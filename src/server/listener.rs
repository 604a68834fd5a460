//! Accepting connections: caps for all and for each address, no Nagle, a deadline for request heads,
//! and an end for those who take nothing of what they asked for.
//!
//! Running out of file descriptors slows accepting down and ends nothing.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::settings::ServerSettings;
use super::start::HEAD_WITHIN;

/// How often a client that has said a few letters is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Lets connections in up to the caps.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    settings: Arc<ServerSettings>,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl Gate {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            open: Arc::default(),
        }
    }

    fn enter(&self, ip: IpAddr) -> Option<Place> {
        let ip = ip.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.settings.connections_max {
            return None;
        }
        let counted = !ip.is_loopback() && !self.settings.trusts(ip);
        if counted {
            let of_ip = open.by_ip.entry(ip).or_default();
            if *of_ip >= self.settings.connections_per_ip_max {
                return None;
            }
            *of_ip += 1;
        }
        open.all += 1;
        Some(Place {
            open: Arc::clone(&self.open),
            ip: counted.then_some(ip),
        })
    }
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
struct Place {
    open: Arc<Mutex<Open>>,
    ip: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Some(ip) = self.ip {
            if let Some(of_ip) = open.by_ip.get_mut(&ip) {
                *of_ip -= 1;
                if *of_ip == 0 {
                    open.by_ip.remove(&ip);
                }
            }
        }
    }
}

/// A connection that holds a place.
#[derive(Debug)]
pub(super) struct Admitted {
    stream: TcpStream,
    _place: Place,
    stall_max: Duration,
    /// Runs while the peer takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Admitted {
    /// Passes on how a write went; cuts the connection once it has waited for too long. Nobody above
    /// can: an answer whose reader is stuck is not asked for more, and so never learns that it is over.
    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let wait = self.stall_max;
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        if stall.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        metrics::counter!("wallboard_connections_stalled_total").increment(1);
        // What is still queued would be held for a peer that does not want it.
        if let Err(error) = self.stream.set_zero_linger() {
            tracing::debug!(%error, "a stalled connection is closed the slow way");
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Gate {
    type Stream = Admitted;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Admitted, S)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move {
            let peer = stream.peer_addr()?;
            // Frames of 20 ms must not wait for each other.
            stream.set_nodelay(true)?;
            let Some(place) = gate.enter(peer.ip()) else {
                metrics::counter!("wallboard_refused_total", "why" => "connections").increment(1);
                return Err(io::Error::other("too many connections"));
            };
            let admitted = Admitted {
                stream,
                _place: place,
                stall_max: gate.settings.stall_max,
                stall: None,
            };
            tokio::time::timeout(HEAD_WITHIN, first_words(&admitted.stream))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok((admitted, service))
        })
    }
}

/// Waits until a client has said enough to tell which HTTP it speaks. The deadline for a request's
/// head begins after that.
async fn first_words(stream: &TcpStream) -> io::Result<()> {
    const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut said = [0; 24];
    loop {
        // Not `readable`, which may be wrong. Peeked at, the words stay where they are.
        let count = stream.peek(&mut said).await?;
        let undecided = said
            .get(..count)
            .is_some_and(|said| said.len() < HTTP2.len() && HTTP2.starts_with(said));
        if count == 0 || !undecided {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_share_and_gives_it_back() {
        let mut settings = ServerSettings::on("127.0.0.1:0".parse().unwrap());
        settings.connections_max = 4;
        settings.connections_per_ip_max = 2;
        settings.trusted_proxies = vec!["10.0.0.1".parse().unwrap()];
        let gate = Gate::new(&settings);
        let stranger: IpAddr = "203.0.113.5".parse().unwrap();
        let first = gate.enter(stranger).unwrap();
        let _second = gate.enter(stranger).unwrap();
        assert!(gate.enter(stranger).is_none());
        drop(first);
        assert!(gate.enter(stranger).is_some());
        let proxied: Vec<_> = (0..4)
            .map_while(|_| gate.enter("10.0.0.1".parse().unwrap()))
            .collect();
        assert_eq!(proxied.len(), 3, "a proxy is bounded by the whole only");
    }
}
