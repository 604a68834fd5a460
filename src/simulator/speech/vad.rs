//! Who is speaking: an energy gate over 20 ms of µ-law, with hang-over. Both actors react to sound
//! with it, never to a timer of the other side.

use crate::simulator::ulaw;

/// Louder than this is a voice. Line noise of the demo is below -45 dBFS.
const GATE_DBFS: f32 = -40.0;

/// Running totals of one leg. Times are milliseconds of audio or wall time, as the owner feeds them.
#[derive(Clone, Debug, Default)]
pub struct Vad {
    /// Voice since [`Vad::reset`].
    pub voiced_ms: u64,
    /// From the first to the last voice of this utterance.
    pub span_ms: u64,
    /// Quiet since the last voice, or since the reset.
    pub quiet_ms: u64,
    started: bool,
}

/// What one piece of audio was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    Quiet,
    Voiced,
}

impl Vad {
    /// Judges one piece of audio that lasted `ms`.
    pub fn hear(&mut self, audio: &[u8], ms: u64) -> Voice {
        if ulaw::level_dbfs(audio) > GATE_DBFS {
            self.voiced_ms += ms;
            self.span_ms += ms + if self.started { self.quiet_ms } else { 0 };
            self.quiet_ms = 0;
            self.started = true;
            Voice::Voiced
        } else {
            self.quiet_ms += ms;
            Voice::Quiet
        }
    }

    /// Nothing arrived for `ms`: that is quiet too.
    pub fn miss(&mut self, ms: u64) {
        self.quiet_ms += ms;
    }

    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
