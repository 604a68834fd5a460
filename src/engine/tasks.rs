//! The task tree: who may spawn, under which name, and how everything ends.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A branch of the task tree. Clones share the branch; [`Tasks::child`] makes a narrower one.
///
/// Every task gets the branch's token and must return soon after it is cancelled.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    pub fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
        }
    }

    /// A branch that can be cancelled alone and is cancelled with this one.
    pub fn child(&self) -> Self {
        Self {
            tracker: self.tracker.clone(),
            token: self.token.child_token(),
        }
    }

    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Starts a task. `name` says what it is in logs. A panic inside is logged and ends only it.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn<F>(&self, name: &'static str, task: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = self.tracker.track_future(task);
        self.tracker.spawn(async move {
            if let Err(error) = tokio::spawn(inner).await {
                if error.is_panic() {
                    tracing::error!(task = name, "task panicked");
                }
            }
        })
    }

    /// Runs blocking work on the blocking pool, tracked.
    pub fn spawn_blocking<F, T>(&self, work: F) -> tokio::task::JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// Asks every task of this branch to end.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Cancels and waits for the whole tree, at most `within`. Returns whether all ended.
    pub async fn shutdown(&self, within: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(within, self.tracker.wait())
            .await
            .is_ok()
    }
}
