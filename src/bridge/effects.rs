//! What goes into a [`super::Session`] and what comes out: plain data, no behaviour.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::call::{CallId, Fact, Gauge, Track};
use crate::media::{MediaFormat, StereoFrame, Thresholds};

use super::{AgentBrief, AgentIn, AgentOut, CarrierIn, CarrierOut};

/// Everything a session needs to know before its first step.
#[derive(Clone, Debug)]
pub struct SessionPlan {
    pub call: CallId,
    pub stream_id: String,
    /// Format of the carrier's stream, both ways.
    pub carrier_format: MediaFormat,
    pub brief: AgentBrief,
    /// After this long the conversation is ended; `None`: never.
    pub talk_max: Option<Duration>,
    /// Turns the call already has from an earlier stream; ours are numbered on from there.
    pub turns_before: u32,
    /// The newest lines of those turns, oldest first: told to the agent instead of greeting again.
    pub lines_before: Vec<(Track, String)>,
    /// Randomness for the reconnect jitter.
    pub seed: u64,
    /// Where figures turn from good to fair to bad.
    pub quality: Thresholds,
    /// Who speaks when the stream begins: an operator keeps the floor over a lost stream.
    pub floor: Floor,
    /// Tools the agent may use; others are answered as unknown.
    pub tools: BTreeSet<String>,
    pub cost_max: Option<CostMax>,
    /// What conversations on earlier streams of this call have used, US dollars.
    pub spent_usd: f64,
    /// What the agent is told when the conversation opens, beyond what was said before.
    pub note: Option<String>,
}

/// Who speaks to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Floor {
    #[default]
    Agent,
    /// Nobody; the agent hears silence.
    Paused,
    /// An operator; the agent goes on listening, so that the caller's words are written down.
    Operator,
}

/// What a conversation may cost, US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostMax {
    pub usd: f64,
    /// What a minute costs, of vendors that bill time; 0 for those that name what they use.
    pub usd_minute: f64,
}

/// Why an agent could not be reached, as far as the session acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentFailure {
    /// Wrong key, unknown agent: trying again cannot help.
    Refused,
    /// The vendor asks to slow down.
    Busy,
    Unreachable,
    TimedOut,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time passes. Due every 20 ms while agent audio waits, at least every 100 ms otherwise;
    /// late and missing ticks are made up for.
    Tick,
    Carrier(CarrierIn),
    /// A carrier message nobody could read.
    CarrierGarbage,
    /// The carrier's socket is gone. `code`: its close frame, if it sent one.
    CarrierClosed {
        code: Option<u16>,
        reason: String,
    },
    /// The agent's socket is open; the conversation is not yet.
    AgentConnected {
        /// The agent can be made to speak a given text.
        can_say: bool,
    },
    Agent(AgentIn),
    AgentGarbage,
    AgentFailed {
        failure: AgentFailure,
        reason: String,
    },
    /// The agent's socket is gone. `on_purpose`: the vendor's reason when it ended the
    /// conversation deliberately.
    AgentClosed {
        reason: String,
        on_purpose: Option<String>,
    },
    /// A tool of ours came to an end.
    ToolDone {
        tool_call_id: String,
        name: String,
        ok: bool,
        result: String,
    },
    /// The carrier would not end the call.
    EndCallFailed {
        reason: String,
    },
    /// Caller audio thrown away because the agent's socket did not take it, in chunks.
    ToAgentDropped(u64),
    /// Agent audio thrown away because the carrier's socket did not take it, in frames.
    ToCarrierDropped(u64),
}

/// What an operator or the backend tells a running bridge.
#[derive(Clone, Debug, PartialEq)]
pub enum BridgeOrder {
    /// Hint to the agent.
    Whisper {
        text: String,
    },
    /// The agent speaks this text.
    Say {
        text: String,
    },
    /// Plays speech made elsewhere; the agent is told that it was said.
    Play {
        text: String,
        /// µ-law, 8 kHz.
        audio: Bytes,
    },
    PauseAgent,
    ResumeAgent,
    /// An operator speaks from here on.
    TakeOver,
    /// The agent goes on, knowing this.
    HandBack {
        note: String,
    },
    /// The carrier has taken a transfer: the agent leaves and the stream ends. `closes`: the carrier
    /// waits for us to close it.
    Transferred {
        closes: bool,
    },
    /// A new carrier stream took over, or the call is over: end without falling back.
    Stop {
        reason: String,
    },
    /// The backend goes down: close so that the carrier goes on with the fallback.
    HandOver {
        reason: String,
    },
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    ToCarrier(CarrierOut),
    ToAgent(AgentOut),
    Fact(Fact),
    Gauge(Gauge),
    /// Dial the agent after this long; an attempt still under way is dropped first.
    ConnectAgent {
        after: Duration,
    },
    /// Say goodbye to the agent, or stop dialling it.
    CloseAgent,
    /// The agent is 30 s ahead: do not read its socket until told.
    PauseAgentRead,
    ResumeAgentRead,
    /// Run a tool and answer with [`Input::ToolDone`].
    RunTool {
        tool_call_id: String,
        name: String,
        args: String,
    },
    /// Ask the carrier to end the call. The fact comes from the carrier, not from us.
    EndCall {
        reason: String,
    },
    /// Close the stream: the carrier goes on with the document that started it.
    CloseCarrier {
        reason: String,
    },
}

/// Effects of one step, in the order they must be carried out. Reused from step to step.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    pub list: Vec<Effect>,
    /// Stereo frames for listeners; filled only while somebody listens.
    pub taps: Vec<StereoFrame>,
}

impl Effects {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn clear(&mut self) {
        self.list.clear();
        self.taps.clear();
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        self.list.push(Effect::Fact(fact));
    }

    pub(super) fn tell_agent(&mut self, out: AgentOut) {
        self.list.push(Effect::ToAgent(out));
    }

    pub(super) fn tell_carrier(&mut self, out: CarrierOut) {
        self.list.push(Effect::ToCarrier(out));
    }
}
