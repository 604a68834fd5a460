//! One answer at a time: what is to be answered waits until the vendor has finished the answer it
//! is making. The vendor refuses a second one.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// Answers asked for and not begun. Full: the oldest is forgotten.
const WAITING_MAX: usize = 8;
/// Answers whose late audio is still thrown away.
const DISCARDED_MAX: usize = 16;
/// How the ids of our requests begin.
pub(super) const REQUEST_PREFIX: &str = "wb-answer-";

#[derive(Clone, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Idle,
    /// We asked for an answer; it has not begun.
    Asked,
    Answering {
        id: String,
        /// By the caller's voice or by us.
        cancelled: bool,
    },
}

/// An answer to be asked for: the body of `response`, and whether it holds the very words.
#[derive(Clone, Debug)]
struct Wanted {
    params: Value,
    given: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    phase: Phase,
    waiting: VecDeque<Wanted>,
    /// The request under way, in case it comes too early.
    asked: Option<Wanted>,
    discarded: VecDeque<String>,
    /// The present answer says words it was given.
    given: Option<String>,
    requests: u64,
}

impl Answers {
    /// Asks for an answer as soon as there may be one; `params` is the body of `response`.
    pub(super) fn want(&mut self, params: Value) {
        self.push(Wanted {
            params,
            given: false,
        });
    }

    /// The same for an answer that says words it is given.
    pub(super) fn want_given(&mut self, params: Value) {
        self.push(Wanted {
            params,
            given: true,
        });
    }

    fn push(&mut self, wanted: Wanted) {
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(wanted);
    }

    /// Something waits and nothing stands in its way.
    pub(super) fn is_due(&self) -> bool {
        self.phase == Phase::Idle && !self.waiting.is_empty()
    }

    /// The request to send now, if one is due.
    pub(super) fn take(&mut self) -> Option<Value> {
        if !self.is_due() {
            return None;
        }
        let wanted = self.waiting.pop_front()?;
        self.phase = Phase::Asked;
        self.asked = Some(wanted.clone());
        let params = wanted.params;
        self.requests += 1;
        let mut request = json!({
            "type": "response.create",
            "event_id": format!("{REQUEST_PREFIX}{}", self.requests),
        });
        if let (Value::Object(fields), false) = (&mut request, params.is_null()) {
            fields.insert("response".to_owned(), params);
        }
        Some(request)
    }

    /// The vendor began an answer, ours or one of its own.
    pub(super) fn began(&mut self, id: &str) {
        let ours = self.phase == Phase::Asked;
        let given = self.asked.as_ref().is_some_and(|asked| asked.given);
        self.given = (ours && given).then(|| id.to_owned());
        self.phase = Phase::Answering {
            id: id.to_owned(),
            cancelled: false,
        };
    }

    /// The vendor finished an answer.
    pub(super) fn ended(&mut self, id: &str) {
        let is_present = match &self.phase {
            // One we were not told of has no id.
            Phase::Answering { id: present, .. } => present == id || present.is_empty(),
            Phase::Idle | Phase::Asked => false,
        };
        if is_present {
            self.phase = Phase::Idle;
            self.asked = None;
        }
        self.discarded.retain(|gone| gone != id);
    }

    /// Whether this answer was asked for with its words.
    pub(super) fn is_given(&self, id: &str) -> bool {
        self.given.as_deref() == Some(id)
    }

    /// Nothing that waits is wanted any more.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// Our request came while another answer was being made: it waits for that one's end.
    pub(super) fn came_too_early(&mut self) {
        if let Some(wanted) = self.asked.take() {
            self.waiting.push_front(wanted);
        }
        if self.phase == Phase::Asked {
            // What answer that is, we were not told: its end frees the way.
            self.phase = Phase::Answering {
                id: String::new(),
                cancelled: false,
            };
        }
    }

    /// Our request was refused for good.
    pub(super) fn refused(&mut self) {
        self.asked = None;
        if self.phase == Phase::Asked {
            self.phase = Phase::Idle;
        }
    }

    /// The vendor stopped the present answer by itself: what still comes of it is void.
    pub(super) fn interrupted(&mut self) {
        self.void_present();
    }

    /// Stops the present answer: the id to cancel, `None` when there is nothing left to cancel.
    pub(super) fn cancel(&mut self) -> Option<String> {
        self.void_present()
    }

    /// Audio and text of this answer are not wanted any more.
    pub(super) fn is_void(&self, id: &str) -> bool {
        self.discarded.iter().any(|gone| gone == id)
    }

    fn void_present(&mut self) -> Option<String> {
        let Phase::Answering { id, cancelled } = &mut self.phase else {
            return None;
        };
        if std::mem::replace(cancelled, true) || id.is_empty() {
            return None;
        }
        if self.discarded.len() == DISCARDED_MAX {
            self.discarded.pop_front();
        }
        self.discarded.push_back(id.clone());
        Some(id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_at_a_time() {
        let mut answers = Answers::default();
        answers.want(Value::Null);
        answers.want(json!({"instructions": "x"}));
        let first = answers.take().unwrap();
        assert_eq!(
            first,
            json!({"type": "response.create", "event_id": "wb-answer-1"})
        );
        assert_eq!(answers.take(), None);
        answers.began("resp_1");
        assert!(!answers.is_due());
        answers.ended("resp_0");
        assert!(!answers.is_due());
        answers.ended("resp_1");
        let second = answers.take().unwrap();
        assert_eq!(second["response"]["instructions"], "x");
    }

    #[test]
    fn an_answer_with_its_words_is_recognised_and_waiting_ones_can_be_forgotten() {
        let mut answers = Answers::default();
        answers.want_given(json!({"instructions": "say x"}));
        answers.want(Value::Null);
        answers.take();
        answers.began("resp_1");
        assert!(answers.is_given("resp_1") && !answers.is_given("resp_0"));
        answers.forget();
        answers.ended("resp_1");
        assert_eq!(answers.take(), None);
        answers.began("resp_of_the_vendor");
        assert!(!answers.is_given("resp_of_the_vendor"));
    }

    #[test]
    fn a_request_that_came_too_early_is_asked_again() {
        let mut answers = Answers::default();
        answers.want(json!({"n": 1}));
        answers.take();
        answers.began("resp_of_the_vendor");
        answers.came_too_early();
        answers.ended("resp_of_the_vendor");
        assert_eq!(answers.take().unwrap()["response"]["n"], 1);
        answers.came_too_early();
        assert!(!answers.is_due());
        answers.ended("resp_unseen");
        assert!(answers.is_due());
    }

    #[test]
    fn an_answer_is_cancelled_once() {
        let mut answers = Answers::default();
        assert_eq!(answers.cancel(), None);
        answers.began("resp_1");
        assert_eq!(answers.cancel().as_deref(), Some("resp_1"));
        assert_eq!(answers.cancel(), None);
        assert!(answers.is_void("resp_1"));
        answers.ended("resp_1");
        assert!(!answers.is_void("resp_1"));
        answers.began("resp_2");
        answers.interrupted();
        assert_eq!(answers.cancel(), None);
    }
}
