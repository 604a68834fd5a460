//! `wallboard trigger`: a fake webhook, signed as the vendor signs, sent to a backend. What there is
//! to send and how it is signed are the vendors'.
//!
//! The right to send one is knowing the signing secret, which comes from the configuration.

use serde_json::json;

use crate::engine::{Clock, random};
use crate::providers::vendor::registry::fakes;
use crate::providers::vendor::{Fake, FakeAsk, FakeKind};

use super::args::TriggerArgs;
use super::config::{Config, nearest};
use super::out::{self, Table};
use super::verbs::Place;
use super::{Failure, Outcome};

pub async fn run(args: &TriggerArgs, config: &Config, as_json: bool) -> Outcome {
    let Some(name) = &args.event else {
        return list(as_json);
    };
    let found = fakes().find(|(kind, _)| kind.name == name);
    let (kind, vendor) = found.ok_or_else(|| {
        let fix = nearest(name, fakes().map(|(kind, _)| kind.name)).map_or_else(
            || "`wallboard trigger` lists them".to_owned(),
            |close| format!("did you mean {close}?"),
        );
        Failure::usage(format!("there is no event {name}"), fix)
    })?;
    let place = Place::find(&args.remote, config)?;
    let sent_to = place.url.as_str().trim_end_matches('/').to_owned();
    let signed_for = config.server.public_url.clone().unwrap_or(sent_to.clone());
    let named = args.sid.clone();
    let sid = named.unwrap_or_else(|| (vendor.random_id)(random()));
    let ask = FakeAsk {
        setup: &config.setup(),
        signed_for: &signed_for,
        sid: &sid,
        sid_is_named: args.sid.is_some(),
        conversation: args.conversation.as_deref(),
        lead: args.lead.as_deref(),
        text: args.text.as_deref(),
        status: args.status.as_deref(),
        fields: &fields(args)?,
        now: Clock::start().now(),
        nonce: u64::from_le_bytes(random()),
    };
    let fake = (vendor.make)(kind, &ask).map_err(|(message, fix)| Failure::usage(message, fix))?;
    send(&sent_to, &signed_for, kind, &sid, fake, as_json).await
}

fn list(as_json: bool) -> Outcome {
    if as_json {
        for (kind, _) in fakes() {
            out::json(&json!({"event": kind.name, "path": kind.path, "about": kind.about}))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["EVENT", "PATH", "WHAT"]);
    for (kind, _) in fakes() {
        table.row([kind.name, kind.path, kind.about].map(str::to_owned));
    }
    table.print()
}

/// Splits `--set NAME=VALUE`.
fn fields(args: &TriggerArgs) -> Outcome<Vec<(String, String)>> {
    args.fields
        .iter()
        .map(|text| {
            text.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .ok_or_else(|| {
                    Failure::usage(format!("--set {text} has no ="), "write --set NAME=VALUE")
                })
        })
        .collect()
}

async fn send(
    sent_to: &str,
    signed_for: &str,
    kind: &FakeKind,
    sid: &str,
    fake: Fake,
    as_json: bool,
) -> Outcome {
    let query = fake
        .query
        .map_or_else(String::new, |query| format!("?{query}"));
    let url = format!("{sent_to}{}{query}", kind.path);
    let http = super::verbs::http()?;
    let mut request = http.post(&url).body(fake.body);
    for (name, value) in fake.headers {
        request = request.header(name, value);
    }
    let response = request
        .timeout(std::time::Duration::from_secs(20))
        .send()
        .await
        .map_err(|_| {
            Failure::unreachable(
                format!("{sent_to} cannot be reached"),
                "check --url and that the backend is running",
            )
        })?;
    let status = response.status();
    let answer = response.text().await.unwrap_or_default();
    if as_json {
        out::json(&json!({
            "event": kind.name, "sid": sid, "url": format!("{signed_for}{}", kind.path),
            "status": status.as_u16(), "answer": answer,
        }))?;
    } else {
        out::line(&format!("{} {} → {status}", kind.name, sid))?;
        let answer = crate::call::text::clean(&answer);
        if !answer.is_empty() {
            out::line(&answer)?;
        }
    }
    match status.as_u16() {
        200..=299 => Ok(()),
        401 | 403 => Err(Failure::refused(
            format!("the backend refused the signature ({status})"),
            "its secret or its server.public_url differs from the ones used here",
        )),
        503 => Err(Failure::failed(
            "the backend's route is closed: it has no signature secret",
            "set the secret on the backend",
        )),
        _ => Err(Failure::failed(
            format!("the backend answered {status}"),
            "see its log",
        )),
    }
}
