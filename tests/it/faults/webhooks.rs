//! Webhooks in every order, again and again, late, forged, and made to hurt.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use wallboard::call::{CallStatus, Secret};
use wallboard::providers::twilio::{sign, with_body_hash};

use super::rig::{ADMIN, AUTH_TOKEN, House, Plot};

const STEPS: [(&str, &str); 4] = [
    ("initiated", "0"),
    ("ringing", "1"),
    ("in-progress", "2"),
    ("completed", "3"),
];

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(at);
        for mut tail in permutations(&rest) {
            tail.insert(0, *first);
            all.push(tail);
        }
    }
    all
}

async fn status(house: &House, sid: &str, step: usize) -> u16 {
    let (word, sequence) = STEPS[step];
    let mut form = vec![
        ("CallSid", sid),
        ("CallStatus", word),
        ("Direction", "inbound"),
        ("From", "+14155550134"),
        ("To", "+15555550100"),
        ("SequenceNumber", sequence),
    ];
    if word == "completed" {
        form.push(("CallDuration", "47"));
    }
    let answer = house.webhook("/call-status-callback", &form).await;
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_in_every_order_and_twice_come_to_the_same_end() {
    let house = House::start(Plot::default()).await;
    let orders = permutations(&[0, 1, 2, 3]);
    let calls = orders.iter().enumerate().map(async |(number, order)| {
        let sid = format!("CA{number:032x}");
        let mut ended = false;
        for step in order {
            for _again in 0..2 {
                let taken = status(&house, &sid, *step).await;
                assert!((200..300).contains(&taken), "{taken}");
                ended |= *step == 3;
                let card = house.card(&sid).expect("on the board");
                assert_eq!(!card.is_live(), ended, "{order:?} at {step}");
            }
        }
        // Long after: the carrier repeats everything.
        for step in 0..4 {
            status(&house, &sid, step).await;
        }
        let card = house.card(&sid).unwrap();
        assert_eq!(card.status, CallStatus::Completed, "{order:?}");
        assert_eq!(card.duration_s, Some(47), "{order:?}");
    });
    join_all(calls).await;
    let cards = house.core.switchboard.read(wallboard::call::Board::len);
    assert_eq!(cards, orders.len());
}

/// A body with a signature of one's choice.
async fn send(
    house: &House,
    path: &str,
    kind: &str,
    body: Vec<u8>,
    signature: Option<String>,
) -> u16 {
    let mut request = house.http.post(format!("{}{path}", house.url));
    request = request.header("content-type", kind).body(body);
    if let Some(signature) = signature {
        request = request.header("x-twilio-signature", signature);
    }
    // A refusal may come before all of an oversized body was sent.
    request
        .send()
        .await
        .map_or(0, |answer| answer.status().as_u16())
}

const FORM: &str = "application/x-www-form-urlencoded";
const PATHS: [&str; 7] = [
    "/incoming-call",
    "/call-status-callback",
    "/amd-status-callback",
    "/recording-status-callback",
    "/quality-insights-callback",
    "/stream-status-callback",
    "/fallback-twiml",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tampered_and_unsigned_webhooks_create_nothing_and_are_counted() {
    let house = House::start(Plot::default()).await;
    let sid = format!("CA{:032x}", 7);
    let body = format!("CallSid={sid}&CallStatus=ringing&Direction=inbound");
    let pairs = |status: &str| {
        vec![
            ("CallSid".to_owned(), sid.clone()),
            ("CallStatus".to_owned(), status.to_owned()),
            ("Direction".to_owned(), "inbound".to_owned()),
        ]
    };
    let mut refused = 0;
    for path in PATHS {
        let url = format!("{}{path}", house.url);
        let forged = sign(&url, &pairs("ringing"), &Secret::new("another_token"));
        let tampered = sign(&url, &pairs("completed"), &Secret::new(AUTH_TOKEN));
        let elsewhere = sign(
            "https://other.example.com/x",
            &pairs("ringing"),
            &Secret::new(AUTH_TOKEN),
        );
        for signature in [
            None,
            Some(forged),
            Some(tampered),
            Some(elsewhere),
            Some("%%%".into()),
            Some("A".repeat(4_000)),
        ] {
            let status = send(&house, path, FORM, body.clone().into(), signature).await;
            assert_eq!(status, 403, "{path}");
            refused += 1;
        }
    }
    assert_eq!(house.core.switchboard.read(wallboard::call::Board::len), 0);
    let log: Value = house
        .get("/api/webhooks", ADMIN)
        .await
        .json()
        .await
        .unwrap();
    let entries = log["data"]["webhooks"].as_array().unwrap();
    let counted = entries
        .iter()
        .filter(|entry| entry["status"] == 403)
        .count();
    assert_eq!(counted, refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_made_to_hurt_are_refused_and_the_server_lives() {
    let house = House::start(Plot::default()).await;
    let key = Secret::new(AUTH_TOKEN);
    let deep = |depth: usize| {
        let mut text = "[".repeat(depth);
        text.push_str(&"]".repeat(depth));
        text
    };
    let began = Instant::now();
    for path in PATHS {
        let url = format!("{}{path}", house.url);
        let none = sign(&url, &[], &key);
        let nasty: Vec<(&str, Vec<u8>)> = vec![
            (FORM, vec![0xff, 0xfe, 0x80, b'=', 0xc3]),
            (FORM, b"CallSid=%ff%fe%00&CallStatus=%c3%28".to_vec()),
            (FORM, vec![b'&'; 200 * 1024]),
            (FORM, vec![b'x'; 600 * 1024]),
            ("application/json", deep(100_000).into_bytes()),
            ("application/json", vec![0xff; 1_000]),
            ("text/plain", b"CallSid".to_vec()),
        ];
        for (kind, body) in nasty {
            let status = send(&house, path, kind, body, Some(none.clone())).await;
            assert!(
                status == 0 || (400..500).contains(&status),
                "{path} {kind} {status}"
            );
        }
    }
    // Signed in good order, and still nonsense.
    for body in [
        deep(60_000),
        "{}".into(),
        "null".into(),
        format!("[{}]", deep(100)),
    ] {
        let path = with_body_hash("/quality-insights-callback", body.as_bytes());
        let signature = sign(&format!("{}{path}", house.url), &[], &key);
        let status = send(
            &house,
            &path,
            "application/json",
            body.clone().into(),
            Some(signature),
        )
        .await;
        assert!(status < 500, "{status} for {}", &body[..body.len().min(20)]);
    }
    let sid = format!("CA{:032x}", 9);
    let invalid = [
        ("CallSid", sid.as_str()),
        ("CallStatus", "exploded"),
        ("From", "\u{1b}]0;owned\u{7}\u{202e}"),
        ("CallDuration", "-99999999999999999999"),
        ("SequenceNumber", "NaN"),
    ];
    let taken = house.webhook("/call-status-callback", &invalid).await;
    assert!(taken.status().as_u16() < 500);
    if let Some(card) = house.card(&sid) {
        let shown = format!("{} {}", card.facts.from, card.facts.to);
        assert!(
            shown.chars().all(|c| !c.is_control() && c != '\u{202e}'),
            "{shown:?}"
        );
    }
    // The API and the hub take no deep nesting either.
    let request = house
        .http
        .post(format!("{}/api/calls/{sid}/note", house.url));
    let request = request.bearer_auth(ADMIN).body(deep(60_000));
    assert_eq!(request.send().await.unwrap().status(), 400);
    let mut hub = house.join(ADMIN).await;
    hub.wait_for("hello").await;
    let bomb: Value = (0..100).fold(json!([]), |inner, _| json!([inner]));
    hub.emit("command", bomb).await;
    hub.emit("ping", json!({ "id": "alive" })).await;
    loop {
        if hub.wait_for("reply").await["id"] == "alive" {
            break;
        }
    }
    let raw = format!("42/wallboard,[\"command\",{}]", deep(40_000));
    hub.emit_raw(raw).await;
    // Whatever becomes of that client, the backend goes on.
    assert_eq!(status(&house, &format!("CA{:032x}", 10), 1).await, 204);
    let ready = house.get("/readyz", ADMIN).await;
    assert_eq!(ready.status(), 200);
    eprintln!("C18/C19: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(30));
}
