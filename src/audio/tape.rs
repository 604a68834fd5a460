//! A recording being played: read in the background, handed on a frame every 20 ms as if it were a
//! call, so that volume, mute, pan and the loss of a device are what they are for calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::engine::{ListenStream, Tasks};
use crate::media::{FRAME, StereoFrame, TapeOrder, TapeState};

use super::decode::decode;

/// Frames handed over and not yet taken. Full: the tape stands still, so nothing of it is lost while
/// a device is being opened.
const AHEAD: usize = 8;
/// Orders waiting. Full: the key press is dropped; the task is never busy for longer than a frame.
const ORDERS_MAX: usize = 16;
/// A tick this late was not late but asleep: what was missed is not caught up with.
const ASLEEP: Duration = Duration::from_millis(200);
const FRAMES_PER_S: usize = 50;

/// Handle to a recording being played. Dropping it ends it.
#[derive(Debug)]
pub struct Tape {
    orders: mpsc::Sender<TapeOrder>,
    state: watch::Receiver<TapeState>,
    stop: CancellationToken,
}

impl Tape {
    /// Begins to play a file; what comes out goes into [`super::Output::listen`].
    pub fn start(tasks: &Tasks, audio: Bytes) -> (Self, ListenStream) {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (publish, state) = watch::channel(TapeState::default());
        let (sender, frames) = mpsc::channel(AHEAD);
        let stop = tasks.token().child_token();
        let reel = Arc::new(Reel::default());
        read(tasks, audio, Arc::clone(&reel), stop.clone());
        let player = Player {
            reel,
            frames: sender,
            publish,
            at: 0,
            is_paused: false,
        };
        let token = stop.clone();
        tasks.spawn("recording player", async move {
            // Dropping the work at any await is safe: it holds nothing but its place.
            let _stopped = token.run_until_cancelled(player.run(inbox)).await;
        });
        let tape = Self {
            orders,
            state,
            stop,
        };
        (tape, ListenStream { frames })
    }

    pub fn order(&self, order: TapeOrder) {
        if self.orders.try_send(order).is_err() {
            tracing::debug!("the tape is over or busy; an order was dropped");
        }
    }

