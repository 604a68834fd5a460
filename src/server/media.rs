//! Media sockets: who may stream, and for which call. After the first words the engine takes over.
//!
//! Admitted is a socket whose upgrade carries the carrier's signature, or whose `start` carries a
//! ticket of ours for exactly that call. A browser never is. A monitor socket brings a copy of a call
//! that somebody listens to: it needs the ticket made for that, and nothing is ever sent on it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use axum::{Extension, http::StatusCode};
use futures_util::StreamExt as _;

use crate::bridge::{CarrierCodec, CarrierIn, StreamStart};
use crate::call::{Call, CallFacts, CallId, CallStatus, ErrorCode, Fact, Source};
use crate::engine::{Posted, Target, attach_stream};

use crate::providers::vendor::{CarrierDesk, WebhookVerdict};

use super::carriers::{CarrierRoutes, WebhookEntry, base};
use super::error::ApiError;
use super::guard::Peer;
use super::state::App;
use super::wire::{AcceptedSocket, MESSAGE_MAX, READ_BUFFER, WRITE_BUFFER_MAX};

/// A stream must say which call it belongs to within this.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Messages before `start`: greeting, and nothing else that counts.
const MESSAGES_BEFORE_START_MAX: usize = 16;

/// The route of one carrier's media sockets. Another one that signs for its own is served there too:
/// some users have one address for both.
pub(super) fn route(routes: CarrierRoutes, desk: Arc<dyn CarrierDesk>) -> MethodRouter<Arc<App>> {
    any(
        async move |State(app): State<Arc<App>>,
                    Extension(peer): Extension<Peer>,
                    uri: Uri,
                    headers: HeaderMap,
                    upgrade: WebSocketUpgrade| {
            let desk = routes.who_streams(&desk, &headers);
            knock(app, desk, Purpose::Bridge, peer, &uri, &headers, upgrade)
        },
    )
}

/// The route of one carrier's monitor sockets.
pub(super) fn monitor(desk: Arc<dyn CarrierDesk>) -> MethodRouter<Arc<App>> {
    any(
        async move |State(app): State<Arc<App>>,
                    Extension(peer): Extension<Peer>,
                    uri: Uri,
                    headers: HeaderMap,
                    upgrade: WebSocketUpgrade| {
            knock(app, desk, Purpose::Monitor, peer, &uri, &headers, upgrade)
        },
    )
}

/// What a socket is for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Bridge,
    Monitor,
}

/// Decides whether to upgrade at all.
fn knock(
    app: Arc<App>,
    desk: Arc<dyn CarrierDesk>,
    purpose: Purpose,
    peer: Peer,
    uri: &Uri,
    headers: &HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let carrier = desk.carrier();
    if headers.contains_key(header::ORIGIN) {
        count(carrier, "browser");
        return ApiError::new(
            ErrorCode::Forbidden,
            "browsers may not stream into calls",
            "this socket is for carriers",
        )
        .into_response();
    }
    let unchecked = app.settings.insecure_skip_signatures;
    if let Some(reason) = desk.unready().filter(|_| !unchecked) {
        return ApiError::new(
            ErrorCode::Unavailable,
            format!("{carrier} streams cannot be checked yet"),
            reason,
        )
        .into_response();
    }
    let base = base::of(&app.settings, peer, uri, headers);
    let path = uri.path_and_query().map_or("/", |whole| whole.as_str());
    let judgement = desk.judge_upgrade(&base.ws(path), headers);
    let signed = unchecked || judgement.verdict == WebhookVerdict::Valid;
    let Ok(permit) = Arc::clone(&app.unproven_streams).try_acquire_owned() else {
        count(carrier, "full");
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streams are starting",
        )
            .into_response();
    };
    let subprotocols = desk.subprotocols();
    let newcomer = Newcomer {
        app,
        desk,
        purpose,
        peer: peer.ip,
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        signed,
        verdict: judgement.verdict,
        advice: judgement.advice,
    };
    upgrade
        .protocols(subprotocols.iter().copied())
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX)
        .on_upgrade(async move |socket| {
            // On the heap for as long as it lasts: what follows lives as long as the call.
            let admitted = Box::pin(newcomer.admit(AcceptedSocket::new(socket))).await;
            drop(permit);
            if let Some(stream) = admitted {
                let carrier = stream.codec.vendor();
                metrics::gauge!("wallboard_streams", "carrier" => carrier).increment(1.0);
                // The bridge has its own place in the task tree; a panic there was logged there.
                let _ended = stream.attach().await;
                metrics::gauge!("wallboard_streams", "carrier" => carrier).decrement(1.0);
            }
        })
}

fn count(carrier: &'static str, why: &'static str) {
    metrics::counter!("wallboard_streams_refused_total", "carrier" => carrier, "why" => why)
        .increment(1);
}

/// A socket that has not proven anything yet.
struct Newcomer {
    app: Arc<App>,
    desk: Arc<dyn CarrierDesk>,
    purpose: Purpose,
    peer: IpAddr,
    path: String,
    /// Raw, without the question mark.
    query: String,
    signed: bool,
    verdict: WebhookVerdict,
    advice: Option<&'static str>,
}

