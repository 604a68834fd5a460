//! The agent's audio on its way to the caller: queued as it comes, sent at the pace it is heard,
//! marked so that we know what was heard, and taken back when the caller breaks in.
//!
//! Tags of queue and playout are turn numbers: they rise, whatever the vendor counts.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::media::{
    AgentFrame, AgentQueue, FRAME_MS, MarkEcho, MediaFormat, Playout, PlayoutClock, Pushed,
    Transcoder, g711_ms,
};

use super::{CarrierOut, Effect, Effects};

/// How far frames go out ahead of the ear. Covers the wobble of the way to the carrier and lets
/// the caller's frames, which come every 20 ms anyway, drive the sending; short enough that a
/// barge-in finds little at the carrier.
pub(super) const LEAD: Duration = Duration::from_millis(120);
/// Frames between two marks inside an utterance (500 ms).
const MARK_EVERY: u32 = 25;
/// Nothing came for this long: what is left of a frame is all there will be.
const TAIL_AFTER: Duration = Duration::from_millis(40);
/// What our marks are called, before their number.
const MARK_PREFIX: &str = "wb-";

#[derive(Clone, Debug)]
pub(super) struct Voice {
    queue: AgentQueue,
    /// What one message brought beyond the queue's 30 s. The agent is not read while there is any.
    overflow: VecDeque<(u64, Bytes)>,
    clock: PlayoutClock,
    playout: Playout,
    /// From the agent's format to µ-law; `None` where it gives that.
    from_agent: Option<Transcoder>,
    /// From µ-law to the carrier's format; `None` where it takes that.
    to_carrier: Option<Transcoder>,
    pushed_at: Duration,
    sent_at: Duration,
    unmarked: u32,
    sent_tag: Option<u64>,
    frames_out: u64,
}

impl Voice {
    pub(super) fn new(carrier_format: MediaFormat) -> Self {
        let to_carrier = Transcoder::new(MediaFormat::ULAW_8K, carrier_format);
        Self {
            queue: AgentQueue::new(),
            overflow: VecDeque::new(),
            clock: PlayoutClock::new(LEAD),
            playout: Playout::new(),
            from_agent: None,
            to_carrier: (!to_carrier.is_passthrough()).then_some(to_carrier),
            pushed_at: Duration::ZERO,
            sent_at: Duration::ZERO,
            unmarked: 0,
            sent_tag: None,
            frames_out: 0,
        }
    }

    /// A conversation opened whose audio comes in this format.
    pub(super) fn open(&mut self, gives: MediaFormat, effects: &mut Effects) {
        let transcoder = Transcoder::new(gives, MediaFormat::ULAW_8K);
        self.from_agent = (!transcoder.is_passthrough()).then_some(transcoder);
        if !self.overflow.is_empty() {
            // Its predecessor was too far ahead; this one waits its turn.
            effects.push(Effect::PauseAgentRead);
        }
    }

    pub(super) fn frames_out(&self) -> u64 {
        self.frames_out
    }

