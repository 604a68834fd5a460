//! One answer on its way: the model's words, cut into pieces, spoken one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::bridge::{AgentIn, Usage};
use crate::media::g711_ms;
use crate::providers::openai::END_CALL;

use super::super::chat::{Delta, ToolUses};
use super::super::sentences::{Sentences, speakable};
use super::super::{Part, PartFailure};
use super::{Do, Job, Talk};

/// Pieces in the making at once: the one being handed on and the one after it.
const SPEAKING_MAX: usize = 2;
/// No further piece is begun while this much is ahead of the ear: the bridge takes 30 s, and what
/// is interrupted was paid for.
const AHEAD_MAX: Duration = Duration::from_secs(12);
/// An answer longer than this is cut: a model in a loop would talk for ever.
const WORDS_MAX: usize = 8_000;

/// See the module's doc.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) line: u64,
    /// The model is still writing.
    asking: Option<Job>,
    written: String,
    sentences: Sentences,
    calls: ToolUses,
    /// Pieces nobody makes speech of yet.
    pieces: VecDeque<String>,
    speaking: VecDeque<Speaking>,
    /// Some of its audio was handed on.
    heard: bool,
    /// It is the line said when a part is down: its own failure is final.
    is_fallback: bool,
    hang_up: Option<String>,
}

#[derive(Debug)]
struct Speaking {
    job: Job,
    text: String,
    /// Audio that waits for the piece before.
    held: Vec<Bytes>,
    done: bool,
}

impl Answer {
    /// One the model was asked for.
    pub(super) fn asked(line: u64, job: Job) -> Self {
        Self {
            line,
            asking: Some(job),
            written: String::new(),
            sentences: Sentences::default(),
            calls: ToolUses::default(),
            pieces: VecDeque::new(),
            speaking: VecDeque::new(),
            heard: false,
            is_fallback: false,
            hang_up: None,
        }
    }

    /// Given words.
    fn verbatim(line: u64, text: &str) -> Self {
        let mut answer = Self::asked(line, 0);
        answer.asking = None;
        answer.append(text);
        answer
    }

    fn append(&mut self, text: &str) {
        if !self.written.is_empty() {
            self.written.push(' ');
        }
        self.written.push_str(text);
        let mut sentences = Sentences::default();
        self.pieces.extend(sentences.push(text));
        self.pieces.extend(sentences.end());
    }

    /// Some of its audio was handed on.
    pub(super) fn is_heard(&self) -> bool {
        self.heard
    }

    /// Everything asked for it that has not come.
    pub(super) fn jobs(&self) -> impl Iterator<Item = Job> {
        let speaking = self.speaking.iter().filter(|s| !s.done).map(|s| s.job);
        self.asking.into_iter().chain(speaking)
    }

    pub(super) fn into_words(self) -> (u64, String) {
        (self.line, self.written)
    }

    fn is_done(&self) -> bool {
        self.asking.is_none() && self.pieces.is_empty() && self.speaking.is_empty()
    }
}

impl Talk {
    /// Speaks these words and no others, after what is being said.
    pub(super) fn say_verbatim(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if let Some(answer) = &mut self.answer {
            answer.append(text);
        } else {
            self.lines += 1;
            self.answer = Some(Answer::verbatim(self.lines, text));
        }
        self.tell_words();
    }

    /// Says the line for when a part is down.
    pub(super) fn say_fallback(&mut self) {
        if self.is_hushed {
            return;
        }
        let line = self.settings.fallback_line.clone();
        self.lines += 1;
        let mut answer = Answer::verbatim(self.lines, "");
        answer.written.clone_from(&line);
        answer.is_fallback = true;
        if self.text_only {
            answer.pieces.push_back(line);
        } else {
            let job = self.next_job();
            answer.speaking.push_back(Speaking {
                job,
                text: line,
                held: Vec::new(),
                done: false,
            });
            self.out.push(Do::SpeakFallback(job));
        }
        self.answer = Some(answer);
        self.tell_words();
    }

