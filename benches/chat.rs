//! 200 conversations at once through the voice gateway: `cargo bench --bench chat`.
//!
//! Everything is in this process and on loopback: the backend, the three simulated servers behind the
//! pipeline agent, and the clients. Each client is welcomed, asks by text, asks by voice (streamed at
//! the pace it is spoken), and leaves. Printed: how long until the first sound of an answer, what went
//! missing, and the processor time of all of it together. The simulated servers' own pauses (150 ms
//! to the first word, 80 ms to the first sound, 120 ms for a transcript) are in the figures.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures time and prints it"
)]

#[path = "../tests/it/support/pipeline.rs"]
mod pipeline;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use wallboard::engine::{Clock, Core, CoreParts, MemoryJournal, Plans, Tasks};
use wallboard::server::{Auth, ChatDesk, Server, ServerParts, ServerSettings};
use wallboard::simulator::chat::ChatClient;
use wallboard::simulator::pipeline::{PipelineSim, PipelineSimConfig};

const CONVERSATIONS: usize = 200;
const TOKEN: &str = "wb_bench_token";
/// "Thursday works. Is that at the Mill Street office?"
const WORDS: &[u8] = include_bytes!("../tests/fixtures/pipeline/thursday.ulaw");

#[derive(Default)]
struct Seen {
    typed: Vec<Duration>,
    spoken: Vec<Duration>,
    lost: Vec<String>,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run());
}

async fn run() {
    let tasks = Tasks::new();
    let parts = PipelineSim::start(PipelineSimConfig::default(), &tasks)
        .await
        .unwrap();
    let server = backend(&parts, &tasks).await;
    let url = format!("http://{}", server.local_addr());
    let (before, began) = (cpu(), Instant::now());
    let clients: Vec<_> = (0..CONVERSATIONS)
        .map(|n| tokio::spawn(talk(url.clone(), n)))
        .collect();
    let mut seen = Seen::default();
    for client in clients {
        match client.await.unwrap() {
            Ok((typed, spoken)) => {
                seen.typed.push(typed);
                seen.spoken.push(spoken);
            }
            Err(error) => seen.lost.push(error.to_string()),
        }
    }
    let wall = began.elapsed();
    println!("{CONVERSATIONS} conversations, {:.1} s", wall.as_secs_f64());
    show("first sound after a text", &mut seen.typed);
    show(
        "first sound after the last word and its silence",
        &mut seen.spoken,
    );
    println!(
        "conversations that broke: {} {:?}",
        seen.lost.len(),
        seen.lost.first()
    );
    if let (Some(before), Some(after)) = (before, cpu()) {
        let share = after.saturating_sub(before).as_secs_f64() / wall.as_secs_f64() * 100.0;
        println!("processor, backend and servers and clients together: {share:.0} % of one core");
    }
    tasks.cancel();
}

async fn backend(parts: &PipelineSim, tasks: &Tasks) -> Server {
    let dialer = pipeline::dialer(parts.url());
    let agent = pipeline::agent("bench", "Hello, how can I help?", &dialer);
    let mut plans = Plans::default();
    plans.agents.insert(agent.id.clone(), agent);
    let chat = ChatDesk::new();
    let mut core_parts = CoreParts::new(
        tasks.clone(),
        Clock::start(),
        Arc::new(MemoryJournal::new()),
    );
    core_parts.plans = plans;
    core_parts.carriers.insert("chat", chat.control());
    let settings = ServerSettings::on("127.0.0.1:0".parse().unwrap());
    let auth = Auth::new(Some(TOKEN), None);
    let mut parts = ServerParts::new(Core::new(core_parts), settings, auth);
    parts.chat = chat;
    Server::start(parts).await.unwrap()
}

async fn talk(url: String, n: usize) -> std::io::Result<(Duration, Duration)> {
    // Not all in the same millisecond.
    tokio::time::sleep(Duration::from_millis(n as u64 * 20)).await;
    let auth = json!({"agentId": "bench", "token": TOKEN, "format": "mulaw"});
    let mut client = ChatClient::join(&url, &auth).await?;
    client.answer().await?;
    client
        .emit("text", &json!({"data": "When are you open?"}))
        .await?;
    let typed = client.answer().await?;
    client.speak(WORDS).await?;
    let spoken = client.answer().await?;
    if !spoken.text.starts_with("Yes, Mill Street") {
        return Err(std::io::Error::other(format!("misheard: {}", spoken.text)));
    }
    client.leave().await?;
    Ok((
        typed.first_audio.unwrap_or_default(),
        spoken.first_audio.unwrap_or_default(),
    ))
}

fn show(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0, Duration::as_millis)
    };
    println!(
        "{what}: p50 {} ms, p95 {} ms, p99 {} ms",
        at(50),
        at(95),
        at(99)
    );
}

/// Processor time of this process; Linux only.
fn cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}
