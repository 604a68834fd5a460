//! From a signed conversation event to the frame at its viewers: how long, with many conversations at
//! once and everything on loopback sockets.
//!
//! `cargo bench --bench webhooks` (300 conversations, 100 of them watched, 100 events a second).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wallboard::call::Secret;
use wallboard::engine::{Clock, Core, CoreParts, Tasks};
use wallboard::providers::elevenlabs::sign_webhook;
use wallboard::server::{Auth, ConversationSettings, Server, ServerParts, ServerSettings};
use wallboard::store;

const SECRET: &str = "wsec_bench_0123456789abcdef";
const TOKEN: &str = "wb_bench";
const CONVERSATIONS: usize = 300;
const WATCHED: usize = 100;
const EVENTS: usize = 3_000;
const EVERY: Duration = Duration::from_millis(10);
/// What the 99th of a hundred events may take from the webhook to its viewer.
const P99_MAX: Duration = Duration::from_millis(10);

type Sent = Arc<Mutex<HashMap<String, Instant>>>;
type Took = Arc<Mutex<Vec<Duration>>>;

#[tokio::main]
async fn main() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (tasks, clock) = (Tasks::new(), Clock::start());
    let journal = store::open(dir.path(), &tasks, clock).unwrap();
    let core = Core::new(CoreParts::new(tasks, clock, Arc::new(journal)));
    let settings = ServerSettings::on("127.0.0.1:0".parse().unwrap());
    let server = Server::start(ServerParts {
        conversations: ConversationSettings {
            webhook_secret: Some(Secret::new(SECRET)),
            has_agent: true,
            monitor: None,
        },
        ..ServerParts::new(core.clone(), settings, Auth::new(Some(TOKEN), None))
    })
    .await
    .unwrap();
    let url = format!("http://{}", server.local_addr());
    let http = reqwest::Client::new();
    for n in 0..CONVERSATIONS {
        let begun = json!({"type": "conversation_started", "data": {"conversation_id": format!("c{n}"),
            "lead_id": format!("L{n}")}});
        post(&http, &url, &begun).await;
    }
    let (sent, took): (Sent, Took) = (Arc::default(), Arc::default());
    for n in 0..WATCHED {
        let request = http.get(format!("{url}/api/stream/conversation/L{n}"));
        let response = request.bearer_auth(TOKEN).send().await.unwrap();
        core.tasks.spawn(
            "viewer",
            watch(response, Arc::clone(&sent), Arc::clone(&took)),
        );
    }
    let mut tick = tokio::time::interval(EVERY);
    let mut answered = Vec::new();
    for n in 0..EVENTS {
        tick.tick().await;
        let (http, url, sent) = (http.clone(), url.clone(), Arc::clone(&sent));
        answered.push(tokio::spawn(async move {
            let text = format!("event {n}");
            let event = json!({"type": "user_message", "event_timestamp": n + 1, "data":
                {"conversation_id": format!("c{}", n % CONVERSATIONS), "message": text}});
            let begun = Instant::now();
            sent.lock().unwrap().insert(text, begun);
            post(&http, &url, &event).await;
            begun.elapsed()
        }));
    }
    let mut answers = Vec::new();
    for task in answered {
        answers.push(task.await.unwrap());
    }
    let wanted = (0..EVENTS).filter(|n| n % CONVERSATIONS < WATCHED).count();
    let deadline = Instant::now() + Duration::from_secs(10);
    while took.lock().unwrap().len() < wanted && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut frames = took.lock().unwrap().clone();
    println!(
        "{CONVERSATIONS} conversations, {WATCHED} viewers, {} events/s",
        1000 / EVERY.as_millis()
    );
    println!("delivered {} of {wanted}", frames.len());
    let p99 = report("webhook → viewer", &mut frames);
    println!(
        "  p99 is {:.2} of the {} ms it may take",
        p99 / P99_MAX.as_secs_f64() / 1000.0,
        P99_MAX.as_millis()
    );
    report("webhook → answer (on disk)", &mut answers);
    server.stop(Duration::from_secs(1)).await;
}

async fn post(http: &reqwest::Client, url: &str, event: &Value) {
    let body = event.to_string();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let signature = sign_webhook(
        body.as_bytes(),
        &Secret::new(SECRET),
        now.unwrap().as_secs(),
    );
    let request = http.post(format!("{url}/api/webhooks/elevenlabs/conversation-events"));
    let answer = request
        .header("elevenlabs-signature", signature)
        .body(body)
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 200);
}

/// Reads frames and notes how long each event took.
async fn watch(mut response: reqwest::Response, sent: Sent, took: Took) {
    let mut held = String::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let now = Instant::now();
        held.push_str(&String::from_utf8_lossy(&chunk));
        while let Some(end) = held.find("\n\n") {
            let frame: String = held.drain(..end + 2).collect();
            let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
            let body: Value = data.map_or(Value::Null, |data| serde_json::from_str(data).unwrap());
            let begun = body["message"]
                .as_str()
                .and_then(|text| sent.lock().unwrap().remove(text));
            took.lock().unwrap().extend(begun.map(|begun| now - begun));
        }
    }
}

/// Prints and returns the p99, milliseconds.
fn report(what: &str, times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let at = |share: f64| {
        let rank = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(rank).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    println!(
        "{what}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    at(0.99)
}
