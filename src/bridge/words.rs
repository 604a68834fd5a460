//! The vendor-free words a bridge is made of: what carriers and agents say and are told.
//! Codecs in `providers/` translate; nothing here knows a vendor.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::media::MediaFormat;

/// A WebSocket message, without the socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Wire {
    Text(String),
    Binary(Bytes),
}

/// A message that could not be read. It is counted and dropped; the call goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreadable {vendor} message: {reason}")]
pub struct DecodeError {
    pub vendor: &'static str,
    pub reason: String,
}

/// First words of a carrier's stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamStart {
    pub stream_id: String,
    pub carrier_call_id: String,
    pub account_id: Option<String>,
    pub format: MediaFormat,
    /// Parameters the stream was opened with (`<Parameter>`, extra headers).
    pub custom: BTreeMap<String, String>,
}

/// One chunk of caller audio, in the stream's format.
#[derive(Clone, Debug, PartialEq)]
pub struct CarrierAudio {
    pub payload: Bytes,
    /// Counter of the track's chunks, from 1, where the carrier has one.
    pub chunk: Option<u64>,
    /// Media time since the stream's start, milliseconds.
    pub timestamp_ms: Option<u64>,
}

/// What a carrier's stream says.
#[derive(Clone, Debug, PartialEq)]
pub enum CarrierIn {
    /// Greeting before `Start`; carries nothing.
    Connected,
    Start(StreamStart),
    Audio(CarrierAudio),
    /// What the caller hears: only one-way streams of both tracks carry it.
    Echo(CarrierAudio),
    Dtmf {
        digit: String,
    },
    /// The caller wrote instead of speaking.
    Typed {
        text: String,
    },
    /// The caller wants the agent to stop talking.
    Hush,
    /// Everything sent before the mark of this name has been played (or flushed by a clear).
    MarkReached {
        name: String,
    },
    /// The carrier confirms that its buffer was emptied.
    Cleared,
    Trouble {
        code: String,
        message: String,
    },
    Stop,
    Unknown {
        event: String,
    },
}

/// What a carrier's stream is told.
#[derive(Clone, Debug, PartialEq)]
pub enum CarrierOut {
    /// Audio in the stream's format, to be played after what is queued.
    Audio(Bytes),
    Mark {
        name: String,
    },
    /// Throw away what is queued and not yet played.
    Clear,
}

/// Translates one carrier stream. One value per socket.
pub trait CarrierCodec: Send + Debug {
    /// For instance `twilio`.
    fn vendor(&self) -> &'static str;

    /// # Errors
    /// The message is not of this carrier; count it and carry on.
    fn decode(&mut self, wire: &Wire) -> Result<CarrierIn, DecodeError>;

    /// `None` when this carrier has no such message.
    fn encode(&mut self, out: &CarrierOut) -> Option<Wire>;
}

/// What the agent is told when a conversation begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentBrief {
    pub prompt: Option<String>,
    pub first_message: Option<String>,
    pub language: Option<String>,
    pub voice: Option<String>,
    /// Strings only; names beginning `system__` are the vendor's.
    pub variables: BTreeMap<String, String>,
    /// The caller has been talking already: greet nobody, whatever the first message is.
    pub takes_over: bool,
    /// Who takes over has nothing to say before the caller does: the last words were the agent's.
    pub caller_is_next: bool,
}

/// What a stretch of a conversation used, as the vendor counts it. Cached tokens are not counted
/// among the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub text_in: u64,
    pub audio_in: u64,
    pub cached_text_in: u64,
    pub cached_audio_in: u64,
    pub text_out: u64,
    pub audio_out: u64,
    /// Tokens of the caller's transcription, which is billed apart.
    pub transcribed_in: u64,
    pub transcribed_out: u64,
    /// The same where the vendor bills it by time, seconds.
    pub transcribed_s: f64,
}

