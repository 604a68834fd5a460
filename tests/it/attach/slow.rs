//! `--low-bandwidth`: what it saves, and what it leaves out, on two screens that are told the same.

use std::time::Instant;

use wallboard::call::{Gauge, Track};

use super::*;
use crate::it::support::pty;

/// How a paint begins: a synchronized update.
const PAINT: &[u8] = b"\x1b[?2026h";

/// Bars of a level meter that are not its floor.
fn has_meters(text: &str) -> bool {
    text.contains(['▃', '▄', '▅', '▆', '▇', '█'])
}

fn words(turn: u32, count: usize) -> String {
    let said = "and then the parcel came on Monday but the box was open and wet inside";
    let head: Vec<&str> = said.split(' ').take(count).collect();
    format!("{turn}: {}", head.join(" "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_carries_the_words_and_not_the_meters() {
    let backend = Backend::start().await;
    let call = see(&backend, 1, None).await;
    let attach = |more: &[&str]| {
        let args = [&["attach", backend.url.as_str()], more].concat();
        pty::Screen::start(&args, 120, 40, &[("WALLBOARD_TOKEN", ADMIN)])
    };
    let (plain, slow) = (attach(&[]), attach(&["--low-bandwidth"]));
    tokio::task::block_in_place(|| {
        for screen in [&plain, &slow] {
            screen.wait_for("IN CALL", 20);
        }
    });
    let before = [&plain, &slow].map(|screen| screen.bytes().len());
    let began = Instant::now();
    // Eight turns of speech as a bridge tells them: a word every 60 ms, and four readings a second.
    for turn in 1..=8_u32 {
        for count in 1..=15 {
            let level = -12.0 - f32::from(u8::try_from(count).unwrap() % 5) * 6.0;
            backend.core.gauges.set(Gauge {
                level_in_dbfs: Some(level),
                level_out_dbfs: Some(-40.0 - level),
                caller_speaking: true,
                ..Gauge::blank(call)
            });
            let text = words(turn, count);
            let track = Track::FromCaller;
            let fact = if count < 15 {
                Fact::UtteranceInterim { turn, track, text }
            } else {
                Fact::UtteranceFinal {
                    turn,
                    track,
                    text,
                    latency_ms: None,
                }
            };
            let target = Target::Call(call);
            backend
                .core
                .switchboard
                .post(target, vec![fact])
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    tokio::task::block_in_place(|| {
        for screen in [&plain, &slow] {
            screen.wait_for("8: and then the parcel came on", 20);
        }
    });
    let seconds = began.elapsed().as_secs() as usize;
    let [told, saved] = [(&plain, before[0]), (&slow, before[1])]
        .map(|(screen, from)| screen.bytes().split_off(from));
    // Once a second, however busy this machine is, and how often the other one gets to it.
    let paints = [&told, &saved].map(|bytes| {
        let begins = bytes.windows(PAINT.len()).filter(|text| *text == PAINT);
        begins.count()
    });
    assert!(
        paints[1] <= seconds + 3 && paints[1] < paints[0],
        "{paints:?} paints in {seconds} s"
    );
    assert!(
        saved.len() < told.len(),
        "{} bytes against {}",
        saved.len(),
        told.len()
    );
    assert!(has_meters(&plain.text()), "{}", plain.text());
    assert!(!has_meters(&slow.text()), "{}", slow.text());
}
