//! A handle on one simulated call: watch it, and do what the person on the phone could do.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::call::CallStatus;

use super::state::{CallView, Entry, Order};
use crate::simulator::line::StreamCut;

/// Waits end with an error, never with a hang.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// One call of the simulation.
#[derive(Clone, Debug)]
pub struct TestCall {
    sid: String,
    view: watch::Receiver<CallView>,
    orders: mpsc::Sender<Order>,
}

/// What was waited for did not happen; the last view says what did.
#[derive(Debug, thiserror::Error)]
#[error("{what} did not happen in time: {view:?}")]
pub struct GaveUp {
    pub what: &'static str,
    pub view: Box<CallView>,
}

impl TestCall {
    pub(super) fn new(entry: &std::sync::Arc<Entry>) -> Self {
        Self {
            sid: entry.sid.clone(),
            view: entry.view.subscribe(),
            orders: entry.orders.clone(),
        }
    }

    /// The carrier's id.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    pub fn view(&self) -> CallView {
        self.view.borrow().clone()
    }

    /// Waits until `happened`, at most 20 seconds.
    ///
    /// # Errors
    /// It did not happen, or the simulation was stopped first.
    pub async fn wait(
        &self,
        what: &'static str,
        happened: impl FnMut(&CallView) -> bool,
    ) -> Result<CallView, GaveUp> {
        self.wait_within(WAIT_MAX, what, happened).await
    }

    /// As [`TestCall::wait`] with its own deadline.
    ///
    /// # Errors
    /// See [`TestCall::wait`].
    pub async fn wait_within(
        &self,
        within: Duration,
        what: &'static str,
        happened: impl FnMut(&CallView) -> bool,
    ) -> Result<CallView, GaveUp> {
        let mut view = self.view.clone();
        let waited = tokio::time::timeout(within, view.wait_for(happened)).await;
        match waited {
            Ok(Ok(seen)) => Ok(seen.clone()),
            Ok(Err(_)) | Err(_) => Err(GaveUp {
                what,
                view: Box::new(self.view()),
            }),
        }
    }

    /// # Errors
    /// See [`TestCall::wait`].
    pub async fn wait_status(&self, status: CallStatus) -> Result<CallView, GaveUp> {
        self.wait("status", |view| view.status == Some(status))
            .await
    }

    /// # Errors
    /// See [`TestCall::wait`].
    pub async fn wait_over(&self) -> Result<CallView, GaveUp> {
        self.wait("end of the call", CallView::is_over).await
    }

    /// # Errors
    /// See [`TestCall::wait`].
    pub async fn wait_stream(&self) -> Result<CallView, GaveUp> {
        self.wait("media stream", |view| view.stream_open).await
    }

    /// The caller has heard this much of the agent.
    ///
    /// # Errors
    /// See [`TestCall::wait`].
    pub async fn wait_heard(&self, ms: u64) -> Result<CallView, GaveUp> {
        self.wait("agent audio", |view| view.heard_ms >= ms).await
    }

    /// # Errors
    /// See [`TestCall::wait`].
    pub async fn wait_clear(&self) -> Result<CallView, GaveUp> {
        self.wait("clear", |view| view.clears > 0).await
    }

    /// The person puts the phone down. Ignored when the call is already over.
    pub fn hang_up(&self) {
        self.order(Order::HangUp);
    }

    pub fn press(&self, key: char) {
        self.order(Order::Press(key));
    }

    /// Breaks the media stream now.
    pub fn cut(&self, cut: StreamCut) {
        self.order(Order::Cut(cut));
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            tracing::debug!("simulated carrier: the call is over, order dropped");
        }
    }
}
