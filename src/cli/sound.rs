//! This machine's speakers as the screen asks for them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::audio::{AudioState, Output, Pan as Panning, Prime, Tape};
use crate::engine::{ListenStream, Tasks};
use crate::media::{TapeOrder, TapeState};
use crate::ui::{Device, Pan, Sound, SoundState};

/// The audio output behind the screen's port.
#[derive(Debug)]
pub struct Speakers {
    output: Output,
    prime: Prime,
    state: Arc<watch::Sender<SoundState>>,
    tasks: Tasks,
    playing: Arc<Mutex<Playing>>,
}

/// The recording that plays. Its number tells its news from that of the one before.
#[derive(Debug, Default)]
struct Playing {
    tape: Option<Tape>,
    number: u64,
}

impl Speakers {
    /// `prime` says whether frames come from this process or over a network.
    pub fn new(output: Output, prime: Prime, tasks: &Tasks) -> Self {
        let mut theirs = output.state();
        let state = Arc::new(watch::Sender::new(SoundState::default()));
        tell(&state, &theirs.borrow_and_update());
        let (ours, token) = (Arc::clone(&state), tasks.token().clone());
        tasks.spawn("sound state", async move {
            loop {
                // Cancel-safe: a change that loses is seen on the next turn.
                tokio::select! {
                    () = token.cancelled() => return,
                    changed = theirs.changed() => if changed.is_err() { return },
                }
                tell(&ours, &theirs.borrow_and_update());
            }
        });
        Self {
            output,
            prime,
            state,
            tasks: tasks.clone(),
            playing: Arc::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Playing> {
        self.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the tape out, if there is one; its news count no longer.
    fn eject(&self) {
        let mut playing = self.lock();
        playing.number += 1;
        playing.tape = None;
        self.state
            .send_if_modified(|state| state.tape.take().is_some());
    }

    /// Shows where a tape is, for as long as it is the one that plays.
    fn follow(&self, mut theirs: watch::Receiver<TapeState>, number: u64) {
        let (ours, playing) = (Arc::clone(&self.state), Arc::clone(&self.playing));
        let token = self.tasks.token().clone();
        self.tasks.spawn("recording state", async move {
            loop {
                {
                    let playing = playing.lock().unwrap_or_else(PoisonError::into_inner);
                    if playing.number != number {
                        return;
                    }
                    let tape = theirs.borrow_and_update().clone();
                    ours.send_modify(|state| state.tape = Some(tape));
                }
                // Cancel-safe: a change that loses is seen on the next turn.
                tokio::select! {
                    () = token.cancelled() => return,
                    changed = theirs.changed() => if changed.is_err() { return },
                }
            }
        });
    }
}

impl Sound for Speakers {
    fn play(&self, stream: ListenStream) {
        self.eject();
        self.output.listen(stream, self.prime);
    }

    fn play_recording(&self, audio: Bytes) {
        self.eject();
        let (tape, stream) = Tape::start(&self.tasks, audio);
        let (state, number) = {
            let mut playing = self.lock();
            let state = tape.state();
            playing.tape = Some(tape);
            (state, playing.number)
        };
        self.output.listen(stream, Prime::Recorded);
        self.follow(state, number);
    }

    fn tape(&self, order: TapeOrder) {
        if let Some(tape) = &self.lock().tape {
            tape.order(order);
        }
    }

    fn stop(&self) {
        self.eject();
        self.output.stop();
    }

    fn volume(&self, percent: u8) {
        self.output.volume(percent);
    }

    fn mute(&self, on: bool) {
        if on {
            self.output.mute();
        } else {
            self.output.unmute();
        }
    }

    fn pan(&self, pan: Pan) {
        self.output.pan(match pan {
            Pan::Split => Panning::Both,
            Pan::Mixed => Panning::Centre,
            Pan::CallerOnly => Panning::CallerOnly,
            Pan::AgentOnly => Panning::AgentOnly,
        });
    }

    fn state(&self) -> watch::Receiver<SoundState> {
        self.state.subscribe()
    }
}

/// Puts what the output says into the words of the screen, beside the tape.
fn tell(ours: &watch::Sender<SoundState>, theirs: &AudioState) {
    let (device, playing) = match theirs {
        AudioState::Idle => (Device::Unopened, false),
        AudioState::Playing(name) => (Device::Ready { name: name.clone() }, true),
        AudioState::Muted => (
            Device::Ready {
                name: "muted".into(),
            },
            true,
        ),
        AudioState::NoDevice(reason) => (
            Device::Absent {
                reason: reason.clone(),
            },
            false,
        ),
        AudioState::Lost { reason, .. } => (
            Device::Lost {
                reason: reason.clone(),
            },
            false,
        ),
    };
    ours.send_modify(|state| {
        state.device = device;
        state.playing = playing;
    });
}
