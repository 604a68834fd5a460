//! Looking for a field in several places of a message. A path begins with where to look: `body`, `d`
//! (its data), `c` (what the conversation was begun with), `n` (the nested event of a forwarded client
//! message).

use chrono::{DateTime, Utc};
use serde_json::Value;

/// Numbers below are seconds since 1970, others milliseconds.
const MS_FROM: f64 = 1e11;

/// One message to look around in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    body: &'a Value,
    pub(super) d: &'a Value,
    c: Option<&'a Value>,
    n: Option<&'a Value>,
}

impl<'a> Look<'a> {
    pub(super) fn new(body: &'a Value) -> Self {
        const BEGUN_WITH: &str = "conversation_initiation_client_data";
        let d = body
            .get("data")
            .filter(|data| data.is_object())
            .unwrap_or(body);
        let c = [Some(d), Some(body), d.get("conversation"), d.get("call")]
            .into_iter()
            .flatten()
            .find_map(|place| place.get(BEGUN_WITH).filter(|found| found.is_object()));
        let nested = |name: &str| {
            name.ends_with("_event")
                || matches!(
                    name,
                    "client_tool_call"
                        | "agent_tool_request"
                        | "agent_tool_response"
                        | "agent_tool_response_full_payload"
                        | "mcp_tool_call"
                )
        };
        let n = d.as_object().and_then(|fields| {
            let mut found = fields
                .iter()
                .filter(|(name, value)| value.is_object() && nested(name));
            found.next().map(|(_, value)| value)
        });
        Self { body, d, c, n }
    }

    pub(super) fn at(self, path: &str) -> Option<&'a Value> {
        let (root, rest) = path.split_once('.')?;
        let mut place = match root {
            "body" => self.body,
            "d" => self.d,
            "c" => self.c?,
            _ => self.n?,
        };
        for step in rest.split('.') {
            place = place.get(step)?;
        }
        Some(place)
    }

    /// The first place with a non-empty string or a number.
    pub(super) fn word(self, paths: &[&str]) -> Option<String> {
        paths.iter().find_map(|path| word(self.at(path)?))
    }

    /// The first place with a non-empty string; numbers are not what somebody said.
    pub(super) fn text(self, paths: &[&str]) -> Option<String> {
        let mut found = paths.iter().filter_map(|path| self.at(path)?.as_str());
        let text = found.find(|text| !text.trim().is_empty())?;
        Some(text.trim().to_owned())
    }

    /// The first place with a whole number that is not negative, as such or as a string.
    pub(super) fn number(self, paths: &[&str]) -> Option<u64> {
        paths.iter().find_map(|path| number(self.at(path)?))
    }

    pub(super) fn flag(self, path: &str) -> bool {
        self.at(path).and_then(Value::as_bool) == Some(true)
    }

    /// The first place that holds anything, as compact JSON; strings as they are.
    pub(super) fn json(self, paths: &[&str]) -> String {
        let found = paths.iter().find_map(|path| self.at(path));
        match found {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        }
    }

    /// The first place with a time that can be read.
    pub(super) fn time(self, paths: &[&str]) -> Option<DateTime<Utc>> {
        paths.iter().find_map(|path| time(self.at(path)?))
    }
}

pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            (float >= 0.0).then_some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    let of_number = |number: f64| {
        let ms = if number < MS_FROM {
            number * 1000.0
        } else {
            number
        };
        (ms > 0.0).then(|| DateTime::from_timestamp_millis(ms as i64))?
    };
    match value {
        Value::Number(number) => of_number(number.as_f64()?),
        Value::String(text) => {
            let text = text.trim();
            DateTime::parse_from_rfc3339(text)
                .map(|at| at.to_utc())
                .ok()
                .or_else(|| of_number(text.parse().ok()?))
        }
        _ => None,
    }
}
