//! Plivo, as the registry sees it.

use std::sync::Arc;

use crate::engine::CarrierControl;
use crate::providers::vendor::{
    Carrier, Check, Fault, Key, Kind, Setup, SetupResult, USD, key, ok, warn,
};

use super::shell::PlivoControl;
use super::{CARRIER as NAME, PlivoDesk, PlivoSettings, fakes, routes};

pub const CARRIER: Carrier = Carrier {
    name: NAME,
    title: "Plivo",
    usual_agent: crate::providers::openai::VENDOR,
    section: (
        NAME,
        "Plivo account. Its webhooks answer 503 until auth_token is set.",
    ),
    keys: KEYS,
    minute_price: key("pricing.plivo_usd_per_min", USD, "", "Carrier minute."),
    console: "Voice → Applications → your XML application",
    urls: &[
        ("Primary Answer URL", routes::ANSWER),
        ("Fallback Answer URL", routes::FALLBACK),
        ("Hangup URL", routes::HANGUP),
    ],
    account_key: "plivo.auth_id",
    secret_key: "plivo.auth_token",
    tells_quality: false,
    // Its ids are UUIDs, and so may be anybody's.
    owns_id: |_| false,
    is_wanted: |setup| {
        let settings = settings(setup);
        settings.auth_id.is_some() || settings.auth_token.is_some()
    },
    is_open: |setup| settings(setup).auth_token.is_some(),
    warnings,
    desk: |setup| Arc::new(PlivoDesk::new(&settings(setup))),
    control,
    check,
    probe: |setup, http| {
        let PlivoSettings {
            auth_id: Some(id),
            auth_token: Some(token),
            api_base,
            ..
        } = settings(setup)
        else {
            return None;
        };
        let url = format!("{api_base}/v1/Account/{id}/");
        Some(http.get(url).basic_auth(id, Some(token.expose())))
    },
    fakes: fakes::FAKES,
};

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("plivo.auth_id", Kind::Text, "", "Auth ID, MA…").env(&["PLIVO_AUTH_ID"]),
    key("plivo.auth_token", Kind::Secret, "", "Auth token: signs webhooks and opens the REST API.").env(&["PLIVO_AUTH_TOKEN"]),
    key("plivo.other_auth_token", Kind::Secret, "", "Also accepted under webhooks: a subaccount's token, or the old one while it is being changed."),
    key("plivo.phone_number", Kind::Phone, "", "Number that outgoing calls show.").env(&["PLIVO_PHONE_NUMBER"]),
    key("plivo.api_base", Kind::HttpUrl, "https://api.plivo.com", "REST API."),
    key("plivo.header_prefix", Kind::Text, "x-plivo", "How the names of its signature headers begin; x-vobiz for that compatible carrier."),
    key("plivo.accept_v2", Kind::Flag, "false", "Accept webhooks that carry only the old V2 signature, which does not cover the body."),
];

pub(super) fn settings(setup: &Setup<'_>) -> PlivoSettings {
    let keys = setup.keys;
    PlivoSettings {
        auth_id: keys.text("plivo.auth_id"),
        auth_token: keys.secret("plivo.auth_token"),
        other_tokens: keys.secret("plivo.other_auth_token").into_iter().collect(),
        phone_number: keys.text("plivo.phone_number"),
        api_base: keys.text_or_default("plivo.api_base"),
        accept_v2: keys.flag("plivo.accept_v2"),
        header_prefix: keys
            .text_or_default("plivo.header_prefix")
            .to_ascii_lowercase(),
    }
}

fn warnings(setup: &Setup<'_>) -> Vec<Fault> {
    let settings = settings(setup);
    if settings.auth_id.is_none() || settings.auth_token.is_some() {
        return Vec::new();
    }
    vec![(
        "plivo.auth_id is set but plivo.auth_token is not: its webhooks answer 503".into(),
        "set plivo.auth_token, PLIVO_AUTH_TOKEN or plivo.auth_token_file".into(),
    )]
}

fn control(setup: &Setup<'_>) -> SetupResult<Option<Arc<dyn CarrierControl>>> {
    let settings = settings(setup);
    if settings.auth_id.is_none() || settings.auth_token.is_none() {
        return Ok(None);
    }
    PlivoControl::new(&settings, setup.public_url)
        .map(|control| Some(Arc::new(control) as Arc<dyn CarrierControl>))
        .map_err(|error| error.to_string())
}

fn check(setup: &Setup<'_>) -> Check {
    let settings = settings(setup);
    match (&settings.auth_id, &settings.auth_token) {
        (Some(_), Some(_)) if settings.phone_number.is_none() => warn(
            NAME,
            "account and token are set, but no number to call from",
            "set plivo.phone_number (PLIVO_PHONE_NUMBER)",
        ),
        (Some(_), Some(_)) => ok(NAME, "account, token and number are set"),
        (_, None) => warn(
            NAME,
            "no auth token: its routes answer 503",
            "set plivo.auth_token_file or PLIVO_AUTH_TOKEN",
        ),
        (None, Some(_)) => warn(
            NAME,
            "no auth ID: calls can be received but not ended or placed",
            "set plivo.auth_id (PLIVO_AUTH_ID)",
        ),
    }
}
