//! Hands on the call: what an operator or the backend orders, who has the floor, and the tools the
//! agent asks for.

use std::time::Duration;

use bytes::Bytes;

use crate::call::{ErrorCode, Refusal, Track, text};

use super::super::{AgentOut, BridgeOrder, Effect, Effects, Floor};
use super::{DRAIN_GRACE, End, Phase, Session, trouble};

/// Ids of given words remembered.
const GIVEN_MAX: usize = 16;
/// The tool that takes the caller away waits until the agent has been heard out, at most this long.
const HEAR_OUT: Duration = Duration::from_secs(8);
/// A carrier that has taken a transfer ends the stream within this.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// Time for the last words to the agent before its socket is closed.
const ANSWERED_WITHIN: Duration = Duration::from_millis(100);
/// The tool whose success ends the conversation.
const TRANSFER: &str = "transfer_call";

/// A tool the agent waits for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    tool_call_id: String,
    name: String,
    args: String,
}

impl Session {
    /// Carries out an operator's or the backend's order.
    ///
    /// # Errors
    /// `conflict` while there is no agent to tell or somebody else has the floor, `unsupported` when
    /// this agent cannot do it.
    pub fn order(
        &mut self,
        now: Duration,
        order: BridgeOrder,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        if self.is_over() {
            return Err(no_agent());
        }
        match order {
            BridgeOrder::Whisper { text } => {
                self.ready_agent()?;
                effects.tell_agent(AgentOut::Context { text });
            }
            BridgeOrder::Say { text } => {
                self.ready_agent()?;
                if !self.can_say {
                    return Err(Refusal::new(
                        ErrorCode::Unsupported,
                        "this agent cannot be made to speak a given text",
                        "whisper a hint to it instead",
                    ));
                }
                effects.tell_agent(AgentOut::UserText { text });
            }
            BridgeOrder::Play { text, audio } => self.play(now, &text, &audio, effects),
            BridgeOrder::PauseAgent => match self.floor {
                Floor::Agent => {
                    self.floor = Floor::Paused;
                    self.given.clear();
                    self.take_floor(now, effects);
                }
                Floor::Paused => {}
                Floor::Operator => return Err(held()),
            },
            BridgeOrder::ResumeAgent => match self.floor {
                Floor::Operator => return Err(held()),
                Floor::Paused => {
                    self.floor = Floor::Agent;
                    self.unheard_so_far();
                }
                Floor::Agent => {}
            },
            BridgeOrder::TakeOver => self.take_over(now, effects),
            BridgeOrder::HandBack { note } => self.hand_back(now, note, effects),
            BridgeOrder::Transferred { closes } => self.transferred(now, closes, effects),
            BridgeOrder::Stop { reason } => {
                self.close_carrier(now, End::Orderly, &reason, effects);
            }
            BridgeOrder::HandOver { reason } => {
                self.fall_back(now, &reason, effects);
            }
        }
        Ok(())
    }

    /// Whether audio of this vendor id may reach the caller: always while the agent has the floor,
    /// else only words it was given.
    pub(super) fn may_speak(&self, utterance: u64) -> bool {
        let leaving = matches!(self.phase, Phase::Leaving { .. });
        !leaving && (self.floor == Floor::Agent || self.given.contains(&utterance))
    }

    pub(super) fn agent_given(&mut self, utterance: u64) {
        if self.given.len() == GIVEN_MAX {
            self.given.pop_front();
        }
        self.given.push_back(utterance);
        if self.floor == Floor::Operator {
            self.turns.given(utterance);
        }
    }

    fn take_over(&mut self, now: Duration, effects: &mut Effects) {
        if self.floor == Floor::Operator {
            return;
        }
        self.floor = Floor::Operator;
        self.given.clear();
        self.tool_waits = None;
        self.take_floor(now, effects);
        if self.link.is_ready() {
            effects.tell_agent(AgentOut::Hush);
        }
        // An agent that was hanging up is not followed any more: a person speaks now.
        if matches!(self.phase, Phase::Draining { .. }) {
            self.phase = Phase::Talking;
        }
    }

    /// The agent goes on where the person left off, and greets nobody.
    fn hand_back(&mut self, now: Duration, note: String, effects: &mut Effects) {
        if self.floor != Floor::Operator {
            return;
        }
        self.floor = Floor::Agent;
        self.unheard_so_far();
        let text = format!(
            "A human colleague took over this call for a while and has now handed it back to you. \
             {note} What you said meanwhile was not heard. Go on from there. Do not greet again and do not introduce yourself."
        );
        if self.link.is_ready() {
            effects.tell_agent(AgentOut::Context { text });
            let answer = self.turns.caller_spoke_last();
            effects.tell_agent(AgentOut::Unhush { answer });
            return;
        }
        self.note = Some(text);
        if self.link.phase() == super::LinkPhase::Idle && self.phase == Phase::Talking {
            self.dial(now, effects);
        }
    }

    /// What the agent made for itself while nobody could hear it stays unheard, and what it says next
    /// is not timed from a question that somebody else has answered.
    fn unheard_so_far(&mut self) {
        self.turns.void_all();
        self.turns.forget_question();
    }

