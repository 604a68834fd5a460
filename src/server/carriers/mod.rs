//! Webhooks and media sockets of carriers. The way a request takes is the same for all of them
//! ([`pipeline`], [`super::media`]); a [`CarrierDesk`] knows the routes, proofs and documents of one.

mod documents;
mod log;
mod pipeline;
mod plivo;
mod seen;
mod twilio;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use url::Url;

use crate::bridge::CarrierCodec;
use crate::call::{AgentLink, CallId};
use crate::engine::{Fallback, Switchboard};
use crate::providers::News;

use super::guard::{Peer, host_of};
use super::settings::ServerSettings;
use super::state::App;

pub use log::{WebhookEntry, WebhookLog, WebhookVerdict};
pub(super) use pipeline::may_log_refusal;
pub use plivo::PlivoDesk;
pub(super) use seen::{Seen, content_key, mark_of};
pub use twilio::TwilioDesk;

/// Retry override every URL we hand to a carrier ends in: by default a 5xx is not tried again.
pub const RETRIES: &str = "#rc=3&rp=all";

/// What a caller hears when the person they were handed to did not answer.
const NO_ANSWER: &str = "We are sorry, nobody answered. Please try again later. Goodbye.";

/// Whether the caller of a transfer that failed can go back to the agent: not if that had failed
/// before, or it would go round in circles.
fn has_agent(switchboard: &Switchboard, carrier_call_id: &str) -> bool {
    let link = switchboard.read(|board| board.find(carrier_call_id).map(|call| call.agent_link));
    !matches!(link, None | Some(AgentLink::Fallback | AgentLink::Lost))
}
/// Ring a person for this long, seconds.
const RING_S: u32 = 25;

/// One path a carrier calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookRoute {
    pub path: &'static str,
    /// The carrier may be configured to ask with GET.
    pub takes_get: bool,
}

impl HookRoute {
    /// By whichever method the carrier's console says.
    const fn by_get_or_post(path: &'static str) -> Self {
        Self {
            path,
            takes_get: true,
        }
    }

    const fn by_post(path: &'static str) -> Self {
        Self {
            path,
            takes_get: false,
        }
    }
}

/// A webhook as it must be judged and read.
#[derive(Debug)]
pub struct Hook<'a> {
    pub path: &'a str,
    /// The URL the carrier called, as far as we know it.
    pub url: &'a str,
    /// Other URLs it may have been called by; only to explain a refusal.
    pub other_urls: &'a [String],
    pub headers: &'a HeaderMap,
    pub is_get: bool,
    /// Raw query, without the question mark.
    pub query: &'a str,
    pub body: &'a Bytes,
}

/// What a proof turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: WebhookVerdict,
    pub advice: Option<&'static str>,
}

/// A webhook read.
#[derive(Debug)]
pub struct Reading {
    pub news: Vec<News>,
    /// Same for every delivery of the same news.
    pub key: String,
    pub wanted: Wanted,
    /// Our own id, where the URL names a call we placed.
    pub ours: Option<CallId>,
}

/// What the carrier waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Only that we have it.
    Nothing,
    /// A document that connects this call to its agent.
    Agent {
        carrier_call_id: String,
        /// The whole call shall be recorded, and the document is how this carrier is told.
        record: bool,
    },
    /// A document for a call whose first document failed.
    Fallback { carrier_call_id: String },
    /// This document.
    Document(String),
}

/// What a document that connects a call to its agent is made of.
#[derive(Clone, Debug)]
pub struct StreamDocument<'a> {
    pub base: &'a Base,
    pub ticket: &'a str,
    /// As in [`Wanted::Agent`].
    pub record: bool,
    pub fallback: &'a Fallback,
}

/// What one carrier's webhooks and streams look like. Pure: it reads, judges and writes.
pub trait CarrierDesk: Send + Sync + Debug {
    /// For instance `twilio`.
    fn carrier(&self) -> &'static str;

    fn hooks(&self) -> &'static [HookRoute];

    /// Paths of its media sockets; segments after them are accepted and ignored.
    fn streams(&self) -> &'static [&'static str];

    /// Paths of the sockets to which it copies the audio of observed calls.
    fn monitors(&self) -> &'static [&'static str] {
        &[]
    }

    /// Why nothing can be proven yet: a secret is not configured.
    fn unready(&self) -> Option<&'static str>;

    fn judge(&self, hook: &Hook<'_>) -> Judgement;

    /// Whether a request bears this carrier's signature headers, valid or not.
    fn has_signed(&self, headers: &HeaderMap) -> bool;

    /// As `judge`, for the upgrade of a media socket; `url` begins with `wss:` or `ws:`.
    fn judge_upgrade(&self, url: &str, headers: &HeaderMap) -> Judgement;

    /// # Errors
    /// What is missing or unreadable, in a few words.
    fn read(&self, hook: &Hook<'_>, switchboard: &Switchboard) -> Result<Reading, String>;

    /// The ticket in a stream's first words.
    fn ticket<'s>(&self, start: &'s crate::bridge::StreamStart) -> Option<&'s str>;

    /// `query`: the raw query of the socket's URL.
    fn codec(&self, query: &str) -> Box<dyn CarrierCodec>;

    /// WebSocket subprotocols echoed to a stream that offers them; none is ever invented.
    fn subprotocols(&self) -> &'static [&'static str] {
        &[]
    }

    /// Media type of the documents.
    fn document_type(&self) -> &'static str;

    /// Connects the call to our stream and says what follows when that ends.
    fn connect(&self, document: &StreamDocument<'_>) -> String;

    /// What follows when there is no stream.
    fn fall_back(&self, base: &Base, fallback: &Fallback) -> String;

    /// Says a sentence and ends the call.
    fn say(&self, text: &str) -> String;

    fn hang_up(&self) -> String;
}

