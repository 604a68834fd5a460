//! The audio task: opens the device when there is something to hear, feeds it, notices its loss,
//! tries again, and tells the screen.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::media::StereoFrame;

use super::device::{self, Opened, Reason};
use super::ring::{Feeder, Prime, ring};
use super::source::{Controls, Pan};
use super::{AudioConfig, AudioState, Volume, controls};

/// Waits between attempts after a loss; the last one repeats.
const BACKOFF: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// The device is kept this long after listening ends: switching calls is then instant.
const LINGER: Duration = Duration::from_secs(5);
/// Longer than the fade-out at the end, with the device's own buffer.
const FADE: Duration = Duration::from_millis(150);
const CLOSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) enum Command {
    Listen(mpsc::Receiver<StereoFrame>, Prime),
    Stop,
    Volume(Volume),
    Mute(bool),
    Pan(Pan),
}

/// A call being listened to.
struct Listening {
    frames: mpsc::Receiver<StereoFrame>,
    prime: Prime,
}

/// How a session with an opened device ended.
enum Ended {
    /// Nothing to hear any more; the device is closed.
    Idle,
    Lost(Reason),
    Quit,
}

pub(super) struct AudioTask {
    config: AudioConfig,
    inbox: mpsc::Receiver<Command>,
    publish: watch::Sender<AudioState>,
    stop: CancellationToken,
    controls: Arc<Controls>,
    listening: Option<Listening>,
}

impl AudioTask {
    pub(super) fn new(
        config: AudioConfig,
        inbox: mpsc::Receiver<Command>,
        publish: watch::Sender<AudioState>,
        stop: CancellationToken,
    ) -> Self {
        let controls = controls(config.volume);
        Self {
            config,
            inbox,
            publish,
            stop,
            controls,
            listening: None,
        }
    }

