//! When two sentences are the same to a listener.

use std::collections::BTreeSet;

/// At and above this, two turns count as a repetition.
pub const SAME: f64 = 0.85;
/// Shorter answers ("yes", "one moment") repeat in healthy calls too.
pub const WORDS_MIN: usize = 4;

/// Characters of scripts without blanks that say about as much as one word.
const PER_WORD: usize = 3;

/// Lower-case words without punctuation. Scripts that write no blanks give one word a character.
pub fn normalise(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for character in text.chars() {
        let is_letter = character.is_alphanumeric() || matches!(character, '\'' | '’');
        if (!is_letter || has_no_blanks(character)) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if has_no_blanks(character) {
            words.push(character.to_string());
        } else if character == '’' {
            word.push('\'');
        } else if is_letter {
            word.extend(character.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether a sentence is long enough for its repetition to mean something.
pub fn says_something(words: &[String]) -> bool {
    let single = |word: &&String| word.chars().next().is_some_and(has_no_blanks);
    let characters = words.iter().filter(single).count();
    words.len() - characters + characters / PER_WORD >= WORDS_MIN
}

/// Thai to Khmer, kana, Han: written without blanks between words.
fn has_no_blanks(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF
        | 0x2_0000..=0x2_FA1F)
}

/// Jaccard similarity of word pairs, 0 to 1. A sentence that contains the other whole also counts
/// as a repetition: people hear "let me check that" in "let me check that one more time".
pub fn similarity(one: &[String], other: &[String]) -> f64 {
    if one.is_empty() || other.is_empty() {
        return 0.0;
    }
    if one == other {
        return 1.0;
    }
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let contained = says_something(short)
        && long.len() <= short.len() * 2
        && long.windows(short.len()).any(|window| window == short);
    if contained {
        return 0.9;
    }
    if says_something(short) && is_same_within(short, long) {
        return 0.9;
    }
    let pairs = |words: &[String]| -> BTreeSet<(String, String)> {
        words
            .windows(2)
            .filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone())))
            .collect()
    };
    let (a, b) = (pairs(one), pairs(other));
    let union = a.union(&b).count();
    if union == 0 {
        0.0
    } else {
        a.intersection(&b).count() as f64 / union as f64
    }
}

/// Whether two sentences are one, with a few words put before or after it: "Sorry, …" here, "…,
/// please" there. Another word in the place of one is another sentence.
fn is_same_within(short: &[String], long: &[String]) -> bool {
    let needed = (long.len() as f64 * SAME).ceil() as usize;
    let run = |from: usize, to: usize| {
        let pairs = short.iter().skip(from).zip(long.iter().skip(to));
        pairs.take_while(|(one, other)| one == other).count()
    };
    // One of the two begins with it.
    let starts = (0..long.len()).map(|to| (0, to));
    starts
        .chain((1..short.len()).map(|from| (from, 0)))
        .any(|(from, to)| {
            let length = run(from, to);
            // And one of them ends with it.
            let ends = from + length == short.len() || to + length == long.len();
            ends && length >= needed
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_to_a_listener_is_the_same_here() {
        let rows = [
            ("Let me check that.", "let me check that", true),
            (
                "Don't worry about it now",
                "don’t worry about it, now!",
                true,
            ),
            (
                "Let me check that for you.",
                "Let me check that for you one more time.",
                true,
            ),
            (
                "I'm sorry, I didn't catch that. Could you repeat your order number?",
                "Sorry, I didn't catch that. Could you repeat your order number, please?",
                true,
            ),
            (
                "Your appointment with Doctor Okafor is on Tuesday.",
                "Your appointment with Doctor Okafor is on Thursday.",
                false,
            ),
            (
                "Tuesday at ten with Doctor Okafor at Mill Street is free.",
                "Thursday at ten with Doctor Okafor at Mill Street is free.",
                false,
            ),
            (
                "Your order left on Monday.",
                "Your parcel comes on Friday.",
                false,
            ),
            (
                "少々お待ちください、確認いたします。",
                "少々お待ちください。確認いたします",
                true,
            ),
            ("少々お待ちください", "ご注文番号を教えてください", false),
            ("", "", false),
        ];
        for (one, other, expected) in rows {
            let same = similarity(&normalise(one), &normalise(other)) >= SAME;
            assert_eq!(same, expected, "{one} / {other}");
        }
        assert!(!says_something(&normalise("Thank you.")));
        assert!(!says_something(&normalise("はい")));
        assert!(says_something(&normalise(
            "少々お待ちください、確認いたします"
        )));
    }
}
