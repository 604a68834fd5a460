//! Pictures without a terminal: a screen as plain text or as SVG, and `Still`, which plays updates
//! and keys into a model so that `wallboard snapshot` and tests see what an operator would.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use crate::engine::Update;

use super::keymap::Keymap;
use super::model::{Model, Settings};
use super::msg::{Effect, Msg, Now};
use super::theme::{Depth, Kind, Theme, ThemeError};
use super::{sample, update, view};

/// One cell in the SVG, pixels.
const CELL: (f32, f32) = (8.4, 18.0);
const FONT_PX: f32 = 14.0;

/// A screen that is played by hand.
#[derive(Debug)]
pub struct Still {
    pub model: Model,
    pub theme: Theme,
    pub is_ascii: bool,
    /// Everything the screen asked of the world so far.
    pub effects: Vec<Effect>,
}

impl Still {
    /// An empty screen at a moment.
    ///
    /// # Errors
    /// When the theme does not exist.
    pub fn new(settings: Settings, depth: Depth, wall: DateTime<Utc>) -> Result<Self, ThemeError> {
        let theme = Theme::load(&settings.theme, None, depth)?;
        Ok(Self {
            model: Model::new(settings, Keymap::default(), Now::at(wall)),
            theme,
            is_ascii: false,
            effects: Vec::new(),
        })
    }

    /// The sample board in a theme.
    ///
    /// # Errors
    /// When the theme does not exist.
    pub fn sample(theme: &str, depth: Depth) -> Result<Self, ThemeError> {
        let settings = Settings {
            theme: theme.to_owned(),
            themes: Theme::names(None),
            ..Settings::default()
        };
        let mut still = Self::new(settings, depth, sample::now())?;
        for update in sample::updates() {
            still.after(sample::METER_STEP);
            // The board's moment stays the sample's, only the meters move on.
            still.model.now.wall = sample::now();
            still.update(update);
        }
        still.after(Duration::from_secs(3));
        still.model.now.wall = sample::now();
        still.model.heard_at = still.model.now.mono;
        still.message(Msg::Tick);
        Ok(still)
    }

    /// Lets time pass.
    pub fn after(&mut self, time: Duration) {
        self.model.now.mono += time;
        self.model.now.wall += chrono::TimeDelta::from_std(time).unwrap_or_default();
    }

    pub fn update(&mut self, update: Update) {
        self.message(Msg::Backend(update));
    }

    pub fn message(&mut self, message: Msg) {
        let effects = update::update(&mut self.model, message);
        self.effects.extend(effects);
        let effects = update::prepare(&mut self.model);
        self.effects.extend(effects);
    }

    /// Presses keys written as in the key table, separated by blanks: `E y`, `ctrl-d`, `enter`.
    pub fn keys(&mut self, words: &str) {
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            if let Some(key) = key_of(word) {
                self.message(Msg::Key(key));
            }
        }
    }

    /// Types text, key by key.
    pub fn type_text(&mut self, text: &str) {
        for character in text.chars() {
            self.message(Msg::Key(KeyCode::Char(character).into()));
        }
    }

    /// The screen at a size.
    pub fn draw(&mut self, width: u16, height: u16) -> Buffer {
        self.model.size = (width, height);
        self.model.list.reveal |= self.model.list.height == 0;
        let effects = update::prepare(&mut self.model);
        self.effects.extend(effects);
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        view::draw(&self.model, &self.theme, self.is_ascii, &mut buffer);
        buffer
    }
}

fn key_of(word: &str) -> Option<KeyEvent> {
    let (word, modifiers) = match word.strip_prefix("ctrl-") {
        Some(rest) => (rest, KeyModifiers::CONTROL),
        None => (word, KeyModifiers::NONE),
    };
    let code = match word {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "space" => KeyCode::Char(' '),
        "backtab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        _ => KeyCode::Char(word.chars().next()?),
    };
    Some(KeyEvent::new(code, modifiers))
}

