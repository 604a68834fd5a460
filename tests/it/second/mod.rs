//! Two carriers and two agent vendors in every combination: simulated peers on real sockets, and
//! between them the whole backend.

mod faults;
mod hands;
mod house;
mod lasting;
mod load;
mod product;
mod tools;

use std::time::Duration;

use wallboard::bridge::BridgeOrder;
use wallboard::call::{
    Action, AgentLink, CallStatus, Command, DialRequest, Fact, Grant, LineBody, Role, Track,
};
use wallboard::engine::{CarrierControl, CarrierError, RecordingOrder};
use wallboard::providers::openai::Dialect;
use wallboard::simulator::openai::OpenAiSimConfig;
use wallboard::simulator::plivo::sign_post;
use wallboard::simulator::speech::{Ending, Line, Script};

use house::{CUSTOMER, House, Wishes};

/// Who said what, in the order of the board.
fn said(call: &wallboard::call::Call) -> Vec<(Track, String)> {
    call.lines
        .iter()
        .filter_map(|line| match &line.body {
            LineBody::Speech { track, text, .. } => Some((*track, text.clone())),
            LineBody::Tool { .. } | LineBody::Mark { .. } => None,
        })
        .collect()
}

fn conversation() -> Vec<(Track, String)> {
    [
        (Track::FromAgent, "Agent line 0"),
        (Track::FromCaller, "Caller line 0"),
        (Track::FromAgent, "Agent line 1"),
        (Track::FromCaller, "Caller line 1"),
        (Track::FromAgent, "Agent line 2"),
    ]
    .map(|(track, text)| (track, text.to_owned()))
    .to_vec()
}

fn long_answer(ms: usize) -> Script {
    let mut script = Script::barge_in_tones("t");
    if let (Some(Line::Agent(short)), true) = (script.lines.first().cloned(), true) {
        let mut audio = Vec::new();
        while audio.len() < ms * 8 {
            audio.extend_from_slice(&short.audio);
        }
        if let Some(Line::Agent(line)) = script.lines.get_mut(2) {
            line.audio = audio.into();
            line.text = "This is a very long answer of many words that nobody wants to hear".into();
        }
    }
    script
}

#[tokio::test]
async fn a_plivo_call_is_held_with_openai_in_the_right_order_and_ends_in_words() {
    let script = Script::tones("t", 5, 500).with_ending(Ending::Nobody);
    let house = House::new(script, "openai").await;
    let call = house.call_plivo();
    house
        .board(call.uuid(), |call| said(call) == conversation())
        .await;
    call.wait_heard(1_000).await.unwrap();
    call.hang_up();
    let view = call.wait_over().await.unwrap();
    assert!(view.heard_ms >= 900 && view.errors.is_empty(), "{view:?}");
    let board = house
        .board(call.uuid(), |call| {
            !call.is_live() && call.cost_usd.is_some()
        })
        .await;
    assert_eq!(said(&board), conversation());
    assert_eq!(board.status, CallStatus::Completed);
    assert_eq!(board.ended_by.as_deref(), Some("caller"));
    assert_eq!(
        board.end_cause.as_deref(),
        Some("Normal Hangup (4000 NORMAL_CLEARING)")
    );
    assert_eq!(
        (board.facts.from.as_str(), board.facts.agent_kind.as_deref()),
        (CUSTOMER, Some("openai"))
    );
    let talk = house.openai.conversations()[0].view();
    assert!(talk.refused.is_empty(), "{:?}", talk.refused);
    assert!(!talk.open && talk.closed.is_some());
    let turn_times = house
        .facts()
        .iter()
        .filter(|fact| matches!(fact, Fact::TurnTimed { .. }))
        .count();
    assert!(turn_times >= 1);
}

#[tokio::test]
async fn every_carrier_holds_a_conversation_with_every_agent() {
    for agent in ["openai", "elevenlabs"] {
        let script = Script::tones("t", 5, 400).with_ending(Ending::Nobody);
        let house = House::new(script, agent).await;
        let (plivo, twilio) = (house.call_plivo(), house.call_twilio());
        for id in [plivo.uuid(), twilio.sid()] {
            let board = house.board(id, |call| said(call) == conversation()).await;
            assert_eq!(board.facts.agent_kind.as_deref(), Some(agent));
        }
        plivo.hang_up();
        twilio.hang_up();
        assert!(plivo.wait_over().await.unwrap().errors.is_empty());
        assert!(twilio.wait_over().await.unwrap().errors.is_empty());
        for talk in house.openai.conversations() {
            assert!(talk.view().refused.is_empty(), "{:?}", talk.view().refused);
        }
    }
}

