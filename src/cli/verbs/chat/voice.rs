//! The voice of a conversation in a terminal: the microphone to the agent, the agent to the
//! loudspeaker. Off until it is turned on; off means that nothing is recorded.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::audio::{
    AudioConfig, MIC_FRAME_BYTES, Mic, MicConfig, MicFrame, Output, Pan, Prime, Volume,
};
use crate::engine::{ListenStream, Tasks};
use crate::media::{FRAME, FRAME_SAMPLES, Frame, SILENT_FRAME, StereoFrame};

/// What goes out in one message: early for the ear of the agent, few messages for the line.
const CHUNK_BYTES: usize = 5 * MIC_FRAME_BYTES;
/// Gathered before an answer is played, µ-law at 8 kHz: the messages are 200 ms long.
const PRIME_BYTES: usize = 1_920;
/// An answer waits here for half a minute of sound; what comes then is lost.
const SPEECH_MAX: usize = 240_000;
/// Frames waiting for the loudspeaker.
const FRAMES_MAX: usize = 8;
/// What was recorded longer ago is not what somebody has just said.
const FRESH: Duration = Duration::from_millis(300);
/// How long a loudspeaker that is not there is left alone.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Steps of the drawn level, from here up to full scale.
const BARS: usize = 10;
const QUIET_DBFS: f32 = -60.0;

/// See the module's doc.
pub(super) struct Voice {
    config: MicConfig,
    mic: Option<Mic>,
    /// Recorded, and not sent yet.
    pending: BytesMut,
    /// Of the last frame.
    level_dbfs: f32,
    heard_at: Option<Instant>,
    speech: Speech,
    ticks: Interval,
    player: Player,
}

/// The loudspeaker as far as it is there.
struct Player {
    output: Output,
    frames: Option<mpsc::Sender<StereoFrame>>,
    /// There was no loudspeaker; it is not looked for again before.
    absent_until: Option<Instant>,
}