    /// Drops the answer and everything asked for it. Returns whether there was one.
    pub(super) fn stop_answer(&mut self) -> bool {
        let had_tools = !std::mem::take(&mut self.tools_out).is_empty();
        self.heard_until = Duration::ZERO;
        let Some(answer) = self.answer.take() else {
            return had_tools;
        };
        for job in answer.jobs() {
            self.out.push(Do::Stop(job));
        }
        let written = answer.written.trim();
        if written.is_empty() {
            return true;
        }
        self.say(AgentIn::AgentText {
            utterance: answer.line,
            text: written.to_owned(),
            interim: false,
        });
        // What nobody made speech of was never said. How much of the rest was heard, the bridge
        // knows better.
        let said = self.memory.said(answer.line);
        if said != written && !(answer.is_fallback && answer.heard) {
            self.say(AgentIn::AgentCorrection {
                utterance: answer.line,
                original: written.to_owned(),
                corrected: said,
            });
        }
        true
    }

    pub(super) fn delta(&mut self, job: Job, delta: Delta) {
        if let Some((read, written)) = delta.tokens {
            let prices = self.settings.prices;
            let usd = match (prices.llm_million_in, prices.llm_million_out) {
                (None, None) => None,
                (per_in, per_out) => Some(
                    (read as f64 * per_in.unwrap_or(0.0) + written as f64 * per_out.unwrap_or(0.0))
                        / 1e6,
                ),
            };
            self.used(
                Usage {
                    text_in: read,
                    text_out: written,
                    ..Usage::default()
                },
                usd,
            );
        }
        let Some(answer) = self.answer.as_mut().filter(|a| a.asking == Some(job)) else {
            return;
        };
        for call in delta.calls {
            answer.calls.push(call);
        }
        if delta.words.is_empty() || answer.written.len() >= WORDS_MAX {
            return;
        }
        answer.written.push_str(&delta.words);
        let pieces = answer.sentences.push(&delta.words);
        answer.pieces.extend(pieces);
        self.tell_words();
    }

    pub(super) fn answered(&mut self, job: Job, result: Result<(), PartFailure>) {
        let Some(answer) = self.answer.as_mut().filter(|a| a.asking == Some(job)) else {
            return;
        };
        answer.asking = None;
        answer.pieces.extend(answer.sentences.end());
        let line = answer.line;
        let uses = answer.calls.take(line);
        let is_empty = answer.written.trim().is_empty() && uses.is_empty();
        let failure = match result {
            Ok(()) if is_empty => Some(PartFailure::Unreadable("an empty answer".into())),
            Ok(()) => None,
            Err(failure) => Some(failure),
        };
        if let Some(failure) = failure {
            // What was said so far stands.
            if is_empty {
                self.answer = None;
                self.failed(Part::Llm, &failure);
            } else {
                self.trouble(Part::Llm, &failure);
            }
            return;
        }
        if uses.is_empty() {
            return;
        }
        self.memory.called(line, uses.clone());
        for call in uses {
            if call.name == END_CALL {
                self.memory.returned(&call.id, "{\"ok\":true}");
                if let Some(answer) = &mut self.answer {
                    answer.hang_up = Some("the agent ended the call".to_owned());
                }
                continue;
            }
            self.tools_out.push(call.id.clone());
            self.say(AgentIn::ToolCall {
                tool_call_id: call.id,
                name: call.name,
                args: call.args,
            });
        }
    }

    pub(super) fn tool_returned(&mut self, id: &str, ok: bool, result: &str) {
        let Some(place) = self.tools_out.iter().position(|known| known == id) else {
            // The caller spoke meanwhile and the answer is another one now.
            return;
        };
        self.tools_out.remove(place);
        let result = if ok {
            result.to_owned()
        } else {
            serde_json::json!({"ok": false, "error": result}).to_string()
        };
        self.memory.returned(id, &result);
        self.go_on_after_tools();
    }

    /// Asks the model again once all results are in and what it said before is spoken.
    fn go_on_after_tools(&mut self) {
        if self.tools_out.is_empty() && self.answer.as_ref().is_none_or(Answer::is_done) {
            self.ask();
        }
    }

