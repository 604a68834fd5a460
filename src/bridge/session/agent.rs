//! The agent's side of a session: dialling, what the agent says, its failures.

use std::time::Duration;

use bytes::Bytes;

use crate::call::{AgentLink, Fact, Track, text};
use crate::media::MediaFormat;

use super::super::link::{LinkPhase, Verdict};
use super::super::{AgentFailure, AgentIn, AgentOut, Effect, Effects, Floor};
use super::{Phase, Session, trouble};

/// Lines told to an agent that takes over in the middle of a call, and their length in all.
const RECAP_LINES: usize = 20;
const RECAP_CHARS: usize = 3_000;
/// No caller audio for this long while the vendor hears the caller speak: it gets silence.
const VENDOR_WAITS: Duration = Duration::from_millis(750);
/// That silence: longer than any pause that ends a turn.
const TOP_UP: Duration = Duration::from_millis(1_000);

impl Session {
    pub(super) fn dial(&mut self, now: Duration, effects: &mut Effects) {
        self.link.start(now);
        effects.fact(Fact::AgentLinkChanged {
            link: AgentLink::Connecting,
            reason: None,
            attempt: Some(1),
        });
        effects.push(Effect::ConnectAgent {
            after: Duration::ZERO,
        });
    }

    pub(super) fn agent_connected(&mut self, can_say: bool, effects: &mut Effects) {
        if self.link.phase() != LinkPhase::Dialling {
            return;
        }
        self.link.connected();
        self.can_say = can_say;
        let mut brief = self.plan.brief.clone();
        brief.takes_over = self.is_takeover();
        brief.caller_is_next = std::mem::take(&mut self.caller_is_next);
        if brief.takes_over && brief.first_message.is_some() {
            // The caller was greeted; whoever comes in now waits to be spoken to.
            brief.first_message = Some(String::new());
        }
        effects.tell_agent(AgentOut::Begin(brief));
        if self.floor == Floor::Operator {
            effects.tell_agent(AgentOut::Hush);
        }
    }

    pub(super) fn agent(&mut self, now: Duration, word: AgentIn, effects: &mut Effects) {
        if self.link.phase() == LinkPhase::Idle {
            return;
        }
        self.agent_at = now;
        match word {
            AgentIn::Ready {
                conversation_id,
                takes,
                gives,
            } => {
                // A second one is a vendor's slip; the first stands.
                if !self.link.is_ready() {
                    self.conversation_opened(now, conversation_id, takes, gives, effects);
                }
            }
            AgentIn::Audio { utterance, payload } => {
                self.agent_audio(now, utterance, &payload, effects);
            }
            AgentIn::CallerText {
                utterance,
                text,
                interim,
            } => self
                .turns
                .caller_text(utterance, &text, interim, now, effects),
            AgentIn::AgentText {
                utterance,
                text,
                interim,
            } => {
                let unheard = !self.may_speak(utterance);
                self.turns
                    .agent_text(utterance, &text, interim, unheard, now, effects);
            }
            AgentIn::Given { utterance } => self.agent_given(utterance),
            AgentIn::AgentCorrection {
                utterance,
                original,
                corrected,
            } => {
                self.turns
                    .corrected(utterance, &original, &corrected, now, &self.voice, effects);
            }
            // Words of a person are not taken back because the caller coughs.
            AgentIn::Interruption { .. } if self.floor == Floor::Operator => {}
            AgentIn::Interruption { utterance } => self.barge_in(now, utterance, effects),
            // Our own detector times both sides alike, whoever the vendor is; the vendor's decides
            // whether the agent was interrupted.
            AgentIn::CallerSpeechStarted => {
                self.vendor_hears = true;
                let sounds = self.floor != Floor::Operator;
                if sounds && (self.voice.is_playing(now) || !self.voice.is_empty()) {
                    let said = self.turns.newest_of_agent().unwrap_or_default();
                    self.barge_in(now, said, effects);
                }
            }
            AgentIn::CallerSpeechStopped => self.vendor_hears = false,
            AgentIn::Ping { id, rtt_ms } => {
                self.pings = self.pings.saturating_add(1);
                effects.tell_agent(AgentOut::Pong { id });
                let rtt_ms = rtt_ms.filter(|ms| ms.is_finite() && *ms > 0.0);
                self.health.rtt_ms = rtt_ms.or(self.health.rtt_ms);
            }
            AgentIn::ToolCall {
                tool_call_id,
                name,
                args,
            } => self.tool_called(now, tool_call_id, name, args, effects),
            AgentIn::ToolNews {
                tool_call_id,
                name,
                ok,
                result,
            } => match ok {
                Some(ok) => {
                    let result = result.unwrap_or_default();
                    self.turns
                        .tool_returned(&tool_call_id, &name, ok, &result, now, effects);
                }
                None => self
                    .turns
                    .tool_called(&tool_call_id, &name, "", now, effects),
            },
            AgentIn::HangUp { reason } => self.agent_hangs_up(now, reason, effects),
            AgentIn::Usage { usd, .. } => self.spent(usd, effects),
            AgentIn::Lasts { max } => self.lasts(now, max),
            AgentIn::Refused { reason } => self.agent_refused(now, &reason, effects),
            AgentIn::Owing => effects.tell_agent(AgentOut::Owed),
            AgentIn::Trouble { code, message } => effects.fact(trouble(&code, &message)),
            AgentIn::Unknown { .. } => {}
        }
    }