    /// Nothing waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.overflow.is_empty()
    }

    /// Nothing waits and nothing of the latest audio is still on its way to the ear.
    pub(super) fn is_drained(&self, now: Duration, grace: Duration) -> bool {
        self.is_empty()
            && !self.playout.is_playing(now)
            && now.saturating_sub(self.sent_at.max(self.pushed_at)) >= grace
    }

    /// Work is left for the pump: frames to send or a mark to set.
    pub(super) fn wants_pump(&self) -> bool {
        !self.is_empty() || self.unmarked > 0
    }

    pub(super) fn is_playing(&self, now: Duration) -> bool {
        self.playout.is_playing(now)
    }

    /// Agent audio the caller has not heard yet, in ms: at the carrier, and with us.
    pub(super) fn buffered_ms(&self, now: Duration) -> u64 {
        self.playout.buffered_ms(now) + self.queue.queued_ms()
    }

    pub(super) fn playing_tag(&self, now: Duration) -> Option<u64> {
        self.playout.playing_tag(now)
    }

    pub(super) fn heard_ms(&self, tag: u64, now: Duration) -> u64 {
        self.playout.heard_ms(tag, now)
    }

    /// Takes agent audio under this tag and returns how long it plays, in ms.
    pub(super) fn push(
        &mut self,
        tag: u64,
        payload: &Bytes,
        now: Duration,
        effects: &mut Effects,
    ) -> u64 {
        let converted;
        let ulaw: &[u8] = match &mut self.from_agent {
            None => payload,
            Some(transcoder) => {
                let mut out = Vec::with_capacity(payload.len());
                transcoder.convert(payload, &mut out);
                converted = out;
                &converted
            }
        };
        self.take(tag, ulaw, now, effects)
    }

    /// Takes speech in µ-law under this tag and returns how long it plays, in ms.
    pub(super) fn push_ulaw(
        &mut self,
        tag: u64,
        ulaw: &[u8],
        now: Duration,
        effects: &mut Effects,
    ) -> u64 {
        self.take(tag, ulaw, now, effects)
    }

    fn take(&mut self, tag: u64, ulaw: &[u8], now: Duration, effects: &mut Effects) -> u64 {
        self.pushed_at = now;
        if !self.overflow.is_empty() || self.queue.push(tag, ulaw) == Pushed::Full {
            if self.overflow.is_empty() {
                effects.push(Effect::PauseAgentRead);
            }
            self.overflow.push_back((tag, Bytes::copy_from_slice(ulaw)));
        }
        g711_ms(ulaw.len())
    }

    /// Sends what is due. `sent` sees every frame that goes out.
    pub(super) fn pump(
        &mut self,
        now: Duration,
        effects: &mut Effects,
        mut sent: impl FnMut(&AgentFrame),
    ) {
        while self.clock.is_due(now) {
            let whole = self.queue.queued_ms() >= FRAME_MS;
            let is_tail = now.saturating_sub(self.pushed_at) >= TAIL_AFTER;
            if !whole && !is_tail && !self.queue.is_empty() {
                return;
            }
            let Some(frame) = self.queue.take_frame() else {
                self.clock.idle(now);
                break;
            };
            if self.unmarked > 0 && self.sent_tag != Some(frame.tag()) {
                self.mark(effects);
            }
            self.send(&frame, now, effects);
            sent(&frame);
            if self.unmarked >= MARK_EVERY {
                self.mark(effects);
            }
        }
        self.refill(effects);
        let paused = now.saturating_sub(self.pushed_at.max(self.sent_at)) >= TAIL_AFTER;
        if self.unmarked > 0 && self.is_empty() && paused {
            self.mark(effects);
        }
    }

    /// Empties everything on our side and asks the carrier to do the same. Returns how much the
    /// caller will not hear, in ms.
    pub(super) fn clear(&mut self, now: Duration, effects: &mut Effects) -> u64 {
        effects.tell_carrier(CarrierOut::Clear);
        let overflowed: usize = self.overflow.iter().map(|(_, bytes)| bytes.len()).sum();
        if !self.overflow.is_empty() {
            self.overflow.clear();
            effects.push(Effect::ResumeAgentRead);
        }
        let dropped = self.queue.clear() + self.playout.clear(now) + g711_ms(overflowed);
        self.clock.restart();
        self.unmarked = 0;
        for transcoder in [&mut self.from_agent, &mut self.to_carrier]
            .into_iter()
            .flatten()
        {
            transcoder.reset();
        }
        dropped
    }

    /// The carrier returned a mark. Foreign and void ones change nothing.
    pub(super) fn mark_reached(&mut self, name: &str, now: Duration) -> Option<MarkEcho> {
        let id = name.strip_prefix(MARK_PREFIX)?.parse().ok()?;
        Some(self.playout.mark_echoed(id, now))
    }

    fn send(&mut self, frame: &AgentFrame, now: Duration, effects: &mut Effects) {
        let payload = match &mut self.to_carrier {
            None => Bytes::copy_from_slice(&frame.bytes),
            Some(transcoder) => {
                let mut out = Vec::with_capacity(frame.bytes.len() * 4);
                transcoder.convert(&frame.bytes, &mut out);
                Bytes::from(out)
            }
        };
        effects.tell_carrier(CarrierOut::Audio(payload));
        self.clock.sent(now);
        self.playout.sent(frame, now);
        self.sent_at = now;
        self.sent_tag = frame.spans().last().map(|span| span.tag);
        self.frames_out += 1;
        self.unmarked += 1;
    }

    fn mark(&mut self, effects: &mut Effects) {
        let id = self.playout.mark();
        effects.tell_carrier(CarrierOut::Mark {
            name: format!("{MARK_PREFIX}{id}"),
        });
        self.unmarked = 0;
    }

    fn refill(&mut self, effects: &mut Effects) {
        if self.overflow.is_empty() {
            return;
        }
        while let Some((tag, bytes)) = self.overflow.front() {
            if self.queue.push(*tag, bytes) == Pushed::Full {
                return;
            }
            self.overflow.pop_front();
        }
        effects.push(Effect::ResumeAgentRead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn voice() -> Voice {
        let mut voice = Voice::new(MediaFormat::ULAW_8K);
        voice.open(MediaFormat::ULAW_8K, &mut Effects::new());
        voice
    }

    fn frames(effects: &Effects) -> usize {
        effects
            .list
            .iter()
            .filter(|effect| matches!(effect, Effect::ToCarrier(CarrierOut::Audio(_))))
            .count()
    }

    #[test]
    fn a_burst_goes_out_at_the_pace_it_is_heard() {
        let (mut voice, mut effects) = (voice(), Effects::new());
        voice.push(1, &Bytes::from(vec![1; 16_000]), ms(1_000), &mut effects);
        voice.pump(ms(1_000), &mut effects, |_| {});
        assert_eq!(frames(&effects), 7, "the lead and the frame that is due");
        for now in (1_020..=2_000).step_by(20) {
            voice.pump(ms(now), &mut effects, |_| {});
        }
        assert_eq!(frames(&effects), 57);
        assert!(voice.buffered_ms(ms(2_000)) >= 980);
    }

    #[test]
    fn odd_pieces_are_joined_and_only_the_last_is_padded() {
        let (mut voice, mut effects) = (voice(), Effects::new());
        let mut lens = Vec::new();
        for n in 0..4 {
            voice.push(1, &Bytes::from(vec![1; 250]), ms(n * 10), &mut effects);
            voice.pump(ms(n * 10), &mut effects, |frame| lens.push(frame.len));
        }
        voice.pump(ms(200), &mut effects, |frame| lens.push(frame.len));
        assert_eq!(lens, [160, 160, 160, 160, 160, 160, 40]);
    }

    #[test]
    fn marks_are_unique_periodic_and_close_every_utterance() {
        let (mut voice, mut effects) = (voice(), Effects::new());
        voice.push(1, &Bytes::from(vec![1; 160 * 60]), ms(0), &mut effects);
        voice.push(2, &Bytes::from(vec![2; 160 * 5]), ms(0), &mut effects);
        for now in (0..2_000).step_by(20) {
            voice.pump(ms(now), &mut effects, |_| {});
        }
        let names: Vec<_> = effects
            .list
            .iter()
            .filter_map(|effect| match effect {
                Effect::ToCarrier(CarrierOut::Mark { name }) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(names, ["wb-0", "wb-1", "wb-2", "wb-3"]);
        assert_eq!(voice.mark_reached("somebody-else", ms(2_000)), None);
        assert!(!voice.wants_pump());
    }

    #[test]
    fn a_full_queue_stops_the_reading_and_loses_nothing() {
        let (mut voice, mut effects) = (voice(), Effects::new());
        voice.push(1, &Bytes::from(vec![1; 240_000]), ms(0), &mut effects);
        voice.push(1, &Bytes::from(vec![2; 800]), ms(0), &mut effects);
        voice.push(1, &Bytes::from(vec![3; 800]), ms(0), &mut effects);
        assert_eq!(effects.list, [Effect::PauseAgentRead]);
        let mut bytes = Vec::new();
        for now in (0..31_000).step_by(20) {
            voice.pump(ms(now), &mut effects, |frame| {
                bytes.extend_from_slice(&frame.bytes);
            });
        }
        assert_eq!(bytes.len(), 241_600);
        assert!(bytes.ends_with(&[3; 800]));
        let resumed = effects
            .list
            .iter()
            .filter(|effect| **effect == Effect::ResumeAgentRead)
            .count();
        assert_eq!(resumed, 1);
    }
}
