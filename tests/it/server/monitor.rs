//! The vendor's monitoring socket as the only live source of a conversation it runs by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wallboard::call::{Action, Call, CallId, Command, DialRequest, Grant, LineBody, Secret};
use wallboard::engine::{Tasks, VendorCalls, Vendors};
use wallboard::providers::elevenlabs::ElevenLabsSettings;
use wallboard::providers::elevenlabs::shell_calls::ElevenLabsCalls;
use wallboard::providers::elevenlabs::shell_monitor::ElevenLabsMonitor;
use wallboard::providers::vendor::WebhookVerdict;
use wallboard::simulator::elevenlabs::{ElevenLabsSim, ElevenLabsSimConfig, Webhooks};

use crate::it::support::backend::{Backend, ELEVENLABS_SECRET};

/// What the vendor tells by webhook while they talk.
#[derive(Clone, Copy, PartialEq)]
enum Live {
    Nothing,
    EveryWord,
}

/// A backend that monitors, and the vendor, which tells of every call once it is over.
async fn house(monitoring: bool, live: Live) -> (Backend, ElevenLabsSim, Tasks) {
    let tasks = Tasks::new();
    let cfg = ElevenLabsSimConfig {
        monitoring,
        ..ElevenLabsSimConfig::default()
    };
    let sim = ElevenLabsSim::start(cfg, &tasks).await.unwrap();
    let settings = ElevenLabsSettings {
        api_key: Some(Secret::new("simulated-api-key")),
        agent_id: Some("agent_1".into()),
        phone_number_id: Some("phnum_1".into()),
        api_base: sim.api_base().to_owned(),
        ws_base: sim.ws_base().to_owned(),
        ..ElevenLabsSettings::default()
    };
    let calls = ElevenLabsCalls::new(&settings, BTreeMap::default()).unwrap();
    let calls: Arc<dyn VendorCalls> = Arc::new(calls.unwrap());
    let monitor = ElevenLabsMonitor::new(&settings).unwrap().unwrap();
    let backend = Backend::build(
        |_| {},
        |parts| parts.vendors = Vendors::from([("elevenlabs", calls)]),
        |server| server.conversations.monitor = Some(Arc::new(monitor)),
    )
    .await;
    sim.tell(Webhooks {
        base: backend.url.clone(),
        secret: Secret::new(ELEVENLABS_SECRET),
        pace: Duration::from_millis(400),
        live: live == Live::EveryWord,
    });
    (backend, sim, tasks)
}

async fn place(backend: &Backend) -> CallId {
    let request = DialRequest {
        number: "+14155550134".into(),
        lead_id: Some("L7".into()),
        via: Some("elevenlabs".into()),
        ..DialRequest::default()
    };
    let command = Command {
        id: backend.core.clock.command_id(),
        call: None,
        action: Action::Dial { request },
        reason: None,
    };
    let reply = backend.core.command(&Grant::admin("ana"), command).await;
    assert!(reply.ok, "{reply:?}");
    reply.result.unwrap()["call"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

async fn until<T>(backend: &Backend, call: CallId, look: impl FnMut(&Call) -> Option<T>) -> T {
    let found = backend.core.switchboard.until(call, look);
    let found = tokio::time::timeout(Duration::from_secs(30), found).await;
    found.expect("in time").expect("on the board")
}

fn said(call: &Call) -> Vec<String> {
    let lines = call.lines.iter();
    lines
        .filter_map(|line| match &line.body {
            LineBody::Speech { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_word_of_the_monitoring_socket_is_live_and_the_record_repeats_none() {
    let (backend, sim, _tasks) = house(true, Live::Nothing).await;
    let call = place(&backend).await;
    // While they talk: what came before the socket was open is there, too.
    let live = until(&backend, call, |call| {
        (call.is_live() && said(call).len() >= 3).then(|| said(call))
    })
    .await;
    let conversation = sim.conversations().pop().unwrap();
    assert_eq!(conversation.view().monitors, 1);
    until(&backend, call, |call| call.analysis.clone()).await;
    let whole = conversation.view().lines;
    let spoken: Vec<String> = whole
        .iter()
        .filter_map(|line| Some(line.split_once(": ")?.1.to_owned()))
        .collect();
    assert_eq!(live[..], spoken[..live.len()]);
    let kept = backend
        .core
        .switchboard
        .read(|board| said(board.get(call).unwrap()));
    assert_eq!(kept, spoken, "each once, in order");
    let closed = async {
        while conversation.view().monitors > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed)
        .await
        .expect("no socket outlives its call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_without_monitoring_is_said_once_on_the_call() {
    let (backend, _sim, _tasks) = house(false, Live::Nothing).await;
    let call = place(&backend).await;
    let trouble = until(&backend, call, |call| call.troubles.first().cloned()).await;
    assert_eq!(trouble.code, "not_monitored");
    assert!(trouble.message.contains("plan"), "{}", trouble.message);
    until(&backend, call, |call| call.analysis.clone()).await;
    let troubles = backend
        .core
        .switchboard
        .read(|board| board.get(call).unwrap().troubles.len());
    assert_eq!(troubles, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_webhooks_and_the_socket_both_tell_is_told_once() {
    let (backend, sim, _tasks) = house(true, Live::EveryWord).await;
    let call = place(&backend).await;
    until(&backend, call, |call| call.analysis.clone()).await;
    let conversation = sim.conversations().pop().unwrap();
    let spoken: Vec<String> = conversation
        .view()
        .lines
        .iter()
        .filter_map(|line| Some(line.split_once(": ")?.1.to_owned()))
        .collect();
    let kept = backend
        .core
        .switchboard
        .read(|board| said(board.get(call).unwrap()));
    assert_eq!(kept, spoken, "each once, in order");
    // Both did tell: some of what came by webhook had come by the socket, or the other way round.
    let log = backend.server.webhooks().entries();
    let live = log
        .iter()
        .filter(|entry| entry.path.ends_with("conversation-events"));
    let told_before = live
        .clone()
        .filter(|entry| entry.verdict == WebhookVerdict::Duplicate)
        .count();
    eprintln!(
        "{} live webhooks, {told_before} of them told before",
        live.count()
    );
}
