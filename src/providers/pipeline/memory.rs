//! What the model remembers of the conversation: bounded, and of an interrupted answer only what
//! was heard of it.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::chat::ToolUse;

/// Entries kept; the oldest go first.
const ENTRIES_MAX: usize = 60;
/// Characters of them kept.
const CHARS_MAX: usize = 32_000;

/// Result of a call that has none.
const NO_RESULT: &str = r#"{"ok":false,"error":"no result, the caller spoke meanwhile"}"#;

/// A spoken piece of an answer.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    text: String,
    /// Audio handed on for it.
    ms: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Caller(String),
    Agent {
        utterance: u64,
        pieces: Vec<Piece>,
        /// It was cut off here.
        heard: Option<String>,
        calls: Vec<ToolUse>,
    },
    Tool {
        id: String,
        result: String,
    },
    /// A hint of an operator, or of ours.
    Note(String),
}

/// See the module's doc.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    system: String,
    entries: VecDeque<Entry>,
}

impl Memory {
    pub(super) fn set_system(&mut self, text: String) {
        self.system = text;
    }

    pub(super) fn caller(&mut self, text: &str) {
        self.push(Entry::Caller(text.to_owned()));
    }

    pub(super) fn note(&mut self, text: &str) {
        self.push(Entry::Note(text.to_owned()));
    }

    /// Audio of a piece of an answer was handed on; called for every stretch of it. Without sound
    /// `ms` is nothing and the piece counts as heard.
    pub(super) fn spoke(&mut self, utterance: u64, text: &str, ms: u64) {
        let Some(Entry::Agent { pieces, .. }) = self.answer(utterance) else {
            return;
        };
        match pieces.last_mut() {
            Some(piece) if piece.text == text => piece.ms += ms,
            _ => pieces.push(Piece {
                text: text.to_owned(),
                ms,
            }),
        }
    }

    pub(super) fn called(&mut self, utterance: u64, uses: Vec<ToolUse>) {
        if let Some(Entry::Agent { calls, .. }) = self.answer(utterance) {
            *calls = uses;
        }
    }

    pub(super) fn returned(&mut self, id: &str, result: &str) {
        self.push(Entry::Tool {
            id: id.to_owned(),
            result: result.to_owned(),
        });
    }

    /// The model has not seen the newest result of a tool yet.
    pub(super) fn ends_with_result(&self) -> bool {
        matches!(self.entries.back(), Some(Entry::Tool { .. }))
    }

    /// What was handed on of an answer.
    pub(super) fn said(&self, utterance: u64) -> String {
        let pieces = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Agent {
                utterance: known,
                pieces,
                ..
            } if *known == utterance => Some(pieces),
            _ => None,
        });
        join(
            pieces
                .into_iter()
                .flatten()
                .map(|piece| piece.text.as_str()),
        )
    }

    /// The caller heard only so much of an answer. Returns what was said and what of it was heard.
    pub(super) fn truncate(&mut self, utterance: u64, heard_ms: u64) -> Option<(String, String)> {
        let entry = self.entries.iter_mut().rev().find(
            |entry| matches!(entry, Entry::Agent { utterance: known, .. } if *known == utterance),
        )?;
        let Entry::Agent { pieces, heard, .. } = entry else {
            return None;
        };
        let said = join(pieces.iter().map(|piece| piece.text.as_str()));
        let mut left = heard_ms;
        let mut words = Vec::new();
        for piece in &*pieces {
            if piece.ms <= left {
                words.push(piece.text.clone());
                left -= piece.ms;
                continue;
            }
            let part = beginning(&piece.text, left, piece.ms);
            if !part.is_empty() {
                words.push(part);
            }
            break;
        }
        let corrected = join(words.iter().map(String::as_str));
        *heard = Some(corrected.clone());
        Some((said, corrected))
    }

    /// The conversation as the model is given it.
    pub(super) fn messages(&self) -> Vec<Value> {
        let mut messages = vec![json!({"role": "system", "content": self.system})];
        for entry in &self.entries {
            match entry {
                Entry::Caller(text) => messages.push(json!({"role": "user", "content": text})),
                Entry::Note(text) => messages.push(json!({"role": "system", "content": text})),
                // Told right behind the call it answers: servers refuse any other order.
                Entry::Tool { .. } => {}
                Entry::Agent {
                    pieces,
                    heard,
                    calls,
                    ..
                } => {
                    messages.extend(agent_message(pieces, heard.as_deref(), calls));
                    messages.extend(calls.iter().map(|call| self.result_of(call)));
                }
            }
        }
        messages
    }

    /// A call the caller talked over has no result, and servers refuse a call without one.
    fn result_of(&self, call: &ToolUse) -> Value {
        let result = self.entries.iter().find_map(|entry| match entry {
            Entry::Tool { id, result } if *id == call.id => Some(result.as_str()),
            _ => None,
        });
        json!({"role": "tool", "tool_call_id": call.id, "content": result.unwrap_or(NO_RESULT)})
    }

    /// The entry of an answer, made if there is none.
    fn answer(&mut self, utterance: u64) -> Option<&mut Entry> {
        let is_it = |entry: &Entry| matches!(entry, Entry::Agent { utterance: known, .. } if *known == utterance);
        if !self.entries.iter().any(is_it) {
            self.push(Entry::Agent {
                utterance,
                pieces: Vec::new(),
                heard: None,
                calls: Vec::new(),
            });
        }
        self.entries.iter_mut().rev().find(|entry| is_it(entry))
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        while self.entries.len() > 1
            && (self.entries.len() > ENTRIES_MAX || self.chars() > CHARS_MAX)
        {
            self.entries.pop_front();
            // A tool's result without the call it answers is refused by every server.
            while matches!(self.entries.front(), Some(Entry::Tool { .. })) && self.entries.len() > 1
            {
                self.entries.pop_front();
            }
        }
    }

    fn chars(&self) -> usize {
        self.entries
            .iter()
            .map(|entry| match entry {
                Entry::Caller(text) | Entry::Note(text) => text.len(),
                Entry::Tool { result, .. } => result.len(),
                Entry::Agent { pieces, calls, .. } => {
                    pieces.iter().map(|piece| piece.text.len()).sum::<usize>()
                        + calls.iter().map(|call| call.args.len()).sum::<usize>()
                }
            })
            .sum()
    }
}

