//! `Feed`: a cursor over the switchboard's stream that never shows a gap. It hides batching, lag and
//! resuming from whoever passes facts on: the Socket.IO hubs, the embedded screen, the policies.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use crate::call::{Call, Envelope, Epoch};

use super::switchboard::{PostError, Start, Subscription, Switchboard};

/// Shortest time between two batches. The first fact after a quiet time goes out at once.
pub const BATCH_EVERY: Duration = Duration::from_millis(16);
/// Envelopes in one batch at most.
pub const BATCH_MAX: usize = 512;

/// What a reader must take in next.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Replaces everything known. Transcripts are cut to the newest lines.
    Snapshot {
        epoch: Epoch,
        seq: u64,
        calls: Vec<Call>,
    },
    /// Facts in order, without a gap, covering `(from, to]`.
    Envelopes {
        from: u64,
        to: u64,
        items: Vec<Arc<Envelope>>,
    },
}

/// A reader's place in the stream.
///
/// A reader that falls more than the switchboard's fan-out behind is set back on its feet by
/// itself: from the ring if that still has what it missed, else by a fresh snapshot.
#[derive(Debug)]
pub struct Feed {
    switchboard: Switchboard,
    source: Subscription,
    /// What of `source.start` was not handed out yet.
    started: bool,
    /// `seq` up to which the reader has everything.
    cursor: u64,
    held: Vec<Arc<Envelope>>,
    /// Facts were missed and not made up for yet. Kept here, because the future that noticed may
    /// be dropped while it asks for them.
    lagged: bool,
    not_before: Instant,
}

impl Feed {
    /// Joins the stream: after `since` where that is still possible, else with a snapshot.
    ///
    /// # Errors
    /// [`PostError::Stopped`] once the switchboard has ended.
    pub async fn open(
        switchboard: &Switchboard,
        since: Option<(Epoch, u64)>,
    ) -> Result<Self, PostError> {
        let source = switchboard.subscribe(since).await?;
        Ok(Self {
            switchboard: switchboard.clone(),
            source,
            started: false,
            cursor: since.map_or(0, |(_, seq)| seq),
            held: Vec::new(),
            lagged: false,
            not_before: Instant::now(),
        })
    }

    /// Joins at the present, without a snapshot: only what happens from now on.
    pub async fn from_now(switchboard: &Switchboard) -> Result<Self, PostError> {
        Self::open(switchboard, Some((switchboard.epoch(), switchboard.seq()))).await
    }

    pub fn epoch(&self) -> Epoch {
        self.source.epoch
    }

    /// `seq` of the last batch handed out.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next batch. Cancel-safe: what was received but not handed out is kept for the next call.
    ///
    /// # Errors
    /// [`PostError::Stopped`] once the switchboard has ended.
    pub async fn next(&mut self) -> Result<Batch, PostError> {
        if !self.started {
            self.started = true;
            if let Some(batch) = self.begin() {
                return Ok(batch);
            }
        }
        while self.held.is_empty() && !self.lagged {
            match self.source.live.recv().await {
                Ok(envelope) => self.hold(envelope),
                Err(RecvError::Lagged(_)) => self.lagged = true,
                Err(RecvError::Closed) => return Err(PostError::Stopped),
            }
        }
        let too_soon = Instant::now() < self.not_before;
        if too_soon && self.held.len() < BATCH_MAX && !self.lagged {
            tokio::time::sleep_until(self.not_before).await;
        }
        while self.held.len() < BATCH_MAX && !self.lagged {
            match self.source.live.try_recv() {
                Ok(envelope) => self.hold(envelope),
                Err(TryRecvError::Lagged(_)) => self.lagged = true,
                // A closed stream shows at the next call; what is held goes out first.
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if self.lagged {
            return self.resume().await;
        }
        self.not_before = Instant::now() + BATCH_EVERY;
        let items = std::mem::take(&mut self.held);
        Ok(self.envelopes(items))
    }

    fn hold(&mut self, envelope: Arc<Envelope>) {
        if envelope.seq > self.cursor {
            self.held.push(envelope);
        }
    }

    fn envelopes(&mut self, items: Vec<Arc<Envelope>>) -> Batch {
        let from = self.cursor;
        let to = items.last().map_or(from, |envelope| envelope.seq);
        self.cursor = to;
        Batch::Envelopes { from, to, items }
    }

    /// Hands out how the subscription begins; `None` when there is nothing to tell.
    fn begin(&mut self) -> Option<Batch> {
        let nothing = Start::Envelopes {
            to: self.cursor,
            items: Vec::new(),
        };
        match std::mem::replace(&mut self.source.start, nothing) {
            Start::Snapshot { seq, calls } => {
                self.cursor = seq;
                Some(Batch::Snapshot {
                    epoch: self.source.epoch,
                    seq,
                    calls,
                })
            }
            Start::Envelopes { items, .. } if items.is_empty() => None,
            Start::Envelopes { items, .. } => Some(self.envelopes(items)),
        }
    }

    async fn resume(&mut self) -> Result<Batch, PostError> {
        metrics::counter!("wallboard_feed_lagged_total").increment(1);
        self.held.clear();
        let since = Some((self.source.epoch, self.cursor));
        self.source = self.switchboard.subscribe(since).await?;
        self.lagged = false;
        Ok(match self.begin() {
            Some(batch) => batch,
            None => self.envelopes(Vec::new()),
        })
    }
}
