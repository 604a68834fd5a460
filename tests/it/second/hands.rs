//! Hands on the call, on both carriers and both agents.

use std::sync::Arc;
use std::time::Duration;

use wallboard::call::{Action, Call, CallId, Command, ErrorCode, Fact, Grant, Reply, Role, Track};
use wallboard::simulator::speech::{Ending, Line, Outcome, Script, ToolLine, ToolVia};

use super::house::{House, Voice, Wishes};
use super::said;

pub(super) const DESK: &str = "+12065550177";

fn wishes() -> Wishes {
    Wishes {
        transfers: [("Front desk".to_owned(), DESK.to_owned())].into(),
        speaks: Voice::ElevenLabs,
        ..Wishes::default()
    }
}

pub(super) async fn order(house: &House, who: &str, call: CallId, action: Action) -> Reply {
    let command = Command {
        id: house.core.clock.command_id(),
        call: Some(call),
        action,
        reason: None,
    };
    let grant = Grant::of(who, Role::Operator);
    house.core.command(&grant, command).await
}

fn short() -> Script {
    Script::tones("t", 1, 400).with_ending(Ending::Nobody)
}

/// The agent asks for a transfer after the caller's first words.
fn transferring() -> Script {
    let mut script = Script::tones("t", 3, 300).with_ending(Ending::Nobody);
    script.lines.insert(
        2,
        Line::Tool(ToolLine {
            name: "transfer_call".into(),
            via: ToolVia::Client,
            args: serde_json::json!({"reason": "wants a person"}),
            result: "ok".into(),
            takes: Duration::from_millis(10),
        }),
    );
    script
}

pub(super) fn greeted(call: &Call) -> bool {
    call.is_live()
        && said(call)
            .iter()
            .any(|(track, _)| *track == Track::FromAgent)
}

#[tokio::test]
async fn an_operator_speaks_in_the_agents_place_and_hands_back_everywhere() {
    for agent in ["openai", "elevenlabs"] {
        // One vendor says given words itself, the other's voice is asked for them apart.
        let wishes = Wishes {
            speaks: match agent {
                "elevenlabs" => Voice::ElevenLabs,
                _ => Voice::None,
            },
            ..wishes()
        };
        let house = House::with(short(), agent, wishes).await;
        let (plivo, twilio) = (house.call_plivo(), house.call_twilio());
        for sid in [plivo.uuid(), twilio.sid()] {
            let id = house.board(sid, greeted).await.id;
            assert!(order(&house, "ann", id, Action::TakeOver {}).await.ok);
            let held = |by: Option<&str>| {
                let by = by.map(str::to_owned);
                move |call: &Call| call.held_by == by
            };
            house.board(sid, held(Some("ann"))).await;
            // Exactly one: the other is told who.
            let late = order(&house, "ben", id, Action::TakeOver {}).await;
            let refusal = late.error.unwrap();
            assert_eq!(
                (refusal.code, refusal.by.as_deref()),
                (ErrorCode::Conflict, Some("ann"))
            );
            let say = |text: &str| Action::Say { text: text.into() };
            assert!(!order(&house, "ben", id, say("me too")).await.ok);
            assert!(
                order(&house, "ann", id, say("I am Ann from the team"))
                    .await
                    .ok
            );
            house
                .board(sid, |call| {
                    said(call).contains(&(Track::FromOperator, "I am Ann from the team".into()))
                })
                .await;
            let back = Action::HandBack {
                note: Some("Ann promised a credit of 20 EUR".into()),
            };
            assert!(order(&house, "ann", id, back).await.ok);
            house.board(sid, held(None)).await;
        }
        if agent == "openai" {
            for talk in house.openai.conversations() {
                let hints = talk
                    .wait(|talk| talk.hints.iter().any(|hint| hint == "turns: on"))
                    .await
                    .unwrap()
                    .hints;
                assert!(hints.contains(&"turns: off".to_owned()), "{hints:?}");
                assert!(
                    hints.iter().any(|hint| hint.contains("20 EUR")),
                    "{hints:?}"
                );
                // A cancel may cross the end of what it cancels; nothing else is refused.
                let mut refused = talk.view().refused;
                refused.retain(|why| !why.starts_with("response_cancel_not_active"));
                assert!(refused.is_empty(), "{refused:?}");
            }
        } else {
            for talk in house.elevenlabs.conversations() {
                let told = talk
                    .wait(|talk| talk.contexts.iter().any(|text| text.contains("20 EUR")))
                    .await
                    .unwrap();
                assert!(
                    told.contexts
                        .iter()
                        .any(|text| text.contains("Do not greet"))
                );
            }
        }
        plivo.hang_up();
        twilio.hang_up();
    }
}

