//! The whole screen on a real terminal (a PTY), fed by a small made-up backend.

mod backend;
mod pty;

use std::io::Write;
use std::num::NonZero;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use portable_pty::PtySize;
use tokio::sync::watch;
use wallboard::engine::{Clock, Update};
use wallboard::ui::{self, Device, SoundState, UiOptions, sample};

use backend::{Fake, Silent};
use pty::{Pty, strange_escapes};

/// Set in the child process that shows the screen.
const CHILD: &str = "WALLBOARD_TEST_SCREEN";
/// Escape as newer terminals tell it: no following key can change it.
const ESCAPE: &str = "\u{1b}[27u";
/// What it is started with, words.
const OPTIONS: &str = "WALLBOARD_TEST_OPTIONS";

fn options() -> UiOptions {
    let words = std::env::var(OPTIONS).unwrap_or_default();
    let has = |word: &str| words.split(' ').any(|known| known == word);
    UiOptions {
        mouse: has("mouse"),
        paint_background: has("paint"),
        low_bandwidth: has("slow"),
        notify: if has("osc9") {
            ui::Notify::Osc9
        } else {
            ui::Notify::Off
        },
        ..UiOptions::default()
    }
}

/// Not a test of its own: what the child process of the others runs.
#[test]
fn screen_of_the_child_process() {
    let Ok(how) = std::env::var(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let exit = runtime.block_on(async {
        let clock = Clock::start();
        let backend = Arc::new(Fake {
            clock,
            out: Mutex::new(None),
            seq: Mutex::new(1),
            panics: how == "panic",
            hostile: how == "hostile",
        });
        let feed = Arc::clone(&backend);
        let steps = async {
            let mut n = 0;
            loop {
                tokio::time::sleep(sample::METER_STEP).await;
                n += 1;
                feed.say(Update::Gauges(sample::gauges(n)));
                if how == "alert" && n % 2 == 0 {
                    feed.alert(n);
                }
            }
        };
        let device = Device::Absent {
            reason: "no sound in a test".into(),
        };
        let (state, _) = watch::channel(SoundState {
            device,
            ..SoundState::default()
        });
        let sound = Arc::new(Silent(state));
        let screen = ui::run(backend, sound, options(), clock);
        tokio::select! {
            exit = screen => exit,
            () = steps => unreachable!("the feed has no end"),
        }
    });
    println!("left with {exit:?}");
    let _ = std::io::stdout().flush();
}

#[test]
fn the_screen_shows_calls_answers_keys_and_restores_the_terminal() {
    let mut pty = Pty::start("play", 120, 40, &[("COLORTERM", "truecolor")]);
    pty.see("loop ×3, 41 s");
    assert!(pty.parser.screen().alternate_screen());
    pty.press("?");
    pty.see("Act on the call");
    pty.press("\u{1b}");
    pty.see_no("Act on the call");
    // A bracketed paste is text, whatever it spells.
    pty.press("\u{1b}[200~Ey\r\u{1b}[201~");
    pty.see("a paste is text, not keys");
    pty.press("L");
    pty.see("No sound on this host");
    pty.press("\r");
    pty.press("E");
    pty.see("End this call?");
    pty.press("n");
    pty.master
        .resize(PtySize {
            rows: 24,
            cols: 80,
            pixel_width: 0,
            pixel_height: 0,
        })
        .unwrap();
    let cells = |n: u16| NonZero::new(n).unwrap();
    pty.parser.screen_mut().set_size(cells(24), cells(80));
    pty.see("Quality");
    pty.press("q");
    pty.see("left with Ok(Quit)");
    assert!(pty.is_restored());
}

#[test]
fn a_call_is_ended_after_yes_and_three_seconds() {
    let mut pty = Pty::start("play", 120, 40, &[]);
    pty.see("loop ×3, 41 s");
    pty.press("E");
    pty.see("End this call?");
    // A yes counts from a quarter of a second after the question; the screen may be quicker.
    while !pty.parser.screen().contents().contains("u undo") {
        pty.press("y");
        match pty.bytes.recv_timeout(Duration::from_millis(300)) {
            Ok(bytes) => pty.parser.process(&bytes),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(error) => panic!("{error}"),
        }
    }
    pty.press("\u{1b}");
    pty.see("✓ ENDED     04:3");
    pty.press("q");
    pty.see("left with Ok(Quit)");
}

#[test]
fn no_color_keeps_bold_and_writes_no_colour() {
    let mut pty = Pty::start(
        "play",
        100,
        30,
        &[("NO_COLOR", "1"), ("COLORTERM", "truecolor")],
    );
    pty.see("loop ×3, 41 s");
    let raw = String::from_utf8_lossy(&pty.raw).into_owned();
    assert!(!raw.contains("38;2") && !raw.contains("38;5") && !raw.contains("\u{1b}[;m"));
    assert!(
        raw.contains("\u{1b}[1;7m"),
        "the worst call stands out by weight and reverse"
    );
    pty.press("q");
    pty.see("left with");
}

#[test]
fn a_locale_without_utf8_gets_ascii() {
    let mut pty = Pty::start("play", 80, 24, &[("LANG", "C")]);
    pty.see("loop x3, 41 s");
    assert!(pty.parser.screen().contents().lines().all(str::is_ascii));
    pty.press("q");
    pty.see("left with");
}

/// A PTY's only process group has no shell to stop for, so the stop itself is ignored here; what is
/// tested is that the terminal is given back and taken over again, keys included.
#[cfg(unix)]
#[test]
fn suspending_gives_the_terminal_back_and_takes_it_again() {
    let mut pty = Pty::start("play", 100, 30, &[]);
    pty.see("loop ×3, 41 s");
    pty.press("\u{1a}");
    while !String::from_utf8_lossy(&pty.raw).contains("\u{1b}[?1049l") {
        let bytes = pty.bytes.recv_timeout(Duration::from_secs(10)).unwrap();
        pty.raw.extend_from_slice(&bytes);
        pty.parser.process(&bytes);
    }
    pty.see("loop ×3, 41 s");
    pty.press("?");
    pty.see("Act on the call");
    pty.press("\u{3}");
    pty.see_no("Act on the call");
    pty.press("\u{3}");
    pty.see("left with Ok(Quit)");
    assert!(pty.is_restored());
}

#[cfg(unix)]
#[test]
fn signals_restore_the_terminal() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    for (signal, words) in [
        (Signal::SIGTERM, "left with Ok(Quit)"),
        (Signal::SIGHUP, "left with Ok(Hangup)"),
        (Signal::SIGINT, "left with Ok(Quit)"),
    ] {
        let mut pty = Pty::start("play", 80, 24, &[]);
        pty.see("IN CALL");
        let pid = i32::try_from(pty.child.process_id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
        pty.see(words);
        assert!(pty.is_restored(), "{signal}");
    }
}

#[test]
fn a_panic_restores_the_terminal_before_it_is_printed() {
    let mut pty = Pty::start("panic", 80, 24, &[]);
    pty.see("a test's own panic");
    let _ = pty.child.wait();
    assert!(pty.is_restored());
}

#[test]
fn the_theme_follows_the_terminals_background_and_no_key_is_lost() {
    let mut pty = Pty::start("play", 100, 30, &[("COLORTERM", "truecolor")]);
    pty.hear("\u{1b}]11;?");
    pty.see("loop ×3, 41 s");
    // The dark theme's accent and, after the answer, the light one's.
    pty.hear("38;2;106;168;255");
    pty.press("?\u{1b}]11;rgb:ffff/ffff/ffff\u{1b}\\");
    pty.hear("38;2;21;89;199");
    pty.see("Act on the call");
    // What only begins like an answer is keys: this closes the help.
    pty.press("\u{1b}]x");
    pty.press("\u{3}");
    pty.see_no("Act on the call");
    pty.press("q");
    pty.see("left with Ok(Quit)");
}

#[test]
fn a_terminal_without_colours_is_not_asked_for_its_background() {
    for env in [
        ("NO_COLOR", "1"),
        ("TERM", "dumb"),
        ("TERM", "linux"),
        ("TERM", "screen-256color"),
    ] {
        let mut pty = Pty::start("play", 80, 24, &[env]);
        pty.see("IN CALL");
        assert!(!pty.raw().contains("\u{1b}]11"), "{env:?}");
        pty.press("q");
        pty.see("left with");
    }
}

#[test]
fn the_mouse_is_off_until_asked_for_and_given_back_at_the_end() {
    let mut pty = Pty::start("play", 120, 40, &[]);
    pty.see("loop ×3, 41 s");
    assert!(!pty.raw().contains("?1000h"));
    pty.press(":mouse\r");
    pty.hear("\u{1b}[?1000h\u{1b}[?1006h");
    pty.see("mouse on");
    // Line 7 of the terminal, from 1: the second call.
    pty.press("\u{1b}[<0;10;8M\u{1b}[<0;10;8m");
    pty.wait(
        |screen| {
            screen
                .lines()
                .nth(1)
                .is_some_and(|line| line.contains("Moreau"))
        },
        "Moreau",
    );
    pty.press("q");
    pty.see("left with Ok(Quit)");
    assert_eq!(
        pty.parser.screen().mouse_protocol_mode(),
        vt100::MouseProtocolMode::None
    );

    let mut on = Pty::start("play", 80, 24, &[(OPTIONS, "mouse")]);
    on.see("IN CALL");
    assert_ne!(
        on.parser.screen().mouse_protocol_mode(),
        vt100::MouseProtocolMode::None
    );
    on.press("q");
    on.see("left with");
    assert_eq!(
        on.parser.screen().mouse_protocol_mode(),
        vt100::MouseProtocolMode::None
    );
}

#[test]
fn a_critical_alert_calls_once_in_ten_seconds_and_only_if_asked_to() {
    let mut pty = Pty::start("alert", 120, 40, &[(OPTIONS, "osc9")]);
    pty.hear("\u{1b}]9;");
    // Three alerts later there still was one call.
    for _ in 0..3 {
        let seen = pty.raw.len();
        while pty.raw.len() < seen + 1 {
            let more = pty.bytes.recv_timeout(Duration::from_secs(10)).unwrap();
            pty.raw.extend_from_slice(&more);
            pty.parser.process(&more);
        }
    }
    let raw = pty.raw();
    assert_eq!(raw.matches("\u{1b}]9;").count(), 1);
    assert!(
        raw.contains("\u{1b}]9;rings a bell: +1 212 ••• 0111\u{7}"),
        "{raw:?}"
    );
    assert!(
        !raw.contains("\u{1b}]0;"),
        "nothing of the reason steers the terminal"
    );
    pty.press("q");
    pty.see("left with");

    let mut quiet = Pty::start("alert", 120, 40, &[]);
    quiet.see("rings a bell");
    assert!(!quiet.raw().contains("\u{1b}]9;") && !quiet.raw().contains('\u{7}'));
    quiet.press("q");
    quiet.see("left with");
}

#[test]
fn a_painted_background_covers_everything_and_a_slow_line_gets_no_meters() {
    let env = [("COLORTERM", "truecolor"), (OPTIONS, "paint slow")];
    let mut pty = Pty::start("play", 100, 30, &env);
    pty.see("loop ×3, 41 s");
    pty.hear("48;2;20;24;31");
    let screen = pty.parser.screen();
    let bare = (0..30)
        .flat_map(|row| (0..100).map(move |column| (row, column)))
        .filter(|(row, column)| {
            let cell = screen.cell(*row, *column).unwrap();
            cell.bgcolor() == vt100::Color::Default && cell.has_contents()
        })
        .count();
    assert_eq!(bare, 0, "cells keep the terminal's own background");
    pty.press("q");
    pty.see("left with");
}

#[test]
fn hostile_texts_in_every_field_steer_nothing() {
    let mut pty = Pty::start("hostile", 160, 50, &[("COLORTERM", "truecolor")]);
    pty.see("IN CALL");
    // Through the pages and dialogs that show what a call holds.
    let board = "by attention";
    pty.press("\r");
    pty.see_no(board);
    pty.press("\t");
    pty.press("\u{1b}");
    pty.see(board);
    pty.press("E");
    pty.see("End this call?");
    pty.press("n");
    pty.see_no("End this call?");
    pty.press("?");
    pty.see("Act on the call");
    pty.press("\u{3}");
    pty.see_no("Act on the call");
    pty.press("v");
    pty.press("jjj");
    pty.press("y");
    pty.see("summary");
    pty.press("\u{3}");
    pty.see_no("summary");
    // Every page that shows what others wrote: alerts, past calls (and one opened), groups and what
    // they make of the filter, the audit trail, a lead's timeline.
    for (keys, seen) in [
        ("2", "Alerts"),
        ("3", "History"),
        ("\r", "said"),
        (ESCAPE, "History"),
        ("4", "Quality by"),
        ("b", "Quality by agent"),
        ("\r", "agent:="),
        (ESCAPE, board),
        ("5", "Audit"),
        ("1", board),
        (":", "Commands"),
        ("lead", "› lead"),
        (" L1", "› lead L1"),
        ("\r", "WHEN"),
        ("1", board),
        ("t", "Columns"),
        (ESCAPE, board),
        ("X", "Transfer"),
        (ESCAPE, board),
        ("W", "Whisper"),
        ("hint", "› hint"),
    ] {
        pty.press(keys);
        pty.see(seen);
    }
    // What a backend says when it refuses, or answers.
    pty.press_until("\r", |screen| screen.contains("refused"));
    pty.press("M");
    pty.see("Why do you need");
    pty.press("why");
    pty.see("› why");
    pty.press_until("\r", |screen| !screen.contains("Why do you need"));
    pty.press("L");
    pty.see("No sound on this host");
    pty.press("\r");
    pty.see_no("No sound on this host");
    pty.press("q");
    pty.see("left with Ok(Quit)");
    let raw = pty.raw();
    let screen = raw.split("left with").next().unwrap();
    assert_eq!(strange_escapes(screen), Vec::<String>::new());
    let harmful = |c: char| {
        matches!(c, '\u{0}'..='\u{9}' | '\u{b}'..='\u{c}' | '\u{e}'..='\u{1a}' | '\u{7f}'..='\u{9f}')
            || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found: Vec<char> = screen.chars().filter(|c| harmful(*c)).collect();
    assert!(found.is_empty(), "{found:?}");
}
