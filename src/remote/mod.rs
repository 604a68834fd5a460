//! The same `Backend` over Socket.IO: link states, backoff, resync.
//!
//! `link` decides when to dial and when to give up, `attach` speaks our own protocol, `compat` the
//! older event family; all three are pure. `socketio` holds the one client library, `backend` runs
//! everything, `http` is what does not fit into Socket.IO. Nothing else names the library.

mod attach;
mod backend;
mod chat;
mod compat;
mod http;
mod link;
mod screens;
mod socketio;
mod translator;

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::call::Secret;

pub use backend::RemoteBackend;
pub use chat::{ChatLink, ChatNews};

/// Asked for the token before every attempt, so that a renewed one is used at once.
pub type TokenSource = Arc<dyn Fn() -> Option<Secret> + Send + Sync>;

/// Where the backend is and how it proves itself.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteSettings {
    /// `http(s)://host[:port][/path]`, without a slash at the end.
    base: String,
    /// PEM of a private certificate authority to trust beside the system's.
    pub ca_pem: Option<Vec<u8>>,
}

impl fmt::Debug for RemoteSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSettings")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Why attaching cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("{0} is not the URL of a backend (http:// or https://)")]
    Url(String),
    #[error("credentials do not belong in the URL; give the token with --token-file")]
    Credentials,
    #[error("the certificate authority's file cannot be read: {0}")]
    Authority(String),
    #[error("the HTTP client could not be set up")]
    Http(#[from] reqwest::Error),
}

impl RemoteSettings {
    /// Reads the backend's URL; `ws` and `wss` are taken for `http` and `https`, no scheme for
    /// `http` on loopback and `https` elsewhere.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub fn new(url: &str) -> Result<Self, RemoteError> {
        let wrong = || RemoteError::Url(url.chars().take(100).collect());
        let text = url.trim();
        let text = match text.split_once("://") {
            Some(("ws", rest)) => format!("http://{rest}"),
            Some(("wss", rest)) => format!("https://{rest}"),
            Some(_) => text.to_owned(),
            None if is_local(text) => format!("http://{text}"),
            None => format!("https://{text}"),
        };
        let parsed = Url::parse(&text).map_err(|_| wrong())?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(RemoteError::Credentials);
        }
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(wrong());
        }
        let mut base = parsed;
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
            ca_pem: None,
        })
    }

    /// The backend's URL without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether the token would travel unencrypted beyond this machine.
    pub fn is_exposed(&self) -> bool {
        let host = self.base.strip_prefix("http://");
        host.is_some_and(|host| !is_local(host))
    }
}

fn is_local(host: &str) -> bool {
    let named = |name: &str| {
        host.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    };
    named("localhost") || named("127.0.0.1") || named("[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_backends_are_completed() {
        let base = |url: &str| RemoteSettings::new(url).map(|settings| settings.base).ok();
        assert_eq!(
            base("localhost:8787").as_deref(),
            Some("http://localhost:8787")
        );
        assert_eq!(
            base("wb.example.com").as_deref(),
            Some("https://wb.example.com")
        );
        assert_eq!(
            base("wss://h/path/?x=1#y").as_deref(),
            Some("https://h/path")
        );
        assert_eq!(base("ftp://h"), None);
        assert_eq!(base("https://user:pw@h"), None);
        assert!(RemoteSettings::new("http://10.0.0.1").unwrap().is_exposed());
        assert!(
            !RemoteSettings::new("http://127.0.0.1:1")
                .unwrap()
                .is_exposed()
        );
        assert!(
            RemoteSettings::new("http://localhost.evil.example")
                .unwrap()
                .is_exposed()
        );
    }
}
