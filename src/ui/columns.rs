//! The columns of the dense table an operator may choose. Cursor, status, time, caller and the reason
//! are always there.

/// One column that can be shown or left out. Declared in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    Name,
    Lead,
    Vendors,
    Levels,
    Turn,
    Trend,
    P95,
    Score,
    Jitter,
    Gaps,
    Cost,
}

/// The columns an operator has chosen, in the order in which they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

impl Column {
    pub const ALL: [Self; 11] = [
        Self::Name,
        Self::Lead,
        Self::Vendors,
        Self::Levels,
        Self::Turn,
        Self::Trend,
        Self::P95,
        Self::Score,
        Self::Jitter,
        Self::Gaps,
        Self::Cost,
    ];
    /// Where there is no room for all, the first of these goes first.
    pub const FIRST_TO_GO: [Self; 11] = [
        Self::Cost,
        Self::Lead,
        Self::Gaps,
        Self::Jitter,
        Self::P95,
        Self::Vendors,
        Self::Name,
        Self::Levels,
        Self::Trend,
        Self::Score,
        Self::Turn,
    ];

    /// The word in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Lead => "lead",
            Self::Vendors => "vendors",
            Self::Levels => "levels",
            Self::Turn => "turn",
            Self::Trend => "trend",
            Self::P95 => "p95",
            Self::Score => "score",
            Self::Jitter => "jitter",
            Self::Gaps => "gaps",
            Self::Cost => "cost",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.as_str() == word)
    }

    /// Over the column.
    pub fn head(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Lead => "LEAD",
            Self::Vendors => "LINE · AI",
            Self::Levels => "CALLER   AGENT",
            Self::Turn => "TURN",
            Self::Trend => "TREND",
            Self::P95 => "P95",
            Self::Score => "BRIDGE",
            Self::Jitter => "JITTER",
            Self::Gaps => "GAPS",
            Self::Cost => "COST",
        }
    }

    /// What it tells.
    pub fn help(self) -> &'static str {
        match self {
            Self::Name => "the caller's name",
            Self::Lead => "the lead's id",
            Self::Vendors => "carrier and agent vendor",
            Self::Levels => "how loud caller and agent are",
            Self::Turn => "caller stops → agent heard, last turn",
            Self::Trend => "the last turns as bars",
            Self::P95 => "95 of 100 turns were faster",
            Self::Score => "the line's quality, 1 to 4.5",
            Self::Jitter => "how unevenly frames arrive",
            Self::Gaps => "missing frames",
            Self::Cost => "what the call has cost so far",
        }
    }

    /// Columns it takes, without the blank after it.
    pub fn width(self) -> u16 {
        match self {
            Self::Name | Self::Levels => 17,
            Self::Lead => 12,
            Self::Vendors => 20,
            Self::Turn | Self::Trend | Self::Score | Self::Jitter | Self::Gaps | Self::P95 => 6,
            Self::Cost => 7,
        }
    }

    /// Figures stand after the reason.
    pub fn is_figure(self) -> bool {
        self >= Self::Turn
    }
}

impl Default for Columns {
    fn default() -> Self {
        use Column::{Levels, Name, Score, Trend, Turn, Vendors};
        Self(vec![Name, Vendors, Levels, Turn, Trend, Score])
    }
}

impl Columns {
    /// Reads words, in any order; those it does not know come back.
    pub fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> (Self, Vec<&'a str>) {
        let (mut chosen, mut unknown) = (Vec::new(), Vec::new());
        for word in words {
            match Column::parse(word) {
                Some(column) => chosen.push(column),
                None => unknown.push(word),
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        (Self(chosen), unknown)
    }

    pub fn words(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|column| column.as_str().to_owned())
            .collect()
    }

    pub fn has(&self, column: Column) -> bool {
        self.0.contains(&column)
    }

    pub fn turn(&mut self, column: Column) {
        if self.has(column) {
            self.0.retain(|known| *known != column);
        } else {
            self.0.push(column);
            self.0.sort_unstable();
        }
    }

    /// Those for which there is room, where `room` columns are to be given away.
    pub fn fitting(&self, room: u16) -> Vec<Column> {
        let mut fitting = self.0.clone();
        let mut needed: u16 = fitting.iter().map(|column| column.width() + 1).sum();
        for column in Column::FIRST_TO_GO {
            if needed <= room {
                break;
            }
            if fitting.contains(&column) {
                fitting.retain(|known| *known != column);
                needed -= column.width() + 1;
            }
        }
        fitting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_can_be_written_and_read_and_has_its_turn_to_go() {
        for column in Column::ALL {
            assert_eq!(Column::parse(column.as_str()), Some(column));
            assert!(Column::FIRST_TO_GO.contains(&column));
        }
        assert!(Column::ALL.is_sorted());
    }

    #[test]
    fn what_has_no_room_goes_in_its_order_and_the_rest_stands_still() {
        let columns = Columns::default();
        let all: u16 = Column::ALL
            .iter()
            .filter(|column| columns.has(**column))
            .map(|column| column.width() + 1)
            .sum();
        assert_eq!(columns.fitting(all).len(), 6);
        let narrower = columns.fitting(all - 1);
        assert!(!narrower.contains(&Column::Vendors) && narrower.len() == 5);
        assert!(narrower.is_sorted());
        assert!(columns.fitting(0).is_empty());
    }

    #[test]
    fn a_column_is_turned_on_and_off_and_unknown_words_are_told() {
        let mut columns = Columns::default();
        columns.turn(Column::Cost);
        columns.turn(Column::Name);
        assert!(columns.has(Column::Cost) && !columns.has(Column::Name));
        let words = columns.words();
        let (read, unknown) = Columns::read(words.iter().map(String::as_str).chain(["colour"]));
        assert_eq!((read, unknown), (columns, vec!["colour"]));
    }
}
