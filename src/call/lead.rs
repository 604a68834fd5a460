//! Leads: the people one calls, or who call. What is known of one, and how a row of somebody's list
//! becomes one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::CallId;
use super::text::clean_label;

/// Longest id, name or further field, in characters.
const FIELD_CHARS_MAX: usize = 200;
/// Further fields of one lead.
const FIELDS_MAX: usize = 40;

/// How far a lead has come: `new`, `called` from the start of a call on, `transferred` once somebody
/// has picked up for them.
pub mod lead_status {
    pub const NEW: &str = "new";
    pub const CALLED: &str = "called";
    pub const TRANSFERRED: &str = "transferred";
}

/// One lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    pub id: String,
    pub name: Option<String>,
    /// E.164.
    pub number: Option<String>,
    /// See [`lead_status`].
    pub call_status: String,
    pub transferred_to_human: bool,
    pub last_call: Option<CallId>,
    /// What else the list said of them, by column.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    pub updated_at: DateTime<Utc>,
}

/// One row of a list of leads, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadRow {
    #[serde(default, alias = "lead_id", alias = "leadId")]
    pub id: Option<String>,
    #[serde(default, alias = "customer_name")]
    pub name: Option<String>,
    #[serde(
        default,
        alias = "phone",
        alias = "phone_number",
        alias = "phoneNumber"
    )]
    pub number: Option<String>,
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

/// By what a lead is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeadKey {
    Id(String),
    /// E.164.
    Number(String),
}

impl LeadRow {
    /// Puts a value under its column's name, however people call it.
    pub fn set(&mut self, column: &str, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let column = clean_label(column)
            .trim()
            .to_lowercase()
            .replace([' ', '-'], "_");
        let value = value.to_owned();
        match column.as_str() {
            "id" | "lead_id" | "leadid" => self.id = Some(value),
            "name" | "customer_name" | "full_name" => self.name = Some(value),
            "number" | "phone" | "phone_number" | "telephone" | "mobile" => {
                self.number = Some(value);
            }
            "" => {}
            _ => {
                self.fields.insert(column, value);
            }
        }
    }

    /// The lead of this row: everything cleaned, the number in E.164. Without an id the number
    /// stands for it.
    ///
    /// # Errors
    /// What is wrong with the row, in words for whoever wrote it.
    pub fn checked(self, now: DateTime<Utc>) -> Result<Lead, String> {
        let number = match self.number.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(text) => Some(e164(text).ok_or_else(|| {
                format!("{:?} is no number with + and country code", shortened(text))
            })?),
        };
        let id = match self.id.as_deref().and_then(label) {
            Some(id) => id,
            None => number.clone().ok_or("neither an id nor a number")?,
        };
        if id.chars().count() > FIELD_CHARS_MAX {
            return Err(format!("the id {:?} is too long", shortened(&id)));
        }
        if self.fields.len() > FIELDS_MAX {
            return Err(format!("more than {FIELDS_MAX} further columns"));
        }
        let cut = |text: &str| text.chars().take(FIELD_CHARS_MAX).collect::<String>();
        let fields = self
            .fields
            .iter()
            .filter_map(|(column, value)| Some((cut(&label(column)?), cut(&label(value)?))))
            .collect();
        Ok(Lead {
            id,
            name: self.name.as_deref().and_then(label).map(|name| cut(&name)),
            number,
            call_status: lead_status::NEW.to_owned(),
            transferred_to_human: false,
            last_call: None,
            fields,
            updated_at: now,
        })
    }
}

/// Reads a number as people write it; `None` unless it is international (ITU-T E.164: a plus and 7
/// to 15 digits).
pub fn e164(text: &str) -> Option<String> {
    let digits: String = text
        .trim()
        .strip_prefix('+')?
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.'))
        .collect();
    let fits = (7..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    fits.then(|| format!("+{digits}"))
}

fn label(text: &str) -> Option<String> {
    let text = clean_label(text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn shortened(text: &str) -> String {
    clean_label(text).chars().take(40).collect()
}

/// The id, in place of a carrier's, of the call that holds what names the lead `named` in a
/// conversation of another lead.
pub fn apart_key(conversation: &str, named: &str) -> String {
    clean_label(&format!("{conversation} ({named})")).into_owned()
}

/// Whether such a call holds what named this lead.
pub fn names_lead_apart(key: &str, lead: &str) -> bool {
    key.strip_suffix(')')
        .and_then(|key| key.strip_suffix(lead))
        .is_some_and(|key| key.ends_with(" ("))
}

/// Whether such a call holds what was said in this conversation.
pub fn is_apart_of(key: &str, conversation: &str) -> bool {
    key.ends_with(')')
        && key
            .strip_prefix(conversation)
            .is_some_and(|rest| rest.starts_with(" ("))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-26T12:00:00Z".parse().expect("a time")
    }

    fn row(pairs: &[(&str, &str)]) -> LeadRow {
        let mut row = LeadRow::default();
        for (column, value) in pairs {
            row.set(column, value);
        }
        row
    }

    #[test]
    fn a_row_becomes_a_lead_whatever_its_columns_are_called() {
        let lead = row(&[
            ("Lead ID", "L7"),
            ("Phone Number", "+1 (415) 555-0134"),
            ("customer_name", " Ana\u{202e} Roy "),
            ("City", "Pune"),
        ])
        .checked(now())
        .expect("a lead");
        assert_eq!(
            (lead.id.as_str(), lead.name.as_deref()),
            ("L7", Some("Ana Roy"))
        );
        assert_eq!(lead.number.as_deref(), Some("+14155550134"));
        assert_eq!(lead.fields.get("city").map(String::as_str), Some("Pune"));
        assert_eq!(lead.call_status, "new");
    }

    #[test]
    fn a_number_stands_for_a_missing_id_and_nonsense_is_named() {
        let lead = row(&[("phone", "+14155550134")])
            .checked(now())
            .expect("a lead");
        assert_eq!(lead.id, "+14155550134");
        for (pairs, says) in [
            (vec![("name", "Ana")], "neither an id nor a number"),
            (
                vec![("id", "L1"), ("number", "555 0134")],
                "no number with +",
            ),
            (vec![("id", "L1"), ("number", "+1415")], "no number with +"),
        ] {
            let error = row(&pairs).checked(now()).expect_err("refused");
            assert!(error.contains(says), "{error}");
        }
    }
}
