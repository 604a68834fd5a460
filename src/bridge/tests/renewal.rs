//! Conversations the vendor would end by itself are followed by another in time.

use std::time::Duration;

use super::rig::{Rig, speech};
use crate::bridge::*;
use crate::call::AgentLink;

/// A minute stands for the vendor's hour: looked from 55 s on, at the latest at 59 s.
fn lasting_a_minute() -> Rig {
    let mut rig = Rig::talking();
    rig.agent(AgentIn::Lasts {
        max: Duration::from_secs(60),
    });
    rig
}

fn dials(rig: &Rig) -> usize {
    rig.count(|effect| matches!(effect, Effect::ConnectAgent { .. }))
}

fn begins(rig: &Rig) -> Vec<AgentBrief> {
    rig.to_agent()
        .into_iter()
        .filter_map(|out| match out {
            AgentOut::Begin(brief) => Some(brief.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_quiet_moment_near_the_limit_is_used_and_the_next_agent_waits_for_the_caller() {
    let mut rig = lasting_a_minute();
    rig.says(1, 500, "May I help you?");
    rig.run(54_800);
    assert_eq!(dials(&rig), 1);
    rig.log.clear();
    rig.run(400);
    assert_eq!(dials(&rig), 1, "a quiet moment was there at once");
    assert_eq!(rig.links(), [AgentLink::Reconnecting]);
    assert!(
        rig.find(|effect| matches!(effect, Effect::CloseCarrier { .. }))
            .is_none()
    );
    rig.log.clear();
    // What the caller says meanwhile is kept for whoever comes.
    rig.caller(speech());
    rig.connect();
    let brief = &begins(&rig)[0];
    assert!(brief.takes_over && brief.caller_is_next);
    let recap = rig.to_agent().into_iter().find_map(|out| match out {
        AgentOut::Context { text } => Some(text.clone()),
        _ => None,
    });
    assert!(recap.unwrap().contains("You: May I help you?"));
    assert!(
        rig.caller_bytes_forwarded()
            .windows(160)
            .any(|bytes| bytes == speech())
    );
    assert_eq!(rig.links(), [AgentLink::Connected]);
    // The new one has not said how long it lasts: it is not followed by a third.
    rig.run(120_000);
    assert_eq!(dials(&rig), 0);
}

#[test]
fn a_call_without_a_quiet_moment_is_renewed_at_the_latest_and_the_next_agent_goes_on() {
    let mut rig = lasting_a_minute();
    let mut said = 0;
    while rig.now < 59_000 {
        said += 1;
        rig.says(said, 1_000, "I am still talking");
        rig.run(1_000);
    }
    assert_eq!(dials(&rig), 1);
    rig.says(said + 1, 2_000, "and talking");
    rig.run(1_100);
    assert_eq!(dials(&rig), 2);
    rig.connect();
    let brief = begins(&rig).pop().unwrap();
    assert!(brief.takes_over && !brief.caller_is_next);
}

#[test]
fn a_caller_who_waits_for_an_answer_is_no_quiet_moment() {
    let mut rig = lasting_a_minute();
    rig.says(1, 200, "Yes?");
    rig.run(54_000);
    rig.agent(AgentIn::CallerText {
        utterance: 2,
        text: "One more thing".into(),
        interim: false,
    });
    rig.run(2_000);
    assert_eq!(dials(&rig), 1);
}

#[test]
fn a_successor_that_cannot_be_had_ends_in_the_fallback() {
    let mut rig = lasting_a_minute();
    rig.says(1, 200, "Yes?");
    rig.run(56_000);
    rig.give(Input::AgentFailed {
        failure: AgentFailure::Refused,
        reason: "no".into(),
    });
    assert_eq!(rig.links().last(), Some(&AgentLink::Fallback));
}