#[tokio::test]
async fn the_model_hands_the_caller_to_a_person_and_its_function_is_answered() {
    let house = House::with(transferring(), "openai", wishes()).await;
    let call = house.call_plivo();
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.steps, ["Stream", "Dial", "Hangup"], "{view:?}");
    let talk = house.openai.conversations()[0].view();
    assert!(talk.tool_outputs[0].contains("\"ok\":true"), "{talk:?}");
    assert!(talk.refused.is_empty(), "{:?}", talk.refused);
    let told: Vec<(String, Option<String>)> = house
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::Transferred { state, reason, .. } => Some((state, reason)),
            _ => None,
        })
        .collect();
    assert_eq!(
        told[0],
        ("requested".to_owned(), Some("wants a person".to_owned()))
    );
    let board = house.board(call.uuid(), |call| !call.is_live()).await;
    let transfer = board.transfer.unwrap();
    assert_eq!(transfer.state, "connected");
    assert_eq!(transfer.reason.as_deref(), Some("wants a person"));
}

#[tokio::test]
async fn a_transfer_nobody_answers_brings_the_caller_back_to_the_agent() {
    let house = House::with(short(), "openai", wishes()).await;
    let mut nobody = Script::tones("nobody", 0, 0);
    nobody.outcome = Outcome::NoAnswer;
    house.elevenlabs.cast().assign(DESK, Arc::new(nobody));
    let call = house.call_plivo();
    let id = house.board(call.uuid(), greeted).await.id;
    let to = Action::Transfer {
        to: "front desk".into(),
    };
    assert!(order(&house, "ann", id, to).await.ok);
    let again = house.openai.wait_conversation(2).await.unwrap();
    let hints = again
        .wait(|talk| talk.hints.iter().any(|hint| hint.contains("that failed")))
        .await
        .unwrap()
        .hints;
    assert!(
        hints.iter().any(|hint| hint.contains("no answer")),
        "{hints:?}"
    );
    let board = house
        .board(call.uuid(), |call| {
            call.transfer.as_ref().is_some_and(|t| t.state == "failed")
        })
        .await;
    assert!(board.is_live());
    assert_eq!(call.view().steps[..3], ["Stream", "Dial", "Stream"]);
    call.hang_up();
    call.wait_over().await.unwrap();
}

#[tokio::test]
async fn an_operator_hands_a_twilio_caller_to_a_configured_place() {
    let house = House::with(short(), "elevenlabs", wishes()).await;
    let call = house.call_twilio();
    let id = house.board(call.sid(), greeted).await.id;
    let to = |to: &str| Action::Transfer { to: to.into() };
    assert!(!order(&house, "ann", id, to("nowhere")).await.ok);
    assert!(order(&house, "ann", id, to("Front desk")).await.ok);
    house
        .board(call.sid(), |call| {
            let state = call
                .transfer
                .as_ref()
                .map(|transfer| transfer.state.as_str());
            state == Some("connected")
        })
        .await;
    call.wait_over().await.unwrap();
}

#[tokio::test]
async fn what_nobody_can_say_is_limited_with_the_reason_and_refused() {
    let wishes = Wishes {
        speaks: Voice::None,
        ..wishes()
    };
    let house = House::with(short(), "elevenlabs", wishes).await;
    let call = house.call_twilio();
    let board = house
        .board(call.sid(), |call| greeted(call) && !call.limits.is_empty())
        .await;
    assert!(board.limit("take_over").unwrap().contains("chat.tts"));
    for action in [Action::TakeOver {}, Action::Say { text: "x".into() }] {
        let refusal = order(&house, "ann", board.id, action).await.error.unwrap();
        assert_eq!(refusal.code, ErrorCode::Unsupported);
        assert!(refusal.message.contains("chat.tts"), "{refusal:?}");
    }
    call.hang_up();
}
