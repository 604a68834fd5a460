//! The backend's process: killed in mid-call, and asked to go.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use wallboard::simulator::line::Timing;
use wallboard::simulator::twilio::TestCall;

use super::process::{Extra, Serve};
use super::rig::{AUTH_TOKEN, Peers, Plot, chat, client, comes_true, webhook};

/// After the stream breaks the carrier connects the caller to a person who stays.
fn patient() -> Plot {
    Plot {
        timing: Timing {
            dial_talk: Duration::from_secs(120),
            ..Timing::quick()
        },
        ..Plot::default()
    }
}

const TRANSFER: Extra<'static> = Extra {
    bridge: "transfer_number = \"+14155550199\"",
    server: "",
    tables: "",
};

async fn wait_lines(serve: &Serve, sid: &str, count: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let lines = serve.lines(sid).await;
        if lines.len() >= count {
            return lines;
        }
        assert!(
            Instant::now() < deadline,
            "{sid}: {lines:?}\n{}",
            serve.said()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the board shows exactly these calls; returns how long it took.
async fn wait_live(serve: &Serve, mut wanted: Vec<String>, since: Instant) -> Duration {
    wanted.sort();
    loop {
        let live = serve.live().await;
        if live == wanted {
            return since.elapsed();
        }
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "board {live:#?}\ncarrier {wanted:#?}\n{}",
            serve.said()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A call the backend has never heard of, known to the carrier alone.
async fn stranger(peers: &Peers) -> String {
    let account = peers.twilio.account_sid();
    let url = format!(
        "{}/2010-04-01/Accounts/{account}/Calls.json",
        peers.twilio.api_base()
    );
    let form = [
        ("To", "+14155550777"),
        ("From", peers.twilio.number()),
        ("Twiml", "<Response><Pause length=\"100\"/></Response>"),
    ];
    let request = client().post(url).basic_auth(account, Some(AUTH_TOKEN));
    let answer: serde_json::Value = request
        .form(&form)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    answer["sid"].as_str().expect("placed").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_nine_the_board_is_right_and_nothing_acknowledged_is_lost() {
    let peers = Peers::start(&patient()).await;
    let mut serve = Serve::start(&peers, TRANSFER).await;
    // Nobody tells of their end: only the carrier's REST knows.
    let calls: Vec<TestCall> = (0..5)
        .map(|number| peers.ring(&serve.url, number, chat(), false))
        .collect();
    for call in &calls {
        wait_lines(&serve, call.sid(), 2).await;
    }
    let dialled = serve
        .post("/api/outbound-call", json!({ "number": "+14155550888" }))
        .await;
    assert_eq!(dialled.status(), 200);
    let dialled: serde_json::Value = dialled.json().await.unwrap();
    let outbound = dialled["callSid"].as_str().unwrap().to_owned();
    let outbound_call = peers.twilio.call(&outbound).unwrap();
    outbound_call.wait_stream().await.unwrap();

    let mut before = Vec::new();
    for call in &calls {
        before.push(serve.lines(call.sid()).await);
    }
    // Acknowledged: everything before it is on disk.
    let human = [("CallSid", calls[0].sid()), ("AnsweredBy", "human")];
    let taken = webhook(&serve.http, &serve.url, "/amd-status-callback", &human).await;
    assert!(taken.status().is_success(), "{}", taken.status());
    serve.kill();

    for call in &calls[3..] {
        call.hang_up();
        call.wait_over().await.unwrap();
    }
    let unheard_of = stranger(&peers).await;
    for call in &calls[..3] {
        call.wait("the fallback", |view| view.verbs.contains(&"Dial"))
            .await
            .unwrap();
    }
    let since = Instant::now();
    serve.up().await;
    let mut wanted: Vec<String> = calls[..3]
        .iter()
        .map(|call| call.sid().to_owned())
        .collect();
    wanted.extend([outbound, unheard_of]);
    let took = wait_live(&serve, wanted.clone(), since).await;
    eprintln!("C6: right board {took:?} after the start");
    assert!(took < Duration::from_secs(10), "{took:?}");

    for (call, said) in calls.iter().zip(&before) {
        let kept = serve.lines(call.sid()).await;
        assert!(kept.starts_with(said), "said {said:#?}\nkept {kept:#?}");
    }
    let answered = serve.get(&format!("/api/calls/{}", calls[0].sid())).await;
    assert_eq!(
        answered["data"]["call"]["answered_by"], "human",
        "{answered:#}"
    );
    for call in &calls[3..] {
        let ended = serve.get(&format!("/api/calls/{}", call.sid())).await;
        assert_eq!(ended["data"]["call"]["status"], "completed", "{ended:#}");
    }
    // A second sweep later nothing has come back, and the legs to the person are no cards.
    assert_eq!(serve.live().await, {
        wanted.sort();
        wanted
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_keeps_every_acknowledged_call() {
    let peers = Peers::start(&Plot::default()).await;
    let mut serve = Serve::start(&peers, TRANSFER).await;
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        for number in 0..25 {
            let sid = format!("CA{:032x}", round * 100 + number);
            let form = [
                ("CallSid", sid.as_str()),
                ("CallStatus", "completed"),
                ("Direction", "inbound"),
                ("From", "+14155550134"),
                ("To", "+15555550100"),
                ("SequenceNumber", "3"),
                ("CallDuration", "7"),
            ];
            let taken = webhook(&serve.http, &serve.url, "/call-status-callback", &form).await;
            if taken.status().is_success() {
                acknowledged.push(sid);
            }
        }
        serve.kill();
        serve.up().await;
    }
    assert_eq!(acknowledged.len(), 100);
    for sid in &acknowledged {
        let call = serve.get(&format!("/api/calls/{sid}")).await;
        assert_eq!(
            call["data"]["call"]["status"], "completed",
            "{sid}: {call:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_refuses_new_callers_and_hands_live_ones_over() {
    let peers = Peers::start(&patient()).await;
    let drain = Extra {
        server: "drain = \"3s\"",
        ..TRANSFER
    };
    let mut serve = Serve::start(&peers, drain).await;
    let live = peers.ring(&serve.url, 1, chat(), true);
    live.wait_heard(100).await.unwrap();
    serve.signal(Signal::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(2);
    while serve.ready().await != Some(503) {
        assert!(Instant::now() < deadline, "still ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let late = peers.ring(&serve.url, 2, chat(), true);
    let view = late.wait_over().await.unwrap();
    assert!(view.verbs.contains(&"Say") && view.streams == 0, "{view:?}");
    assert!(live.view().stream_open, "the live call goes on meanwhile");
    assert!(serve.exited(10).await.success());
    let view = live
        .wait("the fallback", |view| view.verbs.contains(&"Dial"))
        .await
        .unwrap();
    assert!(!view.is_over() && view.errors.is_empty(), "{view:?}");
    comes_true("the agent's sockets are closed", 5, || {
        peers.elevenlabs.open_sockets() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_is_out_in_five_seconds() {
    let peers = Peers::start(&patient()).await;
    let mut serve = Serve::start(&peers, TRANSFER).await;
    let live = peers.ring(&serve.url, 1, chat(), true);
    live.wait_heard(100).await.unwrap();
    serve.signal(Signal::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(2);
    while serve.ready().await != Some(503) {
        assert!(Instant::now() < deadline, "still ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked_again = Instant::now();
    serve.signal(Signal::SIGTERM);
    serve.exited(12).await;
    let took = asked_again.elapsed();
    eprintln!("second SIGTERM: out after {took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let view = live
        .wait("the fallback", |view| view.verbs.contains(&"Dial"))
        .await
        .unwrap();
    assert!(!view.is_over(), "the caller stays: {view:?}");
}
