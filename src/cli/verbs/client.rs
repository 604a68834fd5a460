//! The HTTP API of a running backend, as the verbs use it: where it is, which token, what went
//! wrong in words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::call::Secret;
use crate::cli::args::Remote;
use crate::cli::config::Config;
use crate::cli::{Exit, Failure, Outcome, demo, local};

/// Where a backend is and how to be let in.
#[derive(Clone, Debug)]
pub struct Place {
    pub url: Url,
    pub token: Option<Secret>,
}

/// One backend.
#[derive(Clone, Debug)]
pub struct Client {
    pub place: Place,
    http: reqwest::Client,
}

impl Place {
    /// `--url`, else the backend that runs on this data directory, else the demo of this user.
    ///
    /// The token is, in this order: `--token-file`, `WALLBOARD_TOKEN`, the token store; for this
    /// machine's own backend also its admin token on file.
    pub fn find(remote: &Remote, config: &Config) -> Outcome<Self> {
        let given = given_token(remote, config)?;
        if let Some(text) = &remote.url {
            let url = parse_url(text)?;
            let token = given.or_else(|| stored_token(&url));
            return Ok(Self { url, token });
        }
        let on = |dir: PathBuf| Some((local::read_backend(&dir)?, dir));
        let here = on(config.data_dir.clone());
        let is_left_over = here
            .as_ref()
            .and_then(|(backend, _)| i32::try_from(backend.pid).ok())
            .is_some_and(local::is_gone);
        // A demo keeps its data in a place of its own; who opens a second terminal beside it means
        // it. A backend that was killed has left its word behind, and so has one in a container.
        let found = if here.is_none() || is_left_over {
            demo::running_data_dir(&std::env::temp_dir())
                .and_then(on)
                .or(here)
        } else {
            here
        };
        let Some((backend, data_dir)) = found else {
            return Err(Failure::unreachable(
                "no wallboard is running on this machine",
                "start one with `wallboard serve`, or name another with --url",
            ));
        };
        let url = parse_url(&backend.url)?;
        let token = given.or_else(|| local::read_token(&data_dir));
        Ok(Self { url, token })
    }
}

/// Reads a backend's URL; a bare host means https.
pub fn parse_url(text: &str) -> Outcome<Url> {
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&full).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
    });
    url.ok_or_else(|| {
        Failure::usage(
            format!("{text:?} is not the URL of a backend"),
            "write it like https://calls.example.com or http://127.0.0.1:8787",
        )
    })
}

/// `--token-file`, else `WALLBOARD_TOKEN` (which the configuration knows as `auth.admin_token`).
pub fn given_token(remote: &Remote, config: &Config) -> Outcome<Option<Secret>> {
    if let Some(path) = &remote.token_file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(
                format!("the token file {} cannot be read: {error}", path.display()),
                "check --token-file",
            )
        })?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Failure::usage(
                format!("the token file {} is empty", path.display()),
                "put the token into it, and nothing else",
            ));
        }
        return Ok(Some(Secret::new(text)));
    }
    Ok(config.auth.admin_token.clone())
}

fn token_path(url: &Url) -> Option<std::path::PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    let name: String = url
        .origin()
        .ascii_serialization()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    Some(base.config_dir().join("wallboard/tokens").join(name))
}

/// The token kept for this backend.
pub fn stored_token(url: &Url) -> Option<Secret> {
    let text = std::fs::read_to_string(token_path(url)?).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| Secret::new(text))
}

/// Keeps a token for this backend, readable by its owner only.
pub fn store_token(url: &Url, token: &Secret) -> std::io::Result<()> {
    let Some(path) = token_path(url) else {
        return Err(std::io::Error::other("there is no home directory"));
    };
    local::make_private(path.parent().unwrap_or(Path::new(".")))?;
    local::write_private(&path, token.expose())
}

/// The one way this program speaks HTTP as a client: no redirects, so that a token or signature
/// never goes anywhere but where it was meant to.
pub fn http() -> Outcome<reqwest::Client> {
    reqwest::Client::builder()
        .use_rustls_tls()
        .connect_timeout(Duration::from_secs(3))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| {
            Failure::failed(
                format!("no HTTP client: {error}"),
                "check the machine's certificate store",
            )
        })
}

