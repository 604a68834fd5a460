//! Detectors without a memory: what can be told from the call and its gauge as they stand.

use chrono::{DateTime, TimeDelta, Utc};

use crate::call::{AgentLink, Call, Gauge, Line, LineBody, MediaLink, Severity, Track, percentile};

use super::similarity::{SAME, WORDS_MIN, normalise, similarity};
use super::thresholds::{Bounds, Thresholds};

/// Agent turns looked at for repetitions.
const LOOP_WINDOW: usize = 8;

/// What one detector found at one look.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub rule: &'static str,
    pub severity: Severity,
    pub reason: String,
    pub value: f64,
    pub threshold: f64,
    pub evidence: Vec<u32>,
}

pub(super) fn over(value: f64, bounds: Bounds) -> Option<(Severity, f64)> {
    if value >= bounds.critical {
        Some((Severity::Critical, bounds.critical))
    } else if value >= bounds.warn {
        Some((Severity::Warn, bounds.warn))
    } else {
        None
    }
}

pub(super) fn speech(line: &Line, wanted: Track) -> Option<(&str, bool)> {
    match &line.body {
        LineBody::Speech {
            track,
            text,
            interim,
            ..
        } if *track == wanted => Some((text, *interim)),
        _ => None,
    }
}

pub(super) fn last_turns(call: &Call, count: usize) -> Vec<u32> {
    let mut turns: Vec<u32> = call
        .lines
        .iter()
        .rev()
        .map(|line| line.turn)
        .take(count)
        .collect();
    turns.reverse();
    turns.dedup();
    turns
}

/// The agent says the same thing again and again.
pub(super) fn agent_loop(at: DateTime<Utc>, call: &Call, limits: &Thresholds) -> Option<Finding> {
    let turns: Vec<(u32, DateTime<Utc>, Vec<String>)> = call
        .lines
        .iter()
        .rev()
        .filter_map(|line| {
            let (text, interim) = speech(line, Track::FromAgent)?;
            (!interim).then(|| (line.turn, line.at, normalise(text)))
        })
        .take(LOOP_WINDOW)
        .collect();
    // Only a sentence among the two newest counts: a loop that was left is over.
    let (count, alike) = turns
        .iter()
        .take(2)
        .filter(|(_, _, words)| words.len() >= WORDS_MIN)
        .map(|(_, _, words)| {
            let alike: Vec<usize> = turns
                .iter()
                .enumerate()
                .filter(|(_, (_, _, other))| similarity(words, other) >= SAME)
                .map(|(index, _)| index)
                .collect();
            (alike.len(), alike)
        })
        .max_by_key(|(count, _)| *count)?;
    let repeats = count as f64;
    let adjacent = alike
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if b - a == 1));
    let severity = if repeats >= limits.agent_loop_repeats.critical {
        Severity::Critical
    } else if repeats >= limits.agent_loop_repeats.warn && adjacent {
        Severity::Warn
    } else {
        return None;
    };
    let shown: Vec<&(u32, DateTime<Utc>, Vec<String>)> =
        alike.iter().filter_map(|index| turns.get(*index)).collect();
    let first = shown.last().map_or(at, |(_, at, _)| *at);
    let mut evidence: Vec<u32> = shown.iter().map(|(turn, _, _)| *turn).collect();
    evidence.reverse();
    Some(Finding {
        rule: "agent_loop",
        severity,
        reason: format!("loop ×{count}, {} s", (at - first).num_seconds().max(0)),
        value: repeats,
        threshold: limits.agent_loop_repeats.critical,
        evidence,
    })
}

pub(super) fn tool_loop(at: DateTime<Utc>, call: &Call, limits: &Thresholds) -> Option<Finding> {
    let minute = at - TimeDelta::seconds(60);
    let recent: Vec<(&str, &str, u32)> = call
        .lines
        .iter()
        .rev()
        .take_while(|line| line.at >= minute)
        .filter_map(|line| match &line.body {
            LineBody::Tool { name, args, .. } => Some((name.as_str(), args.as_str(), line.turn)),
            _ => None,
        })
        .collect();
    let (name, args, _) = recent.first()?;
    let same: Vec<u32> = recent
        .iter()
        .filter(|(other, other_args, _)| other == name && other_args == args)
        .map(|(_, _, turn)| *turn)
        .collect();
    (same.len() as f64 >= limits.tool_loop_repeats).then(|| Finding {
        rule: "tool_loop",
        severity: Severity::Critical,
        reason: format!("tool loop ×{}", same.len()),
        value: same.len() as f64,
        threshold: limits.tool_loop_repeats,
        evidence: same.iter().rev().copied().collect(),
    })
}

pub(super) fn dead_air(gauge: &Gauge, limits: &Thresholds) -> Option<Finding> {
    let silence = f64::from(gauge.silence_ms) / 1000.0;
    over(silence, limits.dead_air_s).map(|(severity, threshold)| Finding {
        rule: "dead_air",
        severity,
        reason: format!("dead air {silence:.0} s"),
        value: silence,
        threshold,
        evidence: Vec::new(),
    })
}

