//! The runner with sockets made of channels and paused time.

mod house;

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::*;
use crate::bridge::Wire;
use crate::call::{AgentLink, MediaLink};
use house::{House, audio_frames};

#[tokio::test(start_paused = true)]
async fn a_call_is_bridged_both_ways_and_shows_on_the_board() {
    let house = House::open().await;
    let mut agents = house.expect_agent();
    let (mut carrier, handle) = house.attach("MZ1", 4_096);
    for n in 0..20u8 {
        carrier.play(vec![n; 160]).await;
    }
    let mut agent = agents.recv().await.expect("dialled");
    let begin = agent.from_us.recv().await;
    let Some(Wire::Text(begin)) = begin else {
        panic!("{begin:?}");
    };
    assert!(begin.contains("\"plan\": \"gold\"") && begin.contains("+15551230000"));
    assert!(!begin.contains("ticket"), "our ticket is not for the agent");
    agent.say("ready").await;
    for n in 0..20u8 {
        assert_eq!(
            agent.from_us.recv().await,
            Some(Wire::Binary(Bytes::from(vec![n; 160])))
        );
    }
    agent.play(vec![9; 1_600]).await;
    agent.say("hello").await;
    house.until(|call| call.lines.len() == 1).await;
    assert_eq!(
        audio_frames(&carrier.rest(Duration::from_millis(400)).await),
        10
    );
    let call = house.look();
    assert_eq!(call.conversation_id.as_deref(), Some("conv_7"));
    assert_eq!(call.media_link, MediaLink::Up);
    assert_eq!(house.core.gauges.read(&[house.call]).len(), 1);
    carrier.say("stop").await;
    handle.await.expect("no panic");
    let call = house.look();
    assert!(call.is_live(), "only the carrier ends a call");
    assert_eq!(call.stream_id, None);
    assert_eq!(call.summary.map(|summary| summary.frames_in), Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_torn_stream_closes_the_agent_and_leaves_nothing_behind() {
    let house = House::open().await;
    let (carrier, mut agent, handle) = house.bridged().await;
    drop(carrier);
    handle.await.expect("no panic");
    assert!(
        agent.rest(Duration::from_secs(2)).await.is_empty() && agent.from_us.is_closed(),
        "the agent's socket is closed"
    );
    assert_eq!(house.look().media_link, MediaLink::Lost);
    assert!(house.core.bridges.calls().is_empty() && house.core.taps.is_empty());
    assert!(house.core.gauges.read(&[house.call]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_gives_the_line_back_at_once() {
    let house = House::open().await;
    let (mut carrier, handle) = house.attach("MZ1", 16);
    handle.await.expect("no panic");
    assert_eq!(carrier.from_us.recv().await, None, "the stream is closed");
    let call = house.look();
    assert_eq!(call.agent_link, AgentLink::Fallback);
    assert!(call.is_live());
}

#[tokio::test(start_paused = true)]
async fn a_second_stream_takes_the_call_over() {
    let house = House::open().await;
    let (mut first, agent, handle) = house.bridged().await;
    agent.say("hello").await;
    house.until(|call| call.lines.len() == 1).await;
    let mut agents = house.expect_agent();
    let (second, second_handle) = house.attach("MZ2", 4_096);
    handle.await.expect("no panic");
    assert!(first.rest(Duration::from_secs(1)).await.is_empty());
    let mut agent = agents.recv().await.expect("dialled again");
    agent.say("ready").await;
    house
        .until(|call| {
            call.stream_id.as_deref() == Some("MZ2") && call.agent_link == AgentLink::Connected
        })
        .await;
    agent.say("hello").await;
    house.until(|call| call.lines.len() == 2).await;
    let recap = agent.rest(Duration::from_millis(50)).await;
    assert!(
        recap
            .iter()
            .any(|word| matches!(word, Wire::Text(text) if text.contains("You: Hello")))
    );
    assert!(house.core.bridges.is_running(house.call) && house.core.taps.len() == 1);
    second.say("stop").await;
    second_handle.await.expect("no panic");
    assert!(house.core.taps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_does_not_read_delays_nobody() {
    let house = House::open().await;
    let mut agents = house.expect_agent();
    let (carrier, _handle) = house.attach("MZ1", 1);
    let mut agent = agents.recv().await.expect("dialled");
    agent.say("ready").await;
    agent.play(vec![1; 8 * 5_000]).await;
    for n in 0..100u8 {
        carrier.play(vec![n; 160]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = agent.rest(Duration::from_millis(100)).await;
    assert_eq!(audio_frames(&heard), 100);
    let order = house.core.bridges.order(
        house.call,
        BridgeOrder::Whisper {
            text: "offer ten percent".into(),
        },
    );
    assert!(order.await.is_ok());
    assert_eq!(
        agent.from_us.recv().await,
        Some(Wire::Text("context offer ten percent".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_carrier_socket_is_given_up() {
    let house = House::open().await;
    let mut agents = house.expect_agent();
    let (carrier, handle) = house.attach("MZ1", 1);
    let agent = agents.recv().await.expect("dialled");
    agent.say("ready").await;
    agent.play(vec![1; 8 * 20_000]).await;
    for _ in 0..700 {
        // It talks but does not listen.
        let _gone = carrier
            .to_us
            .send(Ok(Wire::Binary(Bytes::from(vec![0xFF; 160]))))
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    handle.await.expect("no panic");
    assert_eq!(house.look().media_link, MediaLink::Lost);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_reaches_the_carrier_and_the_board() {
    let house = House::open().await;
    let (mut carrier, agent, _handle) = house.bridged().await;
    agent.play(vec![1; 8 * 3_000]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    agent.say("interrupt").await;
    house.until(|call| call.interruptions == 1).await;
    let words = carrier.rest(Duration::from_millis(500)).await;
    assert_eq!(words.last(), Some(&Wire::Text("clear".into())));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_up_ends_the_call_through_the_carrier() {
    let house = House::open().await;
    let (carrier, agent, handle) = house.bridged().await;
    agent.say("hang up").await;
    for _ in 0..100 {
        if house.phone.hung_up.load(Ordering::SeqCst) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(house.phone.hung_up.load(Ordering::SeqCst), 1);
    carrier.say("stop").await;
    handle.await.expect("no panic");
    assert_eq!(house.look().agent_link, AgentLink::None);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_goes_down_hands_the_call_to_the_fallback() {
    let house = House::open().await;
    let (mut carrier, _agent, _handle) = house.bridged().await;
    house.core.tasks.cancel();
    assert!(house.core.tasks.shutdown(Duration::from_secs(2)).await);
    assert!(carrier.rest(Duration::from_secs(1)).await.is_empty());
    assert!(carrier.from_us.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_both_sides_and_leaving_is_noticed() {
    let house = House::open().await;
    let (carrier, agent, _handle) = house.bridged().await;
    let mut tap = house.core.taps.join(house.call).expect("bridged");
    agent.play(vec![0x21; 8 * 2_000]).await;
    let mut both = false;
    for _ in 0..50 {
        carrier.play(vec![0x11; 160]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        while let Ok(frame) = tap.try_recv() {
            both |= frame.caller[80] == 0x11 && frame.agent[80] == 0x21;
        }
    }
    assert!(both);
}
