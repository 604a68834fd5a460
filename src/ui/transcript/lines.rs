//! One transcript line, laid out: columns, text, rows, marks.

use std::ops::Range;

use crate::call::text::clean;
use crate::call::{ActionState, Line, LineBody, Track};
use crate::ui::watch::Watch;
use crate::ui::words::seconds;
use crate::ui::wrap::wrap;

/// Columns right of the text: latency, `repeat`.
const RIGHT: u16 = 10;
/// Below this width the time column goes.
const NARROW: u16 = 56;
/// Shorter lines ("Yes.") are not worth calling repeats, characters.
const REPEAT_MIN: usize = 16;

/// How the columns of a transcript of some width are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    /// 0 when there is no room for the time.
    pub time: u16,
    pub speaker: u16,
    pub text: u16,
    pub right: u16,
}

impl Columns {
    pub fn of(width: u16) -> Self {
        let time = if width >= NARROW { 9 } else { 0 };
        let speaker = 8;
        let right = if width >= 34 { RIGHT } else { 0 };
        Self {
            time,
            speaker,
            text: width.saturating_sub(time + speaker + right).max(1),
            right,
        }
    }
}

/// One transcript line, laid out.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub line: Line,
    /// Cleaned text of the line; for a cut utterance what was heard and the cut mark.
    pub text: String,
    /// Wrapped rows, as byte ranges of `text`.
    pub rows: Vec<Range<usize>>,
    /// One more row beneath: where it was cut, what a tool returned.
    pub tail: Option<String>,
    /// The agent said this before.
    pub is_repeat: bool,
    /// Where watch words stand in `text`.
    pub hits: Vec<Range<usize>>,
}

impl Entry {
    pub fn height(&self) -> u32 {
        (self.rows.len() + usize::from(self.tail.is_some())) as u32
    }

    /// Its rows, top to bottom.
    pub fn rows(&self, is_evidence: bool) -> impl DoubleEndedIterator<Item = Row<'_>> {
        let rows = self.rows.iter().enumerate().map(move |(index, range)| Row {
            entry: self,
            is_evidence,
            range: range.clone(),
            is_first: index == 0,
            text: self.text.get(range.clone()),
        });
        let tail = self.tail.iter().map(move |_| Row {
            entry: self,
            is_evidence,
            range: 0..0,
            is_first: false,
            text: None,
        });
        rows.chain(tail)
    }
}

/// A row in view.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub entry: &'a Entry,
    /// An alert points at this turn.
    pub is_evidence: bool,
    /// Bytes of the entry's text on this row; empty for the tail.
    pub range: Range<usize>,
    /// The first row carries time, speaker and latency.
    pub is_first: bool,
    /// `None` is the entry's tail.
    pub text: Option<&'a str>,
}

/// Who speaks on a line.
pub(crate) fn speaker(line: &Line) -> &'static str {
    match &line.body {
        LineBody::Speech { track, .. } => track_word(*track),
        LineBody::Tool { .. } => "tool",
        LineBody::Mark { .. } => "·",
    }
}

pub(crate) fn track_word(track: Track) -> &'static str {
    match track {
        Track::FromCaller => "caller",
        Track::FromAgent => "agent",
        Track::FromOperator => "you",
    }
}

/// The agent's words without blanks, marks and case, if there are enough to call them a repeat.
pub(super) fn agent_words(line: &Line) -> Option<String> {
    match &line.body {
        LineBody::Speech {
            track: Track::FromAgent,
            text,
            interim: false,
            ..
        } => {
            let words: String = text
                .chars()
                .filter(|c| c.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect();
            (words.len() >= REPEAT_MIN).then_some(words)
        }
        _ => None,
    }
}

/// How tool calls are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tools {
    /// What they were told and what they answered.
    #[default]
    Whole,
    /// Name and outcome only.
    Folded,
}

/// Lays one line out.
pub(crate) fn lay(line: &Line, columns: Columns, tools: Tools, watch: &Watch) -> Entry {
    let (text, tail) = match &line.body {
        LineBody::Speech { text, cut, .. } => match cut {
            Some(cut) if cut.is_unheard() => (format!("⌿ not heard: {}", clean(text)), None),
            Some(cut) => {
                let unsaid = text.strip_prefix(cut.heard.as_str()).unwrap_or_default();
                let mut tail = match cut.by {
                    None => "└ cut off by the caller".to_owned(),
                    Some(Track::FromOperator) => "└ silenced by an operator".to_owned(),
                    Some(Track::FromCaller | Track::FromAgent) => "└ cut off".to_owned(),
                };
                if cut.cut_at_ms > 0 {
                    tail.push_str(" after ");
                    tail.push_str(&seconds(cut.cut_at_ms));
                }
                if !unsaid.trim().is_empty() {
                    tail.push_str(", unheard: “");
                    tail.push_str(&clean(unsaid.trim()).replace('\n', " "));
                    tail.push('”');
                }
                (format!("{}⌿", clean(cut.heard.trim_end())), Some(tail))
            }
            None => (clean(text).into_owned(), None),
        },
        LineBody::Tool { name, .. } if tools == Tools::Folded => (clean(name).into_owned(), None),
        LineBody::Tool {
            name, args, result, ..
        } => {
            let text = format!("{} {}", clean(name), clean(args));
            let result = clean(result).replace('\n', " ");
            let tail = (!result.is_empty()).then(|| format!("└ {result}"));
            (text, tail)
        }
        LineBody::Mark { text, state, .. } => {
            let receipt = match state {
                None => "",
                Some(ActionState::Accepted) => " · queued",
                Some(ActionState::Done) => " · delivered",
                Some(ActionState::Failed) => " · not delivered",
                Some(ActionState::Unconfirmed) => " · unconfirmed",
            };
            (format!("{}{receipt}", clean(text)), None)
        }
    };
    Entry {
        rows: wrap(&text, columns.text),
        hits: watch.find(&text),
        line: line.clone(),
        text,
        tail,
        is_repeat: false,
    }
}
