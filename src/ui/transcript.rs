//! The transcript's layout: which part of which line stands on which row.
//!
//! One call at one width is kept laid out; a new fact re-wraps only the lines it changed, and
//! drawing asks only for the rows in view, so an hour of talk costs what the pane shows.

use std::ops::Range;

use crate::call::text::clean;
use crate::call::{ActionState, Call, CallId, Line, LineBody, Track};

use super::words::seconds;
use super::wrap::wrap;

/// Columns right of the text: latency, `repeat`.
const RIGHT: u16 = 10;
/// Below this width the time column goes.
const NARROW: u16 = 56;
/// An agent's line is compared with this many lines before it.
const REPEAT_WINDOW: usize = 10;
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
}

impl Entry {
    fn height(&self) -> u32 {
        (self.rows.len() + usize::from(self.tail.is_some())) as u32
    }
}

/// A row in view.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub entry: &'a Entry,
    /// The first row carries time, speaker and latency.
    pub is_first: bool,
    /// `None` is the entry's tail.
    pub text: Option<&'a str>,
}

/// A search in the transcript.
#[derive(Clone, Debug, Default)]
pub struct Search {
    pub query: String,
    /// Entries that match.
    pub hits: Vec<usize>,
    /// Which of `hits` the operator stands on.
    pub at: usize,
}

/// The laid-out transcript of the selected call, and where in it the operator looks.
#[derive(Clone, Debug)]
pub struct Transcript {
    call: Option<CallId>,
    width: u16,
    seq: u64,
    /// Number of the first entry, counted from the start of the call.
    first: u64,
    entries: Vec<Entry>,
    /// Row on which each entry starts, and one past the last row.
    tops: Vec<u32>,
    height: u16,
    follow: bool,
    /// The row on top while not following: entry number from the start of the call, row in it.
    anchor: (u64, u32),
    /// Entries that came since the operator scrolled away.
    unseen: u32,
    search: Option<Search>,
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            call: None,
            width: 0,
            seq: 0,
            first: 0,
            entries: Vec::new(),
            tops: vec![0],
            height: 0,
            follow: true,
            anchor: (0, 0),
            unseen: 0,
            search: None,
        }
    }
}

impl Transcript {
    /// Brings the layout up to date with `call` (preceded by `older` lines) in a pane of this size.
    pub fn sync(&mut self, call: &Call, older: &[Line], size: (u16, u16)) {
        let (pane_width, height) = size;
        let first = u64::from(call.lines_dropped).saturating_sub(older.len() as u64);
        let same_call = self.call == Some(call.id);
        self.height = height;
        if same_call && self.width == pane_width && self.seq == call.seq && self.first == first {
            return;
        }
        if !same_call {
            *self = Self {
                call: Some(call.id),
                height,
                ..Self::default()
            };
        }
        if self.width != pane_width || first < self.first {
            self.entries.clear();
        } else {
            let gone = usize::try_from(first - self.first).unwrap_or(usize::MAX);
            self.entries.drain(..gone.min(self.entries.len()));
        }
        let known = self.entries.len();
        (self.width, self.seq, self.first) = (pane_width, call.seq, first);
        let columns = Columns::of(pane_width);
        let count = older.len() + call.lines.len();
        self.entries.truncate(count);
        for (index, line) in older.iter().chain(&call.lines).enumerate() {
            match self.entries.get(index) {
                Some(entry) if entry.line == *line => continue,
                Some(_) => self.entries[index] = lay(line, columns),
                None => self.entries.push(lay(line, columns)),
            }
            self.entries[index].is_repeat = self.repeats(index);
        }
        if !self.follow && same_call && known > 0 {
            self.unseen += count.saturating_sub(known) as u32;
        }
        self.tops.clear();
        let mut top = 0;
        self.tops.push(0);
        for entry in &self.entries {
            top += entry.height();
            self.tops.push(top);
        }
        if let Some(query) = self.search.as_ref().map(|search| search.query.clone()) {
            self.look_for(&query);
        }
    }

