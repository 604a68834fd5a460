//! A simulated ElevenLabs workspace: signed URLs and the conversation socket, over real sockets.
//!
//! The agent in it hears the caller's audio and reacts to it; it knows the words of a call because
//! the number it is told has been cast. Spec: vendor SDKs as of 2026-11.

mod config;
mod conversation;
mod load;
mod monitor;
mod native;
mod rest;
mod state;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::engine::{Clock, Tasks};

use super::cast::Cast;
use super::serve::serve;
use super::stamped::AgentLoad;
use super::twilio::TwilioSim;
use state::Shared;

pub use config::{AgentFaults, ElevenLabsSimConfig};
pub use native::Webhooks;
pub use state::ConversationView;
pub use wire::Begin;

/// A running simulated workspace. Dropping it ends nothing; see [`ElevenLabsSim::stop`].
#[derive(Clone, Debug)]
pub struct ElevenLabsSim {
    shared: Arc<Shared>,
    api_base: String,
}

/// A handle on one conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    id: String,
    view: watch::Receiver<ConversationView>,
}

impl Conversation {
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn view(&self) -> ConversationView {
        self.view.borrow().clone()
    }

    /// Waits until `happened`, at most 20 seconds. `Err` is what was seen instead.
    ///
    /// # Errors
    /// It did not happen in time.
    pub async fn wait(
        &self,
        happened: impl FnMut(&ConversationView) -> bool,
    ) -> Result<ConversationView, Box<ConversationView>> {
        let mut view = self.view.clone();
        match tokio::time::timeout(Duration::from_secs(20), view.wait_for(happened)).await {
            Ok(Ok(seen)) => Ok(seen.clone()),
            Ok(Err(_)) | Err(_) => Err(Box::new(self.view())),
        }
    }
}

impl ElevenLabsSim {
    /// Opens the server and is ready for conversations.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(cfg: ElevenLabsSimConfig, tasks: &Tasks) -> io::Result<Self> {
        let listener = TcpListener::bind(cfg.listen).await?;
        let address = listener.local_addr()?;
        let tasks = tasks.child();
        let ws_base = format!("ws://{address}");
        let shared = Arc::new(Shared::new(cfg, ws_base, tasks, Clock::start()));
        let router = rest::router(Arc::clone(&shared));
        serve(&shared.tasks, "simulated agent vendor", listener, router);
        Ok(Self {
            shared,
            api_base: format!("http://{address}"),
        })
    }

    /// For `elevenlabs.api_base`.
    pub fn api_base(&self) -> &str {
        &self.api_base
    }

    /// For `elevenlabs.ws_base`.
    pub fn ws_base(&self) -> &str {
        &self.shared.ws_base
    }

    pub fn cast(&self) -> &Cast {
        &self.shared.cfg.cast
    }

    /// From now on calls it places itself are told of there.
    pub fn tell(&self, webhooks: Webhooks) {
        self.shared.tell(webhooks);
    }

    /// From now on calls it places itself run over this carrier's account.
    pub fn call_through(&self, line: TwilioSim) {
        self.shared.call_through(line);
    }

    /// Oldest first.
    pub fn conversations(&self) -> Vec<Conversation> {
        let handle = |entry: &Arc<state::Entry>| Conversation {
            id: entry.id.clone(),
            view: entry.view.subscribe(),
        };
        self.shared.conversations().iter().map(handle).collect()
    }

    /// The newest conversation once `count` have been opened; waits at most 20 seconds for that.
    pub async fn wait_conversation(&self, count: usize) -> Option<Conversation> {
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
