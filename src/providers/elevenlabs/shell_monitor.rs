//! Listens in on the text of conversations the vendor runs by itself: its real-time monitoring socket,
//! where the plan allows it. The key goes to the configured host only. Spec: ElevenLabs docs,
//! "Real-time monitoring" (2026-11); unproven on a live account.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::call::Secret;
use crate::engine::{AgentError, BoxSocket, ConversationMonitor};
use crate::providers::shell::{base_url, dial};

use super::shell::ElevenLabsSetupError;
use super::{ElevenLabsSettings, VENDOR};

/// Opens monitoring sockets. Cheap to clone.
#[derive(Clone)]
pub struct ElevenLabsMonitor {
    ws_base: Arc<str>,
    api_key: Secret,
}

impl fmt::Debug for ElevenLabsMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElevenLabsMonitor")
            .field("ws_base", &self.ws_base)
            .finish_non_exhaustive()
    }
}

impl ElevenLabsMonitor {
    /// `None` without a key.
    ///
    /// # Errors
    /// [`ElevenLabsSetupError`] names the setting that is wrong.
    pub fn new(settings: &ElevenLabsSettings) -> Result<Option<Self>, ElevenLabsSetupError> {
        let Some(api_key) = settings.api_key.clone() else {
            return Ok(None);
        };
        let base = base_url(&settings.ws_base).map_err(|error| ElevenLabsSetupError::Base {
            key: "ws_base",
            error,
        })?;
        Ok(Some(Self {
            ws_base: base
                .replacen("http", "ws", usize::from(base.starts_with("http")))
                .into(),
            api_key,
        }))
    }

    async fn watch_now(self, conversation_id: String) -> Result<BoxSocket, AgentError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if conversation_id.is_empty() || !conversation_id.chars().all(is_plain) {
            return Err(AgentError::Refused("not one of the vendor's ids".into()));
        }
        let url = format!(
            "{}/v1/convai/conversations/{conversation_id}/monitor",
            self.ws_base
        );
        let unusable = |_| AgentError::Refused("the monitoring URL is unusable".into());
        let mut request = url.into_client_request().map_err(unusable)?;
        let mut key =
            HeaderValue::from_str(self.api_key.expose()).map_err(|_| AgentError::Unauthorized)?;
        key.set_sensitive(true);
        request.headers_mut().insert("xi-api-key", key);
        match dial(request).await {
            Ok(dialled) => Ok(Box::new(dialled.socket)),
            Err(None) => Err(AgentError::Timeout),
            Err(Some(Error::Http(answer))) => Err(match answer.status().as_u16() {
                401 | 403 => AgentError::Refused("the plan or the key does not allow it".into()),
                429 => AgentError::RateLimited,
                status @ 500.. => AgentError::Unreachable(format!("HTTP {status}")),
                status => AgentError::Refused(format!("HTTP {status}")),
            }),
            Err(Some(_)) => Err(AgentError::Unreachable("the handshake failed".into())),
        }
    }
}

impl ConversationMonitor for ElevenLabsMonitor {
    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn watch(&self, conversation_id: String) -> BoxFuture<'static, Result<BoxSocket, AgentError>> {
        self.clone().watch_now(conversation_id).boxed()
    }
}
