//! Plivo, as the tables see it.

use std::sync::Arc;

use crate::engine::CarrierControl;
use crate::providers::plivo::shell::PlivoControl;
use crate::providers::plivo::{self, PlivoSettings, routes};
use crate::server::PlivoDesk;

use super::super::config::Config;
use super::super::doctor::{Check, ok, warn};
use super::{Carrier, SetupResult};

pub const CARRIER: Carrier = Carrier {
    name: plivo::CARRIER,
    title: "Plivo",
    usual_agent: crate::providers::openai::VENDOR,
    console: "Voice → Applications → your XML application",
    urls: &[
        ("Primary Answer URL", routes::ANSWER),
        ("Fallback Answer URL", routes::FALLBACK),
        ("Hangup URL", routes::HANGUP),
    ],
    secret_key: "plivo.auth_token",
    is_wanted: |config| config.plivo.auth_id.is_some() || config.plivo.auth_token.is_some(),
    is_open: |config| config.plivo.auth_token.is_some(),
    desk: |config| Arc::new(PlivoDesk::new(&settings(config))),
    control,
    check,
    probe: |config, http| {
        let plivo = &config.plivo;
        let (id, token) = (plivo.auth_id.as_ref()?, plivo.auth_token.as_ref()?);
        let url = format!("{}/v1/Account/{id}/", plivo.api_base);
        Some(http.get(url).basic_auth(id, Some(token.expose())))
    },
};

fn settings(config: &Config) -> PlivoSettings {
    let plivo = &config.plivo;
    PlivoSettings {
        auth_id: plivo.auth_id.clone(),
        auth_token: plivo.auth_token.clone(),
        other_tokens: plivo.other_auth_token.iter().cloned().collect(),
        phone_number: plivo.phone_number.clone(),
        api_base: plivo.api_base.clone(),
        accept_v2: plivo.accept_v2,
        header_prefix: plivo.header_prefix.to_ascii_lowercase(),
    }
}

fn control(config: &Config) -> SetupResult<Option<Arc<dyn CarrierControl>>> {
    let settings = settings(config);
    if settings.auth_id.is_none() || settings.auth_token.is_none() {
        return Ok(None);
    }
    PlivoControl::new(&settings, config.server.public_url.as_deref())
        .map(|control| Some(Arc::new(control) as Arc<dyn CarrierControl>))
        .map_err(|error| error.to_string())
}

fn check(config: &Config) -> Check {
    let plivo = &config.plivo;
    match (&plivo.auth_id, &plivo.auth_token) {
        (Some(_), Some(_)) if plivo.phone_number.is_none() => warn(
            "plivo",
            "account and token are set, but no number to call from",
            "set plivo.phone_number (PLIVO_PHONE_NUMBER)",
        ),
        (Some(_), Some(_)) => ok("plivo", "account, token and number are set"),
        (_, None) => warn(
            "plivo",
            "no auth token: its routes answer 503",
            "set plivo.auth_token_file or PLIVO_AUTH_TOKEN",
        ),
        (None, Some(_)) => warn(
            "plivo",
            "no auth ID: calls can be received but not ended or placed",
            "set plivo.auth_id (PLIVO_AUTH_ID)",
        ),
    }
}
