//! The conversation as a machine: what the bridge says and what the three parts answer goes in, what
//! is to be said and asked comes out. No clock, no socket.
//!
//! A turn: the ear hears the caller's speech end → transcript → the model's words, cut into
//! sentences → speech of each, one in the making while the one before is handed on. The caller's
//! voice, or a cancel of the bridge, drops all of it at once; what comes of a dropped job afterwards
//! is not looked at.

mod answer;
mod trouble;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::bridge::{AgentBrief, AgentIn, Usage};
use crate::providers::MODALITY;

use super::chat::{Delta, request};
use super::codec::{GIVES, Order, TAKES, Told};
use super::ear::{Ear, Guard, Heard};
use super::memory::Memory;
use super::transcribe::RATE_HZ;
use super::{INSTRUCTIONS, Part, PartFailure, PipelineSettings};

use answer::Answer;

/// Turns heard and not yet transcribed. Full: the newest is joined to the last.
const TURNS_WAITING_MAX: usize = 4;
/// What a model without a first message of its own is told.
const GREET: &str = "The caller has just been connected. Greet them in one short sentence.";
/// What an agent is told that comes into a conversation under way.
const GO_ON: &str = "Go on exactly where the conversation was. Do not greet again.";

/// What the model is told when it was cut off by no words at all.
const NOISE: &str = "That was only a noise, the caller said nothing. Go on where you were cut off.";

/// Number of a request to a part. Rising; a result of one that is not waited for is void.
pub(super) type Job = u64;

/// One thing that happened.
#[derive(Debug)]
pub(super) enum In {
    Order(Order),
    /// Time passes; due every 100 ms.
    Tick,
    Transcribed(Job, Result<String, PartFailure>),
    Delta(Job, Delta),
    Answered(Job, Result<(), PartFailure>),
    /// Speech as µ-law at 8 kHz.
    Voice(Job, Bytes),
    Voiced(Job, Result<(), PartFailure>),
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Do {
    Say(AgentIn),
    Transcribe(Job, Vec<u8>),
    Complete(Job, Value),
    Speak(Job, String),
    /// The line for when a part is down, from memory.
    SpeakFallback(Job),
    /// Forget this request.
    Stop(Job),
}

/// See the module's doc.
#[derive(Debug)]
pub(super) struct Talk {
    settings: Arc<PipelineSettings>,
    conversation: String,
    ear: Ear,
    memory: Memory,
    voice: Option<String>,
    language: Option<String>,
    begun: bool,
    /// Nobody listens: words only.
    text_only: bool,
    /// The recap of an earlier conversation has not come yet.
    awaits_recap: bool,
    jobs: Job,
    /// Numbers of lines, both sides.
    lines: u64,
    transcribing: Option<(Job, u64, f64)>,
    turns: VecDeque<Vec<u8>>,
    /// The caller's words wait for an answer that was put off because they went on speaking.
    owes_answer: bool,
    /// An operator speaks: nothing is said but what is given.
    is_hushed: bool,
    answer: Option<Answer>,
    /// When what was handed on will have been heard.
    heard_until: Duration,
    /// The caller's voice cut the agent off, and no words of theirs have come yet.
    cut_off: bool,
    /// Calls whose results the model waits for.
    tools_out: Vec<String>,
    /// Turns in a row that failed.
    failures: u32,
    spent_usd: f64,
    out: Vec<Do>,
}

impl Talk {
    /// A conversation of this name with nobody in it yet.
    pub(super) fn new(settings: Arc<PipelineSettings>, conversation: String) -> Self {
        Self {
            ear: Ear::new(settings.silence),
            voice: settings.voice.clone(),
            language: settings.language.clone(),
            settings,
            conversation,
            memory: Memory::default(),
            begun: false,
            text_only: false,
            awaits_recap: false,
            jobs: 0,
            lines: 0,
            transcribing: None,
            turns: VecDeque::new(),
            owes_answer: false,
            is_hushed: false,
            answer: None,
            heard_until: Duration::ZERO,
            cut_off: false,
            tools_out: Vec::new(),
            failures: 0,
            spent_usd: 0.0,
            out: Vec::new(),
        }
    }

