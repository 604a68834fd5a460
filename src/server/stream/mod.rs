//! `GET /api/stream/conversation/{leadId}`: what happens with one lead, as Server-Sent Events
//! (contract A3; WHATWG HTML §9.2). Any number of viewers; each may resume where it was.

mod frames;
mod hub;
mod rooms;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts as _, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::call::text::log_word;
use crate::call::{ErrorCode, Numbers, Refusal, Verb};
use crate::engine::{LeadTimeline, StoreError};

use super::auth::Session;
use super::caller::Caller;
use super::error::ApiError;
use super::leads;
use super::shape::stamp;
use super::state::App;

use hub::is_in;
use rooms::{Frame, Place, Seat};

pub(super) use hub::StreamHub;

const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// Longest lead id taken.
const LEAD_MAX: usize = 200;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/api/stream/conversation/{lead}", get(open))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    #[serde(default)]
    ticket: Option<String>,
    #[serde(default)]
    phone_number: Option<String>,
    #[serde(default)]
    load: Option<String>,
    /// For clients that cannot send the header when they come again with a new ticket.
    #[serde(default)]
    last_event_id: Option<String>,
}

async fn open(
    State(app): State<Arc<App>>,
    Path(lead): Path<String>,
    Query(wish): Query<Wish>,
    mut parts: Parts,
) -> Result<Response, ApiError> {
    let (session, hold) = viewer(&app, &mut parts, &lead, wish.ticket).await?;
    let numbers = Numbers::for_unmask(session.grant.allows(Verb::Unmask));
    if let Some(phone) = &wish.phone_number {
        app.conversations
            .tie(&app.core, &session.grant, phone, &lead);
    }
    let header = parts.headers.get("last-event-id");
    let given = header.and_then(|value| value.to_str().ok());
    let given = given.or(wish.last_event_id.as_deref()).map(str::trim);
    let given = given.filter(|text| !text.is_empty());
    let since = given.and_then(Place::parse);
    let tokens = app.auth.changes();
    let mut seat = app.streams.join(&lead, since);
    let resumes = given.is_some() && since.is_some() && seat.missed.is_some();
    let wants_history = match given {
        Some(_) => !resumes,
        None => wish.load.as_deref() == Some("true"),
    };
    let opening = match opening(&app, &lead, &mut seat, wants_history, given, numbers).await {
        Ok(opening) => opening,
        Err(error) => {
            app.streams.leave(&lead, seat.id);
            return Err(error.into());
        }
    };
    tracing::info!(lead = %log_word(&lead), by = %session.grant.user, resumed = resumes, "sse opened");
    let mut beat = tokio::time::interval_at(Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let view = View {
        app,
        lead,
        session,
        tokens,
        seat,
        numbers,
        beat,
        hold,
        known: opening.known,
        first: Some(opening.text),
    };
    let frames = stream::unfold(view, async |mut view| {
        let bytes = view.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), view))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let fixed = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    // Proxies that gather answers before they pass them on would hold every event back.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Who looks: a ticket for this lead, else a bearer token that may see it.
async fn viewer(
    app: &Arc<App>,
    parts: &mut Parts,
    lead: &str,
    ticket: Option<String>,
) -> Result<(Session, Option<Hold>), ApiError> {
    let mut hold = None;
    let session = match ticket {
        Some(ticket) => Hold::take(app, ticket, lead)
            .map(|(session, held)| {
                hold = Some(held);
                session
            })
            .filter(|session| app.auth.renew(session, app.core.clock.now()).is_some())
            .ok_or_else(|| {
                ApiError::new(
                    ErrorCode::Unauthorized,
                    "this ticket is too old, or is for something else",
                    "ask POST /api/tickets for a new one",
                )
            })?,
        None => Caller::from_request_parts(parts, app).await?.session,
    };
    if !session.grant.allows(Verb::Transcript) {
        return Err(Refusal::forbidden(Verb::Transcript).into());
    }
    if lead.is_empty() || lead.len() > LEAD_MAX {
        return Err(ApiError::invalid(
            "that is no lead",
            "at most 200 characters",
        ));
    }
    if !session.grant.sees_lead(Some(lead)) {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "this token may not see that lead",
            "ask for a token with this lead",
        ));
    }
    Ok((session, hold))
}

/// Keeps a browser's ticket good while its stream is open.
struct Hold {
    app: Arc<App>,
    ticket: String,
}

