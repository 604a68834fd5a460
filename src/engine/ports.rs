//! Ports: what the core needs from the outside, as traits the outer rooms implement.

mod carrier;
mod store;

use std::fmt::Debug;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};

use crate::bridge::{AgentCodec, Wire};
use crate::call::CallId;

pub use carrier::*;
pub use store::*;

/// Why a socket is no longer there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the socket closed ({code:?}): {reason}")]
pub struct WireClosed {
    /// The close frame's code (RFC 6455 §7.4); `None` when the peer vanished without one.
    pub code: Option<u16>,
    pub reason: String,
}

/// A WebSocket of either side, without its transport: text and binary messages only. Pings are
/// answered below. The stream ends with `Err(WireClosed)` once; `close` says goodbye with 1000.
pub trait WireSocket:
    Stream<Item = Result<Wire, WireClosed>> + Sink<Wire, Error = WireClosed> + Send + Unpin
{
}

impl<T> WireSocket for T where
    T: Stream<Item = Result<Wire, WireClosed>> + Sink<Wire, Error = WireClosed> + Send + Unpin
{
}

/// A socket whoever made it.
pub type BoxSocket = Box<dyn WireSocket>;

/// Why an agent could not be reached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AgentError {
    /// Wrong key: trying again cannot help.
    #[error("the agent vendor did not accept our key")]
    Unauthorized,
    #[error("the agent vendor asks to slow down")]
    RateLimited,
    #[error("the agent vendor refused: {0}")]
    Refused(String),
    #[error("the agent vendor could not be reached: {0}")]
    Unreachable(String),
    #[error("the agent vendor did not answer in time")]
    Timeout,
}

impl AgentError {
    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Unreachable(_) | Self::Timeout
        )
    }
}

/// An open agent socket and the codec that goes with it.
pub type AgentConnection = (BoxSocket, Box<dyn AgentCodec>);

/// Opens conversations with one configured agent of one vendor.
pub trait AgentDialer: Send + Sync + Debug {
    /// For instance `elevenlabs`.
    fn vendor(&self) -> &'static str;

    /// Connects within 10 s. The caller sends `Begin` first.
    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>>;

    /// Whether the agent can be told to make no answers (see `AgentOut::Hush`). One that cannot goes
    /// on for itself while an operator speaks; nobody hears it.
    fn can_hush(&self) -> bool {
        true
    }

    /// Whether the agent speaks a given text in its conversation (see `AgentCodec::can_say`).
    fn can_say(&self) -> bool {
        false
    }
}

/// Listens in on the text of conversations an agent vendor runs by itself.
pub trait ConversationMonitor: Send + Sync + Debug {
    /// For instance `elevenlabs`.
    fn vendor(&self) -> &'static str;

    /// Connects within 10 s to a conversation that runs. Its messages are what the vendor's webhooks
    /// tell; nothing is said on it.
    fn watch(&self, conversation_id: String) -> BoxFuture<'static, Result<BoxSocket, AgentError>>;
}

/// Makes speech of text.
pub trait Speaker: Send + Sync + Debug {
    /// µ-law, 8 kHz, the whole of it.
    ///
    /// # Errors
    /// Why not, in words for the operator.
    fn speak(&self, text: String) -> BoxFuture<'static, Result<Bytes, String>>;
}

/// What a tool is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolAsk {
    pub call: CallId,
    pub tool_call_id: String,
    pub lead_id: Option<String>,
    /// A JSON object.
    pub args: serde_json::Value,
}

/// A tool that runs elsewhere.
pub trait AgentTool: Send + Sync + Debug {
    /// What the agent is told. The tool keeps its own time limit.
    ///
    /// # Errors
    /// What went wrong, in words for agent and operator alike.
    fn run(&self, ask: ToolAsk) -> BoxFuture<'static, Result<String, String>>;
}