impl Voice {
    /// A voice with nothing recorded yet.
    pub(super) fn new(config: MicConfig, speakers: AudioConfig, tasks: &Tasks) -> Self {
        let volume = speakers.volume;
        let player = Player::start(Output::start(tasks, speakers), volume);
        let mut ticks = interval(FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self {
            config,
            mic: None,
            pending: BytesMut::new(),
            level_dbfs: QUIET_DBFS,
            heard_at: None,
            speech: Speech::default(),
            ticks,
            player,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.mic.is_some()
    }

    /// Begins to record, and says on what.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) async fn turn_on(&mut self) -> Result<String, String> {
        let mic = Mic::open(&self.config).await?;
        let name = mic.name().to_owned();
        self.use_mic(mic);
        Ok(name)
    }

    fn use_mic(&mut self, mic: Mic) {
        self.pending.clear();
        self.mic = Some(mic);
    }

    /// Ends recording; `false`: it was off. What was recorded last is to be sent as the end of what was
    /// said; nothing, where the microphone had been silent by itself: there is no end of nothing.
    pub(super) async fn turn_off(&mut self) -> (bool, Option<Bytes>) {
        let Some(mic) = self.mic.take() else {
            return (false, None);
        };
        mic.close().await;
        self.level_dbfs = QUIET_DBFS;
        (true, self.end_of_speech())
    }

    fn end_of_speech(&mut self) -> Option<Bytes> {
        let rest = self.pending.split().freeze();
        let is_fresh = self.heard_at.take()?.elapsed() < FRESH;
        // A message must hold something.
        let sound = if rest.is_empty() {
            Bytes::from_static(&[0; MIC_FRAME_BYTES])
        } else {
            rest
        };
        is_fresh.then_some(sound)
    }

    /// The next sound to send; meanwhile the agent's is played. Cancel-safe: a frame that was taken is
    /// kept, a tick that loses comes again.
    ///
    /// # Errors
    /// The microphone is gone, and why. It is off then.
    pub(super) async fn next(&mut self) -> Result<Bytes, String> {
        loop {
            tokio::select! {
                _ = self.ticks.tick() => {
                    let frame = self.speech.frame();
                    self.player.play(frame);
                }
                frame = frame_of(&mut self.mic) => match frame {
                    Ok(frame) => {
                        if let Some(sound) = self.take(&frame) {
                            return Ok(sound);
                        }
                    }
                    Err(reason) => {
                        self.mic = None;
                        self.level_dbfs = QUIET_DBFS;
                        return Err(reason);
                    }
                },
            }
        }
    }

    fn take(&mut self, frame: &MicFrame) -> Option<Bytes> {
        self.level_dbfs = frame.level.rms_dbfs.max(QUIET_DBFS);
        self.heard_at = Some(Instant::now());
        self.pending.extend_from_slice(&frame.pcm);
        (self.pending.len() >= CHUNK_BYTES).then(|| self.pending.split().freeze())
    }

    /// Something of the agent's, µ-law at 8 kHz.
    pub(super) fn heard(&mut self, ulaw: &[u8], is_last: bool) {
        self.speech.push(ulaw, is_last);
    }

    /// What has not been played is not to be.
    pub(super) fn clear(&mut self) {
        self.speech.clear();
    }

    /// One line: the microphone's state, its level, and whether the agent is heard.
    pub(super) fn status(&self) -> String {
        let mut text = if self.is_on() {
            let level = level(self.level_dbfs);
            format!("* mic on  {level} {:3.0} dB", self.level_dbfs)
        } else {
            "o mic off (Tab)".to_owned()
        };
        if self.speech.is_flowing {
            let _ = write!(text, "  agent speaks");
        }
        text
    }
}

/// Never, while the microphone is off.
async fn frame_of(mic: &mut Option<Mic>) -> Result<MicFrame, String> {
    match mic {
        Some(mic) => mic.frame().await,
        None => std::future::pending().await,
    }
}

impl Player {
    fn start(output: Output, Volume(percent): Volume) -> Self {
        output.volume(percent);
        // Both ears: there is one voice to hear.
        output.pan(Pan::AgentOnly);
        Self {
            output,
            frames: None,
            absent_until: None,
        }
    }

