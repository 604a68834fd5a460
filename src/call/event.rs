//! `CallEvent`: the published facts, past tense, and the `Envelope` that carries them.
//! Compatible by rule: variants and optional fields are added, meanings never change, and a variant
//! this build does not know survives a round trip unread.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AgentLink, AnsweredBy, Band, CallId, CallStatus, CommandId, Direction, MediaLink,
    RecordingState, Severity, StoreLevel, Track,
};

/// Version of the envelope. Bumped only with a compatibility test.
pub const ENVELOPE_VERSION: u8 = 1;

/// One fact, stamped by the switchboard. `seq` is gap-free per backend and epoch, from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub v: u8,
    pub seq: u64,
    pub at: DateTime<Utc>,
    /// `None` for facts about the backend itself ([`Fact::Notice`]).
    pub call: Option<CallId>,
    pub event: CallEvent,
}

/// A known fact, or one from a newer peer kept as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CallEvent {
    Known(Fact),
    Unknown(Value),
}

impl Envelope {
    /// The lead a fact beside all calls is about.
    pub fn lead(&self) -> Option<&str> {
        match &self.event {
            CallEvent::Known(Fact::LeadMessaged { message }) => Some(&message.lead_id),
            _ => None,
        }
    }
}

impl From<Fact> for CallEvent {
    fn from(fact: Fact) -> Self {
        Self::Known(fact)
    }
}

/// Where a status word came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    #[default]
    Webhook,
    Rest,
    Stream,
    /// Read back from the journal after a restart.
    Journal,
}

/// Who a call is about, as far as is known when it is first seen or described later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallFacts {
    pub carrier: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_call_id: Option<String>,
    #[serde(default)]
    pub direction: Direction,
    /// Full number, `client:` or `sip:` address as the carrier gave it. Masked before it leaves.
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_id: Option<String>,
    /// The configured agent's id, for instance `support`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent vendor, for instance `elevenlabs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_kind: Option<String>,
    /// Seen first as a media stream, not through a webhook or a dial of ours.
    #[serde(default)]
    pub adopted: bool,
    /// Known only by what the agent vendor tells: its audio does not pass through here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
    /// How much of it its route keeps. Never loosened.
    #[serde(default, skip_serializing_if = "StoreLevel::is_all")]
    pub store: StoreLevel,
}

/// One recording as the board shows it. `url` is always our own `/api/recordings/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub id: String,
    pub state: RecordingState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Recording {
    /// The id `/api/recordings/{id}` serves it under: ours once it is kept here, till then the
    /// carrier's.
    pub fn served_id(&self) -> &str {
        let ours = self.url.as_deref();
        ours.and_then(|url| url.strip_prefix("/api/recordings/"))
            .unwrap_or(&self.id)
    }
}

/// How long one agent turn took and where the time went, all in milliseconds.
/// `docs/metrics` definitions: caller stops → first agent frame sent to the carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnTiming {
    pub turn: u32,
    /// End of caller speech → first frame sent to the carrier.
    pub latency_ms: u32,
    /// End of caller speech → the vendor's transcript of it ("ears").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ears_ms: Option<u32>,
    /// Transcript → first words of the answer, where they come before its audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ms: Option<u32>,
    /// Transcript → first audio byte from the vendor ("think and voice").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think_ms: Option<u32>,
    /// First audio byte received → first frame sent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_ms: Option<u32>,
}

/// One quality judgement; `source` tells the bridge's live figures from the carrier's late ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    pub band: Band,
    /// 1.0 to 4.5, estimated with the E-model from what the bridge can see (ITU-T G.107).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge_score: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_pct: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f32>,
    /// `bridge` or the carrier's name.
    pub source: String,
}

/// The figures of a finished call, one per call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallSummary {
    pub turns: u32,
    pub turn_p50_ms: Option<u32>,
    pub turn_p95_ms: Option<u32>,
    pub interruptions: u32,
    /// 0 to 1 of the time somebody spoke.
    pub agent_talk_share: Option<f32>,
    /// 0 to 1 of the time since the answer.
    pub silence_share: Option<f32>,
    pub jitter_ms: Option<f32>,
    pub gap_pct: Option<f32>,
    pub bridge_score: Option<f32>,
    pub frames_in: u64,
    pub frames_out: u64,
    pub frames_dropped: u64,
    pub decode_errors: u64,
}

/// An alert of one detector on one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The detector's name, for instance `dead_air`.
    pub rule: String,
    pub severity: Severity,
    /// At most four words for the card, for instance `dead air 9 s`.
    pub reason: String,
    pub value: f64,
    pub threshold: f64,
    pub since: DateTime<Utc>,
    /// Turns of the transcript that show it.
    #[serde(default)]
    pub evidence: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<DateTime<Utc>>,
}

/// Something this call's carrier or agent cannot do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Wire name of the action, for instance `record_pause`.
    pub action: String,
    /// Why, in words for the operator.
    pub reason: String,
}

/// One text message of a lead, beside its calls. The words of whoever wrote it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadMessage {
    /// Same for every telling of the same message.
    pub id: String,
    pub lead_id: String,
    /// `user`: the lead wrote it; else `agent`, or the name of an operator.
    pub sent_by: String,
    /// How it travelled: `sms`, `chat` …
    pub channel: String,
    /// The lead's number, where there is one. Masked before it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    pub text: String,
    /// How much of it is kept.
    #[serde(default, skip_serializing_if = "StoreLevel::is_all")]
    pub store: StoreLevel,
}

