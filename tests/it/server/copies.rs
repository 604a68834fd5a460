//! Calls that are only observed, heard by way of their carrier: a copy of both sides, one way, as long
//! as somebody listens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wallboard::call::{Call, CallId, Grant, MediaLink, Secret};
use wallboard::engine::{CarrierControl, ListenStream, StereoFrame, Tasks};
use wallboard::providers::plivo::shell::PlivoControl;
use wallboard::providers::plivo::{self, PlivoDesk, PlivoSettings};
use wallboard::providers::twilio::shell::TwilioControl;
use wallboard::providers::twilio::{self, TwilioDesk, TwilioSettings};
use wallboard::server::CarrierRoutes;
use wallboard::simulator::plivo::{PlivoSim, PlivoSimConfig};
use wallboard::simulator::twilio::{TwilioSim, TwilioSimConfig};

use crate::it::support::backend::{Backend, TWILIO_TOKEN};

use super::conversations::{EVENTS, started};

const PHONE: &str = "+14155550134";
const WITHIN: Duration = Duration::from_secs(20);

/// An address nobody listens on yet, so that carriers can be told of it first.
fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

async fn reached_at(
    address: SocketAddr,
    carrier: &'static str,
    control: Arc<dyn CarrierControl>,
    routes: CarrierRoutes,
) -> Backend {
    Backend::build(
        |settings| {
            settings.listen = address;
            settings.public_url = Some(format!("http://{address}").parse().unwrap());
        },
        |parts| {
            parts.carriers.insert(carrier, control);
        },
        |server| server.carriers = routes,
    )
    .await
}

/// The vendor tells of a conversation on a carrier's call.
async fn observed(backend: &Backend, sid: &str) -> Call {
    let mut event = started("conv_1", Some("L1"));
    event["data"]["call_sid"] = json!(sid);
    assert_eq!(backend.event(EVENTS, &event).await.status(), 200);
    let call = backend.call("conv_1").unwrap();
    assert!(call.facts.observed);
    call
}

async fn listen(backend: &Backend, call: CallId) -> ListenStream {
    let ana = Grant::admin("ana");
    let opening = backend.core.listen(&ana, call);
    let opened = tokio::time::timeout(WITHIN, opening).await.unwrap();
    opened.expect("audio")
}

