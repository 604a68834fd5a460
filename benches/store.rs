//! What the journal sustains: facts a second, and how long a webhook waits for its commit.
//!
//! `cargo bench --bench store` (a temporary folder; the figures are the disk's as much as ours).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use wallboard::call::{CallFacts, CallId, CallStatus, ENVELOPE_VERSION, Envelope, Fact, Track};
use wallboard::engine::{Clock, HistoryQuery, Journal, Tasks};
use wallboard::store;

const CALLS: u64 = 500;
const LINES: u64 = 100;

fn id(call: u64) -> CallId {
    CallId::from_parts(1_795_219_200_000 + call, [7; 10])
}

fn envelope(seq: u64, call: u64, event: Fact, clock: Clock) -> Arc<Envelope> {
    Arc::new(Envelope {
        v: ENVELOPE_VERSION,
        seq,
        at: clock.now(),
        call: Some(id(call)),
        event: event.into(),
    })
}

fn seen(call: u64) -> Fact {
    Fact::CallSeen {
        facts: CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some(format!("CA{call}")),
            from: "+15551230000".into(),
            to: "+15557650000".into(),
            ..CallFacts::default()
        },
        status: CallStatus::InProgress,
        started_at: None,
    }
}

fn said(line: u64) -> Fact {
    Fact::UtteranceFinal {
        turn: line as u32,
        track: if line.is_multiple_of(2) {
            Track::FromCaller
        } else {
            Track::FromAgent
        },
        text: format!("this is line {line} of a conversation about an order that has not arrived"),
        latency_ms: Some(900),
    }
}

async fn throughput(journal: &store::SqliteJournal, clock: Clock) {
    let begun = Instant::now();
    let mut seq = 0;
    for call in 0..CALLS {
        seq += 1;
        journal
            .append(envelope(seq, call, seen(call), clock))
            .unwrap();
    }
    for line in 0..LINES {
        for call in 0..CALLS {
            seq += 1;
            // A full queue is the writer's pace: wait for it like the switchboard would not.
            while journal
                .append(envelope(seq, call, said(line), clock))
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    journal.flush().await.unwrap();
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{seq} facts in {took:.2} s: {:.0} facts/s",
        seq as f64 / took
    );
}

async fn latency(journal: &store::SqliteJournal, clock: Clock) {
    let mut waits = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for round in 0..1_000_u64 {
        ticks.tick().await;
        let seq = 1_000_000 + round;
        journal
            .append(envelope(
                seq,
                round % CALLS,
                said(LINES + round / CALLS),
                clock,
            ))
            .unwrap();
        let begun = Instant::now();
        journal.flush().await.unwrap();
        waits.push(begun.elapsed());
    }
    waits.sort();
    let ms = |share: f64| waits[(waits.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "append to commit at 200/s: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        ms(0.5),
        ms(0.99),
        waits.last().unwrap().as_secs_f64() * 1e3
    );
}

async fn search(journal: &store::SqliteJournal) {
    for text in ["order", "line 77", "nothing of the kind"] {
        let begun = Instant::now();
        let query = HistoryQuery {
            text: Some(text.into()),
            limit: 50,
            ..HistoryQuery::default()
        };
        let found = journal.history(query).await.unwrap().items.len();
        let took = begun.elapsed().as_secs_f64() * 1e3;
        println!("search {text:?}: {found} calls in {took:.1} ms");
    }
    let begun = Instant::now();
    let calls = journal.unfinished().await.unwrap().len();
    println!(
        "recovery of {calls} calls: {:.0} ms",
        begun.elapsed().as_secs_f64() * 1e3
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let journal = store::open(dir.path(), &Tasks::new(), clock).unwrap();
        throughput(&journal, clock).await;
        latency(&journal, clock).await;
        search(&journal).await;
        journal.close().await.unwrap();
    });
}
