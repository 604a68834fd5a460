//! The one door for text from outside. Whatever a caller, a carrier or a model wrote passes here
//! before it can be drawn, logged or exported (CWE-150).

use std::borrow::Cow;

use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

/// Marks stacked on one base character beyond this are dropped.
pub const COMBINING_MAX: usize = 4;
/// Longest text of one utterance, tool result or error kept, in characters.
pub const TEXT_CHARS_MAX: usize = 8_000;
/// Longest name, number or label kept, in characters.
pub const LABEL_CHARS_MAX: usize = 120;
/// Longest id in a log line, in characters.
const LOG_CHARS_MAX: usize = 80;

/// Cleans free text: keeps line feeds, turns tabs into a blank, drops everything that could steer a
/// terminal or lie about order. Idempotent.
pub fn clean(input: &str) -> Cow<'_, str> {
    clean_with(input, TEXT_CHARS_MAX, true)
}

/// Cleans every text in a value; names of fields stay as they are.
pub fn clean_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text).into_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(clean_json).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key, clean_json(value)))
                .collect(),
        ),
        other => other,
    }
}

/// Cleans a one-line label: as [`clean`], and line feeds become blanks.
pub fn clean_label(input: &str) -> Cow<'_, str> {
    clean_with(input, LABEL_CHARS_MAX, false)
}

fn clean_with(input: &str, chars_max: usize, lines: bool) -> Cow<'_, str> {
    let plain = input.len() <= chars_max
        && input
            .bytes()
            .all(|byte| (0x20..0x7f).contains(&byte) || (lines && byte == b'\n'));
    if plain {
        return Cow::Borrowed(input);
    }
    let stripped = strip_sequences(input);
    let mut kept = String::with_capacity(stripped.len());
    let mut chars = 0;
    for grapheme in stripped.graphemes(true) {
        let mut marks = 0;
        for (index, character) in grapheme.chars().enumerate() {
            if chars >= chars_max {
                kept.push('…');
                return Cow::Owned(kept);
            }
            if index > 0 {
                marks += 1;
            }
            if marks > COMBINING_MAX {
                break;
            }
            kept.push(match character {
                '\n' if lines => '\n',
                '\n' | '\t' => ' ',
                other => other,
            });
            chars += 1;
        }
    }
    Cow::Owned(kept)
}

/// Removes escape sequences whole (so that their parameters do not stay behind as litter) and then
/// every character that must not pass.
fn strip_sequences(input: &str) -> String {
    let mut out = String::with_capacity(input.len());
    let mut rest = input.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => match rest.peek() {
                Some('[') => {
                    rest.next();
                    skip_csi(&mut rest);
                }
                Some(']' | 'P' | '_' | '^' | 'X') => {
                    rest.next();
                    skip_string(&mut rest);
                }
                Some(_) => {
                    rest.next();
                }
                None => {}
            },
            '\u{9b}' => skip_csi(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut rest),
            '\r' => {
                if rest.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            // The joiner is kept only where it joins: after a pictograph.
            '\u{200d}' if !out.ends_with(is_pictograph) => {}
            other if is_harmful(other) => {}
            other => out.push(other),
        }
    }
    out
}

fn skip_csi(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&next) = rest.peek() {
        if next == '\n' || next == '\u{1b}' {
            return;
        }
        rest.next();
        if ('\u{40}'..='\u{7e}').contains(&next) {
            return;
        }
    }
}

/// Skips an operating-system command or device string up to its terminator, or to the end of the
/// line when it has none, so that one stray introducer cannot swallow a whole transcript.
fn skip_string(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&next) = rest.peek() {
        if next == '\n' || next == '\u{1b}' {
            if next == '\u{1b}' {
                rest.next();
                if rest.peek() == Some(&'\\') {
                    rest.next();
                }
            }
            return;
        }
        rest.next();
        if next == '\u{07}' || next == '\u{9c}' {
            return;
        }
    }
}

