//! The agent of a load run, whoever's words it speaks: no script, but a stamped frame every 20 ms, a
//! caller who breaks in at the end of every turn, and a count of what arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::Clock;

use super::stamp::{Arrived, Stamp, Tally, Tracker};
use super::ulaw::{FRAME_BYTES, SILENCE};

/// Frames of one turn of an agent nobody breaks into: five seconds.
const TURN_FRAMES: u64 = 250;
/// A peer that does not read for this long is gone.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// How an agent answers in a load run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// How long a turn lasts until the vendor reports that the caller breaks in; `None`: nobody does.
    pub barge_in_every: Option<Duration>,
}

impl Default for Stamped {
    fn default() -> Self {
        Self {
            barge_in_every: Some(Duration::from_secs(5)),
        }
    }
}

/// Figures of the agent's side of a load run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct AgentLoad {
    pub conversations: u64,
    pub sockets_open: u64,
    pub messages_refused: u64,
    /// Caller → agent, as it arrived here.
    pub from_caller: Arrived,
    /// Stamped frames sent towards the callers.
    pub frames_sent: u64,
    /// How often a caller broke in.
    pub barge_ins: u64,
}

#[derive(Debug, Default)]
pub(super) struct AgentTally {
    conversations: AtomicU64,
    refused: AtomicU64,
    heard: Tally,
    spoken: AtomicU64,
    barge_ins: AtomicU64,
}

impl AgentTally {
    pub(super) fn report(&self, open: usize) -> AgentLoad {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        AgentLoad {
            conversations: get(&self.conversations),
            sockets_open: open as u64,
            messages_refused: get(&self.refused),
            from_caller: self.heard.report(),
            frames_sent: get(&self.spoken),
            barge_ins: get(&self.barge_ins),
        }
    }
}

/// A message of the bridge, as far as a load run cares.
pub(super) enum Heard {
    Audio(Vec<u8>),
    Other,
    /// The vendor would not accept it.
    Refused,
}

/// A vendor's words for it. Turns are counted from 1.
pub(super) trait Tongue {
    /// What goes before the first frame of a turn.
    fn begins(&mut self, turn: u64) -> Vec<String>;
    fn frame(&mut self, turn: u64, frame: &[u8]) -> String;
    /// What goes after the frame of this number of a turn, as a talking agent has it.
    fn between(&mut self, turn: u64, frame: u64) -> Option<String>;
    /// The end of a turn into which the caller breaks; the first message says so.
    fn broken_into(&mut self, turn: u64) -> Vec<String>;
    fn ends(&mut self, turn: u64) -> Vec<String>;
    fn read(&mut self, text: &str) -> Heard;
}

/// Talks until either side ends.
pub(super) async fn talk(
    how: Stamped,
    tally: &AgentTally,
    clock: Clock,
    token: &CancellationToken,
    socket: &mut WebSocket,
    tongue: &mut (impl Tongue + Send),
) {
    let mut agent = Agent {
        how,
        tally,
        clock,
        call: tally.conversations.fetch_add(1, Ordering::Relaxed) as u32,
        turn_frames: how
            .barge_in_every
            .map_or(TURN_FRAMES, |every| (every.as_millis() as u64 / 20).max(1)),
        seq: 0,
        broken_into_us: None,
        frame: [SILENCE; FRAME_BYTES],
    };
    let mut tracker = Tracker::default();
    let began = Instant::now();
    loop {
        let due = began + Duration::from_millis(agent.seq * 20);
        // Cancel-safe: a sleep and `recv`.
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            () = sleep_until(due) => {
                if agent.speak(socket, tongue).await.is_none() {
                    break;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => match tongue.read(text.as_str()) {
                    Heard::Audio(audio) => tracker.hear(&audio, agent.now_us(), &tally.heard),
                    Heard::Other => {}
                    Heard::Refused => {
                        tally.refused.fetch_add(1, Ordering::Relaxed);
                    }
                },
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    tracker.flush(&tally.heard);
}

struct Agent<'a> {
    how: Stamped,
    tally: &'a AgentTally,
    clock: Clock,
    call: u32,
    turn_frames: u64,
    seq: u64,
    /// The caller broke in at this time, and no frame has told of it.
    broken_into_us: Option<u64>,
    frame: [u8; FRAME_BYTES],
}

impl Agent<'_> {
    fn now_us(&self) -> u64 {
        u64::try_from(self.clock.now().timestamp_micros()).unwrap_or(0)
    }

    /// The next frame, and what goes with it. `None`: the peer is gone.
    async fn speak(
        &mut self,
        socket: &mut WebSocket,
        tongue: &mut (impl Tongue + Send),
    ) -> Option<()> {
        let (turn, at) = (self.seq / self.turn_frames + 1, self.seq % self.turn_frames);
        if at == 0 {
            send(socket, tongue.begins(turn)).await?;
        }
        let stamp = Stamp {
            call: self.call,
            seq: self.seq,
            sent_us: self.broken_into_us.unwrap_or_else(|| self.now_us()),
            after_barge_in: self.broken_into_us.take().is_some(),
        };
        if let Some(head) = self.frame.first_chunk_mut() {
            *head = stamp.write();
        }
        let frame = tongue.frame(turn, &self.frame);
        send(
            socket,
            [Some(frame), tongue.between(turn, at)]
                .into_iter()
                .flatten(),
        )
        .await?;
        self.tally.spoken.fetch_add(1, Ordering::Relaxed);
        self.seq += 1;
        if at + 1 == self.turn_frames {
            // At once: a moment later the frame would have been heard, and nothing be left to clear.
            self.end(turn, socket, tongue).await?;
        }
        Some(())
    }

    async fn end(
        &mut self,
        turn: u64,
        socket: &mut WebSocket,
        tongue: &mut (impl Tongue + Send),
    ) -> Option<()> {
        if self.how.barge_in_every.is_none() {
            return send(socket, tongue.ends(turn)).await;
        }
        let messages = tongue.broken_into(turn);
        self.broken_into_us = Some(self.now_us());
        self.tally.barge_ins.fetch_add(1, Ordering::Relaxed);
        send(socket, messages).await
    }
}

async fn send(socket: &mut WebSocket, texts: impl IntoIterator<Item = String>) -> Option<()> {
    for text in texts {
        let sent = timeout(SEND_WITHIN, socket.send(Message::text(text))).await;
        sent.ok()?.ok()?;
    }
    Some(())
}
