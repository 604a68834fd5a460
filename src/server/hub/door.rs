//! Who may join: the token of the CONNECT payload or the `Authorization` header, and the version.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use tokio_util::sync::CancellationToken;

use crate::call::Verb;

use super::super::auth::{AuthFailure, Session};
use super::super::caller::bearer;
use super::super::guard::Peer;
use super::super::state::App;
use super::session::Hub;
use super::{Inbox, NAMESPACE, PROTOCOL, listen_for};

/// What a client may ask for.
const REQUESTS: [&str; 5] = ["resume", "watch", "command", "history", "ping"];

/// Refusals, in the words of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Turned {
    Unauthorized,
    Forbidden,
    Version,
}

impl fmt::Display for Turned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Version => "version",
        })
    }
}

#[derive(Default, Deserialize)]
struct Hello {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    v: Option<Value>,
}

/// What the door leaves for the hub it opens to.
struct Arrival {
    session: Session,
    inbox: Inbox,
    gone: CancellationToken,
}

type Arrivals = Arc<Mutex<Option<Arrival>>>;

/// Opens the namespace.
pub(super) fn open(io: &SocketIo, app: &Arc<App>) {
    let at_door = Arc::clone(app);
    let check = async move |socket: SocketRef, TryData(hello): TryData<Hello>| {
        let hello = hello.unwrap_or_default();
        check(&at_door, &socket, &hello)
    };
    let inside = Arc::clone(app);
    let enter = async move |socket: SocketRef| enter(&inside, socket);
    io.ns(NAMESPACE, enter.with(check));
}

/// Judges a newcomer, and hangs up the handlers before it is told that it is in, so that its first
/// request cannot come too early.
fn check(app: &App, socket: &SocketRef, hello: &Hello) -> Result<(), Turned> {
    let version = hello.v.as_ref().and_then(Value::as_u64);
    if hello.v.is_some() && version != Some(u64::from(PROTOCOL)) {
        return Err(Turned::Version);
    }
    let session =
        session_of(app, socket, hello.token.as_deref()).map_err(|_| Turned::Unauthorized)?;
    if !session.grant.allows(Verb::View) {
        return Err(Turned::Forbidden);
    }
    let inbox = listen_for(socket, &REQUESTS);
    let gone = CancellationToken::new();
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    let arrival = Arrival {
        session,
        inbox,
        gone,
    };
    let arrivals: Arrivals = Arc::new(Mutex::new(Some(arrival)));
    socket.extensions.insert(arrivals);
    Ok(())
}

fn enter(app: &Arc<App>, socket: SocketRef) {
    let arrivals = socket.extensions.get::<Arrivals>();
    let arrival = arrivals.and_then(|arrivals| {
        let mut place = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        place.take()
    });
    let Some(arrival) = arrival else { return };
    let hub = Hub::new(Arc::clone(app), socket, arrival.session, arrival.gone);
    app.tasks.spawn("hub", hub.run(arrival.inbox));
}

/// The session of a Socket.IO client: its payload's token first, then its header's.
pub(in crate::server) fn session_of(
    app: &App,
    socket: &SocketRef,
    token: Option<&str>,
) -> Result<Session, AuthFailure> {
    let parts = socket.req_parts();
    let presented = token
        .filter(|token| !token.is_empty())
        .or_else(|| bearer(&parts.headers));
    let ip = parts
        .extensions
        .get::<Peer>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip);
    app.auth.check(presented, ip, app.core.clock.now())
}
