//! When two sentences are the same to a listener.

use std::collections::BTreeSet;

/// At and above this, two turns count as a repetition.
pub const SAME: f64 = 0.85;
/// Shorter answers ("yes", "one moment") repeat in healthy calls too.
pub const WORDS_MIN: usize = 4;

/// Lower-case words without punctuation.
pub fn normalise(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
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
    let contained = short.len() >= WORDS_MIN
        && long.len() <= short.len() * 2
        && long.windows(short.len()).any(|window| window == short);
    if contained {
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
