//! Scenarios on the pure session: scripted inputs, virtual time, effects compared.

mod endings;
mod hands;
mod hearing;
mod renewal;
mod rig;
mod talk;

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::call::Fact;
use crate::media::MediaFormat;
use rig::Rig;

fn any_input() -> impl Strategy<Value = Input> {
    let id = 0u64..6;
    let audio = (0usize..400).prop_map(|len| Bytes::from(vec![0x21; len]));
    let words = "[a-z \u{1b}]{0,20}";
    prop_oneof![
        Just(Input::Tick),
        (audio.clone(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(
            |(payload, chunk, timestamp_ms)| Input::Carrier(CarrierIn::Audio(CarrierAudio {
                payload,
                chunk,
                timestamp_ms
            }))
        ),
        (0u64..9).prop_map(|n| Input::Carrier(CarrierIn::MarkReached {
            name: format!("wb-{n}")
        })),
        Just(Input::Carrier(CarrierIn::Cleared)),
        Just(Input::AgentConnected { can_say: true }),
        (0usize..3, 0usize..3).prop_map(|(takes, gives)| {
            let formats = [
                MediaFormat::ULAW_8K,
                MediaFormat::PCM_16K,
                MediaFormat::PCM_24K,
            ];
            Input::Agent(AgentIn::Ready {
                conversation_id: "c".into(),
                takes: formats[takes],
                gives: formats[gives],
            })
        }),
        (id.clone(), audio)
            .prop_map(|(utterance, payload)| Input::Agent(AgentIn::Audio { utterance, payload })),
        (id.clone(), words, any::<bool>()).prop_map(|(utterance, text, interim)| Input::Agent(
            AgentIn::AgentText {
                utterance,
                text,
                interim
            }
        )),
        (id.clone(), words, any::<bool>()).prop_map(|(utterance, text, interim)| Input::Agent(
            AgentIn::CallerText {
                utterance,
                text,
                interim
            }
        )),
        (id.clone(), words).prop_map(|(utterance, corrected)| Input::Agent(
            AgentIn::AgentCorrection {
                utterance,
                original: "a".into(),
                corrected
            }
        )),
        id.prop_map(|utterance| Input::Agent(AgentIn::Interruption { utterance })),
        Just(Input::Agent(AgentIn::CallerSpeechStarted)),
        Just(Input::Agent(AgentIn::CallerSpeechStopped)),
        Just(Input::Agent(AgentIn::Owing)),
        any::<Option<f64>>().prop_map(|usd| Input::Agent(AgentIn::Usage {
            usage: Usage::default(),
            usd
        })),
        words.prop_map(|reason| Input::Agent(AgentIn::Refused { reason })),
        words.prop_map(|name| Input::Agent(AgentIn::ToolNews {
            tool_call_id: "t".into(),
            name,
            ok: Some(true),
            result: None
        })),
        Just(Input::AgentClosed {
            reason: "x".into(),
            on_purpose: None
        }),
        Just(Input::AgentFailed {
            failure: AgentFailure::Unreachable,
            reason: "x".into()
        }),
        Just(Input::Agent(AgentIn::HangUp { reason: "x".into() })),
        Just(Input::EndCallFailed { reason: "x".into() }),
        Just(Input::ToAgentDropped(3)),
        Just(Input::CarrierClosed {
            code: None,
            reason: "x".into()
        }),
    ]
}

proptest! {
    #[test]
    fn any_order_of_inputs_ends_without_panic(
        steps in proptest::collection::vec((any_input(), prop_oneof![0u64..60, 0u64..9_000]), 1..120)
    ) {
        let mut rig = Rig::started();
        for (input, wait) in steps {
            rig.now += wait;
            let listening = rig.now.is_multiple_of(3);
            rig.session.set_listening(Duration::from_millis(rig.now), listening);
            let was_over = rig.session.is_over();
            let before = rig.log.len();
            rig.give(input);
            prop_assert!(!was_over || rig.log.len() == before, "nothing after the end");
        }
        let ends = rig.facts().iter().filter(|fact| matches!(fact, Fact::StreamStopped { .. })).count();
        prop_assert_eq!(ends, usize::from(rig.session.is_over()));
        let open = rig.facts().iter().filter(|fact| matches!(fact, Fact::ConversationStarted { .. })).count();
        let closed = rig.facts().iter().filter(|fact| matches!(fact, Fact::ConversationEnded { .. })).count();
        prop_assert!(open >= closed && open - closed <= usize::from(!rig.session.is_over()));
    }
}
