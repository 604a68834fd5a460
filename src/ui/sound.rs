//! `Sound`: what the screen needs of an audio output. The output itself lives elsewhere; `cli`
//! hands one in, and a machine without a sound device hands in one that says so.

use std::fmt::Debug;

use bytes::Bytes;
use tokio::sync::watch;

use crate::engine::ListenStream;
use crate::media::{TapeOrder, TapeState};

/// An output that plays one live call at a time. Never blocks; nothing here can reach a caller.
pub trait Sound: Send + Sync + Debug {
    /// Plays this call from now on, replacing what played before.
    fn play(&self, stream: ListenStream);

    /// Plays the file of a recording from its start, replacing what played before. An output that
    /// cannot says nothing and plays nothing.
    fn play_recording(&self, _audio: Bytes) {}

    /// What to do with the recording that plays.
    fn tape(&self, _order: TapeOrder) {}

    /// Falls silent and leaves the call, or the recording.
    fn stop(&self);

    /// Loudness in percent, 0 to 150.
    fn volume(&self, percent: u8);

    fn mute(&self, on: bool);

    /// Which leg goes to which ear.
    fn pan(&self, pan: Pan);

    /// The latest state; changes wake the screen.
    fn state(&self) -> watch::Receiver<SoundState>;
}

/// Which of the two legs is heard, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pan {
    /// Caller left, agent right.
    #[default]
    Split,
    /// Both in the middle.
    Mixed,
    CallerOnly,
    AgentOnly,
}

impl Pan {
    pub fn next(self) -> Self {
        match self {
            Self::Split => Self::Mixed,
            Self::Mixed => Self::CallerOnly,
            Self::CallerOnly => Self::AgentOnly,
            Self::AgentOnly => Self::Split,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Split => "caller left, agent right",
            Self::Mixed => "both legs in the middle",
            Self::CallerOnly => "caller only",
            Self::AgentOnly => "agent only",
        }
    }

    /// The header's few letters.
    pub fn short(self) -> &'static str {
        match self {
            Self::Split => "L/R",
            Self::Mixed => "mix",
            Self::CallerOnly => "caller",
            Self::AgentOnly => "agent",
        }
    }
}

/// The output device, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// Nobody has asked it to play yet.
    #[default]
    Unopened,
    Ready {
        name: String,
    },
    /// There is none on this host, with the reason. The screen then says how to hear it anyway.
    Absent {
        reason: String,
    },
    /// It was there and went; the output keeps trying.
    Lost {
        reason: String,
    },
}

/// What the output is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SoundState {
    pub device: Device,
    pub playing: bool,
    /// Times the buffer ran empty since the call was opened.
    pub underruns: u32,
    /// The recording that plays, or has just ended.
    pub tape: Option<TapeState>,
}
