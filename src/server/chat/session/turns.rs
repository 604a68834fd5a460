//! Whose turn it is. A text or a clip is a turn; one is answered after the other. Speech that streams
//! in is no turn but talking, and breaks into what the agent says.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use crate::call::text;
use crate::media::FRAME_MS;

use super::super::incoming::{Content, Incoming};
use super::super::leg::Word;
use super::super::sound::{LEG, bytes_of};
use super::super::trouble::Trouble;
use super::Conversation;

/// Turns waiting for the one before them.
const QUEUE_MAX: usize = 4;
/// Longest text.
const TEXT_MAX: usize = 4_000;
/// A message longer than this is a whole utterance, unless it is one of a stream of such.
const CLIP_MIN_MS: u64 = 300;
/// Silence after a clip: longer than the one any agent waits for.
const AFTER_CLIP: Duration = Duration::from_millis(1_200);
/// Silence is fed in pieces of so much, when nothing came for as long.
const SILENCE_MS: u64 = 100;
/// Messages that follow one another as fast as they play are a stream.
const STREAM_SLACK: Duration = Duration::from_millis(250);
/// Audio that may be ahead of real time.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// An agent that greets gets this long to begin.
const GREETING_WITHIN: Duration = Duration::from_secs(12);
/// An answer must show within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A clip in which nobody was understood.
const UNDERSTOOD_WITHIN: Duration = Duration::from_secs(12);

/// One turn.
#[derive(Debug)]
enum Turn {
    Text {
        text: String,
        sequence_id: Option<Value>,
    },
    Clip {
        pcm: Vec<u8>,
        stream_sid: Option<String>,
        sequence_id: Option<Value>,
    },
}

/// See the module's doc.
#[derive(Debug)]
pub(super) struct Floor {
    state: State,
    /// An operator answers: they read at once what comes, in their own time.
    is_held: bool,
    queue: VecDeque<Turn>,
    /// End of the last message of audio, had it been played as it came.
    streamed_until: Option<Duration>,
    listener: super::super::sound::Listener,
    /// How far the client's audio is ahead of real time.
    ahead: Duration,
    ahead_at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody waits for anything.
    Free,
    Greeting {
        until: Duration,
    },
    Answering {
        since: Duration,
        is_clip: bool,
        understood: bool,
    },
}

impl Floor {
    pub(super) fn new(greets: bool) -> Self {
        Self {
            state: if greets {
                State::Greeting {
                    until: GREETING_WITHIN,
                }
            } else {
                State::Free
            },
            is_held: false,
            queue: VecDeque::new(),
            streamed_until: None,
            listener: super::super::sound::Listener::default(),
            ahead: Duration::ZERO,
            ahead_at: Duration::ZERO,
        }
    }

    /// The agent is at it.
    pub(super) fn heard(&mut self, now: Duration) {
        match &mut self.state {
            State::Free => {}
            State::Greeting { until } => *until = now + GREETING_WITHIN,
            State::Answering { since, .. } => *since = now,
        }
    }

    /// The caller's words are there.
    pub(super) fn understood(&mut self, now: Duration) {
        if let State::Answering {
            since, understood, ..
        } = &mut self.state
        {
            *since = now;
            *understood = true;
        }
    }

    /// An answer, or the greeting, is over.
    pub(super) fn answered(&mut self, _now: Duration) {
        self.state = State::Free;
    }

    /// A person speaks in the agent's place.
    pub(super) fn give_to_person(&mut self) {
        self.is_held = true;
        self.state = State::Free;
    }

    pub(super) fn give_to_agent(&mut self) {
        self.is_held = false;
    }

    /// What has taken too long.
    pub(super) fn overdue(&mut self, now: Duration) -> Option<Trouble> {
        match self.state {
            State::Greeting { until } if now >= until => {
                self.state = State::Free;
                None
            }
            State::Answering {
                since,
                is_clip,
                understood,
            } => {
                let waited = now.saturating_sub(since);
                if is_clip && !understood && waited >= UNDERSTOOD_WITHIN {
                    self.state = State::Free;
                    return Some(Trouble::new(
                        "no_speech",
                        "audio",
                        "no speech was understood in this audio",
                        "check meta_info.format and sample_rate; the default is pcm at 16000",
                    ));
                }
                if waited >= ANSWER_WITHIN {
                    self.state = State::Free;
                    return Some(Trouble::new(
                        "no_answer",
                        "agent",
                        "the agent did not answer in time",
                        "try again",
                    ));
                }
                None
            }
            State::Free | State::Greeting { .. } => None,
        }
    }

