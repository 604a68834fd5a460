//! What a stretch of audio bytes means.

/// Sample encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Ulaw,
    Alaw,
    Pcm16Le,
}

/// Encoding and rate of mono audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MediaFormat {
    pub encoding: Encoding,
    pub rate_hz: u32,
}
