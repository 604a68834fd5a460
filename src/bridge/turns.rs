//! Who said what, in which turn, and how long the answer took. Turns the vendor's utterance ids
//! into our turn numbers: one line per turn and track.
//!
//! Definitions of the times: a turn's latency runs from the end of the caller's speech (our own
//! detector) to the first frame of the answer sent to the carrier. "Ears" is the end of speech to
//! the transcript, "think" the transcript to the first audio, "voice" the first audio to the frame.

mod cuts;
mod tools;
mod utterance;

use std::collections::VecDeque;
use std::time::Duration;

use crate::call::{Fact, Track, TurnTiming, percentile, text};
use crate::media::VadEvent;

use super::Effects;
use utterance::Utterance;

/// Utterances remembered for corrections, cuts and a successor conversation.
const UTTERANCES_MAX: usize = 48;
/// A longer wait is not an answer to what was said.
const LATENCY_MAX: Duration = Duration::from_secs(30);
/// The caller has paused for this long: what the agent starts now is an answer, not an overlap.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Turn times kept for the percentiles (live window of 50).
const TIMES_MAX: usize = 50;

/// What the answer will be measured from.
#[derive(Clone, Copy, Debug)]
struct Question {
    spoke_until: Duration,
    talked_over: bool,
}

#[derive(Debug)]
pub(super) struct Turns {
    started_at: Duration,
    conversation: u32,
    turn: u32,
    /// Turns of earlier streams of this call.
    before: u32,
    greeted: bool,
    utterances: VecDeque<Utterance>,
    /// Audio of vendor utterances up to this one is void.
    void_upto: Option<u64>,
    question: Option<Question>,
    transcript_at: Option<Duration>,
    answered_at: Option<Duration>,
    times: VecDeque<u32>,
    tools: VecDeque<(String, Duration)>,
    interruptions: u32,
    interrupted_at: Option<Duration>,
    /// Some line has interim text to tell.
    has_stale: bool,
}

impl Turns {
    pub(super) fn new(started_at: Duration, before: u32) -> Self {
        Self {
            started_at,
            conversation: 0,
            turn: before,
            before,
            greeted: before > 0,
            utterances: VecDeque::new(),
            void_upto: None,
            question: None,
            transcript_at: None,
            answered_at: None,
            times: VecDeque::new(),
            tools: VecDeque::new(),
            interruptions: 0,
            interrupted_at: None,
            has_stale: false,
        }
    }

    /// Turns of this stream so far.
    pub(super) fn count(&self) -> u32 {
        self.turn - self.before
    }

    pub(super) fn interruptions(&self) -> u32 {
        self.interruptions
    }

    pub(super) fn percentile_ms(&self, percent: u32) -> Option<u32> {
        percentile(self.times.iter().copied(), percent)
    }

    pub(super) fn has_stale(&self) -> bool {
        self.has_stale
    }

