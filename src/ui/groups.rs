//! Is it one sick call or one sick carrier? Calls grouped by what they share, each group with its
//! figures, the layer to blame, and the change against the last quarter of an hour.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::call::{Band, Call, CallId, Direction, Severity, TurnTiming};

use super::order::{Rank, score_of};
use super::words::{agent_name, direction_word, masked, vendor};

/// How far back the change looks.
pub const LOOK_BACK: Duration = Duration::from_secs(15 * 60);
/// One reading of every group this often.
pub const READ_EVERY: Duration = Duration::from_secs(60);
/// Groups kept in one reading; more are not compared with the past.
const READ_MAX: usize = 200;

/// What calls are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    #[default]
    Carrier,
    Agent,
    /// Country and area of the caller's number.
    Prefix,
    /// Direction and our own number.
    Route,
}

impl Dimension {
    pub const ALL: [Self; 4] = [Self::Carrier, Self::Agent, Self::Prefix, Self::Route];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::Agent => "agent",
            Self::Prefix => "prefix",
            Self::Route => "route",
        }
    }

    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|d| *d == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// The value calls share: shown as it is, and what the filter `carrier:…` compares with.
    pub fn of(self, call: &Call) -> String {
        match self {
            Self::Carrier => vendor(&call.facts.carrier).to_owned(),
            Self::Agent => agent_name(call).into_owned(),
            Self::Prefix => prefix_of(call),
            Self::Route => route_of(call),
        }
    }
}

/// The part of the caller's number that is shown to everybody, before the hidden digits.
pub fn prefix_of(call: &Call) -> String {
    let shown = masked(call.caller_number());
    let open = shown.split(['•', '*']).next().unwrap_or_default().trim();
    if open.starts_with('+') && open.len() < shown.len() {
        open.to_owned()
    } else {
        "no number".to_owned()
    }
}

/// Direction and our own number, hidden digits hidden.
pub fn route_of(call: &Call) -> String {
    let (word, ours) = match call.facts.direction {
        Direction::Inbound => (direction_word(Direction::Inbound), &call.facts.to),
        Direction::Outbound => (direction_word(Direction::Outbound), &call.facts.from),
    };
    // The voice gateway's lines have names, and names of ours need no mask.
    if ours.chars().any(|c| c.is_ascii_digit()) {
        format!("{word} {}", masked(ours))
    } else {
        format!("{word} {ours}")
    }
}

/// Where the time of some turns goes, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    pub count: usize,
    pub p50: Option<u32>,
    pub p95: Option<u32>,
    /// Medians of the layers.
    pub ears: Option<u32>,
    pub think: Option<u32>,
    pub voice: Option<u32>,
    /// 95th percentiles of the layers.
    pub slow: [Option<u32>; 3],
}

/// The layer that costs most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Caller stops → the vendor's transcript.
    Ears,
    /// Transcript → first audio of the vendor.
    Think,
    /// First audio → first frame sent to the carrier.
    Voice,
}

impl Layer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ears => "ears",
            Self::Think => "think",
            Self::Voice => "voice",
        }
    }

    /// Who is to blame when this layer is slow.
    pub fn whose(self) -> &'static str {
        match self {
            Self::Ears => "speech recognition",
            Self::Think => "the agent's model or speech",
            Self::Voice => "bridge or carrier",
        }
    }
}

/// Nearest-rank percentile without sorting: a large board has tens of thousands of turns.
fn rank(mut values: Vec<u32>, percent: usize) -> Option<u32> {
    let rank = (values.len() * percent).div_ceil(100).max(1);
    (rank <= values.len()).then(|| *values.select_nth_unstable(rank - 1).1)
}

impl Layers {
    /// Only what a reading keeps: the 95th percentile.
    fn brief<'a>(turns: impl Iterator<Item = &'a TurnTiming>) -> Self {
        Self {
            p95: rank(turns.map(|turn| turn.latency_ms).collect(), 95),
            ..Self::default()
        }
    }

    pub fn of<'a>(turns: impl Iterator<Item = &'a TurnTiming>) -> Self {
        let turns: Vec<&TurnTiming> = turns.collect();
        let at = |of: fn(&TurnTiming) -> Option<u32>, percent| {
            rank(turns.iter().filter_map(|turn| of(turn)).collect(), percent)
        };
        Self {
            count: turns.len(),
            p50: at(|turn| Some(turn.latency_ms), 50),
            p95: at(|turn| Some(turn.latency_ms), 95),
            ears: at(|turn| turn.ears_ms, 50),
            think: at(|turn| turn.think_ms, 50),
            voice: at(|turn| turn.voice_ms, 50),
            slow: [
                at(|turn| turn.ears_ms, 95),
                at(|turn| turn.think_ms, 95),
                at(|turn| turn.voice_ms, 95),
            ],
        }
    }

    /// The layer that costs most in the slow turns; `None` while nothing is known.
    pub fn blame(&self) -> Option<(Layer, u32)> {
        [Layer::Ears, Layer::Think, Layer::Voice]
            .into_iter()
            .zip(self.slow)
            .filter_map(|(layer, ms)| Some((layer, ms?)))
            .max_by_key(|(_, ms)| *ms)
    }
}

