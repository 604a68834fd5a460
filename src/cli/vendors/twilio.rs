//! Twilio, as the tables see it.

use std::sync::Arc;

use crate::engine::CarrierControl;
use crate::providers::twilio::shell::TwilioControl;
use crate::providers::twilio::{self, TwilioSettings};
use crate::server::TwilioDesk;

use super::super::config::Config;
use super::super::doctor::{Check, ok, warn};
use super::{Carrier, SetupResult};

pub const CARRIER: Carrier = Carrier {
    name: twilio::CARRIER,
    title: "Twilio",
    usual_agent: crate::providers::elevenlabs::VENDOR,
    console: "Phone Numbers → your number → Voice",
    urls: &[
        ("A call comes in", "/incoming-call"),
        ("Primary handler fails", "/fallback-twiml"),
        ("Call status changes", "/call-status-callback"),
    ],
    secret_key: "twilio.auth_token",
    is_wanted: |config| config.twilio.account_sid.is_some() || config.twilio.auth_token.is_some(),
    is_open: |config| config.twilio.auth_token.is_some(),
    desk: |config| Arc::new(TwilioDesk::new(&settings(config))),
    control,
    check,
    probe: |config, http| {
        let twilio = &config.twilio;
        let (sid, token) = (twilio.account_sid.as_ref()?, twilio.auth_token.as_ref()?);
        let url = format!("{}/2010-04-01/Accounts/{sid}.json", twilio.api_base);
        Some(http.get(url).basic_auth(sid, Some(token.expose())))
    },
};

fn settings(config: &Config) -> TwilioSettings {
    let twilio = &config.twilio;
    TwilioSettings {
        account_sid: twilio.account_sid.clone(),
        auth_token: twilio.auth_token.clone(),
        phone_number: twilio.phone_number.clone(),
        api_base: twilio.api_base.clone(),
        ..TwilioSettings::default()
    }
}

fn control(config: &Config) -> SetupResult<Option<Arc<dyn CarrierControl>>> {
    let settings = settings(config);
    if settings.account_sid.is_none() || settings.auth_token.is_none() {
        return Ok(None);
    }
    TwilioControl::new(&settings, config.server.public_url.as_deref())
        .map(|control| Some(Arc::new(control) as Arc<dyn CarrierControl>))
        .map_err(|error| error.to_string())
}

fn check(config: &Config) -> Check {
    let twilio = &config.twilio;
    match (&twilio.account_sid, &twilio.auth_token) {
        (Some(_), Some(_)) if twilio.phone_number.is_none() => warn(
            "twilio",
            "account and token are set, but no number to call from",
            "set twilio.phone_number (TWILIO_PHONE_NUMBER)",
        ),
        (Some(_), Some(_)) => ok("twilio", "account, token and number are set"),
        (_, None) => warn(
            "twilio",
            "no auth token: its routes answer 503",
            "set twilio.auth_token_file or TWILIO_AUTH_TOKEN",
        ),
        (None, Some(_)) => warn(
            "twilio",
            "no account SID: calls can be received but not ended or placed",
            "set twilio.account_sid (TWILIO_ACCOUNT_SID)",
        ),
    }
}
