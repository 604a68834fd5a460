//! The whole screen on a real terminal (a PTY), fed by a small made-up backend.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use tokio::sync::watch;
use wallboard::call::{
    CallId, CallStatus, Command, Envelope, ErrorCode, Fact, Refusal, Reply, Source,
};
use wallboard::engine::{
    Backend, Clock, HistoryPage, HistoryQuery, LinkState, ListenStream, Update,
};
use wallboard::ui::{self, Device, Pan, Sound, SoundState, UiOptions, sample};

/// Set in the child process that shows the screen.
const CHILD: &str = "WALLBOARD_TEST_SCREEN";
/// What it is started with, words.
const OPTIONS: &str = "WALLBOARD_TEST_OPTIONS";

/// Plays the sample board; ends a call when it is told to.
#[derive(Debug)]
struct Fake {
    clock: Clock,
    out: Mutex<Option<tokio::sync::mpsc::Sender<Update>>>,
    seq: Mutex<u64>,
    /// A broken backend, called from inside the screen.
    panics: bool,
    /// Every text of every call tries to steer the terminal.
    hostile: bool,
}

/// Sequences, control characters, C1, bidi, zero width, in one.
const HOSTILE: &str = "x\u{1b}]0;t\u{7}\u{1b}[2J\u{1b}[?1049l\u{9b}31m\u{9d}8;;u\u{9c}\u{1b}P+q\u{1b}\\\u{1b}c\u{1b}]52;c;eA==\u{7}\u{202e}y\u{200b}\u{8}\u{0}\r\n\tz";

/// Puts it into every text of every call, whatever the field is called.
fn hostile(calls: &mut [wallboard::call::Call]) {
    fn poison(value: &mut serde_json::Value, key: &str) {
        const WORDS: [&str; 17] = [
            "id",
            "status",
            "state",
            "direction",
            "agent_link",
            "media_link",
            "track",
            "kind",
            "severity",
            "band",
            "answered_by",
            "source_kind",
            "command",
            "since",
            "at",
            "role",
            "updated_at",
        ];
        match value {
            serde_json::Value::String(text) if !WORDS.contains(&key) && !key.ends_with("_at") => {
                *text = format!("{text}{HOSTILE}");
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poison(item, key)),
            serde_json::Value::Object(fields) => {
                for (name, field) in fields {
                    poison(field, name);
                }
            }
            _ => {}
        }
    }
    for call in calls {
        let mut value = serde_json::to_value(&*call).unwrap();
        poison(&mut value, "");
        *call = serde_json::from_value(value).unwrap();
    }
}

/// Every escape the program has written that a screen has no use for.
fn strange_escapes(raw: &str) -> Vec<String> {
    let mut strange = Vec::new();
    let mut rest = raw;
    while let Some(at) = rest.find('\u{1b}') {
        let after = &rest[at + 1..];
        let end = after
            .char_indices()
            .find(|(n, c)| *n > 0 && ('\u{40}'..='\u{7e}').contains(c))
            .map_or(after.len(), |(n, c)| n + c.len_utf8());
        let sequence = &after[..end];
        let is_known = sequence.starts_with('[')
            && (sequence.ends_with(['m', 'H', 'J', 'C', 'h', 'l']))
            && sequence[1..sequence.len() - 1]
                .chars()
                .all(|c| c.is_ascii_digit() || c == ';' || c == '?')
            || after.starts_with("]11;?\u{1b}\\")
            || after.starts_with("\\");
        if !is_known {
            strange.push(after.chars().take(24).collect());
        }
        rest = &after[1.min(after.len())..];
    }
    strange
}

impl Fake {
    fn say(&self, update: Update) {
        if let Some(out) = &*self.out.lock().unwrap() {
            let _ = out.try_send(update);
        }
    }

    fn fact(&self, call: CallId, fact: Fact) {
        let mut seq = self.seq.lock().unwrap();
        *seq += 1;
        let envelope = Envelope {
            v: 1,
            seq: *seq,
            at: self.clock.now(),
            call: Some(call),
            event: fact.into(),
        };
        self.say(Update::Envelopes {
            to: *seq,
            items: vec![Arc::new(envelope)],
        });
    }

    /// Something becomes critical, again and again, on a call that was well.
    fn alert(&self, n: u32) {
        let alert = wallboard::call::Alert {
            rule: format!("rule_{n}"),
            severity: wallboard::call::Severity::Critical,
            reason: "rings\u{1b}]0;x\u{7} a bell".into(),
            value: 1.0,
            threshold: 1.0,
            since: self.clock.now(),
            evidence: Vec::new(),
            acknowledged_by: None,
            snoozed_until: None,
        };
        let calls = sample::calls(self.clock.now());
        let well = calls
            .iter()
            .find(|call| call.facts.name.as_deref() == Some("Grace Kim"));
        self.fact(well.unwrap().id, Fact::AlertRaised { alert });
    }

