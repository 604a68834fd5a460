//! OpenAI Realtime: the conversation socket, in the present dialect and the one before it.
//! Pure but for `shell`, which opens conversations.

mod codec;
mod items;
mod pricing;
mod queue;
mod setup;
pub mod shell;
pub mod vendor;

use std::time::Duration;

use crate::call::Secret;

pub use super::tools::{END_CALL, Tool};

pub use codec::OpenAiCodec;
pub use pricing::{Prices, TranscriptionPrice, cost_usd};

/// The vendor's name everywhere.
pub const VENDOR: &str = "openai";

/// The vendor's limit of one conversation. OpenAI docs, "Realtime conversations" (2026-11).
pub const SESSION_MAX: Duration = Duration::from_secs(60 * 60);

/// What the agent is told when nobody configured anything.
pub const INSTRUCTIONS: &str = "You are a friendly voice assistant on a phone call. Speak naturally \
    and briefly, one or two sentences at a time, and ask one question at a time. Speak the caller's \
    language. If you did not understand, say so and ask again. Never invent facts: if you do not \
    know something, say so.";

/// Which words the server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The vendor's present one.
    #[default]
    Ga,
    /// The one before; the vendor has switched it off, compatible servers still speak it.
    Beta,
}

impl Dialect {
    /// Reads `ga` or `beta`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "ga" => Some(Self::Ga),
            "beta" => Some(Self::Beta),
            _ => None,
        }
    }
}

/// How the vendor decides that the caller has finished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TurnDetection {
    /// By loudness and silence.
    Server {
        /// 0 to 1: how loud speech must be.
        threshold: f32,
        /// Silence that ends a turn.
        silence_ms: u32,
        /// Audio kept from before the speech.
        prefix_ms: u32,
    },
    /// By what is said.
    Semantic { eagerness: Eagerness },
}

impl TurnDetection {
    /// Audio kept from before the speech, unless somebody says otherwise.
    pub const PREFIX_MS: u32 = 300;
}

impl Default for TurnDetection {
    fn default() -> Self {
        Self::Server {
            threshold: 0.7,
            silence_ms: 800,
            prefix_ms: Self::PREFIX_MS,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eagerness {
    Low,
    Medium,
    High,
    #[default]
    Auto,
}

impl Eagerness {
    /// Reads `low`, `medium`, `high` or `auto`.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Low, Self::Medium, Self::High, Self::Auto];
        all.into_iter().find(|eagerness| eagerness.as_str() == word)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Auto => "auto",
        }
    }
}

/// How the key is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer …`
    #[default]
    Bearer,
    /// `api-key: …`, as some hosts of the same API want it.
    ApiKey,
}

/// Everything configured about OpenAI, or about one agent of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiSettings {
    /// Local servers may need none.
    pub api_key: Option<Secret>,
    pub key_header: KeyHeader,
    pub organization: Option<String>,
    pub project: Option<String>,
    pub model: String,
    /// The conversation socket; plain ws only on loopback.
    pub realtime_url: String,
    pub dialect: Dialect,
    pub voice: String,
    /// `None`: [`INSTRUCTIONS`]. `{{name}}` stands for a variable of the call.
    pub instructions: Option<String>,
    pub turns: TurnDetection,
    /// The vendor stops its answer by itself when the caller speaks.
    pub interrupts: bool,
    /// Filters the caller's background noise.
    pub reduce_noise: bool,
    /// Writes down what the caller says; `None`: the caller's words are not shown.
    pub transcription_model: Option<String>,
    /// 0.25 to 1.5; 1 is the voice's own pace.
    pub speed: Option<f32>,
    /// Longest answer, in tokens.
    pub answer_tokens_max: Option<u32>,
    pub tools: Vec<Tool>,
    /// How long a conversation lasts at most; the vendor may say less.
    pub lasts: Option<Duration>,
    /// What the model costs; without it calls have no estimate.
    pub prices: Option<Prices>,
}

impl Default for OpenAiSettings {
    fn default() -> Self {
        Self {
            api_key: None,
            key_header: KeyHeader::Bearer,
            organization: None,
            project: None,
            model: "gpt-realtime-2.1".to_owned(),
            realtime_url: "wss://api.openai.com/v1/realtime".to_owned(),
            dialect: Dialect::Ga,
            voice: "shimmer".to_owned(),
            instructions: None,
            turns: TurnDetection::default(),
            interrupts: true,
            reduce_noise: true,
            transcription_model: Some("gpt-realtime-whisper".to_owned()),
            speed: None,
            answer_tokens_max: None,
            tools: Vec::new(),
            lasts: Some(SESSION_MAX),
            prices: None,
        }
    }
}