    fn push(&mut self, turn: Turn, place: &'static str) -> Result<(), Trouble> {
        if self.queue.len() >= QUEUE_MAX {
            return Err(Trouble::busy(place));
        }
        self.queue.push_back(turn);
        Ok(())
    }

    /// Notes so much audio; whether it comes no faster than it may.
    fn may_come(&mut self, now: Duration, audio: Duration) -> bool {
        // Twice as fast as it plays for as long as one likes, and a minute at once.
        let passed = now.saturating_sub(self.ahead_at) * 2;
        self.ahead_at = now;
        self.ahead = self.ahead.saturating_sub(passed);
        if self.ahead + audio > AHEAD_MAX {
            return false;
        }
        self.ahead += audio;
        true
    }

    /// Whether a message that came now and lasts so long is a whole utterance.
    fn is_clip(&mut self, now: Duration, lasts_ms: u64, eos: Option<bool>) -> bool {
        let lasts = Duration::from_millis(lasts_ms);
        let follows = self
            .streamed_until
            .is_some_and(|until| now <= until + STREAM_SLACK);
        self.streamed_until = Some(now + lasts);
        match eos {
            Some(eos) => eos && !follows,
            None => lasts_ms > CLIP_MIN_MS && !follows,
        }
    }
}

impl Conversation {
    pub(super) fn text(&mut self, message: Incoming) -> Result<(), Trouble> {
        let Some(Content::Text(words)) = message.data else {
            return Err(Trouble::new(
                "no_text",
                "text.data",
                "text.data is missing",
                "send { data: \"…\" }",
            ));
        };
        let words = text::clean(words.trim()).into_owned();
        if words.is_empty() {
            return Err(Trouble::new(
                "no_text",
                "text.data",
                "text.data is empty",
                "",
            ));
        }
        if words.chars().count() > TEXT_MAX {
            return Err(Trouble::new(
                "too_large",
                "text.data",
                format!("this text is longer than {TEXT_MAX} characters"),
                "send less",
            ));
        }
        let turn = Turn::Text {
            text: words,
            sequence_id: message.meta.sequence_id,
        };
        self.floor.push(turn, "text")?;
        let now = self.now();
        self.next_turn(now);
        Ok(())
    }

    pub(super) fn audio(&mut self, message: Incoming) -> Result<(), Trouble> {
        let now = self.now();
        let bytes = bytes_of(message.data)?;
        let meta = message.meta;
        let pcm = self.floor.listener.read(&bytes, &meta)?;
        let ms = LEG.ms(pcm.len());
        if !self.floor.may_come(now, Duration::from_millis(ms)) {
            return Err(Trouble::too_fast("audio"));
        }
        if self.floor.is_clip(now, ms, meta.eos) {
            let turn = Turn::Clip {
                pcm,
                stream_sid: meta.stream_sid,
                sequence_id: meta.sequence_id,
            };
            self.floor.push(turn, "audio")?;
            self.next_turn(now);
            return Ok(());
        }
        self.answers.streams(meta.stream_sid);
        let mut pcm = pcm;
        if meta.eos == Some(true) {
            pcm.extend(std::iter::repeat_n(0, silence_bytes(AFTER_CLIP)));
        }
        if self.feed(&pcm) {
            Ok(())
        } else {
            Err(Trouble::too_fast("audio"))
        }
    }

    /// The client wants quiet: nothing more of this turn, and none of those that wait.
    pub(super) fn clear(&mut self) {
        self.floor.queue.clear();
        self.floor.state = State::Free;
        self.answers.mute();
        self.order(&Word::Hush);
        self.echoed_at = Some(self.now());
        self.tell("clear", serde_json::json!({"data": null}));
    }

    /// Begins the next turn, if it is its time; all of them, if a person reads them.
    pub(super) fn next_turn(&mut self, now: Duration) {
        while self.floor.is_held || !self.is_busy() {
            let Some(turn) = self.floor.queue.pop_front() else {
                return;
            };
            self.begin_turn(turn, now);
        }
    }

    fn is_busy(&self) -> bool {
        self.floor.state != State::Free || self.answers.is_open()
    }

