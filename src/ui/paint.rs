//! The painter: two buffers in, the fewest bytes out. Pure; `term.rs` sends what it returns.
//!
//! crossterm's own backend is not used for drawing: under NO_COLOR it writes `CSI ; m`, which wipes
//! bold and reverse, and it writes 20 bytes for a frame in which nothing changed.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

/// Begin and end of a synchronized update (DEC private mode 2026): no torn frames.
const SYNC_BEGIN: &str = "\x1b[?2026h";
const SYNC_END: &str = "\x1b[?2026l";

/// Remembers what the terminal shows.
#[derive(Debug, Default)]
pub struct Painter {
    shown: Buffer,
    whole: bool,
}

impl Painter {
    pub fn new() -> Self {
        Self {
            shown: Buffer::empty(Rect::ZERO),
            whole: true,
        }
    }

    /// The next frame is drawn whole: after a resize, a resume or ctrl-l.
    pub fn forget(&mut self) {
        self.whole = true;
    }

    /// The bytes that turn what is shown into `next`; empty when nothing changed. `next` gets the
    /// old buffer back, for reuse.
    pub fn paint(&mut self, next: &mut Buffer) -> String {
        let mut out = String::new();
        if self.whole || self.shown.area != next.area {
            out.push_str("\x1b[0m\x1b[2J");
            self.shown = Buffer::empty(next.area);
            self.whole = false;
        }
        let head = out.len();
        let mut brush = Brush::default();
        for (x, y, cell) in self.shown.diff_iter(next) {
            brush.cell(&mut out, x, y, cell);
        }
        if out.len() == head && head == 0 {
            return out;
        }
        if brush.is_styled() {
            out.push_str("\x1b[0m");
        }
        std::mem::swap(&mut self.shown, next);
        format!("{SYNC_BEGIN}{out}{SYNC_END}")
    }
}

/// Where the terminal's cursor and style stand within one frame.
#[derive(Debug, Default)]
struct Brush {
    at: Option<(u16, u16)>,
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Brush {
    fn is_styled(&self) -> bool {
        self.fg != Color::Reset || self.bg != Color::Reset || !self.modifier.is_empty()
    }

    fn cell(&mut self, out: &mut String, x: u16, y: u16, cell: &Cell) {
        match self.at {
            Some(at) if at == (x, y) => {}
            Some((column, row)) if row == y && column < x => {
                let _ = write!(out, "\x1b[{}C", x - column);
            }
            _ => {
                let _ = write!(out, "\x1b[{};{}H", y + 1, x + 1);
            }
        }
        self.style(out, cell);
        let symbol = cell.symbol();
        // Nothing that steers a terminal may leave by this door, whatever came in by another.
        if symbol.chars().any(char::is_control) {
            out.push(' ');
        } else {
            out.push_str(symbol);
        }
        let columns = super::pen::width(symbol).max(1);
        self.at = Some((x + columns, y));
    }

    fn style(&mut self, out: &mut String, cell: &Cell) {
        let modifier = cell.modifier;
        if (cell.fg, cell.bg, modifier) == (self.fg, self.bg, self.modifier) {
            return;
        }
        out.push_str("\x1b[");
        let start = out.len();
        if !(self.modifier - modifier).is_empty()
            || (cell.fg == Color::Reset && cell.bg == Color::Reset && modifier.is_empty())
        {
            out.push('0');
            (self.fg, self.bg, self.modifier) = (Color::Reset, Color::Reset, Modifier::empty());
        }
        for (bit, code) in [
            (Modifier::BOLD, "1"),
            (Modifier::DIM, "2"),
            (Modifier::ITALIC, "3"),
            (Modifier::UNDERLINED, "4"),
            (Modifier::REVERSED, "7"),
            (Modifier::CROSSED_OUT, "9"),
        ] {
            if (modifier - self.modifier).contains(bit) {
                separate(out, start);
                out.push_str(code);
            }
        }
        if cell.fg != self.fg {
            separate(out, start);
            color(out, cell.fg, 30);
        }
        if cell.bg != self.bg {
            separate(out, start);
            color(out, cell.bg, 40);
        }
        out.push('m');
        (self.fg, self.bg, self.modifier) = (cell.fg, cell.bg, modifier);
    }
}

fn separate(out: &mut String, start: usize) {
    if out.len() > start {
        out.push(';');
    }
}

/// SGR parameters of a colour; `base` is 30 for the foreground and 40 for the background.
fn color(out: &mut String, color: Color, base: u8) {
    let plain = match color {
        Color::Reset => 9,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        Color::LightRed => 61,
        Color::LightGreen => 62,
        Color::LightYellow => 63,
        Color::LightBlue => 64,
        Color::LightMagenta => 65,
        Color::LightCyan => 66,
        Color::White => 67,
        Color::Indexed(index) => {
            let _ = write!(out, "{};5;{index}", base + 8);
            return;
        }
        Color::Rgb(r, g, b) => {
            let _ = write!(out, "{};2;{r};{g};{b}", base + 8);
            return;
        }
    };
    let _ = write!(out, "{}", base + plain);
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    fn frame(words: &[(u16, u16, &str, Style)]) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 3));
        for (x, y, text, style) in words {
            buffer.set_string(*x, *y, text, *style);
        }
        buffer
    }

    #[test]
    fn an_unchanged_frame_is_no_bytes() {
        let mut painter = Painter::new();
        let words = [(0, 0, "hello", Style::new())];
        assert!(painter.paint(&mut frame(&words)).contains("hello"));
        assert_eq!(painter.paint(&mut frame(&words)), "");
    }

    #[test]
    fn a_ticking_digit_costs_a_move_and_a_digit() {
        let mut painter = Painter::new();
        painter.paint(&mut frame(&[(2, 1, "00:01", Style::new())]));
        let bytes = painter.paint(&mut frame(&[(2, 1, "00:02", Style::new())]));
        assert_eq!(bytes, format!("{SYNC_BEGIN}\x1b[2;7H2{SYNC_END}"));
    }

    #[test]
    fn what_is_painted_is_what_a_terminal_shows() {
        let mut painter = Painter::new();
        let bold = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
        let red = Style::new()
            .fg(Color::Rgb(200, 10, 10))
            .bg(Color::Indexed(17));
        let frames = [
            frame(&[(0, 0, "plain", Style::new()), (6, 0, "bold", bold)]),
            frame(&[(0, 0, "plain", red), (3, 2, "日本 x", bold)]),
            frame(&[(3, 2, "abcde", Style::new()), (0, 1, "é", red)]),
        ];
        let size = |n: u16| std::num::NonZero::new(n).unwrap();
        let mut parser = vt100::Parser::new(size(3), size(20), 0);
        for next in frames {
            parser.process(painter.paint(&mut next.clone()).as_bytes());
            for y in 0..3 {
                for x in 0..20 {
                    let (cell, shown) = (&next[(x, y)], parser.screen().cell(y, x).unwrap());
                    if !shown.is_wide_continuation() {
                        let text = shown.contents();
                        let text = if text.is_empty() { " " } else { text };
                        assert_eq!(text, cell.symbol(), "{x},{y}");
                        assert_eq!(shown.bold(), cell.modifier.contains(Modifier::BOLD));
                        assert_eq!(shown.inverse(), cell.modifier.contains(Modifier::REVERSED));
                    }
                }
            }
        }
    }
}
