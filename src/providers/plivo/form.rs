//! A decoded webhook form: typed access, nothing else.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};

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

    /// A phone number or endpoint, as [`e164`].
    pub(super) fn party(&self, key: &str) -> Option<String> {
        self.label(key).map(|text| e164(&text))
    }

    /// A whole number; the decimals some figures come with are cut off.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        let text = self.get(key)?.trim();
        let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
        whole.parse().ok()
    }

    /// A finite amount that is not negative.
    pub(super) fn amount(&self, key: &str) -> Option<f64> {
        let amount: f64 = self.get(key)?.trim().parse().ok()?;
        (amount.is_finite() && amount >= 0.0).then_some(amount)
    }

    /// A time the vendor gives in UTC. The fields in the account's own time zone are never read:
    /// nothing says which zone that is.
    pub(super) fn utc(&self, key: &str) -> Option<DateTime<Utc>> {
        let text = self.get(key)?.trim();
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
            .ok()
            .map(|at| at.and_utc())
    }

    pub(super) fn direction(&self) -> Direction {
        match self.get("Direction") {
            Some(word) if word.eq_ignore_ascii_case("outbound") => Direction::Outbound,
            _ => Direction::Inbound,
        }
    }
}

/// Whether a text may be one of Plivo's ids; anything else never reaches a path.
pub fn is_id(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// A number with its plus sign: Plivo mostly leaves it out. What cannot be an international number
/// (short codes, national forms, `sip:` addresses) stays as it is.
pub fn e164(text: &str) -> String {
    let text = text.trim();
    let is_number = (8..=15).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && !text.starts_with('0');
    if is_number {
        format!("+{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_their_plus_and_other_parties_stay() {
        for (given, expected) in [
            ("15551230000", "+15551230000"),
            ("+15551230000", "+15551230000"),
            ("442079460987", "+442079460987"),
            ("02079460987", "02079460987"),
            ("611", "611"),
            ("sip:ana@phone.plivo.com", "sip:ana@phone.plivo.com"),
            ("anonymous", "anonymous"),
        ] {
            assert_eq!(e164(given), expected);
        }
    }

    #[test]
    fn only_utc_times_are_read() {
        let form = Form::new([
            ("A".to_owned(), "2026-11-21 04:00:00.123456".to_owned()),
            ("B".to_owned(), "2026-11-21 04:00:00".to_owned()),
            ("C".to_owned(), "yesterday".to_owned()),
        ]);
        assert_eq!(
            form.utc("A").unwrap().to_rfc3339(),
            "2026-11-21T04:00:00.123456+00:00"
        );
        assert!(form.utc("B").is_some() && form.utc("C").is_none());
    }
}
