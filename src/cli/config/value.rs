//! Values of configuration keys and how text becomes one.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::providers::vendor::Kind;

use super::Secret;

/// A checked value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Secret(Secret),
    Flag(bool),
    Whole(i64),
    Figure(f64),
    Span(Duration),
    List(Vec<String>),
}

impl Value {
    /// For `config print`; a secret shows only that it is set.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Secret(_) => "\"***\"".into(),
            Self::Flag(on) => on.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Figure(number) => number.to_string(),
            Self::Span(span) => format!("\"{}\"", span_text(*span)),
            Self::List(items) => format!("{items:?}"),
        }
    }

    pub fn json(&self) -> Json {
        match self {
            Self::Text(text) => json!(text),
            Self::Secret(_) => json!("***"),
            Self::Flag(on) => json!(on),
            Self::Whole(number) => json!(number),
            Self::Figure(number) => json!(number),
            Self::Span(span) => json!(span_text(*span)),
            Self::List(items) => json!(items),
        }
    }
}

/// Reads text (environment, flag, default) as a value of this kind; `None` when it is not one.
pub fn from_text(kind: Kind, text: &str) -> Option<Value> {
    let text = text.trim();
    match kind {
        Kind::Text | Kind::Path => Some(Value::Text(text.into())),
        Kind::Secret => Some(Value::Secret(Secret::new(text))),
        Kind::Address => is_address(text).then(|| Value::Text(text.into())),
        Kind::HttpUrl => is_url(text, &["http", "https"]).then(|| Value::Text(trim_slash(text))),
        Kind::WsUrl => is_url(text, &["ws", "wss"]).then(|| Value::Text(trim_slash(text))),
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(Value::Flag(true)),
            "false" | "0" | "no" | "off" | "" => Some(Value::Flag(false)),
            _ => None,
        },
        Kind::Whole { min, max } => text
            .parse()
            .ok()
            .filter(|number| (min..=max).contains(number))
            .map(Value::Whole),
        Kind::Figure { min, max } => text
            .parse()
            .ok()
            .filter(|number| (min..=max).contains(number))
            .map(Value::Figure),
        Kind::Span => span(text).map(Value::Span),
        Kind::List => Some(Value::List(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect(),
        )),
        Kind::Choice(words) => words.contains(&text).then(|| Value::Text(text.into())),
        Kind::Phone => is_phone(text).then(|| Value::Text(text.into())),
    }
}

/// `250ms`, `30s`, `5m`, `2h`, `7d`; a bare number counts seconds.
pub fn span(text: &str) -> Option<Duration> {
    let split = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(split)?;
    let amount: u64 = digits.parse().ok()?;
    let millis = match unit.trim() {
        "ms" => amount,
        "s" | "" => amount.checked_mul(1_000)?,
        "m" | "min" => amount.checked_mul(60_000)?,
        "h" => amount.checked_mul(3_600_000)?,
        "d" => amount.checked_mul(86_400_000)?,
        _ => return None,
    };
    Some(Duration::from_millis(millis))
}

/// The shortest exact way to write a duration that [`span`] reads back.
pub fn span_text(span: Duration) -> String {
    let millis = span.as_millis();
    if millis == 0 {
        return "0s".into();
    }
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_url(text: &str, schemes: &[&str]) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        schemes.contains(&url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// Paths are appended to bases, so a slash at the end would double.
fn trim_slash(text: &str) -> String {
    text.trim_end_matches('/').to_owned()
}

/// Whether text is a number in E.164: plus, 8 to 15 digits.
pub fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_written() {
        for text in ["250ms", "30s", "5m", "2h", "7d", "90s", "0s"] {
            let read = span(text).expect(text);
            assert_eq!(span(&span_text(read)), Some(read), "{text}");
        }
        assert_eq!(span("120s").map(span_text).as_deref(), Some("2m"));
        assert_eq!(span("ten"), None);
        assert_eq!(span("5 weeks"), None);
        assert_eq!(span("99999999999999999999s"), None);
    }

    #[test]
    fn urls_must_have_scheme_and_host_and_no_credentials() {
        assert!(from_text(Kind::HttpUrl, "https://calls.example.com/").is_some());
        assert!(from_text(Kind::HttpUrl, "calls.example.com").is_none());
        assert!(from_text(Kind::HttpUrl, "https://user:pw@calls.example.com").is_none());
        assert!(from_text(Kind::WsUrl, "https://calls.example.com").is_none());
    }

    #[test]
    fn phone_numbers_are_e164() {
        assert!(is_phone("+15551230000"));
        assert!(!is_phone("5551230000"));
        assert!(!is_phone("+1 555 123"));
    }
}
