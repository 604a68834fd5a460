//! How a request is refused: one JSON shape, the right status, and how to mend it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::call::{ErrorCode, Refusal};
use crate::engine::PostError;

/// A refusal on its way out: `{"success":false,"error":{code,message,hint}}`.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub refusal: Refusal,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Refusal::new(code, message, hint).into()
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(
            ErrorCode::NotFound,
            format!("no such {what}"),
            "ids are listed by GET /api/calls",
        )
    }

    pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message, hint)
    }

    pub fn unauthorized() -> Self {
        Self::new(
            ErrorCode::Unauthorized,
            "this needs a token",
            "send `Authorization: Bearer wb_…`; make one with `wallboard token add NAME --role viewer`",
        )
    }

    /// Another status than the code's usual one.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

/// The HTTP status that goes with a refusal.
pub fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::Invalid => StatusCode::BAD_REQUEST,
        ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorCode::Overloaded | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let retry_after_s = matches!(
            refusal.code,
            ErrorCode::Overloaded | ErrorCode::Unavailable | ErrorCode::Timeout
        )
        .then_some(2);
        Self {
            status: status_of(refusal.code),
            refusal,
            retry_after_s,
        }
    }
}

impl From<PostError> for ApiError {
    fn from(error: PostError) -> Self {
        match error {
            PostError::NoSuchCall => Self::not_found("call"),
            PostError::Full => Self::new(
                ErrorCode::Overloaded,
                "too much is happening at once",
                "try again",
            ),
            PostError::Stopped => Self::new(
                ErrorCode::Unavailable,
                "this backend is stopping",
                "try again",
            ),
            PostError::Store(_) => Self::new(
                ErrorCode::Unavailable,
                "the journal cannot keep this now",
                "look at the disk of data.dir",
            ),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "success": false, "error": self.refusal });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
