//! What the carrier has really played of the agent's audio, so that a barge-in can say how much of
//! a sentence the caller heard and an agent can be told where it was cut.
//!
//! A model: real time from the moment a frame is sent, corrected by the carrier's mark echoes where
//! it has them. A mark echoed after a clear proves nothing, because carriers then return all marks
//! at once.

use std::collections::VecDeque;
use std::time::Duration;

use super::{AgentFrame, BYTES_PER_MS, FRAME, FRAME_SAMPLES, g711_ms};

/// Stretches remembered; older ones count as forgotten, not as unheard.
const STRETCHES: usize = 256;
/// Marks under way. A carrier that never answers must not fill memory.
const MARKS: usize = 512;
const LATENCIES: usize = 10;
/// A longer way to the ear than this is a lost echo.
const LATENCY_MAX: Duration = Duration::from_secs(2);

/// Playing position of one call's agent leg.
#[derive(Clone, Debug, Default)]
pub struct Playout {
    /// Bytes given to the carrier and not taken back.
    sent: u64,
    /// Position `anchor` was reached at `anchor_at`.
    anchor: u64,
    anchor_at: Duration,
    /// End of playing if frames were heard the moment they are sent.
    wire_end: Duration,
    stretches: VecDeque<Stretch>,
    marks: VecDeque<Mark>,
    next_mark: u64,
    void_below: u64,
    latencies: VecDeque<Duration>,
}

/// What a mark's return meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkEcho {
    /// The caller has heard everything before it. `latency`: from sending to hearing.
    Played { latency: Option<Duration> },
    /// Swept out by a clear, repeated, or not ours.
    Void,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    tag: u64,
    start: u64,
    end: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    id: u64,
    position: u64,
    wire_end: Duration,
}

impl Playout {
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame went to the carrier.
    pub fn sent(&mut self, frame: &AgentFrame, now: Duration) {
        if self.position(now) >= self.sent {
            self.anchor = self.sent;
            self.anchor_at = now + self.latency().unwrap_or_default();
        }
        let mut start = self.sent;
        for span in frame.spans() {
            let end = start + span.bytes as u64;
            self.stretch(span.tag, start, end);
            start = end;
        }
        self.sent += FRAME_SAMPLES as u64;
        self.wire_end = self.wire_end.max(now) + FRAME;
    }