/// One group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub key: String,
    /// Calls that have not ended.
    pub live: usize,
    /// Live calls that need somebody.
    pub ill: usize,
    pub critical: usize,
    /// Of the live calls, or of those that have just ended while no live one has turns.
    pub turns: Layers,
    /// Mean of what the bridge measures, percent.
    pub gap_pct: Option<f32>,
    pub score: Option<f32>,
    /// The rule that several of the ill calls break, or the only one of them.
    pub reason: Option<String>,
    pub change: Change,
}

/// Now against the mean of the last quarter of an hour; `None` without a past.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    pub ill: Option<f32>,
    pub p95_ms: Option<f32>,
    pub gap_pct: Option<f32>,
}

impl Group {
    /// How ill a group is: the worst of its bands, then the share of ill calls.
    fn illness(&self) -> (Band, u32, u32) {
        let share = (self.ill * 1000).checked_div(self.live).unwrap_or(0) as u32;
        (
            self.band(),
            share,
            self.turns.p95.unwrap_or(0).saturating_add(
                self.gap_pct
                    .map_or(0, |pct| (pct.clamp(0.0, 100.0) * 1_000.0) as u32),
            ),
        )
    }

    /// The worst of what is known about the group.
    pub fn band(&self) -> Band {
        let many = match (self.ill, self.live) {
            (0, _) => Band::Good,
            (ill, live) if ill >= 2 && ill * 2 >= live => Band::Bad,
            _ => Band::Warn,
        };
        let slow = up_to(self.turns.p95.map(|ms| ms as f32), 2_500.0, 4_000.0);
        let gaps = up_to(self.gap_pct, 1.0, 5.0);
        many.max(slow).max(gaps)
    }

    /// What to say about the group in a few words.
    pub fn verdict(&self) -> String {
        let gaps = up_to(self.gap_pct, 1.0, 5.0);
        if gaps > Band::Good {
            return format!(
                "gaps {:.1} %: the line, not the agent",
                self.gap_pct.unwrap_or(0.0)
            );
        }
        let slow = up_to(self.turns.p95.map(|ms| ms as f32), 2_500.0, 4_000.0);
        if let (true, Some((layer, ms))) = (slow > Band::Good, self.turns.blame()) {
            return format!(
                "{} {:.1} s: {}",
                layer.as_str(),
                ms as f32 / 1_000.0,
                layer.whose()
            );
        }
        match (&self.reason, self.ill) {
            (Some(reason), 1) => format!("one call: {reason}"),
            (Some(reason), ill) => format!("{ill} calls, most: {reason}"),
            (None, 2..) => format!("{} calls, no common cause", self.ill),
            (None, 1) => "one call: its links".to_owned(),
            (None, _) if self.live == 0 => "no live call".to_owned(),
            (None, _) => "well".to_owned(),
        }
    }
}

fn up_to(value: Option<f32>, good: f32, fair: f32) -> Band {
    match value {
        None => Band::Unknown,
        Some(value) if value <= good => Band::Good,
        Some(value) if value <= fair => Band::Warn,
        Some(_) => Band::Bad,
    }
}

/// One call as grouping sees it.
#[derive(Debug)]
pub struct Member<'a> {
    pub call: &'a Call,
    pub rank: Rank,
    pub gap_pct: Option<f32>,
    pub live_score: Option<f32>,
}

type Shared<'m, 'c> = BTreeMap<String, Vec<&'m Member<'c>>>;

fn sorted<'m, 'c>(by: Dimension, members: &'m [Member<'c>]) -> Shared<'m, 'c> {
    let mut shared = Shared::new();
    for member in members {
        shared.entry(by.of(member.call)).or_default().push(member);
    }
    shared
}

