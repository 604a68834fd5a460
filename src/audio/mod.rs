//! Sound of one call, or of one recording, on this machine's speakers, and its microphone for whoever
//! talks to an agent. Having neither is a normal answer, not an error.
//!
//! Owns the sound server connection, the ring between a call's frames and the device, volume, mute
//! and pan. Does not decide which call is heard, cannot send audio into a call, and never delays
//! one: what it cannot play in time it drops and counts.
//!
//! On Linux the default build speaks the PulseAudio protocol itself (PipeWire understands it too),
//! so that the program needs no sound library to build or start. Elsewhere, and on Linux with the
//! feature `alsa`, rodio opens the device.

mod address;
#[cfg(any(feature = "alsa", not(target_os = "linux")))]
mod cpal_dev;
mod decode;
mod device;
mod mic;
#[cfg(target_os = "linux")]
mod pulse;
mod ring;
mod source;
mod tape;
mod task;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::engine::{ListenStream, Tasks};

pub use address::{AudioEnv, PulseAddress, pulse_addresses};
pub use decode::DecodeError;
pub use device::list_devices;
pub use mic::{
    FRAME_BYTES as MIC_FRAME_BYTES, Mic, MicConfig, MicFrame, RATE_HZ as MIC_RATE_HZ, SourceChoice,
};
pub use ring::{Feeder, Prime, RingStats, ring};
pub use source::{Controls, ListenSource, Pan};
pub use tape::Tape;
use task::Command;

/// Commands waiting for the audio task. Full: the key press is dropped and logged; the task is
/// never busy for longer than it takes to open a device.
const COMMANDS_MAX: usize = 32;

/// What the operator is shown about local sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioState {
    /// There is a device, and nothing to play.
    Idle,
    /// Playing on the device of this name.
    Playing(String),
    /// Playing, but muted by the operator.
    Muted,
    /// No local sound and why. Normal over SSH: offer the listen URL.
    NoDevice(String),
    /// The device went away while listening; tried again after `retry`.
    Lost {
        reason: String,
        retry: std::time::Duration,
    },
}

/// Which output is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// What the system prefers.
    #[default]
    Default,
    /// The output with this name or description.
    Named(String),
    /// No local sound at all; nothing is opened or looked for.
    Off,
}

/// How local sound is set up.
#[derive(Clone, Debug, Default)]
pub struct AudioConfig {
    pub device: DeviceChoice,
    /// 0 to 100.
    pub volume: Volume,
    pub env: AudioEnv,
}

/// Loudness in percent as the operator sets it. Heard as its square, which feels even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume(pub u8);

/// Handle to the audio task. Dropping it ends the task.
#[derive(Debug)]
pub struct Output {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<AudioState>,
    stop: CancellationToken,
}

impl Default for Volume {
    fn default() -> Self {
        Self(80)
    }
}

impl AudioConfig {
    /// `device` is the value of `--audio-device` or of the configuration (`none`, `default`, a
    /// name). `lookup` reads the environment; `WALLBOARD_AUDIO=none` switches sound off whatever
    /// the option says, so that tests and servers stay silent.
    pub fn new(device: Option<&str>, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let word = |w: &str| w.trim().to_ascii_lowercase();
        let off = |w: &str| matches!(word(w).as_str(), "none" | "off" | "0" | "false");
        let device = match device {
            _ if lookup("WALLBOARD_AUDIO").is_some_and(|w| off(&w)) => DeviceChoice::Off,
            Some(name) if off(name) => DeviceChoice::Off,
            Some(name) if !matches!(word(name).as_str(), "" | "default" | "auto") => {
                DeviceChoice::Named(name.trim().to_owned())
            }
            _ => DeviceChoice::Default,
        };
        Self {
            device,
            volume: Volume::default(),
            env: AudioEnv::from_lookup(lookup),
        }
    }
}

impl Output {
    /// Starts the audio task and has it look for a device. Nothing is opened for good before the
    /// first [`Output::listen`].
    pub fn start(tasks: &Tasks, config: AudioConfig) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (publish, state) = watch::channel(AudioState::Idle);
        let stop = tasks.token().child_token();
        let task = task::AudioTask::new(config, inbox, publish, stop.clone());
        tasks.spawn("audio", task.run());
        Self {
            commands,
            state,
            stop,
        }
    }

    /// Plays a call instead of whatever was playing. Without a device the stream is dropped and
    /// the state says why.
    pub fn listen(&self, stream: ListenStream, prime: Prime) {
        self.send(Command::Listen(stream.frames, prime));
    }

    /// Ends listening; the device is given back a little later.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    /// Sets loudness, 0 to 100; more is taken as 100.
    pub fn volume(&self, percent: u8) {
        self.send(Command::Volume(Volume(percent.min(100))));
    }

    /// Silences the speakers; the call goes on being received, so unmuting is live.
    pub fn mute(&self) {
        self.send(Command::Mute(true));
    }

    pub fn unmute(&self) {
        self.send(Command::Mute(false));
    }

    pub fn pan(&self, pan: Pan) {
        self.send(Command::Pan(pan));
    }

    /// The state now and every change of it.
    pub fn state(&self) -> watch::Receiver<AudioState> {
        self.state.clone()
    }

    fn send(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!("audio is busy or has ended; a command was dropped");
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Controls at their defaults, with this loudness.
pub(crate) fn controls(volume: Volume) -> Arc<Controls> {
    let controls = Controls::default();
    controls.set_volume(volume);
    Arc::new(controls)
}

#[cfg(test)]
mod tests;
