//! Live audio of one call, out and never in: a WAV of unknown length, or bare frames.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;

use crate::call::{CallId, Verb};
use crate::engine::{ListenStream, StereoFrame};
use crate::media::ulaw_header;

use super::super::auth::Session;
use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::state::App;
use super::super::tickets::TicketUse;
use super::super::wire::READ_BUFFER;

/// A listener that takes no frame for this long is gone.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// Largest message looked at; listeners have nothing to say.
const MESSAGE_MAX: usize = 4 * 1024;

#[derive(Debug, Default, Deserialize)]
pub(super) struct TicketQuery {
    #[serde(default)]
    pub ticket: Option<String>,
}

/// The audio of one call for one session; ends when the call, the token or the server does.
struct Audio {
    app: Arc<App>,
    session: Session,
    tokens: watch::Receiver<u64>,
    stream: ListenStream,
}

impl Audio {
    async fn next(&mut self) -> Option<StereoFrame> {
        loop {
            // Cancel-safe: neither arm loses anything.
            tokio::select! {
                biased;
                () = self.app.stopping().cancelled() => return None,
                changed = self.tokens.changed() => {
                    let now = self.app.core.clock.now();
                    let still = self.app.auth.renew(&self.session, now);
                    if changed.is_err() || !still.is_some_and(|grant| grant.allows(Verb::Listen)) {
                        return None;
                    }
                }
                frame = self.stream.frames.recv() => return frame,
            }
        }
    }
}

/// Who listens: a ticket of this use for this call, else a bearer token.
pub(super) async fn listener(
    app: &Arc<App>,
    parts: &mut Parts,
    ticket: Option<&str>,
    purpose: TicketUse,
    call: CallId,
) -> Result<Session, ApiError> {
    match ticket {
        Some(ticket) => app
            .tickets
            .redeem(ticket, purpose, &call.to_string(), app.core.clock.elapsed())
            .filter(|session| app.auth.renew(session, app.core.clock.now()).is_some())
            .ok_or_else(|| {
                ApiError::new(
                    crate::call::ErrorCode::Unauthorized,
                    "this ticket was used, is too old, or is for something else",
                    "ask POST /api/tickets for a new one",
                )
            }),
        None => Ok(Caller::from_request_parts(parts, app).await?.session),
    }
}

pub(super) fn call_id(app: &App, key: &str) -> Result<CallId, ApiError> {
    app.core
        .switchboard
        .read(|board| board.find(key).map(|call| call.id))
        .ok_or_else(|| ApiError::not_found("call"))
}

async fn open(
    app: &Arc<App>,
    parts: &mut Parts,
    key: &str,
    ticket: Option<&str>,
    purpose: TicketUse,
) -> Result<Audio, ApiError> {
    let call = match call_id(app, key) {
        Ok(call) => call,
        // Whether a call exists is not for strangers to find out.
        Err(missing) => {
            Caller::from_request_parts(parts, app).await?;
            return Err(missing);
        }
    };
    let session = listener(app, parts, ticket, purpose, call).await?;
    let tokens = app.auth.changes();
    let stream = app.core.listen(&session.grant, call).await?;
    Ok(Audio {
        app: Arc::clone(app),
        session,
        tokens,
        stream,
    })
}

/// `GET /api/calls/{id}/audio.wav`: caller left, agent right, µ-law, until the call ends.
pub(super) async fn wav(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    Query(query): Query<TicketQuery>,
    mut parts: Parts,
) -> Result<Response, ApiError> {
    let ticket = query.ticket.as_deref();
    let audio = open(&app, &mut parts, &key, ticket, TicketUse::Wav).await?;
    let header = Bytes::copy_from_slice(&ulaw_header(2, None));
    let bytes = stream::unfold((Some(header), audio), async |(header, mut audio)| {
        let bytes = match header {
            Some(header) => header,
            None => Bytes::copy_from_slice(&audio.next().await?.interleaved()),
        };
        Some((Ok::<_, std::convert::Infallible>(bytes), (None, audio)))
    });
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, "audio/wav"),
        (header::CACHE_CONTROL, "no-store"),
        (header::ACCEPT_RANGES, "none"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// `WS /api/calls/{id}/listen`: one message a frame, 320 bytes: caller, agent, caller, agent …
pub(super) async fn frames(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    Query(query): Query<TicketQuery>,
    upgrade: WebSocketUpgrade,
    mut parts: Parts,
) -> Result<Response, ApiError> {
    let ticket = query.ticket.as_deref();
    let audio = open(&app, &mut parts, &key, ticket, TicketUse::Listen).await?;
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX)
        .on_upgrade(async move |socket| play(socket, audio).await))
}

async fn play(mut socket: WebSocket, mut audio: Audio) {
    let (code, reason) = loop {
        // Cancel-safe: a frame that is not sent was for a listener who has left.
        tokio::select! {
            biased;
            heard = socket.recv() => match heard {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                    break (close_code::POLICY, "this socket only plays");
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            frame = audio.next() => {
                let Some(frame) = frame else {
                    break (close_code::NORMAL, "there is nothing more to hear");
                };
                let bytes = Bytes::copy_from_slice(&frame.interleaved());
                let sent = socket.send(Message::Binary(bytes));
                match tokio::time::timeout(SEND_WITHIN, sent).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        }
    };
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let goodbye = socket.send(Message::Close(Some(frame)));
    // A listener that does not read its goodbye is not waited for.
    let _unread = tokio::time::timeout(SEND_WITHIN, goodbye).await;
}
