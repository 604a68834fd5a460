//! Plivo Voice: signatures, webhooks, XML, REST and audio streams.
//! Pure but for `shell`, which calls the REST API. Compatible carriers (Vobiz) differ in host and
//! header names only; both are settings.

mod answers;
mod callbacks;
mod codes;
mod desk;
mod fakes;
mod form;
mod rest;
pub mod routes;
pub mod shell;
mod signature;
mod stream;
pub mod vendor;
mod xml;

use crate::call::Secret;

pub use answers::*;
pub use callbacks::*;
pub use codes::{hangup_text, source_text, status_of};
pub use desk::PlivoDesk;
pub use form::{Form, FormError, e164, is_id};
pub use rest::*;
pub use signature::*;
pub use stream::PlivoCodec;
pub use xml::*;

/// The carrier's name everywhere: board, routes, metrics.
pub const CARRIER: &str = "plivo";

/// How the names of the signature headers begin, lower case.
pub const HEADER_PREFIX: &str = "x-plivo";

/// Everything configured about Plivo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlivoSettings {
    /// `MA…`, or `SA…` of a subaccount.
    pub auth_id: Option<String>,
    /// Signs webhooks and REST requests.
    pub auth_token: Option<Secret>,
    /// Further tokens webhooks may be signed with: subaccounts, and the old one during a rotation.
    pub other_tokens: Vec<Secret>,
    /// Our number, E.164: caller id of calls we place and of transfers.
    pub phone_number: Option<String>,
    /// Scheme and host of the REST API; plain http only on loopback.
    pub api_base: String,
    /// Accepts webhooks that carry only the deprecated V2 signature, which does not cover the body.
    pub accept_v2: bool,
    /// Beginning of the signature headers' names, for instance `x-vobiz`.
    pub header_prefix: String,
}

impl Default for PlivoSettings {
    fn default() -> Self {
        Self {
            auth_id: None,
            auth_token: None,
            other_tokens: Vec::new(),
            phone_number: None,
            api_base: "https://api.plivo.com".to_owned(),
            accept_v2: false,
            header_prefix: HEADER_PREFIX.to_owned(),
        }
    }
}

impl PlivoSettings {
    /// The secrets that verify webhooks, and how strictly.
    pub fn keys(&self) -> SignatureKeys {
        SignatureKeys {
            main: self.auth_token.clone(),
            others: self.other_tokens.clone(),
            accept_v2: self.accept_v2,
        }
    }
}
