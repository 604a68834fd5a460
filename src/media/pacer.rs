//! Agent audio on its way to the carrier: agents send whole sentences faster than real time, the
//! carrier wants a frame every 20 ms and a barge-in must be able to take back what is not out yet.
//!
//! Here are the queue and the schedule; who sleeps until the next frame and who sends it is the
//! bridge runner's business. What the carrier has played of it: `playout.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use super::{BYTES_PER_MS, FRAME, Frame, g711_ms, take_front};

/// 30 s of µ-law. Beyond it the runner stops reading the agent's socket.
const CAPACITY: usize = 30_000 * BYTES_PER_MS;
/// Memory kept by an empty queue. A spoken sentence needs more, a call in silence should not.
const KEEP: usize = 1_000 * BYTES_PER_MS;
/// A frame rarely touches more than two pieces; what does not fit is credited to the last one.
const SPANS: usize = 4;
/// A sender this far behind its schedule starts a new one instead of bursting.
const CATCH_UP: Duration = Duration::from_millis(200);

/// Result of [`AgentQueue::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "audio that was not taken must be kept and pushed again"]
pub enum Pushed {
    Ok,
    /// Nothing was taken. Stop reading the agent until [`AgentQueue::has_room`] says otherwise.
    Full,
}

/// Bounded µ-law queue (8 kHz mono) in which every piece carries the agent's tag for it.
#[derive(Clone, Debug, Default)]
pub struct AgentQueue {
    bytes: VecDeque<u8>,
    pieces: VecDeque<Piece>,
}

/// 20 ms for the carrier and whose audio it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentFrame {
    /// Padded with silence behind [`Self::len`].
    pub bytes: Frame,
    /// Bytes that came from the agent.
    pub len: usize,
    spans: [TagSpan; SPANS],
    span_count: usize,
}

/// So many bytes of one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagSpan {
    pub tag: u64,
    pub bytes: usize,
}

/// When the next frame is due. Keeps the 20 ms grid across late wake-ups, so that the carrier
/// neither starves nor collects a growing buffer.
#[derive(Clone, Debug)]
pub struct PlayoutClock {
    lead: Duration,
    next: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    tag: u64,
    bytes: usize,
}

impl AgentQueue {
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues one piece under the agent's tag for it (an event id, an item number). All or nothing.
    /// An empty queue takes a piece of any size: refusing it could never end.
    pub fn push(&mut self, tag: u64, bytes: &[u8]) -> Pushed {
        if !self.has_room(bytes.len()) {
            return Pushed::Full;
        }
        if bytes.is_empty() {
            return Pushed::Ok;
        }
        self.bytes.extend(bytes);
        match self.pieces.back_mut() {
            Some(last) if last.tag == tag => last.bytes += bytes.len(),
            _ => self.pieces.push_back(Piece {
                tag,
                bytes: bytes.len(),
            }),
        }
        Pushed::Ok
    }

    /// Whether a piece of this size would be taken now.
    pub fn has_room(&self, len: usize) -> bool {
        self.bytes.is_empty() || self.bytes.len() + len <= CAPACITY
    }

    /// The next 20 ms, or `None` when nothing is queued. A last piece shorter than a frame is
    /// padded with silence.
    pub fn take_frame(&mut self) -> Option<AgentFrame> {
        if self.bytes.is_empty() {
            return None;
        }
        let (bytes, len) = take_front(&mut self.bytes);
        let mut frame = AgentFrame {
            bytes,
            len,
            spans: [TagSpan::default(); SPANS],
            span_count: 0,
        };
        self.take_spans(&mut frame);
        if self.bytes.is_empty() {
            self.release();
        }
        Some(frame)
    }

    /// Throws everything away, as on barge-in. Returns how much was dropped, in ms.
    pub fn clear(&mut self) -> u64 {
        let dropped = self.queued_ms();
        self.bytes.clear();
        self.pieces.clear();
        self.release();
        dropped
    }

    /// Throws away what carries this tag. Returns how much was dropped, in ms.
    pub fn clear_tag(&mut self, tag: u64) -> u64 {
        let mut kept = VecDeque::new();
        let mut dropped = 0;
        let mut rest = self.bytes.drain(..);
        self.pieces.retain(|piece| {
            let bytes = rest.by_ref().take(piece.bytes);
            if piece.tag == tag {
                dropped += bytes.count();
                false
            } else {
                kept.extend(bytes);
                true
            }
        });
        drop(rest);
        self.bytes = kept;
        g711_ms(dropped)
    }

    pub fn queued_ms(&self) -> u64 {
        g711_ms(self.bytes.len())
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take_spans(&mut self, frame: &mut AgentFrame) {
        let mut wanted = frame.len;
        while wanted > 0 {
            let Some(piece) = self.pieces.front_mut() else {
                break;
            };
            let bytes = piece.bytes.min(wanted);
            frame.credit(piece.tag, bytes);
            piece.bytes -= bytes;
            wanted -= bytes;
            if piece.bytes == 0 {
                self.pieces.pop_front();
            }
        }
    }

    fn release(&mut self) {
        self.bytes.shrink_to(KEEP);
        self.pieces.shrink_to(16);
    }
}

impl AgentFrame {
    /// Tag of the first byte.
    pub fn tag(&self) -> u64 {
        self.spans[0].tag
    }