    fn begin_turn(&mut self, turn: Turn, now: Duration) {
        let is_clip = matches!(turn, Turn::Clip { .. });
        match turn {
            Turn::Text { text, sequence_id } => {
                self.answers.asked(None, sequence_id);
                self.order(&Word::Typed(text));
            }
            Turn::Clip {
                mut pcm,
                stream_sid,
                sequence_id,
            } => {
                self.answers.asked(stream_sid, sequence_id);
                pcm.extend(std::iter::repeat_n(0, silence_bytes(AFTER_CLIP)));
                // There is room for two of the longest; nobody else feeds while a turn is on.
                self.feed(&pcm);
            }
        }
        if !self.floor.is_held {
            self.floor.state = State::Answering {
                since: now,
                is_clip,
                understood: false,
            };
        }
    }

    /// A line that says nothing is still a line: agents and bridges count on hearing it.
    pub(super) fn feed_silence(&mut self, now: Duration) {
        let piece = Duration::from_millis(SILENCE_MS);
        // A client that streams is late by its own wobble, and is not to be interleaved.
        let late = piece + Duration::from_millis(FRAME_MS);
        while self.fed_until + late <= now {
            let from = self.fed_until;
            let room = self.leg.to_bridge.try_reserve();
            let Ok(place) = room else { return };
            place.send(crate::bridge::Wire::Binary(bytes::Bytes::from(vec![
                0;
                silence_bytes(piece)
            ])));
            self.fed_until = from + piece;
            if now.saturating_sub(self.fed_until) > Duration::from_secs(2) {
                // Nobody could have heard so old a silence.
                self.fed_until = now;
            }
        }
    }

    fn order(&mut self, word: &Word) {
        if let Some(wire) = word.wire() {
            if self.leg.to_bridge.try_send(wire).is_err() {
                tracing::debug!(call = %self.call, "the bridge takes no words");
            }
        }
    }
}

fn silence_bytes(time: Duration) -> usize {
    LEG.bytes_per_second() * time.as_millis() as usize / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_long_message_is_an_utterance_unless_it_is_part_of_a_stream() {
        let mut floor = Floor::new(false);
        assert!(floor.is_clip(ms(0), 2_000, None), "one shot");
        assert!(
            !floor.is_clip(ms(2_100), 500, None),
            "it follows at its own pace"
        );
        assert!(!floor.is_clip(ms(2_600), 500, None));
        assert!(
            floor.is_clip(ms(9_000), 500, None),
            "after a pause it is one again"
        );
        assert!(!floor.is_clip(ms(20_000), 20, None), "a frame");
        assert!(!floor.is_clip(ms(40_000), 5_000, Some(false)));
        assert!(floor.is_clip(ms(60_000), 200, Some(true)));
    }

    #[test]
    fn audio_may_come_twice_as_fast_as_it_plays() {
        let mut floor = Floor::new(false);
        for n in 0..600 {
            assert!(floor.may_come(ms(n * 50), ms(100)), "at {n}");
        }
        assert!(floor.may_come(ms(30_000), ms(50_000)));
        assert!(!floor.may_come(ms(30_000), ms(20_000)));
        assert!(floor.may_come(ms(60_000), ms(20_000)));
    }

    #[test]
    fn four_turns_wait_and_the_fifth_is_told() {
        let mut floor = Floor::new(false);
        let turn = || Turn::Text {
            text: "x".into(),
            sequence_id: None,
        };
        for _ in 0..QUEUE_MAX {
            assert!(floor.push(turn(), "text").is_ok());
        }
        assert_eq!(floor.push(turn(), "text").unwrap_err().message, "busy");
    }

    #[test]
    fn what_is_waited_for_has_an_end() {
        let mut floor = Floor::new(true);
        assert!(floor.overdue(ms(13_000)).is_none());
        assert_eq!(floor.state, State::Free);
        floor.state = State::Answering {
            since: ms(0),
            is_clip: true,
            understood: false,
        };
        assert_eq!(floor.overdue(ms(12_000)).unwrap().code, "no_speech");
        floor.state = State::Answering {
            since: ms(0),
            is_clip: true,
            understood: true,
        };
        assert!(floor.overdue(ms(20_000)).is_none());
        assert_eq!(floor.overdue(ms(30_000)).unwrap().code, "no_answer");
    }
}
