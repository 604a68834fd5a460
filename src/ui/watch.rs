//! Words to light up in transcripts: the operator's regular expressions, compiled once.

use std::ops::Range;

use regex::Regex;

/// Expressions at most; more would cost every line.
const WORDS_MAX: usize = 32;
/// Size of one compiled expression, bytes: what somebody typed must not eat the machine.
const SIZE_MAX: usize = 256 * 1024;

/// The compiled expressions. Two are equal when they were made from the same words.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    words: Vec<Regex>,
}

impl Watch {
    /// Compiles; what is no expression is looked for as it stands. Case does not count.
    pub fn of(words: &[String]) -> Self {
        let compile = |text: &str| {
            regex::RegexBuilder::new(text)
                .case_insensitive(true)
                .size_limit(SIZE_MAX)
                .build()
                .ok()
        };
        Self {
            words: words
                .iter()
                .filter(|word| !word.is_empty())
                .take(WORDS_MAX)
                .filter_map(|word| compile(word).or_else(|| compile(&regex::escape(word))))
                .collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Where in a text the words stand, in no particular order; none is empty.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        self.words
            .iter()
            .flat_map(|word| word.find_iter(text).map(|found| found.range()))
            .filter(|range| !range.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_and_plain_words_are_found_in_any_case() {
        let words = ["guarantee", "refund.*today", "(broken", "", "x*"];
        let watch = Watch::of(&words.map(str::to_owned));
        let found = |text: &str| -> Vec<String> {
            let mut all: Vec<String> = watch
                .find(text)
                .into_iter()
                .map(|range| text[range].to_owned())
                .collect();
            all.sort();
            all
        };
        assert_eq!(found("I GUARANTEE it"), ["GUARANTEE"]);
        assert_eq!(found("a refund, today!"), ["refund, today"]);
        assert_eq!(found("it is (broken"), ["(broken"]);
        assert!(found("nothing here").is_empty());
        assert!(Watch::of(&[]).is_empty());
    }
}
