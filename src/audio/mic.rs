//! This machine's microphone: 20 ms of 16-bit mono at a time, with its level. Having none is a normal
//! answer. Nothing is recorded before [`Mic::open`] and nothing after it is dropped.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::media::{Level, level_pcm};

use super::AudioEnv;
use super::device::Reason;

/// Of what [`Mic::frame`] gives: signed 16 bit, little-endian, one channel.
pub const RATE_HZ: u32 = 16_000;
/// 20 ms of it.
pub const FRAME_BYTES: usize = 640;
/// A second of the server's chunks at their usual size; full: what comes is dropped and counted.
pub(super) const CHUNKS_MAX: usize = 64;

/// A loss is looked into for this long.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// Which input is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceChoice {
    /// What the system prefers, unless that is the loudspeaker's own sound.
    #[default]
    Default,
    /// The input with this name or description, whatever it is.
    Named(String),
    /// None at all; nothing is opened or looked for.
    Off,
}

/// How the microphone is set up.
#[derive(Clone, Debug, Default)]
pub struct MicConfig {
    pub source: SourceChoice,
    pub env: AudioEnv,
}

impl MicConfig {
    /// `source`: empty or `default` for the system's own, or a name. `lookup` reads the environment;
    /// `WALLBOARD_AUDIO=none` switches the microphone off as it does the loudspeaker.
    pub fn new(source: &str, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let is_off = super::AudioConfig::new(None, &lookup).device == super::DeviceChoice::Off;
        let source = match source.trim() {
            _ if is_off => SourceChoice::Off,
            "" | "default" => SourceChoice::Default,
            name => SourceChoice::Named(name.to_owned()),
        };
        Self {
            source,
            env: AudioEnv::from_lookup(lookup),
        }
    }

    fn wanted(&self) -> Result<Option<&str>, Reason> {
        match &self.source {
            SourceChoice::Default => Ok(None),
            SourceChoice::Named(name) => Ok(Some(name)),
            SourceChoice::Off => Err("sound is switched off".to_owned()),
        }
    }

    /// The name of the microphone there would be.
    ///
    /// # Errors
    /// Why there is none, in words for whoever wanted to speak.
    pub async fn find(&self) -> Result<String, String> {
        let wanted = self.wanted()?;
        #[cfg(target_os = "linux")]
        let found = super::pulse::mic::find(&self.env, wanted).await;
        #[cfg(not(target_os = "linux"))]
        let found = unsupported(wanted);
        found
    }
}

/// A recording that runs.
pub(super) struct Opened {
    /// What the system calls it.
    pub(super) name: String,
    pub(super) chunks: mpsc::Receiver<Bytes>,
    /// Ends when the source is lost, or in order after `close` is cancelled. Owns the connection.
    pub(super) watch: BoxFuture<'static, Reason>,
    pub(super) close: CancellationToken,
}

/// 20 ms of the microphone.
#[derive(Clone, Debug)]
pub struct MicFrame {
    pub pcm: Bytes,
    pub level: Level,
}

/// An open microphone. Dropping it ends the recording at once.
pub struct Mic {
    opened: Opened,
    /// What is not a whole frame yet.
    rest: BytesMut,
    /// Until when a loss is looked into; kept here, because whoever waits may give up and ask again.
    told_by: Option<Instant>,
}

impl std::fmt::Debug for Mic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mic")
            .field("name", &self.opened.name)
            .finish_non_exhaustive()
    }
}

impl Mic {
    /// Begins to record.
    ///
    /// # Errors
    /// Why it cannot, in words for whoever wanted to speak.
    pub async fn open(config: &MicConfig) -> Result<Self, String> {
        let wanted = config.wanted()?;
        #[cfg(target_os = "linux")]
        let opened = super::pulse::mic::open(&config.env, wanted).await;
        #[cfg(not(target_os = "linux"))]
        let opened = unsupported(wanted);
        Ok(Self::of(opened?))
    }

    /// A microphone whose sound is whatever comes here; it is lost when the sender goes.
    pub fn stand_in(name: &str, chunks: mpsc::Receiver<Bytes>) -> Self {
        Self::of(Opened {
            name: name.to_owned(),
            chunks,
            watch: Box::pin(std::future::pending()),
            close: CancellationToken::new(),
        })
    }

    fn of(opened: Opened) -> Self {
        Self {
            opened,
            rest: BytesMut::new(),
            told_by: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.opened.name
    }

    /// The next 20 ms. Cancel-safe: what has come stays until it is a frame.
    ///
    /// # Errors
    /// Why there is no more sound, once and for all.
    pub async fn frame(&mut self) -> Result<MicFrame, String> {
        while self.rest.len() < FRAME_BYTES {
            // Both are cancel-safe; a loss is noticed after all that was recorded is heard.
            tokio::select! {
                biased;
                chunk = self.opened.chunks.recv() => match chunk {
                    Some(chunk) => self.rest.extend_from_slice(&chunk),
                    None => return Err(self.lost().await),
                },
                reason = &mut self.opened.watch => return Err(reason),
            }
        }
        let pcm = self.rest.split_to(FRAME_BYTES).freeze();
        let samples: Vec<i16> = pcm
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let level = level_pcm(&samples);
        Ok(MicFrame { pcm, level })
    }

    /// Why nothing more comes: whoever watches the stream knows, and is on its way.
    async fn lost(&mut self) -> Reason {
        let told_by = *(self.told_by).get_or_insert_with(|| Instant::now() + TOLD_WITHIN);
        let reason = tokio::time::timeout_at(told_by, &mut self.opened.watch).await;
        reason.unwrap_or_else(|_| "the sound server went away".to_owned())
    }

    /// Ends the recording and waits until the server knows.
    pub async fn close(self) {
        self.opened.close.cancel();
        self.opened.watch.await;
    }
}

#[cfg(not(target_os = "linux"))]
fn unsupported<T>(_wanted: Option<&str>) -> Result<T, Reason> {
    Err("the microphone needs PulseAudio or PipeWire".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn chunks_of_any_size_become_frames_of_20_ms() {
        let (feed, chunks) = mpsc::channel(8);
        let mut mic = Mic::stand_in("test", chunks);
        let loud: Vec<u8> = std::iter::repeat_n(8_000i16.to_le_bytes(), 400)
            .flatten()
            .collect();
        for _ in 0..2 {
            feed.try_send(Bytes::from(loud.clone())).unwrap();
        }
        for _ in 0..2 {
            let frame = mic.frame().await.unwrap();
            assert_eq!(frame.pcm.len(), FRAME_BYTES);
            assert!(
                (-13.0..-11.0).contains(&frame.level.rms_dbfs),
                "{:?}",
                frame.level
            );
        }
        drop(feed);
        // 160 samples are left: not a frame.
        assert_eq!(mic.frame().await.unwrap_err(), "the sound server went away");
    }

    #[test]
    fn what_switches_sound_off_switches_the_microphone_off() {
        let off = |name: &str| (name == "WALLBOARD_AUDIO").then(|| "none".to_owned());
        assert_eq!(MicConfig::new("usb", off).source, SourceChoice::Off);
        let none = |_: &str| None;
        assert_eq!(MicConfig::new("", none).source, SourceChoice::Default);
        let named = SourceChoice::Named("usb".into());
        assert_eq!(MicConfig::new(" usb ", none).source, named);
    }
}
