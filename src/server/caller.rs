//! Whoever makes an API request, proven by a bearer token. Tokens in URLs are refused.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

use crate::call::{Call, ErrorCode, Grant, Numbers, Refusal, Verb};

use super::auth::{AuthFailure, Session};
use super::error::ApiError;
use super::guard::Peer;
use super::state::App;

/// The holder of an accepted token.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub session: Session,
}

impl Caller {
    pub(super) fn grant(&self) -> &Grant {
        &self.session.grant
    }

    /// Refuses unless the token holds this verb.
    pub(super) fn need(&self, verb: Verb) -> Result<(), ApiError> {
        if self.grant().allows(verb) {
            Ok(())
        } else {
            Err(Refusal::forbidden(verb).into())
        }
    }

    /// How numbers are shown to this caller.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers::for_unmask(self.grant().allows(Verb::Unmask))
    }

    /// Whether this call may be shown at all.
    pub(super) fn sees(&self, call: &Call) -> bool {
        self.grant().sees_lead(call.facts.lead_id.as_deref())
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        if parts.uri.query().is_some_and(names_a_token) {
            return Err(ApiError::invalid(
                "tokens in URLs are refused: they end up in logs and histories",
                "send `Authorization: Bearer …`, or ask POST /api/tickets for a ticket",
            ));
        }
        let peer = parts.extensions.get::<Peer>().copied();
        let ip = peer.map_or([0, 0, 0, 0].into(), |peer| peer.ip);
        let session = app
            .auth
            .check(bearer(&parts.headers), ip, app.core.clock.now())
            .map_err(refusal_of)?;
        Ok(Self { session })
    }
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

pub(super) fn refusal_of(failure: AuthFailure) -> ApiError {
    match failure {
        AuthFailure::Missing => ApiError::unauthorized(),
        AuthFailure::Wrong => ApiError::new(
            ErrorCode::Unauthorized,
            "this token is not known, or no longer",
            "ask for a new one: `wallboard token add NAME --role viewer`",
        ),
        AuthFailure::TooMany => ApiError {
            retry_after_s: Some(30),
            ..ApiError::new(
                ErrorCode::Overloaded,
                "too many wrong tokens from this address",
                "wait half a minute",
            )
            .with_status(StatusCode::TOO_MANY_REQUESTS)
        },
    }
}

fn names_a_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        matches!(
            name.to_ascii_lowercase().as_str(),
            "token" | "api_key" | "apikey" | "access_token"
        )
    })
}
