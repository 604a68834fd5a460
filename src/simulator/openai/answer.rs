//! The answer that is being made: its audio goes out faster than it is spoken, its words with it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::wire::{Place, Words};

/// Audio in one message: a quarter of a second. One goes out per tick, 12 times real time.
const PIECE_BYTES: usize = 2_000;

/// One spoken answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) place: Place,
    text: String,
    /// Words not yet written.
    words: VecDeque<String>,
    words_per_piece: usize,
    pieces: VecDeque<Bytes>,
    sent_bytes: usize,
    written: String,
}

impl Answer {
    /// What is to be said, and its first messages.
    pub(super) fn begin(
        place: Place,
        text: String,
        audio: &Bytes,
        out: &mut Words,
    ) -> (Self, Vec<String>) {
        let mut pieces = VecDeque::new();
        let mut from = 0;
        while from < audio.len() {
            let to = (from + PIECE_BYTES).min(audio.len());
            pieces.push_back(audio.slice(from..to));
            from = to;
        }
        let words: VecDeque<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        let words_per_piece = words.len().div_ceil(pieces.len().max(1)).max(1);
        let mut told = vec![out.response_created(&place.response_id)];
        told.extend(out.speech_begins(&place));
        let answer = Self {
            place,
            text,
            words,
            words_per_piece,
            pieces,
            sent_bytes: 0,
            written: String::new(),
        };
        (answer, told)
    }

    /// The next messages; `None` when everything was said.
    pub(super) fn next(&mut self, out: &mut Words) -> Option<Vec<String>> {
        let piece = self.pieces.pop_front()?;
        let mut told = Vec::new();
        for word in self
            .words
            .drain(..self.words_per_piece.min(self.words.len()))
        {
            self.written.push_str(&word);
            told.push(out.words(&self.place, &word));
        }
        self.sent_bytes += piece.len();
        told.push(out.audio(&self.place, &piece));
        Some(told)
    }

    pub(super) fn end(self, out: &mut Words) -> Vec<String> {
        let mut told: Vec<String> = out
            .speech_ends(&self.place, &self.text, "completed")
            .into_iter()
            .collect();
        told.extend(out.response_done(&self.place.response_id, "completed", self.sent_ms()));
        told
    }

    /// Cut off: only what was written so far is known.
    pub(super) fn cut(self, out: &mut Words) -> Vec<String> {
        let mut told: Vec<String> = out
            .speech_ends(&self.place, self.written.trim_end(), "incomplete")
            .into_iter()
            .collect();
        told.extend(out.response_done(&self.place.response_id, "cancelled", self.sent_ms()));
        told
    }

    pub(super) fn sent_ms(&self) -> u64 {
        self.sent_bytes as u64 / 8
    }
}
