//! Both simulated peers with a naive bridge between them: they must get a call done without any
//! help, or a fault of production code could not be told from one of theirs.

mod bridge;

use std::time::Duration;

use super::elevenlabs::{ElevenLabsSim, ElevenLabsSimConfig};
use super::load::{CarrierLoad, Vendor, run_carrier};
use super::speech::{Ending, Script, library};
use super::twilio::InboundCall;
use super::{Demo, DemoFleet, DemoTarget, Stage, Stamped};
use crate::call::CallStatus;
use crate::engine::Tasks;
use bridge::Bridge;

const CALLER: &str = "+12065550142";

async fn stage(script: Script) -> (Tasks, Stage, Bridge) {
    let tasks = Tasks::new();
    let stage = Stage::start(1, &tasks).await.unwrap();
    stage.twilio.cast().assign(CALLER, script.into());
    let bridge = Bridge::start(&tasks, stage.elevenlabs.api_base()).await;
    (tasks, stage, bridge)
}

fn inbound(bridge: &Bridge) -> InboundCall {
    InboundCall {
        from: CALLER.to_owned(),
        caller_name: None,
        voice_url: format!("{}/incoming-call", bridge.base()),
        fallback_url: None,
        status_callback: Some(format!("{}/call-status-callback", bridge.base())),
    }
}

#[tokio::test]
async fn a_conversation_of_tones_is_held_over_real_sockets() {
    let (tasks, stage, bridge) = stage(Script::tones("t", 4, 500)).await;
    let call = stage.twilio.place_inbound(inbound(&bridge));
    let view = call.wait_over().await.unwrap();
    assert_eq!(
        (view.status, view.ended_by),
        (Some(CallStatus::Completed), Some("caller"))
    );
    assert!(view.heard_ms >= 900 && view.errors.is_empty(), "{view:?}");
    let talk = stage
        .elevenlabs
        .wait_conversation(1)
        .await
        .unwrap()
        .wait(|v| !v.open)
        .await
        .unwrap();
    assert_eq!(
        talk.lines[..3],
        [
            "agent: Agent line 0",
            "user: Caller line 0",
            "agent: Agent line 1"
        ]
    );
    assert!(talk.refused.is_none(), "{talk:?}");
    tasks.cancel();
}

#[tokio::test]
async fn an_interruption_reaches_the_carrier_as_a_clear() {
    let (tasks, stage, bridge) = stage(Script::barge_in_tones("t")).await;
    let call = stage.twilio.place_inbound(inbound(&bridge));
    let view = call.wait_clear().await.unwrap();
    assert!(view.cleared_ms > 1_000, "{view:?}");
    let talk = stage
        .elevenlabs
        .wait_conversation(1)
        .await
        .unwrap()
        .wait(|v| v.lines.len() >= 5)
        .await
        .unwrap();
    assert_eq!(talk.interruptions, 1);
    call.hang_up();
    call.wait_over().await.unwrap();
    tasks.cancel();
}

#[tokio::test]
async fn the_agent_can_end_the_call() {
    let (tasks, stage, bridge) = stage(Script::tones("t", 3, 300).with_ending(Ending::Agent)).await;
    let call = stage.twilio.place_inbound(inbound(&bridge));
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.ended_by, Some("document"), "{view:?}");
    tasks.cancel();
}

#[tokio::test]
async fn real_speech_is_understood_in_both_directions() {
    let script = library().iter().find(|s| s.id == "wrong_number").unwrap();
    let (tasks, stage, bridge) = stage((**script).clone()).await;
    let call = stage.twilio.place_inbound(inbound(&bridge));
    let line = "user: You've got the wrong number, mate. I ride a bicycle.";
    call.wait_stream().await.unwrap();
    let talk = stage.elevenlabs.wait_conversation(1).await.unwrap();
    let talk = talk
        .wait(|v| v.lines.iter().any(|l| l == line))
        .await
        .unwrap();
    assert_eq!(talk.interruptions, 0, "{talk:?}");
    assert!(call.view().heard_ms > 1_000);
    tasks.cancel();
}

#[tokio::test]
async fn the_fleet_places_inbound_and_outbound_calls() {
    let (tasks, stage, bridge) = stage(Script::tones("t", 0, 0)).await;
    let target = DemoTarget {
        base_url: bridge.base().to_owned(),
        token: "wb_test".to_owned(),
        agents: Vec::new(),
    };
    let fleet = DemoFleet::new(stage.clone(), target, &tasks).unwrap();
    let demo = Demo {
        calls: 40,
        speed: 50.0,
        ..Demo::default()
    };
    tokio::select! {
        () = fleet.run(demo) => panic!("the demo ended by itself"),
        () = async {
            while bridge.dialled() < 2 || stage.twilio.live_calls() < 5 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        } => {}
    }
    tasks.cancel();
}

#[tokio::test]
async fn a_load_run_counts_every_frame_both_ways() {
    super::install_tls();
    let tasks = Tasks::new();
    let cfg = ElevenLabsSimConfig {
        load: Some(Stamped {
            barge_in_every: Some(Duration::from_millis(500)),
        }),
        ..ElevenLabsSimConfig::default()
    };
    let agents = ElevenLabsSim::start(cfg, &tasks).await.unwrap();
    let bridge = Bridge::start(&tasks, agents.api_base()).await;
    let load = CarrierLoad {
        calls: 5,
        ramp: Duration::from_millis(100),
        talk: Duration::from_secs(2),
        run_for: Duration::from_secs(2),
        ..CarrierLoad::new(Vendor::Twilio, bridge.base().parse().unwrap())
    };
    let report = run_carrier(load, &tasks, |_| {}).await.unwrap();
    assert_eq!(
        (report.calls_stuck, report.calls_placed),
        (0, report.calls_streamed),
        "{report:?}"
    );
    assert!(
        report.calls_placed >= 5 && report.errors.is_empty(),
        "{report:?}"
    );
    assert!(report.from_agent.frames_received > 300, "{report:?}");
    assert_eq!(report.barge_in.unanswered, 0, "{report:?}");
    assert!(report.barge_in.reaction.count >= 10, "{report:?}");
    let agents = agents.load();
    for arrived in [report.from_agent, agents.from_caller] {
        assert_eq!(
            (
                arrived.frames_lost,
                arrived.frames_reordered,
                arrived.frames_crossed,
                arrived.frames_unstamped
            ),
            (0, 0, 0, 0),
            "{arrived:?}"
        );
        assert!(arrived.latency.p50_ms < 50.0, "{arrived:?}");
    }
    tasks.cancel();
}
