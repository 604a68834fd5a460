//! Standard output: lines, JSON lines, aligned tables. A closed pipe is the end, not an error.

use std::io::{self, Write};

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::call::text;

use super::{Failure, Outcome};

/// Blanks between two columns.
const GAP: usize = 2;

/// Writes one line.
pub fn line(text: &str) -> Outcome {
    write_all(format!("{text}\n").as_bytes())
}

/// Writes one JSON line.
pub fn json<T: Serialize>(value: &T) -> Outcome {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::failed(format!("this cannot be written as JSON: {error}"), ""))?;
    line(&text)
}

/// Writes bytes and flushes.
pub fn write_all(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| lost(&error))
}

/// What a failed write to stdout means.
pub fn lost(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::closed_pipe()
    } else {
        Failure::failed(
            format!("the output cannot be written: {error}"),
            "check the disk or the pipe it goes to",
        )
    }
}

/// Rows under headings, columns as wide as their widest cell. Cells are cleaned for the terminal.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headings: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(headings.iter().map(|word| (*word).to_owned()));
        table
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells
            .into_iter()
            .map(|cell| text::clean_label(&cell).into_owned());
        self.rows.push(cells.collect());
    }

    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.width()).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                let pad = width.saturating_sub(cell.width()) + GAP;
                line.extend(std::iter::repeat_n(' ', pad));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    pub fn print(&self) -> Outcome {
        write_all(self.render().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_hostile_cells_are_harmless() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.row(["1".into(), "Maria".into()]);
        table.row(["2222".into(), "\u{1b}[31mred\u{1b}[0m".into()]);
        assert_eq!(table.render(), "ID    NAME\n1     Maria\n2222  red\n");
    }
}
