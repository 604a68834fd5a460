//! The AI on the other side of the call: listens to the caller's audio, answers when they stop,
//! falls silent when they interrupt. Pure: the owner passes the time in milliseconds.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::simulator::rng::Rng;

use super::script::{Cut, Ending, Line, Script, ToolVia};
use super::vad::{Vad, Voice};

/// Quiet after which an utterance that was about as long as expected is over.
const HANG_MS: u64 = 500;
/// Quiet after which any utterance is over.
const HANG_LONG_MS: u64 = 1_600;
/// Shorter than this is no utterance.
const UTTERANCE_MIN_MS: u64 = 160;
/// Voice over the agent's own speech for this long is an interruption.
const BARGE_IN_MS: u64 = 240;
/// The last moments of a line cannot be interrupted.
const BARGE_IN_TAIL_MS: u64 = 200;
/// The caller never says what the script expects: go on.
const PATIENCE_MS: u64 = 16_000;
/// A client tool that never answers.
const TOOL_PATIENCE_MS: u64 = 6_000;
/// Between two lines of one turn.
const NEXT_LINE_MS: u64 = 120;
const TENTATIVE_EVERY_MS: u64 = 400;

/// What the agent did, to be told in the vendor's own words.
#[derive(Clone, Debug, PartialEq)]
pub enum Did {
    /// A whole line; the vendor sends it in bursts, faster than it is spoken.
    Audio {
        event_id: u64,
        audio: Bytes,
    },
    Said {
        event_id: u64,
        text: String,
    },
    Interrupted {
        event_id: u64,
    },
    Corrected {
        event_id: u64,
        original: String,
        heard: String,
    },
    CallerTentative {
        event_id: u64,
        text: String,
    },
    CallerFinal {
        event_id: u64,
        text: String,
    },
    ToolCall {
        event_id: u64,
        id: String,
        name: String,
        args: Value,
    },
    ToolRequest {
        event_id: u64,
        id: String,
        name: String,
    },
    ToolDone {
        event_id: u64,
        id: String,
        name: String,
        via: ToolVia,
        is_error: bool,
        /// What a tool run by the vendor gave back.
        result: String,
    },
    EndCall {
        event_id: u64,
    },
    Died {
        how: Cut,
        for_good: bool,
    },
}

/// Where a conversation stands, so that a new socket can carry on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    item: usize,
    heard: usize,
}

#[derive(Clone, Debug)]
enum State {
    Listening,
    Thinking {
        until_ms: u64,
    },
    Speaking {
        event_id: u64,
        text: String,
        from_ms: u64,
        until_ms: u64,
    },
    Pausing {
        until_ms: u64,
    },
    Working {
        event_id: u64,
        id: String,
        name: String,
        via: ToolVia,
        until_ms: u64,
        failed: bool,
    },
    Over,
}

#[derive(Debug)]
pub struct AgentActor {
    script: Arc<Script>,
    /// Lines the agent acts on, each with the number of caller lines before it.
    items: Vec<(usize, usize)>,
    caller: Vec<usize>,
    at: Progress,
    state: State,
    vad: Vad,
    tentative_ms: u64,
    caller_event: Option<u64>,
    quiet_since_ms: u64,
    audio_at_ms: u64,
    event_id: u64,
    think_extra_ms: u64,
    rng: Rng,
}

impl AgentActor {
    /// `from` continues a conversation whose socket broke; `Progress::default()` begins one.
    pub fn new(script: Arc<Script>, from: Progress, now_ms: u64, rng: Rng) -> Self {
        let (mut items, mut caller) = (Vec::new(), Vec::new());
        for (n, line) in script.lines.iter().enumerate() {
            match line {
                Line::Caller(_) => caller.push(n),
                Line::Dtmf(_) => {}
                Line::Agent(_) | Line::Tool(_) | Line::Pause(_) | Line::Die { .. } => {
                    items.push((caller.len(), n));
                }
            }
        }
        Self {
            script,
            items,
            caller,
            at: from,
            state: State::Listening,
            vad: Vad::default(),
            tentative_ms: 0,
            caller_event: None,
            quiet_since_ms: now_ms,
            audio_at_ms: now_ms,
            event_id: 0,
            think_extra_ms: 0,
            rng,
        }
    }

    pub fn progress(&self) -> Progress {
        self.at
    }

    pub fn script(&self) -> Arc<Script> {
        Arc::clone(&self.script)
    }