/// Everything that can have happened. Tag `type`, snake_case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fact {
    CallSeen {
        #[serde(flatten)]
        facts: CallFacts,
        status: CallStatus,
        /// When the call really began, if known to differ from the envelope's `at`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<DateTime<Utc>>,
    },
    /// More is known about the call now; empty fields leave what is there.
    CallDescribed {
        #[serde(flatten)]
        facts: CallFacts,
    },
    StatusChanged {
        status: CallStatus,
        #[serde(default)]
        source: Source,
    },
    /// A status that came too late to count; kept so that the timeline is complete.
    StatusIgnored {
        status: CallStatus,
        #[serde(default)]
        source: Source,
    },
    AnsweredBy {
        verdict: AnsweredBy,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took_ms: Option<u32>,
    },
    StreamStarted {
        stream_id: String,
    },
    StreamStopped {
        stream_id: String,
        reason: String,
    },
    MediaLinkChanged {
        link: MediaLink,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    AgentLinkChanged {
        link: AgentLink,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Which attempt this is, from 1, while connecting or reconnecting.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    ConversationStarted {
        conversation_id: String,
    },
    ConversationEnded {
        conversation_id: String,
        reason: String,
        /// The vendor's own figure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
    },
    /// Which conversation of the agent vendor belongs to this call; it may not have begun.
    ConversationMapped {
        conversation_id: String,
    },
    /// Nobody has spoken for this long.
    SilenceNoted {
        duration_ms: u64,
    },
    /// Text that may still change; the same `turn` and `track` replaces it.
    UtteranceInterim {
        turn: u32,
        track: Track,
        text: String,
    },
    UtteranceFinal {
        turn: u32,
        track: Track,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        latency_ms: Option<u32>,
    },
    /// This utterance was cut off; `heard` is what was really played to the caller.
    UtteranceTruncated {
        turn: u32,
        track: Track,
        heard: String,
        /// Audio of this utterance played before the cut; 0 also where nobody measured it.
        cut_at_ms: u32,
        /// Who cut it, where it was not the caller.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Track>,
    },
    ToolCalled {
        turn: u32,
        tool_call_id: String,
        name: String,
        /// Compact JSON, truncated.
        args: String,
    },
    ToolReturned {
        tool_call_id: String,
        ok: bool,
        result: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took_ms: Option<u32>,
    },
    BargedIn {
        turn: u32,
        /// Vendor's interruption → our clear handed to the carrier's socket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reaction_ms: Option<u32>,
        /// Agent audio thrown away.
        dropped_ms: u32,
        /// The vendor's word for it, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
    },
    TurnTimed {
        #[serde(flatten)]
        timing: TurnTiming,
    },
    QualityChanged {
        #[serde(flatten)]
        quality: Quality,
    },
    RecordingChanged {
        #[serde(flatten)]
        recording: Recording,
    },
    Dtmf {
        digit: String,
    },
    AlertRaised {
        #[serde(flatten)]
        alert: Alert,
    },
    AlertCleared {
        rule: String,
    },
    AlertAcknowledged {
        rule: String,
        by: String,
    },
    AlertSnoozed {
        rule: String,
        by: String,
        until: DateTime<Utc>,
    },
    CommandAccepted {
        command: CommandId,
        verb: String,
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    CommandDone {
        command: CommandId,
        verb: String,
        by: String,
    },
    CommandFailed {
        command: CommandId,
        verb: String,
        by: String,
        code: String,
        message: String,
    },
    /// Accepted by the carrier, but its own word has not come in time.
    CommandUnconfirmed {
        command: CommandId,
        verb: String,
        by: String,
    },
    ListenerJoined {
        listener: String,
        by: String,
    },
    ListenerLeft {
        listener: String,
        by: String,
    },
    Noted {
        by: String,
        text: String,
    },
    Flagged {
        by: String,
        label: String,
    },
    Claimed {
        by: String,
    },
    Released {
        by: String,
    },
    /// A hint for the agent; how it fared is told by the command's own facts.
    Whispered {
        command: CommandId,
        by: String,
        text: String,
    },
    /// From here on an operator speaks to the caller and the agent is silent.
    TakenOver {
        by: String,
    },
    /// The agent has the call again. `by`: who gave it back.
    HandedBack {
        by: String,
        /// What the agent was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// What cannot be done on this call, whoever asks; replaces what was known.
    LimitsKnown {
        limits: Vec<Limit>,
    },
    /// Handing the caller to a number: `requested`, `ringing`, `connected`, `failed`.
    Transferred {
        to: String,
        state: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The vendor's analysis; fields it does not give are null, never made up.
    ConversationAnalysed {
        summary: Option<String>,
        sentiment: Option<String>,
        #[serde(default)]
        topics: Vec<String>,
    },
    Costed {
        usd: f64,
        /// `estimate`, or the vendor that named the figure.
        source: String,
    },
    /// Something went wrong on this call that an operator should be able to read.
    TroubleNoted {
        code: String,
        message: String,
    },
    CallSummarised {
        #[serde(flatten)]
        summary: CallSummary,
    },
    CallEnded {
        status: CallStatus,
        /// Who hung up, in the carrier's words; `None` when it did not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended_by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
        /// The carrier's own figure, seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_s: Option<u32>,
        #[serde(default)]
        source: Source,
    },
    /// About a lead, not a call.
    LeadMessaged {
        #[serde(flatten)]
        message: LeadMessage,
    },
    /// About the backend, not a call: draining, disk full, signatures switched off.
    Notice {
        severity: Severity,
        code: String,
        text: String,
    },
}
