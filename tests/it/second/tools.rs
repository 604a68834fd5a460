//! Tools and given words, to the end: web hooks the agent asks for, the caller handed over by a
//! pipeline's model, and who speaks where the agent cannot. Every peer is on a socket of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use wallboard::call::{Action, Call, LineBody, Track};
use wallboard::engine::{AgentTool, Clock};
use wallboard::providers::hooks::HookSettings;
use wallboard::providers::hooks::shell::HookTool;
use wallboard::providers::openai::Tool;
use wallboard::simulator::speech::{Ending, Line, Script, ToolLine, ToolVia, library};

use crate::it::support::serve;

use super::hands::{DESK, greeted, order};
use super::house::{House, Voice, Wishes};
use super::said;

const SHIPPED: &str = "shipped on Friday";

/// `lookup_order` as `[[tool]]` has it, and the hook behind it.
async fn lookup() -> (Tool, Arc<dyn AgentTool>) {
    let answer = |body: String| async move {
        let asked: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(asked["data"]["tool"], "lookup_order");
        assert!(asked["data"]["arguments"]["order"].is_string(), "{asked}");
        SHIPPED
    };
    let base = serve(Router::new().route("/hook", post(answer))).await;
    let settings = HookSettings {
        name: "lookup_order".into(),
        url: format!("{base}/hook"),
        secret: None,
        timeout: Duration::from_secs(3),
        allow_loopback: true,
    };
    let tool = Tool {
        name: "lookup_order".into(),
        description: "Looks up an order.".into(),
        parameters: json!({"type": "object", "properties": {"order": {"type": "string"}}}),
    };
    let hook = HookTool::new(settings, Clock::start()).unwrap();
    (tool, Arc::new(hook))
}

/// The tool's line on the board: how it went, and what came of it.
fn looked_up(call: &Call) -> Option<(bool, String)> {
    call.lines.iter().find_map(|line| match &line.body {
        LineBody::Tool {
            name,
            ok: Some(ok),
            result,
            ..
        } if name == "lookup_order" => Some((*ok, result.clone())),
        _ => None,
    })
}

fn asking() -> Script {
    let mut script = Script::tones("t", 3, 300).with_ending(Ending::Nobody);
    script.lines.insert(
        2,
        Line::Tool(ToolLine {
            name: "lookup_order".into(),
            via: ToolVia::Client,
            args: json!({"order": "A1"}),
            result: "ok".into(),
            takes: Duration::from_millis(10),
        }),
    );
    script
}

#[tokio::test]
async fn a_web_hook_answers_the_agent_of_either_vendor() {
    for agent in ["elevenlabs", "openai"] {
        let wishes = Wishes {
            tools: vec![lookup().await],
            ..Wishes::default()
        };
        let house = House::with(asking(), agent, wishes).await;
        let (plivo, twilio) = (house.call_plivo(), house.call_twilio());
        for sid in [plivo.uuid(), twilio.sid()] {
            let board = house.board(sid, |call| looked_up(call).is_some()).await;
            assert_eq!(
                looked_up(&board),
                Some((true, SHIPPED.to_owned())),
                "{agent}"
            );
            // The agent has its answer and goes on.
            let last =
                |call: &Call| said(call).contains(&(Track::FromAgent, "Agent line 1".into()));
            house.board(sid, last).await;
        }
        let answers: Vec<String> = match agent {
            "openai" => {
                let talks = house.openai.conversations();
                talks
                    .iter()
                    .flat_map(|talk| talk.view().tool_outputs)
                    .collect()
            }
            _ => {
                let talks = house.elevenlabs.conversations();
                talks
                    .iter()
                    .flat_map(|talk| talk.view().tool_results)
                    .collect()
            }
        };
        assert_eq!(answers.len(), 2, "{answers:?}");
        assert!(
            answers.iter().all(|answer| answer.contains(SHIPPED)),
            "{answers:?}"
        );
        plivo.hang_up();
        twilio.hang_up();
    }
}

#[tokio::test]
async fn a_tool_nobody_configured_is_refused_to_elevenlabs_and_shown() {
    let house = House::new(asking(), "elevenlabs").await;
    let call = house.call_twilio();
    let board = house
        .board(call.sid(), |call| looked_up(call).is_some())
        .await;
    let (ok, result) = looked_up(&board).unwrap();
    assert!(!ok && result.contains("unknown tool"), "{result}");
    let talk = house.elevenlabs.conversations()[0]
        .wait(|talk| !talk.tool_results.is_empty())
        .await
        .unwrap();
    assert!(talk.tool_results[0].contains("unknown tool"), "{talk:?}");
    call.hang_up();
}

#[tokio::test]
async fn a_tool_nobody_knows_is_answered_and_the_agent_goes_on() {
    let mut script = Script::tones("t", 3, 300).with_ending(Ending::Agent);
    script.lines.insert(
        2,
        Line::Tool(ToolLine {
            name: "lookup_order".into(),
            via: ToolVia::Client,
            args: serde_json::json!({"order": "A1"}),
            result: "ok".into(),
            takes: Duration::from_millis(10),
        }),
    );
    let house = House::new(script, "openai").await;
    let call = house.call_plivo();
    // The agent goes on after the tool, and hangs up by its own.
    let view = call.wait_over().await.unwrap();
    let talk = house.openai.conversations()[0].view();
    assert!(talk.tool_outputs[0].contains("unknown tool"), "{talk:?}");
    assert!(talk.refused.is_empty(), "{:?}", talk.refused);
    assert_eq!(view.ended.unwrap().source, "API Request");
    let board = house.board(call.uuid(), |call| !call.is_live()).await;
    assert_eq!(said(&board).last().unwrap().1, "Agent line 1");
}

