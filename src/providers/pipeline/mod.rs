//! The pipeline agent: speech to text, a language model and speech synthesis, each any server of the
//! OpenAI-compatible kind. Pure but for `shell`, which calls the three servers.
//!
//! Towards the bridge it is an agent vendor like the others. Its "socket" is in this process:
//! `codec` writes the bridge's words down, `talk` decides, the shell performs. Spec: OpenAI API
//! reference, "Create transcription", "Create chat completion", "Create speech" (2026-11).

mod breaker;
mod chat;
mod codec;
mod ear;
mod memory;
mod sentences;
pub mod shell;
mod speech;
mod sse;
mod talk;
mod transcribe;
pub mod vendor;

use std::time::Duration;

use crate::call::Secret;
use crate::providers::tools::Tool;

pub use codec::PipelineCodec;

/// The vendor's name everywhere.
pub const VENDOR: &str = "pipeline";

/// What the agent is told when nobody configured anything.
pub const INSTRUCTIONS: &str = "You are a friendly voice assistant. Everything you write is spoken \
    aloud: use short plain sentences, one or two at a time, without lists, markup or emoji, and ask \
    one question at a time. Answer in the language you are spoken to. Never invent facts: if you do \
    not know something, say so.";

/// Said when a part is down.
pub const FALLBACK_LINE: &str =
    "I am sorry, I have a technical problem just now. Please say that again in a moment.";

/// One of the three servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Speech to text.
    Asr,
    /// The language model.
    Llm,
    /// Text to speech.
    Tts,
}

impl Part {
    /// As in the configuration: `chat.asr.url`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Asr => "asr",
            Self::Llm => "llm",
            Self::Tts => "tts",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Asr => "speech recognition",
            Self::Llm => "the language model",
            Self::Tts => "speech synthesis",
        }
    }
}

/// Where one part is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartSettings {
    /// Base that ends in `/v1`; plain http only on loopback.
    pub url: String,
    /// Some local servers have but one and want no name.
    pub model: Option<String>,
    pub api_key: Option<Secret>,
}

/// What the parts charge, US dollars. Prices change and are never built in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PipelinePrices {
    /// A minute of transcribed speech.
    pub asr_minute: Option<f64>,
    /// A million tokens the model reads.
    pub llm_million_in: Option<f64>,
    /// A million tokens the model writes.
    pub llm_million_out: Option<f64>,
    /// A million characters spoken.
    pub tts_million: Option<f64>,
}

/// Everything configured about one agent.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineSettings {
    pub asr: PartSettings,
    pub llm: PartSettings,
    pub tts: PartSettings,
    /// `None`: [`INSTRUCTIONS`]. `{{name}}` stands for a variable of the call.
    pub instructions: Option<String>,
    /// `None`: the server's own.
    pub voice: Option<String>,
    pub language: Option<String>,
    /// Silence that ends the caller's turn.
    pub silence: Duration,
    pub fallback_line: String,
    pub tools: Vec<Tool>,
    pub prices: PipelinePrices,
    /// The conversation is ended once it has cost this much.
    pub usd_max: Option<f64>,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            asr: PartSettings::default(),
            llm: PartSettings::default(),
            tts: PartSettings::default(),
            instructions: None,
            voice: None,
            language: None,
            silence: Duration::from_millis(800),
            fallback_line: FALLBACK_LINE.to_owned(),
            tools: Vec::new(),
            prices: PipelinePrices::default(),
            usd_max: None,
        }
    }
}

/// Why a part gave nothing. The words are for an operator; the server's own go no further than a
/// shortened first line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartFailure {
    #[error("cannot be reached")]
    Unreachable,
    #[error("did not answer in time")]
    Timeout,
    #[error("refused with HTTP {status}: {reason}")]
    Refused { status: u16, reason: String },
    #[error("asks to slow down")]
    Busy,
    #[error("answered something unreadable: {0}")]
    Unreadable(String),
    #[error("failed too often and is left alone for a while")]
    Resting,
}
