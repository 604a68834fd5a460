//! Detectors without a memory: what can be told from the call and its gauge as they stand.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::call::{
    ActionState, AgentLink, Call, Gauge, Line, LineBody, MEDIA_LOST, MediaLink, Severity, Track,
    percentile,
};

use super::similarity::{SAME, normalise, says_something, similarity};
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

/// A figure that has raised its alert keeps it until it has fallen this far below the bound.
const EASED: f64 = 0.8;

pub(super) fn over(value: f64, bounds: Bounds) -> Option<(Severity, f64)> {
    if value >= bounds.critical {
        Some((Severity::Critical, bounds.critical))
    } else if value >= bounds.warn {
        Some((Severity::Warn, bounds.warn))
    } else {
        None
    }
}

/// Like [`over`], for a figure that wavers: while its alert stands it must fall further than it had
/// to rise.
pub(super) fn over_with_ease(value: f64, bounds: Bounds, stands: bool) -> Option<(Severity, f64)> {
    over(value, bounds).or_else(|| {
        (stands && value >= bounds.warn * EASED).then_some((Severity::Warn, bounds.warn))
    })
}

/// What this track said on this line and whether it may still change; of a line that was cut off,
/// what was heard of it: saying the whole again is no repetition.
pub(super) fn speech(line: &Line, wanted: Track) -> Option<(&str, bool)> {
    match &line.body {
        LineBody::Speech {
            track,
            text,
            interim,
            cut,
            ..
        } if *track == wanted => {
            let heard = cut.as_ref().map_or(text, |cut| &cut.heard);
            Some((heard, *interim))
        }
        _ => None,
    }
}

/// Whether a human has taken the agent's place or silenced it: what the agent does not do then is
/// no fault of its own.
pub(super) fn is_held_by_human(call: &Call) -> bool {
    // The list of actions is short, and an operator who types fills it.
    if call.held_by.is_some() {
        return true;
    }
    let last = call
        .actions
        .iter()
        .rev()
        .filter(|action| action.state != ActionState::Failed)
        .find(|action| {
            matches!(
                action.verb.as_str(),
                "pause_agent" | "take_over" | "resume_agent" | "hand_back"
            )
        });
    last.is_some_and(|action| action.verb == "pause_agent")
}