#[tokio::test]
async fn a_web_hook_answers_a_pipelines_model_on_either_carrier() {
    let script = library().iter().find(|script| script.id == "order_lookup");
    let script = Script::clone(script.unwrap());
    let wishes = Wishes {
        tools: vec![lookup().await],
        ..Wishes::default()
    };
    let house = House::with(script, "pipeline", wishes).await;
    let (plivo, twilio) = (house.call_plivo(), house.call_twilio());
    for sid in [plivo.uuid(), twilio.sid()] {
        let board = house.board(sid, |call| looked_up(call).is_some()).await;
        assert_eq!(looked_up(&board), Some((true, SHIPPED.to_owned())));
        let answer = format!("The answer is: {SHIPPED}.");
        let told = |call: &Call| said(call).contains(&(Track::FromAgent, answer.clone()));
        house.board(sid, told).await;
    }
    plivo.hang_up();
    twilio.hang_up();
}

/// A model that hands every caller to a person.
async fn transferring_model() -> String {
    let answer = |body: String| async move {
        let asked: Value = serde_json::from_str(&body).unwrap();
        let tools = asked["tools"].to_string();
        assert!(tools.contains("transfer_call"), "{tools}");
        let delta = match asked["messages"].as_array().and_then(|all| all.last()) {
            Some(last) if last["role"] == "tool" => json!({"content": "Goodbye."}),
            _ => json!({"content": "I am putting you through.", "tool_calls": [{
                "index": 0, "id": "call_1", "type": "function", "function": {
                    "name": "transfer_call", "arguments": "{\"reason\":\"wants a person\"}"},
            }]}),
        };
        let chunk = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]});
        let head = [("content-type", "text/event-stream")];
        (head, format!("data: {chunk}\n\ndata: [DONE]\n\n"))
    };
    let router = Router::new().route("/v1/chat/completions", post(answer));
    format!("{}/v1", serve(router).await)
}

#[tokio::test]
async fn a_pipelines_model_hands_the_caller_to_a_person_on_either_carrier() {
    let script = library().iter().find(|script| script.id == "human");
    let wishes = Wishes {
        transfers: [("Front desk".to_owned(), DESK.to_owned())].into(),
        model: Some(transferring_model().await),
        ..Wishes::default()
    };
    let house = House::with(Script::clone(script.unwrap()), "pipeline", wishes).await;
    let (plivo, twilio) = (house.call_plivo(), house.call_twilio());
    for sid in [plivo.uuid(), twilio.sid()] {
        let board = house
            .board(sid, |call| {
                let transfer = call.transfer.as_ref();
                transfer.is_some_and(|transfer| transfer.state == "connected")
            })
            .await;
        let transfer = board.transfer.as_ref().unwrap();
        assert_eq!(transfer.reason.as_deref(), Some("wants a person"));
        let before = (Track::FromAgent, "I am putting you through.".to_owned());
        assert!(said(&board).contains(&before), "{:?}", said(&board));
    }
    let view = plivo.wait_over().await.unwrap();
    assert_eq!(view.steps, ["Stream", "Dial", "Hangup"], "{view:?}");
    twilio.wait_over().await.unwrap();
}

fn short() -> Script {
    Script::tones("t", 1, 400).with_ending(Ending::Nobody)
}

#[tokio::test]
async fn plivo_speaks_for_an_agent_that_cannot_and_for_an_operator() {
    let house = House::new(short(), "elevenlabs").await;
    let call = house.call_plivo();
    let id = house.board(call.uuid(), greeted).await.id;
    let say = |text: &str| Action::Say { text: text.into() };
    assert!(order(&house, "ann", id, say("One moment please")).await.ok);
    let has = |track: Track, text: &'static str| {
        move |call: &Call| said(call).contains(&(track, text.to_owned()))
    };
    house
        .board(call.uuid(), has(Track::FromAgent, "One moment please"))
        .await;
    assert!(order(&house, "ann", id, Action::TakeOver {}).await.ok);
    house
        .board(call.uuid(), |call| call.held_by.is_some())
        .await;
    assert!(order(&house, "ann", id, say("I am Ann")).await.ok);
    house
        .board(call.uuid(), has(Track::FromOperator, "I am Ann"))
        .await;
    let view = call.view();
    assert_eq!(view.spoken, ["One moment please", "I am Ann"], "{view:?}");
    assert!(view.stream_open, "the stream goes on beside it");
    let told = house.elevenlabs.conversations()[0]
        .wait(|talk| {
            talk.contexts
                .iter()
                .any(|text| text.contains("One moment please"))
        })
        .await;
    assert!(told.is_ok(), "the agent knows what was said in its name");
    call.hang_up();
}

#[tokio::test]
async fn a_speech_service_speaks_on_any_carrier() {
    let wishes = Wishes {
        speaks: Voice::Service,
        ..Wishes::default()
    };
    let house = House::with(short(), "elevenlabs", wishes).await;
    let (plivo, twilio) = (house.call_plivo(), house.call_twilio());
    for sid in [plivo.uuid(), twilio.sid()] {
        let id = house.board(sid, greeted).await.id;
        let text = "Please hold the line for me".to_owned();
        let say = Action::Say { text: text.clone() };
        assert!(order(&house, "ann", id, say).await.ok);
        house
            .board(sid, |call| {
                said(call).contains(&(Track::FromAgent, text.clone()))
            })
            .await;
    }
    let asked = house.parts.view().spoken;
    assert_eq!(asked, ["Please hold the line for me"; 2], "{asked:?}");
    // It was heard: more than the greeting's 400 ms.
    plivo.wait_heard(1_000).await.unwrap();
    twilio.wait_heard(1_000).await.unwrap();
    assert!(plivo.view().spoken.is_empty(), "the carrier was not asked");
    plivo.hang_up();
    twilio.hang_up();
}
