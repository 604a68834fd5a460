//! The one door for text from outside: every string a fact carries is cleaned here before it is
//! numbered, drawn, stored or logged.

use super::text::{clean, clean_label};
use super::{CallEvent, CallFacts, Envelope, Fact};

impl Envelope {
    /// Cleans what the envelope carries: for peers whose word is not trusted.
    pub fn sanitise(&mut self) {
        if let CallEvent::Known(fact) = &mut self.event {
            fact.sanitise();
        }
    }
}

impl CallFacts {
    pub fn sanitise(&mut self) {
        for text in [&mut self.carrier, &mut self.from, &mut self.to] {
            label(text);
        }
        for text in [
            &mut self.carrier_call_id,
            &mut self.name,
            &mut self.lead_id,
            &mut self.agent,
            &mut self.agent_kind,
        ] {
            text.iter_mut().for_each(label);
        }
    }
}

impl Fact {
    /// Cleans every string in the fact. Costs nothing where there is nothing to clean.
    #[expect(clippy::too_many_lines, reason = "one flat match over the facts")]
    pub fn sanitise(&mut self) {
        match self {
            Self::CallSeen { facts, .. } | Self::CallDescribed { facts } => facts.sanitise(),
            Self::StatusChanged { .. }
            | Self::StatusIgnored { .. }
            | Self::AnsweredBy { .. }
            | Self::SilenceNoted { .. }
            | Self::TurnTimed { .. }
            | Self::CallSummarised { .. } => {}
            Self::StreamStarted { stream_id } => label(stream_id),
            Self::StreamStopped { stream_id, reason } => labels([stream_id, reason]),
            Self::MediaLinkChanged { reason, .. } | Self::AgentLinkChanged { reason, .. } => {
                reason.iter_mut().for_each(label);
            }
            Self::BargedIn { kind, .. } => kind.iter_mut().for_each(label),
            Self::ConversationStarted { conversation_id }
            | Self::ConversationMapped { conversation_id } => label(conversation_id),
            Self::ConversationEnded {
                conversation_id,
                reason,
                ..
            } => labels([conversation_id, reason]),
            Self::UtteranceInterim { text, .. } | Self::UtteranceFinal { text, .. } => free(text),
            Self::UtteranceTruncated { heard, .. } => free(heard),
            Self::ToolCalled {
                tool_call_id,
                name,
                args,
                ..
            } => {
                labels([tool_call_id, name]);
                free(args);
            }
            Self::ToolReturned {
                tool_call_id,
                result,
                ..
            } => {
                label(tool_call_id);
                free(result);
            }
            Self::QualityChanged { quality } => label(&mut quality.source),
            Self::RecordingChanged { recording } => {
                label(&mut recording.id);
                recording.url.iter_mut().for_each(label);
                recording.error.iter_mut().for_each(label);
            }
            Self::Dtmf { digit } => label(digit),
            Self::AlertRaised { alert } => {
                labels([&mut alert.rule, &mut alert.reason]);
                alert.acknowledged_by.iter_mut().for_each(label);
            }
            Self::AlertCleared { rule } => label(rule),
            Self::AlertAcknowledged { rule, by } | Self::AlertSnoozed { rule, by, .. } => {
                labels([rule, by]);
            }
            Self::CommandAccepted {
                verb, by, reason, ..
            } => {
                labels([verb, by]);
                reason.iter_mut().for_each(label);
            }
            Self::CommandDone { verb, by, .. } | Self::CommandUnconfirmed { verb, by, .. } => {
                labels([verb, by]);
            }
            Self::CommandFailed {
                verb,
                by,
                code,
                message,
                ..
            } => {
                labels([verb, by, code]);
                free(message);
            }
            Self::ListenerJoined { listener, by } | Self::ListenerLeft { listener, by } => {
                labels([listener, by]);
            }
            Self::Noted { by, text } | Self::Whispered { by, text, .. } => {
                label(by);
                free(text);
            }
            Self::Flagged { by, label: flag } => labels([by, flag]),
            Self::Claimed { by } | Self::Released { by } | Self::TakenOver { by } => label(by),
            Self::HandedBack { by, note } => {
                label(by);
                note.iter_mut().for_each(free);
            }
            Self::LimitsKnown { limits } => {
                for limit in limits {
                    labels([&mut limit.action, &mut limit.reason]);
                }
            }
            Self::Transferred { to, state, reason } => {
                labels([to, state]);
                reason.iter_mut().for_each(label);
            }
            Self::ConversationAnalysed {
                summary,
                sentiment,
                topics,
            } => {
                summary.iter_mut().for_each(free);
                sentiment.iter_mut().for_each(label);
                topics.iter_mut().for_each(label);
            }
            Self::Costed { source, .. } => label(source),
            Self::TroubleNoted { code, message } => {
                label(code);
                free(message);
            }
            Self::CallEnded {
                ended_by, cause, ..
            } => {
                ended_by.iter_mut().for_each(label);
                cause.iter_mut().for_each(label);
            }
            Self::LeadMessaged { message } => {
                labels([
                    &mut message.id,
                    &mut message.lead_id,
                    &mut message.sent_by,
                    &mut message.channel,
                ]);
                message.phone.iter_mut().for_each(label);
                free(&mut message.text);
            }
            Self::Notice { code, text, .. } => {
                label(code);
                free(text);
            }
        }
    }
}

fn free(text: &mut String) {
    if let std::borrow::Cow::Owned(cleaned) = clean(text) {
        *text = cleaned;
    }
}

fn label(text: &mut String) {
    if let std::borrow::Cow::Owned(cleaned) = clean_label(text) {
        *text = cleaned;
    }
}

fn labels<const N: usize>(texts: [&mut String; N]) {
    texts.into_iter().for_each(label);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Track;

    #[test]
    fn escapes_do_not_survive_in_any_text_of_a_fact() {
        let mut fact = Fact::CallDescribed {
            facts: CallFacts {
                name: Some("\u{1b}]0;owned\u{7}Ana".into()),
                from: "+1\u{202e}555".into(),
                ..CallFacts::default()
            },
        };
        fact.sanitise();
        let wire = serde_json::to_string(&fact).expect("serialisable");
        assert!(wire.contains("\"Ana\"") && wire.contains("+1555"), "{wire}");
        let mut said = Fact::UtteranceFinal {
            turn: 1,
            track: Track::FromCaller,
            text: "a\u{1b}[2Jb".into(),
            latency_ms: None,
        };
        said.sanitise();
        assert!(matches!(said, Fact::UtteranceFinal { text, .. } if text == "ab"));
    }
}
