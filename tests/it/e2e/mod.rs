//! The whole product on a pseudo terminal: start the demo, watch a call, listen, end one, leave.

mod rehearsals;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::it::support::pty::Screen;

fn demo(columns: u16, rows: u16, env: &[(&str, &str)]) -> Screen {
    Screen::start(&["demo", "--calls", "6", "--seed", "7"], columns, rows, env)
}

fn in_call(screen: &str) -> bool {
    screen.contains("IN CALL")
}

/// A yes that follows too fast is taken for a slip of the finger, so it is said until it is heard.
fn say_yes_to_ending(screen: &mut Screen) {
    screen.wait_for("End this call?", 5);
    for _ in 0..20 {
        screen.keys("y");
        if screen.appears("u undo", 250) {
            return;
        }
    }
    panic!("the yes was not heard:\n{}", screen.text());
}

#[test]
fn a_newcomer_watches_listens_ends_a_call_and_leaves() {
    let mut screen = demo(120, 40, &[]);
    screen.wait("a call is on the board", 20, in_call);
    screen.keys("g");
    screen.keys("\r");
    screen.wait("the call is opened", 5, |text| text.contains("╭─ Detail"));
    screen.wait("the transcript speaks", 30, |text| {
        text.contains("agent ") && text.contains("caller ")
    });
    screen.keys("\x1b");
    screen.wait("the board is back", 5, |text| text.contains("╭─ Calls"));
    // This host has no sound: the screen says so, and how to hear the call all the same.
    screen.keys("L");
    screen.wait_for("No sound on this host", 10);
    screen.wait_for("wallboard listen", 5);
    screen.keys(" ");
    screen.wait("the notice is gone", 5, |text| {
        !text.contains("No sound on this host")
    });
    screen.keys("E");
    say_yes_to_ending(&mut screen);
    screen.wait("the carrier said so", 20, |text| text.contains("ENDED"));
    screen.keys("q");
    screen.wait_for("Leave the demo?", 5);
    screen.keys("y");
    assert_eq!(screen.wait_exit(15), 0);
    screen.assert_restored();
}

#[test]
fn undo_within_the_grace_keeps_the_call() {
    let mut screen = demo(120, 40, &[]);
    screen.wait("a call is on the board", 20, in_call);
    screen.keys("E");
    say_yes_to_ending(&mut screen);
    screen.keys("u");
    screen.wait_for("taken back, nothing was sent", 5);
    assert!(in_call(&screen.text()));
}

#[test]
fn it_fits_every_size_and_survives_resizing() {
    let mut screen = demo(80, 24, &[]);
    screen.wait("a call at 80x24", 20, in_call);
    for (columns, rows) in [(200, 60), (20, 5), (120, 40), (300, 100), (80, 24)] {
        screen.resize(columns, rows);
        let what = format!("something at {columns}x{rows}");
        screen.wait(&what, 5, |text| !text.trim().is_empty());
    }
    screen.wait("a call after all that", 10, |text| {
        text.contains("wallboard")
    });
}

#[test]
fn signals_leave_the_terminal_as_it_was() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut screen = demo(80, 24, &[]);
        screen.wait("the board", 20, |text| text.contains("wallboard"));
        screen.signal(signal);
        screen.wait_exit(15);
        screen.assert_restored();
    }
}

#[test]
fn without_colour_no_colour_is_sent_and_state_still_reads() {
    let screen = demo(120, 40, &[("NO_COLOR", "1")]);
    screen.wait("a call without colour", 20, in_call);
    let bytes = screen.bytes();
    let text = String::from_utf8_lossy(&bytes);
    for sequence in text.split("\x1b[").skip(1) {
        let (parameters, last) = sequence.split_at(
            sequence
                .find(|c: char| c.is_ascii_alphabetic())
                .unwrap_or(0),
        );
        let coloured = parameters.split([';', ':']).any(|code| {
            code.parse::<u32>()
                .is_ok_and(|code| matches!(code, 30..=48 | 90..=107))
        });
        assert!(
            !(last.starts_with('m') && coloured),
            "a colour was sent: {parameters}m"
        );
    }
}

/// The header's clock in seconds of the day.
fn shown_clock(screen: &str) -> Option<i64> {
    let line = screen.lines().next()?;
    let mut parts = line.split_whitespace().next_back()?.split(':');
    let mut next = || parts.next()?.parse::<i64>().ok();
    Some(next()? * 3_600 + next()? * 60 + next()?)
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_takes_nothing_for_a_while_sees_the_present_when_it_is_back() {
    let screen = demo(120, 40, &[]);
    screen.wait("a call is on the board", 20, in_call);
    let before = screen.resident_kib();
    screen.stall(true);
    // The fault itself is a span of time: long enough to fill the terminal's buffers many times.
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    screen.stall(false);
    let back = Instant::now();
    screen.wait("the present", 10, |text| {
        let now = chrono::Local::now().time();
        let now = i64::from(chrono::Timelike::num_seconds_from_midnight(&now));
        shown_clock(text).is_some_and(|shown| (now - shown).rem_euclid(86_400) <= 1)
    });
    eprintln!("C10: in the present again after {:?}", back.elapsed());
    let grown = screen.resident_kib().saturating_sub(before);
    eprintln!("C10: grown by {grown} KiB meanwhile");
    assert!(
        grown < 20_000,
        "pictures nobody took in were kept: {grown} KiB"
    );
}
