//! The transcript's layout: which part of which line stands on which row.
//!
//! One call at one width is kept laid out; a new fact re-wraps only the lines it changed, and
//! drawing asks only for the rows in view, so an hour of talk costs what the pane shows.

mod lines;

use crate::call::{Call, CallId, Line, LineBody};

use super::watch::Watch;

pub use lines::Tools;
use lines::agent_words;
pub(crate) use lines::{Columns, Entry, Row, lay, speaker};

/// An agent's line is compared with this many lines before it.
const REPEAT_WINDOW: usize = 10;
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
    tools: Tools,
    /// Entry that a jump to a flagged turn went to, which may stand anywhere in the last page.
    landed: Option<usize>,
    /// Turns that alerts point at, ascending.
    evidence: Vec<u32>,
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
            tools: Tools::Whole,
            landed: None,
            evidence: Vec::new(),
        }
    }
}

impl Transcript {
    /// Brings the layout up to date with `call` (preceded by `older` lines) in a pane of this size.
    pub fn sync(&mut self, call: &Call, older: &[Line], size: (u16, u16), watch: &Watch) {
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
                tools: self.tools,
                ..Self::default()
            };
        }
        if self.width != pane_width || first < self.first {
            self.entries.clear();
        } else {
            let gone = usize::try_from(first - self.first).unwrap_or(usize::MAX);
            self.landed = self.landed.filter(|_| gone == 0);
            self.entries.drain(..gone.min(self.entries.len()));
        }
        self.evidence = call.evidence();
        let known = self.entries.len();
        (self.width, self.seq, self.first) = (pane_width, call.seq, first);
        let columns = Columns::of(pane_width);
        let count = older.len() + call.lines.len();
        self.entries.truncate(count);
        for (index, line) in older.iter().chain(&call.lines).enumerate() {
            match self.entries.get(index) {
                Some(entry) if entry.line == *line => continue,
                Some(_) => self.entries[index] = lay(line, columns, self.tools, watch),
                None => self.entries.push(lay(line, columns, self.tools, watch)),
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
        *self = Self {
            tools: self.tools,
            ..Self::default()
        };
    }

    /// Folds tool calls, or unfolds them. Laid out anew at the next [`Transcript::sync`].
    pub fn fold_tools(&mut self) -> Tools {
        self.tools = match self.tools {
            Tools::Whole => Tools::Folded,
            Tools::Folded => Tools::Whole,
        };
        self.width = 0;
        self.tools
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
        self.landed = None;
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
        self.landed = None;
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

    fn is_evidence(&self, entry: &Entry) -> bool {
        self.evidence.binary_search(&entry.line.turn).is_ok()
    }

    /// Goes to the next or previous turn worth a look: one an alert points at, one with a watch
    /// word, or a tool that failed. Returns its place among them, from 1, and how many there are.
    pub fn step_flag(&mut self, forward: bool) -> Option<(usize, usize)> {
        let is_flagged = |entry: &Entry| {
            let failed = matches!(
                entry.line.body,
                LineBody::Tool {
                    ok: Some(false),
                    ..
                }
            );
            failed || !entry.hits.is_empty() || self.is_evidence(entry)
        };
        let flagged: Vec<usize> = (0..self.entries.len())
            .filter(|index| self.entries.get(*index).is_some_and(is_flagged))
            .collect();
        // `go_entry` leaves one row above the entry it goes to.
        let row = self.top_row() + 1;
        let at = self.tops.partition_point(|top| *top <= row).max(1) - 1;
        let here = match self.landed {
            Some(index) => Some(index),
            None if self.follow => Some(self.entries.len()),
            // At the very top the first line is still to come.
            None if row == 1 && forward => None,
            None => Some(at),
        };
        let found = match (here, forward) {
            (None, _) => (!flagged.is_empty()).then_some(0),
            (Some(here), true) => flagged.iter().position(|index| *index > here),
            (Some(here), false) => flagged.iter().rposition(|index| *index < here),
        };
        // Round the end, as a search does.
        let place = found.or(if forward {
            (!flagged.is_empty()).then_some(0)
        } else {
            flagged.len().checked_sub(1)
        })?;
        let index = *flagged.get(place)?;
        self.go_entry(index);
        self.landed = Some(index);
        Some((place + 1, flagged.len()))
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
                let is_evidence = self.is_evidence(entry);
                entry.rows(is_evidence).skip(from)
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

    /// The turn at the place the operator looks at (while following, the last) as logical text.
    pub fn turn_text(&self) -> Option<String> {
        let row = self.top_row() + 1;
        let at = self.tops.partition_point(|top| *top <= row).max(1) - 1;
        let here = self.landed.unwrap_or(at);
        let index = if self.follow && self.landed.is_none() {
            self.entries.len().checked_sub(1)?
        } else {
            here.min(self.entries.len().checked_sub(1)?)
        };
        let turn = self.entries.get(index)?.line.turn;
        let of_turn = self.entries.iter().filter(|e| e.line.turn == turn);
        let lines: Vec<String> = of_turn.map(logical).collect();
        Some(lines.join("\n"))
    }

    /// The whole transcript as logical text, for the clipboard.
    pub fn plain(&self) -> String {
        let mut out = String::new();
        for entry in &self.entries {
            out.push_str(&logical(entry));
            out.push('\n');
        }
        out
    }
}

fn logical(entry: &Entry) -> String {
    format!(
        "{}: {}",
        speaker(&entry.line),
        entry.text.replace('\n', " ")
    )
}

#[cfg(test)]
mod tests;
