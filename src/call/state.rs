//! One call as an operator sees it. Snapshot and board entry are the same shape, so that what a
//! late joiner receives is exactly what an early one has folded.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    AgentLink, Alert, AnsweredBy, CallFacts, CallId, CallStatus, CallSummary, CommandId, Limit,
    MediaLink, Quality, Recording, Track, TurnTiming,
};

/// Transcript lines kept in memory per call; older ones are in history.
pub const LINES_MAX: usize = 2_000;
/// Turn timings kept per call: the window of p50 and p95 (`live-metrics` §6).
pub const TURNS_MAX: usize = 50;
/// Timeline notes (late statuses, troubles) kept per call.
pub const TROUBLES_MAX: usize = 50;
/// Lines a hand-over note repeats, and how much of each, in characters.
const NOTE_LINES: usize = 6;
const NOTE_LINE_CHARS: usize = 120;
/// Operator actions kept per call.
pub const ACTIONS_MAX: usize = 50;
/// The rule of the alert that the carrier's audio is lost.
pub const MEDIA_LOST: &str = "media_lost";
/// Alerts that are over kept per call.
pub const PAST_ALERTS_MAX: usize = 30;

/// A call folded from its facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub id: CallId,
    #[serde(flatten)]
    pub facts: CallFacts,
    pub status: CallStatus,
    pub started_at: DateTime<Utc>,
    #[serde(default)]
    pub answered_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// The carrier's own duration, seconds.
    #[serde(default)]
    pub duration_s: Option<u32>,
    #[serde(default)]
    pub answered_by: Option<AnsweredBy>,
    #[serde(default)]
    pub ended_by: Option<String>,
    #[serde(default)]
    pub end_cause: Option<String>,
    #[serde(default)]
    pub agent_link: AgentLink,
    #[serde(default)]
    pub agent_link_reason: Option<String>,
    #[serde(default)]
    pub media_link: MediaLink,
    #[serde(default)]
    pub stream_id: Option<String>,
    #[serde(default)]
    pub conversation_id: Option<String>,
    #[serde(default)]
    pub recordings: Vec<Recording>,
    #[serde(default)]
    pub lines: Vec<Line>,
    /// Lines that are no longer in `lines`, because of [`LINES_MAX`] or a snapshot's cut.
    #[serde(default)]
    pub lines_dropped: u32,
    #[serde(default)]
    pub turns: Vec<TurnTiming>,
    #[serde(default)]
    pub interruptions: u32,
    #[serde(default)]
    pub quality: Option<Quality>,
    #[serde(default)]
    pub carrier_quality: Option<Quality>,
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// Alerts that are over, oldest first: an ended call still tells where it went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_alerts: Vec<PastAlert>,
    #[serde(default)]
    pub listeners: Vec<Listener>,
    #[serde(default)]
    pub claimed_by: Option<String>,
    /// The operator who speaks to the caller in the agent's place, and since when.
    #[serde(default)]
    pub held_by: Option<String>,
    #[serde(default)]
    pub held_since: Option<DateTime<Utc>>,
    /// What cannot be done on this call, and why.
    #[serde(default)]
    pub limits: Vec<Limit>,
    #[serde(default)]
    pub flags: Vec<String>,
    #[serde(default)]
    pub notes: Vec<Note>,
    #[serde(default)]
    pub actions: Vec<OperatorAction>,
    #[serde(default)]
    pub troubles: Vec<Trouble>,
    #[serde(default)]
    pub transfer: Option<Transfer>,
    #[serde(default)]
    pub analysis: Option<Analysis>,
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// Whose figure that is: `estimate…`, or a vendor's name.
    #[serde(default)]
    pub cost_source: Option<String>,
    #[serde(default)]
    pub summary: Option<CallSummary>,
    /// `seq` of the last fact about this call.
    pub seq: u64,
    /// When the last fact came.
    pub updated_at: DateTime<Utc>,
}

/// An alert that was raised and is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastAlert {
    #[serde(flatten)]
    pub alert: Alert,
    /// When the detector cleared it, or the call ended.
    pub cleared_at: DateTime<Utc>,
}

/// One row of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub turn: u32,
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub body: LineBody,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LineBody {
    Speech {
        track: Track,
        text: String,
        /// May still be rewritten.
        interim: bool,
        #[serde(default)]
        latency_ms: Option<u32>,
        #[serde(default)]
        cut: Option<Cut>,
    },
    Tool {
        tool_call_id: String,
        name: String,
        args: String,
        /// `None` while it runs.
        #[serde(default)]
        ok: Option<bool>,
        #[serde(default)]
        result: String,
        #[serde(default)]
        took_ms: Option<u32>,
    },
    /// DTMF digits, link changes and other things worth a line.
    Mark {
        text: String,
        /// The operator's command it shows, and how that fares.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<CommandId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<ActionState>,
    },
}