/// A socket that belongs to a call.
struct Admitted {
    app: Arc<App>,
    purpose: Purpose,
    call: CallId,
    socket: AcceptedSocket,
    codec: Box<dyn CarrierCodec>,
    start: StreamStart,
}

impl Newcomer {
    /// Listens for `start` and judges it; closes the socket and returns nothing when it may not in.
    async fn admit(self, mut socket: AcceptedSocket) -> Option<Admitted> {
        let carrier = self.desk.carrier();
        let mut codec = self.desk.codec(&self.query);
        let listening = tokio::time::timeout(START_WITHIN, first_words(&mut socket, &mut codec));
        let start = tokio::select! {
            start = listening => start,
            () = self.app.stopping().cancelled() => Ok(None),
        };
        let Ok(Some(start)) = start else {
            count(carrier, "no_start");
            self.note(WebhookVerdict::Malformed, close_code::POLICY);
            socket.close_with(close_code::POLICY, "no start").await;
            return None;
        };
        let judged = match self.purpose {
            Purpose::Bridge => self.judge(&start).await,
            Purpose::Monitor => self.judge_copy(&start),
        };
        match judged {
            Ok(call) => {
                let verdict = if self.signed {
                    self.verdict
                } else {
                    WebhookVerdict::Valid
                };
                self.note(verdict, StatusCode::SWITCHING_PROTOCOLS.as_u16());
                Some(Admitted {
                    app: self.app,
                    purpose: self.purpose,
                    call,
                    socket,
                    codec,
                    start,
                })
            }
            Err(why) => {
                count(carrier, why);
                tracing::warn!(carrier, why, "a media stream was refused");
                self.note(self.verdict, close_code::POLICY);
                socket.close_with(close_code::POLICY, why).await;
                None
            }
        }
    }

    /// The call this stream belongs to. Creates it only on the strength of a signature.
    async fn judge(&self, start: &StreamStart) -> Result<CallId, &'static str> {
        let carrier = self.desk.carrier();
        let known = self.app.core.switchboard.read(|board| {
            board
                .find(&start.carrier_call_id)
                .filter(|call| call.facts.carrier == carrier)
                .map(Call::is_live)
        });
        let invited = self.desk.ticket(start).is_some_and(|ticket| {
            self.app
                .media_tickets
                .is_good(ticket, carrier, &start.carrier_call_id)
        });
        match (known, self.signed, invited) {
            (_, false, false) => return Err("no proof"),
            (Some(false), _, _) => return Err("call ended"),
            (None, false, true) => return Err("unknown call"),
            (None, true, _) if self.app.is_draining() => return Err("draining"),
            _ => {}
        }
        let target = Target::Carrier {
            facts: CallFacts {
                carrier: carrier.to_owned(),
                carrier_call_id: Some(start.carrier_call_id.clone()),
                adopted: true,
                ..CallFacts::default()
            },
            status: CallStatus::InProgress,
            started_at: None,
        };
        // A stream only starts once the call was answered, and the status callback may be missing.
        let answered = Fact::StatusChanged {
            status: CallStatus::InProgress,
            source: Source::Stream,
        };
        match self.app.core.switchboard.post(target, vec![answered]).await {
            Ok(Posted {
                call: Some(call), ..
            }) => Ok(call),
            Ok(_) => Err("call ended"),
            Err(_) => Err("overloaded"),
        }
    }

    /// The call this copy is of. A signature alone is not enough: somebody must wait for it.
    fn judge_copy(&self, start: &StreamStart) -> Result<CallId, &'static str> {
        let carrier = self.desk.carrier();
        let core = &self.app.core;
        let call = core.switchboard.read(|board| {
            board
                .find(&start.carrier_call_id)
                .filter(|call| call.facts.carrier == carrier && call.is_live())
                .map(|call| call.id)
        });
        let call = call.ok_or("no such call")?;
        let ticket = self.desk.ticket(start).unwrap_or_default();
        if core.forks.expects(call, ticket) {
            return Ok(call);
        }
        Err("nobody listens")
    }

    fn note(&self, verdict: WebhookVerdict, status: u16) {
        self.app.webhooks.push(WebhookEntry {
            at: self.app.core.clock.now(),
            carrier: self.desk.carrier(),
            path: self.path.clone(),
            verdict,
            advice: self.advice.map(str::to_owned),
            url: String::new(),
            peer: self.peer.to_string(),
            status,
        });
    }
}

impl Admitted {
    /// Hands the socket to the engine. The handle resolves when its task there has ended.
    fn attach(self) -> tokio::task::JoinHandle<()> {
        if self.purpose == Purpose::Monitor {
            let core = &self.app.core;
            return core.attach_fork(self.call, Box::new(self.socket), self.codec, &self.start);
        }
        attach_stream(
            &self.app.core,
            self.call,
            Box::new(self.socket),
            self.codec,
            self.start,
        )
    }
}

/// Reads up to `start`; `None` when the socket ended or said too much else first.
async fn first_words(
    socket: &mut AcceptedSocket,
    codec: &mut Box<dyn CarrierCodec>,
) -> Option<StreamStart> {
    for _ in 0..MESSAGES_BEFORE_START_MAX {
        let wire = socket.next().await?.ok()?;
        match codec.decode(&wire) {
            Ok(CarrierIn::Start(start)) => return Some(start),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "an unreadable message before the start"),
        }
    }
    None
}
