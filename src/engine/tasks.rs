//! The task tree: who may spawn, under which name, and how everything ends.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
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
    pub fn spawn<F>(&self, name: &'static str, task: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // What a task that panicked shares with others is behind locks that are taken over then, or
        // a channel whose other end sees it close. Combinators, as an `async` block around the task
        // would take its room twice.
        let guarded = AssertUnwindSafe(task).catch_unwind();
        self.tracker.spawn(guarded.map(move |ended| {
            if ended.is_err() {
                tracing::error!(task = name, "task panicked");
            }
        }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_ends_alone() {
        let tasks = Tasks::new();
        let bad = tasks.spawn("bad", async { panic!("on purpose") });
        assert!(bad.await.is_ok(), "nobody who waits for it is hit");
        let token = tasks.token().clone();
        let good = tasks.spawn("good", async move { token.cancelled().await });
        assert!(!good.is_finished());
        assert!(tasks.shutdown(Duration::from_secs(5)).await);
        assert!(good.await.is_ok());
    }
}
