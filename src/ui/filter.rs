//! The filter language: words (smart case), `!not`, `~fuzzy`, `key:value`, `turn>2`. All must hold.

use chrono::{DateTime, Utc};
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::call::{Call, Direction};

use super::words::{masked, status_word};

/// Longest filter, characters.
pub const FILTER_MAX: usize = 200;

/// A filter as it was typed and what it means.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    not: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// Anywhere on the card.
    Words {
        needle: String,
        exact_case: bool,
    },
    Fuzzy(Pattern),
    Field {
        key: Field,
        needle: String,
    },
    Over {
        figure: Figure,
        value: f64,
    },
    Under {
        figure: Figure,
        value: f64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    State,
    Agent,
    Carrier,
    Direction,
    Name,
    Number,
    Lead,
    Flag,
    Claimed,
    Alert,
    Id,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    /// Seconds.
    Turn,
    Score,
    /// Seconds.
    Duration,
}

impl Filter {
    /// Reads a filter. Never fails: what is not a term is a word to look for.
    pub fn parse(text: &str) -> Self {
        let terms = text.split_whitespace().filter_map(term).collect();
        Self {
            text: text.trim().to_owned(),
            terms,
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a call passes. `score` is the live bridge score.
    pub fn passes(&self, call: &Call, score: Option<f32>, now: DateTime<Utc>) -> bool {
        self.terms
            .iter()
            .all(|term| term.test.holds(call, score, now) != term.not)
    }
}

fn term(word: &str) -> Option<Term> {
    let (not, word) = match word.strip_prefix('!') {
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
        if let Some(key) = Field::parse(key) {
            return Test::Field {
                key,
                needle: needle.to_lowercase(),
            };
        }
    }
    for (sign, over) in [('>', true), ('<', false)] {
        if let Some((figure, value)) = word.split_once(sign) {
            if let (Some(figure), Some(value)) = (Figure::parse(figure), value.parse().ok()) {
                return if over {
                    Test::Over { figure, value }
                } else {
                    Test::Under { figure, value }
                };
            }
        }
    }
    let exact_case = word.chars().any(char::is_uppercase);
    Test::Words {
        needle: word.to_owned(),
        exact_case,
    }
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
            _ => return None,
        })
    }
}

impl Test {
    fn holds(&self, call: &Call, score: Option<f32>, now: DateTime<Utc>) -> bool {
        match self {
            Self::Words { needle, exact_case } => {
                let haystack = haystack(call, now);
                if *exact_case {
                    haystack.contains(needle)
                } else {
                    haystack.to_lowercase().contains(&needle.to_lowercase())
                }
            }
            Self::Fuzzy(pattern) => {
                let mut matcher = Matcher::new(Config::DEFAULT);
                let mut chars = Vec::new();
                // Who it is about, not what was said: scattered letters match any long text.
                let who = [
                    &call.facts.name,
                    &call.facts.agent,
                    &call.facts.lead_id,
                    &call.claimed_by,
                ];
                who.into_iter().flatten().any(|text| {
                    let text = Utf32Str::new(text, &mut chars);
                    pattern.score(text, &mut matcher).is_some()
                })
            }
            Self::Field { key, needle } => field(call, *key, needle, now),
            Self::Over { figure, value } => {
                figure_of(call, *figure, score, now).is_some_and(|have| have > *value)
            }
            Self::Under { figure, value } => {
                figure_of(call, *figure, score, now).is_some_and(|have| have < *value)
            }
        }
    }
}

fn figure_of(call: &Call, figure: Figure, score: Option<f32>, now: DateTime<Utc>) -> Option<f64> {
    match figure {
        Figure::Turn => call.turns.last().map(|t| f64::from(t.latency_ms) / 1000.0),
        Figure::Score => score.map(f64::from),
        Figure::Duration => Some(f64::from(call.elapsed_s(now))),
    }
}

fn field(call: &Call, key: Field, needle: &str, now: DateTime<Utc>) -> bool {
    let has = |text: &str| text.to_lowercase().contains(needle);
    let has_some = |text: Option<&str>| text.is_some_and(has);
    match key {
        Field::State => {
            has(call.status.as_str())
                || has(status_word(call))
                || (needle == "live" && call.is_live())
                || (needle == "ended" && !call.is_live())
        }
        Field::Agent => {
            has_some(call.facts.agent.as_deref())
                || has_some(call.facts.agent_kind.as_deref())
                || has(call.agent_link.as_str())
        }
        Field::Carrier => has(&call.facts.carrier),
        Field::Direction => match call.facts.direction {
            Direction::Inbound => "inbound".starts_with(needle),
            Direction::Outbound => "outbound".starts_with(needle),
        },
        Field::Name => has_some(call.facts.name.as_deref()),
        Field::Number => has(&masked(call.caller_number())),
        Field::Lead => has_some(call.facts.lead_id.as_deref()),
        Field::Flag => {
            !call.flags.is_empty() && (needle == "*" || call.flags.iter().any(|f| has(f)))
        }
        Field::Claimed => call
            .claimed_by
            .as_deref()
            .is_some_and(|by| needle == "*" || has(by)),
        Field::Alert => call.alerts.iter().any(|alert| {
            let open = super::order::is_open(alert, now);
            (needle == "*" && open) || has(&alert.rule) || has(&alert.reason)
        }),
        Field::Id => has(&call.id.to_string()) || has_some(call.facts.carrier_call_id.as_deref()),
    }
}

/// What is written on a card; numbers only as they are shown.
fn haystack(call: &Call, now: DateTime<Utc>) -> String {
    let mut text = String::with_capacity(256);
    let mut add = |part: &str| {
        text.push_str(part);
        text.push(' ');
    };
    add(status_word(call));
    add(&masked(call.caller_number()));
    for part in [
        &call.facts.name,
        &call.facts.agent,
        &call.facts.agent_kind,
        &call.facts.lead_id,
        &call.claimed_by,
    ]
    .into_iter()
    .flatten()
    {
        add(part);
    }
    add(&call.facts.carrier);
    for flag in &call.flags {
        add(flag);
    }
    for alert in call.alerts.iter().filter(|a| super::order::is_open(a, now)) {
        add(&alert.reason);
    }
    if let Some((_, words)) = call.last_words() {
        add(words);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::sample;

    #[test]
    fn terms_are_combined_and_negated() {
        let now = sample::now();
        let calls = sample::calls(now);
        let count = |text: &str| {
            let filter = Filter::parse(text);
            calls
                .iter()
                .filter(|call| filter.passes(call, Some(4.0), now))
                .count()
        };
        assert_eq!(count(""), calls.len());
        assert!(count("agent:ava") > 0);
        assert_eq!(count("agent:ava") + count("!agent:ava"), calls.len());
        assert_eq!(count("maria"), 1);
        assert_eq!(count("Maria"), 1);
        assert_eq!(count("MARIA"), 0, "capitals ask for the exact case");
        assert_eq!(count("~mralpz"), 1);
        assert_eq!(count("state:ringing dir:out"), 2);
        assert!(count("turn>2") > 0 && count("turn>2") < count("turn>0"));
        assert_eq!(count("score<3"), 0);
        assert!(count("alert:*") >= 2);
        assert_eq!(count("nobody says this"), 0);
        assert_eq!(count("12025550"), 0, "hidden digits cannot be probed");
    }
}