    /// Whose bytes these are, in order; the padding belongs to nobody.
    pub fn spans(&self) -> &[TagSpan] {
        &self.spans[..self.span_count]
    }

    fn credit(&mut self, tag: u64, bytes: usize) {
        if self.span_count == SPANS {
            self.spans[SPANS - 1].bytes += bytes;
            return;
        }
        self.spans[self.span_count] = TagSpan { tag, bytes };
        self.span_count += 1;
    }
}

impl PlayoutClock {
    /// `lead`: how far ahead of real time frames go out, to cover the way to the carrier. What is
    /// out is heard later but can be taken back only by the carrier, so keep it short.
    pub fn new(lead: Duration) -> Self {
        Self { lead, next: None }
    }

    /// Whether a frame should go out now. Ask again after [`Self::sent`] until it says no.
    pub fn is_due(&self, now: Duration) -> bool {
        self.next_at().is_none_or(|at| now >= at)
    }

    /// When the next frame is due; `None` means at once.
    pub fn next_at(&self) -> Option<Duration> {
        self.next.map(|next| next.saturating_sub(self.lead))
    }

    /// A frame has gone out.
    pub fn sent(&mut self, now: Duration) {
        let base = match self.next {
            Some(next) if now <= next + CATCH_UP => next,
            _ => now,
        };
        self.next = Some(base + FRAME);
    }

    /// A frame was due and there was none. Time spent so is not caught up.
    pub fn idle(&mut self, now: Duration) {
        self.next = self.next.map(|next| next.max(now));
    }

    /// The carrier's buffer was emptied: the next frame goes out at once.
    pub fn restart(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn frames_carry_the_tags_of_their_pieces() {
        let mut queue = AgentQueue::new();
        assert_eq!(queue.push(1, &[1; 200]), Pushed::Ok);
        assert_eq!(queue.push(2, &[2; 100]), Pushed::Ok);
        assert_eq!(queue.queued_ms(), 37);
        let first = queue.take_frame().unwrap();
        assert_eq!((first.tag(), first.len, first.bytes), (1, 160, [1; 160]));
        let second = queue.take_frame().unwrap();
        assert_eq!(
            second.spans(),
            [
                TagSpan { tag: 1, bytes: 40 },
                TagSpan { tag: 2, bytes: 100 }
            ]
        );
        assert_eq!((second.len, second.bytes[140]), (140, 0xFF));
        assert_eq!(queue.take_frame(), None);
    }

    #[test]
    fn a_full_queue_takes_nothing_and_says_so() {
        let mut queue = AgentQueue::new();
        assert_eq!(queue.push(1, &vec![0; CAPACITY]), Pushed::Ok);
        assert_eq!(queue.push(2, &[0]), Pushed::Full);
        assert_eq!(queue.queued_ms(), 30_000);
        assert_eq!(queue.clear(), 30_000);
        assert_eq!(
            queue.push(2, &vec![0; CAPACITY + 1]),
            Pushed::Ok,
            "or it could never pass"
        );
    }

    #[test]
    fn one_tag_can_be_taken_back() {
        let mut queue = AgentQueue::new();
        for (tag, byte) in [(1, 1), (2, 2), (1, 3)] {
            let _ = queue.push(tag, &[byte; 80]);
        }
        assert_eq!(queue.clear_tag(1), 20);
        let frame = queue.take_frame().unwrap();
        assert_eq!((frame.tag(), frame.len, frame.bytes[0]), (2, 80, 2));
    }

    #[test]
    fn late_wake_ups_are_caught_up_and_idle_time_is_not() {
        let mut clock = PlayoutClock::new(Duration::ZERO);
        let mut sent = Vec::new();
        for now in [0, 20, 55, 60, 100] {
            while clock.is_due(ms(now)) {
                clock.sent(ms(now));
                sent.push(now);
            }
        }
        assert_eq!(sent, [0, 20, 55, 60, 100, 100]);
        clock.idle(ms(5_000));
        clock.sent(ms(5_000));
        assert!(!clock.is_due(ms(5_019)) && clock.is_due(ms(5_020)));
        clock.sent(ms(9_000));
        assert_eq!(clock.next_at(), Some(ms(9_020)), "too late to catch up");
    }

    #[test]
    fn a_lead_is_given_once() {
        let mut clock = PlayoutClock::new(ms(60));
        let mut send_all = |now: u64| {
            let mut count = 0;
            while clock.is_due(ms(now)) {
                clock.sent(ms(now));
                count += 1;
            }
            count
        };
        assert_eq!(
            (send_all(1_000), send_all(1_019), send_all(1_020)),
            (4, 0, 1)
        );
    }

    proptest! {
        #[test]
        fn every_byte_leaves_once_and_in_order(
            pieces in proptest::collection::vec((0..4u64, 0..400usize), 0..40)
        ) {
            let mut queue = AgentQueue::new();
            let mut pushed = Vec::new();
            for (i, &(tag, len)) in pieces.iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|b| (b + i) as u8).collect();
                prop_assert_eq!(queue.push(tag, &bytes), Pushed::Ok);
                pushed.extend(bytes);
            }
            let mut taken: Vec<u8> = Vec::new();
            while let Some(frame) = queue.take_frame() {
                prop_assert_eq!(frame.spans().iter().map(|s| s.bytes).sum::<usize>(), frame.len);
                taken.extend(&frame.bytes[..frame.len]);
            }
            prop_assert_eq!(pushed, taken);
        }
    }
}