pub(super) fn slow_turn(call: &Call, limits: &Thresholds) -> Option<Finding> {
    let last = call.turns.last()?;
    let seconds = f64::from(last.latency_ms) / 1000.0;
    let newest = call.turns.iter().rev().take(5).map(|turn| turn.latency_ms);
    let p50 = f64::from(percentile(newest, 50).unwrap_or(0)) / 1000.0;
    let found = over(seconds, limits.slow_turn_s).or_else(|| {
        (call.turns.len() >= 3 && p50 > limits.slow_turn_p50_s)
            .then_some((Severity::Warn, limits.slow_turn_p50_s))
    });
    found.map(|(severity, threshold)| Finding {
        rule: "slow_turn",
        severity,
        reason: format!("slow turn {seconds:.1} s"),
        value: seconds,
        threshold,
        evidence: vec![last.turn],
    })
}

pub(super) fn machine(call: &Call, gauge: Option<&Gauge>) -> Option<Finding> {
    let is_machine = call
        .answered_by
        .is_some_and(crate::call::AnsweredBy::is_machine);
    let talking = gauge.is_some_and(|gauge| gauge.agent_speaking)
        || call
            .lines
            .last()
            .is_some_and(|line| speech(line, Track::FromAgent).is_some());
    (is_machine && talking).then(|| Finding {
        rule: "machine_answered",
        severity: Severity::Warn,
        reason: "talks to voicemail".into(),
        value: 1.0,
        threshold: 1.0,
        evidence: last_turns(call, 1),
    })
}

pub(super) fn runaway(at: DateTime<Utc>, call: &Call, limits: &Thresholds) -> Option<Finding> {
    let minutes = f64::from(call.elapsed_s(at)) / 60.0;
    over(minutes, limits.runaway_min).map(|(severity, threshold)| Finding {
        rule: "runaway_call",
        severity,
        reason: format!("running {minutes:.0} min"),
        value: minutes,
        threshold,
        evidence: Vec::new(),
    })
}

/// The newest lines, where a word that has just been said stands.
fn recent_speech(call: &Call) -> impl Iterator<Item = (u32, &str, Track)> {
    call.lines
        .iter()
        .rev()
        .take(6)
        .filter_map(|line| match &line.body {
            LineBody::Speech { track, text, .. } => Some((line.turn, text.as_str(), *track)),
            _ => None,
        })
}

pub(super) fn watch_words(call: &Call, limits: &Thresholds) -> Option<Finding> {
    let (turn, index) = recent_speech(call).find_map(|(turn, text, _)| {
        limits
            .watch_words
            .matches(text)
            .iter()
            .next()
            .map(|i| (turn, i))
    })?;
    let pattern = limits.watch_words.patterns().get(index)?;
    let word: String = pattern
        .trim_start_matches("(?i)")
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ')
        .take(16)
        .collect();
    Some(Finding {
        rule: "watch_word",
        severity: Severity::Warn,
        reason: format!("watch-word “{word}”"),
        value: 1.0,
        threshold: 1.0,
        evidence: vec![turn],
    })
}

pub(super) fn help_request(call: &Call, limits: &Thresholds) -> Option<Finding> {
    let by_tool = call
        .lines
        .iter()
        .rev()
        .take(12)
        .find_map(|line| match &line.body {
            LineBody::Tool { name, .. } if name == "request_human" => Some(line.turn),
            _ => None,
        });
    let by_phrase = recent_speech(call)
        .find(|(_, text, track)| *track == Track::FromCaller && limits.help_phrases.is_match(text))
        .map(|(turn, _, _)| turn);
    by_tool.or(by_phrase).map(|turn| Finding {
        rule: "help_request",
        severity: Severity::Critical,
        reason: "asks for a human".into(),
        value: 1.0,
        threshold: 1.0,
        evidence: vec![turn],
    })
}

/// A dead link is not a matter of thresholds.
pub(super) fn links(call: &Call) -> Vec<Finding> {
    let mut found = Vec::new();
    let agent = match call.agent_link {
        AgentLink::Reconnecting => Some((Severity::Warn, "AI reconnecting")),
        AgentLink::Fallback | AgentLink::Lost => Some((Severity::Critical, "AI lost")),
        AgentLink::None | AgentLink::Connecting | AgentLink::Connected => None,
    };
    if let Some((severity, reason)) = agent {
        found.push(Finding {
            rule: "agent_lost",
            severity,
            reason: reason.into(),
            value: 1.0,
            threshold: 1.0,
            evidence: Vec::new(),
        });
    }
    if call.media_link == MediaLink::Lost {
        found.push(Finding {
            rule: "media_lost",
            severity: Severity::Critical,
            reason: "media lost".into(),
            value: 1.0,
            threshold: 1.0,
            evidence: Vec::new(),
        });
    }
    found
}
