//! The person on the phone: one 20 ms frame at a time, speaking when the script and what they hear
//! call for it. Pure: time is the number of ticks.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::simulator::ulaw::{self, FRAME_BYTES, FRAME_MS};

use super::script::{Ending, Line, Script};
use super::vad::{Vad, Voice};

/// The agent has finished when it has been quiet this long.
const TURN_END_MS: u64 = 450;
/// Waiting for the rest of a turn that does not come: after this much quiet the caller goes on.
const PATIENCE_MS: u64 = 6_000;
/// Nothing heard at all: the caller speaks anyway.
const NOTHING_HEARD_MS: u64 = 20_000;
/// The agent was to say goodbye and hang up, but does not: the caller does.
const HANGUP_PATIENCE_MS: u64 = 15_000;
/// A line that is to be cut: this far into the agent's last words.
const CUT_AFTER_MS: u64 = 600;
/// Between the last word and putting the phone down.
const HANGUP_AFTER_MS: u64 = 500;
/// Between two pressed keys.
const KEY_EVERY_MS: u64 = 200;

/// What the caller does in these 20 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerTick {
    /// 160 bytes of µ-law.
    pub frame: Bytes,
    pub key: Option<char>,
    pub hangup: bool,
    pub speaking: bool,
}

#[derive(Clone, Debug)]
enum Cue {
    /// After the agent has said about this much and stopped.
    Reply {
        expect_ms: u64,
        after_ms: u64,
    },
    Over {
        after_ms: u64,
    },
    Silence {
        after_ms: u64,
    },
}

#[derive(Clone, Debug)]
enum Deed {
    Speak(Bytes),
    Press(VecDeque<char>),
}

#[derive(Clone, Debug)]
enum State {
    Waiting,
    Speaking {
        audio: Bytes,
        at: usize,
    },
    Pressing {
        keys: VecDeque<char>,
        wait_ms: u64,
    },
    /// All lines said.
    Done,
    Gone,
}

#[derive(Debug)]
pub struct Caller {
    steps: VecDeque<(Cue, Deed)>,
    ending: Ending,
    state: State,
    agent: Vad,
    /// Ticks since the agent's first voice after the caller last spoke.
    agent_since_ms: Option<u64>,
    silence_ms: u64,
    noise: Bytes,
    noise_at: usize,
}

impl Caller {
    pub fn new(script: &Arc<Script>) -> Self {
        let noise = match script.quality.noise_dbfs {
            level if level > -70.0 => ulaw::noise(1_000, level, 7),
            _ => vec![ulaw::SILENCE; FRAME_BYTES * 50],
        };
        Self {
            steps: steps(script),
            ending: script.ending,
            state: State::Waiting,
            agent: Vad::default(),
            agent_since_ms: None,
            silence_ms: 0,
            noise: noise.into(),
            noise_at: 0,
        }
    }

    /// The next 20 ms. `heard` is what was played to the caller meanwhile.
    pub fn tick(&mut self, heard: &[u8]) -> CallerTick {
        let voiced = self.agent.hear(heard, FRAME_MS) == Voice::Voiced;
        if let Some(since) = &mut self.agent_since_ms {
            *since += FRAME_MS;
        } else if voiced {
            self.agent_since_ms = Some(0);
        }
        let mine = matches!(self.state, State::Speaking { .. });
        self.silence_ms = if voiced || mine {
            0
        } else {
            self.silence_ms + FRAME_MS
        };
        self.decide();
        self.act()
    }

    pub fn finished(&self) -> bool {
        matches!(self.state, State::Done | State::Gone)
    }

    fn decide(&mut self) {
        match self.state {
            State::Waiting => {
                let Some((cue, _)) = self.steps.front() else {
                    self.state = State::Done;
                    return;
                };
                if self.due(cue)
                    && let Some((_, deed)) = self.steps.pop_front()
                {
                    self.state = match deed {
                        Deed::Speak(audio) => State::Speaking { audio, at: 0 },
                        Deed::Press(keys) => State::Pressing { keys, wait_ms: 0 },
                    };
                }
            }
            State::Done if self.wants_to_leave() => self.state = State::Gone,
            _ => {}
        }
    }

