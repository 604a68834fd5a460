//! The configuration as typed sections: what the wiring reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::providers::vendor::{AgentConfig, Setup};

use super::{Secret, Settings};

/// Everything configured, kinds checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Every value by key: what vendors read theirs from.
    pub settings: Settings,
    pub server: ServerConfig,
    pub data_dir: PathBuf,
    pub bridge: BridgeConfig,
    pub auth: AuthConfig,
    pub ui: UiConfig,
    pub alerts: AlertsConfig,
    pub quality: QualityConfig,
    pub recording: RecordingConfig,
    pub retention: RetentionConfig,
    pub log: LogConfig,
    pub routes: Vec<RouteConfig>,
    pub agents: Vec<AgentConfig>,
    pub tools: Vec<ToolConfig>,
    pub transfers: Vec<TransferConfig>,
    /// `[keys]`: action → keys.
    pub keymap: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// As vendors see it.
    pub fn setup(&self) -> Setup<'_> {
        Setup {
            keys: &self.settings,
            public_url: self.server.public_url.as_deref(),
            agents: &self.agents,
        }
    }
}

#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub name: Option<String>,
    pub listen: String,
    pub public_url: Option<String>,
    pub allowed_origins: Vec<String>,
    pub allowed_hosts: Vec<String>,
    pub trusted_proxies: Vec<String>,
    pub drain: Duration,
    pub linger: Duration,
    pub default_agent: Option<String>,
    pub default_carrier: Option<String>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct BridgeConfig {
    pub transfer_number: Option<String>,
    pub fallback_message: Option<String>,
}

#[derive(Clone, Debug)]
pub struct AuthConfig {
    pub admin_token: Option<Secret>,
    pub public_namespace: bool,
    pub chat_public: bool,
}

#[derive(Clone, Debug)]
pub struct UiConfig {
    pub theme: String,
    pub color: String,
    pub ascii: bool,
    pub mouse: bool,
    pub read_only: bool,
    pub audio_device: Option<String>,
    /// Percent.
    pub volume: u8,
    pub notify: String,
    pub paint_background: bool,
    pub restore: bool,
    pub low_bandwidth: bool,
}

/// Overrides of the detectors' preset; `None` keeps the preset's figure.
#[derive(Clone, Debug)]
pub struct AlertsConfig {
    pub preset: String,
    pub off: Vec<String>,
    pub watch_words: Vec<String>,
    pub help_phrases: Vec<String>,
    pub dead_air: (Option<Duration>, Option<Duration>),
    pub no_first_audio: (Option<Duration>, Option<Duration>),
    pub slow_turn: (Option<Duration>, Option<Duration>),
    pub runaway: (Option<Duration>, Option<Duration>),
    pub agent_loop: (Option<i64>, Option<i64>),
    /// Percent.
    pub talk_over: (Option<f64>, Option<f64>),
    /// US dollars.
    pub runaway_usd: (Option<f64>, Option<f64>),
    pub tool_loop: Option<i64>,
    pub phantom_speaking: Option<Duration>,
    pub no_first_audio_end: Option<Duration>,
    pub deaf_agent: Option<Duration>,
    pub barge_in_ignored: Option<Duration>,
    pub transfer_stuck: Option<Duration>,
    pub ghost_call: Option<Duration>,
}

/// Bands: (warn, bad). Turn figures fall back on the preset.
#[derive(Clone, Debug)]
pub struct QualityConfig {
    pub preset: String,
    pub turn_p50_ms: (u32, u32),
    pub turn_p95_ms: (u32, u32),
    pub jitter_ms: (u32, u32),
    pub loss_pct: (f64, f64),
}

#[derive(Clone, Debug)]
pub struct RecordingConfig {
    pub default: bool,
    pub fetch: bool,
}

/// Zero keeps for ever.
#[derive(Clone, Debug)]
pub struct RetentionConfig {
    pub calls: Duration,
    pub transcripts: Duration,
    pub recordings: Duration,
    pub events: Duration,
    pub audit: Duration,
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    pub level: String,
    pub format: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    #[serde(default, rename = "match")]
    pub matching: RouteMatch,
    #[serde(default)]
    pub agent: Option<String>,
    #[serde(default)]
    pub record: Option<bool>,
    #[serde(default)]
    pub amd: Option<String>,
    #[serde(default)]
    pub on_machine: Option<String>,
    #[serde(default)]
    pub fallback: Option<FallbackConfig>,
    #[serde(default)]
    pub store: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteMatch {
    #[serde(default)]
    pub carrier: Option<String>,
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub to: Option<String>,
    #[serde(default)]
    pub direction: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FallbackConfig {
    Say(String),
    Transfer(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolConfig {
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    pub url: String,
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    #[serde(default)]
    pub timeout_ms: Option<u32>,
    #[serde(default)]
    pub parameters: serde_json::Value,
    /// For development: plain http to this machine.
    #[serde(default)]
    pub allow_loopback: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferConfig {
    pub name: String,
    pub to: String,
}
