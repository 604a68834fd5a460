//! The agent of a load run: no script, but a stamped frame every 20 ms and a count of what arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout};

use crate::simulator::stamp::{Arrived, Stamp, Tally, Tracker};
use crate::simulator::ulaw::{FRAME_BYTES, SILENCE};

use super::state::Shared;
use super::wire::{self, Told};

/// Frames of one turn of the agent: five seconds.
const TURN_FRAMES: u64 = 250;

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
}

#[derive(Debug, Default)]
pub(super) struct AgentTally {
    conversations: AtomicU64,
    refused: AtomicU64,
    heard: Tally,
    spoken: AtomicU64,
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
        }
    }
}

/// Talks until either side ends. `socket` has had its metadata.
pub(super) async fn run(shared: &Shared, socket: &mut WebSocket) {
    let tally = &shared.tally;
    let number = tally.conversations.fetch_add(1, Ordering::Relaxed) as u32;
    let token = shared.tasks.token().clone();
    let now_us = || u64::try_from(shared.clock.now().timestamp_micros()).unwrap_or(0);
    let mut tracker = Tracker::default();
    let (began, mut seq) = (Instant::now(), 0_u64);
    let mut frame = [SILENCE; FRAME_BYTES];
    loop {
        let due = began + Duration::from_millis(seq * 20);
        // Cancel-safe: a sleep and `recv`.
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            () = sleep_until(due) => {
                let stamp = Stamp { call: number, seq, sent_us: now_us() }.write();
                if let Some(head) = frame.first_chunk_mut() {
                    *head = stamp;
                }
                let turn = seq / TURN_FRAMES + 1;
                let audio = wire::audio_event(turn, &frame);
                for text in [Some(audio), extra(turn, seq)].into_iter().flatten() {
                    let sent = timeout(Duration::from_secs(5), socket.send(Message::text(text))).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        tracker.flush(&tally.heard);
                        return;
                    }
                }
                tally.spoken.fetch_add(1, Ordering::Relaxed);
                seq += 1;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => match wire::read(text.as_str()) {
                    Ok(Told::Audio(audio)) => tracker.hear(&audio, now_us(), &tally.heard),
                    Ok(_) => {}
                    Err(_) => {
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

/// Words and pings between the frames, as a talking agent has them.
fn extra(turn: u64, seq: u64) -> Option<String> {
    use crate::simulator::speech::Did;
    match seq % TURN_FRAMES {
        2 => wire::said(&Did::Said {
            event_id: turn,
            text: format!("Load line {turn}."),
        }),
        100 => Some(wire::ping(turn, Some(20))),
        200 => wire::said(&Did::CallerFinal {
            event_id: turn,
            text: format!("Caller line {turn}."),
        }),
        _ => None,
    }
}
