//! This vendor's words in a load run: every turn is an answer of its own, and what breaks into one is
//! the caller's voice.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::simulator::stamped::{Heard, Tongue};

use super::told::{self, Told};
use super::wire::{Place, Words};

/// Says and reads this vendor's messages.
pub(super) struct LoadWords<'a> {
    pub(super) words: &'a mut Words,
    pub(super) beta: bool,
    pub(super) place: Place,
    /// Milliseconds of the present turn, for the bill.
    pub(super) spoken_ms: u64,
    pub(super) heard_ms: u64,
}

impl LoadWords<'_> {
    fn done(&mut self, turn: u64, status: &str) -> Vec<String> {
        let item = if status == "completed" {
            status
        } else {
            "incomplete"
        };
        let text = format!("Load line {turn}.");
        let mut told: Vec<String> = self.words.speech_ends(&self.place, &text, item).into();
        let id = self.place.response_id.clone();
        told.extend(self.words.response_done(&id, status, self.spoken_ms));
        told
    }
}

impl Tongue for LoadWords<'_> {
    fn begins(&mut self, turn: u64) -> Vec<String> {
        self.place = Place {
            response_id: format!("resp_{turn}"),
            item_id: format!("item_{turn}"),
        };
        self.spoken_ms = 0;
        let mut told = vec![self.words.response_created(&self.place.response_id)];
        told.extend(self.words.speech_begins(&self.place));
        told
    }

    /// By hand: it is all of the traffic.
    fn frame(&mut self, _turn: u64, frame: &[u8]) -> String {
        self.spoken_ms += 20;
        let kind = if self.beta {
            "response.audio.delta"
        } else {
            "response.output_audio.delta"
        };
        let mut text = String::with_capacity(frame.len() * 4 / 3 + 180);
        let Place {
            response_id,
            item_id,
        } = &self.place;
        // Writing to a String cannot fail.
        let _infallible = write!(
            text,
            r#"{{"type":"{kind}","event_id":"event_load","response_id":"{response_id}","item_id":"{item_id}","output_index":0,"content_index":0,"delta":""#,
        );
        STANDARD.encode_string(frame, &mut text);
        text.push_str("\"}");
        text
    }

    fn between(&mut self, turn: u64, frame: u64) -> Option<String> {
        (frame == 2).then(|| self.words.words(&self.place, &format!("Load line {turn}.")))
    }

    fn broken_into(&mut self, turn: u64) -> Vec<String> {
        let item = format!("item_caller_{turn}");
        let mut told = vec![self.words.speech_started(&item, self.heard_ms)];
        told.extend(self.done(turn, "cancelled"));
        told.push(self.words.speech_stopped(&item, self.heard_ms));
        told.extend(self.words.committed(&item, None));
        told.extend(
            self.words
                .transcribed(&item, &format!("Caller line {turn}.")),
        );
        told
    }

    fn ends(&mut self, turn: u64) -> Vec<String> {
        self.done(turn, "completed")
    }

    fn read(&mut self, text: &str) -> Heard {
        match told::read(text, self.beta) {
            Ok(Told::Audio(audio)) => {
                self.heard_ms += audio.len() as u64 / 8;
                Heard::Audio(audio)
            }
            Ok(_) => Heard::Other,
            Err(_) => Heard::Refused,
        }
    }
}
