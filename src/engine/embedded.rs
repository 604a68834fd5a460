//! The embedded backend: the same [`Backend`] a remote screen gets, without a wire in between.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::call::{CallId, Command, ErrorCode, Grant, Refusal, Reply, Verb};

use super::Core;
use super::backend::{
    Backend, Fetched, Hello, HistoryPage, HistoryQuery, LinkState, ListenStream, UPDATES_MAX,
    Update,
};
use super::feed::{Batch, Feed};
use super::switchboard::PostError;

/// How often gauges of watched calls are read.
const GAUGES_EVERY: Duration = Duration::from_millis(250);
/// Commands of one screen on their way; further ones are refused.
const COMMANDS_MAX: usize = 64;
/// Calls whose gauges one screen may watch.
const WATCHED_MAX: usize = 256;

/// Makes a listen URL with a ticket; the server knows how.
pub type ListenUrl = dyn Fn(&Grant, CallId) -> Result<String, Refusal> + Send + Sync;

/// A screen's view of the core in the same process. Cheap to clone; clones are one screen.
#[derive(Clone)]
pub struct EmbeddedBackend {
    core: Core,
    grant: Grant,
    listen_url: Option<Arc<ListenUrl>>,
    watched: watch::Sender<Vec<CallId>>,
    screens: Arc<Mutex<Vec<mpsc::Sender<Update>>>>,
    sending: Arc<Semaphore>,
}

impl fmt::Debug for EmbeddedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBackend")
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl EmbeddedBackend {
    pub fn new(core: Core, grant: Grant) -> Self {
        Self {
            core,
            grant,
            listen_url: None,
            watched: watch::Sender::new(Vec::new()),
            screens: Arc::default(),
            sending: Arc::new(Semaphore::new(COMMANDS_MAX)),
        }
    }

    /// Lets `yl` copy a URL: the closure asks the server for a ticket.
    pub fn with_listen_url(
        mut self,
        make: impl Fn(&Grant, CallId) -> Result<String, Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.listen_url = Some(Arc::new(make));
        self
    }

    fn hello(&self) -> Hello {
        let mut features = vec![
            "listen",
            "record",
            "transfer",
            "history",
            "audit",
            "timeline",
            "recordings",
        ];
        if self.core.carriers.values().any(|carrier| carrier.dials())
            || !self.core.vendors.is_empty()
        {
            features.push("dial");
        }
        if self.listen_url.is_some() {
            features.push("listen_url");
        }
        Hello {
            v: 1,
            backend_id: self.core.backend_id.clone(),
            epoch: self.core.switchboard.epoch(),
            seq: self.core.switchboard.seq(),
            now: self.core.clock.now(),
            user: self.grant.user.clone(),
            role: self.grant.role,
            verbs: self.grant.verbs(),
            leads: self
                .grant
                .leads
                .as_ref()
                .map(|leads| leads.iter().cloned().collect()),
            features: features
                .into_iter()
                .map(str::to_owned)
                .chain(self.core.particulars())
                .collect(),
            transfers: self.core.transfers.keys().cloned().collect(),
        }
    }

    /// Feeds one screen until it goes away or the backend ends. A screen that does not keep up
    /// makes only this task wait; the feed then sets it back with what it missed or a snapshot.
    async fn serve(&self, screen: &mpsc::Sender<Update>) -> Result<(), Gone> {
        let _here = self.core.enter(&self.grant.user);
        send(screen, Update::Link(LinkState::Embedded)).await?;
        send(screen, Update::Hello(self.hello())).await?;
        let mut feed = Feed::open(&self.core.switchboard, None).await?;
        let mut watched = self.watched.subscribe();
        let mut ticks = tokio::time::interval(GAUGES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: `next` keeps what it has received, the others lose nothing.
            tokio::select! {
                biased;
                () = self.core.tasks.token().cancelled() => return Ok(()),
                () = screen.closed() => return Ok(()),
                batch = feed.next() => {
                    if let Some(update) = self.update(batch?) {
                        send(screen, update).await?;
                    }
                }
                _ = ticks.tick() => {
                    let calls = watched.borrow_and_update().clone();
                    let gauges = self.core.gauges.read(&calls);
                    if !gauges.is_empty() {
                        // The next reading replaces one that found no room.
                        let _full = screen.try_send(Update::Gauges(gauges));
                    }
                }
            }
        }
    }

    /// What of a batch this grant may see; `None` when nothing of it concerns the screen at all.
    fn update(&self, batch: Batch) -> Option<Update> {
        match batch {
            Batch::Snapshot { epoch, seq, calls } => Some(Update::Snapshot {
                epoch,
                seq,
                calls: calls
                    .into_iter()
                    .filter(|call| self.grant.sees_lead(call.facts.lead_id.as_deref()))
                    .collect(),
            }),
            Batch::Envelopes { to, items, .. } => {
                if self.grant.leads.is_none() {
                    return Some(Update::Envelopes { to, items });
                }
                let items = self.core.switchboard.read(|board| {
                    items
                        .into_iter()
                        .filter(|envelope| {
                            let lead = match envelope.call {
                                Some(id) => match board.get(id) {
                                    Some(call) => call.facts.lead_id.as_deref(),
                                    None => return false,
                                },
                                // What is about nobody in particular is for everybody.
                                None if envelope.lead().is_none() => return true,
                                None => envelope.lead(),
                            };
                            self.grant.sees_lead(lead)
                        })
                        .collect()
                });
                Some(Update::Envelopes { to, items })
            }
        }
    }
}

