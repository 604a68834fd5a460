//! Every key of the key card, pressed on the real program at a real backend: four sizes, each once as
//! it is and once light, without colour or without Unicode. Whatever is pressed, the next key is still answered, and
//! in the end the terminal is given back. That each key shows or says something is tested where time
//! stands still (`ui/update/tests/every_key.rs`).

use wallboard::call::{Alert, Severity, Track};
use wallboard::ui::keymap::BINDINGS;

use super::*;
use crate::it::support::pty;

/// What a terminal sends for a key of the table.
fn bytes_of(word: &str) -> String {
    let named = match word {
        "enter" => "\r",
        "esc" => ESCAPE,
        "tab" => "\t",
        "backtab" => "\x1b[Z",
        "space" => " ",
        "up" => "\x1b[A",
        "down" => "\x1b[B",
        "right" => "\x1b[C",
        "left" => "\x1b[D",
        "home" => "\x1b[H",
        "end" => "\x1b[F",
        "pgup" => "\x1b[5~",
        "pgdn" => "\x1b[6~",
        _ => "",
    };
    match (named, word.strip_prefix("ctrl-")) {
        ("", Some(letter)) => char::from(letter.as_bytes()[0] & 0x1f).to_string(),
        ("", None) => word.to_owned(),
        (named, _) => named.to_owned(),
    }
}

/// Calls that have said something and that something is wrong with.
async fn busy(backend: &Backend) {
    for number in 1..=8 {
        let call = see(backend, number, Some("L1")).await;
        let mut facts = Vec::new();
        for turn in 1..=30 {
            facts.push(Fact::UtteranceFinal {
                turn,
                track: if turn % 2 == 0 {
                    Track::FromAgent
                } else {
                    Track::FromCaller
                },
                text: format!("{turn}: and then the parcel came on Monday"),
                latency_ms: None,
            });
        }
        facts.push(Fact::AlertRaised {
            alert: Alert {
                rule: "dead_air".into(),
                severity: Severity::Warn,
                reason: "dead air 5 s".into(),
                value: 5.0,
                threshold: 4.0,
                since: backend.core.clock.now(),
                evidence: vec![3],
                acknowledged_by: None,
                snoozed_until: None,
            },
        });
        let target = Target::Call(call);
        backend.core.switchboard.post(target, facts).await.unwrap();
    }
}

/// Escape as newer terminals tell it: a bare one followed at once by another key would be alt and
/// that key.
const ESCAPE: &str = "\x1b[27u";

fn press_all(url: &str, size: (u16, u16), more: &[&str], env: &[(&str, &str)]) {
    let args = [&["attach", url], more].concat();
    let env = [&[("WALLBOARD_TOKEN", ADMIN)], env].concat();
    let mut screen = pty::Screen::start(&args, size.0, size.1, &env);
    screen.wait_for("IN CALL", 20);
    // What is opened is the same in every look.
    let ways: &[&str] = if more.is_empty() && env.len() == 1 {
        &["g", "g\r"]
    } else {
        &["g"]
    };
    for way in ways {
        for binding in BINDINGS.iter().filter(|row| row.name != "quit") {
            for word in binding.keys {
                for key in way.chars() {
                    screen.keys(&key.to_string());
                }
                screen.settle(5);
                screen.keys(&bytes_of(word));
                screen.settle(5);
                // What is typed while the program is suspended is the shell's, and lost here.
                let (tries, within_ms) = match binding.name {
                    "suspend" => (10, 2_000),
                    _ => (1, 20_000),
                };
                let answers = (0..tries).any(|_| {
                    screen.keys(ESCAPE);
                    screen.keys(ESCAPE);
                    screen.keys(":");
                    screen.appears("Commands", within_ms)
                });
                assert!(
                    answers,
                    "{size:?} {more:?}: nothing after {word} ({}):\n{}",
                    binding.name,
                    screen.text()
                );
                screen.keys(ESCAPE);
                screen.wait("the palette closes", 20, |text| !text.contains("Commands"));
                if binding.name == "freeze" {
                    screen.keys(&bytes_of(word));
                }
            }
        }
    }
    let shown = screen.text();
    if env.contains(&("LANG", "C")) {
        assert!(shown.is_ascii(), "{shown}");
    }
    screen.keys("q");
    assert_eq!(screen.wait_exit(10), 0);
    screen.assert_restored();
    let raw = String::from_utf8_lossy(&screen.bytes()).into_owned();
    assert!(!raw.contains("panicked"), "{size:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_of_the_card_leaves_the_screen_answering() {
    const LIGHT: &[&str] = &["--theme", "light"];
    const NO_COLOR: &[(&str, &str)] = &[("NO_COLOR", "1")];
    const NO_UNICODE: &[(&str, &str)] = &[("LANG", "C")];
    let backend = Backend::start().await;
    busy(&backend).await;
    let url = backend.url.as_str();
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let looks = [
                ((80, 24), &[][..], NO_UNICODE),
                ((120, 40), LIGHT, &[][..]),
                ((200, 60), &[], NO_COLOR),
                ((300, 100), LIGHT, NO_COLOR),
            ];
            for (size, more, env) in looks {
                scope.spawn(move || {
                    press_all(url, size, &[], &[]);
                    press_all(url, size, more, env);
                });
            }
        });
    });
}
