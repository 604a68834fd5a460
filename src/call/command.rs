//! What an operator asks for: verbs, roles, grants, replies. A command is a wish; facts come later.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CallId, CommandId};

/// A wish of one operator. Idempotent by `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub id: CommandId,
    #[serde(default)]
    pub call: Option<CallId>,
    #[serde(flatten)]
    pub action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The verb and its arguments, on the wire `{"verb":"say","args":{"text":"…"}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", content = "args", rename_all = "snake_case")]
pub enum Action {
    Terminate {},
    Transfer {
        to: String,
    },
    /// Hint to the agent; the caller hears nothing.
    Whisper {
        text: String,
    },
    /// The agent speaks this text.
    Say {
        text: String,
    },
    PauseAgent {},
    ResumeAgent {},
    TakeOver {},
    HandBack {
        #[serde(default)]
        note: Option<String>,
    },
    RecordStart {},
    RecordPause {},
    RecordResume {},
    RecordStop {},
    Claim {},
    Release {},
    Flag {
        label: String,
    },
    Note {
        text: String,
    },
    Acknowledge {
        rule: String,
    },
    Snooze {
        rule: String,
        minutes: u32,
    },
    Dial {
        #[serde(flatten)]
        request: DialRequest,
    },
    StopDialing {},
    /// Undoes `StopDialing`.
    ResumeDialing {},
    Unmask {},
    /// The call is written to a file of the operator's, `markdown` or `jsonl`; without a call, a list
    /// of past calls, `csv` or `jsonl`, and the reason says which. The backend only checks the
    /// permission and keeps it in the audit trail.
    Export {
        format: String,
    },
}

/// A call to place. Numbers in E.164.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DialRequest {
    pub number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "callerId")]
    pub caller_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent vendor that places the call on a line of its own, for instance `elevenlabs`; without
    /// it the carrier dials and the audio passes through here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

/// Every permission there is. Commands need the verb of their name; the rest are ways of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    View,
    Transcript,
    History,
    Metrics,
    Listen,
    Recordings,
    Terminate,
    Transfer,
    Whisper,
    Say,
    Pause,
    Takeover,
    Record,
    Dial,
    /// To talk to an agent through the voice gateway.
    Chat,
    Claim,
    Flag,
    Note,
    Ack,
    Snooze,
    Unmask,
    Export,
    StopDialing,
    Trigger,
    Tokens,
    Config,
}

impl Verb {
    pub const ALL: [Self; 26] = [
        Self::View,
        Self::Transcript,
        Self::History,
        Self::Metrics,
        Self::Listen,
        Self::Recordings,
        Self::Terminate,
        Self::Transfer,
        Self::Whisper,
        Self::Say,
        Self::Pause,
        Self::Takeover,
        Self::Record,
        Self::Dial,
        Self::Chat,
        Self::Claim,
        Self::Flag,
        Self::Note,
        Self::Ack,
        Self::Snooze,
        Self::Unmask,
        Self::Export,
        Self::StopDialing,
        Self::Trigger,
        Self::Tokens,
        Self::Config,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Transcript => "transcript",
            Self::History => "history",
            Self::Metrics => "metrics",
            Self::Listen => "listen",
            Self::Recordings => "recordings",
            Self::Terminate => "terminate",
            Self::Transfer => "transfer",
            Self::Whisper => "whisper",
            Self::Say => "say",
            Self::Pause => "pause",
            Self::Takeover => "takeover",
            Self::Record => "record",
            Self::Dial => "dial",
            Self::Chat => "chat",
            Self::Claim => "claim",
            Self::Flag => "flag",
            Self::Note => "note",
            Self::Ack => "ack",
            Self::Snooze => "snooze",
            Self::Unmask => "unmask",
            Self::Export => "export",
            Self::StopDialing => "stop_dialing",
            Self::Trigger => "trigger",
            Self::Tokens => "tokens",
            Self::Config => "config",
        }
    }

    /// Reads a verb; `end` is accepted for `terminate`.
    pub fn parse(word: &str) -> Option<Self> {
        let word = if word == "end" { "terminate" } else { word };
        Self::ALL.into_iter().find(|verb| verb.as_str() == word)
    }

    /// The least role that holds this verb without an exception on its token.
    pub fn role(self) -> Role {
        match self {
            Self::View | Self::Transcript | Self::History | Self::Metrics => Role::Viewer,
            Self::Listen | Self::Recordings => Role::Listener,
            Self::Terminate
            | Self::Transfer
            | Self::Whisper
            | Self::Say
            | Self::Pause
            | Self::Takeover
            | Self::Record
            | Self::Dial
            | Self::Chat
            | Self::Claim
            | Self::Flag
            | Self::Note
            | Self::Ack
            | Self::Snooze => Role::Operator,
            Self::Unmask
            | Self::Export
            | Self::StopDialing
            | Self::Trigger
            | Self::Tokens
            | Self::Config => Role::Admin,
        }
    }
}

impl Action {
    /// The permission this action needs.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Terminate {} => Verb::Terminate,
            Self::Transfer { .. } => Verb::Transfer,
            Self::Whisper { .. } => Verb::Whisper,
            Self::Say { .. } => Verb::Say,
            Self::PauseAgent {} | Self::ResumeAgent {} => Verb::Pause,
            Self::TakeOver {} | Self::HandBack { .. } => Verb::Takeover,
            Self::RecordStart {}
            | Self::RecordPause {}
            | Self::RecordResume {}
            | Self::RecordStop {} => Verb::Record,
            Self::Claim {} | Self::Release {} => Verb::Claim,
            Self::Flag { .. } => Verb::Flag,
            Self::Note { .. } => Verb::Note,
            Self::Acknowledge { .. } => Verb::Ack,
            Self::Snooze { .. } => Verb::Snooze,
            Self::Dial { .. } => Verb::Dial,
            Self::StopDialing {} | Self::ResumeDialing {} => Verb::StopDialing,
            Self::Unmask {} => Verb::Unmask,
            Self::Export { .. } => Verb::Export,
        }
    }

    /// The wire name of the action, for instance `record_start`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Terminate {} => "terminate",
            Self::Transfer { .. } => "transfer",
            Self::Whisper { .. } => "whisper",
            Self::Say { .. } => "say",
            Self::PauseAgent {} => "pause_agent",
            Self::ResumeAgent {} => "resume_agent",
            Self::TakeOver {} => "take_over",
            Self::HandBack { .. } => "hand_back",
            Self::RecordStart {} => "record_start",
            Self::RecordPause {} => "record_pause",
            Self::RecordResume {} => "record_resume",
            Self::RecordStop {} => "record_stop",
            Self::Claim {} => "claim",
            Self::Release {} => "release",
            Self::Flag { .. } => "flag",
            Self::Note { .. } => "note",
            Self::Acknowledge { .. } => "acknowledge",
            Self::Snooze { .. } => "snooze",
            Self::Dial { .. } => "dial",
            Self::StopDialing {} => "stop_dialing",
            Self::ResumeDialing {} => "resume_dialing",
            Self::Unmask {} => "unmask",
            Self::Export { .. } => "export",
        }
    }
}

/// Each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Viewer,
    Listener,
    Operator,
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Listener => "listener",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Listener, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// What one token may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Name of the token, shown to other operators.
    pub user: String,
    pub role: Role,
    /// Verbs granted beyond the role.
    #[serde(default)]
    pub plus: BTreeSet<Verb>,
    /// Verbs taken from the role.
    #[serde(default)]
    pub minus: BTreeSet<Verb>,
    /// Only calls of these leads, when set.
    #[serde(default)]
    pub leads: Option<BTreeSet<String>>,
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

impl Grant {
    /// Everything: the embedded operator and the admin token.
    pub fn admin(user: impl Into<String>) -> Self {
        Self::of(user, Role::Admin)
    }

    pub fn of(user: impl Into<String>, role: Role) -> Self {
        Self {
            user: user.into(),
            role,
            plus: BTreeSet::new(),
            minus: BTreeSet::new(),
            leads: None,
            expires_at: None,
        }
    }

    pub fn allows(&self, verb: Verb) -> bool {
        !self.minus.contains(&verb) && (self.plus.contains(&verb) || self.role >= verb.role())
    }

    pub fn verbs(&self) -> Vec<Verb> {
        Verb::ALL
            .into_iter()
            .filter(|verb| self.allows(*verb))
            .collect()
    }

    /// Whether facts about a call of this lead may be shown.
    pub fn sees_lead(&self, lead: Option<&str>) -> bool {
        match (&self.leads, lead) {
            (None, _) => true,
            (Some(leads), Some(lead)) => leads.contains(lead),
            (Some(_), None) => false,
        }
    }
}

/// Why a command was not done, in words a program can switch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    Invalid,
    Unsupported,
    Overloaded,
    Unavailable,
    Timeout,
}

impl ErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
        }
    }
}

/// A refusal: what, why, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: String,
    #[serde(default)]
    pub hint: String,
    /// The operator who holds what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Refusal {
    pub fn new(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            by: None,
        }
    }

    /// The refusal for a missing permission, naming the role that has it.
    pub fn forbidden(verb: Verb) -> Self {
        Self::new(
            ErrorCode::Forbidden,
            format!("this token may not {}", verb.as_str()),
            format!(
                "ask for the role {} or the verb +{}",
                verb.role().as_str(),
                verb.as_str()
            ),
        )
    }
}

/// The answer to a command or request, exactly one per id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    pub id: CommandId,
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

impl Reply {
    pub fn accepted(id: CommandId, result: Option<Value>) -> Self {
        Self {
            id,
            ok: true,
            state: Some("accepted".into()),
            result,
            error: None,
        }
    }

    pub fn refused(id: CommandId, refusal: Refusal) -> Self {
        Self {
            id,
            ok: false,
            state: None,
            result: None,
            error: Some(refusal),
        }
    }
}
