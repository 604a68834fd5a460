//! `--read-only` on somebody else's backend: the screen is told it may only look and listen, and
//! what it sends all the same does not leave this process.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::call::{CallId, Command, ErrorCode, Refusal, Role};
use crate::engine::{
    Backend, Fetched, HistoryPage, HistoryQuery, ListenStream, Tasks, UPDATES_MAX, Update,
};

/// A backend without its commands.
#[derive(Debug)]
pub struct ReadOnly {
    inner: Arc<dyn Backend>,
    tasks: Tasks,
}

impl ReadOnly {
    pub fn new(inner: Arc<dyn Backend>, tasks: &Tasks) -> Self {
        Self {
            inner,
            tasks: tasks.clone(),
        }
    }
}

impl Backend for ReadOnly {
    fn subscribe(&self) -> mpsc::Receiver<Update> {
        let mut updates = self.inner.subscribe();
        // Full: waits, so that the inner channel fills and its owner falls back to a snapshot.
        let (sender, receiver) = mpsc::channel(UPDATES_MAX);
        let token = self.tasks.token().clone();
        self.tasks.spawn("read-only updates", async move {
            loop {
                // Cancel-safe: `recv` loses nothing.
                let update = tokio::select! {
                    () = token.cancelled() => return,
                    update = updates.recv() => update,
                };
                let Some(update) = update else { return };
                if sender.send(without_rights(update)).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    fn send(&self, command: Command) -> Result<(), Refusal> {
        Err(Refusal::new(
            ErrorCode::Forbidden,
            format!(
                "this screen is read-only: it may not {}",
                command.action.verb().as_str()
            ),
            "start it without --read-only",
        ))
    }

    fn watch(&self, calls: Vec<CallId>) {
        self.inner.watch(calls);
    }

    fn listen(&self, call: CallId) -> BoxFuture<'static, Result<ListenStream, Refusal>> {
        self.inner.listen(call)
    }

    fn history(&self, query: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, Refusal>> {
        self.inner.history(query)
    }

    fn listen_url(&self, call: CallId) -> BoxFuture<'static, Result<String, Refusal>> {
        self.inner.listen_url(call)
    }

    fn recording(
        &self,
        id: String,
        progress: watch::Sender<Fetched>,
    ) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        self.inner.recording(id, progress)
    }
}

fn without_rights(update: Update) -> Update {
    match update {
        Update::Hello(mut hello) => {
            hello.verbs.retain(|verb| verb.role() <= Role::Listener);
            hello.role = hello.role.min(Role::Listener);
            Update::Hello(hello)
        }
        other => other,
    }
}
