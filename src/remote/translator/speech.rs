//! A transcript told in three shapes, some of them twice: bubbles that grow (replace, never append),
//! single messages, and the whole document after the call.

use serde_json::Value;

use crate::call::text::clean;
use crate::call::{Fact, Track};

/// Messages of one document taken at most.
const MESSAGES_MAX: usize = 2_000;

/// What has been said so far on one call.
#[derive(Debug, Default)]
pub(super) struct Speech {
    turn: u32,
    caller: Side,
    agent: Side,
    /// Who spoke last, and what: the same again is a repetition.
    last: Option<(Track, String)>,
    any_final: bool,
    analysed: bool,
}

#[derive(Debug, Default)]
struct Side {
    /// The bubble that is still growing.
    open: Option<(u32, String)>,
}

impl Speech {
    /// `{type: "message", data: {text|message, role, isPartial?}}`; other types say nothing.
    pub fn bubble(&mut self, payload: &Value) -> Vec<Fact> {
        let data = payload
            .get("data")
            .filter(|data| data.is_object())
            .unwrap_or(payload);
        let kind = payload.get("type").and_then(Value::as_str);
        if kind.is_some_and(|kind| kind != "message" && kind != "transcript_update") {
            return Vec::new();
        }
        let partial = data
            .get("isPartial")
            .or_else(|| data.get("is_partial"))
            .and_then(Value::as_bool);
        match read(data) {
            Some((track, text)) if partial == Some(true) => self.grow(track, text),
            Some((track, text)) => self.settle(track, text),
            None => Vec::new(),
        }
    }

    /// `{message: {role, message}}`: said and done.
    pub fn message(&mut self, payload: &Value) -> Vec<Fact> {
        let inner = payload.get("message").filter(|inner| inner.is_object());
        let inner = inner.or_else(|| payload.get("data")).unwrap_or(payload);
        match read(inner) {
            Some((track, text)) => self.settle(track, text),
            None => Vec::new(),
        }
    }

    /// `{transcript: {summary, messages, sentiment, topics}}` after the call: the words are news only
    /// if none were told live.
    pub fn document(&mut self, payload: &Value) -> Vec<Fact> {
        let Some(document) = payload.get("transcript") else {
            return Vec::new();
        };
        let mut facts = Vec::new();
        if !self.any_final {
            let messages = document.get("messages").and_then(Value::as_array);
            for message in messages.into_iter().flatten().take(MESSAGES_MAX) {
                if let Some((track, text)) = read(message) {
                    facts.extend(self.settle(track, text));
                }
            }
        }
        let text = |name: &str| {
            let text = document.get(name)?.as_str()?.trim();
            (!text.is_empty()).then(|| clean(text).into_owned())
        };
        let (summary, sentiment) = (text("summary"), text("sentiment"));
        let topics = document
            .get("topics")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let topics: Vec<String> = topics
            .filter_map(Value::as_str)
            .take(50)
            .map(|topic| clean(topic).into_owned())
            .collect();
        let says_something = summary.is_some() || sentiment.is_some() || !topics.is_empty();
        if says_something && !std::mem::replace(&mut self.analysed, true) {
            facts.push(Fact::ConversationAnalysed {
                summary,
                sentiment,
                topics,
            });
        }
        facts
    }

    /// Bubbles still open when the call ends are final as they stand.
    pub fn finish(&mut self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for track in [Track::FromCaller, Track::FromAgent] {
            if let Some((_, text)) = self.side(track).open.clone() {
                facts.extend(self.settle(track, text));
            }
        }
        facts
    }

    fn grow(&mut self, track: Track, text: String) -> Vec<Fact> {
        if self.is_repetition(track, &text) && self.side(track).open.is_none() {
            return Vec::new();
        }
        let turn = match &self.side(track).open {
            Some((_, known)) if *known == text => return Vec::new(),
            Some((turn, _)) => *turn,
            None => self.next_turn(),
        };
        self.side(track).open = Some((turn, text.clone()));
        vec![Fact::UtteranceInterim { turn, track, text }]
    }

    fn settle(&mut self, track: Track, text: String) -> Vec<Fact> {
        let open = self.side(track).open.take();
        if open.is_none() && self.is_repetition(track, &text) {
            return Vec::new();
        }
        let turn = match open {
            Some((turn, _)) => turn,
            None => self.next_turn(),
        };
        self.any_final = true;
        self.last = Some((track, text.clone()));
        vec![Fact::UtteranceFinal {
            turn,
            track,
            text,
            latency_ms: None,
        }]
    }

    fn is_repetition(&self, track: Track, text: &str) -> bool {
        self.last
            .as_ref()
            .is_some_and(|(last, said)| *last == track && said == text)
    }

    fn next_turn(&mut self) -> u32 {
        self.turn = self.turn.saturating_add(1);
        self.turn
    }

    fn side(&mut self, track: Track) -> &mut Side {
        match track {
            Track::FromCaller => &mut self.caller,
            Track::FromAgent | Track::FromOperator => &mut self.agent,
        }
    }
}

fn read(message: &Value) -> Option<(Track, String)> {
    let text = ["text", "message"]
        .iter()
        .find_map(|name| message.get(*name)?.as_str())?
        .trim();
    if text.is_empty() {
        return None;
    }
    let role = message
        .get("role")
        .or_else(|| message.get("speaker"))
        .and_then(Value::as_str)?;
    let track = match role.to_ascii_lowercase().as_str() {
        "user" | "customer" | "caller" => Track::FromCaller,
        _ => Track::FromAgent,
    };
    Some((track, clean(text).into_owned()))
}