    fn refusal() -> Refusal {
        Refusal::new(ErrorCode::Unsupported, "not in this test", "")
    }
}

impl Backend for Fake {
    fn subscribe(&self) -> tokio::sync::mpsc::Receiver<Update> {
        let (out, updates) = tokio::sync::mpsc::channel(1024);
        *self.out.lock().unwrap() = Some(out);
        let now = self.clock.now();
        let mut hello = sample::hello();
        hello.now = now;
        if self.hostile {
            hello.user = HOSTILE.into();
            hello.backend_id = HOSTILE.into();
        }
        self.say(Update::Link(LinkState::Up));
        self.say(Update::Hello(hello.clone()));
        let mut calls = sample::calls(now);
        if self.hostile {
            hostile(&mut calls);
        }
        self.say(Update::Snapshot {
            epoch: hello.epoch,
            seq: *self.seq.lock().unwrap(),
            calls,
        });
        updates
    }

    fn send(&self, command: Command) -> Result<(), Refusal> {
        self.say(Update::Reply(Reply::accepted(command.id, None)));
        if let (wallboard::call::Action::Terminate {}, Some(call)) = (command.action, command.call)
        {
            self.fact(
                call,
                Fact::CallEnded {
                    status: CallStatus::Completed,
                    ended_by: Some("operator".into()),
                    cause: None,
                    duration_s: None,
                    source: Source::Webhook,
                },
            );
        }
        Ok(())
    }

    fn watch(&self, _: Vec<CallId>) {
        assert!(!self.panics, "a test's own panic");
    }

    fn listen(&self, _: CallId) -> BoxFuture<'static, Result<ListenStream, Refusal>> {
        async { Err(Self::refusal()) }.boxed()
    }

    fn history(&self, _: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, Refusal>> {
        async { Ok(HistoryPage::default()) }.boxed()
    }

    fn listen_url(&self, _: CallId) -> BoxFuture<'static, Result<String, Refusal>> {
        async { Ok("https://calls.example.com/listen/x?ticket=t".into()) }.boxed()
    }
}

#[derive(Debug)]
struct Silent(watch::Sender<SoundState>);

impl Sound for Silent {
    fn play(&self, _: ListenStream) {}
    fn stop(&self) {}
    fn volume(&self, _: u8) {}
    fn mute(&self, _: bool) {}
    fn pan(&self, _: Pan) {}
    fn state(&self) -> watch::Receiver<SoundState> {
        self.0.subscribe()
    }
}

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

/// A PTY with the screen on it, and a terminal emulator that reads it.
struct Pty {
    parser: vt100::Parser,
    bytes: mpsc::Receiver<Vec<u8>>,
    raw: Vec<u8>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
}

impl Pty {
    fn start(how: &str, columns: u16, rows: u16, env: &[(&str, &str)]) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "it::ui_fake::screen_of_the_child_process",
            "--nocapture",
        ]);
        command.env_clear();
        command.env(CHILD, how);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, bytes) = mpsc::sync_channel(1024);
        std::thread::Builder::new()
            .name("pty".into())
            .spawn(move || {
                let mut buffer = [0; 8192];
                while let Ok(count @ 1..) = reader.read(&mut buffer) {
                    if sender.send(buffer[..count].to_vec()).is_err() {
                        return;
                    }
                }
            })
            .unwrap();
        let keys = pair.master.take_writer().unwrap();
        let cells = |n: u16| NonZero::new(n).unwrap();
        Self {
            parser: vt100::Parser::new(cells(rows), cells(columns), 0),
            bytes,
            raw: Vec::new(),
            master: pair.master,
            keys,
            child,
        }
    }

    /// Waits until the screen shows these words.
    fn see(&mut self, words: &str) {
        self.wait(|screen| screen.contains(words), words);
    }

    /// Waits until the screen no longer shows these words.
    fn see_no(&mut self, words: &str) {
        self.wait(|screen| !screen.contains(words), words);
    }

    fn wait(&mut self, is_so: impl Fn(&str) -> bool, words: &str) {
        #[expect(clippy::disallowed_methods, reason = "a test's own deadline")]
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if is_so(&self.parser.screen().contents()) {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "a test's own deadline")]
            let left = deadline.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => {
                    self.raw.extend_from_slice(&bytes);
                    self.parser.process(&bytes);
                }
                Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("{words:?}:\n{}", self.parser.screen().contents())
                }
            }
        }
    }

    /// Waits until the program has written these bytes.
    fn hear(&mut self, bytes: &str) {
        while !String::from_utf8_lossy(&self.raw).contains(bytes) {
            let more = self.bytes.recv_timeout(Duration::from_secs(20));
            let more = more.unwrap_or_else(|_| panic!("{bytes:?} did not come"));
            self.raw.extend_from_slice(&more);
            self.parser.process(&more);
        }
    }

    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn is_restored(&self) -> bool {
        let screen = self.parser.screen();
        !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
    }
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
