//! From what was typed to what it means.

use chrono::TimeDelta;
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};

use super::{Field, Figure, Since, Term, Test};

/// Words at blanks, those in quotes held together and the quotes taken off.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut is_quoted = false;
    for character in text.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            blank if blank.is_whitespace() && !is_quoted => {
                tokens.push(std::mem::take(&mut token));
            }
            other => token.push(other),
        }
    }
    tokens.push(token);
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// `90s`, `30m`, `8h`, `2d`, `today`.
fn since(word: &str) -> Option<Since> {
    if word == "today" {
        return Some(Since::Today);
    }
    let unit = word.chars().last()?;
    let count: i64 = word.strip_suffix(unit)?.parse().ok()?;
    let span = match unit {
        's' => TimeDelta::try_seconds(count),
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        _ => None,
    };
    span.map(Since::Span)
}

pub(super) fn term(word: &str) -> Option<Term> {
    let (not, word) = match word.strip_prefix(['!', '-']) {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    if word.is_empty() {
        return None;
    }
    Some(Term {
        not,
        test: test(word),
    })
}

fn test(word: &str) -> Test {
    if let Some(needle) = word.strip_prefix('~').filter(|needle| !needle.is_empty()) {
        return Test::Fuzzy(Pattern::new(
            needle,
            CaseMatching::Smart,
            Normalization::Smart,
            AtomKind::Fuzzy,
        ));
    }
    if let Some((key, needle)) = word.split_once(':') {
        if let (true, Some(since)) = (matches!(key, "since" | "shift"), since(needle)) {
            return Test::Since(since);
        }
        if let Some(key) = Field::parse(key) {
            return Test::Field {
                key,
                needle: needle.to_lowercase(),
            };
        }
    }
    if let Some(test) = comparison(word) {
        return test;
    }
    let exact_case = word.chars().any(char::is_uppercase);
    Test::Words {
        needle: word.to_owned(),
        exact_case,
    }
}

fn comparison(word: &str) -> Option<Test> {
    let at = word.find(['>', '<'])?;
    let figure = Figure::parse(word.get(..at)?)?;
    let is_over = word.get(at..)?.starts_with('>');
    let rest = word.get(at + 1..)?;
    let (value, or_equal) = match rest.strip_prefix('=') {
        Some(value) => (value, true),
        None => (rest, false),
    };
    let value = value.trim_end_matches('s').parse().ok()?;
    Some(if is_over {
        Test::Over {
            figure,
            value,
            or_equal,
        }
    } else {
        Test::Under {
            figure,
            value,
            or_equal,
        }
    })
}

impl Field {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "state" | "status" => Self::State,
            "agent" => Self::Agent,
            "carrier" => Self::Carrier,
            "dir" | "direction" => Self::Direction,
            "name" => Self::Name,
            "number" => Self::Number,
            "lead" => Self::Lead,
            "flag" => Self::Flag,
            "by" | "claimed" => Self::Claimed,
            "alert" => Self::Alert,
            "ear" | "listening" => Self::Ear,
            "note" => Self::Note,
            "prefix" => Self::Prefix,
            "route" => Self::Route,
            "id" => Self::Id,
            _ => return None,
        })
    }
}

impl Figure {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "turn" => Self::Turn,
            "score" => Self::Score,
            "dur" | "duration" => Self::Duration,
            "risk" | "need" => Self::Risk,
            _ => return None,
        })
    }
}