/// The screen or the switchboard is no longer there.
#[derive(Debug)]
struct Gone;

impl From<PostError> for Gone {
    fn from(_: PostError) -> Self {
        Self
    }
}

async fn send(screen: &mpsc::Sender<Update>, update: Update) -> Result<(), Gone> {
    screen.send(update).await.map_err(|_| Gone)
}

impl Backend for EmbeddedBackend {
    fn subscribe(&self) -> mpsc::Receiver<Update> {
        let (screen, updates) = mpsc::channel(UPDATES_MAX);
        {
            let mut screens = self.screens.lock().unwrap_or_else(PoisonError::into_inner);
            screens.retain(|screen| !screen.is_closed());
            screens.push(screen.clone());
        }
        let backend = self.clone();
        self.core.tasks.spawn("embedded screen", async move {
            if let Err(Gone) = backend.serve(&screen).await {
                tracing::debug!("the screen or the switchboard went away");
            }
        });
        updates
    }

    fn send(&self, command: Command) -> Result<(), Refusal> {
        let Ok(permit) = Arc::clone(&self.sending).try_acquire_owned() else {
            return Err(Refusal::new(
                ErrorCode::Overloaded,
                "too many commands are waiting for an answer",
                "wait for one",
            ));
        };
        let backend = self.clone();
        self.core.tasks.spawn("embedded command", async move {
            let reply = backend.core.command(&backend.grant, command).await;
            backend.answer(reply).await;
            drop(permit);
        });
        Ok(())
    }

    fn watch(&self, mut calls: Vec<CallId>) {
        calls.truncate(WATCHED_MAX);
        self.watched.send_replace(calls);
    }

    fn listen(&self, call: CallId) -> BoxFuture<'static, Result<ListenStream, Refusal>> {
        let backend = self.clone();
        Box::pin(async move { backend.core.listen(&backend.grant, call).await })
    }

    fn history(&self, query: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, Refusal>> {
        let backend = self.clone();
        Box::pin(async move { backend.core.history(&backend.grant, query).await })
    }

    fn listen_url(&self, call: CallId) -> BoxFuture<'static, Result<String, Refusal>> {
        let url = match &self.listen_url {
            None => Err(Refusal::new(
                ErrorCode::Unsupported,
                "this backend hands out no listen URLs",
                "listen here with the listen key",
            )),
            Some(_) if !self.grant.allows(Verb::Listen) => Err(Refusal::forbidden(Verb::Listen)),
            Some(make) => make(&self.grant, call),
        };
        Box::pin(std::future::ready(url))
    }

    fn recording(
        &self,
        id: String,
        progress: watch::Sender<Fetched>,
    ) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let backend = self.clone();
        Box::pin(async move {
            let audio = backend.core.recorded_whole(&backend.grant, &id).await?;
            let bytes = audio.len() as u64;
            progress.send_replace(Fetched {
                bytes,
                of: Some(bytes),
            });
            Ok(audio)
        })
    }
}

impl EmbeddedBackend {
    async fn answer(&self, reply: Reply) {
        let screens: Vec<_> = {
            let screens = self.screens.lock().unwrap_or_else(PoisonError::into_inner);
            screens
                .iter()
                .filter(|screen| !screen.is_closed())
                .cloned()
                .collect()
        };
        for screen in screens {
            // A screen that closed meanwhile has no more use for its answer.
            let _gone = screen.send(Update::Reply(reply.clone())).await;
        }
    }
}
