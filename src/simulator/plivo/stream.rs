//! One audio stream: the carrier's WebSocket client. 50 frames a second on absolute deadlines, a
//! play-out buffer with checkpoints and clear, and every way such a socket can end.

mod connect;

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
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::simulator::line::{CutHow, FarEnd, Pace, Payload, Playout, StreamCut};
use crate::simulator::rng::Rng;
use crate::simulator::socket::Socket;
use crate::simulator::speech::LineQuality;
use crate::simulator::ulaw::{self, FRAME_BYTES, FRAME_MS};

use super::document::StreamStep;
use super::news;
use super::state::{Entry, Order, Shared, Source};
use super::told::Told;

/// The peer does not read for this long: the carrier gives the stream up.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// The carrier's play-out buffer, and the shares of it that are reported.
const BUFFER_MS: u64 = 60_000;
const DEGRADED_PCT: [u64; 3] = [30, 60, 90];

/// How a stream ended.
#[derive(Debug)]
pub(super) enum StreamEnd {
    /// The far side closed the socket: the document goes on.
    Closed,
    /// Refused, broken or misused.
    Failed(String),
    /// The person hung up.
    HungUp,
    /// REST ended the call.
    Ended,
    /// REST gave the call another document, and the stream has ended since.
    Transferred(Source),
    /// Broken by a fault, to be opened again.
    Reopen(Duration),
    /// The simulation stops.
    Stopped,
}

/// One run of a `<Stream>`.
pub(super) struct Leg<'a> {
    pub(super) shared: &'a Shared,
    pub(super) entry: &'a Entry,
    pub(super) step: &'a StreamStep,
    pub(super) stream_id: &'a str,
    pub(super) quality: LineQuality,
    pub(super) cut: Option<StreamCut>,
}

impl Leg<'_> {
    pub(super) async fn run(
        &self,
        far: &mut dyn FarEnd,
        orders: &mut mpsc::Receiver<Order>,
    ) -> StreamEnd {
        let mut socket = match self.connect_patiently().await {
            Ok(socket) => socket,
            Err(why) => return StreamEnd::Failed(why),
        };
        self.entry.note(|view| {
            view.streams += 1;
            view.stream_open = true;
        });
        news::stream(
            self.shared,
            self.entry,
            self.step,
            self.stream_id,
            "StartStream",
            None,
        )
        .await;
        let rng = self.shared.poster.draw(|rng| Rng::new(rng.next_u64()));
        let mut live = Live {
            leg: self,
            playout: Playout::default(),
            pace: Pace::new(self.quality.jitter_ms, self.quality.gap_pct, rng),
            pending: VecDeque::new(),
            keys: VecDeque::new(),
            sequence: 0,
            began: Instant::now(),
            began_unix_ms: self.shared.clock.unix_ms(),
            mute: false,
            degraded: 0,
            transfer: None,
        };
        let end = match live.hello(&mut socket).await {
            Ok(()) => live.talk(&mut socket, far, orders).await,
            Err(end) => end,
        };
        let end = live.goodbye(&mut socket, end).await;
        self.entry.note(|view| view.stream_open = false);
        match (end, live.transfer) {
            // The document a transfer named runs when the stream is gone, however it went.
            (StreamEnd::Closed | StreamEnd::Failed(_), Some(source)) => {
                StreamEnd::Transferred(source)
            }
            (end, _) => end,
        }
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
    began: Instant,
    began_unix_ms: u64,
    /// After a silent cut nothing is sent or read any more.
    mute: bool,
    /// Shares of the buffer that were reported.
    degraded: usize,
    transfer: Option<Source>,
}

