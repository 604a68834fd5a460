//! A drawn screen as lines with colour sequences, for a terminal's scrollback.

use std::fmt::Write;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

/// Lines of text with SGR sequences (ECMA-48 §8.3.117); every line ends in a reset.
pub fn ansi(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut current = Style::default();
        let mut x = buffer.area.left();
        while x < buffer.area.right() {
            let Some(cell) = buffer.cell((x, y)) else {
                break;
            };
            if cell.style() != current {
                current = cell.style();
                let _ = write!(out, "\x1b[0{}m", codes(current));
            }
            out.push_str(cell.symbol());
            x += (cell.symbol().width() as u16).max(1);
        }
        out.push_str("\x1b[0m\n");
    }
    out
}

fn codes(style: Style) -> String {
    let mut out = String::new();
    let modifiers = [
        (Modifier::BOLD, 1),
        (Modifier::DIM, 2),
        (Modifier::ITALIC, 3),
        (Modifier::UNDERLINED, 4),
        (Modifier::REVERSED, 7),
    ];
    for (modifier, code) in modifiers {
        if style.add_modifier.contains(modifier) {
            let _ = write!(out, ";{code}");
        }
    }
    out.push_str(&colour(style.fg, 30));
    out.push_str(&colour(style.bg, 40));
    out
}

/// `base` is 30 for the foreground, 40 for the background.
fn colour(colour: Option<Color>, base: u8) -> String {
    let named = |index: u8| {
        if index < 8 {
            format!(";{}", base + index)
        } else {
            format!(";{}", base + 60 + index - 8)
        }
    };
    match colour {
        None | Some(Color::Reset) => String::new(),
        Some(Color::Rgb(red, green, blue)) => format!(";{};2;{red};{green};{blue}", base + 8),
        Some(Color::Indexed(index)) => format!(";{};5;{index}", base + 8),
        Some(Color::Black) => named(0),
        Some(Color::Red) => named(1),
        Some(Color::Green) => named(2),
        Some(Color::Yellow) => named(3),
        Some(Color::Blue) => named(4),
        Some(Color::Magenta) => named(5),
        Some(Color::Cyan) => named(6),
        Some(Color::Gray) => named(7),
        Some(Color::DarkGray) => named(8),
        Some(Color::LightRed) => named(9),
        Some(Color::LightGreen) => named(10),
        Some(Color::LightYellow) => named(11),
        Some(Color::LightBlue) => named(12),
        Some(Color::LightMagenta) => named(13),
        Some(Color::LightCyan) => named(14),
        Some(Color::White) => named(15),
    }
}