/// Groups calls, worst first. `past` gives the change.
pub fn group(by: Dimension, members: &[Member<'_>], past: &Past) -> Vec<Group> {
    let mut groups: Vec<Group> = sorted(by, members)
        .into_iter()
        .map(|(key, members)| {
            let turns = Layers::of(turns_of(&members));
            let mut group = fold(key, &members, turns);
            group.change = past.change(by, &group);
            group
        })
        .collect();
    groups.sort_by(|a, b| {
        let ended = (a.live == 0).cmp(&(b.live == 0));
        ended
            .then(b.illness().cmp(&a.illness()))
            .then(a.key.cmp(&b.key))
    });
    groups
}

/// The turns that tell how a group is now: of its live calls, and only if those have none yet, of
/// the calls that have just ended.
fn turns_of<'m>(members: &'m [&Member<'_>]) -> impl Iterator<Item = &'m TurnTiming> {
    let has_live = members
        .iter()
        .any(|member| member.call.is_live() && !member.call.turns.is_empty());
    members
        .iter()
        .filter(move |member| member.call.is_live() || !has_live)
        .flat_map(|member| &member.call.turns)
}

fn fold(key: String, members: &[&Member<'_>], turns: Layers) -> Group {
    let live: Vec<&&Member<'_>> = members.iter().filter(|m| m.call.is_live()).collect();
    let ill = |member: &&&Member<'_>| member.rank <= Rank::Warn;
    let mean = |values: Vec<f32>| {
        let count = values.len();
        (count > 0).then(|| values.iter().sum::<f32>() / count as f32)
    };
    let ill_count = live.iter().copied().filter(ill).count();
    let mut reasons: HashMap<&str, usize> = HashMap::new();
    for member in live.iter().copied().filter(ill) {
        let open = member.call.alerts.iter();
        if let Some(alert) =
            open.max_by_key(|alert| (alert.severity, std::cmp::Reverse(alert.since)))
        {
            if alert.severity > Severity::Info {
                *reasons.entry(alert.rule.as_str()).or_default() += 1;
            }
        }
    }
    let reason = reasons
        .into_iter()
        .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)))
        // What only one of several calls has is no common cause.
        .filter(|(_, count)| *count > 1 || ill_count == 1)
        .map(|(rule, _)| rule.replace('_', " "));
    Group {
        key,
        live: live.len(),
        ill: ill_count,
        critical: live.iter().filter(|m| m.rank == Rank::Critical).count(),
        turns,
        gap_pct: mean(live.iter().filter_map(|member| member.gap_pct).collect()),
        score: mean(
            live.iter()
                .filter_map(|member| score_of(member.call, member.live_score))
                .collect(),
        ),
        reason,
        change: Change::default(),
    }
}

/// Figures of one group at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    ill: f32,
    p95_ms: Option<f32>,
    gap_pct: Option<f32>,
}

/// What every group was like in the last quarter of an hour, a reading a minute.
#[derive(Clone, Debug, Default)]
pub struct Past {
    readings: VecDeque<(Duration, HashMap<(Dimension, String), Figures>)>,
}

impl Past {
    /// Whether it is time for a reading.
    pub fn is_due(&self, now: Duration) -> bool {
        self.readings
            .back()
            .is_none_or(|(at, _)| now.saturating_sub(*at) >= READ_EVERY)
    }

    /// Takes a reading of every grouping there is.
    pub fn read(&mut self, now: Duration, members: &[Member<'_>]) {
        let mut reading = HashMap::new();
        for by in Dimension::ALL {
            for (key, members) in sorted(by, members) {
                if reading.len() == READ_MAX {
                    break;
                }
                let turns = Layers::brief(turns_of(&members));
                let group = fold(key, &members, turns);
                let figures = Figures {
                    ill: group.ill as f32,
                    p95_ms: group.turns.p95.map(|ms| ms as f32),
                    gap_pct: group.gap_pct,
                };
                reading.insert((by, group.key), figures);
            }
        }
        self.readings.push_back((now, reading));
        while self
            .readings
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) > LOOK_BACK)
        {
            self.readings.pop_front();
        }
    }

    /// How far back the readings reach.
    pub fn span(&self, now: Duration) -> Duration {
        self.readings
            .front()
            .map_or(Duration::ZERO, |(at, _)| now.saturating_sub(*at))
    }

    fn change(&self, by: Dimension, group: &Group) -> Change {
        let key = (by, group.key.clone());
        let past: Vec<&Figures> = self
            .readings
            .iter()
            .filter_map(|(_, reading)| reading.get(&key))
            .collect();
        let mean = |of: fn(&Figures) -> Option<f32>| {
            let known: Vec<f32> = past.iter().filter_map(|figures| of(figures)).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f32>() / known.len() as f32)
        };
        let against = |now: Option<f32>, then: Option<f32>| Some(now? - then?);
        Change {
            ill: against(Some(group.ill as f32), mean(|f| Some(f.ill))),
            p95_ms: against(
                group.turns.p95.map(|ms| ms as f32),
                mean(|figures| figures.p95_ms),
            ),
            gap_pct: against(group.gap_pct, mean(|figures| figures.gap_pct)),
        }
    }
}

/// Whether a call belongs to a group.
pub fn is_in(call: &Call, by: Dimension, key: &str) -> bool {
    by.of(call) == key
}

/// The ids of a group's calls, for the list beneath.
pub fn calls_of(members: &[Member<'_>], by: Dimension, key: &str) -> Vec<CallId> {
    let mut ids: Vec<(bool, Rank, CallId)> = members
        .iter()
        .filter(|member| is_in(member.call, by, key))
        .map(|member| (!member.call.is_live(), member.rank, member.call.id))
        .collect();
    ids.sort();
    ids.into_iter().map(|(_, _, id)| id).collect()
}

#[cfg(test)]
mod tests;
