//! One media stream: the carrier's WebSocket client. 50 frames a second on absolute deadlines, a
//! play-out buffer with marks and clear, and every way such a socket can end.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::simulator::rng::Rng;
use crate::simulator::socket::Socket;
use crate::simulator::speech::LineQuality;
use crate::simulator::ulaw::{self, FRAME_BYTES, FRAME_MS};

use super::state::{Entry, Order, Shared};
use super::told::Told;
use super::twiml::StreamVerb;
use crate::simulator::line::Pace;
use crate::simulator::line::Playout;
use crate::simulator::line::{CutHow, StreamCut};
use crate::simulator::line::{FarEnd, Payload};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The peer does not read for this long: the carrier gives the stream up (31930).
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// How a stream ended.
#[derive(Debug)]
pub(super) enum StreamEnd {
    /// The far side closed the socket: the document goes on.
    Closed,
    /// Refused, broken or misused; the carrier's code.
    Failed(u32),
    /// The person hung up.
    HungUp,
    /// REST ended or redirected the call.
    Ordered(Order),
    /// Broken by a fault, to be opened again.
    Reopen(Duration),
    /// The simulation stops.
    Stopped,
}

/// One run of a `<Stream>`.
pub(super) struct Leg<'a> {
    pub(super) shared: &'a Shared,
    pub(super) entry: &'a Entry,
    pub(super) verb: &'a StreamVerb,
    pub(super) stream_sid: &'a str,
    pub(super) quality: LineQuality,
    pub(super) cut: Option<StreamCut>,
}

impl Leg<'_> {
    pub(super) async fn run(
        &self,
        far: &mut dyn FarEnd,
        orders: &mut mpsc::Receiver<Order>,
    ) -> StreamEnd {
        let mut socket =
            match timeout(CONNECT_WITHIN, self.shared.poster.dial(&self.verb.url)).await {
                Ok(Ok(socket)) => socket,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "simulated carrier: stream refused");
                    return StreamEnd::Failed(31_920);
                }
                Err(_) => return StreamEnd::Failed(31_901),
            };
        self.entry.note(|view| {
            view.streams += 1;
            view.stream_open = true;
        });
        let rng = self.shared.poster.draw(|rng| Rng::new(rng.next_u64()));
        let mut live = Live {
            leg: self,
            playout: Playout::default(),
            pace: Pace::new(self.quality.jitter_ms, self.quality.gap_pct, rng),
            pending: VecDeque::new(),
            keys: VecDeque::new(),
            sequence: 0,
            chunk: 0,
            began: Instant::now(),
            mute: false,
        };
        let end = match live.hello(&mut socket).await {
            Ok(()) => live.talk(&mut socket, far, orders).await,
            Err(end) => end,
        };
        let end = live.goodbye(&mut socket, end).await;
        self.entry.note(|view| view.stream_open = false);
        end
    }
}

struct Live<'a> {
    leg: &'a Leg<'a>,
    playout: Playout,
    pace: Pace,
    /// Frames waiting for their moment; at most the jitter long.
    pending: VecDeque<(Instant, u64, Payload)>,
    keys: VecDeque<char>,
    sequence: u64,
    chunk: u64,
    began: Instant,
    /// After a silent cut nothing is sent or read any more.
    mute: bool,
}