/// Where an utterance was cut off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// What was really played.
    pub heard: String,
    pub cut_at_ms: u32,
    /// Who cut it, where it was not the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Track>,
}

impl Line {
    /// Words that nobody heard: of an agent that went on while somebody else had the floor.
    pub fn is_unheard(&self) -> bool {
        matches!(&self.body, LineBody::Speech { cut: Some(cut), .. } if cut.is_unheard())
    }
}

impl Cut {
    /// Nothing of it reached the caller: it was said while somebody else had the floor.
    pub fn is_unheard(&self) -> bool {
        self.cut_at_ms == 0 && self.heard.trim().is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    pub listener: String,
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub at: DateTime<Utc>,
    pub by: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub at: DateTime<Utc>,
    pub code: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    pub to: String,
    pub state: String,
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    pub summary: Option<String>,
    pub sentiment: Option<String>,
    #[serde(default)]
    pub topics: Vec<String>,
}

/// What an operator asked for on this call, and how it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorAction {
    pub command: CommandId,
    pub verb: String,
    pub by: String,
    pub at: DateTime<Utc>,
    pub state: ActionState,
    #[serde(default)]
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    Accepted,
    Done,
    Failed,
    Unconfirmed,
}

impl Call {
    pub fn new(id: CallId, facts: CallFacts, status: CallStatus, at: DateTime<Utc>) -> Self {
        Self {
            id,
            facts,
            status,
            started_at: at,
            answered_at: None,
            ended_at: None,
            duration_s: None,
            answered_by: None,
            ended_by: None,
            end_cause: None,
            agent_link: AgentLink::None,
            agent_link_reason: None,
            media_link: MediaLink::None,
            stream_id: None,
            conversation_id: None,
            recordings: Vec::new(),
            lines: Vec::new(),
            lines_dropped: 0,
            turns: Vec::new(),
            interruptions: 0,
            quality: None,
            carrier_quality: None,
            alerts: Vec::new(),
            past_alerts: Vec::new(),
            listeners: Vec::new(),
            claimed_by: None,
            held_by: None,
            held_since: None,
            limits: Vec::new(),
            flags: Vec::new(),
            notes: Vec::new(),
            actions: Vec::new(),
            troubles: Vec::new(),
            transfer: None,
            analysis: None,
            cost_usd: None,
            cost_source: None,
            summary: None,
            seq: 0,
            updated_at: at,
        }
    }

    pub fn is_live(&self) -> bool {
        !self.status.is_terminal()
    }

    /// Whether somebody was on the phone and the line went: over, answered, and by no hand. It failed
    /// after the answer, or the carrier says that the network or an error ended it, or its audio was
    /// lost until the end.
    pub fn was_cut(&self) -> bool {
        let Some(ended_at) = self.ended_at.filter(|_| self.answered_at.is_some()) else {
            return false;
        };
        let by = self.ended_by.as_deref().unwrap_or_default().to_lowercase();
        let is_network = ["carrier", "network", "error"]
            .iter()
            .any(|word| by.contains(word));
        let is_mute = self
            .past_alerts
            .iter()
            .any(|past| past.alert.rule == MEDIA_LOST && past.cleared_at >= ended_at);
        !self.is_live() && (self.status == CallStatus::Failed || is_network || is_mute)
    }

    /// The carrier's id, else ours: what `callSid` means everywhere.
    pub fn call_sid(&self) -> String {
        self.facts
            .carrier_call_id
            .clone()
            .unwrap_or_else(|| self.id.to_string())
    }

    /// The other person's number: who called us, or whom we called.
    pub fn caller_number(&self) -> &str {
        match self.facts.direction {
            super::Direction::Inbound => &self.facts.from,
            super::Direction::Outbound => &self.facts.to,
        }
    }

    /// Seconds since the answer (or since the start while it rings), until the end if there was
    /// one. The carrier's own figure wins once it is known. Never negative.
    pub fn elapsed_s(&self, now: DateTime<Utc>) -> u32 {
        if let (Some(seconds), true) = (self.duration_s, self.status.is_terminal()) {
            return seconds;
        }
        let from = self.answered_at.unwrap_or(self.started_at);
        let until = self.ended_at.unwrap_or(now);
        u32::try_from((until - from).num_seconds().max(0)).unwrap_or(u32::MAX)
    }

