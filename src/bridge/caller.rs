//! The caller's audio on its way to the agent: kept while the agent is away, converted where the
//! formats differ, replaced by silence while an operator has paused the agent.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::media::{ALAW_SILENCE, Encoding, MediaFormat, Transcoder, ULAW_SILENCE};

/// Caller audio kept until an agent is there to hear it. Beyond it the oldest goes.
const HELD_MS_MAX: u64 = 5_000;

#[derive(Clone, Debug)]
pub(super) struct CallerPath {
    from: MediaFormat,
    held: VecDeque<Bytes>,
    held_ms: u64,
    /// To the format the agent takes; `None` where it takes the carrier's as it is.
    to_agent: Option<Transcoder>,
    /// To µ-law for meters and listeners; `None` where the carrier sends it.
    to_ulaw: Option<Transcoder>,
    ulaw: Vec<u8>,
    /// Chunks thrown away because they were older than [`HELD_MS_MAX`].
    overflowed: u64,
}

impl CallerPath {
    pub(super) fn new(from: MediaFormat) -> Self {
        let to_ulaw = Transcoder::new(from, MediaFormat::ULAW_8K);
        Self {
            from,
            held: VecDeque::new(),
            held_ms: 0,
            to_agent: None,
            to_ulaw: (!to_ulaw.is_passthrough()).then_some(to_ulaw),
            ulaw: Vec::new(),
            overflowed: 0,
        }
    }

    pub(super) fn ms(&self, payload: &Bytes) -> u64 {
        self.from.ms(payload.len())
    }

    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// The payload as µ-law at 8 kHz.
    pub(super) fn as_ulaw<'a>(&'a mut self, payload: &'a [u8]) -> &'a [u8] {
        match &mut self.to_ulaw {
            None => payload,
            Some(transcoder) => {
                self.ulaw.clear();
                transcoder.convert(payload, &mut self.ulaw);
                &self.ulaw
            }
        }
    }

    /// Keeps audio for the agent to come.
    pub(super) fn hold(&mut self, payload: Bytes) {
        self.held_ms += self.ms(&payload);
        self.held.push_back(payload);
        while self.held_ms > HELD_MS_MAX {
            let Some(oldest) = self.held.pop_front() else {
                break;
            };
            self.held_ms = self.held_ms.saturating_sub(self.ms(&oldest));
            self.overflowed += 1;
        }
    }

    /// An agent is there and takes this format. Returns what was kept, converted, oldest first.
    pub(super) fn open(&mut self, takes: MediaFormat) -> Vec<Bytes> {
        let transcoder = Transcoder::new(self.from, takes);
        self.to_agent = (!transcoder.is_passthrough()).then_some(transcoder);
        self.held_ms = 0;
        let held = std::mem::take(&mut self.held);
        held.into_iter()
            .map(|payload| self.convert(payload))
            .collect()
    }

    /// The audio in the format the agent takes. Costs nothing where the formats agree.
    pub(super) fn convert(&mut self, payload: Bytes) -> Bytes {
        match &mut self.to_agent {
            None => payload,
            Some(transcoder) => {
                let mut out = Vec::with_capacity(payload.len() * 4);
                transcoder.convert(&payload, &mut out);
                Bytes::from(out)
            }
        }
    }

    /// As much silence as the payload lasts, in the carrier's format.
    pub(super) fn silence_for(&self, payload: &Bytes) -> Bytes {
        let byte = match self.from.encoding {
            Encoding::Ulaw => ULAW_SILENCE,
            Encoding::Alaw => ALAW_SILENCE,
            Encoding::Pcm16Le => 0,
        };
        Bytes::from(vec![byte; payload.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_seconds_are_kept_in_order_and_the_oldest_goes_first() {
        let mut path = CallerPath::new(MediaFormat::ULAW_8K);
        for n in 0..260u32 {
            path.hold(Bytes::from(vec![n as u8; 160]));
        }
        let held = path.open(MediaFormat::ULAW_8K);
        assert_eq!((held.len(), path.overflowed()), (250, 10));
        assert!(held.iter().zip(10u32..).all(|(b, n)| b[0] == n as u8));
        assert!(path.open(MediaFormat::ULAW_8K).is_empty());
    }

    #[test]
    fn agreeing_formats_pass_the_very_bytes() {
        let mut path = CallerPath::new(MediaFormat::ULAW_8K);
        path.open(MediaFormat::ULAW_8K);
        let payload = Bytes::from(vec![7; 160]);
        assert_eq!(path.convert(payload.clone()).as_ptr(), payload.as_ptr());
        path.open(MediaFormat::PCM_16K);
        assert_eq!(path.convert(payload).len() % 2, 0);
    }
}
