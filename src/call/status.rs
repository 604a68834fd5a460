//! The small closed vocabularies: status, direction, links, tracks, verdicts.
//! Status words are Twilio's nine everywhere, whoever the carrier is.

use serde::{Deserialize, Serialize};

/// Where a call stands, in Twilio's words (Twilio docs, "Call resource", 2026-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStatus {
    Queued,
    Initiated,
    Ringing,
    InProgress,
    Completed,
    Busy,
    Failed,
    NoAnswer,
    Canceled,
}

/// What a status means for a call that already has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusStep {
    /// Later than what is known: take it.
    Forward,
    /// The same fact again.
    Repeat,
    /// Earlier than what is known, or anything after the end: keep the record, change nothing.
    Late,
}

impl CallStatus {
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Initiated,
        Self::Ringing,
        Self::InProgress,
        Self::Completed,
        Self::Busy,
        Self::Failed,
        Self::NoAnswer,
        Self::Canceled,
    ];

    /// The wire word, for instance `in-progress`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
        }
    }

    /// Reads a wire word; tolerant of case, underscores and the two-l spelling of `canceled`.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase().replace('_', "-");
        let word = if word == "cancelled" {
            "canceled"
        } else {
            word.as_str()
        };
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    pub fn is_terminal(self) -> bool {
        self.rank() == 4
    }

    /// Order in a call's life: 0 queued … 3 in progress, 4 any end.
    pub fn rank(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Initiated => 1,
            Self::Ringing => 2,
            Self::InProgress => 3,
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => 4,
        }
    }

    /// Judges `next` against the present status: a join, so that any order of webhooks ends alike.
    pub fn step(self, next: Self) -> StatusStep {
        if self == next {
            StatusStep::Repeat
        } else if next.rank() > self.rank() {
            StatusStep::Forward
        } else {
            StatusStep::Late
        }
    }
}

/// Direction of the call, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Inbound,
    Outbound,
}

/// State of the agent vendor's socket for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum AgentLink {
    #[default]
    None,
    Connecting,
    Connected,
    Reconnecting,
    Fallback,
    Lost,
}

impl AgentLink {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Fallback => "fallback",
            Self::Lost => "lost",
        }
    }
}

/// State of the carrier's media stream for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum MediaLink {
    #[default]
    None,
    Up,
    Lost,
}

impl MediaLink {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Up => "up",
            Self::Lost => "lost",
        }
    }
}

/// One audio direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Track {
    FromCaller,
    FromAgent,
    FromOperator,
}

impl Track {
    /// Whose words these are to programs that know two parties, `user` or `agent`.
    pub fn role(self) -> &'static str {
        match self {
            Self::FromCaller => "user",
            Self::FromAgent | Self::FromOperator => "agent",
        }
    }
}

/// The carrier's verdict on who picked up. Words as the carrier sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    Human,
    MachineStart,
    MachineEndBeep,
    MachineEndSilence,
    MachineEndOther,
    Fax,
    Unknown,
}

impl AnsweredBy {
    /// Reads Twilio's `AnsweredBy`; anything unheard of is `Unknown`.
    pub fn parse(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "human" => Self::Human,
            "machine_start" | "machine" => Self::MachineStart,
            "machine_end_beep" => Self::MachineEndBeep,
            "machine_end_silence" => Self::MachineEndSilence,
            "machine_end_other" => Self::MachineEndOther,
            "fax" => Self::Fax,
            _ => Self::Unknown,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::MachineStart => "machine_start",
            Self::MachineEndBeep => "machine_end_beep",
            Self::MachineEndSilence => "machine_end_silence",
            Self::MachineEndOther => "machine_end_other",
            Self::Fax => "fax",
            Self::Unknown => "unknown",
        }
    }

    pub fn is_machine(self) -> bool {
        matches!(
            self,
            Self::MachineStart
                | Self::MachineEndBeep
                | Self::MachineEndSilence
                | Self::MachineEndOther
                | Self::Fax
        )
    }
}

/// State of one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingState {
    /// The carrier's REST accepted the start; no webhook yet.
    Started,
    InProgress,
    Paused,
    Completed,
    /// The carrier recorded nothing (too short, silent).
    Absent,
    Failed,
}

impl RecordingState {
    /// It runs, or may run again.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Started | Self::InProgress | Self::Paused)
    }
}

/// Coarse judgement of a figure against the configured thresholds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    #[default]
    Unknown,
    Good,
    Warn,
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warn,
    Critical,
}