#[tokio::test]
async fn the_caller_interrupts_and_the_vendor_forgets_what_was_not_heard() {
    let house = House::new(long_answer(9_000), "openai").await;
    let call = house.call_plivo();
    let view = call.wait("clear", |view| view.clears > 0).await.unwrap();
    assert!(
        view.cleared_ms <= 400,
        "little waits at the carrier: {view:?}"
    );
    let talk = house.openai.conversations()[0]
        .wait(|talk| !talk.truncations.is_empty())
        .await
        .unwrap();
    let heard = talk.truncations[0].1;
    assert!((300..4_000).contains(&heard), "{heard}");
    assert!(talk.refused.is_empty(), "{:?}", talk.refused);
    let board = house
        .board(call.uuid(), |call| {
            call.lines.iter().any(|line| {
                matches!(&line.body, LineBody::Speech { cut: Some(cut), .. } if cut.heard.len() < 60)
            })
        })
        .await;
    assert!(board.is_live());
    let barged = house
        .facts()
        .into_iter()
        .filter(|fact| matches!(fact, Fact::BargedIn { .. }))
        .count();
    assert_eq!(barged, 1);
    call.hang_up();
    call.wait_over().await.unwrap();
}

#[tokio::test]
async fn a_barge_in_shows_what_was_cut_in_every_combination() {
    for agent in ["openai", "elevenlabs"] {
        let house = House::new(long_answer(9_000), agent).await;
        let (plivo, twilio) = (house.call_plivo(), house.call_twilio());
        plivo.wait("clear", |view| view.clears > 0).await.unwrap();
        twilio.wait_clear().await.unwrap();
        for id in [plivo.uuid(), twilio.sid()] {
            let cut_short = |call: &wallboard::call::Call| {
                call.lines.iter().any(|line| {
                    matches!(&line.body, LineBody::Speech { cut: Some(cut), text, .. }
                        if cut.heard.len() < text.len())
                })
            };
            let board = house.board(id, cut_short).await;
            assert!(board.is_live(), "{agent}");
            let barged = |fact: &Fact| matches!(fact, Fact::BargedIn { .. });
            let facts = house.facts_of(id).await;
            assert_eq!(facts.iter().filter(|fact| barged(fact)).count(), 1);
        }
    }
}

#[tokio::test]
async fn a_call_we_place_rings_is_answered_and_is_ended_by_the_operator() {
    let script = Script::tones("t", 2, 400).with_ending(Ending::Nobody);
    let house = House::new(script, "openai").await;
    let grant = Grant::of("ann", Role::Operator);
    let dial = Command {
        id: house.core.clock.command_id(),
        call: None,
        action: Action::Dial {
            request: DialRequest {
                number: CUSTOMER.into(),
                carrier: Some("plivo".into()),
                ..DialRequest::default()
            },
        },
        reason: None,
    };
    let reply = house.core.command(&grant, dial).await;
    assert!(reply.ok, "{reply:?}");
    for _ in 0..500 {
        if !house.plivo.calls().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let call = house.plivo.calls().pop().unwrap();
    call.wait_heard(200).await.unwrap();
    let board = house
        .board(call.uuid(), |call| call.status == CallStatus::InProgress)
        .await;
    assert_eq!(house.core.switchboard.read(|board| board.live().count()), 1);
    let live = house.control.live_calls().await.unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].to, CUSTOMER);
    let end = Command {
        id: house.core.clock.command_id(),
        call: Some(board.id),
        action: Action::Terminate {},
        reason: None,
    };
    assert!(house.core.command(&grant, end).await.ok);
    call.wait_over().await.unwrap();
    let ended = house.board(call.uuid(), |call| !call.is_live()).await;
    assert_eq!(ended.ended_by.as_deref(), Some("API request"));
    let found = house.control.find(call.uuid().to_owned()).await.unwrap();
    assert_eq!(found.unwrap().status, CallStatus::Completed);
    assert!(matches!(
        house.control.hang_up(call.uuid().to_owned()).await,
        Err(CarrierError::AlreadyEnded)
    ));
}

#[tokio::test]
async fn the_caller_is_handed_to_a_person_once_the_stream_is_closed() {
    let script = Script::tones("t", 2, 400).with_ending(Ending::Nobody);
    let house = House::new(script, "openai").await;
    let call = house.call_plivo();
    call.wait_heard(200).await.unwrap();
    let board = house
        .board(call.uuid(), wallboard::call::Call::is_live)
        .await;
    house
        .control
        .transfer(call.uuid().to_owned(), "+12065550177".into())
        .await
        .unwrap();
    assert!(
        call.view().stream_open,
        "the caller is not left alone before"
    );
    let stop = BridgeOrder::Stop {
        reason: "transferred".into(),
    };
    house.core.bridges.order(board.id, stop).await.unwrap();
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.steps, ["Stream", "Dial", "Hangup"], "{view:?}");
    let states: Vec<String> = house
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::Transferred { state, to, .. } if to == "+12065550177" => Some(state),
            _ => None,
        })
        .collect();
    assert_eq!(states.first().map(String::as_str), Some("ringing"));
    assert!(states.contains(&"connected".to_owned()), "{states:?}");
}