    /// Speech made elsewhere, at once: what the agent was saying is taken back.
    fn play(&mut self, now: Duration, words: &str, audio: &Bytes, effects: &mut Effects) {
        let track = if self.floor == Floor::Operator {
            Track::FromOperator
        } else {
            self.take_floor(now, effects);
            Track::FromAgent
        };
        let turn = self.turns.spoken(track, words, effects);
        self.voice.push_ulaw(u64::from(turn), audio, now, effects);
        self.pump(now, effects);
        if self.link.is_ready() && track == Track::FromAgent {
            // It was said in the agent's name: it must know.
            effects.tell_agent(AgentOut::Context {
                text: format!("You have just said to the caller: {words}"),
            });
        }
    }

    /// The carrier has the caller now: nothing more of the agent is heard, its tool is answered, and
    /// the stream ends.
    fn transferred(&mut self, now: Duration, closes: bool, effects: &mut Effects) {
        self.take_floor(now, effects);
        if let Some(tool_call_id) = self.transferring.take() {
            let result = "the caller is being transferred".to_owned();
            self.tool_done(now, &tool_call_id, TRANSFER, true, result, effects);
        }
        self.phase = Phase::Leaving {
            until: now
                + if closes {
                    ANSWERED_WITHIN
                } else {
                    LEAVE_WITHIN
                },
        };
    }

    pub(super) fn agent_hangs_up(&mut self, now: Duration, reason: String, effects: &mut Effects) {
        if self.floor == Floor::Operator {
            effects.fact(trouble(
                "hang_up_ignored",
                "the agent wanted to end the call while an operator has it",
            ));
            return;
        }
        self.drain(now, reason);
    }

    /// The agent's limits of time and money: the caller is told nothing more and the call ends.
    pub(super) fn watch_limits(&mut self, now: Duration, effects: &mut Effects) {
        let talked = now.saturating_sub(self.started_at);
        if self.plan.talk_max.is_some_and(|max| talked >= max) {
            effects.fact(trouble("time_limit", "the agent's time limit was reached"));
            self.drain(now, "time limit".into());
            return;
        }
        let Some(max) = self.plan.cost_max else {
            return;
        };
        let usd = self.spent_usd + max.usd_minute * talked.as_secs_f64() / 60.0;
        if usd >= max.usd {
            let message = format!("the agent's limit of {:.2} USD a call was reached", max.usd);
            effects.fact(trouble("cost_limit", &message));
            self.drain(now, "cost limit".into());
        }
    }

    /// The agent asks for a tool and waits. One that gets no answer stalls, so each gets one.
    pub(super) fn tool_called(
        &mut self,
        now: Duration,
        tool_call_id: String,
        name: String,
        args: String,
        effects: &mut Effects,
    ) {
        if !self.plan.tools.contains(&name) {
            self.unknown_tool(now, tool_call_id, &name, &args, effects);
            return;
        }
        self.turns
            .tool_called(&tool_call_id, &name, &args, now, effects);
        if self.floor == Floor::Operator {
            let result = "a human colleague has the call at the moment".to_owned();
            self.tool_done(now, &tool_call_id, &name, false, result, effects);
            return;
        }
        let asked = Asked {
            tool_call_id,
            name,
            args,
        };
        if asked.name == TRANSFER {
            // What the agent said before ("I am putting you through") is heard first.
            self.tool_waits = Some((asked, now + HEAR_OUT));
        } else {
            run(asked, effects);
        }
    }

    pub(super) fn run_waiting_tool(&mut self, now: Duration, effects: &mut Effects) {
        let heard = self.voice.is_drained(now, DRAIN_GRACE);
        let due = matches!(&self.tool_waits, Some((_, until)) if heard || now >= *until);
        if let Some((asked, _)) = self.tool_waits.take_if(|_| due) {
            self.transferring = Some(asked.tool_call_id.clone());
            run(asked, effects);
        }
    }

    pub(super) fn tool_done(
        &mut self,
        now: Duration,
        tool_call_id: &str,
        name: &str,
        ok: bool,
        result: String,
        effects: &mut Effects,
    ) {
        self.turns
            .tool_returned(tool_call_id, name, ok, &result, now, effects);
        if self.link.is_ready() {
            effects.tell_agent(AgentOut::ToolResult {
                tool_call_id: tool_call_id.to_owned(),
                ok,
                result,
            });
        }
    }

    fn ready_agent(&self) -> Result<(), Refusal> {
        if self.link.is_ready() {
            Ok(())
        } else {
            Err(no_agent())
        }
    }
}

fn run(asked: Asked, effects: &mut Effects) {
    effects.push(Effect::RunTool {
        tool_call_id: asked.tool_call_id,
        name: text::clean_label(&asked.name).into_owned(),
        args: asked.args,
    });
}

fn held() -> Refusal {
    Refusal::new(
        ErrorCode::Conflict,
        "an operator has this call",
        "hand it back to the agent first",
    )
}

fn no_agent() -> Refusal {
    Refusal::new(
        ErrorCode::Conflict,
        "no agent is connected to this call at the moment",
        "wait until it is connected, or end the call",
    )
}
