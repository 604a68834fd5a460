//! A conversation under the test's hand: what it does is written down, what comes of it is put in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::bridge::{AgentBrief, AgentIn};

use super::super::super::PipelineSettings;
use super::super::super::chat::Delta;
use super::super::super::codec::{Order, Told};
use super::super::{Do, In, Job, Talk};

/// A conversation and everything it has asked for.
pub(super) struct Rig {
    pub(super) talk: Talk,
    pub(super) now: Duration,
    pub(super) said: Vec<AgentIn>,
    pub(super) asked: Vec<(Job, Value)>,
    pub(super) spoken: Vec<(Job, String)>,
    pub(super) heard: Vec<(Job, Vec<u8>)>,
    pub(super) fallbacks: Vec<Job>,
    pub(super) stopped: Vec<Job>,
}

impl Rig {
    pub(super) fn new(settings: PipelineSettings) -> Self {
        Self {
            talk: Talk::new(Arc::new(settings), "pipe_1".into()),
            now: Duration::ZERO,
            said: Vec::new(),
            asked: Vec::new(),
            spoken: Vec::new(),
            heard: Vec::new(),
            fallbacks: Vec::new(),
            stopped: Vec::new(),
        }
    }

    /// Begun, with nothing said first.
    pub(super) fn open() -> Self {
        let mut rig = Self::new(PipelineSettings::default());
        rig.begin(AgentBrief {
            first_message: Some(String::new()),
            ..AgentBrief::default()
        });
        rig
    }

    pub(super) fn begin(&mut self, brief: AgentBrief) {
        self.tell(Told::Begin { brief });
    }

    pub(super) fn tell(&mut self, told: Told) {
        self.put(In::Order(Order::Told(told)));
    }

    pub(super) fn typed(&mut self, text: &str) {
        self.tell(Told::Typed { text: text.into() });
    }

    pub(super) fn put(&mut self, input: In) {
        for deed in self.talk.step(self.now, input) {
            match deed {
                Do::Say(word) => self.said.push(word),
                Do::Transcribe(job, pcm) => self.heard.push((job, pcm)),
                Do::Complete(job, body) => self.asked.push((job, body)),
                Do::Speak(job, text) => self.spoken.push((job, text)),
                Do::SpeakFallback(job) => self.fallbacks.push(job),
                Do::Stop(job) => self.stopped.push(job),
            }
        }
    }

    /// The model writes these words.
    pub(super) fn write(&mut self, words: &str) {
        let job = self.asked.last().unwrap().0;
        for word in words.split_inclusive(' ') {
            let delta = Delta {
                words: word.into(),
                ..Delta::default()
            };
            self.put(In::Delta(job, delta));
        }
    }

    pub(super) fn written(&mut self) {
        let job = self.asked.last().unwrap().0;
        self.put(In::Answered(job, Ok(())));
    }

    /// So much of a piece comes.
    pub(super) fn sound(&mut self, job: Job, ms: usize) {
        self.put(In::Voice(job, Bytes::from(vec![7; ms * 8])));
    }

    /// A piece comes whole.
    pub(super) fn speak(&mut self, job: Job, ms: usize) {
        self.sound(job, ms);
        self.put(In::Voiced(job, Ok(())));
    }

    pub(super) fn audio_ms(&self, line: u64) -> usize {
        self.said
            .iter()
            .map(|word| match word {
                AgentIn::Audio { utterance, payload } if *utterance == line => payload.len() / 8,
                _ => 0,
            })
            .sum()
    }

    pub(super) fn finals(&self) -> Vec<&str> {
        self.said
            .iter()
            .filter_map(|word| match word {
                AgentIn::AgentText {
                    text,
                    interim: false,
                    ..
                } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    pub(super) fn messages(&self) -> Vec<Value> {
        self.asked.last().unwrap().1["messages"]
            .as_array()
            .unwrap()
            .clone()
    }

    pub(super) fn line(&self) -> u64 {
        self.talk.answer.as_ref().unwrap().line
    }
}