    /// Hands a frame to the loudspeaker; opens it with the first sound.
    fn play(&mut self, frame: Option<Frame>) {
        if self.frames.is_none() {
            let is_absent = self
                .absent_until
                .is_some_and(|until| Instant::now() < until);
            if frame.is_none() || is_absent {
                return;
            }
            let (sender, frames) = mpsc::channel(FRAMES_MAX);
            self.output.listen(ListenStream { frames }, Prime::Local);
            self.frames = Some(sender);
        }
        if let Some(frames) = &self.frames {
            // A loudspeaker that is not there, or late, loses the present frame only.
            let sent = frames.try_send(StereoFrame {
                caller: SILENT_FRAME,
                agent: frame.unwrap_or(SILENT_FRAME),
            });
            if matches!(sent, Err(mpsc::error::TrySendError::Closed(_))) {
                self.frames = None;
                self.absent_until = Some(Instant::now() + LOOK_AGAIN);
            }
        }
    }
}

/// What the agent says, as it comes and as it is played. Pure.
#[derive(Debug, Default)]
struct Speech {
    waiting: VecDeque<u8>,
    /// The end of the answer is among it.
    is_whole: bool,
    is_flowing: bool,
}

impl Speech {
    fn push(&mut self, ulaw: &[u8], is_last: bool) {
        let room = SPEECH_MAX.saturating_sub(self.waiting.len());
        self.waiting.extend(ulaw.iter().take(room));
        self.is_whole = is_last;
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next 20 ms; `None`: nothing is being said.
    fn frame(&mut self) -> Option<Frame> {
        let is_ready = self.waiting.len() >= PRIME_BYTES || self.is_whole;
        self.is_flowing = !self.waiting.is_empty() && (self.is_flowing || is_ready);
        if !self.is_flowing {
            return None;
        }
        let mut frame = SILENT_FRAME;
        for (place, byte) in frame
            .iter_mut()
            .zip(self.waiting.drain(..FRAME_SAMPLES.min(self.waiting.len())))
        {
            *place = byte;
        }
        Some(frame)
    }
}

/// A bar of ten steps.
fn level(dbfs: f32) -> String {
    let share = ((dbfs - QUIET_DBFS) / -QUIET_DBFS).clamp(0.0, 1.0);
    let full = (share * BARS as f32).round() as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(BARS - full))
}

/// How often the status is looked at.
pub(super) const STATUS_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(tasks: &Tasks) -> Voice {
        let off = |_: &str| Some("none".to_owned());
        let speakers = AudioConfig::new(Some("none"), off);
        Voice::new(MicConfig::new("", off), speakers, tasks)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_recorded_goes_out_in_messages_of_100_ms_and_ends_with_the_toggle() {
        let tasks = Tasks::new();
        let mut voice = voice(&tasks);
        let (feed, chunks) = mpsc::channel(32);
        assert_eq!(voice.status(), "o mic off (Tab)");
        voice.use_mic(Mic::stand_in("test", chunks));
        let loud = Bytes::from([0x40, 0x1f].repeat(320));
        for _ in 0..7 {
            feed.send(loud.clone()).await.unwrap();
        }
        assert_eq!(voice.next().await.unwrap().len(), CHUNK_BYTES);
        let more = tokio::time::timeout(Duration::from_secs(1), voice.next()).await;
        assert!(more.is_err(), "two frames are no message yet");
        assert_eq!(voice.status(), "* mic on  [########..] -12 dB");
        // That was a second of silence by the sound server itself: nobody has just said anything.
        assert_eq!(voice.end_of_speech(), None);
        for _ in 0..2 {
            feed.send(loud.clone()).await.unwrap();
        }
        let more = tokio::time::timeout(Duration::from_millis(100), voice.next()).await;
        assert!(more.is_err(), "two frames are no message yet");
        let last = voice.end_of_speech().unwrap();
        assert_eq!(last.len(), 2 * MIC_FRAME_BYTES);
        assert_eq!(voice.end_of_speech(), None, "it ends once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_microphone_that_is_lost_is_off_and_says_why() {
        let tasks = Tasks::new();
        let mut voice = voice(&tasks);
        let (feed, chunks) = mpsc::channel(1);
        voice.use_mic(Mic::stand_in("test", chunks));
        drop(feed);
        assert_eq!(
            voice.next().await.unwrap_err(),
            "the sound server went away"
        );
        assert!(!voice.is_on());
        assert_eq!(voice.turn_on().await.unwrap_err(), "sound is switched off");
    }

    #[test]
    fn an_answer_is_played_whole_and_a_clear_ends_it_at_once() {
        let mut speech = Speech::default();
        assert_eq!(speech.frame(), None);
        speech.push(&[1; 480], false);
        assert_eq!(speech.frame(), None, "more is awaited first");
        speech.push(&[1; 1_600], false);
        let mut played = 0;
        while speech.frame().is_some() {
            played += 1;
        }
        assert_eq!(played, 13);
        // A short last word does not wait for more.
        speech.push(&[2; 100], true);
        let last = speech.frame().unwrap();
        assert_eq!((last[0], last[99], last[100]), (2, 2, SILENT_FRAME[0]));
        speech.push(&[3; 8_000], false);
        assert!(speech.frame().is_some());
        speech.clear();
        assert_eq!(speech.frame(), None);
        assert!(!speech.is_flowing);
    }

    #[test]
    fn a_backend_that_floods_is_not_kept() {
        let mut speech = Speech::default();
        for _ in 0..10 {
            speech.push(&vec![0; 100_000], false);
        }
        assert_eq!(speech.waiting.len(), SPEECH_MAX);
    }

    #[test]
    fn the_level_has_ten_steps() {
        assert_eq!(level(-90.0), "[..........]");
        assert_eq!(level(-30.0), "[#####.....]");
        assert_eq!(level(0.0), "[##########]");
    }
}