/// What an agent vendor's socket says.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentIn {
    /// The conversation is open; audio may flow. Formats are the agent's own configuration.
    Ready {
        conversation_id: String,
        takes: MediaFormat,
        gives: MediaFormat,
    },
    /// Agent audio. `utterance` is the vendor's id of what is being said, rising.
    Audio {
        utterance: u64,
        payload: Bytes,
    },
    CallerText {
        utterance: u64,
        text: String,
        interim: bool,
    },
    /// Text of what the agent says; `interim` while it is being written.
    AgentText {
        utterance: u64,
        text: String,
        interim: bool,
    },
    /// The vendor's account of what an interrupted utterance really said.
    AgentCorrection {
        utterance: u64,
        original: String,
        corrected: String,
    },
    /// What comes under this utterance are words the agent was given ([`AgentOut::UserText`]).
    Given {
        utterance: u64,
    },
    /// The caller broke in; audio of utterances up to this one is void.
    Interruption {
        utterance: u64,
    },
    /// The vendor detected caller speech (vendors that report it). While the agent is being heard
    /// that is a barge-in.
    CallerSpeechStarted,
    CallerSpeechStopped,
    Ping {
        id: u64,
        rtt_ms: Option<f32>,
    },
    /// The agent asks for a tool and waits for the answer.
    ToolCall {
        tool_call_id: String,
        name: String,
        args: String,
    },
    /// A tool the vendor runs itself began (`result: None`) or finished.
    ToolNews {
        tool_call_id: String,
        name: String,
        ok: Option<bool>,
        result: Option<String>,
    },
    /// The agent decided to end the call.
    HangUp {
        reason: String,
    },
    /// What was used since the last of these, and what it cost where the price is known.
    Usage {
        usage: Usage,
        usd: Option<f64>,
    },
    /// The vendor ends this conversation so long from now, whatever is being said.
    Lasts {
        max: Duration,
    },
    /// The vendor will not hold this conversation; asking again cannot help.
    Refused {
        reason: String,
    },
    /// The codec has messages of its own for the vendor and asks to be let: answer with
    /// [`AgentOut::Owed`].
    Owing,
    Trouble {
        code: String,
        message: String,
    },
    Unknown {
        kind: String,
    },
}

/// What an agent vendor's socket is told.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentOut {
    /// Must be the first message.
    Begin(AgentBrief),
    /// Caller audio in the format the agent takes.
    Audio(Bytes),
    Pong {
        id: u64,
    },
    ToolResult {
        tool_call_id: String,
        ok: bool,
        result: String,
    },
    /// A hint; does not interrupt.
    Context {
        text: String,
    },
    /// Words to be spoken by an agent that [`AgentCodec::can_say`]; others take them as the caller's.
    UserText {
        text: String,
    },
    /// What the caller typed instead of saying it: their turn.
    Typed {
        text: String,
    },
    /// Stop generating (vendors that do not stop by themselves).
    Cancel,
    /// Go on listening and writing down, but say nothing except what you are given.
    Hush,
    /// Speak again. `answer`: the caller waits for one.
    Unhush {
        answer: bool,
    },
    /// What of an utterance was really heard (vendors that keep the transcript in step with it).
    Truncate {
        utterance: u64,
        heard_ms: u32,
    },
    /// The answer to [`AgentIn::Owing`].
    Owed,
}

/// Translates one agent socket. One value per socket.
pub trait AgentCodec: Send + Debug {
    /// For instance `elevenlabs`.
    fn vendor(&self) -> &'static str;

    /// One message may say several things.
    ///
    /// # Errors
    /// The message is not of this vendor; count it and carry on.
    fn decode(&mut self, wire: &Wire) -> Result<Vec<AgentIn>, DecodeError>;

    /// Empty when this vendor has no such message.
    fn encode(&mut self, out: &AgentOut) -> Vec<Wire>;

    /// Reads a close frame: `Some(reason)` when the vendor or agent ended on purpose.
    fn ended_on_purpose(&self, code: Option<u16>, reason: &str) -> Option<String>;

    /// Whether [`AgentOut::UserText`] makes this agent speak the text it is given.
    fn can_say(&self) -> bool {
        false
    }
}