    /// Begins the next pieces, and ends the answer when nothing is left of it.
    pub(super) fn speak_on(&mut self, now: Duration) {
        let ahead = self.heard_until.saturating_sub(now);
        loop {
            let Some(answer) = &mut self.answer else {
                return;
            };
            if answer.is_done() {
                self.finish();
                return;
            }
            let is_full = answer.speaking.len() >= SPEAKING_MAX || ahead >= AHEAD_MAX;
            if is_full && !self.text_only {
                return;
            }
            let Some(piece) = answer.pieces.pop_front() else {
                return;
            };
            let text = speakable(&piece);
            if text.is_empty() {
                continue;
            }
            if self.text_only {
                let line = answer.line;
                self.memory.spoke(line, &text, 0);
                continue;
            }
            self.jobs += 1;
            answer.speaking.push_back(Speaking {
                job: self.jobs,
                text: text.clone(),
                held: Vec::new(),
                done: false,
            });
            self.out.push(Do::Speak(self.jobs, text));
        }
    }

    pub(super) fn voice_came(&mut self, now: Duration, job: Job, ulaw: Bytes) {
        let Some(answer) = &mut self.answer else {
            return;
        };
        let Some(place) = answer.speaking.iter().position(|s| s.job == job) else {
            return;
        };
        if place > 0 {
            if let Some(speaking) = answer.speaking.get_mut(place) {
                speaking.held.push(ulaw);
            }
            return;
        }
        self.hand_on(now, ulaw);
    }

    /// Audio of the first piece in line goes out.
    fn hand_on(&mut self, now: Duration, ulaw: Bytes) {
        let Some(answer) = &mut self.answer else {
            return;
        };
        let ms = g711_ms(ulaw.len());
        answer.heard = true;
        self.heard_until = self.heard_until.max(now) + Duration::from_millis(ms);
        let (line, is_fallback) = (answer.line, answer.is_fallback);
        let text = answer.speaking.front().map(|s| s.text.clone());
        if let Some(text) = text.filter(|_| !is_fallback) {
            self.memory.spoke(line, &text, ms);
        }
        self.say(AgentIn::Audio {
            utterance: line,
            payload: ulaw,
        });
    }

    pub(super) fn voiced(&mut self, now: Duration, job: Job, result: Result<(), PartFailure>) {
        let Some(answer) = &mut self.answer else {
            return;
        };
        let is_fallback = answer.is_fallback;
        let Some(speaking) = answer.speaking.iter_mut().find(|s| s.job == job) else {
            return;
        };
        speaking.done = true;
        let chars = speaking.text.chars().count();
        match result {
            Err(failure) => {
                self.not_spoken(&failure, is_fallback);
                return;
            }
            Ok(()) if is_fallback => {}
            Ok(()) => {
                let usd = self
                    .settings
                    .prices
                    .tts_million
                    .map(|p| p * chars as f64 / 1e6);
                if usd.is_some() {
                    self.used(Usage::default(), usd);
                }
            }
        }
        while let Some(answer) = &mut self.answer {
            if !answer.speaking.front().is_some_and(|s| s.done) {
                return;
            }
            answer.speaking.pop_front();
            let held = answer
                .speaking
                .front_mut()
                .map(|s| std::mem::take(&mut s.held));
            for ulaw in held.unwrap_or_default() {
                self.hand_on(now, ulaw);
            }
        }
    }

    /// Shows what has been written so far.
    fn tell_words(&mut self) {
        if let Some(answer) = &self.answer {
            let word = AgentIn::AgentText {
                utterance: answer.line,
                text: answer.written.clone(),
                interim: true,
            };
            self.say(word);
        }
    }

    /// All of it was handed on. Only now is the text final: who reads "final" knows that no audio of
    /// this answer follows.
    fn finish(&mut self) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        if !answer.written.trim().is_empty() {
            self.say(AgentIn::AgentText {
                utterance: answer.line,
                text: answer.written.trim().to_owned(),
                interim: false,
            });
        }
        if !answer.is_fallback {
            self.failures = 0;
        }
        if let Some(reason) = answer.hang_up {
            self.say(AgentIn::HangUp { reason });
            return;
        }
        if self.is_spent() {
            self.say(AgentIn::Trouble {
                code: "cost_limit".into(),
                message: "this agent's cost limit for one call was reached".into(),
            });
            self.say(AgentIn::HangUp {
                reason: "cost limit".into(),
            });
            return;
        }
        if self.memory.ends_with_result() {
            self.go_on_after_tools();
        }
    }
}