    /// What was said on this stream, oldest first, as far as it was heard.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Track, String)> {
        self.utterances
            .iter()
            .map(|said| {
                let heard = said
                    .corrected
                    .clone()
                    .or_else(|| said.cut_at_ms.map(|at| said.heard(at)));
                (said.track, heard.unwrap_or_else(|| said.text.clone()))
            })
            .filter(|(_, text)| !text.is_empty())
    }

    /// The vendor's id of the newest thing the agent said in this conversation.
    pub(super) fn newest_of_agent(&self) -> Option<u64> {
        self.utterances
            .iter()
            .filter(|said| said.track == Track::FromAgent && said.conversation == self.conversation)
            .map(|said| said.vendor_id)
            .max()
    }

    /// What the vendor will say under this id are an operator's words.
    pub(super) fn given(&mut self, vendor_id: u64) {
        self.forget_question();
        self.find_or_add(Track::FromOperator, vendor_id);
    }

    /// Somebody else than the agent has answered, or kept it from answering: what it says next is
    /// not timed from what the caller said before.
    pub(super) fn forget_question(&mut self) {
        self.question = None;
        self.transcript_at = None;
    }

    /// Whether the caller was the last to say something.
    pub(super) fn caller_spoke_last(&self) -> bool {
        let heard = |said: &&Utterance| said.track != Track::FromAgent || said.cut_at_ms != Some(0);
        let last = self.utterances.iter().rev().find(heard);
        last.is_some_and(|said| said.track == Track::FromCaller)
    }

    /// A whole line that no vendor has spoken. Returns its turn.
    pub(super) fn spoken(&mut self, track: Track, words: &str, effects: &mut Effects) -> u32 {
        self.turn += 1;
        if self.utterances.len() == UTTERANCES_MAX {
            self.utterances.pop_front();
        }
        self.forget_question();
        // Of no conversation: the vendor knows nothing of it and cannot be told to cut it.
        let mut said = Utterance::new(u32::MAX, track, u64::from(self.turn), self.turn);
        said.text = text::clean(words.trim()).into_owned();
        said.is_final = true;
        effects.fact(said.finished());
        self.utterances.push_back(said);
        self.turn
    }

    /// Everything the agent has begun to say is void: nobody shall hear the rest of it.
    pub(super) fn void_all(&mut self) {
        self.void_upto = self.void_upto.max(self.newest_of_agent());
    }

    fn agents_track(&self, vendor_id: u64) -> Track {
        let is_given = self.utterances.iter().rev().any(|said| {
            said.vendor_id == vendor_id
                && said.track == Track::FromOperator
                && said.conversation == self.conversation
        });
        if is_given {
            Track::FromOperator
        } else {
            Track::FromAgent
        }
    }

    /// A new conversation opens: the vendor counts anew, we go on.
    pub(super) fn conversation_opened(&mut self) {
        self.conversation += 1;
        self.void_upto = None;
        self.tools.clear();
    }

    /// The caller started or stopped to speak. `agent_playing`: as of now.
    pub(super) fn caller_spoke(&mut self, event: VadEvent, agent_playing: bool) {
        match event {
            VadEvent::SpeechStarted { .. } => {
                self.question = None;
                self.transcript_at = None;
            }
            VadEvent::SpeechEnded { at } => {
                if self.answered_at.is_some_and(|answered| answered >= at) {
                    return;
                }
                self.question = Some(Question {
                    spoke_until: at,
                    talked_over: agent_playing,
                });
            }
        }
    }

    pub(super) fn caller_text(
        &mut self,
        vendor_id: u64,
        words: &str,
        interim: bool,
        now: Duration,
        effects: &mut Effects,
    ) {
        if !interim {
            self.transcript_at = Some(now);
        }
        self.say(Track::FromCaller, vendor_id, words, interim, now, effects);
    }

    /// A line the caller wrote: an answer to it is timed from now.
    pub(super) fn caller_typed(
        &mut self,
        line: u64,
        words: &str,
        now: Duration,
        effects: &mut Effects,
    ) {
        self.question = None;
        self.transcript_at = Some(now);
        self.say(Track::FromCaller, line, words, false, now, effects);
    }

    /// `unheard`: the agent is paused, nobody will hear this.
    pub(super) fn agent_text(
        &mut self,
        vendor_id: u64,
        words: &str,
        interim: bool,
        unheard: bool,
        now: Duration,
        effects: &mut Effects,
    ) {
        let track = self.agents_track(vendor_id);
        let is_void = track == Track::FromAgent && (self.is_void(vendor_id) || unheard);
        let index = self.find_or_add(track, vendor_id);
        if let Some(said) = self.utterances.get_mut(index) {
            said.text_at = said.text_at.or(Some(now));
            if is_void && said.audio_ms == 0 && said.cut_at_ms.is_none() {
                said.cut_at_ms = Some(0);
                // Not the caller: somebody else has the floor.
                said.cut_by = unheard.then_some(Track::FromOperator);
            }
        }
        self.say(track, vendor_id, words, interim, now, effects);
    }

    /// Agent audio came. Returns the turn it belongs to, `None` when it is void.
    pub(super) fn agent_audio(&mut self, vendor_id: u64, now: Duration) -> Option<u32> {
        let track = self.agents_track(vendor_id);
        if track == Track::FromAgent && self.is_void(vendor_id) {
            return None;
        }
        let index = self.find_or_add(track, vendor_id);
        let said = self.utterances.get_mut(index)?;
        said.audio_at = said.audio_at.or(Some(now));
        Some(said.turn)
    }

    pub(super) fn audio_taken(&mut self, turn: u32, ms: u64) {
        if let Some(said) = self.agent_turn(turn) {
            said.audio_ms += ms;
        }
    }

    /// A frame of this turn went to the carrier; the first one times the answer.
    pub(super) fn frame_sent(
        &mut self,
        turn: u32,
        now: Duration,
        caller: CallerSpeech,
        effects: &mut Effects,
    ) {
        // The newest utterance is the usual one; cheap for every frame but the first.
        let Some(said) = self.agent_turn(turn) else {
            return;
        };
        if said.sent {
            return;
        }
        said.sent = true;
        let audio_at = said.audio_at.unwrap_or(now);
        let text_at = said.text_at;
        let greeting = !std::mem::replace(&mut self.greeted, true);
        let question = self.question.take();
        let transcript_at = self.transcript_at.take();
        self.answered_at = Some(now);
        let spoke_until = match (question, caller) {
            (Some(question), _) if question.talked_over => None,
            (Some(question), _) => Some(question.spoke_until),
            // Its end is not decided yet, but a pause this long shows it.
            (None, CallerSpeech::Until(at)) => (now.saturating_sub(at) >= PAUSE_MIN).then_some(at),
            (None, CallerSpeech::None) => transcript_at,
        };
        let Some(spoke_until) = spoke_until.filter(|at| now.saturating_sub(*at) <= LATENCY_MAX)
        else {
            if greeting {
                let waited = millis(now.saturating_sub(self.started_at));
                if let Some(said) = self.agent_turn(turn) {
                    said.latency_ms = Some(waited);
                }
            }
            return;
        };
        let latency_ms = millis(now.saturating_sub(spoke_until));
        let since = |from: Duration, to: Duration| to.checked_sub(from).map(millis);
        let timing = TurnTiming {
            turn,
            latency_ms,
            ears_ms: transcript_at.and_then(|at| since(spoke_until, at)),
            token_ms: transcript_at.and_then(|at| since(at, text_at?)),
            think_ms: transcript_at.and_then(|at| since(at, audio_at)),
            voice_ms: since(audio_at, now),
        };
        if self.times.len() == TIMES_MAX {
            self.times.pop_front();
        }
        self.times.push_back(latency_ms);
        if let Some(said) = self.agent_turn(turn) {
            said.latency_ms = Some(latency_ms);
        }
        effects.fact(Fact::TurnTimed { timing });
    }

    /// Tells the lines that changed while it was too early to tell them again.
    pub(super) fn tell_stale(&mut self, now: Duration, effects: &mut Effects) {
        if !self.has_stale {
            return;
        }
        self.has_stale = false;
        for said in self.utterances.iter_mut().filter(|said| said.stale) {
            if said.may_tell(now) {
                said.told_at = Some(now);
                said.stale = false;
                effects.fact(said.interim());
            } else {
                self.has_stale = true;
            }
        }
    }

    fn say(
        &mut self,
        track: Track,
        vendor_id: u64,
        words: &str,
        interim: bool,
        now: Duration,
        effects: &mut Effects,
    ) {
        let words = text::clean(words.trim());
        if words.is_empty() {
            return;
        }
        let index = self.find_or_add(track, vendor_id);
        let Some(said) = self.utterances.get_mut(index) else {
            return;
        };
        if interim && (said.is_final || said.cut_at_ms.is_some()) {
            return;
        }
        words.as_ref().clone_into(&mut said.text);
        if !interim {
            said.is_final = true;
            said.stale = false;
            effects.fact(said.finished());
            if said.cut_at_ms.is_some() {
                effects.fact(said.truncated());
            }
        } else if said.may_tell(now) {
            said.told_at = Some(now);
            said.stale = false;
            effects.fact(said.interim());
        } else {
            said.stale = true;
            self.has_stale = true;
        }
    }

    fn is_void(&self, vendor_id: u64) -> bool {
        self.void_upto.is_some_and(|upto| vendor_id <= upto)
    }

    fn agent_turn(&mut self, turn: u32) -> Option<&mut Utterance> {
        self.utterances
            .iter_mut()
            .rev()
            .find(|said| said.turn == turn && said.track == Track::FromAgent)
    }

    fn find_or_add(&mut self, track: Track, vendor_id: u64) -> usize {
        let conversation = self.conversation;
        let known = self.utterances.iter().rposition(|said| {
            said.vendor_id == vendor_id && said.track == track && said.conversation == conversation
        });
        if let Some(index) = known {
            return index;
        }
        self.turn += 1;
        if self.utterances.len() == UTTERANCES_MAX {
            self.utterances.pop_front();
        }
        self.utterances
            .push_back(Utterance::new(conversation, track, vendor_id, self.turn));
        self.utterances.len() - 1
    }
}

/// What the speech detector knows when an answer starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum CallerSpeech {
    None,
    /// Speech whose end is not decided yet; last heard at this time.
    Until(Duration),
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn clamp(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}