    /// The voice and language this conversation is held in.
    pub(super) fn voice(&self) -> Option<&str> {
        self.voice.as_deref()
    }

    pub(super) fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Takes one thing in; gives what is to be done, in order.
    pub(super) fn step(&mut self, now: Duration, input: In) -> Vec<Do> {
        match input {
            In::Order(Order::Audio(pcm)) => self.listen(now, &pcm),
            In::Order(Order::Told(told)) => self.told(told),
            In::Tick => {}
            In::Transcribed(job, result) => self.transcribed(job, result),
            In::Delta(job, delta) => self.delta(job, delta),
            In::Answered(job, result) => self.answered(job, result),
            In::Voice(job, ulaw) => self.voice_came(now, job, ulaw),
            In::Voiced(job, result) => self.voiced(now, job, result),
        }
        self.speak_on(now);
        std::mem::take(&mut self.out)
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Begin { brief } if !self.begun => self.begin(brief),
            Told::Begin { .. } => {}
            Told::Typed { text } => {
                self.stop_answer();
                self.memory.caller(&text);
                self.ask();
            }
            Told::Say { text } => {
                let utterance = self.answer.as_ref().map_or(self.lines + 1, |a| a.line);
                self.say(AgentIn::Given { utterance });
                self.say_verbatim(&text);
            }
            Told::Context { text } => {
                self.memory.note(&text);
                if std::mem::take(&mut self.awaits_recap) {
                    self.memory.note(GO_ON);
                    self.ask();
                }
            }
            Told::ToolResult { id, ok, result } => self.tool_returned(&id, ok, &result),
            Told::Cancel => {
                self.stop_answer();
                self.owes_answer = false;
            }
            Told::Hush => {
                self.is_hushed = true;
                self.stop_answer();
            }
            Told::Unhush { answer } => {
                self.is_hushed = false;
                self.owes_answer = false;
                if answer {
                    self.ask();
                }
            }
            Told::Truncate {
                utterance,
                heard_ms,
            } => {
                self.cut_off = true;
                if let Some((original, corrected)) =
                    self.memory.truncate(utterance, u64::from(heard_ms))
                {
                    self.say(AgentIn::AgentCorrection {
                        utterance,
                        original,
                        corrected,
                    });
                }
            }
        }
    }

    fn begin(&mut self, brief: AgentBrief) {
        self.begun = true;
        self.text_only = brief.variables.get(MODALITY).is_some_and(|m| m == "text");
        let fill = |text: &str| fill(text, &brief);
        let instructions = brief
            .prompt
            .as_deref()
            .or(self.settings.instructions.as_deref())
            .filter(|text| !text.trim().is_empty())
            .unwrap_or(INSTRUCTIONS);
        self.memory.set_system(fill(instructions));
        self.voice = brief.voice.clone().or(self.voice.take());
        self.language = brief.language.clone().or(self.language.take());
        self.say(AgentIn::Ready {
            conversation_id: self.conversation.clone(),
            takes: TAKES,
            gives: GIVES,
        });
        match &brief.first_message {
            _ if brief.takes_over => self.awaits_recap = true,
            Some(text) if text.trim().is_empty() => {}
            Some(text) => {
                let text = fill(text);
                self.say_verbatim(&text);
            }
            None => {
                self.memory.note(GREET);
                self.ask();
            }
        }
    }

    fn listen(&mut self, now: Duration, pcm: &[u8]) {
        let guard = if now < self.heard_until {
            Guard::Wary
        } else {
            Guard::Open
        };
        for heard in self.ear.push(pcm, guard) {
            match heard {
                Heard::Began => {
                    self.say(AgentIn::CallerSpeechStarted);
                    // They may have gone on with what they were saying: that still wants an answer.
                    let was_heard = self.answer.as_ref().is_some_and(Answer::is_heard);
                    self.cut_off = false;
                    self.owes_answer |= self.stop_answer() && !was_heard;
                }
                Heard::Ended(turn) => {
                    self.say(AgentIn::CallerSpeechStopped);
                    self.turn_heard(turn);
                }
                Heard::Nothing => {
                    self.say(AgentIn::CallerSpeechStopped);
                    self.was_noise();
                    self.settle();
                }
            }
        }
    }

