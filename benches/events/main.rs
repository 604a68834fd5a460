//! What news costs: signed webhook → event at a hundred subscribers, a snapshot of 500 calls, and a
//! cold start, on the real binary and real sockets. Run with `cargo bench --bench events`; prints
//! one JSON line: wallboard's figures beside those of the least a server can do (`floor`), for
//! machines differ. The server is pinned to core 0 where `taskset` is there.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench measures real time and prints what it found"
)]

use std::collections::{HashMap, HashSet};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wallboard::call::Secret;
use wallboard::providers::twilio::{SIGNATURE_HEADER, sign};

#[path = "../../tests/it/support/socketio.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod socketio;
use socketio::SioClient;

mod floor;

const TOKEN: &str = "wb_bench_admin_token";
const AUTH_TOKEN: &str = "bench_auth_token_0123456789abcdef";
const CALLS: usize = 500;
const SUBSCRIBERS: usize = 100;
const PER_SECOND: u64 = 50;
const SECONDS: u64 = 10;

/// What is measured.
#[derive(Clone, Copy)]
enum Server {
    Wallboard,
    /// See `floor`.
    Floor,
}

/// The backend as a process of its own.
struct Backend {
    child: Child,
    url: String,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

impl Backend {
    /// Starts it and returns how long its first webhook took from the start of the process.
    async fn start(server: Server) -> (Self, Duration) {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = port.local_addr().unwrap().to_string();
        drop(port);
        let binary = match server {
            Server::Wallboard => env!("CARGO_BIN_EXE_wallboard").into(),
            Server::Floor => std::env::current_exe().unwrap(),
        };
        let pinned = Command::new("taskset").arg("-V").output().is_ok();
        let mut command = if pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(binary);
            command
        } else {
            Command::new(binary)
        };
        match server {
            Server::Wallboard => command.arg("serve"),
            Server::Floor => command.arg("--bench"),
        };
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", dir.path())
            .env("WALLBOARD_DATA_DIR", dir.path())
            .env("WALLBOARD_SERVER__LISTEN", &listen)
            .env("WALLBOARD_TOKEN", TOKEN)
            .env("WALLBOARD_LOG", "error")
            .env("TWILIO_AUTH_TOKEN", AUTH_TOKEN);
        if matches!(server, Server::Floor) {
            command.env(floor::ADDRESS, &listen);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().unwrap();
        let backend = Self {
            child,
            url: format!("http://{listen}"),
            http: reqwest::Client::builder().use_rustls_tls().build().unwrap(),
            _dir: dir,
        };
        while !backend.status("CA0", "ringing").await {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it did not start"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (backend, began.elapsed())
    }

    /// A signed status callback; whether it was answered 2xx.
    async fn status(&self, sid: &str, word: &str) -> bool {
        let url = format!("{}/call-status-callback", self.url);
        let form: Vec<(String, String)> = [
            ("CallSid", sid),
            ("CallStatus", word),
            ("Direction", "inbound"),
            ("From", "+14155550134"),
            ("To", "+15557650000"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let signature = sign(&url, &form, &Secret::new(AUTH_TOKEN));
        let request = self.http.post(&url).header(SIGNATURE_HEADER, signature);
        let answer = request.form(&form).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn join(&self) -> SioClient {
        let auth = json!({"token": TOKEN, "client": "bench", "v": 1});
        SioClient::join(&self.url, "/wallboard", auth)
            .await
            .unwrap()
    }

    /// CPU of the process so far, seconds.
    fn cpu_s(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after = stat.rsplit(')').next().unwrap();
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        // USER_HZ is 100 on every Linux this runs on.
        ticks / 100.0
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Joins and asks for the board from the beginning; how long until the last part is there.
async fn snapshot(backend: &Backend) -> (SioClient, Duration) {
    let began = Instant::now();
    let mut client = backend.join().await;
    client
        .emit("resume", json!({"id": "r", "epoch": null, "since": null}))
        .await;
    loop {
        let part = client.wait_for("snapshot").await;
        if part["part"].as_u64().unwrap() + 1 >= part["parts"].as_u64().unwrap() {
            return (client, began.elapsed());
        }
    }
}

/// What the subscribers found.
#[derive(Default)]
struct Found {
    delays: Vec<Duration>,
    bytes: usize,
    repeated: usize,
}

/// When each fact was posted: `sid/ringing`, `sid/completed`.
type Posted = Arc<Mutex<HashMap<String, Instant>>>;

/// Reads until every fact has come or nothing has for a while.
async fn subscribe(mut client: SioClient, posted: Posted, facts: usize) -> Found {
    let mut found = Found::default();
    let mut sids: HashMap<String, String> = HashMap::new();
    let mut seen: HashSet<String> = HashSet::new();
    while seen.len() < facts {
        let Ok(Some((event, data))) =
            tokio::time::timeout(Duration::from_secs(4), client.event()).await
        else {
            break;
        };
        if event != "envelopes" {
            continue;
        }
        found.bytes += data.to_string().len();
        for item in data["items"].as_array().into_iter().flatten() {
            note(item, &posted, &mut sids, &mut seen, &mut found);
        }
    }
    found
}

fn note(
    item: &Value,
    posted: &Posted,
    sids: &mut HashMap<String, String>,
    seen: &mut HashSet<String>,
    found: &mut Found,
) {
    let call = item["call"].as_str().unwrap_or_default().to_owned();
    let key = match item["event"]["type"].as_str() {
        Some("call_seen") => {
            let sid = item["event"]["carrier_call_id"]
                .as_str()
                .unwrap_or_default();
            sids.insert(call, sid.to_owned());
            format!("{sid}/ringing")
        }
        Some("call_ended") => match sids.get(&call) {
            Some(sid) => format!("{sid}/completed"),
            None => return,
        },
        _ => return,
    };
    let Some(at) = posted.lock().unwrap().get(&key).copied() else {
        return;
    };
    if seen.insert(key) {
        found.delays.push(at.elapsed());
    } else {
        found.repeated += 1;
    }
}

fn percentile_ms(delays: &mut [Duration], share: f64) -> f64 {
    delays.sort_unstable();
    let rank = ((delays.len() as f64 * share).ceil() as usize).max(1) - 1;
    let delay = delays.get(rank).copied().unwrap_or_default();
    (delay.as_secs_f64() * 100_000.0).round() / 100.0
}

fn main() {
    // `cargo test` compiles and runs benches without an argument of `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run());
}

async fn run() {
    let _set_already = rustls::crypto::ring::default_provider().install_default();
    if let Ok(address) = std::env::var(floor::ADDRESS) {
        return floor::serve(&address).await;
    }
    let (floor, _) = Backend::start(Server::Floor).await;
    let floor = news(floor).await;
    let (backend, cold) = Backend::start(Server::Wallboard).await;
    for n in 0..CALLS {
        assert!(backend.status(&format!("CAboard{n}"), "in-progress").await);
    }
    let mut snapshots = Vec::new();
    for _ in 0..50 {
        snapshots.push(snapshot(&backend).await.1);
    }
    let wallboard = news(backend).await;
    println!(
        "{}",
        json!({
            "cold_start_to_first_webhook_ms": (cold.as_secs_f64() * 10_000.0).round() / 10.0,
            "snapshot_500_calls_ms": {
                "p50": percentile_ms(&mut snapshots, 0.5),
                "p99": percentile_ms(&mut snapshots, 0.99),
            },
            "wallboard": wallboard,
            "floor": floor,
        })
    );
}

/// Callbacks at a steady rate, and what reaches a hundred subscribers of them.
async fn news(backend: Backend) -> Value {
    let posted: Posted = Arc::default();
    let facts = (PER_SECOND * SECONDS) as usize;
    let mut readers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let (client, _) = snapshot(&backend).await;
        readers.push(tokio::spawn(subscribe(client, Arc::clone(&posted), facts)));
    }
    let backend = Arc::new(backend);
    let cpu = backend.cpu_s();
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(1_000 / PER_SECOND));
    let mut posts = Vec::new();
    for n in 0..facts {
        tick.tick().await;
        let (sid, word) = (format!("CAnews{}", n / 2), ["ringing", "completed"][n % 2]);
        posted
            .lock()
            .unwrap()
            .insert(format!("{sid}/{word}"), Instant::now());
        let backend = Arc::clone(&backend);
        posts.push(tokio::spawn(
            async move { backend.status(&sid, word).await },
        ));
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut refused = 0;
    for post in posts {
        refused += usize::from(!post.await.unwrap());
    }
    let (mut delays, mut bytes, mut repeated) = (Vec::new(), 0, 0);
    for reader in readers {
        let found = reader.await.unwrap();
        delays.extend(found.delays);
        bytes += found.bytes;
        repeated += found.repeated;
    }
    let cpu = backend.cpu_s() - cpu;
    json!({
        "webhook_to_event_ms": {
            "subscribers": SUBSCRIBERS,
            "p50": percentile_ms(&mut delays, 0.5),
            "p99": percentile_ms(&mut delays, 0.99),
            "max": percentile_ms(&mut delays, 1.0),
        },
        "webhooks_refused": refused,
        "deliveries_missing": SUBSCRIBERS * facts - delays.len(),
        "deliveries_repeated": repeated,
        "cpu_us_per_delivery": (cpu / delays.len() as f64 * 1e7).round() / 10.0,
        "bytes_per_s_to_one_subscriber": (bytes as f64 / SUBSCRIBERS as f64 / seconds).round(),
    })
}
