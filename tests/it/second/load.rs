//! Stamped calls through the whole backend: every frame arrives, and a barge-in reaches the carrier.

use std::time::Duration;

use wallboard::engine::Tasks;
use wallboard::simulator::Stamped;
use wallboard::simulator::load::{CarrierLoad, Vendor, run_carrier};
use wallboard::simulator::openai::OpenAiSimConfig;
use wallboard::simulator::speech::Script;

use crate::it::support::peers::SECRET;

use super::house::{House, Wishes};

async fn breaks_in(carrier: Vendor, agent: &str) {
    let stamped = Stamped {
        barge_in_every: Some(Duration::from_millis(600)),
    };
    let wishes = Wishes {
        openai: OpenAiSimConfig {
            load: Some(stamped),
            ..OpenAiSimConfig::default()
        },
        ..Wishes::default()
    };
    let house = House::with(Script::tones("t", 1, 300), agent, wishes).await;
    let tasks = Tasks::new();
    let load = CarrierLoad {
        calls: 3,
        ramp: Duration::from_millis(100),
        talk: Duration::from_secs(4),
        run_for: Duration::from_secs(4),
        auth_token: SECRET.to_owned(),
        ..CarrierLoad::new(carrier, house.url.parse().unwrap())
    };
    let report = run_carrier(load, &tasks, |_| {}).await.unwrap();
    assert_eq!(report.calls_stuck, 0, "{report:?}");
    assert_eq!(report.calls_streamed, report.calls_placed, "{report:?}");
    // On a machine that stalls the agent runs dry, and there is nothing to clear.
    let (answered, unanswered) = (report.barge_in.reaction.count, report.barge_in.unanswered);
    assert!(answered >= 9 && unanswered * 3 < answered, "{report:?}");
    let agents = match agent {
        "openai" => house.openai.load(),
        _ => house.elevenlabs.load(),
    };
    assert_eq!(agents.messages_refused, 0, "{agents:?}");
    for arrived in [report.from_agent, agents.from_caller] {
        assert!(arrived.frames_received > 300, "{arrived:?}");
        let wrong = (
            arrived.frames_lost,
            arrived.frames_reordered,
            arrived.frames_crossed,
            arrived.frames_unstamped,
        );
        assert_eq!(wrong, (0, 0, 0, 0), "{arrived:?}");
    }
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_break_in_on_twilio_and_elevenlabs() {
    breaks_in(Vendor::Twilio, "elevenlabs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_break_in_on_plivo_and_openai() {
    breaks_in(Vendor::Plivo, "openai").await;
}
