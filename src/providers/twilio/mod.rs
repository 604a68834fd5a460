//! Twilio Programmable Voice: signatures, webhooks, TwiML, REST and Media Streams.
//! Pure but for `shell`, which calls the REST API.

mod answers;
mod callbacks;
mod codes;
mod desk;
mod fakes;
mod form;
mod insights;
mod rest;
pub mod routes;
pub mod shell;
mod signature;
mod sms;
mod stream;
mod twiml;
pub mod vendor;

use std::collections::BTreeMap;

use crate::call::Secret;

pub use answers::*;
pub use callbacks::*;
pub use codes::{error_text, sip_text};
pub use desk::TwilioDesk;
pub use form::{Form, FormError, direction, is_id};
pub use insights::{InsightsError, read_insights};
pub use rest::*;
pub use signature::*;
pub use sms::{TextMessage, no_reply};
pub use stream::TwilioCodec;
pub use twiml::*;

/// The carrier's name everywhere: board, routes, metrics.
pub const CARRIER: &str = "twilio";

/// Everything configured about Twilio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwilioSettings {
    pub account_sid: Option<String>,
    /// Signs webhooks and, unless an API key is given, REST requests.
    pub auth_token: Option<Secret>,
    /// `SK…` and its secret, for REST only: an API key cannot verify webhooks.
    pub api_key: Option<(String, Secret)>,
    /// Webhook shared keys by id, for signatures with `algorithm=HMAC_SHA256`.
    pub shared_keys: BTreeMap<String, Secret>,
    /// Our number, E.164: caller id of calls we place and of transfers.
    pub phone_number: Option<String>,
    /// Scheme and host of the REST API; plain http only on loopback.
    pub api_base: String,
}

impl Default for TwilioSettings {
    fn default() -> Self {
        Self {
            account_sid: None,
            auth_token: None,
            api_key: None,
            shared_keys: BTreeMap::new(),
            phone_number: None,
            api_base: "https://api.twilio.com".to_owned(),
        }
    }
}

impl TwilioSettings {
    /// The secrets that verify webhooks.
    pub fn keys(&self) -> SignatureKeys {
        SignatureKeys {
            auth_tokens: self.auth_token.iter().cloned().collect(),
            shared_keys: self.shared_keys.clone(),
        }
    }
}