    fn turn_heard(&mut self, turn: Vec<u8>) {
        let is_full = self.turns.len() >= TURNS_WAITING_MAX;
        match self.turns.back_mut() {
            Some(last) if is_full => last.extend(turn),
            _ => self.turns.push_back(turn),
        }
        self.transcribe_next();
    }

    fn transcribe_next(&mut self) {
        if self.transcribing.is_some() {
            return;
        }
        let Some(turn) = self.turns.pop_front() else {
            return;
        };
        let job = self.next_job();
        self.lines += 1;
        let seconds = turn.len() as f64 / f64::from(RATE_HZ) / 2.0;
        self.transcribing = Some((job, self.lines, seconds));
        self.out.push(Do::Transcribe(job, turn));
    }

    fn transcribed(&mut self, job: Job, result: Result<String, PartFailure>) {
        let Some((waited, line, seconds)) = self.transcribing else {
            return;
        };
        if waited != job {
            return;
        }
        self.transcribing = None;
        match result {
            Ok(text) => {
                let usd = self.settings.prices.asr_minute.map(|p| p * seconds / 60.0);
                self.used(
                    Usage {
                        transcribed_s: seconds,
                        ..Usage::default()
                    },
                    usd,
                );
                if text.is_empty() {
                    self.was_noise();
                } else {
                    self.cut_off = false;
                    self.say(AgentIn::CallerText {
                        utterance: line,
                        text: text.clone(),
                        interim: false,
                    });
                    self.memory.caller(&text);
                    self.owes_answer = true;
                }
            }
            Err(failure) => self.failed(Part::Asr, &failure),
        }
        self.transcribe_next();
        self.settle();
    }

    /// Nobody asked anything; but if the agent was cut off by it, it goes on.
    fn was_noise(&mut self) {
        if std::mem::take(&mut self.cut_off) {
            self.memory.note(NOISE);
            self.owes_answer = true;
        }
    }

    /// Asks for the answer that is owed, once the caller has said all they want to say.
    fn settle(&mut self) {
        let is_quiet = !self.ear.is_hearing() && self.transcribing.is_none();
        if is_quiet && self.owes_answer && !self.is_hushed {
            self.owes_answer = false;
            self.stop_answer();
            self.ask();
        }
    }

    /// Asks the model, unless a person speaks in its place.
    fn ask(&mut self) {
        if self.is_hushed {
            self.owes_answer = true;
            return;
        }
        self.tools_out.clear();
        let job = self.next_job();
        let body = request(
            self.settings.llm.model.as_deref(),
            self.memory.messages(),
            &self.settings.tools,
        );
        self.lines += 1;
        self.answer = Some(Answer::asked(self.lines, job));
        self.out.push(Do::Complete(job, body));
    }

    /// Counts what a part used and what that cost.
    fn used(&mut self, usage: Usage, usd: Option<f64>) {
        self.spent_usd += usd.unwrap_or(0.0);
        self.say(AgentIn::Usage { usage, usd });
    }

    fn is_spent(&self) -> bool {
        self.settings
            .usd_max
            .is_some_and(|max| self.spent_usd >= max)
    }

    fn say(&mut self, word: AgentIn) {
        self.out.push(Do::Say(word));
    }

    fn next_job(&mut self) -> Job {
        self.jobs += 1;
        self.jobs
    }
}

/// Puts the call's variables in their places: `{{caller_number}}`.
fn fill(text: &str, brief: &AgentBrief) -> String {
    let mut filled = text.to_owned();
    for (name, value) in &brief.variables {
        let place = format!("{{{{{name}}}}}");
        if filled.contains(&place) {
            filled = filled.replace(&place, value);
        }
    }
    filled
}

#[cfg(test)]
mod tests;
