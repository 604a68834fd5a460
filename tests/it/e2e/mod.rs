//! The whole product on a pseudo terminal: start the demo, watch a call, listen, end one, leave.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::it::support::pty::Screen;

fn demo(columns: u16, rows: u16, env: &[(&str, &str)]) -> Screen {
    Screen::start(&["demo", "--calls", "6", "--seed", "7"], columns, rows, env)
}

/// Says yes until it is taken: a yes in the same breath as the question is not.
fn answer_yes(screen: &mut Screen, taken: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !taken(&screen.text()) {
        assert!(
            Instant::now() < deadline,
            "the answer is not taken:\n{}",
            screen.text()
        );
        screen.keys("y");
        std::thread::park_timeout(Duration::from_millis(300));
    }
}

/// Whether any colour was set: an SGR sequence with a foreground or background parameter.
fn has_colour(bytes: &str) -> bool {
    bytes.split("\x1b[").skip(1).any(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .unwrap_or(0);
        rest[end..].starts_with('m')
            && rest[..end].split(';').any(|code| {
                matches!(code.parse::<u8>(), Ok(30..=49 | 90..=107)) && !matches!(code, "39" | "49")
            })
    })
}

fn in_call(screen: &str) -> bool {
    screen.contains("IN CALL")
}

#[test]
fn a_newcomer_watches_listens_ends_a_call_and_leaves() {
    let mut screen = demo(120, 40, &[]);
    screen.wait("a call is on the board", 20, in_call);
    screen.keys("g");
    screen.keys("\r");
    screen.wait("the transcript speaks", 30, |text| {
        text.contains("agent ") && text.contains("caller ")
    });
    screen.keys("\x1b");
    // No sound device here: the screen says how to hear the call all the same.
    screen.keys("L");
    screen.wait_for("wallboard listen", 10);
    screen.keys("\x1b");
    screen.wait("the advice is gone", 5, |text| {
        !text.contains("wallboard listen")
    });
    screen.keys("E");
    screen.wait_for("End this call?", 5);
    answer_yes(&mut screen, |text| text.contains("undo"));
    screen.wait("the carrier said so", 20, |text| text.contains("ENDED"));
    screen.keys("q");
    screen.wait_for("Leave the demo?", 5);
    answer_yes(&mut screen, |text| !text.contains("Leave the demo?"));
    assert_eq!(screen.wait_exit(15), 0);
    screen.assert_restored();
}

#[test]
fn undo_within_the_grace_keeps_the_call() {
    let mut screen = demo(120, 40, &[]);
    screen.wait("a call is on the board", 20, in_call);
    screen.keys("E");
    screen.wait_for("End this call?", 5);
    answer_yes(&mut screen, |text| text.contains("undo"));
    screen.keys("u");
    screen.wait("nothing is ending", 5, |text| !text.contains("ending"));
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
    let bytes = String::from_utf8_lossy(&screen.bytes()).into_owned();
    assert!(!has_colour(&bytes), "a colour was sent");
    assert!(has_colour("\x1b[0;38;5;2mx") && !has_colour("\x1b[38;1Hx\x1b[0;1m"));
}
