//! Audio arithmetic: code words, rates, frames, timing of frames, loudness and WAV bytes.
//!
//! Pure: no clock, no I/O, no task, no lock. Time comes in as a [`std::time::Duration`] since any
//! fixed instant the caller likes, the same one for every call on one object. What to do with the
//! results (send, draw, store) is decided above.

mod format;
mod g711;
mod jitter;
mod level;
mod pacer;
mod playout;
mod resample;
mod score;
mod stereo;
mod talk;
mod tape;
mod tone;
mod vad;
mod wav;

use std::collections::VecDeque;
use std::time::Duration;

pub use format::{Encoding, FormatError, MediaFormat, Transcoder};
pub use g711::{
    alaw_decode, alaw_decode_sample, alaw_encode, alaw_encode_sample, ulaw_decode,
    ulaw_decode_sample, ulaw_encode, ulaw_encode_sample,
};
pub use jitter::{Arrival, ArrivalStats, Arrivals};
pub use level::{
    LegHealth, Level, METER_FLOOR_DBFS, Meter, MeterReading, SILENCE_DBFS, level_pcm, level_ulaw,
};
pub use pacer::{AgentFrame, AgentQueue, PlayoutClock, Pushed, TagSpan};
pub use playout::{MarkEcho, Playout};
pub use resample::Resampler;
pub use score::{
    Culprit, Grade, Hysteresis, Limits, Plc, QualitySample, Rating, Thresholds, e_model,
    mos_from_r, mouth_to_ear_ms,
};
pub use stereo::{LegTimeline, StereoFrame, StereoTapper, mix_ulaw};
pub use talk::{DeadAir, Speaking, Talk, TalkShares};
pub use tape::{TapeOrder, TapeState};
pub use tone::{goertzel, sine};
pub use vad::{Vad, VadConfig, VadEvent};
pub use wav::{
    PCM16_HEADER_LEN, ULAW_HEADER_LEN, Wav, WavError, WavFormat, pcm16_header, ulaw_header,
    ulaw_size_patches,
};

/// Rate of a telephone leg.
pub const TELEPHONE_RATE_HZ: u32 = 8_000;
/// Length of one frame of one track.
pub const FRAME_MS: u64 = 20;
/// The same as a [`Duration`].
pub const FRAME: Duration = Duration::from_millis(FRAME_MS);
/// Samples, and with G.711 also bytes, in one frame of one track.
pub const FRAME_SAMPLES: usize = 160;
/// Bytes of G.711 in a millisecond of one track.
pub const BYTES_PER_MS: usize = 8;
/// The µ-law code word for zero.
pub const ULAW_SILENCE: u8 = 0xFF;
/// The A-law code word nearest to zero.
pub const ALAW_SILENCE: u8 = 0xD5;

/// 20 ms of one track, µ-law, 8 kHz.
pub type Frame = [u8; FRAME_SAMPLES];

/// A frame of nothing.
pub const SILENT_FRAME: Frame = [ULAW_SILENCE; FRAME_SAMPLES];

/// Playing time of G.711 at 8 kHz, rounded down to the millisecond.
pub const fn g711_ms(bytes: usize) -> u64 {
    (bytes / BYTES_PER_MS) as u64
}

/// Moves the oldest bytes of `queue` into a frame padded with silence. Returns how many they were.
fn take_front(queue: &mut VecDeque<u8>) -> (Frame, usize) {
    let mut frame = SILENT_FRAME;
    let len = queue.len().min(FRAME_SAMPLES);
    let (front, back) = queue.as_slices();
    let split = front.len().min(len);
    frame[..split].copy_from_slice(&front[..split]);
    frame[split..len].copy_from_slice(&back[..len - split]);
    queue.drain(..len);
    (frame, len)
}

fn as_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
