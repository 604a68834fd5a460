//! A decoded webhook form: typed access, nothing else.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::call::Direction;
use crate::call::text::clean_label;

/// A webhook that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook has no usable {field}")]
pub struct FormError {
    pub field: &'static str,
}

/// A decoded form. The first value of a key counts; an empty value is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut fields = BTreeMap::new();
        for (key, value) in pairs {
            if !value.is_empty() {
                fields.entry(key).or_insert(value);
            }
        }
        Self(fields)
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn label(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| clean_label(value).into_owned())
    }

    /// A vendor id: letters, digits, `_` and `-` only, so that it may stand in paths and logs.
    pub(super) fn id(&self, key: &'static str) -> Result<String, FormError> {
        self.get(key)
            .filter(|id| is_id(id))
            .map(str::to_owned)
            .ok_or(FormError { field: key })
    }

    pub(super) fn number(&self, key: &str) -> Option<u32> {
        self.get(key)?.trim().parse().ok()
    }

    pub(super) fn time(&self, key: &str) -> Option<DateTime<Utc>> {
        let text = self.get(key)?;
        DateTime::parse_from_rfc2822(text)
            .or_else(|_| DateTime::parse_from_rfc3339(text))
            .ok()
            .map(|at| at.with_timezone(&Utc))
    }
}

/// Whether a text may be one of Twilio's ids; anything else never reaches a path.
pub fn is_id(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Twilio's word for the direction of a call. Everything we or a `<Dial>` placed is outbound.
pub fn direction(word: &str) -> Direction {
    if word.starts_with("outbound") || word == "trunking-originating" {
        Direction::Outbound
    } else {
        Direction::Inbound
    }
}
