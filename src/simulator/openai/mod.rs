//! A simulated OpenAI Realtime: the conversation socket in both dialects, over real sockets.
//!
//! The agent in it hears the caller's audio and reacts to it. Which call it is in, it knows by the
//! phone numbers in its instructions (`{{caller_number}}`), which were cast; without any it talks of
//! anything. Spec: vendor SDKs as of 2026-11.

mod answer;
mod config;
mod conversation;
mod live;
mod load;
mod rest;
mod state;
mod told;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::engine::Tasks;

use super::cast::Cast;
use super::serve::serve;
use super::stamped::AgentLoad;
use state::Shared;

pub use config::OpenAiSimConfig;
pub use state::OpenAiView;

/// A running simulated vendor. Dropping it ends nothing; see [`OpenAiSim::stop`].
#[derive(Clone, Debug)]
pub struct OpenAiSim {
    shared: Arc<Shared>,
    realtime_url: String,
}

/// A handle on one conversation.
#[derive(Clone, Debug)]
pub struct OpenAiConversation {
    id: String,
    view: watch::Receiver<OpenAiView>,
}

impl OpenAiConversation {
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn view(&self) -> OpenAiView {
        self.view.borrow().clone()
    }

    /// Waits until `happened`, at most 20 seconds. `Err` is what was seen instead.
    ///
    /// # Errors
    /// It did not happen in time.
    pub async fn wait(
        &self,
        happened: impl FnMut(&OpenAiView) -> bool,
    ) -> Result<OpenAiView, Box<OpenAiView>> {
        let mut view = self.view.clone();
        match tokio::time::timeout(Duration::from_secs(20), view.wait_for(happened)).await {
            Ok(Ok(seen)) => Ok(seen.clone()),
            Ok(Err(_)) | Err(_) => Err(Box::new(self.view())),
        }
    }
}

impl OpenAiSim {
    /// Opens the server and is ready for conversations.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(cfg: OpenAiSimConfig, tasks: &Tasks) -> io::Result<Self> {
        let listener = TcpListener::bind(cfg.listen).await?;
        let address = listener.local_addr()?;
        let tasks = tasks.child();
        let shared = Arc::new(Shared::new(cfg, tasks));
        let router = rest::router(Arc::clone(&shared));
        serve(&shared.tasks, "simulated agent vendor", listener, router);
        Ok(Self {
            shared,
            realtime_url: format!("ws://{address}/v1/realtime"),
        })
    }

    /// For `openai.api_base`.
    pub fn api_base(&self) -> String {
        let http = self.realtime_url.replacen("ws", "http", 1);
        http.trim_end_matches("/realtime").to_owned()
    }

    /// For `openai.realtime_url`.
    pub fn realtime_url(&self) -> &str {
        &self.realtime_url
    }

    pub fn cast(&self) -> &Cast {
        &self.shared.cfg.cast
    }

    /// Oldest first.
    pub fn conversations(&self) -> Vec<OpenAiConversation> {
        let handle = |entry: &Arc<state::Entry>| OpenAiConversation {
            id: entry.id.clone(),
            view: entry.view.subscribe(),
        };
        self.shared.conversations().iter().map(handle).collect()
    }

    /// The newest conversation once `count` have been opened; waits at most 20 seconds for that.
    pub async fn wait_conversation(&self, count: usize) -> Option<OpenAiConversation> {
        let mut opened = self.shared.opened.subscribe();
        let enough = opened.wait_for(|opened| *opened >= count);
        drop(
            tokio::time::timeout(Duration::from_secs(20), enough)
                .await
                .ok()?
                .ok()?,
        );
        self.conversations().pop()
    }

    /// Conversations opened so far, those no longer remembered included.
    pub fn opened(&self) -> usize {
        *self.shared.opened.borrow()
    }

    /// Sockets open now.
    pub fn open_sockets(&self) -> usize {
        self.shared
            .conversations()
            .iter()
            .filter(|entry| entry.view.borrow().open)
            .count()
    }

    /// Figures of a load run.
    pub fn load(&self) -> AgentLoad {
        self.shared.tally.report(self.open_sockets())
    }

    /// Closes every socket and ends the server.
    pub fn stop(&self) {
        self.shared.tasks.cancel();
    }
}

#[cfg(test)]
mod tests;
