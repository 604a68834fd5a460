//! The filter language: words (smart case), `!not` (or `-not`), `~fuzzy`, `key:value`, `turn>2`. All must hold.
//! Quotes hold blanks together: `agent:"front desk"`.

mod read;

use chrono::{DateTime, FixedOffset, NaiveTime, Offset, TimeDelta, Utc};
use nucleo_matcher::pattern::Pattern;
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::call::{Call, Direction, Pending};

use super::groups::{Dimension, prefix_of, route_of};
use super::words::{masked, status_word};
use read::{term, tokens};

/// Longest filter, characters.
pub const FILTER_MAX: usize = 200;

/// A filter as it was typed and what it means.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
    /// The operator's, where `today` begins; UTC when `None`.
    zone: Option<FixedOffset>,
}

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Span(TimeDelta),
    /// Midnight where the operator is.
    Today,
}

impl Since {
    pub fn begins(self, now: DateTime<Utc>, zone: FixedOffset) -> DateTime<Utc> {
        match self {
            Self::Span(span) => now - span,
            Self::Today => {
                let local = now.with_timezone(&zone);
                now - (local.time() - NaiveTime::MIN)
            }
        }
    }
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
        or_equal: bool,
    },
    Under {
        figure: Figure,
        value: f64,
        or_equal: bool,
    },
    /// Began at most this long ago.
    Since(Since),
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
    Ear,
    Note,
    Prefix,
    Route,
    Id,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    /// Seconds.
    Turn,
    Score,
    /// Seconds.
    Duration,
    /// The need for attention, 0 to 100.
    Risk,
}

/// A filter over past calls: what the backend looks for, and what is decided on what it finds.
#[derive(Clone, Debug, Default)]
pub struct PastQuery {
    pub text: Option<String>,
    pub since: Option<Since>,
    pub lead_id: Option<String>,
    pub rest: Filter,
}

impl Filter {
    /// Reads a filter. Never fails: what is not a term is a word to look for.
    pub fn parse(text: &str) -> Self {
        let words = tokens(text);
        let terms = words.iter().filter_map(|word| term(word)).collect();
        Self {
            text: text.trim().to_owned(),
            terms,
            zone: None,
        }
    }

    /// The same where the day begins at another hour.
    pub fn within(self, zone: FixedOffset) -> Self {
        Self {
            zone: Some(zone),
            ..self
        }
    }

    /// Reads a filter over past calls. Plain words are looked for in whole transcripts, which only
    /// the backend has.
    pub fn past(text: &str) -> PastQuery {
        let mut query = PastQuery::default();
        text.trim().clone_into(&mut query.rest.text);
        let mut words = Vec::new();
        for word in tokens(text) {
            let Some(term) = term(&word) else {
                continue;
            };
            match (term.not, &term.test) {
                (false, Test::Words { needle, .. }) => words.push(needle.clone()),
                (false, Test::Since(span)) => query.since = Some(*span),
                // The backend compares leads exactly, case included.
                (
                    false,
                    Test::Field {
                        key: Field::Lead, ..
                    },
                ) => query.lead_id = word.split_once(':').map(|(_, lead)| lead.to_owned()),
                _ => query.rest.terms.push(term),
            }
        }
        query.text = (!words.is_empty()).then(|| words.join(" "));
        query
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a call passes. `score` is the live bridge score.
    pub fn passes(&self, call: &Call, score: Option<f32>, now: DateTime<Utc>) -> bool {
        let zone = self.zone.unwrap_or_else(|| Utc.fix());
        self.terms
            .iter()
            .all(|term| term.test.holds(call, score, now, zone) != term.not)
    }
}

impl Field {
    /// What the field groups calls by, if it does.
    fn dimension(self) -> Option<Dimension> {
        match self {
            Self::Carrier => Some(Dimension::Carrier),
            Self::Agent => Some(Dimension::Agent),
            Self::Prefix => Some(Dimension::Prefix),
            Self::Route => Some(Dimension::Route),
            _ => None,
        }
    }
}

impl Test {
    fn holds(
        &self,
        call: &Call,
        score: Option<f32>,
        now: DateTime<Utc>,
        zone: FixedOffset,
    ) -> bool {
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
            Self::Over {
                figure,
                value,
                or_equal,
            } => figure_of(call, *figure, score, now)
                .is_some_and(|have| have > *value || (*or_equal && have >= *value)),
            Self::Under {
                figure,
                value,
                or_equal,
            } => figure_of(call, *figure, score, now)
                .is_some_and(|have| have < *value || (*or_equal && have <= *value)),
            Self::Since(since) => call.started_at >= since.begins(now, zone),
        }
    }
}

fn figure_of(call: &Call, figure: Figure, score: Option<f32>, now: DateTime<Utc>) -> Option<f64> {
    match figure {
        Figure::Turn => call.turns.last().map(|t| f64::from(t.latency_ms) / 1000.0),
        Figure::Score => score.map(f64::from),
        Figure::Duration => Some(f64::from(call.elapsed_s(now))),
        Figure::Risk if !call.is_live() => Some(f64::from(super::order::past_risk(call))),
        Figure::Risk => {
            let need = super::order::need(call, &Pending::default(), now);
            Some(f64::from(need.score))
        }
    }
}