    fn due(&self, cue: &Cue) -> bool {
        let quiet = self.agent.quiet_ms;
        match *cue {
            Cue::Over { after_ms } => self.agent_since_ms.is_some_and(|ms| ms >= after_ms),
            Cue::Silence { after_ms } => self.silence_ms >= after_ms,
            Cue::Reply {
                expect_ms: 0,
                after_ms,
            } => self.silence_ms >= after_ms,
            Cue::Reply {
                expect_ms,
                after_ms,
            } => {
                let heard = self.agent.span_ms;
                if heard * 10 >= expect_ms * 7 {
                    quiet >= TURN_END_MS + after_ms
                } else if heard > 0 {
                    quiet >= PATIENCE_MS + after_ms
                } else {
                    quiet >= NOTHING_HEARD_MS
                }
            }
        }
    }

    fn wants_to_leave(&self) -> bool {
        match self.ending {
            Ending::Caller => self.silence_ms >= HANGUP_AFTER_MS,
            Ending::Agent => self.silence_ms >= HANGUP_PATIENCE_MS,
            Ending::Nobody => false,
            Ending::Line => self.agent_since_ms.is_some_and(|ms| ms >= CUT_AFTER_MS),
        }
    }

    fn act(&mut self) -> CallerTick {
        let mut tick = CallerTick {
            frame: Bytes::new(),
            key: None,
            hangup: matches!(self.state, State::Gone),
            speaking: false,
        };
        match &mut self.state {
            State::Speaking { audio, at } => {
                let end = (*at + FRAME_BYTES).min(audio.len());
                tick.frame = pad(audio.slice(*at..end));
                tick.speaking = true;
                *at = end;
                if end == audio.len() {
                    self.over();
                }
            }
            State::Pressing { keys, wait_ms } => {
                if *wait_ms == 0 {
                    tick.key = keys.pop_front();
                    *wait_ms = KEY_EVERY_MS;
                } else {
                    *wait_ms -= FRAME_MS;
                }
                if keys.is_empty() {
                    self.over();
                }
            }
            State::Waiting | State::Done | State::Gone => {}
        }
        if tick.frame.is_empty() {
            tick.frame = self.noise.slice(self.noise_at..self.noise_at + FRAME_BYTES);
            self.noise_at = (self.noise_at + FRAME_BYTES) % self.noise.len();
        }
        tick
    }

    fn over(&mut self) {
        self.state = State::Waiting;
        self.agent.reset();
        self.agent_since_ms = None;
        self.silence_ms = 0;
    }
}

fn pad(piece: Bytes) -> Bytes {
    if piece.len() == FRAME_BYTES {
        return piece;
    }
    let mut whole = piece.to_vec();
    whole.resize(FRAME_BYTES, ulaw::SILENCE);
    whole.into()
}

fn steps(script: &Script) -> VecDeque<(Cue, Deed)> {
    let mut steps = VecDeque::new();
    let mut expect_ms = 0;
    for line in &script.lines {
        match line {
            Line::Agent(line) => expect_ms += line.audio.len() as u64 / 8,
            Line::Caller(line) => {
                let cue = match (line.over, line.after_silence) {
                    (Some(over), _) => Cue::Over {
                        after_ms: over.as_millis() as u64,
                    },
                    (None, Some(quiet)) => Cue::Silence {
                        after_ms: quiet.as_millis() as u64,
                    },
                    (None, None) => Cue::Reply {
                        expect_ms,
                        after_ms: line.reply.as_millis() as u64,
                    },
                };
                steps.push_back((cue, Deed::Speak(line.audio.clone())));
                expect_ms = 0;
            }
            Line::Dtmf(digits) => {
                let cue = Cue::Reply {
                    expect_ms,
                    after_ms: 500,
                };
                steps.push_back((cue, Deed::Press(digits.chars().collect())));
                expect_ms = 0;
            }
            Line::Tool(_) | Line::Pause(_) | Line::Die { .. } => {}
        }
    }
    steps
}
