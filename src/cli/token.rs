//! `wallboard token add|ls|revoke`: edits the token file; a running backend follows it.

use std::collections::BTreeSet;

use serde_json::json;

use crate::call::{Grant, Role, Verb};
use crate::engine::Clock;
use crate::server::{TokenError, TokenRecord, TokenStore};

use super::args::TokenVerb;
use super::config::{Config, nearest, span};
use super::out::{self, Table};
use super::{Failure, Outcome, local};

pub fn run(verb: &TokenVerb, config: &Config, as_json: bool) -> Outcome {
    let store = TokenStore::in_dir(&config.data_dir);
    match verb {
        TokenVerb::Add {
            name,
            role,
            verbs,
            leads,
            expires,
        } => {
            local::make_private(&config.data_dir).map_err(|error| {
                Failure::failed(
                    format!("{} cannot be made: {error}", config.data_dir.display()),
                    "give another with --data-dir",
                )
            })?;
            let grant = grant(
                name,
                role,
                verbs.as_deref(),
                leads.as_deref(),
                expires.as_deref(),
            )?;
            add(&store, grant, as_json)
        }
        TokenVerb::Ls => list(&store, as_json),
        TokenVerb::Revoke { name } => {
            store.revoke(name, Clock::start().now()).map_err(failure)?;
            if as_json {
                return out::json(&json!({"name": name, "revoked": true}));
            }
            out::line(&format!(
                "{name} is revoked; open connections are cut within two seconds"
            ))
        }
    }
}

fn grant(
    name: &str,
    role: &str,
    verbs: Option<&str>,
    leads: Option<&str>,
    expires: Option<&str>,
) -> Outcome<Grant> {
    let role = Role::parse(role).ok_or_else(|| {
        Failure::usage(
            format!("there is no role {role}"),
            "roles are viewer, listener, operator and admin",
        )
    })?;
    let mut grant = Grant::of(name, role);
    for word in verbs.unwrap_or_default().split(',').map(str::trim) {
        if word.is_empty() {
            continue;
        }
        let (set, bare) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
            (Some(bare), _) => (&mut grant.plus, bare),
            (_, Some(bare)) => (&mut grant.minus, bare),
            _ => {
                return Err(Failure::usage(
                    format!("{word} says neither + nor -"),
                    "write --verbs=+unmask,-dial",
                ));
            }
        };
        set.insert(verb(bare)?);
    }
    if let Some(leads) = leads {
        let leads: BTreeSet<String> = leads
            .split(',')
            .map(str::trim)
            .filter(|lead| !lead.is_empty())
            .map(str::to_owned)
            .collect();
        grant.leads = Some(leads);
    }
    if let Some(text) = expires {
        let wanted = span(text).and_then(|span| chrono::Duration::from_std(span).ok());
        let wanted = wanted.filter(|span| !span.is_zero()).ok_or_else(|| {
            Failure::usage(
                format!("{text} is not a duration"),
                "write it like 12h or 30d",
            )
        })?;
        grant.expires_at = Clock::start().now().checked_add_signed(wanted);
    }
    Ok(grant)
}

fn verb(word: &str) -> Outcome<Verb> {
    Verb::parse(word).ok_or_else(|| {
        let fix = nearest(word, Verb::ALL.map(Verb::as_str)).map_or_else(
            || {
                let all = Verb::ALL.map(Verb::as_str);
                format!("verbs are {}", all.join(", "))
            },
            |close| format!("did you mean {close}?"),
        );
        Failure::usage(format!("there is no verb {word}"), fix)
    })
}

fn add(store: &TokenStore, grant: Grant, as_json: bool) -> Outcome {
    let shown = grant.clone();
    let token = store.add(grant, Clock::start().now()).map_err(failure)?;
    if as_json {
        return out::json(&json!({
            "name": shown.user, "role": shown.role, "token": token,
            "verbs": shown.verbs(), "leads": shown.leads, "expires_at": shown.expires_at,
        }));
    }
    super::config_verbs::notice("this is shown once; only its hash is kept");
    out::line(&token)
}

fn list(store: &TokenStore, as_json: bool) -> Outcome {
    let now = Clock::start().now();
    let mut tokens = store.load().map_err(failure)?;
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    if as_json {
        for token in &tokens {
            out::json(&json!({
                "name": token.name, "role": token.role, "plus": token.plus, "minus": token.minus,
                "leads": token.leads, "created_at": token.created_at,
                "expires_at": token.expires_at, "revoked_at": token.revoked_at,
                "good": token.is_good_at(now),
            }))?;
        }
        return Ok(());
    }
    if tokens.is_empty() {
        super::config_verbs::notice("no tokens yet: wallboard token add NAME --role viewer");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "ROLE", "VERBS", "LEADS", "EXPIRES", "STATE"]);
    for token in &tokens {
        table.row(cells(token, now));
    }
    table.print()
}

fn cells(token: &TokenRecord, now: chrono::DateTime<chrono::Utc>) -> [String; 6] {
    let plus = token.plus.iter().map(|verb| format!("+{}", verb.as_str()));
    let minus = token.minus.iter().map(|verb| format!("-{}", verb.as_str()));
    let verbs: Vec<String> = plus.chain(minus).collect();
    let or_dash = |text: String| {
        if text.is_empty() {
            "–".to_owned()
        } else {
            text
        }
    };
    let leads = token
        .leads
        .as_ref()
        .map(|leads| leads.iter().cloned().collect::<Vec<_>>().join(","))
        .unwrap_or_default();
    let expires = token
        .expires_at
        .map(|at| at.format("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default();
    let state = if token.revoked_at.is_some() {
        "revoked"
    } else if token.is_good_at(now) {
        "good"
    } else {
        "expired"
    };
    [
        token.name.clone(),
        token.role.as_str().into(),
        or_dash(verbs.join(",")),
        or_dash(leads),
        or_dash(expires),
        state.into(),
    ]
}

fn failure(error: TokenError) -> Failure {
    match &error {
        TokenError::Unknown(_) => {
            Failure::not_found(error.to_string(), "`wallboard token ls` lists them")
        }
        TokenError::Exists(name) => Failure::failed(
            error.to_string(),
            format!("take another name, or wallboard token revoke {name}"),
        ),
        TokenError::Io { .. } => Failure::failed(
            error.to_string(),
            "mend its owner and permissions, or give another --data-dir",
        ),
        TokenError::Malformed { .. } => Failure::failed(
            error.to_string(),
            "set the file aside; named tokens must then be made again",
        ),
    }
}
