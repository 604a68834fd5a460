//! Configuration: flags over environment over `.env` over `config.toml` over defaults.
//!
//! Owns names, precedence, kinds and messages. Does not decide what the values are for; `wiring`
//! hands them to the rooms.

mod build;
mod check;
mod default;
pub mod keys;
mod load;
mod model;
mod nearest;
mod sources;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

pub use crate::call::Secret;
pub use crate::providers::vendor::{AgentConfig, AgentLimits};
pub use default::default_file;
pub use load::{Inputs, Loaded, Settings, load, user_config_path};
pub use model::{
    AlertsConfig, AuthConfig, BridgeConfig, Config, FallbackConfig, LogConfig, QualityConfig,
    RecordingConfig, RetentionConfig, RouteConfig, ServerConfig, ToolConfig, TransferConfig,
    UiConfig,
};
pub use nearest::nearest;
pub use sources::Origin;
pub use value::{Value, is_phone, span, span_text};

/// One thing wrong with the configuration: where, what, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: String,
    pub message: String,
    pub fix: String,
    /// A warning stops nothing.
    pub is_warning: bool,
}

impl Problem {
    pub fn new(
        place: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
            fix: fix.into(),
            is_warning: false,
        }
    }

    pub fn warning(self) -> Self {
        Self {
            is_warning: true,
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
