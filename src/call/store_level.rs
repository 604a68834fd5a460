//! How much of a call is kept once it has been shown: everything, everything but its audio, or what
//! happened without what was said.

use serde::{Deserialize, Serialize};

use super::{Call, CallFacts, Fact};

/// The rule whose reason repeats what was said.
const QUOTING_RULE: &str = "watch_word";

/// What a route keeps of its calls. Ordered: the later one keeps less.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum StoreLevel {
    #[default]
    All,
    /// No recording is fetched or kept.
    NoAudio,
    /// Neither audio nor a word anybody said. A level this build does not know counts as this one.
    #[serde(other)]
    FactsOnly,
}

impl StoreLevel {
    /// Every level, as it is written in a configuration.
    pub const WORDS: [&str; 3] = ["all", "no_audio", "facts_only"];

    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "no_audio" => Some(Self::NoAudio),
            "facts_only" => Some(Self::FactsOnly),
            _ => None,
        }
    }

    pub fn keeps_audio(self) -> bool {
        self == Self::All
    }

    pub fn keeps_words(self) -> bool {
        self < Self::FactsOnly
    }

    /// What is not kept, for an operator; `None` when everything is.
    pub fn says(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::NoAudio => Some("no audio"),
            Self::FactsOnly => Some("facts only, no words"),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub(super) fn is_all(&self) -> bool {
        *self == Self::All
    }
}

impl CallFacts {
    /// Takes what `more` knows; empty fields leave what is there, and of two levels the stricter one
    /// stays.
    pub fn take(&mut self, more: &Self) {
        let texts = [
            (&mut self.carrier, &more.carrier),
            (&mut self.from, &more.from),
            (&mut self.to, &more.to),
        ];
        for (old, new) in texts {
            if !new.is_empty() {
                old.clone_from(new);
            }
        }
        let options = [
            (&mut self.carrier_call_id, &more.carrier_call_id),
            (&mut self.name, &more.name),
            (&mut self.lead_id, &more.lead_id),
            (&mut self.agent, &more.agent),
            (&mut self.agent_kind, &more.agent_kind),
        ];
        for (old, new) in options {
            if new.is_some() {
                old.clone_from(new);
            }
        }
        self.observed |= more.observed;
        self.store = self.store.max(more.store);
    }
}

impl Fact {
    /// The fact without anything caller, agent or vendor said, typed or made of what was said; `None`
    /// when nothing is left of it. What an operator writes down (notes, flags, reasons) stays.
    pub fn without_words(&self) -> Option<Self> {
        let mut fact = self.clone();
        match &mut fact {
            Self::UtteranceInterim { .. }
            | Self::UtteranceFinal { .. }
            | Self::UtteranceTruncated { .. }
            | Self::ConversationAnalysed { .. }
            // Digits are how callers say card numbers.
            | Self::Dtmf { .. } => return None,
            Self::ToolCalled { args, .. } => args.clear(),
            Self::ToolReturned { result, .. } => result.clear(),
            Self::Whispered { text, .. } => text.clear(),
            Self::HandedBack { note, .. } => *note = None,
            Self::Transferred { reason, .. } => *reason = None,
            Self::LeadMessaged { message } => message.text.clear(),
            Self::AlertRaised { alert } => unquote(alert),
            _ => {}
        }
        Some(fact)
    }
}

impl Call {
    /// The call as [`Fact::without_words`] would have made it.
    pub fn without_words(&self) -> Self {
        let mut call = self.without_lines();
        call.analysis = None;
        if let Some(transfer) = &mut call.transfer {
            transfer.reason = None;
        }
        let past = call.past_alerts.iter_mut().map(|past| &mut past.alert);
        call.alerts.iter_mut().chain(past).for_each(unquote);
        call
    }
}

fn unquote(alert: &mut super::Alert) {
    if alert.rule == QUOTING_RULE {
        "a watch-word was said".clone_into(&mut alert.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Track;

    #[test]
    fn levels_are_ordered_and_an_unknown_one_keeps_least() {
        assert!(
            StoreLevel::All < StoreLevel::NoAudio && StoreLevel::NoAudio < StoreLevel::FactsOnly
        );
        let words = StoreLevel::WORDS.map(|word| StoreLevel::parse(word).expect(word));
        for (word, level) in StoreLevel::WORDS.iter().zip(words) {
            let wire = serde_json::to_value(level).expect("a word");
            assert_eq!(wire, *word);
        }
        let newer: StoreLevel = serde_json::from_str("\"headers_only\"").expect("read");
        assert_eq!(newer, StoreLevel::FactsOnly);
    }

    #[test]
    fn nothing_that_was_said_is_left_in_a_fact() {
        let secret = "four one one one";
        let said = [
            Fact::UtteranceFinal {
                turn: 1,
                track: Track::FromCaller,
                text: secret.into(),
                latency_ms: None,
            },
            Fact::ToolCalled {
                turn: 1,
                tool_call_id: "t".into(),
                name: "pay".into(),
                args: secret.into(),
            },
            Fact::ToolReturned {
                tool_call_id: "t".into(),
                ok: true,
                result: secret.into(),
                took_ms: None,
            },
            Fact::Transferred {
                to: "+1".into(),
                state: "requested".into(),
                reason: Some(secret.into()),
            },
            Fact::ConversationAnalysed {
                summary: Some(secret.into()),
                sentiment: None,
                topics: vec![secret.into()],
            },
            Fact::Dtmf {
                digit: secret.into(),
            },
        ];
        for fact in said {
            let left = serde_json::to_string(&fact.without_words()).expect("json");
            assert!(!left.contains(secret), "{left}");
        }
    }
}
