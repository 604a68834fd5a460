//! A copy of somebody's call, as a carrier sends it to whoever may listen: both tracks on one socket,
//! one way, 50 frames a second each. The carriers differ in their words only.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::cast::Cast;
use super::socket::Socket;
use super::speech::{Line, Script};
use super::ulaw::{self, FRAME_BYTES, FRAME_MS};

/// The peer does not read for this long: the copy is given up.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// Quiet between two lines.
const PAUSE_FRAMES: usize = 20;

/// Whose voice it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    /// The person on the phone.
    Inbound,
    /// What they hear.
    Outbound,
}

impl Track {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What one carrier says on such a socket.
pub(super) trait Words {
    /// The first messages.
    fn hello(&mut self) -> Vec<String>;

    /// Frame `n` of a track, from 0.
    fn media(&mut self, track: Track, n: u64, frame: &[u8]) -> String;

    /// The last message, where there is one.
    fn goodbye(&mut self) -> Option<String>;
}

/// A conversation held elsewhere: its lines in turn, over and over.
#[derive(Debug)]
struct Duet {
    lines: Vec<(Track, bytes::Bytes)>,
    line: usize,
    frame: usize,
}

impl Duet {
    fn new(script: &Script) -> Self {
        let lines = script.lines.iter().filter_map(|line| match line {
            Line::Agent(line) => Some((Track::Outbound, line.audio.clone())),
            Line::Caller(line) => Some((Track::Inbound, line.audio.clone())),
            _ => None,
        });
        Self {
            lines: lines.filter(|(_, audio)| !audio.is_empty()).collect(),
            line: 0,
            frame: 0,
        }
    }

    /// The next 20 ms: inbound, outbound.
    fn tick(&mut self) -> [[u8; FRAME_BYTES]; 2] {
        let mut frames = [[ulaw::SILENCE; FRAME_BYTES]; 2];
        let Some((track, audio)) = self.lines.get(self.line) else {
            return frames;
        };
        let start = self.frame * FRAME_BYTES;
        let end = (start + FRAME_BYTES).min(audio.len());
        let [inbound, outbound] = &mut frames;
        let speaking = match track {
            Track::Inbound => inbound,
            Track::Outbound => outbound,
        };
        for (to, from) in speaking
            .iter_mut()
            .zip(audio.get(start..end).unwrap_or_default())
        {
            *to = *from;
        }
        self.frame += 1;
        if self.frame * FRAME_BYTES >= audio.len() + PAUSE_FRAMES * FRAME_BYTES {
            self.frame = 0;
            self.line = (self.line + 1) % self.lines.len();
        }
        frames
    }
}

/// Sends a copy of `number`'s call until `end` is cancelled, the call is `over`, or the other side has
/// had enough. Returns how many messages it was sent, which is none by a peer that keeps the rules.
pub(super) async fn send(
    mut socket: Socket,
    words: &mut impl Words,
    (cast, number): (&Cast, &str),
    end: &CancellationToken,
    over: impl Future<Output = ()>,
) -> u32 {
    let script = cast.find(number, "");
    let script = script.unwrap_or_else(|| Cast::improvise(number));
    let mut duet = Duet::new(&script);
    let mut over = std::pin::pin!(over);
    let mut received = 0;
    for message in words.hello() {
        if !said(&mut socket, message).await {
            return received;
        }
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(FRAME_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut n = 0;
    loop {
        // Cancel-safe: no arm loses anything when another wins.
        tokio::select! {
            biased;
            () = end.cancelled() => break,
            () = &mut over => break,
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(_) | Message::Binary(_))) => received += 1,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return received,
                Some(Ok(_)) => {}
            },
            _ = ticks.tick() => {
                let tracks = [Track::Inbound, Track::Outbound];
                for (track, frame) in tracks.into_iter().zip(duet.tick()) {
                    let message = words.media(track, n, &frame);
                    if !said(&mut socket, message).await {
                        return received;
                    }
                }
                n += 1;
            }
        }
    }
    if let Some(message) = words.goodbye() {
        said(&mut socket, message).await;
    }
    // A peer that does not answer the close is left behind.
    drop(timeout(Duration::from_secs(1), socket.close(None)).await);
    received
}

async fn said(socket: &mut Socket, text: String) -> bool {
    matches!(
        timeout(SEND_WITHIN, socket.send(Message::text(text))).await,
        Ok(Ok(()))
    )
}