    /// Added to every pause for thought from now on.
    pub fn slow_down(&mut self, extra_ms: u64) {
        self.think_extra_ms = extra_ms;
    }

    /// Nothing more will be said.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Caller audio, 8 kHz µ-law, as it arrives.
    pub fn hear(&mut self, now_ms: u64, audio: &[u8]) {
        let ms = audio.len() as u64 / 8;
        self.audio_at_ms = now_ms;
        if self.vad.hear(audio, ms) == Voice::Voiced {
            self.quiet_since_ms = now_ms;
        }
    }

    /// The bridge's answer to a [`Did::ToolCall`].
    pub fn tool_result(&mut self, id: &str, is_error: bool, now_ms: u64) {
        if let State::Working {
            id: mine,
            via: ToolVia::Client,
            until_ms,
            failed,
            ..
        } = &mut self.state
            && mine == id
        {
            *failed = is_error;
            *until_ms = now_ms + 80;
        }
    }

    /// Call every 20 ms.
    pub fn tick(&mut self, now_ms: u64, out: &mut Vec<Did>) {
        if now_ms >= self.audio_at_ms + 100 {
            self.vad.miss(20);
        }
        self.follow_caller(now_ms, out);
        self.barge_in(now_ms, out);
        match self.state.clone() {
            State::Listening => self.listen(now_ms, out),
            State::Thinking { until_ms } if now_ms >= until_ms => self.begin(now_ms, out),
            State::Speaking { until_ms, .. } | State::Pausing { until_ms }
                if now_ms >= until_ms =>
            {
                self.next(now_ms);
            }
            State::Working {
                event_id,
                id,
                name,
                via,
                until_ms,
                failed,
            } if now_ms >= until_ms => {
                out.push(Did::ToolDone {
                    event_id,
                    id,
                    name,
                    via,
                    is_error: failed,
                    result: self.result(),
                });
                self.next(now_ms);
            }
            _ => {}
        }
    }

    /// What the tool at hand gives back, by the script.
    fn result(&self) -> String {
        let line = self.items.get(self.at.item);
        match line.and_then(|(_, n)| self.script.lines.get(*n)) {
            Some(Line::Tool(line)) => line.result.clone(),
            _ => String::new(),
        }
    }

    /// Turns the caller's voice into tentative and final transcripts.
    fn follow_caller(&mut self, now_ms: u64, out: &mut Vec<Did>) {
        let (span, quiet) = (self.vad.span_ms, self.vad.quiet_ms);
        if span < UTTERANCE_MIN_MS {
            if quiet >= HANG_LONG_MS {
                self.vad.reset();
            }
            return;
        }
        let (text, expect_ms) = self.expected(span);
        let done = quiet >= HANG_LONG_MS || (span * 10 >= expect_ms * 7 && quiet >= HANG_MS);
        if done {
            let event_id = self
                .caller_event
                .take()
                .unwrap_or_else(|| self.next_event());
            out.push(Did::CallerFinal { event_id, text });
            self.at.heard += 1;
            self.tentative_ms = 0;
            self.vad.reset();
            self.quiet_since_ms = now_ms;
        } else if span >= self.tentative_ms + TENTATIVE_EVERY_MS && quiet == 0 {
            self.tentative_ms = span;
            let event_id = match self.caller_event {
                Some(id) => id,
                None => self.next_event(),
            };
            self.caller_event = Some(event_id);
            let text = head(&text, span as f64 / expect_ms.max(span) as f64);
            out.push(Did::CallerTentative { event_id, text });
        }
    }

    fn expected(&self, span_ms: u64) -> (String, u64) {
        let line = self
            .caller
            .get(self.at.heard)
            .and_then(|n| self.script.lines.get(*n));
        match line {
            Some(Line::Caller(line)) if !line.text.is_empty() => {
                (line.text.clone(), line.audio.len() as u64 / 8)
            }
            _ => (
                format!("(the caller spoke for {:.1} s)", span_ms as f64 / 1_000.0),
                span_ms,
            ),
        }
    }

    fn barge_in(&mut self, now_ms: u64, out: &mut Vec<Did>) {
        let State::Speaking {
            event_id,
            text,
            from_ms,
            until_ms,
        } = &self.state
        else {
            return;
        };
        if self.vad.voiced_ms < BARGE_IN_MS || now_ms + BARGE_IN_TAIL_MS >= *until_ms {
            return;
        }
        let share = (now_ms - from_ms) as f64 / (until_ms - from_ms).max(1) as f64;
        let (event_id, original) = (*event_id, text.clone());
        let heard = head(&original, share);
        out.push(Did::Interrupted { event_id });
        out.push(Did::Corrected {
            event_id,
            original,
            heard,
        });
        // The rest of this turn is dropped with it.
        let needed = self.items.get(self.at.item).map(|item| item.0);
        while self.items.get(self.at.item).map(|item| item.0) == needed
            && self.at.item < self.items.len()
        {
            self.at.item += 1;
        }
        self.state = State::Listening;
    }

