//! One utterance of either side: its text, its audio, and where it was cut.

use std::time::Duration;

use crate::call::{Fact, Track};

/// A changing line is told at most this often.
const INTERIM_EVERY: Duration = Duration::from_millis(100);
/// How long a character takes to say, at least; guesses the length of audio still to come.
const CHAR_MS: u64 = 45;

#[derive(Clone, Debug)]
pub(super) struct Utterance {
    pub(super) conversation: u32,
    pub(super) track: Track,
    pub(super) vendor_id: u64,
    pub(super) turn: u32,
    pub(super) text: String,
    pub(super) is_final: bool,
    /// Audio received for it.
    pub(super) audio_ms: u64,
    pub(super) audio_at: Option<Duration>,
    /// When its first words came.
    pub(super) text_at: Option<Duration>,
    pub(super) sent: bool,
    pub(super) latency_ms: Option<u32>,
    /// Audio heard before it was cut off.
    pub(super) cut_at_ms: Option<u32>,
    /// Who cut it, where it was not the caller.
    pub(super) cut_by: Option<Track>,
    /// What the vendor says was heard.
    pub(super) corrected: Option<String>,
    pub(super) told_at: Option<Duration>,
    /// Interim text changed since it was told.
    pub(super) stale: bool,
}

impl Utterance {
    pub(super) fn new(conversation: u32, track: Track, vendor_id: u64, turn: u32) -> Self {
        Self {
            conversation,
            track,
            vendor_id,
            turn,
            text: String::new(),
            is_final: false,
            audio_ms: 0,
            audio_at: None,
            text_at: None,
            sent: false,
            latency_ms: None,
            cut_at_ms: None,
            cut_by: None,
            corrected: None,
            told_at: None,
            stale: false,
        }
    }

    pub(super) fn may_tell(&self, now: Duration) -> bool {
        self.told_at
            .is_none_or(|at| now.saturating_sub(at) >= INTERIM_EVERY)
    }

    pub(super) fn interim(&self) -> Fact {
        Fact::UtteranceInterim {
            turn: self.turn,
            track: self.track,
            text: self.text.clone(),
        }
    }

    pub(super) fn finished(&self) -> Fact {
        Fact::UtteranceFinal {
            turn: self.turn,
            track: self.track,
            text: self.text.clone(),
            latency_ms: self.latency_ms,
        }
    }

    pub(super) fn truncated(&self) -> Fact {
        let cut_at_ms = self.cut_at_ms.unwrap_or(0);
        Fact::UtteranceTruncated {
            turn: self.turn,
            track: self.track,
            heard: self
                .corrected
                .clone()
                .unwrap_or_else(|| self.heard(cut_at_ms)),
            cut_at_ms,
            by: self.cut_by,
        }
    }

    /// The beginning of the text that fits into so much audio, whole words only.
    pub(super) fn heard(&self, heard_ms: u32) -> String {
        let chars = self.text.chars().count() as u64;
        let whole_ms = self.audio_ms.max(chars * CHAR_MS).max(1);
        let fits = chars * u64::from(heard_ms) / whole_ms;
        if fits >= chars {
            return self.text.clone();
        }
        let head: String = self.text.chars().take(fits as usize).collect();
        let splits_word = self
            .text
            .chars()
            .nth(fits as usize)
            .is_some_and(|next| !next.is_whitespace());
        match head.rfind(char::is_whitespace) {
            Some(end) if splits_word => head.get(..end).unwrap_or("").trim_end().to_owned(),
            None if splits_word => String::new(),
            _ => head.trim_end().to_owned(),
        }
    }
}
