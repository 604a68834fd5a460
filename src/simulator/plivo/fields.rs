//! What a REST request's body may hold, and the error it is refused with.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::simulator::line::Method;

use super::call::source;
use super::document::web_url;
use super::state::Source;

/// An error body.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) error: String,
}

impl ApiError {
    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self {
            status: 400,
            error: error.into(),
        }
    }

    pub(super) fn not_found() -> Self {
        Self {
            status: 404,
            error: "not found".to_owned(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"api_id": "00000000-0000-0000-0000-000000000000", "error": self.error});
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, axum::Json(body)).into_response()
    }
}

/// The body's fields; unknown ones are refused.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn read(
        headers: &HeaderMap,
        body: &Bytes,
        known: &[&str],
    ) -> Result<Self, ApiError> {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        if !kind.starts_with("application/json") {
            return Err(ApiError::bad(format!(
                "Content-Type {kind:?} not supported"
            )));
        }
        let fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| ApiError::bad("invalid JSON"))?;
        match fields.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(ApiError::bad(format!("unknown parameter {key}"))),
            None => Ok(Self(fields)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::bad(format!("{name} is no string"))),
        }
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| ApiError::bad(format!("{name} parameter not present")))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| ApiError::bad(format!("{name} is no number"))),
        }
    }

    pub(super) fn one_of(&self, name: &str, words: &[&str]) -> Result<Option<&str>, ApiError> {
        match self.text(name)? {
            Some(word) if !words.contains(&word) => {
                Err(ApiError::bad(format!("{name} {word:?} is not valid")))
            }
            word => Ok(word),
        }
    }

    pub(super) fn method(&self, name: &str) -> Result<Method, ApiError> {
        Ok(match self.one_of(name, &["GET", "POST"])? {
            Some("GET") => Method::Get,
            _ => Method::Post,
        })
    }

    /// `{name}_url` and `{name}_method`.
    pub(super) fn source(&self, name: &str) -> Result<Option<Source>, ApiError> {
        let method = self.method(&format!("{name}_method"))?;
        let Some(url) = self.text(&format!("{name}_url"))? else {
            return Ok(None);
        };
        let url = web_url(url).map_err(|why| ApiError::bad(format!("{name}_url: {why}")))?;
        Ok(Some(source(url, method)))
    }
}

/// Digits with or without their plus sign, or an endpoint.
pub(super) fn party(fields: &Fields, name: &str) -> Result<String, ApiError> {
    let text = fields.need(name)?;
    let digits = text.strip_prefix('+').unwrap_or(text);
    if text.starts_with("sip:") {
        return Ok(text.to_owned());
    }
    let fine = (3..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if fine {
        Ok(format!("+{digits}"))
    } else {
        Err(ApiError::bad(format!(
            "{name} {text:?} is not a valid number"
        )))
    }
}
