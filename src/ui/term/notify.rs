//! Calling an operator who looks elsewhere: a bell or a desktop notification, through tmux where it
//! is in between. Only makes the bytes.

pub(super) fn in_tmux() -> bool {
    std::env::var_os("TMUX").is_some()
}

/// tmux's envelope for what is meant for the terminal outside of it.
pub(super) fn through_tmux(sequence: &str) -> String {
    format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b"))
}

/// How an operator who looks elsewhere is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    #[default]
    Off,
    Bell,
    /// iTerm2, WezTerm, Windows Terminal, Ghostty.
    Osc9,
    /// foot, urxvt.
    Osc777,
    /// kitty.
    Osc99,
}

/// The bytes of a call for attention. `text` is drawn by the terminal: nothing in it may steer one.
fn notification(how: Notify, text: &str, in_tmux: bool) -> String {
    let text: String = crate::call::text::clean_label(text)
        .chars()
        .map(|character| if character == ';' { ',' } else { character })
        .filter(|character| !character.is_control())
        .take(120)
        .collect();
    let sequence = match how {
        Notify::Off => return String::new(),
        // tmux passes a bell on by itself.
        Notify::Bell => return "\x07".into(),
        Notify::Osc9 => format!("\x1b]9;{text}\x07"),
        Notify::Osc777 => format!("\x1b]777;notify;wallboard;{text}\x07"),
        Notify::Osc99 => format!("\x1b]99;;{text}\x1b\\"),
    };
    if in_tmux {
        through_tmux(&sequence)
    } else {
        sequence
    }
}

/// The same, for the terminal this program runs in.
pub(in crate::ui) fn notification_here(how: Notify, text: &str) -> String {
    notification(how, text, in_tmux())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_carries_text_and_nothing_that_steers() {
        let hostile = "loop\x1b]0;owned\x07; \u{9d}x\n\u{202e}y";
        for how in [Notify::Bell, Notify::Osc9, Notify::Osc777, Notify::Osc99] {
            let bytes = notification(how, hostile, false);
            let body = bytes.trim_start_matches('\x1b').trim_end_matches("\x1b\\");
            let body = body.trim_end_matches('\x07');
            assert!(
                !body.contains(['\x1b', '\x07', '\n', '\u{9d}', '\u{202e}']),
                "{bytes:?}"
            );
        }
        assert_eq!(notification(Notify::Off, "x", false), "");
        assert_eq!(notification(Notify::Osc9, "a; b", false), "\x1b]9;a, b\x07");
        assert_eq!(
            notification(Notify::Osc777, "x", true),
            "\x1bPtmux;\x1b\x1b]777;notify;wallboard;x\x07\x1b\\"
        );
    }
}
