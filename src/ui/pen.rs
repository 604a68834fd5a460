//! The pen: everything is drawn through it. It measures by grapheme, cuts with an ellipsis, cleans
//! text from outside, and turns the whole buffer into ASCII where the terminal asks for that.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::call::text::clean_label;

use super::theme::{Role, Theme};

/// A piece of one line in one style.
#[derive(Clone, Debug)]
pub(crate) struct Seg<'a> {
    pub text: Cow<'a, str>,
    pub style: Style,
}

/// Draws into a buffer in the words of a theme.
#[derive(Debug)]
pub(crate) struct Pen<'b> {
    pub buffer: &'b mut Buffer,
    pub theme: &'b Theme,
}

impl Pen<'_> {
    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// A segment of our own words.
    pub fn seg<'a>(&self, text: impl Into<Cow<'a, str>>, role: Role) -> Seg<'a> {
        Seg {
            text: text.into(),
            style: self.style(role),
        }
    }

    /// A segment of at least `columns`, filled with blanks on its right. The blanks are a segment of
    /// their own, so that a reversed style does not spread over them.
    pub fn padded(&self, text: String, columns: u16, role: Role) -> [Seg<'static>; 2] {
        let blanks = usize::from(columns.saturating_sub(width(&text)));
        [
            self.seg(text, role),
            self.seg(" ".repeat(blanks), Role::Text),
        ]
    }

    /// As [`Pen::padded`], filled on the left.
    pub fn padded_left(&self, text: String, columns: u16, role: Role) -> [Seg<'static>; 2] {
        let [text, blanks] = self.padded(text, columns, role);
        [blanks, text]
    }

    /// A segment from outside, cleaned.
    pub fn outside<'a>(&self, text: &'a str, role: Role) -> Seg<'a> {
        Seg {
            text: clean_label(text),
            style: self.style(role),
        }
    }

    /// Writes at most `max` columns, with an ellipsis when it had to cut. Returns the columns used.
    pub fn text(&mut self, x: u16, y: u16, max: u16, text: &str, style: Style) -> u16 {
        let area = self.buffer.area;
        if y < area.top() || y >= area.bottom() || x >= area.right() {
            return 0;
        }
        let max = max.min(area.right() - x);
        // What stood there before must not show through: a style names only what it changes.
        let style = Style::reset().patch(style);
        let (shown, cut, used) = fit(text, max);
        self.buffer
            .set_stringn(x, y, shown, usize::from(used), style);
        if cut {
            self.buffer.set_stringn(x + used, y, "…", 1, style);
        }
        used + u16::from(cut)
    }

    /// Writes segments one after the other. Returns the columns used.
    pub fn segs(&mut self, x: u16, y: u16, max: u16, segs: &[Seg<'_>]) -> u16 {
        let mut used = 0;
        for seg in segs {
            if used >= max {
                break;
            }
            used += self.text(x + used, y, max - used, &seg.text, seg.style);
        }
        used
    }

    /// Writes segments so that they end at `right` (exclusive), dropping whole segments from the
    /// left until they fit into `max`. Returns the columns used.
    pub fn segs_right(&mut self, right: u16, y: u16, max: u16, segs: &[Seg<'_>]) -> u16 {
        let mut from = 0;
        let mut width: u16 = segs.iter().map(|seg| width(&seg.text)).sum();
        while width > max && from < segs.len() {
            width -= self::width(&segs[from].text);
            from += 1;
        }
        self.segs(right.saturating_sub(width), y, width, &segs[from..])
    }

    /// Gives an area a style without touching its text.
    pub fn tint(&mut self, area: Rect, style: Style) {
        self.buffer.set_style(area, style);
    }

    /// Blanks an area.
    pub fn clear(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    /// A rounded box with a title on its upper edge and a note on its lower one.
    /// Returns the inside.
    pub fn pane(&mut self, area: Rect, title: &[Seg<'_>], foot: &[Seg<'_>], focused: bool) -> Rect {
        if area.width < 2 || area.height < 2 {
            return Rect::default();
        }
        let role = if focused {
            Role::BorderFocus
        } else {
            Role::Border
        };
        let style = self.style(role);
        let (left, right) = (area.left(), area.right() - 1);
        let (top, bottom) = (area.top(), area.bottom() - 1);
        for x in left + 1..right {
            self.put(x, top, "─", style);
            self.put(x, bottom, "─", style);
        }
        for y in top + 1..bottom {
            self.put(left, y, "│", style);
            self.put(right, y, "│", style);
        }
        self.put(left, top, "╭", style);
        self.put(right, top, "╮", style);
        self.put(left, bottom, "╰", style);
        self.put(right, bottom, "╯", style);
        let max = area.width.saturating_sub(6);
        for (segs, y) in [(title, top), (foot, bottom)] {
            if !segs.is_empty() && max > 0 {
                let used = self.segs(left + 3, y, max, segs);
                self.put(left + 2, y, " ", style);
                self.put(left + 3 + used, y, " ", style);
            }
        }
        Rect::new(left + 1, top + 1, area.width - 2, area.height - 2)
    }

    /// One symbol of our own.
    pub fn put(&mut self, x: u16, y: u16, symbol: &str, style: Style) {
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_symbol(symbol).set_style(style);
        }
    }

    /// A horizontal rule with words in it.
    pub fn rule(&mut self, area: Rect, y: u16, words: &[Seg<'_>]) {
        let style = self.style(Role::Border);
        for x in area.left()..area.right() {
            self.put(x, y, "─", style);
        }
        if !words.is_empty() && area.width > 6 {
            let used = self.segs(area.left() + 2, y, area.width - 4, words);
            self.put(area.left() + 1, y, " ", style);
            self.put(area.left() + 2 + used, y, " ", style);
        }
    }
}

/// Columns a text takes.
pub(crate) fn width(text: &str) -> u16 {
    if text.is_ascii() {
        return text.len().min(usize::from(u16::MAX)) as u16;
    }
    text.graphemes(true)
        .map(|grapheme| grapheme.width() as u16)
        .fold(0, u16::saturating_add)
}

/// The part of `text` that fits into `max` columns, whether it had to be cut (the ellipsis then
/// takes one more column), and the columns of the part.
pub(crate) fn fit(text: &str, max: u16) -> (&str, bool, u16) {
    if text.is_ascii() {
        let max = usize::from(max);
        if text.len() <= max {
            return (text, false, text.len() as u16);
        }
        let keep = max.saturating_sub(1);
        return (&text[..keep], max > 0, keep as u16);
    }
    let mut used = 0;
    let mut fits_with_mark = (0, 0);
    for (at, grapheme) in text.grapheme_indices(true) {
        let next = used + grapheme.width() as u16;
        if next > max {
            let (bytes, columns) = fits_with_mark;
            return (&text[..bytes], max > 0, columns);
        }
        used = next;
        if used < max {
            fits_with_mark = (at + grapheme.len(), used);
        }
    }
    (text, false, used)
}

/// Keeps the end of a text: "…two more words". For last words and paths.
pub(crate) fn fit_end(text: &str, max: u16) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    let mut used = 0;
    let mut from = text.len();
    for (at, grapheme) in text.grapheme_indices(true).rev() {
        used += grapheme.width() as u16;
        if used + 1 > max {
            break;
        }
        from = at;
    }
    Cow::Owned(format!("…{}", &text[from..]))
}

/// Replaces everything beyond ASCII, for terminals whose locale is not UTF-8. Widths stay.
pub(crate) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().is_ascii() {
            continue;
        }
        let wide = cell.symbol().width() > 1;
        let plain = cell.symbol().chars().next().map_or(" ", ascii_of);
        let symbol = if wide { "? " } else { plain };
        // A wide character's second cell is empty already; one mark and a blank keep the columns.
        cell.set_symbol(symbol.trim_end());
        if cell.symbol().is_empty() {
            cell.set_symbol(" ");
        }
    }
}