    /// Ends when the token is cancelled or the handle is dropped.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        // Dropping the work at any await is safe: devices close when dropped.
        let _stopped = stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        match device::probe(&self.config).await {
            Ok(()) => self.show(AudioState::Idle),
            Err(reason) => self.no_device(reason),
        }
        loop {
            while self.listening.is_none() {
                let Some(command) = self.inbox.recv().await else {
                    return;
                };
                self.apply(command);
            }
            if let Ended::Quit = self.play().await {
                return;
            }
        }
    }

    /// Plays until nothing is left to hear, through any number of losses.
    async fn play(&mut self) -> Ended {
        let mut attempt = 0;
        let mut was_open = false;
        loop {
            let reason = match device::open(&self.config).await {
                Ok(opened) => {
                    tracing::info!(device = %opened.name, "local sound opened");
                    was_open = true;
                    match self.session(opened, &mut attempt).await {
                        Ended::Lost(reason) => reason,
                        ended => return ended,
                    }
                }
                Err(reason) if was_open => reason,
                Err(reason) => {
                    self.listening = None;
                    self.no_device(reason);
                    return Ended::Idle;
                }
            };
            let wait = BACKOFF
                .get(attempt)
                .copied()
                .unwrap_or(Duration::from_secs(5));
            attempt += 1;
            tracing::warn!(%reason, "local sound lost");
            self.show(AudioState::Lost {
                reason,
                retry: wait,
            });
            if let Some(ended) = self.wait(wait).await {
                return ended;
            }
        }
    }

    /// Feeds an opened device.
    async fn session(&mut self, opened: Opened, attempt: &mut usize) -> Ended {
        let Opened {
            name,
            mixer,
            rate_hz,
            mut watch,
            close,
        } = opened;
        let controls = self.controls.clone();
        let connect = |prime: Prime| {
            let (feeder, source) = ring(prime, rate_hz, controls.clone());
            mixer.add(source);
            feeder
        };
        self.discard_backlog();
        let mut feeder = self.listening.as_ref().map(|l| connect(l.prime));
        let started = Instant::now();
        let mut idle_since = started;
        self.show_playing(&name);
        loop {
            tokio::select! {
                // All arms are cancel-safe. A loss is noticed before more is fed.
                biased;
                reason = &mut watch => {
                    // A device that played for a while has earned a quick first retry.
                    if started.elapsed() > LINGER {
                        *attempt = 0;
                    }
                    return Ended::Lost(reason);
                }
                command = self.inbox.recv() => {
                    let Some(command) = command else {
                        drop(feeder.take());
                        self.close(watch, &close).await;
                        return Ended::Quit;
                    };
                    match &command {
                        // The old source fades out by itself while the new one fades in.
                        Command::Listen(_, prime) => feeder = Some(connect(*prime)),
                        Command::Stop => (feeder, idle_since) = (None, Instant::now()),
                        Command::Volume(_) | Command::Mute(_) | Command::Pan(_) => {}
                    }
                    self.apply(command);
                    self.show_session(feeder.is_some(), &name);
                }
                frame = next_frame(&mut self.listening) => {
                    if let (Some(frame), Some(feeder)) = (frame, feeder.as_mut()) {
                        feeder.push(frame);
                    } else {
                        log_losses(feeder.take());
                        (self.listening, idle_since) = (None, Instant::now());
                        self.show(AudioState::Idle);
                    }
                }
                () = sleep_until(idle_since + LINGER), if self.listening.is_none() => {
                    self.close(watch, &close).await;
                    return Ended::Idle;
                }
            }
        }
    }

    /// Waits before the next attempt; commands are obeyed and frames thrown away meanwhile.
    async fn wait(&mut self, wait: Duration) -> Option<Ended> {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => return None,
                command = self.inbox.recv() => match command {
                    Some(command) => self.apply(command),
                    None => return Some(Ended::Quit),
                },
                frame = next_frame(&mut self.listening) => if frame.is_none() {
                    self.listening = None;
                },
            }
            if self.listening.is_none() {
                self.show(AudioState::Idle);
                return Some(Ended::Idle);
            }
        }
    }

    fn apply(&mut self, command: Command) {
        match command {
            Command::Listen(frames, prime) => self.listening = Some(Listening { frames, prime }),
            Command::Stop => self.listening = None,
            Command::Volume(volume) => self.controls.set_volume(volume),
            Command::Mute(muted) => self.controls.set_muted(muted),
            Command::Pan(pan) => self.controls.set_pan(pan),
        }
    }

    /// What came while the device was being opened is the past, unless it was recorded.
    fn discard_backlog(&mut self) {
        let live = self.listening.as_mut();
        if let Some(listening) = live.filter(|it| it.prime != Prime::Recorded) {
            while listening.frames.try_recv().is_ok() {}
        }
    }

    async fn close(
        &self,
        watch: futures_util::future::BoxFuture<'static, Reason>,
        close: &CancellationToken,
    ) {
        // Give the fade-out its time, or it would be cut into a click.
        tokio::time::sleep(FADE).await;
        close.cancel();
        drop(timeout(CLOSE, watch).await);
    }

    fn show_session(&self, playing: bool, name: &str) {
        if playing {
            self.show_playing(name);
        } else {
            self.show(AudioState::Idle);
        }
    }

    fn show_playing(&self, name: &str) {
        self.show(if self.controls.is_muted() {
            AudioState::Muted
        } else {
            AudioState::Playing(name.to_owned())
        });
    }

    fn no_device(&self, reason: Reason) {
        tracing::info!(%reason, "no local sound");
        self.show(AudioState::NoDevice(reason));
    }

    fn show(&self, state: AudioState) {
        self.publish.send_if_modified(|now| {
            let changed = *now != state;
            *now = state;
            changed
        });
    }
}

/// The next frame of the call listened to; `None` when it has ended. Never ready without a call.
async fn next_frame(listening: &mut Option<Listening>) -> Option<StereoFrame> {
    match listening {
        Some(listening) => listening.frames.recv().await,
        None => std::future::pending().await,
    }
}

fn log_losses(feeder: Option<Feeder>) {
    if let Some(stats) = feeder
        .map(|f| f.stats())
        .filter(|s| s.dropped + s.underruns > 0)
    {
        tracing::debug!(
            dropped = stats.dropped,
            underruns = stats.underruns,
            "listening ended"
        );
    }
}
