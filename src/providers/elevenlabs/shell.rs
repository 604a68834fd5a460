//! Opens conversations: a signed URL by REST, then the socket. The key goes to the configured REST
//! host only, never into a URL and never to the host the signed URL names.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use url::Url;

use crate::call::Secret;
use crate::call::text::clean;
use crate::engine::{AgentConnection, AgentDialer, AgentError};
use crate::providers::shell::{
    BaseError, DIAL_WITHIN, Http, HttpAnswer, HttpFailure, base_url, dial,
};

use super::{ElevenLabsCodec, ElevenLabsSettings, VENDOR};

const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why conversations cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ElevenLabsSetupError {
    #[error("elevenlabs.{key} {error}")]
    Base { key: &'static str, error: BaseError },
    #[error("the HTTP client could not be set up")]
    Http(#[from] reqwest::Error),
}

/// Opens conversations with one agent. Cheap to clone.
#[derive(Clone)]
pub struct ElevenLabsDialer {
    http: Http,
    api_base: Arc<str>,
    ws_base: Arc<str>,
    api_key: Option<Secret>,
    agent_id: Arc<str>,
}

impl fmt::Debug for ElevenLabsDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElevenLabsDialer")
            .field("agent_id", &self.agent_id)
            .finish_non_exhaustive()
    }
}

impl ElevenLabsDialer {
    /// A dialler for `agent_id`, with the keys and hosts of `settings`.
    ///
    /// # Errors
    /// [`ElevenLabsSetupError`] names the setting that is wrong.
    pub fn new(
        settings: &ElevenLabsSettings,
        agent_id: &str,
    ) -> Result<Self, ElevenLabsSetupError> {
        let base =
            |key, text| base_url(text).map_err(|error| ElevenLabsSetupError::Base { key, error });
        let api_base = base("api_base", &settings.api_base)?;
        let ws_base = base("ws_base", &settings.ws_base)?;
        Ok(Self {
            http: Http::new(&api_base)?,
            api_base: api_base.into(),
            // A base given as http is meant as the socket of the same host.
            ws_base: ws_base
                .replacen("http", "ws", usize::from(ws_base.starts_with("http")))
                .into(),
            api_key: settings.api_key.clone(),
            agent_id: agent_id.into(),
        })
    }

    /// Where the conversation takes place: signed by the vendor, or the public agent's address.
    async fn address(&self) -> Result<Url, AgentError> {
        let Some(key) = &self.api_key else {
            let base = format!("{}/v1/convai/conversation", self.ws_base);
            return Url::parse_with_params(&base, [("agent_id", self.agent_id.as_ref())])
                .map_err(|error| AgentError::Refused(error.to_string()));
        };
        let url = format!("{}/v1/convai/conversation/get-signed-url", self.api_base);
        let build = || {
            let request = self
                .http
                .client()
                .get(&url)
                .query(&[("agent_id", self.agent_id.as_ref())]);
            request.header("xi-api-key", key.expose())
        };
        let answer = self
            .http
            .send_retrying(build, ANSWER_BYTES_MAX)
            .await
            .map_err(unreachable)?;
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        let signed: SignedUrl = serde_json::from_slice(&answer.body)
            .map_err(|error| AgentError::Refused(format!("unreadable signed URL: {error}")))?;
        // The same rule as for configured bases: encrypted, or loopback.
        base_url(&signed.signed_url)
            .ok()
            .and_then(|_| Url::parse(&signed.signed_url).ok())
            .filter(|url| matches!(url.scheme(), "ws" | "wss"))
            .ok_or_else(|| AgentError::Refused("the signed URL is not a secure WebSocket".into()))
    }

    async fn connect_now(self) -> Result<AgentConnection, AgentError> {
        let url = self.address().await?;
        let request = url.as_str().into_client_request();
        let request =
            request.map_err(|_| AgentError::Refused("the agent's URL is unusable".into()))?;
        match dial(request).await {
            Ok(dialled) => Ok((Box::new(dialled.socket), Box::new(ElevenLabsCodec::new()))),
            Err(None) => Err(AgentError::Timeout),
            Err(Some(Error::Http(response))) => Err(by_status(response.status().as_u16(), "")),
            Err(Some(Error::Io(error))) => Err(AgentError::Unreachable(error.kind().to_string())),
            Err(Some(Error::Tls(_))) => Err(AgentError::Unreachable("TLS failed".into())),
            Err(Some(_)) => Err(AgentError::Unreachable("the handshake failed".into())),
        }
    }
}

impl AgentDialer for ElevenLabsDialer {
    fn vendor(&self) -> &'static str {
        VENDOR
    }

    /// The vendor's protocol has no word for it.
    fn can_hush(&self) -> bool {
        false
    }

    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>> {
        let this = self.clone();
        async move {
            tokio::time::timeout(DIAL_WITHIN, this.connect_now())
                .await
                .unwrap_or(Err(AgentError::Timeout))
        }
        .boxed()
    }
}

#[derive(Deserialize)]
struct SignedUrl {
    signed_url: String,
}

fn refusal(answer: &HttpAnswer) -> AgentError {
    by_status(answer.status, &said(answer))
}

/// `{"detail":{"message"}}`, `{"detail":"…"}`, or a list of validation errors.
pub(super) fn said(answer: &HttpAnswer) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let detail = body.get("detail").unwrap_or(&serde_json::Value::Null);
    let said = detail
        .get("message")
        .or_else(|| detail.pointer("/0/msg"))
        .unwrap_or(detail)
        .as_str();
    said.unwrap_or_default().to_owned()
}

fn by_status(status: u16, said: &str) -> AgentError {
    let said: String = clean(said).chars().take(200).collect();
    let reason = if said.is_empty() {
        format!("HTTP {status}")
    } else {
        said
    };
    match status {
        401 | 403 => AgentError::Unauthorized,
        429 => AgentError::RateLimited,
        500.. => AgentError::Unreachable(reason),
        _ => AgentError::Refused(reason),
    }
}

fn unreachable(failure: HttpFailure) -> AgentError {
    match failure {
        HttpFailure::Timeout => AgentError::Timeout,
        failure => AgentError::Unreachable(failure.to_string()),
    }
}