    /// Waits for the caller lines that come before the next item.
    fn listen(&mut self, now_ms: u64, out: &mut Vec<Did>) {
        let Some((needed, line)) = self.items.get(self.at.item).copied() else {
            if self.script.ending == Ending::Agent {
                let event_id = self.next_event();
                out.push(Did::EndCall { event_id });
            }
            self.state = State::Over;
            return;
        };
        if self.at.heard < needed {
            if now_ms < self.quiet_since_ms + PATIENCE_MS {
                return;
            }
            self.at.heard = needed;
            self.quiet_since_ms = now_ms;
        }
        // While the caller is still talking nobody answers.
        if self.vad.span_ms >= UTTERANCE_MIN_MS {
            return;
        }
        let think_ms = match self.script.lines.get(line) {
            Some(Line::Agent(line)) => match line.think {
                Some(think) => think.as_millis() as u64,
                None if self.at.item == 0 => 60,
                None => self.rng.between(250, 900),
            },
            _ => self.rng.between(120, 300),
        };
        self.state = State::Thinking {
            until_ms: now_ms + think_ms + self.think_extra_ms,
        };
    }

    fn begin(&mut self, now_ms: u64, out: &mut Vec<Did>) {
        let script = Arc::clone(&self.script);
        let line = self
            .items
            .get(self.at.item)
            .and_then(|(_, n)| script.lines.get(*n));
        match line {
            Some(Line::Agent(line)) => {
                let event_id = self.next_event();
                let until_ms = now_ms + line.audio.len() as u64 / 8 + 60;
                out.push(Did::Audio {
                    event_id,
                    audio: line.audio.clone(),
                });
                out.push(Did::Said {
                    event_id,
                    text: line.text.clone(),
                });
                let text = line.text.clone();
                self.state = State::Speaking {
                    event_id,
                    text,
                    from_ms: now_ms,
                    until_ms,
                };
            }
            Some(Line::Tool(line)) => {
                let event_id = self.next_event();
                let (id, name, via) = (self.rng.sid("tc_"), line.name.clone(), line.via);
                let (did, wait_ms) = match via {
                    ToolVia::Client => (
                        Did::ToolCall {
                            event_id,
                            id: id.clone(),
                            name: name.clone(),
                            args: line.args.clone(),
                        },
                        TOOL_PATIENCE_MS,
                    ),
                    ToolVia::Webhook => (
                        Did::ToolRequest {
                            event_id,
                            id: id.clone(),
                            name: name.clone(),
                        },
                        line.takes.as_millis() as u64,
                    ),
                };
                out.push(did);
                let (until_ms, failed) = (now_ms + wait_ms, via == ToolVia::Client);
                self.state = State::Working {
                    event_id,
                    id,
                    name,
                    via,
                    until_ms,
                    failed,
                };
            }
            Some(Line::Pause(time)) => {
                self.state = State::Pausing {
                    until_ms: now_ms + time.as_millis() as u64,
                };
            }
            Some(Line::Die { how, for_good }) => {
                self.at.item += 1;
                self.state = State::Over;
                out.push(Did::Died {
                    how: *how,
                    for_good: *for_good,
                });
            }
            _ => self.next(now_ms),
        }
    }

    fn next(&mut self, now_ms: u64) {
        let needed = self.items.get(self.at.item).map(|item| item.0);
        self.at.item += 1;
        self.quiet_since_ms = now_ms;
        let same_turn = self.items.get(self.at.item).map(|item| item.0) == needed;
        self.state = if same_turn && self.at.item < self.items.len() {
            State::Thinking {
                until_ms: now_ms + NEXT_LINE_MS,
            }
        } else {
            State::Listening
        };
    }

    fn next_event(&mut self) -> u64 {
        self.event_id += 1;
        self.event_id
    }
}

/// The first `share` (0 to 1) of the words, at least one.
fn head(text: &str, share: f64) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let keep = ((words.len() as f64 * share).round() as usize).clamp(1, words.len());
    words.into_iter().take(keep).collect::<Vec<_>>().join(" ")
}
