//! The listening page: one self-contained document that plays a call and can do nothing else.
//! A browser's `<audio>` waits for seconds of data before its first sound; the page does not.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};

use crate::call::Verb;
use crate::engine::random;

use super::super::error::ApiError;
use super::super::guard::host_of;
use super::super::state::App;
use super::super::tickets::{PAGE_WITHIN, TicketUse};
use super::listen::{TicketQuery, call_id, listener};

const PAGE: &str = include_str!("listen.html");

/// `GET /listen/{call}?ticket=`.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    Query(query): Query<TicketQuery>,
    mut parts: Parts,
) -> Result<Response, ApiError> {
    let call = call_id(&app, &key)?;
    let ticket = query.ticket.as_deref();
    let session = listener(&app, &mut parts, ticket, TicketUse::Listen, call).await?;
    if !session.grant.allows(Verb::Listen) {
        return Err(crate::call::Refusal::forbidden(Verb::Listen).into());
    }
    // The first ticket is used up; the page waits for a click, so its own lives longer.
    let next = app.tickets.issue(
        session,
        TicketUse::Listen,
        call.to_string(),
        app.core.clock.elapsed(),
        PAGE_WITHIN,
    );
    let nonce = crate::providers::hex(&random::<16>());
    let text = PAGE
        .replace("{{nonce}}", &nonce)
        .replace("{{call}}", &call.to_string())
        .replace("{{ticket}}", &next);
    let host = host_of(&parts.uri, &parts.headers)
        .filter(|host| host.bytes().all(is_host_byte))
        .map_or_else(String::new, |host| format!(" ws://{host} wss://{host}"));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = Html(text).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
}
