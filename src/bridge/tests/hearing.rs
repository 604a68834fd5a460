//! Vendors that hear the caller themselves: their word for a barge-in, what they count and owe.

use super::rig::Rig;
use crate::bridge::*;
use crate::call::{AgentLink, Fact};

#[test]
fn speech_over_the_agents_voice_is_a_barge_in() {
    let mut rig = Rig::talking();
    rig.says(3, 4_000, "Our office is open from nine to five on all days");
    rig.run(1_000);
    rig.log.clear();
    rig.agent(AgentIn::CallerSpeechStarted);
    let words: Vec<&Effect> = rig.log.iter().map(|(_, effect)| effect).take(3).collect();
    assert_eq!(
        words,
        [
            &Effect::ToCarrier(CarrierOut::Clear),
            &Effect::ToAgent(AgentOut::Cancel),
            &Effect::ToAgent(AgentOut::Truncate {
                utterance: 3,
                heard_ms: 1_000
            }),
        ]
    );
    assert!(rig.facts().iter().any(|fact| matches!(
        fact,
        Fact::BargedIn {
            dropped_ms: 3_000,
            ..
        }
    )));
    rig.log.clear();
    rig.says(3, 2_000, "Our office is open from nine to five on all days");
    rig.run(500);
    assert_eq!(
        rig.count(super::rig::is_audio_out),
        0,
        "the rest of it is void"
    );
    rig.says(5, 400, "Of course");
    rig.run(500);
    assert!(rig.count(super::rig::is_audio_out) > 0);
}

#[test]
fn every_unheard_piece_is_cut_where_it_was_heard() {
    let mut rig = Rig::talking();
    rig.says(1, 1_000, "One sentence");
    rig.says(2, 1_000, "Another sentence");
    rig.run(400);
    rig.log.clear();
    rig.agent(AgentIn::CallerSpeechStarted);
    let cuts: Vec<_> = rig
        .to_agent()
        .into_iter()
        .filter_map(|out| match out {
            AgentOut::Truncate {
                utterance,
                heard_ms,
            } => Some((*utterance, *heard_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(cuts, [(1, 400), (2, 0)]);
}

#[test]
fn speech_while_the_agent_is_silent_changes_nothing() {
    let mut rig = Rig::talking();
    rig.says(1, 400, "Hello");
    rig.run(2_000);
    rig.log.clear();
    rig.agent(AgentIn::CallerSpeechStarted);
    rig.agent(AgentIn::CallerSpeechStopped);
    assert!(rig.log.is_empty(), "{:?}", rig.log);
}

#[test]
fn a_carrier_that_falls_silent_in_mid_word_does_not_leave_the_vendor_waiting() {
    let mut rig = Rig::talking();
    rig.talking = true;
    rig.run(400);
    rig.agent(AgentIn::CallerSpeechStarted);
    rig.log.clear();
    rig.tick(700);
    assert!(rig.caller_bytes_forwarded().is_empty());
    rig.tick(5_000);
    let silence = rig.caller_bytes_forwarded();
    assert_eq!(silence.len(), 8_000, "once, one second");
    assert!(silence.iter().all(|byte| *byte == 0xFF));
    let mut quiet = Rig::talking();
    quiet.run(400);
    quiet.log.clear();
    quiet.tick(5_000);
    assert!(quiet.caller_bytes_forwarded().is_empty());
}

#[test]
fn costs_add_up_and_unknown_prices_are_no_figure() {
    let mut rig = Rig::talking();
    for usd in [Some(0.01), None, Some(0.02), Some(f64::NAN), Some(-1.0)] {
        rig.agent(AgentIn::Usage {
            usage: Usage::default(),
            usd,
        });
    }
    let told: Vec<f64> = rig
        .facts()
        .iter()
        .filter_map(|fact| match fact {
            Fact::Costed { usd, source } if source == "estimate:agent" => Some(*usd),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 2);
    assert!((told[1] - 0.03).abs() < 1e-12);
}

#[test]
fn what_the_codec_owes_is_let_out() {
    let mut rig = Rig::talking();
    rig.log.clear();
    rig.agent(AgentIn::Owing);
    assert_eq!(rig.to_agent(), [&AgentOut::Owed]);
}

#[test]
fn a_refused_conversation_falls_back_at_once() {
    let mut rig = Rig::started();
    rig.give(Input::AgentConnected { can_say: true });
    rig.agent(AgentIn::Refused {
        reason: "no such voice".into(),
    });
    assert_eq!(
        rig.links(),
        [AgentLink::Connecting, AgentLink::Lost, AgentLink::Fallback]
    );
    assert!(rig.session.is_over());
    assert!(rig.count(|effect| matches!(effect, Effect::CloseCarrier { .. })) == 1);
}

#[test]
fn who_takes_over_is_told_so() {
    let mut rig = Rig::talking();
    rig.run(11_000);
    rig.give(Input::AgentClosed {
        reason: "gone".into(),
        on_purpose: None,
    });
    rig.give(Input::AgentConnected { can_say: true });
    let briefs: Vec<bool> = rig
        .to_agent()
        .into_iter()
        .filter_map(|out| match out {
            AgentOut::Begin(brief) => Some(brief.takes_over),
            _ => None,
        })
        .collect();
    assert_eq!(briefs, [false, true]);
}
