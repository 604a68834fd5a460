//! Opens conversations: the only file of this vendor that dials out. The key goes into a header of
//! the configured host's handshake and nowhere else.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::engine::{AgentConnection, AgentDialer, AgentError, Clock};
use crate::providers::shell::{BaseError, base_url, dial};

use super::{Dialect, KeyHeader, OpenAiCodec, OpenAiSettings, VENDOR};

/// Why conversations cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenAiSetupError {
    #[error("openai.realtime_url {0}")]
    Base(#[from] BaseError),
    #[error("openai.{0} cannot stand in a header")]
    Header(&'static str),
}

/// Opens conversations with one agent. Cheap to clone.
#[derive(Clone)]
pub struct OpenAiDialer {
    settings: Arc<OpenAiSettings>,
    url: Arc<str>,
    headers: HeaderMap,
}

impl fmt::Debug for OpenAiDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiDialer")
            .field("model", &self.settings.model)
            .finish_non_exhaustive()
    }
}

impl OpenAiDialer {
    /// A dialler for the agent these settings describe.
    ///
    /// # Errors
    /// [`OpenAiSetupError`] names the setting that is wrong.
    pub fn new(settings: OpenAiSettings) -> Result<Self, OpenAiSetupError> {
        let base = base_url(&settings.realtime_url)?;
        // A base given as http is meant as the socket of the same host.
        let base = base.replacen("http", "ws", usize::from(base.starts_with("http")));
        let mut url = Url::parse(&base).map_err(|_| OpenAiSetupError::Header("realtime_url"))?;
        let has_model = url.query_pairs().any(|(name, _)| name == "model");
        if !has_model && !settings.model.is_empty() {
            url.query_pairs_mut().append_pair("model", &settings.model);
        }
        Ok(Self {
            headers: headers(&settings)?,
            url: url.as_str().into(),
            settings: Arc::new(settings),
        })
    }

    fn request(&self) -> Option<Request> {
        let mut request = self.url.as_ref().into_client_request().ok()?;
        request.headers_mut().extend(self.headers.clone());
        Some(request)
    }

    async fn connect_now(self) -> Result<AgentConnection, AgentError> {
        let request = self
            .request()
            .ok_or_else(|| AgentError::Refused("the agent's URL is unusable".into()))?;
        match dial(request).await {
            Ok(dialled) => {
                // The vendor's clock, so that its times mean what it means by them.
                let opened_at = dialled
                    .peer_unix_s
                    .unwrap_or_else(|| Clock::start().now().timestamp());
                let codec = OpenAiCodec::new(self.settings.as_ref().clone()).opened_at(opened_at);
                Ok((Box::new(dialled.socket), Box::new(codec)))
            }
            Err(None) => Err(AgentError::Timeout),
            Err(Some(Error::Http(response))) => Err(by_status(response.status().as_u16())),
            Err(Some(Error::Io(error))) => Err(AgentError::Unreachable(error.kind().to_string())),
            Err(Some(Error::Tls(_))) => Err(AgentError::Unreachable("TLS failed".into())),
            Err(Some(_)) => Err(AgentError::Unreachable("the handshake failed".into())),
        }
    }
}

impl AgentDialer for OpenAiDialer {
    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn can_say(&self) -> bool {
        true
    }

    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>> {
        self.clone().connect_now().boxed()
    }
}

/// The present dialect needs no header of its own, and the vendor refuses the older one's.
fn headers(settings: &OpenAiSettings) -> Result<HeaderMap, OpenAiSetupError> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str,
                   value: &str,
                   key: &'static str,
                   secret: bool|
     -> Result<(), OpenAiSetupError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| OpenAiSetupError::Header(key))?;
        value.set_sensitive(secret);
        headers.insert(HeaderName::from_static(name), value);
        Ok(())
    };
    if let Some(secret) = settings.api_key.as_ref().filter(|key| !key.is_empty()) {
        match settings.key_header {
            KeyHeader::Bearer => {
                let value = format!("Bearer {}", secret.expose());
                put("authorization", &value, "api_key", true)?;
            }
            KeyHeader::ApiKey => put("api-key", secret.expose(), "api_key", true)?,
        }
    }
    if let Some(organization) = &settings.organization {
        put("openai-organization", organization, "organization", false)?;
    }
    if let Some(project) = &settings.project {
        put("openai-project", project, "project", false)?;
    }
    if settings.dialect == Dialect::Beta {
        put("openai-beta", "realtime=v1", "dialect", false)?;
    }
    Ok(headers)
}

fn by_status(status: u16) -> AgentError {
    match status {
        401 | 403 => AgentError::Unauthorized,
        404 => AgentError::Refused("there is no such model, or no such address".into()),
        429 => AgentError::RateLimited,
        500.. => AgentError::Unreachable(format!("HTTP {status}")),
        _ => AgentError::Refused(format!("HTTP {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(settings: OpenAiSettings) -> OpenAiDialer {
        OpenAiDialer::new(OpenAiSettings {
            api_key: Some("canary".into()),
            ..settings
        })
        .unwrap()
    }

    #[test]
    fn the_key_travels_in_a_header_and_is_never_shown() {
        let dialer = dialer(OpenAiSettings::default());
        assert_eq!(
            dialer.url.as_ref(),
            "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"
        );
        let request = dialer.request().unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer canary");
        assert!(!request.headers().contains_key("openai-beta"));
        assert!(!format!("{dialer:?} {:?}", request.headers()).contains("canary"));
    }

    #[test]
    fn other_hosts_and_the_older_dialect_have_their_own_headers() {
        let other = dialer(OpenAiSettings {
            realtime_url: "http://127.0.0.1:9/v1/realtime?model=own".into(),
            dialect: Dialect::Beta,
            key_header: KeyHeader::ApiKey,
            organization: Some("org_1".into()),
            ..OpenAiSettings::default()
        });
        assert_eq!(other.url.as_ref(), "ws://127.0.0.1:9/v1/realtime?model=own");
        let request = other.request().unwrap();
        assert_eq!(request.headers()["openai-beta"], "realtime=v1");
        assert_eq!(request.headers()["api-key"], "canary");
        assert_eq!(request.headers()["openai-organization"], "org_1");
        assert!(!request.headers().contains_key("authorization"));
    }

    #[test]
    fn what_cannot_work_is_refused_at_the_start() {
        for settings in [
            OpenAiSettings {
                realtime_url: "ws://api.openai.com/v1/realtime".into(),
                ..OpenAiSettings::default()
            },
            OpenAiSettings {
                api_key: Some("bad\nkey".into()),
                ..OpenAiSettings::default()
            },
        ] {
            let error = OpenAiDialer::new(settings).unwrap_err();
            assert!(!error.to_string().contains("bad"), "{error}");
        }
    }
}