/// Whether the caller is with, or on the way to, somebody else.
pub(super) fn is_handed_over(call: &Call) -> bool {
    call.transfer
        .as_ref()
        .is_some_and(|transfer| transfer.state != "failed")
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
        .filter(|(_, _, words)| says_something(words))
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

/// `settled`: the newest turn of before an operator gave the call back; what lies up to there is
/// done with.
pub(super) fn tool_loop(
    at: DateTime<Utc>,
    call: &Call,
    limits: &Thresholds,
    settled: Option<u32>,
) -> Option<Finding> {
    let minute = at - TimeDelta::seconds(60);
    let mut groups: Vec<(&str, Args<'_>, Vec<u32>)> = Vec::new();
    let is_open = |line: &&Line| line.at >= minute && settled.is_none_or(|turn| line.turn > turn);
    for line in call.lines.iter().rev().take_while(is_open) {
        let LineBody::Tool { name, args, .. } = &line.body else {
            continue;
        };
        let args = Args::read(args);
        match groups.iter_mut().find(|(n, a, _)| n == name && *a == args) {
            Some((_, _, turns)) => turns.push(line.turn),
            None => groups.push((name, args, vec![line.turn])),
        }
    }
    let (_, _, turns) = groups.into_iter().max_by_key(|(_, _, turns)| turns.len())?;
    let count = turns.len() as f64;
    (count >= limits.tool_loop_repeats).then(|| Finding {
        rule: "tool_loop",
        severity: Severity::Critical,
        reason: format!("tool loop ×{}", turns.len()),
        value: count,
        threshold: limits.tool_loop_repeats,
        evidence: turns.into_iter().rev().collect(),
    })
}

/// The arguments of a tool call: the same whatever the order of their keys.
#[derive(PartialEq)]
enum Args<'a> {
    Json(serde_json::Value),
    Text(&'a str),
}

impl<'a> Args<'a> {
    fn read(args: &'a str) -> Self {
        serde_json::from_str(args).map_or(Self::Text(args), Self::Json)
    }
}

/// `agent_has`: for how long the agent has had the floor again.
pub(super) fn dead_air(
    call: &Call,
    gauge: &Gauge,
    limits: &Thresholds,
    agent_has: Option<Duration>,
) -> Option<Finding> {
    if is_handed_over(call) {
        return None;
    }
    let silence = f64::from(gauge.silence_ms) / 1000.0;
    let silence = agent_has.map_or(silence, |has| silence.min(has.as_secs_f64()));
    over(silence, limits.dead_air_s).map(|(severity, threshold)| Finding {
        rule: "dead_air",
        severity,
        reason: format!("dead air {silence:.0} s"),
        value: silence,
        threshold,
        evidence: last_turns(call, 1),
    })
}

/// The newest turn, or the median of the last five, took too long. Two turns in time end it, or
/// one that was well in time.
pub(super) fn slow_turn(call: &Call, limits: &Thresholds, stands: bool) -> Option<Finding> {
    let last = call.turns.last()?;
    let seconds = f64::from(last.latency_ms) / 1000.0;
    let newest = || call.turns.iter().rev().map(|turn| turn.latency_ms);
    let p50 = f64::from(percentile(newest().take(5), 50).unwrap_or(0)) / 1000.0;
    let two_in_time = newest()
        .take(2)
        .all(|ms| f64::from(ms) / 1000.0 < limits.slow_turn_s.warn);
    let found = over_with_ease(seconds, limits.slow_turn_s, stands && !two_in_time);
    let found = found.map(|bound| (bound, seconds)).or_else(|| {
        let is_slow = call.turns.len() >= 3 && p50 > limits.slow_turn_p50_s;
        is_slow.then_some(((Severity::Warn, limits.slow_turn_p50_s), p50))
    });
    found.map(|((severity, threshold), value)| Finding {
        rule: "slow_turn",
        severity,
        reason: format!("slow turn {value:.1} s"),
        value,
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

/// Too long, or too dear: whichever is worse.
pub(super) fn runaway(at: DateTime<Utc>, call: &Call, limits: &Thresholds) -> Option<Finding> {
    let minutes = f64::from(call.elapsed_s(at)) / 60.0;
    let by_time = over(minutes, limits.runaway_min)
        .map(|bound| (bound, minutes, format!("running {minutes:.0} min")));
    let by_cost = call
        .cost_usd
        .zip(limits.runaway_usd)
        .and_then(|(usd, bounds)| {
            over(usd, bounds).map(|bound| (bound, usd, format!("cost ${usd:.2}")))
        });
    let worst = by_cost
        .into_iter()
        .chain(by_time)
        .max_by_key(|((severity, _), _, _)| *severity)?;
    let ((severity, threshold), value, reason) = worst;
    Some(Finding {
        rule: "runaway_call",
        severity,
        reason,
        value,
        threshold,
        evidence: Vec::new(),
    })
}

/// The newest lines, where a word that has just been said stands; nobody is to be told of what
/// operators say themselves.
fn recent_speech(call: &Call) -> impl Iterator<Item = (u32, &str, Track)> {
    call.lines
        .iter()
        .rev()
        .take(6)
        .filter(|line| !line.is_unheard())
        .filter_map(|line| match &line.body {
            LineBody::Speech { track, text, .. } if *track != Track::FromOperator => {
                Some((line.turn, text.as_str(), *track))
            }
            _ => None,
        })
}

pub(super) fn watch_words(call: &Call, limits: &Thresholds) -> Option<Finding> {
    let (turn, found) = recent_speech(call)
        .find_map(|(turn, text, _)| Some((turn, limits.watch_words.find(text)?)))?;
    let word: String = found.chars().take(20).collect();
    Some(Finding {
        rule: "watch_word",
        severity: Severity::Warn,
        reason: format!("watch-word “{}”", word.trim()),
        value: 1.0,
        threshold: 1.0,
        evidence: vec![turn],
    })
}

/// `settled` as in [`tool_loop`]: who asked before had their human.
pub(super) fn help_request(
    call: &Call,
    limits: &Thresholds,
    settled: Option<u32>,
) -> Option<Finding> {
    let is_open = |turn: u32| settled.is_none_or(|settled| turn > settled);
    let by_tool = call
        .lines
        .iter()
        .rev()
        .take(12)
        .filter(|line| is_open(line.turn))
        .find_map(|line| match &line.body {
            LineBody::Tool { name, .. } if name == "request_human" => Some(line.turn),
            _ => None,
        });
    let by_phrase = recent_speech(call)
        .filter(|(turn, _, track)| is_open(*turn) && *track == Track::FromCaller)
        .find(|(_, text, _)| limits.help_phrases.is_match(text))
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
            rule: MEDIA_LOST,
            severity: Severity::Critical,
            reason: "media lost".into(),
            value: 1.0,
            threshold: 1.0,
            evidence: Vec::new(),
        });
    }
    found
}