fn ascii_of(character: char) -> &'static str {
    match character {
        '─' | '━' | '–' | '—' | '╌' => "-",
        '│' | '┃' | '▏' => "|",
        '╭' | '╮' | '╰' | '╯' | '┌' | '┐' | '└' | '┘' | '├' | '┤' => "+",
        '▌' | '→' | '›' | '▸' => ">",
        '←' | '‹' => "<",
        '▲' => "!",
        '◆' => "&",
        '−' => "-",
        '±' => "~",
        '↑' | '↗' => "^",
        '↓' | '↘' => "v",
        '●' | '•' => "*",
        '◐' | '○' => "o",
        '◌' | '·' => ".",
        '✓' => "+",
        '✗' | '×' => "x",
        '⚑' => "#",
        '…' => "~",
        '“' | '”' => "\"",
        '‘' | '’' => "'",
        '⌿' => "/",
        '▁' => "_",
        '▂' => ".",
        '▃' => ":",
        '▄' => "-",
        '▅' => "=",
        '▆' => "+",
        '▇' => "*",
        '█' => "#",
        '░' => ".",
        '▒' => ":",
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => "a",
        'è' | 'é' | 'ê' | 'ë' => "e",
        'ì' | 'í' | 'î' | 'ï' => "i",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => "o",
        'ù' | 'ú' | 'û' | 'ü' => "u",
        'ñ' => "n",
        'ç' => "c",
        'ß' => "s",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_counts_columns_not_bytes() {
        let rows = [
            ("hello", 5, ("hello", false, 5)),
            ("hello", 4, ("hel", true, 3)),
            ("日本語", 6, ("日本語", false, 6)),
            ("日本語", 5, ("日本", true, 4)),
            ("日本語", 4, ("日", true, 2)),
            ("é́x", 1, ("", true, 0)),
            ("", 0, ("", false, 0)),
            ("ab", 0, ("", false, 0)),
        ];
        for (text, max, expected) in rows {
            assert_eq!(fit(text, max), expected, "{text} in {max}");
        }
        assert_eq!(fit_end("one two three", 6), "…three");
        assert_eq!(fit_end("日本語", 5), "…本語");
    }

    #[test]
    fn ascii_mode_leaves_no_other_byte() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 24, 1));
        buffer.set_string(0, 0, "╭─▲ 日本 “é” ▁▂█ 👩‍👩‍👧 ⌿", Style::new());
        to_ascii(&mut buffer);
        assert!(buffer.content.iter().all(|cell| cell.symbol().is_ascii()));
    }
}
