//! Which call comes first, and why: the need for attention, in at most four words, and the sorts.

use std::borrow::Cow;
use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use crate::call::{AgentLink, Alert, Call, CallStatus, MediaLink, Pending, PendingState, Severity};

/// How urgently a call needs a human; the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Critical,
    /// What the operator asked for went wrong.
    Unsettled,
    Warn,
    /// Something the operator asked for is under way.
    Pending,
    Live,
    Connecting,
    Ringing,
    Ended,
}

/// A call's need for attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Need<'a> {
    pub rank: Rank,
    /// 0 (well) to 100: how much it needs somebody, compared with others of its rank.
    pub score: u8,
    /// Why, for the place where the eye lands. `None` for calls that are well.
    pub reason: Option<Cow<'a, str>>,
}

impl Need<'_> {
    /// Whether this call counts under "attention" in the header.
    pub fn is_attention(&self) -> bool {
        self.rank <= Rank::Warn
    }
}

/// The alert that counts: the worst, then the oldest, that nobody has taken or silenced.
pub fn worst_alert(call: &Call, now: DateTime<Utc>) -> Option<&Alert> {
    call.alerts
        .iter()
        .filter(|alert| is_open(alert, now) && alert.severity > Severity::Info)
        .min_by(|a, b| b.severity.cmp(&a.severity).then(a.since.cmp(&b.since)))
}

/// Whether an alert still asks for somebody.
pub fn is_open(alert: &Alert, now: DateTime<Utc>) -> bool {
    alert.acknowledged_by.is_none() && alert.snoozed_until.is_none_or(|until| until <= now)
}

/// Points of the worst thing that is wrong, before what else there is.
const POINTS: [(Rank, u8); 3] = [
    (Rank::Critical, 80),
    (Rank::Unsettled, 60),
    (Rank::Warn, 40),
];
/// Points of each further open alert, at most three of them.
const POINTS_MORE: u8 = 5;
/// Taken off when somebody has the call: those nobody has come first.
const POINTS_CLAIMED: u8 = 10;

/// How much a call of this rank needs somebody. Depends on states only, never on time, so that the
/// order of the board stands still while nothing happens.
fn score(call: &Call, rank: Rank, now: DateTime<Utc>) -> u8 {
    let Some((_, base)) = POINTS.iter().find(|(known, _)| *known == rank) else {
        return 0;
    };
    let open = call
        .alerts
        .iter()
        .filter(|alert| is_open(alert, now) && alert.severity > Severity::Info)
        .count();
    let more = open.saturating_sub(1).min(3) as u8 * POINTS_MORE;
    let claimed = if call.claimed_by.is_some() {
        POINTS_CLAIMED
    } else {
        0
    };
    (base + more).saturating_sub(claimed)
}

/// What was wrong with a call that is over, in the points of [`Need::score`]; 0: nothing.
pub fn past_risk(call: &Call) -> u8 {
    let past = call.past_alerts.iter().map(|past| &past.alert);
    let mut rules: Vec<(&str, Severity)> = call
        .alerts
        .iter()
        .chain(past)
        .filter(|alert| alert.severity > Severity::Info)
        .map(|alert| (alert.rule.as_str(), alert.severity))
        .collect();
    rules.sort_unstable();
    let worst = rules.iter().map(|(_, severity)| *severity).max();
    rules.dedup_by_key(|(rule, _)| *rule);
    let rank = match worst {
        Some(Severity::Critical) => Rank::Critical,
        Some(_) => Rank::Warn,
        None => return 0,
    };
    let base = POINTS.iter().find(|(known, _)| *known == rank);
    let more = rules.len().saturating_sub(1).min(3) as u8 * POINTS_MORE;
    base.map_or(0, |(_, points)| points + more)
}

/// Judges one call.
pub fn need<'a>(call: &'a Call, pending: &Pending, now: DateTime<Utc>) -> Need<'a> {
    let of = |rank, reason: Option<&'a str>| Need {
        rank,
        score: score(call, rank, now),
        reason: reason.map(Cow::Borrowed),
    };
    let mut asked = None;
    for entry in pending.of_call(call.id) {
        match entry.state {
            PendingState::Refused(_) | PendingState::Failed(_) | PendingState::Unconfirmed => {
                asked = Some(Rank::Unsettled);
            }
            PendingState::Grace { .. } | PendingState::Sent | PendingState::Accepted => {
                asked = asked.or(Some(Rank::Pending));
            }
            PendingState::Done => {}
        }
    }
    if call.is_live() {
        let alert = worst_alert(call, now);
        if let Some(alert) = alert.filter(|alert| alert.severity == Severity::Critical) {
            return of(Rank::Critical, Some(&alert.reason));
        }
        if let Some((rank, reason)) = link_trouble(call) {
            if rank == Rank::Critical || alert.is_none() {
                return of(rank, Some(reason));
            }
        }
        if asked == Some(Rank::Unsettled) {
            return of(Rank::Unsettled, alert.map(|alert| alert.reason.as_str()));
        }
        if let Some(alert) = alert {
            return of(Rank::Warn, Some(&alert.reason));
        }
    }
    let rank = match call.status {
        CallStatus::InProgress if call.agent_link == AgentLink::Connecting => Rank::Connecting,
        CallStatus::InProgress => Rank::Live,
        CallStatus::Queued | CallStatus::Initiated | CallStatus::Ringing => Rank::Ringing,
        _ => Rank::Ended,
    };
    of(asked.map_or(rank, |asked| asked.min(rank)), None)
}