    /// Forgets the call: nothing is selected.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn repeats(&self, index: usize) -> bool {
        let Some(mine) = agent_words(&self.entries[index].line) else {
            return false;
        };
        let from = index.saturating_sub(REPEAT_WINDOW);
        self.entries[from..index]
            .iter()
            .filter_map(|entry| agent_words(&entry.line))
            .any(|other| other == mine || (mine.len() > 24 && mine.starts_with(&other)))
    }

    pub fn is_following(&self) -> bool {
        self.follow
    }

    pub fn unseen(&self) -> u32 {
        self.unseen
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the first loaded row is in view.
    pub fn is_at_top(&self) -> bool {
        self.top_row() == 0
    }

    /// All rows.
    pub fn rows_total(&self) -> u32 {
        self.tops.last().copied().unwrap_or(0)
    }

    fn top_row_max(&self) -> u32 {
        self.rows_total().saturating_sub(u32::from(self.height))
    }

    /// The row on top of the pane.
    pub fn top_row(&self) -> u32 {
        if self.follow {
            return self.top_row_max();
        }
        let index = usize::try_from(self.anchor.0.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let top = self.tops.get(index).copied().unwrap_or(0);
        (top + self.anchor.1).min(self.top_row_max())
    }

    fn go_to_row(&mut self, row: u32) {
        let row = row.min(self.top_row_max());
        let index = self.tops.partition_point(|top| *top <= row).max(1) - 1;
        let index = index.min(self.entries.len().saturating_sub(1));
        let top = self.tops.get(index).copied().unwrap_or(0);
        self.anchor = (self.first + index as u64, row.saturating_sub(top));
        self.follow = row >= self.top_row_max();
        if self.follow {
            self.unseen = 0;
        }
    }

    /// Scrolls by rows; reaching the end follows again.
    pub fn scroll(&mut self, rows: i32) {
        let row = i64::from(self.top_row()) + i64::from(rows);
        self.go_to_row(u32::try_from(row.max(0)).unwrap_or(u32::MAX));
    }

    pub fn page(&self) -> i32 {
        i32::from(self.height.max(2)) - 1
    }

    pub fn go_top(&mut self) {
        self.go_to_row(0);
    }

    pub fn go_end(&mut self) {
        self.follow = true;
        self.unseen = 0;
    }

    /// Goes to the first line of a turn, so that it stands near the top.
    pub fn go_turn(&mut self, turn: u32) {
        if let Some(index) = self
            .entries
            .iter()
            .position(|entry| entry.line.turn >= turn)
        {
            self.go_entry(index);
        }
    }

    fn go_entry(&mut self, index: usize) {
        let top = self.tops.get(index).copied().unwrap_or(0);
        self.go_to_row(top.saturating_sub(1));
    }

    /// The turn after or before the one on top.
    pub fn step_turn(&mut self, forward: bool) {
        let row = self.top_row() + 1;
        let at = self.tops.partition_point(|top| *top <= row).max(1) - 1;
        let Some(here) = self.entries.get(at).map(|entry| entry.line.turn) else {
            return;
        };
        let found = if forward {
            let rest = self.entries.iter().skip(at);
            rest.map(|entry| entry.line.turn).find(|turn| *turn > here)
        } else {
            let before = self.entries.iter().take(at).rev();
            before
                .map(|entry| entry.line.turn)
                .find(|turn| *turn < here)
        };
        match found {
            Some(turn) => self.go_turn(turn),
            None if forward => self.go_end(),
            None => self.go_top(),
        }
    }

    /// The rows in view, top to bottom.
    pub(crate) fn visible(&self) -> impl Iterator<Item = Row<'_>> {
        let top = self.top_row();
        let first = self.tops.partition_point(|row| *row <= top).max(1) - 1;
        let mut skip = top.saturating_sub(self.tops.get(first).copied().unwrap_or(0)) as usize;
        self.entries
            .get(first..)
            .unwrap_or_default()
            .iter()
            .flat_map(move |entry| {
                let from = std::mem::take(&mut skip);
                let rows = entry.rows.iter().enumerate().map(|(index, range)| Row {
                    entry,
                    is_first: index == 0,
                    text: entry.text.get(range.clone()),
                });
                let tail = entry.tail.iter().map(|_| Row {
                    entry,
                    is_first: false,
                    text: None,
                });
                rows.chain(tail).skip(from)
            })
            .take(usize::from(self.height))
    }

    pub fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// Starts, changes or (with nothing) ends a search.
    pub fn look_for(&mut self, query: &str) {
        if query.is_empty() {
            self.search = None;
            return;
        }
        let exact = query.chars().any(char::is_uppercase);
        let needle = if exact {
            query.to_owned()
        } else {
            query.to_lowercase()
        };
        let holds = |text: &str| {
            if exact {
                text.contains(&needle)
            } else {
                text.to_lowercase().contains(&needle)
            }
        };
        let hits: Vec<usize> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| holds(&entry.text))
            .map(|(index, _)| index)
            .collect();
        let last = hits.len().saturating_sub(1);
        let at = match &self.search {
            Some(old) if old.query == query => old.at.min(last),
            _ => last,
        };
        self.search = Some(Search {
            query: query.to_owned(),
            hits,
            at,
        });
    }

    /// Goes to the match the search stands on.
    pub fn show_match(&mut self) {
        let index = self.search.as_ref().and_then(|s| s.hits.get(s.at).copied());
        if let Some(index) = index {
            self.go_entry(index);
        }
    }

    /// Next or previous match, round the end.
    pub fn step_match(&mut self, forward: bool) {
        if let Some(search) = self
            .search
            .as_mut()
            .filter(|search| !search.hits.is_empty())
        {
            let count = search.hits.len();
            let step = if forward { 1 } else { count - 1 };
            search.at = (search.at + step) % count;
        }
        self.show_match();
    }

    /// The whole transcript as logical text, for the clipboard.
    pub fn plain(&self) -> String {
        let mut out = String::new();
        for entry in &self.entries {
            out.push_str(speaker(&entry.line));
            out.push_str(": ");
            out.push_str(&entry.text.replace('\n', " "));
            out.push('\n');
        }
        out
    }
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

fn agent_words(line: &Line) -> Option<String> {
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

fn lay(line: &Line, columns: Columns) -> Entry {
    let (text, tail) = match &line.body {
        LineBody::Speech { text, cut, .. } => match cut {
            Some(cut) => {
                let after = seconds(cut.cut_at_ms);
                let unsaid = text.strip_prefix(cut.heard.as_str()).unwrap_or_default();
                let mut tail = format!("└ cut off by the caller after {after}");
                if !unsaid.trim().is_empty() {
                    tail.push_str(", unheard: “");
                    tail.push_str(&clean(unsaid.trim()).replace('\n', " "));
                    tail.push('”');
                }
                (format!("{}⌿", clean(cut.heard.trim_end())), Some(tail))
            }
            None => (clean(text).into_owned(), None),
        },
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
        line: line.clone(),
        text,
        tail,
        is_repeat: false,
    }
}

#[cfg(test)]
mod tests;
