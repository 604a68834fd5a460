//! What hands do: keys, pastes, clicks; and what looks like keys and is a paste.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::ui::msg::{Exit, Msg};
use crate::ui::term::{self, Input};

use super::Screen;

/// As many different keys as this in one read is a paste that the terminal did not mark as one.
const BURST_MIN: usize = 6;

impl Screen {
    pub(super) async fn take_input(&mut self, first: Input) {
        let mut keys: Vec<KeyEvent> = Vec::new();
        let mut next = Some(first);
        while let Some(input) = next {
            match input {
                Input::Gone => {
                    self.exit = Some(Exit::Hangup);
                    return;
                }
                Input::Background(rgb) => self.background(rgb),
                Input::Event(Event::Key(key)) => keys.push(key),
                Input::Event(event) => {
                    self.press(std::mem::take(&mut keys));
                    self.event(event);
                }
            }
            next = self.term.ready().await;
        }
        self.press(keys);
        self.is_urgent = true;
        if std::mem::take(&mut self.model.wants_suspend) {
            self.term.suspend().await;
            self.painter.forget();
            self.model.size = term::size();
            self.message(Msg::Tick);
        }
    }

    /// Keys of one read. A burst of many different ones may be a paste in disguise.
    fn press(&mut self, keys: Vec<KeyEvent>) {
        self.model.in_burst = is_burst(&keys);
        for key in keys {
            self.message(Msg::Key(key));
        }
        self.model.in_burst = false;
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Paste(text) => self.message(Msg::Paste(text)),
            Event::Resize(width, height) => self.resized((width, height)),
            Event::FocusGained | Event::FocusLost => {
                self.tells_focus = true;
                self.message(Msg::Focus(event == Event::FocusGained));
            }
            Event::Mouse(event) => self.message(Msg::Mouse(event)),
            Event::Key(_) => {}
        }
    }
}

/// Whether these keys of one read are more than a hand types: plain characters, not one held down
/// (which repeats itself, and over a slow line comes in heaps).
fn is_burst(keys: &[KeyEvent]) -> bool {
    let presses = || keys.iter().filter(|key| key.kind != KeyEventKind::Release);
    let is_text = |key: &KeyEvent| {
        let plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
        plain && matches!(key.code, KeyCode::Char(_) | KeyCode::Enter | KeyCode::Tab)
    };
    let first = presses().next().map(|key| key.code);
    presses().count() >= BURST_MIN
        && presses().all(is_text)
        && presses().any(|key| Some(key.code) != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<KeyEvent> {
        text.chars()
            .map(|c| match c {
                '\n' => KeyCode::Enter.into(),
                c => KeyCode::Char(c).into(),
            })
            .collect()
    }

    #[test]
    fn a_burst_of_keys_may_be_a_paste_and_a_held_key_is_not() {
        assert!(is_burst(&keys("Ey now")));
        assert!(is_burst(&keys("rm -rf\n")));
        assert!(!is_burst(&keys("jjjjjjjjjj")));
        assert!(!is_burst(&keys("Ey")));
        assert!(!is_burst(&[]));
        let mut with_arrow = keys("abcdef");
        with_arrow.push(KeyCode::Down.into());
        assert!(!is_burst(&with_arrow));
    }
}