    /// Where it is now, and every change of that, whole seconds.
    pub fn state(&self) -> watch::Receiver<TapeState> {
        self.state.clone()
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Reel(Mutex<Read>);

#[derive(Debug, Default)]
struct Read {
    frames: Vec<StereoFrame>,
    /// All has been read; why not, if it could not be.
    end: Option<Result<(), String>>,
}

impl Reel {
    fn lock(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a file on the blocking pool: an hour of MP3 takes seconds.
fn read(tasks: &Tasks, audio: Bytes, reel: Arc<Reel>, stop: CancellationToken) {
    let into = Arc::clone(&reel);
    let reading = tasks.spawn_blocking(move || {
        decode(&audio, |frames| {
            into.lock().frames.extend_from_slice(frames);
            !stop.is_cancelled()
        })
    });
    tasks.spawn("recording reader", async move {
        let end = match reading.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            // A file that makes its reader fail is only a file that cannot be played.
            Err(_) => Err("it cannot be read".to_owned()),
        };
        reel.lock().end = Some(end);
    });
}

struct Player {
    reel: Arc<Reel>,
    frames: mpsc::Sender<StereoFrame>,
    publish: watch::Sender<TapeState>,
    /// The frame to hand over next.
    at: usize,
    is_paused: bool,
}

impl Player {
    async fn run(mut self, mut orders: mpsc::Receiver<TapeOrder>) {
        let mut ticks = interval(FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            // All arms are cancel-safe.
            tokio::select! {
                biased;
                () = self.frames.closed() => return,
                order = orders.recv() => {
                    let Some(order) = order else { return };
                    self.obey(order);
                    ticks.reset();
                }
                due = ticks.tick(), if !self.is_paused => {
                    if Instant::now().saturating_duration_since(due) > ASLEEP {
                        ticks.reset();
                    }
                    if self.step() {
                        return;
                    }
                }
            }
        }
    }

    fn obey(&mut self, order: TapeOrder) {
        match order {
            TapeOrder::Pause => self.is_paused = true,
            TapeOrder::Resume => self.is_paused = false,
            TapeOrder::Seek(seconds) => {
                let by = seconds.unsigned_abs() as usize * FRAMES_PER_S;
                let last = self.reel.lock().frames.len();
                self.at = if seconds < 0 {
                    self.at.saturating_sub(by)
                } else {
                    self.at.saturating_add(by).min(last)
                };
            }
        }
        self.show(None);
    }

    /// Hands over one frame. `true`: that was all.
    fn step(&mut self) -> bool {
        let (frame, end) = {
            let read = self.reel.lock();
            (read.frames.get(self.at).copied(), read.end.clone())
        };
        match (frame, end) {
            (Some(frame), _) => {
                // Full: the device is being opened, or has stopped pulling.
                if self.frames.try_send(frame).is_ok() {
                    self.at += 1;
                }
                self.show(None);
                false
            }
            // Not read yet.
            (None, None) => false,
            (None, Some(end)) => {
                self.show(Some(end));
                true
            }
        }
    }

    fn show(&self, over: Option<Result<(), String>>) {
        let length_s = {
            let read = self.reel.lock();
            let whole = matches!(read.end, Some(Ok(())));
            whole.then(|| ((read.frames.len() + FRAMES_PER_S / 2) / FRAMES_PER_S) as u32)
        };
        let now = TapeState {
            at_s: (self.at / FRAMES_PER_S) as u32,
            length_s,
            is_paused: self.is_paused,
            is_over: over.is_some(),
            error: over.and_then(Result::err),
        };
        self.publish.send_if_modified(|shown| {
            let differs = *shown != now;
            *shown = now;
            differs
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{FRAME_SAMPLES, ulaw_header};

    /// So many seconds, every frame with its own number in it.
    fn file(seconds: usize) -> Bytes {
        let mut file = ulaw_header(1, Some((seconds * 8_000) as u32)).to_vec();
        for number in 0..seconds * FRAMES_PER_S {
            file.extend([0x80 | (number % 100) as u8; FRAME_SAMPLES]);
        }
        file.into()
    }

    fn number(frame: &StereoFrame) -> u8 {
        frame.caller[0] & 0x7F
    }

    /// Frames must be there before time stands still, or a test would race the reader.
    async fn tape(audio: Bytes) -> (Tape, ListenStream, Tasks) {
        let tasks = Tasks::new();
        let (tape, stream) = Tape::start(&tasks, audio);
        (tape, stream, tasks)
    }

    async fn until(tape: &Tape, what: impl Fn(&TapeState) -> bool) -> TapeState {
        let mut state = tape.state();
        state.wait_for(|state| what(state)).await.unwrap().clone()
    }

    #[tokio::test]
    async fn a_tape_plays_to_its_end_and_says_where_it_is() {
        let (tape, mut stream, _tasks) = tape(file(2)).await;
        let mut numbers = Vec::new();
        while let Some(frame) = stream.frames.recv().await {
            numbers.push(number(&frame));
        }
        assert_eq!(
            numbers,
            (0..100).collect::<Vec<u8>>(),
            "nothing lost, nothing twice"
        );
        let state = until(&tape, |state| state.is_over).await;
        assert_eq!((state.at_s, state.length_s), (2, Some(2)));
        assert_eq!(state.error, None);
    }

    #[tokio::test]
    async fn it_pauses_goes_on_and_jumps() {
        let (tape, mut stream, _tasks) = tape(file(30)).await;
        while tape.state().borrow().length_s.is_none() {
            stream.frames.recv().await.unwrap();
        }
        tape.order(TapeOrder::Pause);
        until(&tape, |state| state.is_paused).await;
        while stream.frames.try_recv().is_ok() {}
        let silent = tokio::time::timeout(FRAME * 5, stream.frames.recv()).await;
        assert!(silent.is_err(), "a paused tape hands nothing over");
        let before = tape.state().borrow().at_s;
        tape.order(TapeOrder::Seek(5));
        let state = until(&tape, |state| state.at_s >= 5).await;
        assert_eq!((state.at_s, state.length_s), (before + 5, Some(30)));
        tape.order(TapeOrder::Seek(-60));
        until(&tape, |state| state.at_s == 0).await;
        tape.order(TapeOrder::Resume);
        assert_eq!(number(&stream.frames.recv().await.unwrap()), 0);
        tape.order(TapeOrder::Seek(1_000));
        let state = until(&tape, |state| state.is_over).await;
        assert_eq!(state.at_s, 30);
    }

    #[tokio::test]
    async fn a_device_that_takes_nothing_yet_loses_nothing() {
        let (_tape, mut stream, _tasks) = tape(file(1)).await;
        while stream.frames.len() < AHEAD {
            tokio::time::sleep(FRAME).await;
        }
        tokio::time::sleep(FRAME * 5).await;
        for expected in 0..50 {
            assert_eq!(number(&stream.frames.recv().await.unwrap()), expected);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_played_says_why_and_a_dropped_tape_ends() {
        let (broken, mut stream, _tasks) = tape(Bytes::from_static(b"<html>")).await;
        let state = until(&broken, |state| state.is_over).await;
        assert_eq!(state.error.as_deref(), Some("it is neither WAV nor MP3"));
        assert_eq!(stream.frames.recv().await, None);

        let (playing, mut stream, _tasks) = tape(file(60)).await;
        stream.frames.recv().await.unwrap();
        drop(playing);
        while stream.frames.recv().await.is_some() {}
    }
}
