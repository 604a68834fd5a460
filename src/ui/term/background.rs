//! The terminal's background colour (OSC 11). The question goes out with the first frame; the answer
//! comes back among the keys, and is picked out of them here. Nothing waits for it, and whatever is
//! no answer is handed on as the keys it is, in order. Pure.
//!
//! Source: xterm control sequences, "OSC Ps ; Pt ST", Ps = 11 (read 2026-11-26). The key decoder
//! gives `ESC ]` as alt-], the text as characters, and its end as ctrl-g or alt-\.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The question.
pub(super) const ASK: &str = "\x1b]11;?\x1b\\";
/// What an answer begins with, after the escape.
const HEAD: &str = "11;rgb";
/// No answer is longer: `11;rgba:ffff/ffff/ffff/ffff`.
const ANSWER_MAX: usize = 32;

/// Picks the answer out of what is typed.
#[derive(Debug, Default)]
pub(super) struct Listener {
    held: Vec<Event>,
    text: String,
}

/// What one event turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// Part of what may be an answer; kept until that is known.
    Nothing,
    /// Not part of one: these are for the screen, in this order.
    Keys(Vec<Event>),
    /// The background, red, green, blue.
    Background([u8; 3]),
}

impl Listener {
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next event.
    pub fn take(&mut self, event: Event) -> Heard {
        let Some(sign) = sign_of(&event) else {
            return self.give_up(event);
        };
        match (self.held.is_empty(), sign) {
            (true, Sign::Start) => {
                self.held.push(event);
                Heard::Nothing
            }
            (true, _) | (false, Sign::Start) => self.give_up(event),
            (false, Sign::Text(character)) => {
                self.text.push(character);
                let text = self.text.as_str();
                if text.len() > ANSWER_MAX || !(HEAD.starts_with(text) || text.starts_with(HEAD)) {
                    return self.give_up(event);
                }
                self.held.push(event);
                Heard::Nothing
            }
            (false, Sign::End) => match colour(&self.text) {
                Some(rgb) => {
                    *self = Self::default();
                    Heard::Background(rgb)
                }
                None => self.give_up(event),
            },
        }
    }

    /// What was held, because nothing more came of it.
    pub fn release(&mut self) -> Vec<Event> {
        self.text.clear();
        std::mem::take(&mut self.held)
    }

    fn give_up(&mut self, event: Event) -> Heard {
        let mut keys = self.release();
        if matches!(sign_of(&event), Some(Sign::Start)) && !keys.is_empty() {
            self.held.push(event);
        } else {
            keys.push(event);
        }
        Heard::Keys(keys)
    }
}

enum Sign {
    Start,
    Text(char),
    End,
}

fn sign_of(event: &Event) -> Option<Sign> {
    let Event::Key(KeyEvent {
        code: KeyCode::Char(character),
        modifiers,
        kind: KeyEventKind::Press,
        ..
    }) = event
    else {
        return None;
    };
    let is_plain = (*modifiers - KeyModifiers::SHIFT).is_empty();
    match character {
        ']' if modifiers.contains(KeyModifiers::ALT) => Some(Sign::Start),
        '\\' if modifiers.contains(KeyModifiers::ALT) => Some(Sign::End),
        'g' if modifiers.contains(KeyModifiers::CONTROL) => Some(Sign::End),
        _ if is_plain => Some(Sign::Text(*character)),
        _ => None,
    }
}

/// `11;rgb:1c1c/2020/2828` and its shorter and alpha forms.
fn colour(text: &str) -> Option<[u8; 3]> {
    let text = text.strip_prefix(HEAD)?.trim_start_matches('a');
    let mut parts = text.strip_prefix(':')?.split('/').map(|part| {
        let value = u32::from_str_radix(part, 16).ok()?;
        let most = (1_u32 << (4 * part.len().clamp(1, 4))) - 1;
        u8::try_from(value * 255 / most).ok()
    });
    let mut next = || parts.next().flatten();
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the key decoder reads these bytes.
    fn keys(bytes: &str) -> Vec<Event> {
        let mut events = Vec::new();
        let mut modifiers = KeyModifiers::NONE;
        for character in bytes.chars() {
            let key = match character {
                '\x1b' => {
                    modifiers = KeyModifiers::ALT;
                    continue;
                }
                '\x07' => KeyEvent::new(KeyCode::Char('g'), KeyModifiers::CONTROL),
                character => KeyEvent::new(KeyCode::Char(character), modifiers),
            };
            modifiers = KeyModifiers::NONE;
            events.push(Event::Key(key));
        }
        events
    }

    fn play(bytes: &str) -> (Vec<Event>, Option<[u8; 3]>) {
        let mut listener = Listener::default();
        let (mut typed, mut found) = (Vec::new(), None);
        for event in keys(bytes) {
            match listener.take(event) {
                Heard::Nothing => {}
                Heard::Keys(keys) => typed.extend(keys),
                Heard::Background(rgb) => found = Some(rgb),
            }
        }
        typed.extend(listener.release());
        (typed, found)
    }

    #[test]
    fn the_answer_is_found_and_no_key_is_lost() {
        let rows = [
            (
                "jk\x1b]11;rgb:ffff/ffff/ffff\x1b\\E",
                "jkE",
                Some([255, 255, 255]),
            ),
            ("\x1b]11;rgb:1c/20/28\x07", "", Some([0x1c, 0x20, 0x28])),
            (
                "\x1b]11;rgba:0000/0000/8080/ffff\x07q",
                "q",
                Some([0, 0, 128]),
            ),
            // Somebody types what an answer begins with, or something goes wrong half-way.
            ("\x1b]11x", "\x1b]11x", None),
            ("\x1b]", "\x1b]", None),
            ("\x1b]\x1b]11;rgb:0/0/0\x07", "\x1b]", Some([0, 0, 0])),
            ("\x1b]11;rgb:zz/zz/zz\x07", "\x1b]11;rgb:zz/zz/zz\x07", None),
            ("]11;rgb:ffff/ffff/ffff", "]11;rgb:ffff/ffff/ffff", None),
            (
                "\x1b]11;rgb:00000000000000000000000000000000000",
                "\x1b]11;rgb:00000000000000000000000000000000000",
                None,
            ),
        ];
        for (bytes, typed, background) in rows {
            let (keys_out, found) = play(bytes);
            assert_eq!(keys_out, keys(typed), "{bytes:?}");
            assert_eq!(found, background, "{bytes:?}");
        }
    }

    #[test]
    fn a_key_without_a_character_ends_it() {
        let mut listener = Listener::default();
        let start = keys("\x1b]").remove(0);
        assert_eq!(listener.take(start.clone()), Heard::Nothing);
        let down = Event::Key(KeyCode::Down.into());
        assert_eq!(listener.take(down.clone()), Heard::Keys(vec![start, down]));
        assert!(!listener.is_holding());
    }
}
