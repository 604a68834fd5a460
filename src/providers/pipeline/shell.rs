//! Calls the three servers: the only files of this vendor that dial out. A conversation is a socket
//! of this process: the bridge writes orders into it and reads words out of it, and the requests
//! under way are driven by that reading. Nothing is spawned: dropping the socket drops them all.

mod http;
mod socket;

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::engine::{AgentConnection, AgentDialer, AgentError};
use crate::providers::shell::BaseError;

use super::{Part, PipelineCodec, PipelineSettings, VENDOR};

use http::Parts;
use socket::PipelineSocket;

/// Why conversations cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum PipelineSetupError {
    #[error("chat.{0}.url {1}")]
    Base(&'static str, #[source] BaseError),
    #[error("chat.{0}.api_key cannot stand in a header")]
    Key(&'static str),
    #[error("no TLS: {0}")]
    Tls(#[from] reqwest::Error),
}

/// Opens conversations with one agent. Cheap to clone; clones share connections and what is known of
/// the parts' health.
#[derive(Clone)]
pub struct PipelineDialer {
    settings: Arc<PipelineSettings>,
    parts: Arc<Parts>,
}

impl fmt::Debug for PipelineDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineDialer")
            .field("model", &self.settings.llm.model)
            .finish_non_exhaustive()
    }
}

impl PipelineDialer {
    /// A dialler for the agent these settings describe.
    ///
    /// # Errors
    /// [`PipelineSetupError`] names the setting that is wrong.
    pub fn new(settings: PipelineSettings) -> Result<Self, PipelineSetupError> {
        let parts = Parts::new(&settings)?;
        Ok(Self {
            settings: Arc::new(settings),
            parts: Arc::new(parts),
        })
    }

    fn connect_now(self) -> Result<AgentConnection, AgentError> {
        if self.parts.is_resting(Part::Llm) {
            return Err(AgentError::Unreachable(
                "the language model failed too often and is left alone for a while".into(),
            ));
        }
        let socket = PipelineSocket::new(self.settings, self.parts);
        Ok((Box::new(socket), Box::new(PipelineCodec)))
    }
}

impl AgentDialer for PipelineDialer {
    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn can_say(&self) -> bool {
        true
    }

    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>> {
        std::future::ready(self.clone().connect_now()).boxed()
    }
}
