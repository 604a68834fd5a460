//! The two sockets of a bridge break: the call never ends for it, and the caller is never left
//! with silence.

use std::time::{Duration, Instant};

use wallboard::call::{AgentLink, CallStatus, Fact, MediaLink};
use wallboard::engine::Fallback;
use wallboard::simulator::elevenlabs::AgentFaults;
use wallboard::simulator::line::{CutHow, StreamCut, Timing};
use wallboard::simulator::speech::{Cut, Line};
use wallboard::simulator::twilio::TestCall;

use super::rig::{House, Plot, chat, comes_true, dying};

/// After the stream the carrier connects the caller to a person who stays on the line.
fn transferring() -> Plot {
    Plot {
        fallback: Fallback::Transfer("+14155550199".into()),
        timing: Timing {
            dial_talk: Duration::from_secs(120),
            ..Timing::quick()
        },
        ..Plot::default()
    }
}

fn cut(how: CutHow, reopen_after_ms: Option<u64>) -> StreamCut {
    StreamCut {
        how,
        after_s: 0,
        reopen_after_ms,
    }
}

async fn agents_gone(house: &House) {
    comes_true("no agent socket is left", 5, || {
        house.peers.elevenlabs.open_sockets() == 0
    })
    .await;
}

/// The carrier's own word ends the call, and only that.
async fn ends_by_the_carrier(house: &House, call: &TestCall) {
    assert!(house.card(call.sid()).unwrap().is_live());
    call.hang_up();
    house
        .wait_card(call.sid(), "the end", |card| {
            card.status == CallStatus::Completed
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_media_socket_that_breaks_is_shown_lost_and_the_call_goes_on() {
    for how in [CutHow::Reset, CutHow::Fin] {
        let house = House::start(transferring()).await;
        let (call, _) = house.talking(1, chat()).await;
        let told = house
            .wait_card(call.sid(), "words", |card| !card.lines.is_empty())
            .await
            .lines;
        let broken = Instant::now();
        call.cut(cut(how, None));
        let card = house
            .wait_card(call.sid(), "media lost", |card| {
                card.media_link == MediaLink::Lost
            })
            .await;
        let took = broken.elapsed();
        eprintln!("C1: {how:?} shown after {took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(card.is_live() && card.lines.len() >= told.len());
        agents_gone(&house).await;
        call.wait("the fallback", |view| view.verbs.contains(&"Dial"))
            .await
            .unwrap();
        ends_by_the_carrier(&house, &call).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_media_socket_that_falls_silent_is_shown_lost_within_ten_seconds() {
    let house = House::start(transferring()).await;
    let (call, _) = house.talking(1, chat()).await;
    let broken = Instant::now();
    call.cut(cut(CutHow::Silence, None));
    let card = house
        .wait_card(call.sid(), "media lost", |card| {
            card.media_link == MediaLink::Lost
        })
        .await;
    let took = broken.elapsed();
    eprintln!("C1: silence shown after {took:?}");
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(card.is_live());
    agents_gone(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_comes_back_finds_its_call_and_its_transcript() {
    let house = House::start(transferring()).await;
    let (call, id) = house.talking(1, chat()).await;
    let before = house
        .wait_card(call.sid(), "words", |card| card.lines.len() >= 2)
        .await;
    call.cut(cut(CutHow::Reset, Some(300)));
    house
        .wait_card(call.sid(), "media lost", |card| {
            card.media_link == MediaLink::Lost
        })
        .await;
    let heard = call.view().heard_ms;
    let card = house
        .wait_card(call.sid(), "both links", |card| {
            card.media_link == MediaLink::Up
                && card.agent_link == AgentLink::Connected
                && card.lines.len() > before.lines.len()
        })
        .await;
    assert_eq!(card.id, id);
    assert_eq!(card.lines[0], before.lines[0]);
    call.wait_heard(heard + 200).await.unwrap();
    assert_eq!(house.peers.elevenlabs.open_sockets(), 1);
    ends_by_the_carrier(&house, &call).await;
    agents_gone(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_socket_dies_is_reached_again_and_the_talk_goes_on() {
    for how in [Cut::Reset, Cut::Close] {
        let house = House::start(transferring()).await;
        let mut facts = house.facts().await;
        let call = house.ring(1, dying(how, false));
        let is_link = |wanted: AgentLink| move |fact: &Fact| matches!(fact, Fact::AgentLinkChanged { link, .. } if *link == wanted);
        facts
            .wait("reconnecting", is_link(AgentLink::Reconnecting))
            .await;
        let died = Instant::now();
        facts.wait("connected", is_link(AgentLink::Connected)).await;
        let took = died.elapsed();
        eprintln!("C2: {how:?} agent back after {took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        let lines = house.card(call.sid()).unwrap().lines.len();
        house
            .wait_card(call.sid(), "new words", |card| card.lines.len() > lines + 1)
            .await;
        let view = call.view();
        assert!(
            view.stream_open && view.streams == 1 && !view.is_over(),
            "{view:?}"
        );
        let second = house.peers.elevenlabs.conversations().pop().unwrap();
        assert!(
            !second.view().contexts.is_empty(),
            "it is told what was said"
        );
        ends_by_the_carrier(&house, &call).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_pinged_and_fell_silent_is_given_up_and_reached_again() {
    let house = House::start(transferring()).await;
    let mut script = chat();
    // After the second ping.
    script.lines.insert(
        4,
        Line::Die {
            how: Cut::Silence,
            for_good: false,
        },
    );
    let call = house.ring(1, script);
    let mut facts = house.facts().await;
    facts
        .wait("reconnecting", |fact| {
            matches!(
                fact,
                Fact::AgentLinkChanged {
                    link: AgentLink::Reconnecting,
                    ..
                }
            )
        })
        .await;
    let lines = house.card(call.sid()).unwrap().lines.len();
    house
        .wait_card(call.sid(), "new words", |card| card.lines.len() > lines + 1)
        .await;
    assert!(call.view().stream_open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_gone_for_good_hands_the_caller_to_the_fallback_in_six_seconds() {
    let house = House::start(transferring()).await;
    let mut facts = house.facts().await;
    let call = house.ring(1, dying(Cut::Reset, true));
    facts
        .wait("reconnecting", |fact| {
            matches!(
                fact,
                Fact::AgentLinkChanged {
                    link: AgentLink::Reconnecting,
                    ..
                }
            )
        })
        .await;
    let died = Instant::now();
    let view = call
        .wait("the fallback", |view| view.verbs.contains(&"Dial"))
        .await
        .unwrap();
    let took = died.elapsed();
    eprintln!("C2: fallback after {took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(!view.is_over() && view.errors.is_empty(), "{view:?}");
    let card = house
        .wait_card(call.sid(), "fallback", |card| {
            card.agent_link == AgentLink::Fallback
        })
        .await;
    assert!(card.is_live());
    agents_gone(&house).await;
    ends_by_the_carrier(&house, &call).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fallback_message_is_said_before_the_call_ends() {
    let house = House::start(Plot::default()).await;
    let call = house.ring(1, dying(Cut::Close, true));
    let view = call.wait_over().await.unwrap();
    assert!(
        view.verbs.contains(&"Say") && view.errors.is_empty(),
        "{view:?}"
    );
    house
        .wait_card(call.sid(), "the carrier's word", |card| !card.is_live())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_refuses_at_the_start_is_not_asked_again() {
    for status in [401, 429] {
        let house = House::start(Plot {
            agent: AgentFaults {
                refuse_signed_url: Some(status),
                ..AgentFaults::default()
            },
            ..transferring()
        })
        .await;
        let rang = Instant::now();
        let call = house.ring(1, chat());
        let view = call
            .wait("the fallback", |view| view.verbs.contains(&"Dial"))
            .await
            .unwrap();
        let took = rang.elapsed();
        eprintln!("C3: {status}: fallback after {took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        assert!(!view.is_over(), "{view:?}");
        let card = house
            .wait_card(call.sid(), "fallback", |card| {
                card.agent_link == AgentLink::Fallback
            })
            .await;
        let asked = house.vendor.count("GET /v1/convai/conversation/get");
        if status == 401 {
            assert_eq!(asked, 1, "no loop on a refusal");
        } else {
            assert!(asked <= 3, "{asked}");
        }
        let shown = format!("{card:?}");
        assert!(!shown.contains(super::rig::API_KEY));
    }
}