impl Live<'_> {
    async fn hello(&mut self, socket: &mut Socket) -> Result<(), StreamEnd> {
        let cfg = &self.leg.shared.cfg;
        let connected = json!({"event": "connected", "protocol": "Call", "version": "1.0.0"});
        self.send(socket, connected.to_string()).await?;
        let custom: serde_json::Map<_, _> = (self.leg.verb.parameters.iter())
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let sequence = self.next_sequence();
        let start = json!({
            "event": "start", "sequenceNumber": sequence.to_string(),
            "start": {
                "accountSid": cfg.account_sid, "streamSid": self.leg.stream_sid,
                "callSid": self.leg.entry.sid, "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": custom,
            },
            "streamSid": self.leg.stream_sid,
        });
        self.send(socket, start.to_string()).await?;
        self.began = Instant::now();
        Ok(())
    }

    async fn talk(
        &mut self,
        socket: &mut Socket,
        far: &mut dyn FarEnd,
        orders: &mut mpsc::Receiver<Order>,
    ) -> StreamEnd {
        let token = self.leg.shared.tasks.token().clone();
        let mut slot = self.pace.next_slot();
        let cut_at = self
            .leg
            .cut
            .map(|cut| self.began + Duration::from_secs(cut.after_s));
        loop {
            let tick_at = self.began + slot.due;
            let send_at = self.pending.front().map(|(at, ..)| *at);
            // Every arm is cancel-safe: sleeps, channel receives and `StreamExt::next`.
            tokio::select! {
                biased;
                () = token.cancelled() => return StreamEnd::Stopped,
                () = at(send_at) => {
                    if let Err(end) = self.send_due(socket).await {
                        return end;
                    }
                }
                () = tokio::time::sleep_until(tick_at) => {
                    let send = slot.send.map(|send| self.began + send);
                    match self.tick(socket, far, slot.n, send).await {
                        Ok(()) => slot = self.pace.next_slot(),
                        Err(end) => return end,
                    }
                    if !self.mute && let (Some(cut), Some(cut_at)) = (self.leg.cut, cut_at)
                        && Instant::now() >= cut_at
                        && let Some(end) = self.cut(socket, cut).await {
                            return end;
                    }
                }
                order = orders.recv() => match order {
                    Some(Order::Cut(cut)) => {
                        if let Some(end) = self.cut(socket, cut).await {
                            return end;
                        }
                    }
                    Some(Order::HangUp) => return StreamEnd::HungUp,
                    Some(Order::Press(key)) => self.keys.push_back(key),
                    Some(order @ (Order::End(_) | Order::Redirect(_))) => return StreamEnd::Ordered(order),
                    None => return StreamEnd::Stopped,
                },
                message = socket.next(), if !self.mute => match self.receive(socket, far, message).await {
                    Ok(()) => {}
                    Err(end) => return end,
                },
            }
        }
    }

    /// 20 ms pass: play, let the far end speak, keep the frame for its moment.
    async fn tick(
        &mut self,
        socket: &mut Socket,
        far: &mut dyn FarEnd,
        n: u64,
        send: Option<Instant>,
    ) -> Result<(), StreamEnd> {
        let mut heard = [ulaw::SILENCE; FRAME_BYTES];
        let (real, marks) = self.playout.advance(&mut heard);
        let tick = far.tick(&heard);
        if let Some(key) = tick.key {
            self.keys.push_back(key);
        }
        if far.listens() {
            let voiced = real > 0 && ulaw::level_dbfs(&heard) > -40.0;
            let entry = self.leg.entry;
            entry.note(|view| {
                view.played_ms += real as u64 / 8;
                view.heard_ms += if voiced { FRAME_MS } else { 0 };
            });
            if let Payload::Frame(frame) = &tick.payload {
                self.leg.shared.recordings().hear(&entry.sid, frame, &heard);
            }
        }
        self.chunk += 1;
        match send {
            Some(at) => self.pending.push_back((at, n, tick.payload)),
            None => far.lost(),
        }
        if tick.hangup {
            return Err(StreamEnd::HungUp);
        }
        self.echo(socket, marks).await?;
        while let Some(key) = self.keys.pop_front() {
            let message = json!({
                "event": "dtmf", "sequenceNumber": self.next_sequence().to_string(),
                "streamSid": self.leg.stream_sid,
                "dtmf": {"track": "inbound_track", "digit": key.to_string()},
            });
            self.send(socket, message.to_string()).await?;
            self.leg.entry.note(|view| view.keys.push(key));
        }
        self.send_due(socket).await
    }

    async fn send_due(&mut self, socket: &mut Socket) -> Result<(), StreamEnd> {
        while self
            .pending
            .front()
            .is_some_and(|(at, ..)| *at <= Instant::now())
        {
            let Some((_, n, payload)) = self.pending.pop_front() else {
                break;
            };
            let mut text = String::with_capacity(400);
            text.push_str(r#"{"event":"media","sequenceNumber":""#);
            text.push_str(&self.next_sequence().to_string());
            text.push_str(r#"","media":{"track":"inbound","chunk":""#);
            text.push_str(&(n + 1).to_string());
            text.push_str(r#"","timestamp":""#);
            text.push_str(&(n * FRAME_MS).to_string());
            text.push_str(r#"","payload":""#);
            match payload {
                Payload::Frame(frame) => STANDARD.encode_string(frame, &mut text),
                Payload::Base64(payload) => text.push_str(&payload),
            }
            text.push_str(r#""},"streamSid":""#);
            text.push_str(self.leg.stream_sid);
            text.push_str(r#""}"#);
            self.send(socket, text).await?;
            self.leg.entry.note(|view| view.frames_sent += 1);
        }
        Ok(())
    }

    async fn receive(
        &mut self,
        socket: &mut Socket,
        far: &mut dyn FarEnd,
        message: Option<Result<Message, WsError>>,
    ) -> Result<(), StreamEnd> {
        match message {
            Some(Ok(Message::Text(text))) => self.obey(socket, far, text.as_str()).await,
            Some(Ok(Message::Binary(_))) => Err(StreamEnd::Failed(31_924)),
            Some(Ok(Message::Close(_))) => Err(StreamEnd::Closed),
            Some(Ok(_)) => Ok(()),
            // A peer that vanishes without a close frame is a broken pipe, not bad protocol.
            Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
                Err(StreamEnd::Failed(31_903))
            }
            Some(Err(WsError::Protocol(_) | WsError::Capacity(_) | WsError::Utf8(_))) => {
                Err(StreamEnd::Failed(31_924))
            }
            Some(Err(_)) => Err(StreamEnd::Failed(31_903)),
        }
    }

    async fn obey(
        &mut self,
        socket: &mut Socket,
        far: &mut dyn FarEnd,
        text: &str,
    ) -> Result<(), StreamEnd> {
        let entry = self.leg.entry;
        let Some(told) = Told::read(text, self.leg.stream_sid) else {
            entry.error(31_951);
            return Ok(());
        };
        match told {
            Told::Media(payload) => {
                far.received(&payload);
                let audio = if far.listens() {
                    STANDARD.decode(payload).ok().map(Bytes::from)
                } else {
                    Some(quiet(
                        payload.len() / 4 * 3 - payload.ends_with('=') as usize,
                    ))
                };
                let Some(audio) = audio.filter(|audio| !audio.is_empty()) else {
                    entry.error(31_951);
                    return Ok(());
                };
                entry.note(|view| {
                    view.media_received += 1;
                    view.bytes_received += audio.len() as u64;
                });
                if !self.playout.push_audio(audio) {
                    entry.error(31_930);
                }
                Ok(())
            }
            Told::Mark(name) => {
                entry.note(|view| view.marks_received += 1);
                if self.playout.is_empty() {
                    return self.echo(socket, vec![name]).await;
                }
                self.playout.push_mark(name);
                Ok(())
            }
            Told::Clear => {
                far.cleared();
                let cleared_ms = self.playout.queued_ms();
                let marks = self.playout.clear();
                entry.note(|view| {
                    view.clears += 1;
                    view.cleared_ms += cleared_ms;
                });
                self.echo(socket, marks).await
            }
        }
    }

    async fn echo(&mut self, socket: &mut Socket, marks: Vec<String>) -> Result<(), StreamEnd> {
        for name in marks {
            let message = json!({
                "event": "mark", "sequenceNumber": self.next_sequence().to_string(),
                "streamSid": self.leg.stream_sid, "mark": {"name": name},
            });
            self.send(socket, message.to_string()).await?;
            self.leg.entry.note(|view| view.marks_echoed += 1);
        }
        Ok(())
    }

    async fn send(&mut self, socket: &mut Socket, text: String) -> Result<(), StreamEnd> {
        if self.mute {
            return Ok(());
        }
        match timeout(SEND_WITHIN, socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            // What the far side said last, a close perhaps, is still to be read.
            Ok(Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) => Err(StreamEnd::Closed),
            Ok(Err(_)) => Err(StreamEnd::Failed(31_903)),
            Err(_) => Err(StreamEnd::Failed(31_930)),
        }
    }

    /// Breaks the stream. `None` when it only falls silent.
    async fn cut(&mut self, socket: &mut Socket, cut: StreamCut) -> Option<StreamEnd> {
        let tcp = match socket.get_mut() {
            MaybeTlsStream::Plain(tcp) => Some(tcp),
            MaybeTlsStream::Rustls(tls) => Some(tls.get_mut().0),
            _ => None,
        };
        match (cut.how, tcp) {
            (CutHow::Silence, _) => {
                self.mute = true;
                return None;
            }
            (CutHow::Reset, Some(tcp)) => {
                if let Err(error) = tcp.set_zero_linger() {
                    tracing::debug!(%error, "simulated carrier: no reset, plain end instead");
                }
            }
            (CutHow::Fin, Some(tcp)) => {
                use tokio::io::AsyncWriteExt as _;
                if let Err(error) = tcp.shutdown().await {
                    tracing::debug!(%error, "simulated carrier: socket was gone before the cut");
                }
            }
            (_, None) => {}
        }
        self.mute = true;
        Some(match cut.reopen_after_ms {
            Some(ms) => StreamEnd::Reopen(Duration::from_millis(ms)),
            None => StreamEnd::Failed(31_903),
        })
    }

    /// The carrier's side of the end: `stop`, then close, unless the socket is already gone.
    async fn goodbye(&mut self, socket: &mut Socket, end: StreamEnd) -> StreamEnd {
        match end {
            StreamEnd::HungUp | StreamEnd::Ordered(_) | StreamEnd::Stopped => {
                let stop = json!({
                    "event": "stop", "sequenceNumber": self.next_sequence().to_string(),
                    "streamSid": self.leg.stream_sid,
                    "stop": {"accountSid": self.leg.shared.cfg.account_sid, "callSid": self.leg.entry.sid},
                });
                if self.send(socket, stop.to_string()).await.is_ok() && !self.mute {
                    let frame = CloseFrame {
                        code: 1000.into(),
                        reason: "".into(),
                    };
                    let farewell = async {
                        socket.close(Some(frame)).await?;
                        while let Some(Ok(_)) = socket.next().await {}
                        Ok::<_, WsError>(())
                    };
                    // A peer that does not answer the close is left behind.
                    drop(timeout(Duration::from_secs(2), farewell).await);
                }
            }
            StreamEnd::Closed | StreamEnd::Failed(_) if !self.mute => {
                drop(timeout(Duration::from_millis(500), socket.close(None)).await);
            }
            StreamEnd::Closed | StreamEnd::Failed(_) | StreamEnd::Reopen(_) => {}
        }
        end
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Silence that stands for audio nobody will listen to.
fn quiet(len: usize) -> Bytes {
    static SILENCE: [u8; 16_000] = [ulaw::SILENCE; 16_000];
    Bytes::from_static(SILENCE.get(..len.min(SILENCE.len())).unwrap_or_default())
}