/// The carriers whose routes are served, by name.
#[derive(Clone, Debug, Default)]
pub struct CarrierRoutes {
    desks: HashMap<&'static str, Arc<dyn CarrierDesk>>,
}

impl CarrierRoutes {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a carrier; a second one of the same name replaces the first.
    #[must_use]
    pub fn with(mut self, desk: impl CarrierDesk + 'static) -> Self {
        self.add(Arc::new(desk));
        self
    }

    /// As [`Self::with`], for a desk somebody else made.
    pub fn add(&mut self, desk: Arc<dyn CarrierDesk>) {
        self.desks.insert(desk.carrier(), desk);
    }

    pub fn desks(&self) -> impl Iterator<Item = &Arc<dyn CarrierDesk>> {
        self.desks.values()
    }

    /// Who opens a stream at `desk`'s path: whoever has signed for it, else the path's own carrier.
    pub(super) fn who_streams(
        &self,
        desk: &Arc<dyn CarrierDesk>,
        headers: &HeaderMap,
    ) -> Arc<dyn CarrierDesk> {
        let signer = self.desks.values().find(|other| other.has_signed(headers));
        Arc::clone(signer.unwrap_or(desk))
    }

    /// The routes of all carriers.
    pub(super) fn router(&self) -> Router<Arc<App>> {
        let mut router = Router::new();
        for desk in self.desks.values() {
            for route in desk.hooks() {
                let filter = if route.takes_get {
                    MethodFilter::POST.or(MethodFilter::GET)
                } else {
                    MethodFilter::POST
                };
                let desk = Arc::clone(desk);
                let path = route.path;
                router = router.route(
                    path,
                    on(filter, async move |state, request| {
                        pipeline::take(state, desk, path, request).await
                    }),
                );
            }
            for path in desk.monitors() {
                router = router.route(path, super::media::monitor(Arc::clone(desk)));
            }
            for path in desk.streams() {
                let bare = super::media::route(self.clone(), Arc::clone(desk));
                let nested = super::media::route(self.clone(), Arc::clone(desk));
                router = router
                    .route(path, bare)
                    .route(&format!("{path}/{{*rest}}"), nested);
            }
        }
        router
    }
}

/// Scheme and host (and prefix) by which the carrier reaches us, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(String);

impl Base {
    /// The public URL, else what a trusted proxy or the request itself says.
    pub(super) fn of(
        settings: &ServerSettings,
        peer: Peer,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Self {
        match &settings.public_url {
            Some(url) => Self::public(url),
            None => Self::as_seen(settings, peer, uri, headers),
        }
    }

    /// As the request came in, whatever is configured.
    pub(super) fn as_seen(
        settings: &ServerSettings,
        peer: Peer,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Self {
        let forwarded = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            let first = value.split(',').next()?.trim();
            (peer.through_proxy && !first.is_empty()).then_some(first)
        };
        let own = if settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let scheme = match forwarded("x-forwarded-proto") {
            Some("https" | "wss") => "https",
            Some(_) => "http",
            None => own,
        };
        let host = forwarded("x-forwarded-host")
            .or_else(|| host_of(uri, headers))
            .unwrap_or("localhost");
        Self(format!("{scheme}://{host}"))
    }

    fn public(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        Self(url.as_str().trim_end_matches('/').to_owned())
    }

    pub fn http(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The same place for a WebSocket.
    pub fn ws(&self, path: &str) -> String {
        match self.0.strip_prefix("https:") {
            Some(rest) => format!("wss:{rest}{path}"),
            None => format!("ws:{}{path}", self.0.trim_start_matches("http:")),
        }
    }

    /// A callback URL with the retry override.
    pub fn callback(&self, path: &str) -> String {
        format!("{}{path}{RETRIES}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_with_a_prefix_keeps_it() {
        let base = Base::public(&"https://wb.example.com/board/".parse().unwrap());
        assert_eq!(base.http("/x?y=1"), "https://wb.example.com/board/x?y=1");
        assert_eq!(base.ws("/s"), "wss://wb.example.com/board/s");
        assert_eq!(
            base.callback("/x"),
            "https://wb.example.com/board/x#rc=3&rp=all"
        );
        let bare = Base::public(&"http://127.0.0.1:8787".parse().unwrap());
        assert_eq!(bare.ws("/s"), "ws://127.0.0.1:8787/s");
    }

    #[test]
    fn forwarded_headers_count_only_behind_a_trusted_proxy() {
        let settings = ServerSettings::on("127.0.0.1:0".parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("host", "internal:8787".parse().unwrap());
        headers.insert("x-forwarded-proto", "https, http".parse().unwrap());
        headers.insert("x-forwarded-host", "wb.example.com".parse().unwrap());
        let uri: Uri = "/incoming-call".parse().unwrap();
        for (through_proxy, expected) in [
            (true, "https://wb.example.com/p"),
            (false, "http://internal:8787/p"),
        ] {
            let peer = Peer {
                ip: [127, 0, 0, 1].into(),
                through_proxy,
            };
            assert_eq!(
                Base::of(&settings, peer, &uri, &headers).http("/p"),
                expected
            );
        }
    }
}
