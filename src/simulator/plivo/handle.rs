//! A handle on one simulated call: watch it, and do what the person on the phone could do.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::simulator::line::StreamCut;

use super::state::{Entry, Order, PlivoCallView};

/// Waits end with an error, never with a hang.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// One call of the simulation.
#[derive(Clone, Debug)]
pub struct PlivoCall {
    uuid: String,
    view: watch::Receiver<PlivoCallView>,
    orders: mpsc::Sender<Order>,
}

/// What was waited for did not happen; the last view says what did.
#[derive(Debug, thiserror::Error)]
#[error("{what} did not happen in time: {view:?}")]
pub struct PlivoGaveUp {
    pub what: &'static str,
    pub view: Box<PlivoCallView>,
}

impl PlivoCall {
    pub(super) fn new(entry: &std::sync::Arc<Entry>) -> Self {
        Self {
            uuid: entry.uuid.clone(),
            view: entry.view.subscribe(),
            orders: entry.orders.clone(),
        }
    }

    /// The carrier's id.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    pub fn view(&self) -> PlivoCallView {
        self.view.borrow().clone()
    }

    /// Waits until `happened`, at most 20 seconds.
    ///
    /// # Errors
    /// It did not happen, or the simulation was stopped first.
    pub async fn wait(
        &self,
        what: &'static str,
        happened: impl FnMut(&PlivoCallView) -> bool,
    ) -> Result<PlivoCallView, PlivoGaveUp> {
        self.wait_within(WAIT_MAX, what, happened).await
    }

    /// As [`PlivoCall::wait`] with its own deadline.
    ///
    /// # Errors
    /// See [`PlivoCall::wait`].
    pub async fn wait_within(
        &self,
        within: Duration,
        what: &'static str,
        happened: impl FnMut(&PlivoCallView) -> bool,
    ) -> Result<PlivoCallView, PlivoGaveUp> {
        let mut view = self.view.clone();
        let waited = tokio::time::timeout(within, view.wait_for(happened)).await;
        match waited {
            Ok(Ok(seen)) => Ok(seen.clone()),
            Ok(Err(_)) | Err(_) => Err(PlivoGaveUp {
                what,
                view: Box::new(self.view()),
            }),
        }
    }

    /// # Errors
    /// See [`PlivoCall::wait`].
    pub async fn wait_over(&self) -> Result<PlivoCallView, PlivoGaveUp> {
        self.wait("end of the call", PlivoCallView::is_over).await
    }

    /// # Errors
    /// See [`PlivoCall::wait`].
    pub async fn wait_stream(&self) -> Result<PlivoCallView, PlivoGaveUp> {
        self.wait("audio stream", |view| view.stream_open).await
    }

    /// The caller has heard this much of the agent.
    ///
    /// # Errors
    /// See [`PlivoCall::wait`].
    pub async fn wait_heard(&self, ms: u64) -> Result<PlivoCallView, PlivoGaveUp> {
        self.wait("agent audio", |view| view.heard_ms >= ms).await
    }

    /// The person puts the phone down. Ignored when the call is already over.
    pub fn hang_up(&self) {
        self.order(Order::HangUp);
    }

    pub fn press(&self, key: char) {
        self.order(Order::Press(key));
    }

    /// Breaks the audio stream now.
    pub fn cut(&self, cut: StreamCut) {
        self.order(Order::Cut(cut));
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            tracing::debug!("simulated carrier: the call is over, order dropped");
        }
    }
}