impl Live<'_> {
    async fn hello(&mut self, socket: &mut Socket) -> Result<(), StreamEnd> {
        let sequence = self.next_sequence();
        let start = json!({
            "event": "start", "sequenceNumber": sequence,
            "start": {
                "callId": self.leg.entry.uuid, "streamId": self.leg.stream_id,
                "accountId": self.leg.shared.cfg.auth_id, "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
            },
            "extra_headers": self.extra_headers(),
        });
        self.send(socket, start.to_string()).await?;
        self.began = Instant::now();
        Ok(())
    }

    /// As they are delivered: semicolons instead of commas, an empty object when there are none.
    fn extra_headers(&self) -> String {
        match self.leg.step.extra_headers.as_str() {
            "" => "{}".to_owned(),
            headers => headers.replace(',', ";"),
        }
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
                    Some(Order::End) => return StreamEnd::Ended,
                    // A stream that keeps the call alive goes on until its socket closes.
                    Some(Order::Transfer(source)) if self.leg.step.keep_alive => {
                        self.transfer = Some(source);
                    }
                    Some(Order::Transfer(source)) => return StreamEnd::Transferred(source),
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
        let (real, played) = self.playout.advance(&mut heard);
        let tick = far.tick(&heard);
        if let Some(key) = tick.key {
            self.keys.push_back(key);
        }
        let voiced = real > 0 && ulaw::level_dbfs(&heard) > -40.0;
        let entry = self.leg.entry;
        entry.note(|view| {
            view.played_ms += real as u64 / 8;
            view.heard_ms += if voiced { FRAME_MS } else { 0 };
        });
        if let Payload::Frame(frame) = &tick.payload {
            self.leg
                .shared
                .recordings()
                .hear(&entry.uuid, frame, &heard);
        }
        match send {
            Some(at) => self.pending.push_back((at, n, tick.payload)),
            None => far.lost(),
        }
        if tick.hangup {
            return Err(StreamEnd::HungUp);
        }
        self.played(socket, played).await?;
        while let Some(key) = self.keys.pop_front() {
            let message = json!({
                "event": "dtmf", "streamId": self.leg.stream_id,
                "dtmf": {"digit": key.to_string(), "track": "inbound",
                    "timestamp": (self.began_unix_ms + n * FRAME_MS).to_string()},
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
            let payload = match payload {
                Payload::Frame(frame) => STANDARD.encode(frame),
                Payload::Base64(payload) => payload,
            };
            // Numbers as numbers here, the time as text, as the carrier mixes them.
            let message = json!({
                "event": "media", "sequenceNumber": self.next_sequence(),
                "streamId": self.leg.stream_id,
                "media": {"track": "inbound", "chunk": n + 1, "payload": payload,
                    "timestamp": (self.began_unix_ms + n * FRAME_MS).to_string()},
                "extra_headers": self.extra_headers(),
            });
            self.send(socket, message.to_string()).await?;
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
            Some(Ok(Message::Binary(_))) => Err(StreamEnd::Failed("a binary message".to_owned())),
            Some(Ok(Message::Close(_))) => Err(StreamEnd::Closed),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(StreamEnd::Failed(format!("connection lost: {error}"))),
            None => Err(StreamEnd::Failed("connection lost".to_owned())),
        }
    }

    async fn obey(
        &mut self,
        socket: &mut Socket,
        far: &mut dyn FarEnd,
        text: &str,
    ) -> Result<(), StreamEnd> {
        let entry = self.leg.entry;
        let told = match Told::read(text, self.leg.stream_id) {
            Ok(told) => told,
            Err(why) => {
                entry.error(why.clone());
                let message =
                    json!({"event": "error", "streamId": self.leg.stream_id, "reason": why});
                return self.send(socket, message.to_string()).await;
            }
        };
        match told {
            Told::Audio(payload) => {
                far.received(&payload);
                let Ok(audio) = STANDARD.decode(payload).map(Bytes::from) else {
                    entry.error("playAudio: no base64");
                    return Ok(());
                };
                entry.note(|view| view.media_received += 1);
                self.play(socket, audio).await
            }
            Told::Checkpoint(name) => {
                entry.note(|view| view.checkpoints_received += 1);
                if self.playout.is_empty() {
                    return self.played(socket, vec![name]).await;
                }
                self.playout.push_mark(name);
                Ok(())
            }
            Told::Clear => {
                far.cleared();
                let cleared_ms = self.playout.queued_ms();
                // What was not played is never reported: its checkpoints are gone with it.
                drop(self.playout.clear());
                self.degraded = 0;
                entry.note(|view| {
                    view.clears += 1;
                    view.cleared_ms += cleared_ms;
                });
                let message = json!({"event": "clearedAudio", "streamId": self.leg.stream_id});
                self.send(socket, message.to_string()).await
            }
            Told::Keys(keys) => {
                entry.note(|view| view.keys.push_str(&keys));
                Ok(())
            }
        }
    }

    async fn play(&mut self, socket: &mut Socket, audio: Bytes) -> Result<(), StreamEnd> {
        if self.playout.queued_ms() + audio.len() as u64 / 8 > BUFFER_MS {
            self.leg.entry.error("playAudio: buffer full");
            let message = json!({"event": "playFailed", "streamId": self.leg.stream_id, "reason": "buffer full"});
            return self.send(socket, message.to_string()).await;
        }
        self.playout.push_audio(audio);
        let filled_pct = self.playout.queued_ms() * 100 / BUFFER_MS;
        while DEGRADED_PCT
            .get(self.degraded)
            .is_some_and(|pct| filled_pct >= *pct)
        {
            self.degraded += 1;
            let leg = self.leg;
            news::stream(
                leg.shared,
                leg.entry,
                leg.step,
                leg.stream_id,
                "DegradedStream",
                None,
            )
            .await;
        }
        Ok(())
    }

    async fn played(&mut self, socket: &mut Socket, names: Vec<String>) -> Result<(), StreamEnd> {
        for name in names {
            let message = json!({
                "event": "playedStream", "streamId": self.leg.stream_id, "name": name,
            });
            self.send(socket, message.to_string()).await?;
            self.leg.entry.note(|view| view.checkpoints_played += 1);
        }
        Ok(())
    }

    async fn send(&mut self, socket: &mut Socket, text: String) -> Result<(), StreamEnd> {
        if self.mute {
            return Ok(());
        }
        match timeout(SEND_WITHIN, socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) => Err(StreamEnd::Closed),
            Ok(Err(_)) if said_goodbye(socket).await => Err(StreamEnd::Closed),
            Ok(Err(error)) => Err(StreamEnd::Failed(format!("connection lost: {error}"))),
            Err(_) => Err(StreamEnd::Failed("the peer does not read".to_owned())),
        }
    }

    /// Breaks the stream. `None` when it only falls silent.
    async fn cut(&mut self, socket: &mut Socket, cut: StreamCut) -> Option<StreamEnd> {
        let tcp = match socket.get_mut() {
            MaybeTlsStream::Plain(tcp) => Some(tcp),
            MaybeTlsStream::Rustls(tls) => Some(tls.get_mut().0),
            _ => None,
        };
        self.mute = true;
        match (cut.how, tcp) {
            (CutHow::Silence, _) => return None,
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
        Some(match cut.reopen_after_ms {
            Some(ms) => StreamEnd::Reopen(Duration::from_millis(ms)),
            None => StreamEnd::Failed("connection lost".to_owned()),
        })
    }

    /// The carrier's side of the end: a close and no word before it.
    async fn goodbye(&mut self, socket: &mut Socket, end: StreamEnd) -> StreamEnd {
        if !self.mute {
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
            drop(timeout(Duration::from_secs(1), farewell).await);
        }
        end
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

/// Whether the far side, which no longer takes anything, had closed in good order: its close is
/// still to be read.
async fn said_goodbye(socket: &mut Socket) -> bool {
    let close = async {
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                return true;
            }
        }
        false
    };
    timeout(Duration::from_millis(200), close)
        .await
        .unwrap_or(false)
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
