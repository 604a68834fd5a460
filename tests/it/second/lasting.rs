//! Conversations that break, reach the vendor's limit, or cannot be had at all: the call goes on.

use std::time::Duration;

use wallboard::call::{AgentLink, Fact};
use wallboard::simulator::openai::OpenAiSimConfig;
use wallboard::simulator::speech::{Cut, Ending, Line, Script};

use super::house::{House, Wishes};
use super::{conversation, said};

#[tokio::test]
async fn a_conversation_that_breaks_goes_on_in_another_and_nobody_is_greeted_twice() {
    let mut script = Script::tones("t", 5, 300).with_ending(Ending::Nobody);
    script.lines.insert(
        2,
        Line::Die {
            how: Cut::Reset,
            for_good: false,
        },
    );
    let wishes = Wishes {
        openai: OpenAiSimConfig {
            transcript_after: Duration::from_millis(60),
            ..OpenAiSimConfig::default()
        },
        ..Wishes::default()
    };
    let house = House::with(script, "openai", wishes).await;
    let call = house.call_plivo();
    let second = house.openai.wait_conversation(2).await.unwrap();
    let talk = second
        .wait(|talk| talk.lines.iter().any(|line| line == "agent: Agent line 1"))
        .await
        .unwrap();
    assert!(
        talk.hints[0].contains("Caller: Caller line 0"),
        "{:?}",
        talk.hints
    );
    assert!(talk.refused.is_empty(), "{:?}", talk.refused);
    let board = house
        .board(call.uuid(), |call| call.agent_link == AgentLink::Connected)
        .await;
    assert_eq!(
        said(&board)
            .iter()
            .filter(|(_, text)| text == "Agent line 0")
            .count(),
        1
    );
    call.hang_up();
    call.wait_over().await.unwrap();
}

#[tokio::test]
async fn a_conversation_near_the_vendors_limit_is_followed_by_another_unnoticed() {
    let wishes = Wishes {
        lasts: Some(Duration::from_secs(3)),
        ..Wishes::default()
    };
    let script = Script::tones("t", 3, 300).with_ending(Ending::Nobody);
    let house = House::with(script, "openai", wishes).await;
    let call = house.call_plivo();
    let second = house.openai.wait_conversation(2).await.unwrap();
    let talk = second.wait(|talk| !talk.hints.is_empty()).await.unwrap();
    assert!(talk.hints[0].contains("You: Agent line"), "{talk:?}");
    assert!(talk.refused.is_empty(), "{:?}", talk.refused);
    let first = &house.openai.conversations()[0];
    assert!(!first.view().open, "one conversation at a time");
    let board = house
        .board(call.uuid(), |call| call.agent_link == AgentLink::Connected)
        .await;
    assert!(board.is_live());
    let told = house.facts().into_iter().any(|fact| {
        matches!(fact, Fact::AgentLinkChanged { link: AgentLink::Reconnecting, reason: Some(why), .. }
            if why.contains("time limit"))
    });
    assert!(told, "operators see why");
    assert!(call.view().stream_open, "the caller notices nothing");
}

#[tokio::test]
async fn a_conversation_is_followed_by_another_before_the_time_the_vendor_told() {
    let wishes = Wishes {
        openai: OpenAiSimConfig {
            expires_after: Some(Duration::from_secs(9)),
            ..OpenAiSimConfig::default()
        },
        ..Wishes::default()
    };
    let script = Script::tones("t", 2, 300).with_ending(Ending::Nobody);
    let house = House::with(script, "openai", wishes).await;
    let call = house.call_plivo();
    house.openai.wait_conversation(2).await.unwrap();
    let board = house
        .board(call.uuid(), |call| call.agent_link == AgentLink::Connected)
        .await;
    assert!(board.troubles.is_empty(), "{:?}", board.troubles);
    assert!(board.is_live() && call.view().stream_open);
}

#[tokio::test]
async fn a_conversation_the_vendor_ends_at_its_limit_goes_on_in_another() {
    let wishes = Wishes {
        openai: OpenAiSimConfig {
            expires_after: Some(Duration::from_secs(2)),
            ..OpenAiSimConfig::default()
        },
        ..Wishes::default()
    };
    let script = Script::tones("t", 9, 300).with_ending(Ending::Nobody);
    let house = House::with(script, "openai", wishes).await;
    let call = house.call_plivo();
    house.openai.wait_conversation(2).await.unwrap();
    let board = house
        .board(call.uuid(), |call| {
            call.agent_link == AgentLink::Connected
                && call
                    .troubles
                    .iter()
                    .any(|trouble| trouble.code == "session_expired")
        })
        .await;
    assert!(board.is_live() && call.view().stream_open);
}

#[tokio::test]
async fn an_agent_that_cannot_be_had_leaves_the_caller_with_the_fallback() {
    let wishes = Wishes {
        voice: Some("nova".into()),
        ..Wishes::default()
    };
    let house = House::with(Script::tones("t", 2, 300), "openai", wishes).await;
    let call = house.call_plivo();
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.steps, ["Stream", "Speak", "Hangup"], "{view:?}");
    let links: Vec<AgentLink> = house
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::AgentLinkChanged { link, .. } => Some(link),
            _ => None,
        })
        .collect();
    assert_eq!(
        links,
        [AgentLink::Connecting, AgentLink::Lost, AgentLink::Fallback]
    );
}

#[tokio::test]
async fn failures_of_the_vendor_are_told_and_the_call_goes_on() {
    let wishes = Wishes {
        openai: OpenAiSimConfig {
            fail_first_answer: true,
            faults: wallboard::simulator::elevenlabs::AgentFaults {
                garbage_pct: 20.0,
                ..Default::default()
            },
            ..OpenAiSimConfig::default()
        },
        ..Wishes::default()
    };
    let script = Script::tones("t", 5, 400).with_ending(Ending::Nobody);
    let house = House::with(script, "openai", wishes).await;
    let call = house.call_plivo();
    let board = house
        .board(call.uuid(), |call| said(call) == conversation())
        .await;
    assert!(
        board
            .troubles
            .iter()
            .any(|trouble| trouble.code == "server_error")
    );
}
