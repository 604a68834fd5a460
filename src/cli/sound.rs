//! This machine's speakers as the screen asks for them.

use tokio::sync::watch;

use crate::audio::{AudioState, Output, Pan as Panning, Prime};
use crate::engine::{ListenStream, Tasks};
use crate::ui::{Device, Pan, Sound, SoundState};

/// The audio output behind the screen's port.
#[derive(Debug)]
pub struct Speakers {
    output: Output,
    prime: Prime,
    state: watch::Receiver<SoundState>,
}

impl Speakers {
    /// `prime` says whether frames come from this process or over a network.
    pub fn new(output: Output, prime: Prime, tasks: &Tasks) -> Self {
        let mut theirs = output.state();
        let (ours, state) = watch::channel(words(&theirs.borrow_and_update()));
        let token = tasks.token().clone();
        tasks.spawn("sound state", async move {
            loop {
                // Cancel-safe: a change that loses is seen on the next turn.
                tokio::select! {
                    () = token.cancelled() => return,
                    changed = theirs.changed() => if changed.is_err() { return },
                }
                let state = words(&theirs.borrow_and_update());
                ours.send_replace(state);
            }
        });
        Self {
            output,
            prime,
            state,
        }
    }
}

impl Sound for Speakers {
    fn play(&self, stream: ListenStream) {
        self.output.listen(stream, self.prime);
    }

    fn stop(&self) {
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
        self.state.clone()
    }
}

fn words(state: &AudioState) -> SoundState {
    let (device, playing) = match state {
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
    SoundState {
        device,
        playing,
        underruns: 0,
    }
}
