//! One line of text being typed. Bounded, cleaned, grapheme-wise.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation;

use crate::call::text::clean;

/// Longest input, characters: what a whisper or a note may hold.
pub const INPUT_MAX: usize = 1_000;

/// Text and cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineEdit {
    text: String,
    /// Byte offset, always on a grapheme boundary.
    cursor: usize,
}

/// What a key did to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    Changed,
    Moved,
    /// Not an editing key.
    Other,
}

impl LineEdit {
    pub fn with(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            cursor: text.len(),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before and after the cursor.
    pub fn halves(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    pub fn set(&mut self, text: &str) {
        *self = Self::with(text);
    }

    /// Types or pastes; line feeds become blanks, what does not fit is left out.
    pub fn insert(&mut self, text: &str) {
        let room = INPUT_MAX.saturating_sub(self.text.chars().count());
        let cleaned: String = clean(text)
            .chars()
            .map(|c| if c == '\n' { ' ' } else { c })
            .take(room)
            .collect();
        self.text.insert_str(self.cursor, &cleaned);
        self.cursor += cleaned.len();
    }

    /// Applies an editing key.
    pub fn key(&mut self, key: &KeyEvent) -> Edited {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('u') if ctrl => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
                Edited::Changed
            }
            KeyCode::Char('w') if ctrl => {
                let head = self.text[..self.cursor].trim_end();
                let from = head.rfind(' ').map_or(0, |at| at + 1);
                self.text.drain(from..self.cursor);
                self.cursor = from;
                Edited::Changed
            }
            KeyCode::Char('a') if ctrl => self.go(0),
            KeyCode::Char('e') if ctrl => self.go(self.text.len()),
            KeyCode::Char('h') if ctrl => self.backspace(),
            KeyCode::Char(character) if !ctrl && !alt => {
                let mut bytes = [0; 4];
                self.insert(character.encode_utf8(&mut bytes));
                Edited::Changed
            }
            KeyCode::Backspace => self.backspace(),
            KeyCode::Delete => {
                let to = self.next();
                self.text.drain(self.cursor..to);
                Edited::Changed
            }
            KeyCode::Left => self.go(self.previous()),
            KeyCode::Right => self.go(self.next()),
            KeyCode::Home => self.go(0),
            KeyCode::End => self.go(self.text.len()),
            _ => Edited::Other,
        }
    }

    fn backspace(&mut self) -> Edited {
        let from = self.previous();
        self.text.drain(from..self.cursor);
        self.cursor = from;
        Edited::Changed
    }

    fn go(&mut self, to: usize) -> Edited {
        self.cursor = to;
        Edited::Moved
    }

    fn previous(&self) -> usize {
        self.text[..self.cursor]
            .grapheme_indices(true)
            .next_back()
            .map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        self.text[self.cursor..]
            .graphemes(true)
            .next()
            .map_or(self.cursor, |grapheme| self.cursor + grapheme.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_goes_by_grapheme_and_stays_bounded() {
        let mut edit = LineEdit::default();
        edit.insert("café 👩‍👩‍👧");
        edit.key(&KeyCode::Backspace.into());
        assert_eq!(edit.text(), "café ");
        edit.key(&KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(edit.text(), "");
        edit.insert("one\ntwo\u{1b}[31m");
        assert_eq!(edit.text(), "one two");
        edit.insert(&"x".repeat(5_000));
        assert_eq!(edit.text().chars().count(), INPUT_MAX);
    }
}
