//! What a client is still to be sent, in pieces small enough that a full queue stays below two
//! megabytes. A client that does not read only makes its own hub wait, and not for long.
//!
//! The library puts its heartbeat into the same queue and drops a client whose queue is full just
//! then (engineioxide 0.17). So a queue that was found full is filled again slowly, with room left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use socketioxide::extract::SocketRef;

use crate::call::Epoch;

/// Bytes of items in one `envelopes` event.
const CHUNK: usize = 32 * 1024;
/// Packets handed over at once.
const QUOTA_MAX: usize = 16;
/// Between two such handfuls, for a client that takes them.
const PAUSE_SHORT: Duration = Duration::from_millis(5);
/// The same after its queue was found full.
const PAUSE_LONG: Duration = Duration::from_millis(250);
/// A client that takes nothing for this long lags.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// A stretch of facts.
#[derive(Debug)]
pub(super) struct Stretch {
    pub from: u64,
    pub to: u64,
    pub items: Vec<Arc<RawValue>>,
}

impl Stretch {
    /// Cuts it into chunks that join without a gap. `seqs` are those of the items.
    pub(super) fn cut(self, seqs: &[u64]) -> Vec<Self> {
        let Self { from, to, items } = self;
        let begin = |at| Self {
            from: at,
            to: at,
            items: Vec::new(),
        };
        let (mut chunks, mut chunk, mut size) = (Vec::new(), begin(from), 0);
        for (item, seq) in items.into_iter().zip(seqs) {
            let length = item.get().len();
            if size + length > CHUNK && !chunk.items.is_empty() {
                let next = begin(chunk.to);
                chunks.push(std::mem::replace(&mut chunk, next));
                size = 0;
            }
            size += length;
            chunk.to = *seq;
            chunk.items.push(item);
        }
        chunk.to = to;
        chunks.push(chunk);
        chunks
    }
}

/// One part of the board.
#[derive(Debug, Serialize)]
pub(super) struct SnapshotOut {
    pub id: Value,
    pub epoch: Epoch,
    pub seq: u64,
    pub part: usize,
    pub parts: usize,
    pub calls: Vec<Box<RawValue>>,
}

#[derive(Debug)]
enum Packet {
    Envelopes(Stretch),
    Snapshot(SnapshotOut),
}

/// Packets that found no room in the client's queue yet.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: VecDeque<Packet>,
    /// When the last packet went, on the monotonic clock; only while any wait.
    last_went: Option<Duration>,
    /// Packets the client is trusted to take at once: halved by a full queue, growing by one.
    quota: usize,
    not_before: Duration,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            last_went: None,
            quota: QUOTA_MAX,
            not_before: Duration::ZERO,
        }
    }
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.last_went = None;
    }

    /// Queues facts.
    pub(super) fn push_stretch(&mut self, stretch: Stretch, seqs: &[u64]) {
        let chunks = stretch.cut(seqs).into_iter();
        self.waiting.extend(chunks.map(Packet::Envelopes));
    }

    /// The queue was found full by somebody else.
    pub(super) fn slow_down(&mut self, now: Duration) {
        self.quota = 1;
        self.not_before = now + PAUSE_LONG;
    }

    pub(super) fn push_part(&mut self, part: SnapshotOut) {
        self.waiting.push_back(Packet::Snapshot(part));
    }

    /// Hands over what there is room for. Returns the `seq` the client has reached by it.
    pub(super) fn flush(&mut self, socket: &SocketRef, now: Duration) -> Option<u64> {
        let mut reached = None;
        if now < self.not_before {
            return reached;
        }
        for taken in 0..self.quota {
            let Some(packet) = self.waiting.front() else {
                break;
            };
            let sent = match packet {
                Packet::Envelopes(stretch) => socket.emit("envelopes", &EnvelopesOut::of(stretch)),
                Packet::Snapshot(part) => socket.emit("snapshot", part),
            };
            if sent.is_err() {
                self.last_went.get_or_insert(now);
                self.quota = (taken / 2).max(1);
                self.not_before = now + PAUSE_LONG;
                return reached;
            }
            match packet {
                Packet::Envelopes(stretch) => reached = Some(stretch.to),
                Packet::Snapshot(part) if part.part == part.parts => reached = Some(part.seq),
                Packet::Snapshot(_) => {}
            }
            self.waiting.pop_front();
            self.last_went = Some(now);
        }
        if self.waiting.is_empty() {
            self.last_went = None;
        } else if self.quota < QUOTA_MAX {
            self.quota += 1;
            self.not_before = now + PAUSE_LONG;
        } else {
            self.not_before = now + PAUSE_SHORT;
        }
        reached
    }

    /// Whether the client has taken nothing for too long.
    pub(super) fn is_stuck(&self, now: Duration) -> bool {
        self.last_went
            .is_some_and(|last| now.saturating_sub(last) >= STUCK_AFTER)
    }
}

/// The body of an `envelopes` event.
#[derive(Serialize)]
pub(super) struct EnvelopesOut<'a> {
    from: u64,
    to: u64,
    items: Vec<&'a RawValue>,
}

impl<'a> EnvelopesOut<'a> {
    pub(super) fn of(stretch: &'a Stretch) -> Self {
        Self {
            from: stretch.from,
            to: stretch.to,
            items: stretch.items.iter().map(AsRef::as_ref).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_join_without_a_gap_and_lose_nothing() {
        let text = format!("\"{}\"", "x".repeat(1_000));
        let item: Arc<RawValue> = RawValue::from_string(text).unwrap().into();
        let seqs: Vec<u64> = (11..=310).filter(|seq| seq % 3 != 0).collect();
        let items = vec![item; seqs.len()];
        let mut outbox = Outbox::default();
        let stretch = Stretch {
            from: 10,
            to: 311,
            items,
        };
        outbox.push_stretch(stretch, &seqs);
        let mut reached = 10;
        let mut count = 0;
        assert!(outbox.waiting.len() > 1);
        for packet in &outbox.waiting {
            let Packet::Envelopes(stretch) = packet else {
                panic!("only facts were pushed");
            };
            assert_eq!(stretch.from, reached);
            let size: usize = stretch.items.iter().map(|item| item.get().len()).sum();
            assert!(size <= CHUNK, "{size}");
            count += stretch.items.len();
            reached = stretch.to;
        }
        assert_eq!((reached, count), (311, seqs.len()));
    }

    #[test]
    fn an_empty_stretch_is_still_told() {
        let mut outbox = Outbox::default();
        let stretch = Stretch {
            from: 5,
            to: 5,
            items: Vec::new(),
        };
        outbox.push_stretch(stretch, &[]);
        assert_eq!(outbox.waiting.len(), 1);
    }
}
