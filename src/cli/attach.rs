//! `wallboard attach`: the screen on a backend that runs elsewhere.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::audio::Prime;
use crate::call::Secret;
use crate::engine::{Backend, Clock, Tasks};
use crate::remote::{RemoteBackend, RemoteError, RemoteSettings, TokenSource};
use crate::ui::{Exit, Mode};

use super::args::{AttachArgs, DemoArgs, Remote};
use super::config::Config;
use super::logging::{self, Sink};
use super::read_only::ReadOnly;
use super::screen::{self, Shown};
use super::verbs::{Place, parse_url, store_token, stored_token};
use super::{Failure, Outcome, config_verbs, local};

/// How long leaving waits for the link's tasks.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

pub async fn run(args: &AttachArgs, config: &Config, lines: bool) -> Outcome {
    let remote = Remote {
        url: args.url.clone(),
        token_file: args.token_file.clone(),
    };
    let place = Place::find(&remote, config)?;
    if args.save_token {
        keep_token(&place)?;
    }
    let log = log_path(config);
    logging::start(
        &config.log,
        log.as_deref().map_or(Sink::Nowhere, Sink::File),
    );
    let tasks = Tasks::new();
    let clock = Clock::start();
    let mut settings = settings(place.url.as_str())?;
    if let Some(path) = &args.ca_file {
        settings.ca_pem = Some(std::fs::read(path).map_err(|error| {
            Failure::usage(
                format!("{} cannot be read: {error}", path.display()),
                "give the PEM file of the certificate authority",
            )
        })?);
    }
    let token = token_source(place.clone(), remote.token_file.clone());
    let link = if args.compat {
        RemoteBackend::attach_compat(&settings, token, &tasks, clock)
    } else {
        RemoteBackend::attach(&settings, token, &tasks, clock)
    };
    let link: Arc<dyn Backend> = link.map_err(failure)?;
    let backend: Arc<dyn Backend> = if config.ui.read_only {
        Arc::new(ReadOnly::new(link, &tasks))
    } else {
        link
    };
    let shown = Shown {
        backend,
        mode: Mode::Attach,
        name: None,
        endpoints: Vec::new(),
        prime: Prime::Network,
        lines,
        url: Some(public(&place.url)),
        place: Some(whereabouts(&place.url)),
    };
    let exit = screen::show(config, shown, &tasks, clock).await;
    tasks.shutdown(LEAVE_WITHIN).await;
    match exit? {
        Exit::Demo => super::run::demo(&DemoArgs::default(), config, lines).await,
        _ => Ok(()),
    }
}

/// What is typed to reach it, without anything a URL may hold that is nobody's business.
fn public(url: &url::Url) -> String {
    let path = url.path().trim_end_matches('/');
    format!("{}{path}", url.origin().ascii_serialization())
}

/// What tells this backend from others, without anything a URL may hold that is nobody's business.
fn whereabouts(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{host}-{port}{}", url.path().trim_end_matches('/'))
}

/// The remote room's settings for a URL.
pub fn settings(url: &str) -> Outcome<RemoteSettings> {
    RemoteSettings::new(url).map_err(failure)
}

/// Asked before every attempt: a token file that was renewed is read again, a token that was stored
/// meanwhile is found.
pub fn token_source(place: Place, file: Option<std::path::PathBuf>) -> TokenSource {
    Arc::new(move || {
        let renewed = file.as_deref().and_then(read_token);
        renewed
            .or_else(|| place.token.clone())
            .or_else(|| stored_token(&place.url))
    })
}

fn read_token(path: &Path) -> Option<Secret> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| Secret::new(text))
}

fn keep_token(place: &Place) -> Outcome {
    let Some(token) = &place.token else {
        return Err(Failure::usage(
            "there is no token to keep",
            "give it with --token-file or WALLBOARD_TOKEN",
        ));
    };
    store_token(&place.url, token).map_err(|error| {
        Failure::failed(
            format!("the token cannot be kept: {error}"),
            "check the home directory",
        )
    })?;
    config_verbs::notice("the token is kept for this URL; next time it is found by itself");
    Ok(())
}

/// Beside a backend's own log, so that the two never mix.
fn log_path(config: &Config) -> Option<std::path::PathBuf> {
    local::make_private(&config.data_dir).ok()?;
    Some(config.data_dir.join("attach.log"))
}

fn failure(error: RemoteError) -> Failure {
    match &error {
        RemoteError::Url(_) => Failure::usage(
            error.to_string(),
            "write it like https://calls.example.com or http://127.0.0.1:8787",
        ),
        RemoteError::Credentials => Failure::usage(error.to_string(), ""),
        RemoteError::Authority(_) => Failure::usage(error.to_string(), "give a PEM file"),
        RemoteError::Http(_) => Failure::failed(error.to_string(), "check the certificate store"),
    }
}

/// Whether text is a URL at all, before anything is started for it.
pub fn check_url(text: &str) -> Outcome {
    parse_url(text).map(|_| ())
}