/// Reads until both sides have been heard.
async fn hear_both(stream: &mut ListenStream) {
    let both = async {
        let (mut caller, mut agent) = (false, false);
        while !(caller && agent) {
            let frame = stream.frames.recv().await.expect("a frame");
            caller |= frame.caller != StereoFrame::SILENCE.caller;
            agent |= frame.agent != StereoFrame::SILENCE.agent;
        }
    };
    tokio::time::timeout(Duration::from_secs(40), both)
        .await
        .expect("both sides");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilio_copies_a_call_while_somebody_listens_and_not_a_moment_longer() {
    let tasks = Tasks::new();
    let cfg = TwilioSimConfig {
        auth_token: TWILIO_TOKEN.into(),
        ..TwilioSimConfig::default()
    };
    let sim = TwilioSim::start(cfg, &tasks).await.unwrap();
    let address = free_address();
    let settings = TwilioSettings {
        account_sid: Some(sim.account_sid().into()),
        auth_token: Some(Secret::new(TWILIO_TOKEN)),
        api_base: sim.api_base().into(),
        ..TwilioSettings::default()
    };
    let public = format!("http://{address}");
    let control = Arc::new(TwilioControl::new(&settings, Some(&public)).unwrap());
    let routes = CarrierRoutes::new().with(TwilioDesk::new(&settings));
    let backend = reached_at(address, twilio::CARRIER, control, routes).await;
    let line = sim.place_elsewhere(PHONE);
    let call = observed(&backend, line.sid()).await;

    let mut first = listen(&backend, call.id).await;
    hear_both(&mut first).await;
    let second = listen(&backend, call.id).await;
    let view = line.view();
    assert_eq!(
        (view.copies_open, view.copy_messages),
        (1, 0),
        "one copy for both"
    );
    // It is an observed call as before, and nobody's bridge.
    let seen = backend.call("conv_1").unwrap();
    assert!(seen.facts.observed && seen.media_link == MediaLink::None);
    assert!(backend.core.bridges.calls().is_empty());
    let both = backend
        .core
        .switchboard
        .until(call.id, |call| (call.listeners.len() == 2).then_some(()));
    let both = tokio::time::timeout(WITHIN, both).await;
    assert_eq!(
        both.expect("in time"),
        Some(()),
        "everybody sees who listens"
    );
    drop(first);
    drop(second);
    let view = line
        .wait("the copy ends", |view| view.copies_open == 0)
        .await;
    assert_eq!(
        view.unwrap().copy_messages,
        0,
        "nothing was ever sent on it"
    );

    // Again, and now the call ends under the listener.
    let mut third = listen(&backend, call.id).await;
    assert!(third.frames.recv().await.is_some());
    line.hang_up();
    let over = async { while third.frames.recv().await.is_some() {} };
    tokio::time::timeout(WITHIN, over).await.expect("an end");
    drop(third);
    tokio::time::timeout(WITHIN, async {
        while !(backend.core.forks.is_empty() && backend.core.taps.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("nothing stays behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_nobody_asked_for_is_turned_away_though_the_carrier_signs_it() {
    let tasks = Tasks::new();
    let cfg = TwilioSimConfig {
        auth_token: TWILIO_TOKEN.into(),
        ..TwilioSimConfig::default()
    };
    let sim = TwilioSim::start(cfg, &tasks).await.unwrap();
    let backend = Backend::start_with(|settings| settings.public_url = None, |_| {}).await;
    let line = sim.place_elsewhere(PHONE);
    observed(&backend, line.sid()).await;
    let (account, base) = (sim.account_sid(), sim.api_base());
    let monitor = format!("{}/monitor-stream", backend.url.replacen("http", "ws", 1));
    let form = [
        ("Url", monitor.as_str()),
        ("Track", "both_tracks"),
        ("Parameter1.Name", "wb"),
        ("Parameter1.Value", "0123456789abcdef0123456789abcdef"),
    ];
    let url = format!(
        "{base}/2010-04-01/Accounts/{account}/Calls/{}/Streams.json",
        line.sid()
    );
    let request = backend
        .http
        .post(url)
        .basic_auth(account, Some(TWILIO_TOKEN));
    assert_eq!(request.form(&form).send().await.unwrap().status(), 201);
    let refused = async {
        loop {
            let log = backend.server.webhooks().entries();
            if log
                .iter()
                .any(|entry| entry.path == "/monitor-stream" && entry.status == 1008)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, refused)
        .await
        .expect("a refusal");
    assert!(backend.core.taps.is_empty());
    line.wait("the copy ends", |view| view.copies_open == 0)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plivo_copies_a_call_too_one_stream_at_a_time() {
    const TOKEN: &str = "plivo_test_token_0123456789abcdef0123456";
    let tasks = Tasks::new();
    let cfg = PlivoSimConfig {
        auth_token: TOKEN.into(),
        ..PlivoSimConfig::default()
    };
    let sim = PlivoSim::start(cfg, &tasks).await.unwrap();
    let address = free_address();
    let settings = PlivoSettings {
        auth_id: Some(sim.auth_id().into()),
        auth_token: Some(Secret::new(TOKEN)),
        api_base: sim.api_base().into(),
        ..PlivoSettings::default()
    };
    let public = format!("http://{address}");
    let control = Arc::new(PlivoControl::new(&settings, Some(&public)).unwrap());
    let routes = CarrierRoutes::new().with(PlivoDesk::new(&settings));
    let backend = reached_at(address, plivo::CARRIER, control, routes).await;
    let line = sim.place_elsewhere(PHONE);
    // The vendor does not say which carrier it is; somebody else's webhook has.
    let target = wallboard::engine::Target::Carrier {
        facts: wallboard::call::CallFacts {
            carrier: plivo::CARRIER.into(),
            carrier_call_id: Some(line.uuid().into()),
            from: PHONE.into(),
            observed: true,
            ..wallboard::call::CallFacts::default()
        },
        status: wallboard::call::CallStatus::InProgress,
        started_at: None,
    };
    let posted = backend
        .core
        .switchboard
        .post(target, Vec::new())
        .await
        .unwrap();
    let call = posted.call.unwrap();
    for _ in 0..2 {
        // Left and come back to: the second copy begins only once the first has ended.
        let mut stream = listen(&backend, call).await;
        hear_both(&mut stream).await;
        assert_eq!(line.view().copies_open, 1);
    }
    let view = line
        .wait("the copy ends", |view| view.copies_open == 0)
        .await;
    let view = view.unwrap();
    assert_eq!((view.copy_messages, view.errors.len()), (0, 0), "{view:?}");
}

#[tokio::test]
async fn where_a_carrier_cannot_reach_us_or_is_not_ours_the_reason_is_said() {
    let settings = TwilioSettings {
        account_sid: Some("AC00000000000000000000000000000001".into()),
        auth_token: Some(Secret::new(TWILIO_TOKEN)),
        ..TwilioSettings::default()
    };
    let control = Arc::new(TwilioControl::new(&settings, None).unwrap());
    let backend = Backend::start_with(
        |_| {},
        |parts| {
            parts.carriers.insert(twilio::CARRIER, control);
        },
    )
    .await;
    let sid = crate::it::support::backend::sid("CA", 1);
    let call = observed(&backend, &sid).await;
    let refused = backend.core.listen(&Grant::admin("ana"), call.id).await;
    let refused = refused.unwrap_err();
    assert!(refused.message.contains("server.public_url"), "{refused}");
    let mut event = started("conv_2", Some("L2"));
    event["data"]["metadata"]["phone_number"] = json!("+14155550135");
    assert_eq!(backend.event(EVENTS, &event).await.status(), 200);
    let call = backend.call("conv_2").unwrap().id;
    let refused = backend.core.listen(&Grant::admin("ana"), call).await;
    assert!(
        refused
            .unwrap_err()
            .message
            .contains("carrier is not known")
    );
    assert!(backend.core.forks.is_empty());
}
