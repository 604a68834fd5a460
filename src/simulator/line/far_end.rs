//! The far end of a phone line, as the media loop sees it: a frame out for every frame in.

use bytes::Bytes;

use crate::simulator::speech::Caller;

/// What is sent for one 20 ms tick.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Raw µ-law, encoded by the loop.
    Frame(Bytes),
    /// Already base64 (load runs encode their frames once).
    Base64(String),
}

#[derive(Debug)]
pub(crate) struct FarTick {
    pub(crate) payload: Payload,
    pub(crate) key: Option<char>,
    pub(crate) hangup: bool,
}

/// Somebody, or a load generator, on the phone.
pub(crate) trait FarEnd: Send {
    /// Called every 20 ms with what was played meanwhile.
    fn tick(&mut self, heard: &[u8]) -> FarTick;

    /// False: received audio is only counted, never decoded or played.
    fn listens(&self) -> bool {
        true
    }

    /// Every received payload, before it is queued for playing.
    fn received(&mut self, _payload: &str) {}

    /// The carrier was told to throw away what it has not played.
    fn cleared(&mut self) {}

    /// One frame was lost on the line by a fault.
    fn lost(&mut self) {}
}

impl FarEnd for Caller {
    fn tick(&mut self, heard: &[u8]) -> FarTick {
        let tick = Caller::tick(self, heard);
        FarTick {
            payload: Payload::Frame(tick.frame),
            key: tick.key,
            hangup: tick.hangup,
        }
    }
}
