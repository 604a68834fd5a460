//! What the screen costs: time of a picture, bytes of a picture, bytes of an idle second.
//! Run with `cargo bench --bench ui`; exits 1 when a budget is exceeded (release build only).
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench measures real time and prints what it found"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use wallboard::call::{Call, CallId, Envelope, Fact, Track, TurnTiming};
use wallboard::engine::Update;
use wallboard::ui::{Depth, Msg, Painter, Still, draw, prepare, sample};

const SIZE: (u16, u16) = (200, 60);

struct Bench {
    still: Still,
    painter: Painter,
    failures: u32,
}

impl Bench {
    /// A board of `calls`, the first of them selected and with `lines` of transcript.
    fn new(calls: usize, lines: usize) -> Self {
        let mut still = Still::sample("dark", Depth::True).unwrap();
        let at = sample::now();
        let mut board: Vec<Call> = sample::many(at, calls.saturating_sub(1));
        let mut long = sample::long_call(at, lines);
        // Sorts first, so that the cursor is on it.
        long.alerts.clone_from(&sample::calls(at)[0].alerts);
        long.started_at -= chrono::TimeDelta::days(1);
        board.push(long);
        still.update(Update::Snapshot {
            epoch: sample::hello().epoch,
            seq: 1,
            calls: board,
        });
        still.keys("!");
        let mut bench = Self {
            still,
            painter: Painter::new(),
            failures: 0,
        };
        bench.frame();
        bench
    }

    /// Bytes of one more picture.
    fn frame(&mut self) -> usize {
        let mut buffer: Buffer = self.still.draw(SIZE.0, SIZE.1);
        self.painter.paint(&mut buffer).len()
    }

    fn fact(&mut self, call: CallId, fact: Fact) {
        let seq = self.still.model.board.seq() + 1;
        let envelope = Envelope {
            v: 1,
            seq,
            at: self.still.model.now.wall,
            call: Some(call),
            event: fact.into(),
        };
        self.still.update(Update::Envelopes {
            to: seq,
            items: vec![Arc::new(envelope)],
        });
    }

    fn say(&mut self, turn: u32, words: usize) {
        let call = self
            .still
            .model
            .list_selected()
            .expect("a call is selected");
        let text = "and then I said to them that it was broken ".repeat(8);
        let text = text.split(' ').take(words).collect::<Vec<_>>().join(" ");
        self.fact(
            call,
            Fact::UtteranceInterim {
                turn,
                track: Track::FromCaller,
                text,
            },
        );
    }

    fn budget(&mut self, what: &str, value: f64, unit: &str, budget: f64) {
        let verdict = if value <= budget { "ok" } else { "OVER" };
        println!("{what:<58} {value:>10.3} {unit:<5} budget {budget:>9.3}  {verdict}");
        self.failures += u32::from(value > budget);
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

#[expect(clippy::too_many_lines, reason = "one measurement after the other")]
fn main() {
    // `cargo test` runs benches too, without optimisation; then budgets of time mean nothing.
    let is_release = !cfg!(debug_assertions);
    let slack = if is_release { 1.0 } else { 40.0 };
    let mut bench = Bench::new(500, 2_000);

    let times: Vec<Duration> = (0..200)
        .map(|n| {
            bench.say(9_000, n % 60);
            let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, SIZE.0, SIZE.1));
            let start = Instant::now();
            prepare(&mut bench.still.model);
            draw(&bench.still.model, &bench.still.theme, false, &mut buffer);
            let bytes = bench.painter.paint(&mut buffer);
            std::hint::black_box(bytes);
            start.elapsed()
        })
        .collect();
    bench.budget(
        "picture, 500 calls, 2,000 lines, 200x60",
        median(times),
        "ms",
        slack,
    );

    let times: Vec<Duration> = (0..200)
        .map(|n| {
            bench.still.after(Duration::from_secs(1));
            let start = Instant::now();
            bench.still.keys(if n % 2 == 0 { "j" } else { "k" });
            bench.frame();
            start.elapsed()
        })
        .collect();
    bench.budget("key → bytes, 500 calls", median(times), "ms", 8.0 * slack);

    bench.painter.forget();
    let first = bench.frame() as f64;
    bench.budget("first picture", first, "B", 40_000.0);

    let mut total = 0;
    for n in 0..60 {
        bench.say(9_001, n);
        total += bench.frame();
    }
    bench.budget(
        "a picture while somebody speaks",
        total as f64 / 60.0,
        "B",
        4_000.0,
    );

    let selected = bench
        .still
        .model
        .list_selected()
        .expect("a call is selected");
    let calls: Vec<CallId> = bench.still.model.board.live().map(|call| call.id).collect();
    let mut total = 0;
    for second in 0..20_u32 {
        for n in 0..100_u32 {
            let call = calls[(n * 37 + second) as usize % calls.len()];
            let timing = TurnTiming {
                turn: second * 100 + n,
                latency_ms: 700 + n * 11,
                ..TurnTiming::default()
            };
            match n {
                0..10 => bench.say(9_100 + second, n as usize * 3),
                10..20 => bench.fact(selected, Fact::TurnTimed { timing }),
                _ => bench.fact(call, Fact::TurnTimed { timing }),
            }
            if n % 10 == 9 {
                bench.still.after(Duration::from_millis(100));
                bench.still.message(Msg::Tick);
                total += bench.frame();
            }
        }
    }
    bench.budget(
        "100 events/s, ten pictures a second",
        total as f64 / 20.0,
        "B/s",
        60_000.0,
    );

    let mut idle = Bench::new(24, 40);
    let mut total = 0;
    for _ in 0..60 {
        idle.still.after(Duration::from_secs(1));
        idle.still.message(Msg::Tick);
        total += idle.frame();
    }
    idle.budget(
        "idle second, 24 live calls",
        f64::from(total as u32) / 60.0,
        "B/s",
        1_000.0,
    );
    let still_bytes = idle.frame() as f64;
    idle.budget("nothing changed", still_bytes, "B", 0.0);

    if bench.failures + idle.failures > 0 {
        std::process::exit(1);
    }
}
