//! The door of a carrier: which path means what, whose word it is, and the documents it is answered
//! with. The way a request takes through the server is the same for all of them; this is what one
//! carrier says about it.

use std::fmt::Debug;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::bridge::{CarrierCodec, StreamStart};
use crate::call::{AgentLink, CallId};
use crate::engine::{Fallback, Switchboard};
use crate::providers::{News, hex};

/// Retry override every URL we hand to a carrier ends in: three retries on any failure; by default a
/// 5xx is not tried again. Twilio docs, "Webhooks connection overrides"; Plivo docs, "Callback
/// retries".
pub const RETRIES: &str = "#rc=3&rp=all";

/// What a caller hears when the person they were handed to did not answer.
pub const NO_ANSWER: &str = "We are sorry, nobody answered. Please try again later. Goodbye.";

/// Ring a person for this long, seconds.
pub const RING_S: u32 = 25;

/// Whether the caller of a transfer that failed can go back to the agent: not if that had failed
/// before, or it would go round in circles.
pub fn has_agent(switchboard: &Switchboard, carrier_call_id: &str) -> bool {
    let link = switchboard.read(|board| board.find(carrier_call_id).map(|call| call.agent_link));
    !matches!(link, None | Some(AgentLink::Fallback | AgentLink::Lost))
}

/// A key made of the content, for carriers and requests without one of their own.
pub fn content_key(query: &str, body: &[u8]) -> String {
    let sum = Sha256::new()
        .chain_update(query.as_bytes())
        .chain_update([0])
        .chain_update(body)
        .finalize();
    hex(&sum)
}

/// What became of one webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookVerdict {
    /// Proven and taken.
    Valid,
    /// Proven, and told before.
    Duplicate,
    /// Taken without looking, because signatures are switched off.
    Unchecked,
    /// No signature at all.
    MissingSignature,
    /// Something that is no signature, or of an unknown kind.
    MalformedSignature,
    /// The signature is right over another URL: a configuration mistake, see the advice.
    UrlMismatch,
    /// Signed at a time that is too far from ours: a clock is wrong, or it is an old delivery.
    ClockSkew,
    /// Made with another secret, or forged.
    WrongSecret,
    /// The secret to check it with is not configured.
    NotConfigured,
    /// Proven, but not readable.
    Malformed,
    /// Too big or too slow.
    Oversized,
    /// Proven, but it names another lead than its conversation's: kept on a call of its own that is
    /// no lead's.
    OtherLead,
    /// Proven, but could not be kept in time; the carrier was asked to come again.
    NotKept,
}

impl WebhookVerdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Duplicate => "duplicate",
            Self::Unchecked => "unchecked",
            Self::MissingSignature => "missing_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::UrlMismatch => "url_mismatch",
            Self::ClockSkew => "clock_skew",
            Self::WrongSecret => "wrong_secret",
            Self::NotConfigured => "not_configured",
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::OtherLead => "other_lead",
            Self::NotKept => "not_kept",
        }
    }
}

/// One path a carrier calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookRoute {
    pub path: &'static str,
    /// The carrier may be configured to ask with GET.
    pub takes_get: bool,
}

impl HookRoute {
    /// By whichever method the carrier's console says.
    pub const fn by_get_or_post(path: &'static str) -> Self {
        Self {
            path,
            takes_get: true,
        }
    }

    pub const fn by_post(path: &'static str) -> Self {
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
    fn ticket<'s>(&self, start: &'s StreamStart) -> Option<&'s str>;

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

/// Scheme and host (and prefix) by which the carrier reaches us, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(String);

impl Base {
    /// `url`: without query and fragment.
    pub fn new(url: &str) -> Self {
        Self(url.trim_end_matches('/').to_owned())
    }

    /// Where the carrier reached us, by a hook's URL without the hook's own path.
    pub fn of_hook(hook: &Hook<'_>) -> Self {
        let url = hook.url.split(['?', '#']).next().unwrap_or(hook.url);
        Self(url.strip_suffix(hook.path).unwrap_or(url).to_owned())
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
