//! Breaking text into rows, by columns as terminals count them.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::pen::width;

/// Breaks text into rows of at most `max` columns: at words, else at graphemes. Never empty.
pub(crate) fn wrap(text: &str, max: u16) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let mut base = 0;
    for paragraph in text.split('\n') {
        wrap_paragraph(paragraph, base, max.max(1), &mut rows);
        base += paragraph.len() + 1;
    }
    rows
}

/// What is not torn apart while it fits on a row: a word with the marks that follow it, or with the
/// quote or bracket that opens it.
fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    // Whether the last piece still takes a mark, a word.
    let (mut takes_mark, mut takes_word) = (false, false);
    for (at, segment) in text.split_word_bound_indices() {
        let end = at + segment.len();
        let is_blank = segment.chars().all(char::is_whitespace);
        let is_mark = !is_blank && !segment.chars().any(char::is_alphanumeric);
        let joins = (is_mark && takes_mark) || (!is_mark && !is_blank && takes_word);
        match pieces.last_mut().filter(|_| joins) {
            Some(last) => last.end = end,
            None => pieces.push(at..end),
        }
        takes_word = is_mark && (!joins || takes_word);
        takes_mark = !is_blank;
    }
    pieces
}

fn wrap_paragraph(text: &str, base: usize, max: u16, rows: &mut Vec<Range<usize>>) {
    if width(text) <= max {
        rows.push(base..base + text.trim_end().len());
        return;
    }
    let (mut from, mut to, mut used) = (0, 0, 0);
    for piece in pieces(text) {
        let (at, word) = (piece.start, text.get(piece).unwrap_or_default());
        let columns = width(word);
        let is_blank = word.chars().all(char::is_whitespace);
        if used + columns <= max {
            used += columns;
            if !is_blank {
                to = at + word.len();
            }
            continue;
        }
        if is_blank {
            // A blank at the end of a row is the break itself.
            rows.push(base + from..base + to);
            (from, to, used) = (at + word.len(), at + word.len(), 0);
            continue;
        }
        if used > 0 && to > from {
            rows.push(base + from..base + to);
        }
        (from, to, used) = (at, at, 0);
        for (offset, grapheme) in word.grapheme_indices(true) {
            let columns = width(grapheme);
            if used + columns > max && used > 0 {
                rows.push(base + from..base + at + offset);
                (from, used) = (at + offset, 0);
            }
            used += columns;
            to = at + offset + grapheme.len();
        }
    }
    if to > from {
        rows.push(base + from..base + to);
    }
}