/// A screen as lines of text, blanks at line ends removed.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut skip = 0;
        for x in buffer.area.left()..buffer.area.right() {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if let Some(cell) = buffer.cell((x, y)) {
                line.push_str(cell.symbol());
                skip = super::pen::width(cell.symbol()).saturating_sub(1);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A screen as a self-contained SVG in the colours of a dark or light terminal.
pub fn svg(buffer: &Buffer, kind: Kind) -> String {
    let (background, foreground) = match kind {
        Kind::Light => ("#ffffff", "#1c2028"),
        Kind::Dark | Kind::Any => ("#10141b", "#d5dae3"),
    };
    let (columns, rows) = (f32::from(buffer.area.width), f32::from(buffer.area.height));
    let margin = 12.0;
    let (width, height) = (
        columns * CELL.0 + 2.0 * margin,
        rows * CELL.1 + 2.0 * margin,
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.1} {height:.1}\" font-family=\"'JetBrains Mono','Cascadia Mono',\
         'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"{FONT_PX}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{background}\"/>\n\
         <g transform=\"translate({margin},{margin})\">\n"
    );
    let mut painter = SvgPainter {
        out: &mut out,
        background,
        foreground,
    };
    for y in 0..buffer.area.height {
        painter.line(buffer, y);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

struct SvgPainter<'o> {
    out: &'o mut String,
    background: &'static str,
    foreground: &'static str,
}

impl SvgPainter<'_> {
    fn line(&mut self, buffer: &Buffer, y: u16) {
        let mut x = 0;
        while x < buffer.area.width {
            let Some(cell) = buffer.cell((x, y)) else {
                return;
            };
            let mut end = x + super::pen::width(cell.symbol()).max(1);
            let mut run = cell.symbol().to_owned();
            let alone = is_shape(cell.symbol()) || end > x + 1;
            while !alone && end < buffer.area.width {
                match buffer.cell((end, y)) {
                    Some(next)
                        if next.style() == cell.style()
                            && !is_shape(next.symbol())
                            && super::pen::width(next.symbol()) == 1 =>
                    {
                        run.push_str(next.symbol());
                        end += 1;
                    }
                    _ => break,
                }
            }
            self.run(cell, &run, x, end, y);
            x = end;
        }
    }

    fn run(&mut self, cell: &Cell, run: &str, from: u16, to: u16, y: u16) {
        let reversed = cell.modifier.contains(Modifier::REVERSED);
        let (mut fg, mut bg) = (self.color(cell.fg, true), self.color(cell.bg, false));
        if reversed {
            std::mem::swap(&mut fg, &mut bg);
        }
        let (x, top) = (f32::from(from) * CELL.0, f32::from(y) * CELL.1);
        let width = f32::from(to - from) * CELL.0;
        if bg != self.background {
            let _ = writeln!(
                self.out,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{bg}\"/>",
                CELL.1
            );
        }
        if run.trim().is_empty() {
            return;
        }
        let opacity = if cell.modifier.contains(Modifier::DIM) {
            " opacity=\"0.6\""
        } else {
            ""
        };
        if is_shape(run) {
            self.shape(run, x, top, &fg, opacity);
            return;
        }
        let mut attributes = String::from(opacity);
        for (bit, attribute) in [
            (Modifier::BOLD, " font-weight=\"bold\""),
            (Modifier::ITALIC, " font-style=\"italic\""),
            (Modifier::UNDERLINED, " text-decoration=\"underline\""),
        ] {
            if cell.modifier.contains(bit) {
                attributes.push_str(attribute);
            }
        }
        let _ = writeln!(
            self.out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" fill=\"{fg}\" \
             xml:space=\"preserve\"{attributes}>{}</text>",
            top + CELL.1 * 0.74,
            escape(run)
        );
    }

    /// Boxes and bars as shapes: fonts leave gaps between them.
    fn shape(&mut self, symbol: &str, x: f32, top: f32, fg: &str, opacity: &str) {
        let (w, h) = CELL;
        let (cx, cy) = (x + w / 2.0, top + h / 2.0);
        let (right, bottom) = (x + w, top + h);
        let path = match symbol {
            "─" => format!("M{x:.1} {cy:.1}H{right:.1}"),
            "│" => format!("M{cx:.1} {top:.1}V{bottom:.1}"),
            "╭" => format!("M{cx:.1} {bottom:.1}Q{cx:.1} {cy:.1} {right:.1} {cy:.1}"),
            "╮" => format!("M{cx:.1} {bottom:.1}Q{cx:.1} {cy:.1} {x:.1} {cy:.1}"),
            "╰" => format!("M{cx:.1} {top:.1}Q{cx:.1} {cy:.1} {right:.1} {cy:.1}"),
            "╯" => format!("M{cx:.1} {top:.1}Q{cx:.1} {cy:.1} {x:.1} {cy:.1}"),
            _ => String::new(),
        };
        if !path.is_empty() {
            let _ = writeln!(
                self.out,
                "<path d=\"{path}\" stroke=\"{fg}\" fill=\"none\" stroke-width=\"1.1\"{opacity}/>"
            );
            return;
        }
        let (height, width, shade) = match symbol {
            "▌" => (h, w / 2.0, ""),
            "░" => (h * 0.7, w, " fill-opacity=\"0.3\""),
            "▒" => (h * 0.7, w, " fill-opacity=\"0.6\""),
            "█" => (h * 0.7, w, ""),
            bar => {
                let step = bar.chars().next().map_or(0, |c| c as u32 - 0x2580);
                (h * 0.75 * step as f32 / 8.0, w - 1.0, "")
            }
        };
        let y = match symbol {
            "▌" => top,
            "░" | "▒" | "█" => top + h * 0.15,
            _ => top + h * 0.85 - height,
        };
        let _ = writeln!(
            self.out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fg}\"{shade}{opacity}/>"
        );
    }

    fn color(&self, color: Color, is_foreground: bool) -> String {
        let named = match color {
            Color::Reset => {
                return if is_foreground {
                    self.foreground.into()
                } else {
                    self.background.into()
                };
            }
            Color::Rgb(r, g, b) => return format!("#{r:02x}{g:02x}{b:02x}"),
            Color::Indexed(index) => return indexed(index),
            Color::Black => "#1d2129",
            Color::Red => "#e0565f",
            Color::Green => "#57bd84",
            Color::Yellow => "#d9a441",
            Color::Blue => "#5b9cf5",
            Color::Magenta => "#b18cf2",
            Color::Cyan => "#4fc1d9",
            Color::Gray => "#c4cad4",
            Color::DarkGray => "#7a8494",
            Color::LightRed => "#f0646e",
            Color::LightGreen => "#6fd39b",
            Color::LightYellow => "#edc36a",
            Color::LightBlue => "#6aa8ff",
            Color::LightMagenta => "#ef93c4",
            Color::LightCyan => "#6fd6ea",
            Color::White => "#ffffff",
        };
        named.into()
    }
}

fn is_shape(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    matches!(
        (chars.next(), chars.next()),
        (
            Some('─' | '│' | '╭' | '╮' | '╰' | '╯' | '▁'..='█' | '▌' | '░' | '▒'),
            None
        )
    )
}

/// xterm's 256 colours.
fn indexed(index: u8) -> String {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    match index {
        0..=15 => "#9aa3b2".into(),
        16..=231 => {
            let n = usize::from(index - 16);
            let (r, g, b) = (STEPS[n / 36], STEPS[n / 6 % 6], STEPS[n % 6]);
            format!("#{r:02x}{g:02x}{b:02x}")
        }
        232.. => {
            let grey = 8 + 10 * (index - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
