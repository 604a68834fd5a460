//! Links that break, agents that leave, streams that end.

use std::time::Duration;

use super::rig::{Rig, plan};
use crate::bridge::*;
use crate::call::{AgentLink, Fact, MediaLink};

#[test]
fn a_dead_agent_is_redialled_and_then_the_caller_gets_the_fallback() {
    let mut rig = Rig::talking();
    rig.run(15_000);
    rig.log.clear();
    rig.give(Input::AgentClosed {
        reason: "reset".into(),
        on_purpose: None,
    });
    let died = rig.now;
    for _ in 0..3 {
        rig.tick(200);
        rig.give(Input::AgentFailed {
            failure: AgentFailure::Unreachable,
            reason: "connection refused".into(),
        });
    }
    let delays: Vec<Duration> = rig
        .log
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::ConnectAgent { after } => Some(*after),
            _ => None,
        })
        .collect();
    assert_eq!(delays.len(), 3);
    assert!(delays.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(rig.session.is_over() && rig.now - died <= 4_000);
    assert!(
        rig.find(|effect| matches!(effect, Effect::CloseCarrier { .. }))
            .is_some()
    );
    let expected = [
        AgentLink::Reconnecting,
        AgentLink::Reconnecting,
        AgentLink::Reconnecting,
        AgentLink::Lost,
        AgentLink::Fallback,
    ];
    assert_eq!(rig.links(), expected);
    assert!(
        rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::ConversationEnded { .. }))
    );
}

#[test]
fn an_agent_that_stays_silent_after_dialling_ends_in_the_fallback_within_four_seconds() {
    let mut rig = Rig::talking();
    rig.run(15_000);
    rig.give(Input::AgentClosed {
        reason: "gone".into(),
        on_purpose: None,
    });
    let died = rig.now;
    rig.run(3_900);
    assert!(!rig.session.is_over());
    rig.run(200);
    assert!(rig.session.is_over() && rig.now - died < 4_200);
}

#[test]
fn after_a_reconnect_the_agent_is_told_what_was_said_and_hears_what_it_missed() {
    let mut rig = Rig::talking();
    rig.says(1, 200, "Hello, how can I help?");
    rig.run(11_000);
    rig.give(Input::AgentClosed {
        reason: "reset".into(),
        on_purpose: None,
    });
    rig.log.clear();
    for n in 0..50u8 {
        rig.now += 20;
        rig.caller(vec![n; 160]);
    }
    rig.connect();
    let words = rig.to_agent();
    let AgentOut::Begin(brief) = words[0] else {
        panic!("{:?}", words[0]);
    };
    assert_eq!(brief.first_message.as_deref(), Some(""), "greeted already");
    assert!(
        matches!(&words[1], AgentOut::Context { text } if text.contains("You: Hello, how can I help?"))
    );
    let missed: Vec<u8> = (0..50u8).flat_map(|n| vec![n; 160]).collect();
    assert_eq!(rig.caller_bytes_forwarded(), missed);
    rig.says(1, 200, "As I said");
    assert!(
        rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::UtteranceFinal { turn: 2, .. }))
    );
}

#[test]
fn a_wrong_key_means_the_fallback_at_once() {
    let mut rig = Rig::started();
    rig.give(Input::AgentFailed {
        failure: AgentFailure::Refused,
        reason: "the agent vendor did not accept our key".into(),
    });
    assert!(rig.session.is_over());
    assert_eq!(
        rig.count(|effect| matches!(effect, Effect::ConnectAgent { .. })),
        1
    );
    assert_eq!(
        rig.links(),
        [AgentLink::Connecting, AgentLink::Lost, AgentLink::Fallback]
    );
}

#[test]
fn an_agent_that_hangs_up_is_heard_out_before_the_carrier_is_asked() {
    let mut rig = Rig::talking();
    rig.says(1, 1_000, "Goodbye");
    rig.agent(AgentIn::HangUp {
        reason: "end_call".into(),
    });
    rig.run(900);
    let is_end = |effect: &Effect| matches!(effect, Effect::EndCall { .. });
    assert_eq!(rig.count(is_end), 0, "still talking");
    rig.run(1_000);
    assert_eq!(rig.count(is_end), 1);
    assert!(!rig.session.is_over(), "the carrier has the last word");
    rig.give(Input::Carrier(CarrierIn::Stop));
    assert!(rig.session.is_over());
    assert!(
        !rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::CallEnded { .. } | Fact::StatusChanged { .. }))
    );
    assert_eq!(rig.links().last(), Some(&AgentLink::None));
}

#[test]
fn a_carrier_that_does_not_hang_up_is_left_after_ten_seconds() {
    let mut rig = Rig::talking();
    rig.give(Input::AgentClosed {
        reason: String::new(),
        on_purpose: Some("the agent ended the conversation".into()),
    });
    rig.run(9_000);
    assert!(!rig.session.is_over());
    rig.run(2_000);
    assert!(rig.session.is_over());
}

#[test]
fn a_silent_stream_is_told_after_ten_seconds_and_picked_up_when_it_returns() {
    let mut rig = Rig::talking();
    rig.run(1_000);
    rig.tick(9_900);
    let lost = |rig: &Rig| {
        rig.facts().iter().any(|fact| {
            matches!(
                fact,
                Fact::MediaLinkChanged {
                    link: MediaLink::Lost,
                    ..
                }
            )
        })
    };
    assert!(!lost(&rig));
    rig.tick(200);
    assert!(lost(&rig) && !rig.session.is_over());
    assert_eq!(rig.count(|effect| matches!(effect, Effect::CloseAgent)), 1);
    rig.log.clear();
    rig.run(20);
    assert_eq!(
        rig.count(|effect| matches!(effect, Effect::ConnectAgent { .. })),
        1
    );
}

#[test]
fn a_torn_carrier_socket_is_a_lost_stream_and_a_stop_is_not() {
    let ends = |input: Input| {
        let mut rig = Rig::talking();
        rig.run(100);
        rig.log.clear();
        rig.give(input);
        assert!(rig.session.is_over());
        assert_eq!(rig.count(|effect| matches!(effect, Effect::CloseAgent)), 1);
        rig.facts().into_iter().cloned().collect::<Vec<_>>()
    };
    let torn = ends(Input::CarrierClosed {
        code: None,
        reason: "connection reset".into(),
    });
    assert!(matches!(
        torn.last(),
        Some(Fact::MediaLinkChanged {
            link: MediaLink::Lost,
            ..
        })
    ));
    let stopped = ends(Input::Carrier(CarrierIn::Stop));
    assert!(matches!(stopped.last(), Some(Fact::StreamStopped { .. })));
    assert!(
        stopped
            .iter()
            .any(|fact| matches!(fact, Fact::CallSummarised { summary } if summary.frames_in == 5))
    );
}

#[test]
fn the_time_limit_ends_the_conversation_and_nothing_else_does() {
    let mut rig = Rig::with(SessionPlan {
        talk_max: Some(Duration::from_secs(60)),
        ..plan()
    });
    rig.connect();
    rig.run(58_000);
    let is_end = |effect: &Effect| matches!(effect, Effect::EndCall { .. });
    assert_eq!(rig.count(is_end), 0);
    rig.run(3_000);
    assert_eq!(rig.count(is_end), 1);
    let mut endless = Rig::talking();
    endless.run(11 * 60_000);
    assert_eq!(endless.count(is_end), 0);
}
