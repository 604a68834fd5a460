//! Recordings from the order to the file, and URLs that are none of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use wallboard::call::{Fact, RecordingState, Role};

use super::rig::{ADMIN, House, Plot, chat, comes_true};

/// How often our side fetched the sound of a recording.
fn fetched(house: &House, id: &str) -> usize {
    house.rest.count(&format!("/Recordings/{id}.wav"))
        + house.rest.count(&format!("/Recordings/{id} "))
}

async fn completed(house: &House, sid: &str) -> (String, String) {
    let card = house
        .wait_card(sid, "a recording that is here", |card| {
            card.recording().is_some_and(|recording| {
                recording.state == RecordingState::Completed && recording.url.is_some()
            })
        })
        .await;
    let recording = card.recording().unwrap();
    (recording.id.clone(), recording.url.clone().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_goes_from_started_to_a_file_of_our_own_fetched_once() {
    let house = House::start(Plot::default()).await;
    let (call, id) = house.talking(1, chat()).await;
    let token = house.token("ann", Role::Operator).await;
    let mut facts = house.facts().await;
    let order = async |what: &str| {
        let path = format!("/api/calls/{id}/record/{what}?wait=true");
        let answer = house.post(&path, &token, json!({})).await;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{what}: {body}");
        assert_eq!(body["state"], "done", "{what}: {body}");
    };
    order("start").await;
    let twice = house
        .post(&format!("/api/calls/{id}/record/start"), &token, json!({}))
        .await;
    assert_eq!(twice.status(), 409);
    facts
        .wait("in progress", |fact| {
            matches!(fact, Fact::RecordingChanged { recording } if recording.state == RecordingState::InProgress)
        })
        .await;
    order("pause").await;
    order("resume").await;
    let sent = call.view().frames_sent;
    call.wait("a second of sound", |view| view.frames_sent >= sent + 50)
        .await
        .unwrap();
    order("stop").await;
    let (recording, url) = completed(&house, call.sid()).await;
    let file = url.strip_prefix("/api/recordings/").expect("our own URL");
    assert_ne!(file, recording, "named by our own id");
    let sound = house.get(&url, &token).await;
    assert_eq!(sound.status(), 200);
    assert_eq!(&sound.bytes().await.unwrap()[..4], b"RIFF");
    assert_eq!(house.get(&url, "").await.status(), 401);
    for _ in 0..3 {
        assert_eq!(house.get(&url, ADMIN).await.status(), 200);
    }
    assert_eq!(fetched(&house, &recording), 1);
    let states: Vec<RecordingState> = facts
        .seen
        .iter()
        .filter_map(|fact| match fact {
            Fact::RecordingChanged { recording } => Some(recording.state),
            _ => None,
        })
        .collect();
    eprintln!("recording states: {states:?}");
    assert!(call.view().stream_open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_records_does_so_for_callers_too() {
    let house = House::start(Plot {
        record: true,
        ..Plot::default()
    })
    .await;
    let (call, _) = house.talking(1, chat()).await;
    house
        .wait_card(call.sid(), "the recording runs", |card| {
            card.recording()
                .is_some_and(|recording| recording.state == RecordingState::InProgress)
        })
        .await;
    call.wait("some sound", |view| view.frames_sent >= 100)
        .await
        .unwrap();
    call.hang_up();
    let (recording, url) = completed(&house, call.sid()).await;
    assert_eq!(house.get(&url, ADMIN).await.status(), 200);
    assert_eq!(fetched(&house, &recording), 1);
    // And a call we place is recorded by the carrier from its start.
    let dialled = house
        .post(
            "/api/outbound-call",
            ADMIN,
            json!({ "number": "+14155550888" }),
        )
        .await;
    let dialled: Value = dialled.json().await.unwrap();
    let sid = dialled["callSid"].as_str().unwrap().to_owned();
    house
        .wait_card(&sid, "it is recorded", |card| card.recording().is_some())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_news_of_a_recording_does_not_bring_it_back() {
    let house = House::start(Plot::default()).await;
    let (call, _) = house.talking(1, chat()).await;
    let recording = format!("RE{:032x}", 5);
    for (state, shown) in [
        ("in-progress", RecordingState::InProgress),
        ("absent", RecordingState::Absent),
        ("in-progress", RecordingState::Absent),
        ("paused", RecordingState::Absent),
    ] {
        let form = [
            ("CallSid", call.sid()),
            ("RecordingSid", recording.as_str()),
            ("RecordingStatus", state),
        ];
        let taken = house.webhook("/recording-status-callback", &form).await;
        assert!(taken.status().is_success());
        let card = house.card(call.sid()).unwrap();
        assert_eq!(card.recording().unwrap().state, shown);
    }
}

/// A listener nobody should ever talk to.
async fn honeypot(house: &House) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let touched = Arc::new(AtomicUsize::new(0));
    let (count, token) = (Arc::clone(&touched), house.peers.tasks.token().clone());
    house.peers.tasks.spawn("honeypot", async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                _ = listener.accept() => count.fetch_add(1, Ordering::SeqCst),
            };
        }
    });
    (url, touched)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_url_of_a_foreign_host_is_never_fetched() {
    let house = House::start(Plot::default()).await;
    let (pot, touched) = honeypot(&house).await;
    let (call, _) = house.talking(1, chat()).await;
    for (number, url) in [
        format!("{pot}/2010-04-01/Accounts/AC/Recordings/RE"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        format!("file:///etc/passwd#{pot}"),
        format!(
            "https://api.twilio.com@{}/x",
            pot.trim_start_matches("http://")
        ),
    ]
    .iter()
    .enumerate()
    {
        let recording = format!("RE{number:032x}");
        let form = [
            ("CallSid", call.sid()),
            ("RecordingSid", recording.as_str()),
            ("RecordingStatus", "completed"),
            ("RecordingUrl", url.as_str()),
            ("RecordingDuration", "3"),
        ];
        let taken = house.webhook("/recording-status-callback", &form).await;
        assert!(taken.status().is_success());
        // It was asked of the carrier's own API, which does not know it.
        comes_true(
            &format!("the carrier was asked for {recording}"),
            15,
            || house.rest.count(&format!("/Recordings/{recording}")) > 0,
        )
        .await;
        let served = house
            .get(&format!("/api/recordings/{recording}"), ADMIN)
            .await;
        assert!(served.status().is_client_error() || served.status().is_server_error());
    }
    for path in [
        "/api/recordings/..%2f..%2ftoken",
        "/api/recordings/RE%00",
        "/api/recordings/CON",
    ] {
        let answer = house.get(path, ADMIN).await;
        assert!(
            answer.status().is_client_error(),
            "{path} {}",
            answer.status()
        );
    }
    assert_eq!(touched.load(Ordering::SeqCst), 0, "C23");
    let files = std::fs::read_dir(house.dir.path()).unwrap().count();
    assert!(files < 12, "{files} files in the data directory");
}
