//! What waits to be written to a socket that is not taking it: bounded, and with an answer to
//! "what when full". Drops are returned to be counted.

use std::collections::VecDeque;

use super::{AgentOut, CarrierOut};

/// Caller audio waiting for the agent's socket: 1 s of 20 ms chunks, then the oldest goes.
const TO_AGENT_MAX: usize = 50;
/// The same while what was kept during connecting is still on its way out.
const TO_AGENT_BACKLOG_MAX: usize = 320;
/// Agent audio waiting for the carrier's socket: 2 s, then the oldest goes.
const TO_CARRIER_MAX: usize = 100;
/// Words that are not audio. More than that unwritten means the socket is stuck for good.
const CONTROL_MAX: usize = 256;

/// Words for the agent, oldest first. One per connection.
#[derive(Clone, Debug)]
pub struct AgentOutbox {
    queue: VecDeque<AgentOut>,
    audio: usize,
    backlog: bool,
}

impl Default for AgentOutbox {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            audio: 0,
            backlog: true,
        }
    }
}

impl AgentOutbox {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Words other than audio have piled up: nobody reads at the other end.
    pub fn is_jammed(&self) -> bool {
        self.queue.len() - self.audio > CONTROL_MAX
    }

    /// Returns how many chunks of audio had to go.
    #[must_use = "drops are counted"]
    pub fn push(&mut self, out: AgentOut) -> u64 {
        let is_audio = matches!(out, AgentOut::Audio(_));
        self.queue.push_back(out);
        if !is_audio {
            return 0;
        }
        self.audio += 1;
        let max = if self.backlog {
            TO_AGENT_BACKLOG_MAX
        } else {
            TO_AGENT_MAX
        };
        if self.audio <= max {
            return 0;
        }
        let oldest = self
            .queue
            .iter()
            .position(|out| matches!(out, AgentOut::Audio(_)));
        if let Some(index) = oldest {
            self.queue.remove(index);
            self.audio -= 1;
        }
        1
    }

    pub fn pop(&mut self) -> Option<AgentOut> {
        let out = self.queue.pop_front()?;
        if matches!(out, AgentOut::Audio(_)) {
            self.audio -= 1;
            self.backlog &= !self.queue.is_empty();
        }
        Some(out)
    }
}

/// Words for the carrier, oldest first. One per stream.
#[derive(Clone, Debug, Default)]
pub struct CarrierOutbox {
    queue: VecDeque<CarrierOut>,
    audio: usize,
}

impl CarrierOutbox {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn is_jammed(&self) -> bool {
        self.queue.len() - self.audio > CONTROL_MAX
    }

    /// Returns how many frames of audio had to go. A clear takes everything before it along: the
    /// carrier would only throw it away.
    #[must_use = "drops are counted"]
    pub fn push(&mut self, out: CarrierOut) -> u64 {
        match out {
            CarrierOut::Clear => {
                self.queue.clear();
                self.audio = 0;
            }
            CarrierOut::Audio(_) => self.audio += 1,
            CarrierOut::Mark { .. } => {}
        }
        self.queue.push_back(out);
        if self.audio <= TO_CARRIER_MAX {
            return 0;
        }
        let oldest = self
            .queue
            .iter()
            .position(|out| matches!(out, CarrierOut::Audio(_)));
        if let Some(index) = oldest {
            self.queue.remove(index);
            self.audio -= 1;
        }
        1
    }

    pub fn pop(&mut self) -> Option<CarrierOut> {
        let out = self.queue.pop_front()?;
        if matches!(out, CarrierOut::Audio(_)) {
            self.audio -= 1;
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn audio(n: u32) -> AgentOut {
        AgentOut::Audio(Bytes::from(n.to_be_bytes().to_vec()))
    }

    #[test]
    fn the_backlog_passes_whole_and_later_only_a_second_waits() {
        let mut outbox = AgentOutbox::new();
        let dropped: u64 = (0..250).map(|n| outbox.push(audio(n))).sum();
        assert_eq!(dropped, 0);
        for n in 0..250 {
            assert_eq!(outbox.pop(), Some(audio(n)));
        }
        assert_eq!(outbox.push(AgentOut::Pong { id: 1 }), 0);
        let dropped: u64 = (0..60).map(|n| outbox.push(audio(n))).sum();
        assert_eq!((dropped, outbox.len()), (10, 51));
        assert_eq!(outbox.pop(), Some(AgentOut::Pong { id: 1 }));
        assert_eq!(outbox.pop(), Some(audio(10)));
    }

    #[test]
    fn a_clear_overtakes_what_it_would_throw_away() {
        let mut outbox = CarrierOutbox::new();
        for n in 0..3u8 {
            assert_eq!(outbox.push(CarrierOut::Audio(Bytes::from(vec![n; 160]))), 0);
        }
        assert_eq!(
            outbox.push(CarrierOut::Mark {
                name: "wb-1".into()
            }),
            0
        );
        assert_eq!(outbox.push(CarrierOut::Clear), 0);
        assert_eq!(outbox.pop(), Some(CarrierOut::Clear));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn words_nobody_takes_are_noticed() {
        let mut outbox = AgentOutbox::new();
        for id in 0..=256 {
            assert!(!outbox.is_jammed());
            assert_eq!(outbox.push(AgentOut::Pong { id }), 0);
        }
        assert!(outbox.is_jammed());
    }
}
