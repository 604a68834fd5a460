//! A session on virtual time that remembers everything it did.

use std::time::Duration;

use bytes::Bytes;

use crate::bridge::*;
use crate::call::{AgentLink, CallId, Fact};
use crate::media::{MediaFormat, sine, ulaw_encode_sample};

/// A session, its time in ms and everything it has done.
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) now: u64,
    pub(super) log: Vec<(u64, Effect)>,
    pub(super) taps: usize,
    pub(super) chunk: u64,
    pub(super) talking: bool,
}

pub(super) fn plan() -> SessionPlan {
    SessionPlan {
        call: CallId::from_parts(1, [1; 10]),
        stream_id: "MZ1".into(),
        carrier_format: MediaFormat::ULAW_8K,
        brief: AgentBrief {
            first_message: Some("Hello!".into()),
            ..AgentBrief::default()
        },
        talk_max: None,
        turns_before: 0,
        lines_before: Vec::new(),
        seed: 42,
        quality: crate::media::Thresholds::default(),
        floor: Floor::Agent,
        tools: std::collections::BTreeSet::new(),
        cost_max: None,
        spent_usd: 0.0,
        note: None,
    }
}

pub(super) fn speech() -> Vec<u8> {
    sine(400.0, 10_000.0, 8_000, 160)
        .into_iter()
        .map(ulaw_encode_sample)
        .collect()
}

impl Rig {
    pub(super) fn started() -> Self {
        Self::with(plan())
    }

    pub(super) fn with(plan: SessionPlan) -> Self {
        let mut rig = Self {
            session: Session::new(plan, Duration::from_secs(1)),
            now: 1_000,
            log: Vec::new(),
            taps: 0,
            chunk: 0,
            talking: false,
        };
        let mut effects = Effects::new();
        rig.session
            .start(Duration::from_millis(rig.now), &mut effects);
        rig.keep(effects);
        rig
    }

    /// Started, connected and ready.
    pub(super) fn talking() -> Self {
        let mut rig = Self::started();
        rig.connect();
        rig
    }

    pub(super) fn connect(&mut self) {
        self.give(Input::AgentConnected { can_say: false });
        self.agent(AgentIn::Ready {
            conversation_id: "conv_1".into(),
            takes: MediaFormat::ULAW_8K,
            gives: MediaFormat::ULAW_8K,
        });
    }

    pub(super) fn keep(&mut self, effects: Effects) {
        self.taps += effects.taps.len();
        self.log
            .extend(effects.list.into_iter().map(|effect| (self.now, effect)));
    }

    pub(super) fn give(&mut self, input: Input) {
        let mut effects = Effects::new();
        self.session
            .step(Duration::from_millis(self.now), input, &mut effects);
        self.keep(effects);
    }

    pub(super) fn agent(&mut self, word: AgentIn) {
        self.give(Input::Agent(word));
    }

    pub(super) fn order(&mut self, order: BridgeOrder) -> Result<(), crate::call::Refusal> {
        let mut effects = Effects::new();
        let outcome = self
            .session
            .order(Duration::from_millis(self.now), order, &mut effects);
        self.keep(effects);
        outcome
    }

    pub(super) fn caller(&mut self, payload: Vec<u8>) {
        self.chunk += 1;
        self.give(Input::Carrier(CarrierIn::Audio(CarrierAudio {
            payload: Bytes::from(payload),
            chunk: Some(self.chunk),
            timestamp_ms: Some(self.chunk * 20),
        })));
    }

    /// Lets time pass in frames of the caller: speech or silence.
    pub(super) fn run(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.now += 20;
            let frame = if self.talking {
                speech()
            } else {
                vec![0xFF; 160]
            };
            self.caller(frame);
        }
    }

    /// Lets time pass without a word from the carrier.
    pub(super) fn tick(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.now += 20;
            self.give(Input::Tick);
        }
    }

    pub(super) fn says(&mut self, utterance: u64, ms: usize, text: &str) {
        self.agent(AgentIn::Audio {
            utterance,
            payload: Bytes::from(vec![utterance as u8; ms * 8]),
        });
        self.agent(AgentIn::AgentText {
            utterance,
            text: text.into(),
            interim: false,
        });
    }

    pub(super) fn facts(&self) -> Vec<&Fact> {
        self.log
            .iter()
            .filter_map(|(_, effect)| match effect {
                Effect::Fact(fact) => Some(fact),
                _ => None,
            })
            .collect()
    }

    pub(super) fn links(&self) -> Vec<AgentLink> {
        self.facts()
            .iter()
            .filter_map(|fact| match fact {
                Fact::AgentLinkChanged { link, .. } => Some(*link),
                _ => None,
            })
            .collect()
    }

    pub(super) fn to_agent(&self) -> Vec<&AgentOut> {
        self.log
            .iter()
            .filter_map(|(_, effect)| match effect {
                Effect::ToAgent(out) => Some(out),
                _ => None,
            })
            .collect()
    }

    pub(super) fn caller_bytes_forwarded(&self) -> Vec<u8> {
        self.to_agent()
            .into_iter()
            .filter_map(|out| match out {
                AgentOut::Audio(bytes) => Some(bytes.to_vec()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    pub(super) fn count(&self, wanted: impl Fn(&Effect) -> bool) -> usize {
        self.log.iter().filter(|(_, effect)| wanted(effect)).count()
    }

    pub(super) fn find(&self, wanted: impl Fn(&Effect) -> bool) -> Option<u64> {
        self.log
            .iter()
            .find(|(_, effect)| wanted(effect))
            .map(|(at, _)| *at)
    }
}

pub(super) fn is_audio_out(effect: &Effect) -> bool {
    matches!(effect, Effect::ToCarrier(CarrierOut::Audio(_)))
}