    pub fn turn_percentile(&self, percent: u32) -> Option<u32> {
        percentile(self.turns.iter().map(|turn| turn.latency_ms), percent)
    }

    /// Why an action of this wire name cannot be done here; `None` when nothing stands against it.
    pub fn limit(&self, action: &str) -> Option<&str> {
        let limit = self.limits.iter().find(|limit| limit.action == action)?;
        Some(&limit.reason)
    }

    /// What the agent is told when it gets the call back and nobody has written anything better:
    /// who spoke in its place, and the last of what was said meanwhile.
    pub fn handover_note(&self) -> String {
        let who = self.held_by.as_deref().unwrap_or("a colleague");
        let since = self.held_since.unwrap_or(self.updated_at);
        let said = self.lines.iter().filter(|line| line.at >= since);
        let said: Vec<(Track, &str)> = said
            .filter_map(|line| match &line.body {
                LineBody::Speech { track, text, .. } if *track != Track::FromAgent => {
                    Some((*track, text.as_str()))
                }
                _ => None,
            })
            .collect();
        let mut note = format!("{who}, a person, spoke with the caller.");
        for (track, text) in said.iter().skip(said.len().saturating_sub(NOTE_LINES)) {
            let speaker = if *track == Track::FromCaller {
                "The caller"
            } else {
                who
            };
            let text: String = text.chars().take(NOTE_LINE_CHARS).collect();
            note.extend([" ", speaker, ": \"", text.as_str(), "\""]);
        }
        note
    }

    /// The recording that is running or the newest one.
    pub fn recording(&self) -> Option<&Recording> {
        self.recordings.last()
    }

    /// The last thing said, interim included; what nobody heard was not said.
    pub fn last_words(&self) -> Option<(Track, &str)> {
        let heard = self.lines.iter().rev().filter(|line| !line.is_unheard());
        heard.into_iter().find_map(|line| match &line.body {
            LineBody::Speech { track, text, .. } if !text.is_empty() => {
                Some((*track, text.as_str()))
            }
            _ => None,
        })
    }

    /// Turns that an alert points at, over or not: where to look first. Ascending.
    pub fn evidence(&self) -> Vec<u32> {
        let past = self.past_alerts.iter().map(|past| &past.alert);
        let mut turns: Vec<u32> = self
            .alerts
            .iter()
            .chain(past)
            .flat_map(|alert| alert.evidence.iter().copied())
            .collect();
        turns.sort_unstable();
        turns.dedup();
        turns
    }

    /// A copy whose transcript holds only the last `lines` rows: the form a snapshot travels in.
    /// Costs what it returns, not what the whole transcript weighs.
    pub fn trimmed(&self, lines: usize) -> Self {
        let cut = self.lines.len().saturating_sub(lines);
        let rest = self.lines.get(cut..).unwrap_or_default().to_vec();
        let mut copy = self.without_lines();
        copy.lines = rest;
        copy.lines_dropped = self.lines_dropped.saturating_add(cut as u32);
        copy
    }

    /// A copy without its transcript; `lines_dropped` stays what it is.
    pub fn without_lines(&self) -> Self {
        Self {
            id: self.id,
            facts: self.facts.clone(),
            recordings: self.recordings.clone(),
            lines: Vec::new(),
            turns: self.turns.clone(),
            quality: self.quality.clone(),
            carrier_quality: self.carrier_quality.clone(),
            alerts: self.alerts.clone(),
            past_alerts: self.past_alerts.clone(),
            listeners: self.listeners.clone(),
            claimed_by: self.claimed_by.clone(),
            held_by: self.held_by.clone(),
            cost_source: self.cost_source.clone(),
            limits: self.limits.clone(),
            flags: self.flags.clone(),
            notes: self.notes.clone(),
            actions: self.actions.clone(),
            troubles: self.troubles.clone(),
            transfer: self.transfer.clone(),
            analysis: self.analysis.clone(),
            summary: self.summary.clone(),
            ended_by: self.ended_by.clone(),
            end_cause: self.end_cause.clone(),
            agent_link_reason: self.agent_link_reason.clone(),
            stream_id: self.stream_id.clone(),
            conversation_id: self.conversation_id.clone(),
            ..*self
        }
    }
}

/// Nearest-rank percentile, `percent` 1 to 100. `None` of nothing.
pub fn percentile(values: impl Iterator<Item = u32>, percent: u32) -> Option<u32> {
    let mut sorted: Vec<u32> = values.collect();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent as usize).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
