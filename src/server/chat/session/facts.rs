//! What the bridge and the board say of a conversation's call, on its way to the sockets.

use std::time::Duration;

use serde_json::json;

use crate::bridge::Wire;
use crate::call::{AgentLink, Fact, Track};

use super::super::leg::CLEARED;
use super::super::trouble::Trouble;
use super::Conversation;

impl Conversation {
    pub(super) fn bridge_word(&mut self, word: Wire) {
        let now = self.now();
        match word {
            Wire::Binary(pcm) => {
                let out = self.answers.audio(now, &pcm);
                self.floor.heard(now);
                for emit in out {
                    self.tell(emit.event, emit.body);
                }
            }
            Wire::Text(text) if text == CLEARED => {
                self.answers.cleared();
                let echoed = self
                    .echoed_at
                    .take()
                    .is_some_and(|at| now.saturating_sub(at) < Duration::from_secs(2));
                if !echoed {
                    self.tell("clear", json!({"data": null}));
                }
            }
            Wire::Text(_) => {}
        }
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        let now = self.now();
        match fact {
            Fact::UtteranceFinal {
                turn,
                track: Track::FromAgent | Track::FromOperator,
                text,
                ..
            } => {
                self.floor.heard(now);
                self.answers.said(now, turn, &text);
            }
            Fact::UtteranceTruncated {
                turn,
                track: Track::FromAgent,
                heard,
                ..
            } => self.answers.cut(now, turn, &heard),
            Fact::UtteranceInterim {
                turn,
                track: Track::FromAgent,
                text,
            } => {
                self.floor.heard(now);
                let body = json!({"data": text, "meta_info": {"partial": true, "turn": turn}});
                for member in self.members.iter_mut().filter(|member| member.partials) {
                    member.emit("text", body.clone());
                }
            }
            Fact::UtteranceFinal { turn, text, .. } => {
                self.floor.understood(now);
                self.answers.unmute();
                let body = json!({"data": text, "meta_info": {"turn": turn}});
                for member in self.members.iter_mut().filter(|member| member.transcripts) {
                    member.emit("transcript", body.clone());
                }
            }
            Fact::TakenOver { .. } => {
                self.floor.give_to_person();
                self.next_turn(now);
            }
            Fact::HandedBack { .. } => self.floor.give_to_agent(),
            Fact::TroubleNoted { code, message } if is_for_client(&code) => {
                self.floor.heard(now);
                let trouble = Trouble::new(
                    "part_failed",
                    "agent",
                    message,
                    "the server's operator sees this too; say it again in a moment",
                );
                for member in &mut self.members {
                    member.trouble(&trouble);
                }
            }
            Fact::AgentLinkChanged {
                link: AgentLink::Reconnecting,
                ..
            } => {
                let trouble = Trouble::new(
                    "agent_reconnecting",
                    "agent",
                    "the agent is being connected again",
                    "wait a moment",
                );
                for member in &mut self.members {
                    member.trouble(&trouble);
                }
            }
            _ => {}
        }
    }
}

/// The pipeline's own troubles; the rest is for operators.
fn is_for_client(code: &str) -> bool {
    matches!(
        code,
        "asr_failed" | "llm_failed" | "tts_failed" | "cost_limit"
    )
}