/// What is wrong with the lines of a call in progress.
fn link_trouble(call: &Call) -> Option<(Rank, &'static str)> {
    if call.status != CallStatus::InProgress {
        return None;
    }
    match (call.agent_link, call.media_link) {
        (AgentLink::Lost, _) => Some((Rank::Critical, "agent lost")),
        (_, MediaLink::Lost) => Some((Rank::Critical, "line lost")),
        (AgentLink::Fallback, _) => Some((Rank::Warn, "agent down, fallback")),
        (AgentLink::Reconnecting, _) => Some((Rank::Warn, "agent reconnecting")),
        _ => None,
    }
}

/// The orders an operator can choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Attention,
    /// Longest first.
    Duration,
    /// Slowest last turn first.
    Turn,
    /// Worst line first.
    Score,
    Newest,
    Agent,
}

impl Sort {
    pub const ALL: [Self; 6] = [
        Self::Attention,
        Self::Duration,
        Self::Turn,
        Self::Score,
        Self::Newest,
        Self::Agent,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Duration => "duration",
            Self::Turn => "turn",
            Self::Score => "score",
            Self::Newest => "newest",
            Self::Agent => "agent",
        }
    }

    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == word)
    }
}

/// The score shown for a call: the live gauge, else the last judged quality.
pub fn score_of(call: &Call, live: Option<f32>) -> Option<f32> {
    live.or_else(|| call.quality.as_ref().and_then(|q| q.bridge_score))
}

/// One call's place in every order, computed once per sort.
#[derive(Clone, Debug)]
pub(crate) struct SortKey {
    rank: Rank,
    /// See [`Need::score`].
    need: u8,
    started_at: DateTime<Utc>,
    elapsed_s: u32,
    turn_ms: Option<u32>,
    score: Option<f32>,
    agent: String,
    id: crate::call::CallId,
}

impl SortKey {
    pub fn of(call: &Call, need: &Need<'_>, score: Option<f32>, now: DateTime<Utc>) -> Self {
        Self {
            rank: need.rank,
            need: need.score,
            started_at: call.started_at,
            elapsed_s: call.elapsed_s(now),
            turn_ms: call.turns.last().map(|turn| turn.latency_ms),
            score,
            agent: call.facts.agent.clone().unwrap_or_default(),
            id: call.id,
        }
    }

    pub fn id(&self) -> crate::call::CallId {
        self.id
    }

    /// Ended calls stay behind living ones whatever the order; ties go by age, then id, so that
    /// equal calls never swap.
    pub fn compare(&self, other: &Self, sort: Sort, reversed: bool) -> Ordering {
        let ended = (self.rank == Rank::Ended).cmp(&(other.rank == Rank::Ended));
        let by = match sort {
            Sort::Attention => self.rank.cmp(&other.rank).then(other.need.cmp(&self.need)),
            Sort::Duration => other.elapsed_s.cmp(&self.elapsed_s),
            Sort::Turn => other.turn_ms.cmp(&self.turn_ms),
            Sort::Score => compare_scores(self.score, other.score),
            Sort::Newest => other.started_at.cmp(&self.started_at),
            Sort::Agent => self.agent.cmp(&other.agent),
        };
        let by = if reversed { by.reverse() } else { by };
        ended
            .then(by)
            .then(self.started_at.cmp(&other.started_at))
            .then(self.id.cmp(&other.id))
    }
}

/// Low scores first, unknown ones last.
fn compare_scores(a: Option<f32>, b: Option<f32>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::sample;

    /// The rule of the order: rank, then score, then age. Exact for the sample's calls.
    #[test]
    fn the_sample_board_has_an_exact_order_and_reasons() {
        let now = sample::now();
        let calls = sample::calls(now);
        let pending = Pending::default();
        let mut judged: Vec<(SortKey, u8, String)> = calls
            .iter()
            .map(|call| {
                let need = need(call, &pending, now);
                let key = SortKey::of(call, &need, None, now);
                let reason = need.reason.unwrap_or_default().into_owned();
                (key, need.score, reason)
            })
            .collect();
        judged.sort_by(|a, b| a.0.compare(&b.0, Sort::Attention, false));
        let shown: Vec<(u8, &str)> = judged
            .iter()
            .take(4)
            .map(|(_, score, reason)| (*score, reason.as_str()))
            .collect();
        // The looper has two open alerts and is claimed: 80 + 5 − 10.
        assert_eq!(
            shown,
            [
                (75, "loop ×3, 41 s"),
                (40, "line 2.9, gaps 4.6 %"),
                (40, "dead air 9 s"),
                (40, "agent reconnecting"),
            ]
        );
        for (_, _, reason) in &judged {
            assert!(reason.split_whitespace().count() <= 5, "{reason}");
        }
    }

    #[test]
    fn acknowledged_and_snoozed_alerts_do_not_count_until_the_snooze_is_over() {
        let now = sample::now();
        let mut call = sample::calls(now).remove(0);
        let pending = Pending::default();
        call.alerts[0].acknowledged_by = Some("ana".into());
        call.alerts[1].snoozed_until = Some(now + chrono::TimeDelta::minutes(10));
        assert_eq!(need(&call, &pending, now).rank, Rank::Live);
        assert_eq!(need(&call, &pending, now).score, 0);
        let later = now + chrono::TimeDelta::minutes(11);
        let again = need(&call, &pending, later);
        assert_eq!((again.rank, again.score), (Rank::Warn, 30));
    }
}
