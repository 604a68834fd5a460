//! A recording being played, in words: what can be asked of it and where it is.

/// What can be asked of a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapeOrder {
    Pause,
    Resume,
    /// Seconds, back below zero.
    Seek(i32),
}

/// Where a tape is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapeState {
    pub at_s: u32,
    /// Known once all of it has been read.
    pub length_s: Option<u32>,
    pub is_paused: bool,
    /// It has come to its end, or cannot go on.
    pub is_over: bool,
    /// Why it cannot be played.
    pub error: Option<String>,
}
