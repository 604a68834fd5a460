//! The arguments of the modes: demo, attach, simulate.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand, ValueEnum};

#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Calls at the same time, about.
    #[arg(long, value_name = "N", default_value_t = 12, env = "WALLBOARD_CALLS", value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub calls: u32,
    /// Same seed, same calls.
    #[arg(long, value_name = "S", default_value_t = 1, env = "WALLBOARD_SEED")]
    pub seed: u64,
    /// Scales the gaps between calls, never the sound.
    #[arg(long, value_name = "X", default_value_t = 1.0, env = "WALLBOARD_SPEED", value_parser = speed)]
    pub speed: f64,
    /// No screen; print URL and token as one JSON line.
    #[arg(long, env = "WALLBOARD_HEADLESS", value_parser = FalseyValueParser::new())]
    pub headless: bool,
    /// Play the calls once, then end.
    #[arg(long, env = "WALLBOARD_ONCE", value_parser = FalseyValueParser::new())]
    pub once: bool,
}

impl Default for DemoArgs {
    fn default() -> Self {
        Self {
            calls: 12,
            seed: 1,
            speed: 1.0,
            headless: false,
            once: false,
        }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|speed| (0.01..=1000.0).contains(speed))
        .ok_or_else(|| "give a number from 0.01 to 1000".into())
}

#[derive(Clone, Debug, Default, Args)]
pub struct AttachArgs {
    /// Backend, for instance `https://calls.example.com`.
    #[arg(value_name = "URL", env = "WALLBOARD_URL")]
    pub url: Option<String>,
    /// File that holds the token.
    #[arg(long, value_name = "FILE", env = "WALLBOARD_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// The backend speaks only the older dashboard events.
    #[arg(long, env = "WALLBOARD_COMPAT", value_parser = FalseyValueParser::new())]
    pub compat: bool,
    /// Keep the given token for this URL in the token store.
    #[arg(long, env = "WALLBOARD_SAVE_TOKEN", value_parser = FalseyValueParser::new())]
    pub save_token: bool,
    /// PEM file of a private certificate authority.
    #[arg(long, value_name = "FILE", env = "WALLBOARD_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum SimulateVerb {
    /// Callers that ring a backend as Twilio or Plivo would.
    Carrier(SimulateCarrier),
    /// An agent that answers conversation sockets as ElevenLabs or OpenAI Realtime would.
    Agent(SimulateAgent),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CarrierName {
    Twilio,
    Plivo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AgentName {
    #[value(name = "elevenlabs")]
    ElevenLabs,
    #[value(name = "openai")]
    OpenAi,
    Pipeline,
}

#[derive(Clone, Debug, Args)]
pub struct SimulateCarrier {
    /// Backend to ring; without it, the one running on this machine.
    #[arg(long, value_name = "URL", env = "WALLBOARD_URL")]
    pub url: Option<String>,
    /// Whom to play.
    #[arg(long, value_enum, default_value_t = CarrierName::Twilio, env = "WALLBOARD_VENDOR")]
    pub vendor: CarrierName,
    /// Address of the simulated REST API; set it as twilio.api_base or plivo.api_base.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        env = "WALLBOARD_LISTEN"
    )]
    pub listen: String,
    /// Account the webhooks come from; without it, the configured one.
    #[arg(long, value_name = "SID", env = "WALLBOARD_ACCOUNT_SID")]
    pub account_sid: Option<String>,
    /// File with the auth token that signs the webhooks.
    #[arg(long, value_name = "FILE", env = "WALLBOARD_AUTH_TOKEN_FILE")]
    pub auth_token_file: Option<PathBuf>,
    /// Calls at the same time.
    #[arg(long, value_name = "N", default_value_t = 10, env = "WALLBOARD_CALLS")]
    pub calls: u32,
    /// All calls are up after this time, for instance 10s.
    #[arg(
        long,
        value_name = "SPAN",
        default_value = "5s",
        env = "WALLBOARD_RAMP"
    )]
    pub ramp: String,
    /// How long each call lasts.
    #[arg(
        long,
        value_name = "SPAN",
        default_value = "30s",
        env = "WALLBOARD_HOLD"
    )]
    pub hold: String,
    /// Calls that end are replaced until this time has passed; without it each line calls once.
    #[arg(long, value_name = "SPAN", env = "WALLBOARD_RUN_FOR")]
    pub run_for: Option<String>,
    /// Same seed, same calls.
    #[arg(long, value_name = "S", default_value_t = 1, env = "WALLBOARD_SEED")]
    pub seed: u64,
    /// Faults as NAME=VALUE (percent unless named otherwise): duplicate, late, late-ms, jitter-ms,
    /// gap, cut, cut-after-s, cut-how, rest-ms, rest-5xx.
    #[arg(
        long,
        value_name = "FAULT",
        value_delimiter = ',',
        env = "WALLBOARD_FAULTS"
    )]
    pub fault: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub struct SimulateAgent {
    /// Whom to play; pipeline is the three OpenAI-compatible servers of a pipeline agent.
    #[arg(long, visible_alias = "kind", value_enum, default_value_t = AgentName::ElevenLabs, env = "WALLBOARD_VENDOR")]
    pub vendor: AgentName,
    /// Address to listen on; set it as elevenlabs.api_base and ws_base, in openai.realtime_url, or as
    /// chat.asr.url, chat.llm.url and chat.tts.url.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        env = "WALLBOARD_LISTEN"
    )]
    pub listen: String,
    /// Same seed, same answers.
    #[arg(long, value_name = "S", default_value_t = 1, env = "WALLBOARD_SEED")]
    pub seed: u64,
    /// Answer with stamped frames in real time instead of acting a script, to measure with.
    #[arg(long, env = "WALLBOARD_LOAD", value_parser = FalseyValueParser::new())]
    pub load: bool,
    /// With --load: how long the agent speaks until the caller breaks in; 0s: never.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5s",
        env = "WALLBOARD_BARGE_IN"
    )]
    pub barge_in: String,
    /// Sound of the agent both ways, for instance ulaw_8000 or pcm_16000.
    #[arg(long, value_name = "NAME", env = "WALLBOARD_AGENT_FORMAT")]
    pub format: Option<String>,
    /// Faults as NAME=VALUE (percent unless named otherwise): refuse (HTTP status), rate-limit,
    /// close (code), die, die-ms, die-how, silent, garbage, think-ms.
    #[arg(
        long,
        value_name = "FAULT",
        value_delimiter = ',',
        env = "WALLBOARD_FAULTS"
    )]
    pub fault: Vec<String>,
}