    pub(super) fn conversation_opened(
        &mut self,
        now: Duration,
        conversation_id: String,
        takes: MediaFormat,
        gives: MediaFormat,
        effects: &mut Effects,
    ) {
        let recap = self.is_takeover().then(|| self.recap());
        self.link.ready(now);
        self.conversations += 1;
        self.pings = 0;
        self.turns.conversation_opened();
        self.given.clear();
        self.vendor_hears = false;
        self.renewal = None;
        self.voice.open(gives, effects);
        let conversation_id = text::clean_label(&conversation_id).into_owned();
        effects.fact(Fact::ConversationStarted {
            conversation_id: conversation_id.clone(),
        });
        effects.fact(Fact::AgentLinkChanged {
            link: AgentLink::Connected,
            reason: None,
            attempt: None,
        });
        self.conversation = Some(conversation_id);
        let note = self.note.take();
        let told = [recap.filter(|text| !text.is_empty()), note];
        for text in told.into_iter().flatten() {
            effects.tell_agent(AgentOut::Context { text });
        }
        for payload in self.caller.open(takes) {
            effects.tell_agent(AgentOut::Audio(payload));
        }
        for text in std::mem::take(&mut self.typed) {
            effects.tell_agent(AgentOut::Typed { text });
        }
    }

    pub(super) fn agent_audio(
        &mut self,
        now: Duration,
        utterance: u64,
        payload: &Bytes,
        effects: &mut Effects,
    ) {
        if !self.may_speak(utterance) {
            self.turns.unheard(utterance, effects);
            return;
        }
        let Some(turn) = self.turns.agent_audio(utterance, now) else {
            return;
        };
        let ms = self.voice.push(u64::from(turn), payload, now, effects);
        self.turns.audio_taken(turn, ms);
        self.pump(now, effects);
    }

    /// Order matters: the caller's ear first, then the vendor's generator, then its memory.
    pub(super) fn barge_in(&mut self, now: Duration, utterance: u64, effects: &mut Effects) {
        let playing = self.playing_turn(now);
        let dropped_ms = self.silence(now, effects);
        self.turns
            .interrupted(utterance, playing, dropped_ms, now, &self.voice, effects);
    }

    /// The same where nobody broke in: an operator, or the backend, has the floor.
    pub(super) fn take_floor(&mut self, now: Duration, effects: &mut Effects) {
        let playing = self.playing_turn(now);
        self.silence(now, effects);
        self.turns.silenced(playing, now, &self.voice, effects);
    }

    fn playing_turn(&self, now: Duration) -> Option<u32> {
        let tag = self.voice.playing_tag(now)?;
        u32::try_from(tag).ok()
    }

    /// Takes back everything the caller has not heard. Returns how much that was, in ms.
    pub(super) fn silence(&mut self, now: Duration, effects: &mut Effects) -> u64 {
        let dropped_ms = self.voice.clear(now, effects);
        if let Some(tapper) = &mut self.tapper {
            tapper.clear_agent(now);
        }
        if self.link.is_ready() {
            effects.tell_agent(AgentOut::Cancel);
        }
        dropped_ms
    }

    /// An agent that gets no answer stalls, so it gets one at once.
    pub(super) fn unknown_tool(
        &mut self,
        now: Duration,
        tool_call_id: String,
        name: &str,
        args: &str,
        effects: &mut Effects,
    ) {
        let result = format!("unknown tool: {}", text::clean_label(name));
        self.turns
            .tool_called(&tool_call_id, name, args, now, effects);
        self.turns
            .tool_returned(&tool_call_id, name, false, &result, now, effects);
        effects.tell_agent(AgentOut::ToolResult {
            tool_call_id,
            ok: false,
            result,
        });
    }

