//! Twilio, as the registry sees it.

use std::sync::Arc;

use crate::engine::CarrierControl;
use crate::providers::vendor::{
    Carrier, Check, Fault, Key, Kind, Setup, SetupResult, USD, key, ok, warn,
};

use super::shell::TwilioControl;
use super::{CARRIER as NAME, TwilioDesk, TwilioSettings, fakes, routes};

pub const CARRIER: Carrier = Carrier {
    name: NAME,
    title: "Twilio",
    usual_agent: crate::providers::elevenlabs::VENDOR,
    section: (
        NAME,
        "Twilio account. Its webhooks answer 503 until auth_token is set.",
    ),
    keys: KEYS,
    minute_price: key(
        "pricing.twilio_usd_per_min",
        USD,
        "",
        "Carrier minute, billed by the started minute.",
    ),
    console: "Phone Numbers → your number → Voice",
    urls: &[
        ("A call comes in", routes::INCOMING),
        ("Primary handler fails", routes::FALLBACK),
        ("Call status changes", routes::STATUS),
    ],
    account_key: "twilio.account_sid",
    secret_key: "twilio.auth_token",
    tells_quality: true,
    owns_id: |id| id.len() == 34 && id.starts_with("CA"),
    is_wanted: |setup| {
        let settings = settings(setup);
        settings.account_sid.is_some() || settings.auth_token.is_some()
    },
    is_open: |setup| settings(setup).auth_token.is_some(),
    warnings,
    desk: |setup| Arc::new(TwilioDesk::new(&settings(setup))),
    control,
    check,
    probe: |setup, http| {
        let TwilioSettings {
            account_sid: Some(sid),
            auth_token: Some(token),
            api_base,
            ..
        } = settings(setup)
        else {
            return None;
        };
        let url = format!("{api_base}/2010-04-01/Accounts/{sid}.json");
        Some(http.get(url).basic_auth(sid, Some(token.expose())))
    },
    fakes: fakes::FAKES,
};

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("twilio.account_sid", Kind::Text, "", "Account SID, AC…").env(&["TWILIO_ACCOUNT_SID"]),
    key("twilio.auth_token", Kind::Secret, "", "Auth token: signs webhooks and opens the REST API.").env(&["TWILIO_AUTH_TOKEN"]),
    key("twilio.phone_number", Kind::Phone, "", "Number that outgoing calls show.").env(&["TWILIO_PHONE_NUMBER"]),
    key("twilio.api_base", Kind::HttpUrl, "https://api.twilio.com", "REST API."),
];

pub(super) fn settings(setup: &Setup<'_>) -> TwilioSettings {
    let keys = setup.keys;
    TwilioSettings {
        account_sid: keys.text("twilio.account_sid"),
        auth_token: keys.secret("twilio.auth_token"),
        phone_number: keys.text("twilio.phone_number"),
        api_base: keys.text_or_default("twilio.api_base"),
        ..TwilioSettings::default()
    }
}

fn warnings(setup: &Setup<'_>) -> Vec<Fault> {
    let settings = settings(setup);
    if settings.account_sid.is_none() || settings.auth_token.is_some() {
        return Vec::new();
    }
    vec![(
        "twilio.account_sid is set but twilio.auth_token is not: its webhooks answer 503".into(),
        "set twilio.auth_token, TWILIO_AUTH_TOKEN or twilio.auth_token_file".into(),
    )]
}

fn control(setup: &Setup<'_>) -> SetupResult<Option<Arc<dyn CarrierControl>>> {
    let settings = settings(setup);
    if settings.account_sid.is_none() || settings.auth_token.is_none() {
        return Ok(None);
    }
    TwilioControl::new(&settings, setup.public_url)
        .map(|control| Some(Arc::new(control) as Arc<dyn CarrierControl>))
        .map_err(|error| error.to_string())
}

fn check(setup: &Setup<'_>) -> Check {
    let settings = settings(setup);
    match (&settings.account_sid, &settings.auth_token) {
        (Some(_), Some(_)) if settings.phone_number.is_none() => warn(
            NAME,
            "account and token are set, but no number to call from",
            "set twilio.phone_number (TWILIO_PHONE_NUMBER)",
        ),
        (Some(_), Some(_)) => ok(NAME, "account, token and number are set"),
        (_, None) => warn(
            NAME,
            "no auth token: its routes answer 503",
            "set twilio.auth_token_file or TWILIO_AUTH_TOKEN",
        ),
        (None, Some(_)) => warn(
            NAME,
            "no account SID: calls can be received but not ended or placed",
            "set twilio.account_sid (TWILIO_ACCOUNT_SID)",
        ),
    }
}
