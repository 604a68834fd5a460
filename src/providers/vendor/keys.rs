//! What a configuration key is, and how a vendor reads the values of its own.

use std::fmt::{self, Debug};
use std::time::Duration;

use crate::call::Secret;

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Text,
    /// Never printed; also takes `<key>_file`.
    Secret,
    /// `host:port`.
    Address,
    HttpUrl,
    WsUrl,
    Flag,
    Whole {
        min: i64,
        max: i64,
    },
    Figure {
        min: f64,
        max: f64,
    },
    /// `250ms`, `30s`, `5m`, `2h`, `7d`.
    Span,
    Path,
    /// A TOML array of strings; comma-separated in the environment.
    List,
    Choice(&'static [&'static str]),
    /// E.164.
    Phone,
}

/// A share of a hundred.
pub const PERCENT: Kind = Kind::Figure {
    min: 0.0,
    max: 100.0,
};
/// A price.
pub const USD: Kind = Kind::Figure {
    min: 0.0,
    max: 1000.0,
};
/// Up to ten minutes.
pub const MILLIS: Kind = Kind::Whole {
    min: 0,
    max: 600_000,
};

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As it would stand in TOML without quotes; empty for none.
    pub default: &'static str,
    /// Customary names besides `WALLBOARD_<SECTION>__<KEY>`, strongest first.
    pub env: &'static [&'static str],
    pub doc: &'static str,
}

/// A key without customary names.
pub const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default,
        env: &[],
        doc,
    }
}

impl Key {
    /// With customary names.
    #[must_use]
    pub const fn env(self, env: &'static [&'static str]) -> Self {
        Self { env, ..self }
    }

    /// `WALLBOARD_SERVER__LISTEN` for `server.listen`.
    pub fn env_name(&self) -> String {
        env_name(self.name)
    }

    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// Keys that say where to send credentials or calls: a `.env` in whatever directory one happens
    /// to stand in must not set them.
    pub fn is_destination(&self) -> bool {
        ["_url", "_base", ".url"]
            .iter()
            .any(|end| self.name.ends_with(end))
    }

    pub fn section(&self) -> &'static str {
        self.name
            .rsplit_once('.')
            .map_or("", |(section, _)| section)
    }

    pub fn leaf(&self) -> &'static str {
        self.name
            .rsplit_once('.')
            .map_or(self.name, |(_, leaf)| leaf)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Secret => f.write_str("a secret as text"),
            Self::Address => f.write_str("an address like 127.0.0.1:8787"),
            Self::HttpUrl => f.write_str("a URL that begins with https:// (or http://)"),
            Self::WsUrl => f.write_str("a URL that begins with wss:// (or ws://)"),
            Self::Flag => f.write_str("true or false"),
            Self::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Figure { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Span => {
                f.write_str("a duration like \"250ms\", \"30s\", \"5m\", \"2h\" or \"7d\"")
            }
            Self::Path => f.write_str("a path"),
            Self::List => f.write_str("a list of texts"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Phone => f.write_str("a phone number in E.164, like +15551230000"),
        }
    }
}

/// The environment name of a dotted key.
pub fn env_name(name: &str) -> String {
    format!("WALLBOARD_{}", name.replace('.', "__").to_ascii_uppercase())
}

/// Checked values by key. What is not set and has no default is `None`, and so is an empty text.
pub trait Keys: Debug {
    fn text(&self, name: &str) -> Option<String>;
    fn secret(&self, name: &str) -> Option<Secret>;
    fn flag(&self, name: &str) -> bool;
    fn whole(&self, name: &str) -> Option<i64>;
    fn figure(&self, name: &str) -> Option<f64>;
    fn span(&self, name: &str) -> Option<Duration>;

    /// A figure in milliseconds, or in anything else that is counted from nought.
    fn count(&self, name: &str) -> Option<u32> {
        self.whole(name)
            .and_then(|number| u32::try_from(number).ok())
    }

    /// As [`Keys::text`], for keys that have a default.
    fn text_or_default(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }
}