impl Hold {
    fn take(app: &Arc<App>, ticket: String, lead: &str) -> Option<(Session, Self)> {
        let now = app.core.clock.elapsed();
        let session = app.tickets.open_stream(&ticket, lead, now)?;
        let app = Arc::clone(app);
        Some((session, Self { app, ticket }))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let now = self.app.core.clock.elapsed();
        self.app.tickets.left_stream(&self.ticket, now);
    }
}

struct Opening {
    text: Bytes,
    /// The history sent, until its frames have gone by.
    known: Option<LeadTimeline>,
}

/// What every stream begins with. A place is named as soon as there is one to come back to.
async fn opening(
    app: &App,
    lead: &str,
    seat: &mut Seat,
    with_history: bool,
    given: Option<&str>,
    numbers: Numbers,
) -> Result<Opening, StoreErrorAnswer> {
    let connected = json!({ "type": "connected", "leadId": lead });
    if with_history {
        let timeline = app
            .core
            .lead_timeline(lead)
            .await
            .map_err(StoreErrorAnswer)?;
        let history = leads::history(&timeline, lead, numbers);
        let place = app.streams.rooms().place(seat.number);
        let text = format!("data: {connected}\n\nid: {place}\ndata: {history}\n\n");
        return Ok(Opening {
            text: text.into(),
            known: Some(timeline),
        });
    }
    let missed = seat.missed.take().unwrap_or_default();
    let place = match given {
        Some(_) => String::new(),
        None => format!("id: {}\n", app.streams.rooms().place(seat.number)),
    };
    let mut text = format!("{place}data: {connected}\n\n").into_bytes();
    for frame in missed {
        text.extend_from_slice(&frame.bytes(numbers));
    }
    Ok(Opening {
        text: text.into(),
        known: None,
    })
}

struct StoreErrorAnswer(StoreError);

impl From<StoreErrorAnswer> for ApiError {
    fn from(error: StoreErrorAnswer) -> Self {
        Self::new(ErrorCode::Unavailable, error.0.to_string(), "try again")
    }
}

/// One open stream.
struct View {
    app: Arc<App>,
    lead: String,
    session: Session,
    tokens: watch::Receiver<u64>,
    seat: Seat,
    numbers: Numbers,
    beat: Interval,
    #[expect(dead_code, reason = "held, not read")]
    hold: Option<Hold>,
    known: Option<LeadTimeline>,
    first: Option<Bytes>,
}

impl View {
    /// The next bytes; `None` ends the stream: the server stops, the token went, or the viewer was
    /// too slow.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            // Cancel-safe: no arm loses anything when another wins.
            tokio::select! {
                biased;
                () = self.app.stopping().cancelled() => return None,
                changed = self.tokens.changed() => {
                    let now = self.app.core.clock.now();
                    let still = self.app.auth.renew(&self.session, now).is_some_and(|grant| {
                        grant.allows(Verb::Transcript) && grant.sees_lead(Some(&self.lead))
                    });
                    if changed.is_err() || !still {
                        return None;
                    }
                }
                frame = self.seat.frames.recv() => {
                    let frame = frame?;
                    if !self.knows(&frame) {
                        return Some(self.gather(&frame));
                    }
                }
                _ = self.beat.tick() => {
                    let now = self.app.core.clock.now();
                    if self.session.grant.expires_at.is_some_and(|expires| expires <= now) {
                        return None;
                    }
                    let beat = json!({ "type": "heartbeat", "timestamp": stamp(now) });
                    return Some(Bytes::from(format!("data: {beat}\n\n")));
                }
            }
        }
    }

    fn knows(&self, frame: &Frame) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|timeline| is_in(&frame.part, frame.seq, timeline))
    }

    /// This frame and those that wait behind it, so that a burst costs one write.
    fn gather(&mut self, frame: &Frame) -> Bytes {
        let first = frame.bytes(self.numbers);
        let Ok(second) = self.seat.frames.try_recv() else {
            return first;
        };
        let mut all = first.to_vec();
        let mut next = Some(second);
        while let Some(frame) = next {
            if !self.knows(&frame) {
                all.extend_from_slice(&frame.bytes(self.numbers));
            }
            next = self.seat.frames.try_recv().ok();
        }
        all.into()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.app.streams.leave(&self.lead, self.seat.id);
        tracing::info!(lead = %log_word(&self.lead), by = %self.session.grant.user, "sse closed");
    }
}