/// C0 but tab and line feed, DEL, C1, bidi controls, zero-width and invisible format characters,
/// tags, line separators, interlinear annotation, noncharacters.
fn is_harmful(character: char) -> bool {
    match character {
        '\t' | '\n' => false,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' => {
            true
        }
        '\u{200b}'..='\u{200c}' | '\u{200e}'..='\u{200f}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{3164}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' => true,
        '\u{e000}'..='\u{f8ff}' => true,
        '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}' => true,
        _ => false,
    }
}

fn is_pictograph(character: char) -> bool {
    matches!(character, '\u{2600}'..='\u{27bf}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

/// Hides the middle of a phone number: country code and last four stay, `+1 415 ••• 0134`.
/// Of an address the kind stays (`client •••`, `sip •••`), of anything else the first three characters.
pub fn mask_number(number: &str) -> String {
    let number = number.trim();
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let is_phone = digits.len() >= 7
        && number
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '.'));
    if !is_phone {
        if number.is_empty() || number.eq_ignore_ascii_case("anonymous") {
            return "withheld".into();
        }
        if let Some((kind @ ("client" | "sip" | "sips"), _)) = number.split_once(':') {
            return format!("{kind} •••");
        }
        let head: String = clean_label(number).chars().take(3).collect();
        return format!("{head}•••");
    }
    let tail = &digits[digits.len() - 4..];
    if let Some(rest) = digits.strip_prefix('1').filter(|rest| rest.len() == 10) {
        return format!("+1 {} ••• {tail}", &rest[..3]);
    }
    format!("+{} ••• {tail}", &digits[..2])
}

/// An id from outside as it may be logged: cleaned, short, and masked where it is a phone number, as
/// that of a lead nobody has listed.
pub fn log_word(text: &str) -> String {
    let word = clean_label(text);
    if word.starts_with('+') {
        return mask_number(&word);
    }
    word.chars().take(LOG_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_leave_no_litter() {
        let rows = [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;owned\u{07}title", "title"),
            ("\u{1b}]52;c;ZXZpbA==\u{1b}\\paste", "paste"),
            ("\u{9b}2Jgone", "gone"),
            ("a\u{202e}b\u{2066}c\u{200b}d", "abcd"),
            ("tab\there", "tab here"),
            ("two\r\nlines", "two\nlines"),
            ("back\u{08}space\u{7f}", "backspace"),
            ("tag\u{e0041}ged", "tagged"),
        ];
        for (input, expected) in rows {
            assert_eq!(clean(input), expected, "{input:?}");
        }
    }

    #[test]
    fn stacked_marks_are_capped() {
        let tower = format!("e{}", "\u{301}".repeat(40));
        assert_eq!(clean(&tower).chars().count(), 1 + COMBINING_MAX);
    }

    #[test]
    fn numbers_keep_only_their_ends() {
        let rows = [
            ("client:ana", "client •••"),
            ("sip:ana@example.com", "sip •••"),
            ("ana-desk", "ana•••"),
            ("+14155550134", "+1 415 ••• 0134"),
            ("+442079460987", "+44 ••• 0987"),
            ("anonymous", "withheld"),
            ("", "withheld"),
        ];
        for (input, expected) in rows {
            assert_eq!(mask_number(input), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_harmful_passes_and_cleaning_twice_changes_nothing(input in "\\PC*|(.|\n|\u{1b}|\u{9b}|\u{202e}|\u{7f}){0,200}") {
            let once = clean(&input).into_owned();
            prop_assert!(!once.chars().any(|c| c != '\n' && (c.is_control() || is_harmful(c))), "{:?}", once);
            let twice = clean(&once).into_owned();
            prop_assert_eq!(&once, &twice);
            let label = clean_label(&input).into_owned();
            prop_assert!(!label.contains('\n'));
        }
    }

    #[test]
    fn what_is_logged_is_short_and_shows_no_number() {
        assert_eq!(log_word("lead_001"), "lead_001");
        assert_eq!(log_word("+14155550134"), "+1 415 ••• 0134");
        assert_eq!(log_word(&"x".repeat(500)).len(), LOG_CHARS_MAX);
        assert!(!log_word("a\u{1b}[2Jb").contains('\u{1b}'));
    }
}
