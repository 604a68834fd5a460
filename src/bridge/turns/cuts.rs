//! Where what the agent said was cut off, and what of it was heard.

use std::time::Duration;

use crate::call::{Fact, Track, text};

use super::super::voice::Voice;
use super::super::{AgentOut, Effects};
use super::utterance::Utterance;
use super::{Turns, clamp};

/// Two interruptions within this are one.
const BARGE_IN_APART: Duration = Duration::from_secs(1);
/// Audio left unheard below this is rounding, not a cut.
const CUT_MIN_MS: u64 = 60;

impl Turns {
    /// The caller broke in; `voice` has just been cleared. `playing`: the turn that was heard.
    pub(in crate::bridge) fn interrupted(
        &mut self,
        vendor_id: u64,
        playing: Option<u32>,
        dropped_ms: u64,
        now: Duration,
        voice: &Voice,
        effects: &mut Effects,
    ) {
        self.void_upto = Some(self.void_upto.unwrap_or(0).max(vendor_id));
        let cut_turn = self.cut(playing, None, now, voice, effects);
        let again = self
            .interrupted_at
            .is_some_and(|at| now.saturating_sub(at) < BARGE_IN_APART);
        self.interrupted_at = Some(now);
        if again && dropped_ms == 0 {
            return;
        }
        self.interruptions += 1;
        effects.fact(Fact::BargedIn {
            turn: cut_turn.or(playing).unwrap_or(self.turn),
            reaction_ms: None,
            dropped_ms: clamp(dropped_ms),
            kind: None,
        });
    }

    /// An operator, or the backend, has silenced the agent: nobody broke in. As
    /// [`Self::interrupted`] otherwise.
    pub(in crate::bridge) fn silenced(
        &mut self,
        playing: Option<u32>,
        now: Duration,
        voice: &Voice,
        effects: &mut Effects,
    ) {
        let by = Some(Track::FromOperator);
        self.cut(playing, by, now, voice, effects);
        self.void_all();
    }

    /// Audio came that nobody will hear, because somebody else has the floor.
    pub(in crate::bridge) fn unheard(&mut self, vendor_id: u64, effects: &mut Effects) {
        let conversation = self.conversation;
        let said = self.utterances.iter_mut().rev().find(|said| {
            said.vendor_id == vendor_id
                && said.track == Track::FromAgent
                && said.conversation == conversation
        });
        let Some(said) = said.filter(|said| said.audio_ms == 0 && said.cut_at_ms.is_none()) else {
            return;
        };
        said.cut_at_ms = Some(0);
        said.cut_by = Some(Track::FromOperator);
        if said.is_final {
            effects.fact(said.truncated());
        }
    }

    /// Marks what was not heard to its end, and tells the vendor. Returns the first turn cut.
    fn cut(
        &mut self,
        playing: Option<u32>,
        by: Option<Track>,
        now: Duration,
        voice: &Voice,
        effects: &mut Effects,
    ) -> Option<u32> {
        let first = playing.unwrap_or(u32::MAX);
        let conversation = self.conversation;
        let mut cut_turn = None;
        for said in &mut self.utterances {
            let is_open = said.track == Track::FromAgent && said.cut_at_ms.is_none();
            if !is_open || (said.turn < first && said.sent) {
                continue;
            }
            let heard_ms = voice.heard_ms(u64::from(said.turn), now);
            if said.audio_ms < heard_ms + CUT_MIN_MS {
                continue;
            }
            said.cut_at_ms = Some(clamp(heard_ms));
            said.cut_by = by;
            cut_turn = cut_turn.or(Some(said.turn));
            if said.conversation == conversation {
                effects.tell_agent(AgentOut::Truncate {
                    utterance: said.vendor_id,
                    heard_ms: clamp(heard_ms),
                });
            }
            if !said.text.is_empty() {
                effects.fact(said.truncated());
            }
        }
        cut_turn
    }

    /// The vendor says what of an utterance was really heard.
    pub(in crate::bridge) fn corrected(
        &mut self,
        vendor_id: u64,
        original: &str,
        corrected: &str,
        now: Duration,
        voice: &Voice,
        effects: &mut Effects,
    ) {
        let conversation = self.conversation;
        let original = text::clean(original.trim());
        let is_agent = |said: &&mut Utterance| {
            said.track == Track::FromAgent && said.conversation == conversation
        };
        let index = self
            .utterances
            .iter_mut()
            .rev()
            .filter(is_agent)
            .position(|said| said.vendor_id == vendor_id && !said.text.is_empty())
            .or_else(|| {
                self.utterances
                    .iter_mut()
                    .rev()
                    .filter(is_agent)
                    .position(|said| said.text == original)
            })
            .unwrap_or(0);
        let Some(said) = self.utterances.iter_mut().rev().filter(is_agent).nth(index) else {
            return;
        };
        // The vendor cannot know that nobody heard it at all.
        if said.cut_at_ms == Some(0) && said.cut_by.is_some() {
            return;
        }
        said.corrected = Some(text::clean(corrected.trim()).into_owned());
        if said.cut_at_ms.is_none() {
            said.cut_at_ms = Some(clamp(voice.heard_ms(u64::from(said.turn), now)));
        }
        if said.text.is_empty() {
            said.text = original.into_owned();
            said.is_final = true;
            effects.fact(said.finished());
        }
        effects.fact(said.truncated());
    }
}
