//! One line at the bottom of an ordinary terminal, for a verb that talks: a status, and what is being
//! typed behind it. What happened scrolls by above; nothing else of the terminal is touched.

use std::io::{self, Write as _};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use futures_util::StreamExt as _;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::ui::line_edit::LineEdit;

/// From the first column, an empty line.
const FRESH: &str = "\r\x1b[K";

/// What somebody did at the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineKey {
    Entered(String),
    /// Tab.
    Toggled,
    /// Ctrl-C or Ctrl-D, or there is no terminal any more.
    Left,
}

/// The line. The terminal is as before once it is dropped.
#[derive(Debug)]
pub struct StatusLine {
    events: EventStream,
    edit: LineEdit,
    status: String,
    /// As it stands there now.
    drawn: String,
}

impl StatusLine {
    /// # Errors
    /// There is no terminal.
    pub fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        Ok(Self {
            events: EventStream::new(),
            edit: LineEdit::default(),
            status: String::new(),
            drawn: String::new(),
        })
    }

    /// What is done next. Cancel-safe.
    pub async fn key(&mut self) -> LineKey {
        loop {
            self.draw();
            let Some(Ok(event)) = self.events.next().await else {
                return LineKey::Left;
            };
            match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    if let Some(done) = press(&mut self.edit, key) {
                        return done;
                    }
                }
                Event::Paste(text) => self.edit.insert(&text),
                Event::Resize(..) => self.drawn.clear(),
                _ => {}
            }
        }
    }

    /// A line above.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        write!(out, "{FRESH}{text}\r\n")?;
        out.flush()?;
        drop(out);
        self.drawn.clear();
        self.draw();
        Ok(())
    }

    /// What stands before the typed text; drawn only where it has changed.
    pub fn status(&mut self, text: &str) {
        text.clone_into(&mut self.status);
        self.draw();
    }

    fn draw(&mut self) {
        let columns = usize::from(super::size().0);
        let line = line(&self.status, &self.edit, columns);
        if line == self.drawn {
            return;
        }
        let mut out = io::stdout().lock();
        // A terminal that is gone is noticed where keys are read.
        let _gone = write!(out, "{FRESH}{line}").and_then(|()| out.flush());
        self.drawn = line;
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        let _gone = write!(out, "{FRESH}").and_then(|()| out.flush());
        let _gone = terminal::disable_raw_mode();
    }
}

fn press(edit: &mut LineEdit, key: KeyEvent) -> Option<LineKey> {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if ctrl => Some(LineKey::Left),
        KeyCode::Char('d') if ctrl && edit.text().is_empty() => Some(LineKey::Left),
        KeyCode::Tab => Some(LineKey::Toggled),
        KeyCode::Enter => {
            let text = edit.text().to_owned();
            edit.set("");
            Some(LineKey::Entered(text))
        }
        _ => {
            edit.key(&key);
            None
        }
    }
}

/// Status and as much of the text before the cursor as there is room for, with the cursor behind it.
fn line(status: &str, edit: &LineEdit, columns: usize) -> String {
    let (before, after) = edit.halves();
    let room = columns.saturating_sub(status.width() + 4);
    let mut shown = String::new();
    for grapheme in before.graphemes(true).rev() {
        if shown.width() + grapheme.width() > room {
            break;
        }
        shown.insert_str(0, grapheme);
    }
    let mut behind = String::new();
    for grapheme in after.graphemes(true) {
        if shown.width() + behind.width() + grapheme.width() > room {
            break;
        }
        behind.push_str(grapheme);
    }
    let back = match behind.width() {
        0 => String::new(),
        columns => format!("\x1b[{columns}D"),
    };
    format!("{status} > {shown}{behind}{back}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> LineEdit {
        LineEdit::with(text)
    }

    #[test]
    fn the_end_of_a_long_text_stays_in_sight() {
        assert_eq!(line("o mic off", &typed("hello"), 80), "o mic off > hello");
        assert_eq!(line("o", &typed("0123456789"), 10), "o > 56789");
        let mut edit = typed("abc");
        edit.key(&KeyCode::Left.into());
        assert_eq!(line("o", &edit, 80), "o > abc\x1b[1D");
    }

    #[test]
    fn keys_that_are_no_text_do_what_they_say() {
        let mut edit = typed("hi");
        let ctrl = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        assert_eq!(press(&mut edit, ctrl('d')), None, "there is text");
        assert_eq!(
            press(&mut edit, KeyCode::Tab.into()),
            Some(LineKey::Toggled)
        );
        assert_eq!(edit.text(), "hi", "the toggle leaves the text alone");
        let entered = press(&mut edit, KeyCode::Enter.into());
        assert_eq!(entered, Some(LineKey::Entered("hi".into())));
        assert_eq!(press(&mut edit, ctrl('d')), Some(LineKey::Left));
        assert_eq!(press(&mut edit, ctrl('c')), Some(LineKey::Left));
    }
}