#[tokio::test]
async fn an_operator_hints_and_has_the_agent_say_it_where_the_vendor_can() {
    for agent in ["openai", "elevenlabs"] {
        let script = Script::tones("t", 1, 400).with_ending(Ending::Nobody);
        let house = House::new(script, agent).await;
        let call = house.call_plivo();
        call.wait_heard(300).await.unwrap();
        let id = house
            .board(call.uuid(), |call| call.agent_link == AgentLink::Connected)
            .await
            .id;
        let hint = BridgeOrder::Whisper {
            text: "Offer ten percent".into(),
        };
        house.core.bridges.order(id, hint).await.unwrap();
        let say = BridgeOrder::Say {
            text: "One \"moment\", please.".into(),
        };
        let said = house.core.bridges.order(id, say).await;
        if agent == "elevenlabs" {
            assert!(said.is_err(), "greyed with the reason");
            continue;
        }
        said.unwrap();
        let talk = house.openai.conversations()[0]
            .wait(|talk| talk.lines.len() == 2)
            .await
            .unwrap();
        assert_eq!(talk.lines[1], "agent: One \"moment\", please.");
        assert_eq!(talk.hints, ["system: Offer ten percent"]);
        call.wait_heard(1_000).await.unwrap();
    }
}

#[tokio::test]
async fn a_recording_is_started_fetched_and_never_paused() {
    let script = Script::tones("t", 2, 600).with_ending(Ending::Nobody);
    let house = House::new(script, "openai").await;
    let call = house.call_plivo();
    call.wait_stream().await.unwrap();
    let uuid = call.uuid().to_owned();
    let record = |order| house.control.record(uuid.clone(), None, order);
    let id = record(RecordingOrder::Start).await.unwrap();
    assert!(matches!(
        record(RecordingOrder::Pause).await,
        Err(CarrierError::Unsupported(_))
    ));
    let board_id = house.board(&uuid, wallboard::call::Call::is_live).await.id;
    let pause = Command {
        id: house.core.clock.command_id(),
        call: Some(board_id),
        action: Action::RecordPause {},
        reason: None,
    };
    let reply = house
        .core
        .command(&Grant::of("ann", Role::Operator), pause)
        .await;
    let refusal = reply.error.unwrap();
    assert_eq!(refusal.message, "plivo cannot pause a recording");
    call.wait_heard(300).await.unwrap();
    record(RecordingOrder::Stop).await.unwrap();
    let board = house
        .board(&uuid, |call| {
            call.recordings
                .iter()
                .any(|recording| recording.duration_s.is_some())
        })
        .await;
    assert_eq!(board.recordings[0].id, id);
    let wav = house.control.fetch_recording(id).await.unwrap();
    assert!(wav.starts_with(b"RIFF"));
}

#[tokio::test]
async fn the_older_dialect_is_still_spoken_to_those_who_need_it() {
    let wishes = Wishes {
        openai: OpenAiSimConfig {
            beta: true,
            ..OpenAiSimConfig::default()
        },
        dialect: Dialect::Beta,
        ..Wishes::default()
    };
    let script = Script::tones("t", 5, 300).with_ending(Ending::Nobody);
    let house = House::with(script, "openai", wishes).await;
    let call = house.call_plivo();
    house
        .board(call.uuid(), |call| said(call) == conversation())
        .await;
    let talk = house.openai.conversations()[0].view();
    assert!(talk.refused.is_empty(), "{:?}", talk.refused);
    call.hang_up();
    call.wait_over().await.unwrap();
}

#[tokio::test]
async fn forged_tampered_and_replayed_webhooks_change_nothing() {
    let house = House::new(Script::tones("t", 1, 100), "openai").await;
    let url = format!("{}/hangup", house.url);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let form: Vec<(String, String)> = [
        ("Event", "Hangup"),
        ("CallUUID", "11111111-2222-3333-4444-555555555555"),
        ("Direction", "inbound"),
        ("From", "12065550142"),
        ("To", "15555550200"),
        ("CallStatus", "completed"),
        ("HangupCauseCode", "4000"),
        ("Duration", "47"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    let send = async |form: &[(String, String)], signature: Option<String>| {
        let mut request = http.post(&url).form(form);
        if let Some(signature) = signature {
            request = request
                .header("x-plivo-signature-v3", signature)
                .header("x-plivo-signature-v3-nonce", "7");
        }
        request.send().await.unwrap().status().as_u16()
    };
    let signed = |token: &str| Some(sign_post(token, &url, &form, "7"));
    assert_eq!(send(&form, None).await, 403);
    assert_eq!(send(&form, signed("somebody else")).await, 403);
    let mut tampered = form.clone();
    tampered[7].1 = "1".to_owned();
    assert_eq!(send(&tampered, signed("simulated-auth-token")).await, 403);
    assert!(house.facts().is_empty());
    for _ in 0..2 {
        assert_eq!(send(&form, signed("simulated-auth-token")).await / 100, 2);
    }
    let ends = house
        .facts()
        .into_iter()
        .filter(|fact| matches!(fact, Fact::CallEnded { .. }))
        .count();
    assert_eq!(ends, 1);
}
