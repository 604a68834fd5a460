//! This vendor's words in a load run.

use crate::simulator::speech::Did;
use crate::simulator::stamped::{Heard, Tongue};

use super::wire::{self, Told};

/// Says and reads this vendor's messages.
pub(super) struct Words;

impl Tongue for Words {
    fn begins(&mut self, _turn: u64) -> Vec<String> {
        Vec::new()
    }

    fn frame(&mut self, turn: u64, frame: &[u8]) -> String {
        wire::audio_event(turn, frame)
    }

    fn between(&mut self, turn: u64, frame: u64) -> Option<String> {
        match frame {
            2 => wire::said(&Did::Said {
                event_id: turn,
                text: format!("Load line {turn}."),
            }),
            100 => Some(wire::ping(turn, Some(20))),
            200 => wire::said(&Did::CallerFinal {
                event_id: turn,
                text: format!("Caller line {turn}."),
            }),
            _ => None,
        }
    }

    fn broken_into(&mut self, turn: u64) -> Vec<String> {
        let broken = Did::Interrupted { event_id: turn };
        wire::said(&broken).into_iter().collect()
    }

    fn ends(&mut self, _turn: u64) -> Vec<String> {
        Vec::new()
    }

    fn read(&mut self, text: &str) -> Heard {
        match wire::read(text) {
            Ok(Told::Audio(audio)) => Heard::Audio(audio),
            Ok(_) => Heard::Other,
            Err(_) => Heard::Refused,
        }
    }
}