impl Client {
    pub fn find(remote: &Remote, config: &Config) -> Outcome<Self> {
        Self::new(Place::find(remote, config)?)
    }

    pub fn new(place: Place) -> Outcome<Self> {
        Ok(Self {
            place,
            http: http()?,
        })
    }

    /// A URL below the backend's own; path segments are escaped.
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.place.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub async fn get<T: DeserializeOwned>(&self, url: Url) -> Outcome<T> {
        self.ask(Method::GET, url, None).await
    }

    pub async fn post<T: DeserializeOwned>(&self, url: Url, body: &Value) -> Outcome<T> {
        self.ask(Method::POST, url, Some(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Outcome<T> {
        let mut request = self.request(method, url).timeout(Duration::from_secs(20));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.gone(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.gone(&error))?;
        if !status.is_success() {
            return Err(refusal(status, &text));
        }
        serde_json::from_str(&text).map_err(|_| {
            Failure::failed(
                format!(
                    "{} answered something else than wallboard does",
                    self.place.url
                ),
                "check the URL; a proxy may have answered instead",
            )
        })
    }

    pub async fn delete<T: DeserializeOwned>(&self, url: Url) -> Outcome<T> {
        self.ask(Method::DELETE, url, None).await
    }

    /// An answer whose body is read as it comes.
    pub async fn open(&self, url: Url) -> Outcome<reqwest::Response> {
        let response = self
            .request(Method::GET, url)
            .send()
            .await
            .map_err(|error| self.gone(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        Err(refusal(status, &text))
    }

    fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url);
        match &self.place.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    fn gone(&self, error: &reqwest::Error) -> Failure {
        let url = &self.place.url;
        if error.is_timeout() {
            return Failure::unreachable(
                format!("{url} did not answer in time"),
                "check that it is up, and the network between",
            );
        }
        let mut reason = String::new();
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(inner) = source {
            reason = inner.to_string();
            source = inner.source();
        }
        Failure::unreachable(
            format!("{url} cannot be reached: {reason}"),
            "check the URL and that the backend is running",
        )
    }
}

/// The API's own words for a refusal, or the status where it has none.
fn refusal(status: StatusCode, body: &str) -> Failure {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let error = &body["error"];
    let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let exit = match status.as_u16() {
        401 | 403 => Exit::Refused,
        404 => Exit::NotFound,
        400 | 405 | 413 | 415 | 422 => Exit::Usage,
        502..=504 => Exit::Unreachable,
        _ => Exit::Failed,
    };
    let (mut message, mut fix) = (word("message"), word("hint"));
    if message.is_empty() {
        message = format!("the backend answered {status}");
    }
    if fix.is_empty() && status.as_u16() == 401 {
        fix = "give a token with --token-file or WALLBOARD_TOKEN".into();
    }
    let mut failure = Failure::new(exit, message, fix);
    if !word("code").is_empty() {
        failure.code = word("code");
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_host_means_https_and_nonsense_is_usage() {
        assert_eq!(
            parse_url("calls.example.com").expect("a host").as_str(),
            "https://calls.example.com/"
        );
        assert_eq!(parse_url("ftp://x").expect_err("no").exit, Exit::Usage);
        assert_eq!(parse_url("").expect_err("no").exit, Exit::Usage);
    }

    #[test]
    fn refusals_map_to_exit_codes() {
        let body = r#"{"success":false,"error":{"code":"forbidden","message":"no","hint":"ask"}}"#;
        let failure = refusal(StatusCode::FORBIDDEN, body);
        assert_eq!(
            (failure.exit, failure.code.as_str()),
            (Exit::Refused, "forbidden")
        );
        assert_eq!(refusal(StatusCode::NOT_FOUND, "").exit, Exit::NotFound);
        assert_eq!(
            refusal(StatusCode::BAD_GATEWAY, "<html>").exit,
            Exit::Unreachable
        );
    }
}