    /// A mark goes to the carrier behind what was sent so far. The number returned is its name.
    pub fn mark(&mut self) -> u64 {
        let id = self.next_mark;
        self.next_mark += 1;
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark {
            id,
            position: self.sent,
            wire_end: self.wire_end,
        });
        id
    }

    /// The carrier returned a mark.
    pub fn mark_echoed(&mut self, id: u64, now: Duration) -> MarkEcho {
        if id < self.void_below {
            return MarkEcho::Void;
        }
        let Some(mark) = self.marks.iter().find(|m| m.id == id).copied() else {
            return MarkEcho::Void;
        };
        // Marks before it are played too, whether or not their echo was lost.
        self.marks.retain(|m| m.id > id);
        self.anchor = mark.position;
        self.anchor_at = now;
        let latency = now.checked_sub(mark.wire_end).filter(|&l| l <= LATENCY_MAX);
        if let Some(latency) = latency {
            if self.latencies.len() == LATENCIES {
                self.latencies.pop_front();
            }
            self.latencies.push_back(latency);
        }
        MarkEcho::Played { latency }
    }

    /// The carrier's buffer was emptied. Returns how much it had not played, in ms; marks still
    /// under way are void.
    pub fn clear(&mut self, now: Duration) -> u64 {
        let position = self.position(now);
        let dropped = self.sent - position;
        while self.stretches.back().is_some_and(|s| s.start >= position) {
            self.stretches.pop_back();
        }
        if let Some(last) = self.stretches.back_mut() {
            last.end = last.end.min(position);
        }
        self.sent = position;
        self.anchor = position;
        self.anchor_at = now;
        self.wire_end = now;
        self.marks.clear();
        self.void_below = self.next_mark;
        g711_ms(dropped as usize)
    }

    /// How much of the audio under `tag` the caller has heard, in ms.
    pub fn heard_ms(&self, tag: u64, now: Duration) -> u64 {
        self.heard(now, |t| t == tag)
    }

    /// The same for a range of tags, as of a reply that came in several pieces.
    pub fn heard_ms_between(&self, first: u64, last: u64, now: Duration) -> u64 {
        self.heard(now, |t| (first..=last).contains(&t))
    }

    /// Whose audio is playing; `None` in silence.
    pub fn playing_tag(&self, now: Duration) -> Option<u64> {
        let position = self.position(now);
        let at = self
            .stretches
            .iter()
            .rev()
            .find(|s| (s.start..s.end).contains(&position));
        at.map(|s| s.tag)
    }

    /// The carrier still has something to play.
    pub fn is_playing(&self, now: Duration) -> bool {
        self.position(now) < self.sent
    }

    /// Sent but not yet heard, in ms.
    pub fn buffered_ms(&self, now: Duration) -> u64 {
        g711_ms((self.sent - self.position(now)) as usize)
    }

    /// Everything heard on this leg, padding included, in ms.
    pub fn played_ms(&self, now: Duration) -> u64 {
        g711_ms(self.position(now) as usize)
    }

    /// Mean of the last ten measured ways from sending to hearing.
    pub fn latency(&self) -> Option<Duration> {
        let count = u32::try_from(self.latencies.len())
            .ok()
            .filter(|&n| n > 0)?;
        Some(self.latencies.iter().sum::<Duration>() / count)
    }

    /// Bytes played.
    fn position(&self, now: Duration) -> u64 {
        let since = now.saturating_sub(self.anchor_at).as_micros() as u64;
        let played = since.saturating_mul(BYTES_PER_MS as u64) / 1_000;
        self.anchor.saturating_add(played).min(self.sent)
    }

    fn heard(&self, now: Duration, wanted: impl Fn(u64) -> bool) -> u64 {
        let position = self.position(now);
        let bytes: u64 = self
            .stretches
            .iter()
            .filter(|s| wanted(s.tag))
            .map(|s| s.end.min(position).saturating_sub(s.start))
            .sum();
        g711_ms(bytes as usize)
    }

    fn stretch(&mut self, tag: u64, start: u64, end: u64) {
        match self.stretches.back_mut() {
            Some(last) if last.tag == tag && last.end == start => last.end = end,
            _ => {
                if self.stretches.len() == STRETCHES {
                    self.stretches.pop_front();
                }
                self.stretches.push_back(Stretch { tag, start, end });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::AgentQueue;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Sends `frames` of `tag`, all at `at_ms`, as with a carrier that buffers.
    fn send(playout: &mut Playout, tag: u64, frames: usize, at_ms: u64) {
        let mut queue = AgentQueue::new();
        let _ = queue.push(tag, &vec![0; frames * FRAME_SAMPLES]);
        while let Some(frame) = queue.take_frame() {
            playout.sent(&frame, ms(at_ms));
        }
    }

    #[test]
    fn heard_follows_the_wall_clock_without_marks() {
        let mut playout = Playout::new();
        send(&mut playout, 1, 10, 1_000);
        send(&mut playout, 2, 10, 1_000);
        assert_eq!(
            (
                playout.heard_ms(1, ms(1_100)),
                playout.heard_ms(2, ms(1_100))
            ),
            (100, 0)
        );
        assert_eq!(
            (
                playout.heard_ms(1, ms(1_250)),
                playout.heard_ms(2, ms(1_250))
            ),
            (200, 50)
        );
        assert_eq!(playout.playing_tag(ms(1_250)), Some(2));
        assert_eq!(playout.heard_ms_between(1, 2, ms(1_250)), 250);
        assert_eq!(playout.buffered_ms(ms(1_250)), 150);
        assert!(!playout.is_playing(ms(1_400)));
        assert_eq!(playout.heard_ms(2, ms(9_000)), 200);
    }

    #[test]
    fn silence_between_sentences_is_not_heard_time() {
        let mut playout = Playout::new();
        send(&mut playout, 1, 5, 0);
        assert_eq!(playout.playing_tag(ms(3_000)), None);
        send(&mut playout, 2, 5, 5_000);
        assert_eq!(playout.heard_ms(2, ms(5_040)), 40);
    }

    #[test]
    fn a_mark_corrects_the_clock_both_ways() {
        let mut playout = Playout::new();
        send(&mut playout, 1, 10, 0);
        let middle = playout.mark();
        send(&mut playout, 1, 10, 0);
        let echo = playout.mark_echoed(middle, ms(300));
        assert_eq!(
            echo,
            MarkEcho::Played {
                latency: Some(ms(100))
            }
        );
        assert_eq!(
            playout.heard_ms(1, ms(300)),
            200,
            "100 ms behind the wall clock"
        );
        assert_eq!(playout.heard_ms(1, ms(350)), 250);
        let end = playout.mark();
        assert!(matches!(
            playout.mark_echoed(end, ms(390)),
            MarkEcho::Played { latency: None }
        ));
        assert_eq!(
            playout.heard_ms(1, ms(390)),
            400,
            "the carrier says it is all out"
        );
        send(&mut playout, 2, 10, 1_000);
        assert_eq!(
            playout.heard_ms(2, ms(1_150)),
            50,
            "the measured way is taken into account"
        );
    }

    #[test]
    fn a_clear_freezes_what_was_heard_and_voids_the_marks() {
        let mut playout = Playout::new();
        send(&mut playout, 7, 50, 0);
        let mark = playout.mark();
        assert_eq!(playout.clear(ms(300)), 700);
        assert_eq!(playout.mark_echoed(mark, ms(310)), MarkEcho::Void);
        assert_eq!(playout.heard_ms(7, ms(5_000)), 300);
        assert_eq!(playout.latency(), None);
        send(&mut playout, 8, 5, 6_000);
        let next = playout.mark();
        assert!(matches!(
            playout.mark_echoed(next, ms(6_150)),
            MarkEcho::Played { .. }
        ));
        assert_eq!(
            (playout.heard_ms(8, ms(6_150)), playout.played_ms(ms(7_000))),
            (100, 400)
        );
    }

    #[test]
    fn lost_and_foreign_marks_do_no_harm() {
        let mut playout = Playout::new();
        send(&mut playout, 1, 5, 0);
        let (first, second) = (playout.mark(), playout.mark());
        assert_eq!(playout.mark_echoed(99, ms(10)), MarkEcho::Void);
        assert!(matches!(
            playout.mark_echoed(second, ms(110)),
            MarkEcho::Played { .. }
        ));
        assert_eq!(playout.mark_echoed(first, ms(120)), MarkEcho::Void);
        for _ in 0..2 * MARKS {
            playout.mark();
        }
        assert_eq!(playout.marks.len(), MARKS);
    }

    #[test]
    fn padding_is_time_but_nobodys_words() {
        let mut playout = Playout::new();
        let mut queue = AgentQueue::new();
        let _ = queue.push(3, &[0; 80]);
        playout.sent(&queue.take_frame().unwrap(), ms(0));
        assert_eq!(
            (playout.heard_ms(3, ms(20)), playout.played_ms(ms(20))),
            (10, 20)
        );
    }
}