fn agent_message(pieces: &[Piece], heard: Option<&str>, calls: &[ToolUse]) -> Option<Value> {
    let text = match heard {
        // The dash tells the model that it was cut off.
        Some("") => String::new(),
        Some(heard) => format!("{heard} —"),
        None => join(pieces.iter().map(|piece| piece.text.as_str())),
    };
    if calls.is_empty() {
        return (!text.is_empty()).then(|| json!({"role": "assistant", "content": text}));
    }
    let calls: Vec<Value> = calls
        .iter()
        .map(|call| {
            json!({"id": call.id, "type": "function", "function": {
                "name": call.name,
                "arguments": if call.args.is_empty() { "{}" } else { call.args.as_str() },
            }})
        })
        .collect();
    let content = if text.is_empty() {
        Value::Null
    } else {
        json!(text)
    };
    Some(json!({"role": "assistant", "content": content, "tool_calls": calls}))
}

fn join<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
    pieces.collect::<Vec<_>>().join(" ")
}

/// The words of `text` that fit into `ms` of its `whole_ms`.
fn beginning(text: &str, ms: u64, whole_ms: u64) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let chars: usize = words.iter().map(|word| word.len() + 1).sum();
    let mut fits = (chars as u64 * ms / whole_ms.max(1)) as usize;
    let heard = words.iter().take_while(|word| {
        let room = fits >= word.len();
        fits = fits.saturating_sub(word.len() + 1);
        room
    });
    join(heard.copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_interrupted_answer_only_what_was_heard_is_remembered() {
        let mut memory = Memory::default();
        memory.set_system("be brief".into());
        memory.caller("when?");
        memory.spoke(1, "On Thursday.", 500);
        memory.spoke(1, "On Thursday.", 500);
        memory.spoke(1, "That is the day after tomorrow.", 2_000);
        let (said, heard) = memory.truncate(1, 2_000).unwrap();
        assert_eq!(said, "On Thursday. That is the day after tomorrow.");
        assert_eq!(heard, "On Thursday. That is the day");
        let messages = memory.messages();
        assert_eq!(messages[2]["content"], "On Thursday. That is the day —");
        memory.truncate(1, 0).unwrap();
        assert_eq!(memory.messages().len(), 2, "nothing heard, nothing said");
        assert_eq!(memory.truncate(9, 0), None);
    }

    #[test]
    fn a_result_never_outlives_its_call() {
        let mut memory = Memory::default();
        memory.called(
            1,
            vec![ToolUse {
                id: "c".into(),
                name: "lookup".into(),
                args: String::new(),
            }],
        );
        memory.returned("c", "found");
        assert_eq!(
            memory.messages()[1]["tool_calls"][0]["function"]["arguments"],
            "{}"
        );
        for n in 0..ENTRIES_MAX - 1 {
            memory.caller(&n.to_string());
        }
        assert_eq!(memory.messages()[1]["role"], "user");
        assert!(memory.entries.len() < ENTRIES_MAX);
    }

    #[test]
    fn memory_is_bounded_by_its_length_too() {
        let mut memory = Memory::default();
        for _ in 0..20 {
            memory.caller(&"x".repeat(8_000));
        }
        assert!(memory.chars() <= CHARS_MAX);
    }
}