fn field(call: &Call, key: Field, needle: &str, now: DateTime<Utc>) -> bool {
    // `=` asks for exactly this group, as the quality page does.
    if let (Some(exact), Some(by)) = (needle.strip_prefix('='), key.dimension()) {
        return by.of(call).to_lowercase() == exact;
    }
    let has = |text: &str| text.to_lowercase().contains(needle);
    let has_some = |text: Option<&str>| text.is_some_and(has);
    match key {
        Field::State => {
            has(call.status.as_str())
                || has(status_word(call))
                || (needle == "live" && call.is_live())
                || (needle == "ended" && !call.is_live())
                || (needle == "dropped" && call.was_cut())
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
        Field::Alert => {
            // Of a call that is over, what was wrong with it.
            let past = call.past_alerts.iter().filter(|_| !call.is_live());
            let past = past.map(|past| &past.alert);
            call.alerts.iter().chain(past).any(|alert| {
                let open = super::order::is_open(alert, now) || !call.is_live();
                (needle == "*" && open) || has(&alert.rule) || has(&alert.reason)
            })
        }
        Field::Ear => call
            .listeners
            .iter()
            .any(|listener| needle == "*" || has(&listener.by)),
        Field::Note => call
            .notes
            .iter()
            .any(|note| needle == "*" || has(&note.text)),
        Field::Prefix => is_same(&prefix_of(call), needle),
        Field::Route => is_same(&route_of(call), needle),
        Field::Id => has(&call.id.to_string()) || has_some(call.facts.carrier_call_id.as_deref()),
    }
}

/// Whether a shown number begins like this, blanks and hidden digits aside.
fn is_same(shown: &str, needle: &str) -> bool {
    let plain = |text: &str| -> String {
        let kept = text.chars().filter(|c| !c.is_whitespace() && *c != '•');
        kept.flat_map(char::to_lowercase).collect()
    };
    plain(shown).starts_with(&plain(needle))
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
        assert_eq!(count("risk>=75"), 1);
        assert_eq!(count("risk>75"), 0);
        assert!(count("risk>0") > 3);
        assert_eq!(count("since:2h"), calls.len());
        assert_eq!(count("since:10s") + count("!since:10s"), calls.len());
        assert_eq!(count("prefix:+1415"), count("prefix:\"+1 415\""));
        assert!(count("prefix:+1415") >= 2);
        assert_eq!(count("route:\"in +1 800\" carrier:twilio"), 6);
        assert_eq!(count("name:\"maria l\""), 1);
        assert_eq!(count("agent:=ava"), count("agent:ava"));
        assert_eq!(count("agent:=av"), 0);
        assert_eq!(count("prefix:=\"+1 415\""), count("prefix:+1415"));
        assert_eq!(count("ear:ben note:refund"), 1);
        assert_eq!(count("12025550"), 0, "hidden digits cannot be probed");
        assert_eq!(count("prefix:+14155550134"), 0, "here neither");
    }

    #[test]
    fn a_question_about_the_past_is_shared_between_backend_and_screen() {
        let query = Filter::past("refund flag:* since:8h !agent:noah lead:L7 order");
        assert_eq!(query.text.as_deref(), Some("refund order"));
        assert_eq!(query.since, Some(Since::Span(TimeDelta::hours(8))));
        assert_eq!(query.lead_id.as_deref(), Some("L7"));
        assert_eq!(query.rest.terms.len(), 2);
        assert!(Filter::past("  ").text.is_none());
        let shift = Filter::past("flag:* shift:today -reviewed");
        assert_eq!((shift.since, shift.text), (Some(Since::Today), None));
        assert_eq!(shift.rest.terms.len(), 2);
    }

    #[test]
    fn dropped_are_calls_that_were_answered_and_that_nobody_hung_up() {
        use crate::call::{CallStatus, MEDIA_LOST, PastAlert};
        let now = sample::now();
        let mut call = sample::calls(now).remove(0);
        let dropped = Filter::parse("state:dropped");
        call.answered_at = Some(call.started_at);
        assert!(!dropped.passes(&call, None, now), "it goes on");
        call.ended_at = Some(now);
        call.status = CallStatus::Completed;
        for (by, passes) in [
            (None, false),
            (Some("caller"), false),
            (Some("API request"), false),
            (Some("carrier"), true),
            (Some("by an error"), true),
        ] {
            call.ended_by = by.map(str::to_owned);
            assert_eq!(dropped.passes(&call, None, now), passes, "{by:?}");
        }
        call.ended_by = None;
        let mut alert = call.alerts[0].clone();
        alert.rule = MEDIA_LOST.to_owned();
        let cleared_at = now - TimeDelta::seconds(9);
        call.past_alerts = vec![PastAlert { alert, cleared_at }];
        assert!(!dropped.passes(&call, None, now), "the audio came back");
        call.past_alerts[0].cleared_at = now;
        assert!(dropped.passes(&call, None, now));
        call.past_alerts.clear();
        call.status = CallStatus::Failed;
        assert!(dropped.passes(&call, None, now));
        call.answered_at = None;
        assert!(!dropped.passes(&call, None, now), "nobody was there");
    }

    #[test]
    fn today_begins_at_midnight_where_the_operator_is() {
        let now = sample::now();
        let east = FixedOffset::east_opt(5 * 3600 + 1800).unwrap();
        let midnight = Since::Today.begins(now, east);
        let local = midnight.with_timezone(&east);
        assert_eq!(local.time(), NaiveTime::MIN);
        assert!(now - midnight < TimeDelta::hours(24) && midnight <= now);
        let mut call = sample::calls(now).remove(0);
        let today = Filter::parse("since:today").within(east);
        for (before, passes) in [(TimeDelta::seconds(1), false), (TimeDelta::zero(), true)] {
            call.started_at = midnight - before;
            assert_eq!(today.passes(&call, None, now), passes);
        }
    }

    #[test]
    fn what_was_wrong_with_a_call_that_is_over_can_be_asked_for() {
        let now = sample::now();
        let mut call = sample::calls(now).remove(0);
        call.status = crate::call::CallStatus::Completed;
        assert!(Filter::parse("risk>=85").passes(&call, None, now));
        call.alerts.clear();
        assert!(!Filter::parse("risk>0").passes(&call, None, now));
    }
}