    pub(super) fn agent_closed(
        &mut self,
        now: Duration,
        reason: &str,
        on_purpose: Option<String>,
        effects: &mut Effects,
    ) {
        if self.link.phase() == LinkPhase::Idle {
            return;
        }
        let was_ready = self.link.is_ready();
        let told = on_purpose.clone().unwrap_or_else(|| reason.to_owned());
        self.conversation_ended(&told, effects);
        if matches!(self.phase, Phase::Draining { .. }) {
            self.link.close();
            return;
        }
        if let Some(reason) = on_purpose {
            self.link.close();
            if self.floor == Floor::Operator {
                // The person goes on; the agent is dialled again when the call comes back to it.
                effects.fact(Fact::AgentLinkChanged {
                    link: AgentLink::None,
                    reason: Some(text::clean_label(&reason).into_owned()),
                    attempt: None,
                });
            } else {
                self.drain(now, reason);
            }
            return;
        }
        let verdict = if was_ready {
            self.link.died(now)
        } else {
            self.link.failed(now, AgentFailure::Unreachable)
        };
        self.follow(now, verdict, reason, effects);
    }

    /// The vendor said no before or in the middle of the conversation: nobody will answer.
    fn agent_refused(&mut self, now: Duration, reason: &str, effects: &mut Effects) {
        self.conversation_ended(reason, effects);
        if self.phase != Phase::Talking {
            return;
        }
        effects.push(Effect::CloseAgent);
        self.link.close();
        self.follow(now, Verdict::GiveUp, reason, effects);
    }

    /// Adds up what the conversations of this stream cost. Vendors that name no price, and calls
    /// without a price table, have no figure at all.
    fn spent(&mut self, usd: Option<f64>, effects: &mut Effects) {
        let Some(usd) = usd.filter(|usd| usd.is_finite() && *usd > 0.0) else {
            return;
        };
        self.spent_usd += usd;
        effects.fact(Fact::Costed {
            usd: self.spent_usd,
            source: "estimate:agent".into(),
        });
    }

    /// The carrier fell silent in the middle of the caller's words: without audio the vendor's
    /// detector would wait for their end for ever.
    pub(super) fn top_up(&mut self, now: Duration, effects: &mut Effects) {
        let silent = now.saturating_sub(self.caller_at);
        if !self.vendor_hears || silent < VENDOR_WAITS || !self.link.is_ready() {
            return;
        }
        self.vendor_hears = false;
        for payload in self.caller.silence(TOP_UP) {
            effects.tell_agent(AgentOut::Audio(payload));
        }
    }

    pub(super) fn follow(
        &mut self,
        now: Duration,
        verdict: Verdict,
        reason: &str,
        effects: &mut Effects,
    ) {
        match verdict {
            Verdict::Retry { after, attempt } => {
                let link = if self.conversations > 0 {
                    AgentLink::Reconnecting
                } else {
                    AgentLink::Connecting
                };
                effects.fact(Fact::AgentLinkChanged {
                    link,
                    reason: Some(text::clean_label(reason).into_owned()),
                    attempt: Some(attempt),
                });
                effects.push(Effect::ConnectAgent { after });
            }
            Verdict::GiveUp => {
                let reason = text::clean_label(reason).into_owned();
                effects.fact(Fact::AgentLinkChanged {
                    link: AgentLink::Lost,
                    reason: Some(reason.clone()),
                    attempt: None,
                });
                // With an operator speaking there is somebody to talk to.
                if self.floor != Floor::Operator {
                    self.fall_back(now, &reason, effects);
                }
            }
        }
    }

    /// The next agent comes into a call that is already under way.
    pub(super) fn is_takeover(&self) -> bool {
        self.conversations > 0 || self.plan.turns_before > 0
    }

    /// What was said so far, for an agent that takes over.
    pub(super) fn recap(&self) -> String {
        let before = self.plan.lines_before.iter().cloned();
        let lines: Vec<_> = before.chain(self.turns.lines()).collect();
        let mut recap = String::new();
        for (track, words) in lines.iter().skip(lines.len().saturating_sub(RECAP_LINES)) {
            let who = match track {
                Track::FromCaller => "Caller",
                Track::FromAgent => "You",
                Track::FromOperator => "Operator",
            };
            recap.push_str(who);
            recap.push_str(": ");
            recap.push_str(words);
            recap.push('\n');
        }
        if recap.is_empty() {
            return recap;
        }
        let skip = recap.chars().count().saturating_sub(RECAP_CHARS);
        let tail: String = recap.chars().skip(skip).collect();
        format!(
            "The connection was interrupted for a moment and is back. Go on where you were; do not \
             greet again. The conversation so far:\n{tail}"
        )
    }
}
