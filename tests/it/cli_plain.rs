//! Lines instead of a screen: no terminal, `--plain`, dumb terminals; and the first-run failures,
//! each one sentence, a fix and an exit code.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use wallboard::call::text::clean;

use crate::it::cli_rig::Home;
use crate::it::support::pty::Screen;

/// A program that is talked to in lines.
struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    heard: Vec<String>,
}

impl Talk {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut child = home
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::sync_channel(4096);
        std::thread::Builder::new()
            .name("lines".into())
            .spawn(move || {
                for line in out.lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            })
            .unwrap();
        let input = child.stdin.take();
        Self {
            child,
            input,
            lines,
            heard: Vec::new(),
        }
    }

    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// The first line that satisfies this, from now on.
    fn hear(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("{what}:\n{}", self.heard.join("\n")));
            self.heard.push(line.clone());
            if is_it(&line) {
                return line;
            }
        }
    }

    fn end(mut self) -> (i32, String) {
        drop(self.input.take());
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().unwrap().is_none() {
            assert!(
                Instant::now() < deadline,
                "it did not end:\n{}",
                self.heard.join("\n")
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let mut err = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut err).unwrap();
        (code, err)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // Gone already is fine.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// `call 3: IN CALL …` → 3.
fn number(row: &str) -> &str {
    row.trim_start_matches("call ").split(':').next().unwrap()
}

#[test]
fn without_a_terminal_the_demo_is_lines_and_a_call_is_ended_by_words() {
    let home = Home::new();
    let mut talk = Talk::start(&home, &["demo", "--calls", "4", "--seed", "7"]);
    talk.hear("the greeting", |line| line.contains("type help"));
    talk.hear("a call", |line| line.contains("call 1: "));
    let row = loop {
        talk.say("list");
        let row = talk.hear("the list", |line| {
            line.contains("IN CALL") || line.contains("need attention")
        });
        if row.contains("IN CALL") {
            break row;
        }
    };
    let number = number(&row).to_owned();
    talk.say(&format!("follow {number}"));
    talk.say(&format!("end {number}"));
    talk.hear("the question", |line| line.contains("yes or no"));
    talk.say("no");
    talk.hear("the answer", |line| line.contains("nothing was done"));
    talk.say(&format!("end {number}"));
    talk.say("yes");
    talk.hear("the grace", |line| line.contains("undo"));
    talk.hear("the carrier's word", |line| {
        line.contains(&format!("call {number}")) && line.contains("ended")
    });
    talk.say("quit");
    let heard = talk.heard.join("\n");
    let (code, err) = talk.end();
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("lines of text"), "{err}");
    assert!(
        !heard.chars().any(|c| c.is_control() && c != '\n'),
        "{heard:?}"
    );
    assert!(
        !heard.contains('•') && heard.contains('…'),
        "masked, and kind to the ear"
    );
}

#[test]
fn a_dumb_terminal_gets_lines_and_not_one_escape() {
    let mut screen = Screen::start(
        &["demo", "--calls", "2", "--seed", "7"],
        80,
        24,
        &[("TERM", "dumb")],
    );
    screen.wait_for("type help", 20);
    screen.keys("help\r");
    screen.wait_for("whisper", 10);
    screen.keys("quit\r");
    assert_eq!(screen.wait_exit(20), 0);
    let bytes = screen.bytes();
    assert!(
        !bytes.contains(&0x1b),
        "{}",
        String::from_utf8_lossy(&bytes)
    );
}

#[test]
fn ascii_is_ascii_in_lines_too() {
    let home = Home::new();
    let mut talk = Talk::start(
        &home,
        &["demo", "--plain", "--ascii", "--calls", "6", "--seed", "7"],
    );
    talk.hear("a call", |line| line.contains("call 3"));
    assert!(
        talk.heard.iter().all(|line| line.is_ascii()),
        "{:?}",
        talk.heard
    );
    talk.say("quit");
    assert_eq!(talk.end().0, 0);
}

#[test]
fn a_reader_that_goes_away_is_the_end_and_no_failure() {
    let home = Home::new();
    let mut child = home
        .command(&["demo", "--plain", "--calls", "4"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    let deadline = Instant::now() + Duration::from_secs(40);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it goes on into nothing");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn every_way_to_miss_a_backend_is_one_sentence_a_fix_and_a_code() {
    let home = Home::new().with("TWILIO_AUTH_TOKEN", "test-token");
    let backend = home.serve();
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(home.data().join("backend.json")).unwrap())
            .unwrap();
    let url = file["url"].as_str().unwrap();
    let wrong = Home::new().with("WALLBOARD_TOKEN", "wb_wrong");
    let rows: [(&Home, Vec<&str>, i32, &str); 6] = [
        (&wrong, vec!["attach", "ftp://x"], 2, "https://"),
        (&wrong, vec!["ls", "--url", "nonsense://"], 2, "https://"),
        (&wrong, vec!["attach", "http://127.0.0.1:1"], 5, "running"),
        (
            &wrong,
            vec!["ls", "--url", "http://127.0.0.1:1"],
            5,
            "running",
        ),
        (&wrong, vec!["attach", url], 3, "token"),
        (&wrong, vec!["ls", "--url", url], 3, "token"),
    ];
    for (home, args, code, fix) in rows {
        let said = home.run(&args).expect(code);
        let lines: Vec<&str> = said
            .err
            .lines()
            .filter(|line| !line.contains("lines of text"))
            .collect();
        assert_eq!(lines.len(), 2, "{args:?}: {}", said.err);
        assert!(lines[0].starts_with("wallboard: "), "{}", said.err);
        assert!(lines[1].trim_start().starts_with('→'), "{}", said.err);
        assert!(lines[1].contains(fix), "{args:?}: {}", said.err);
    }
    drop(backend);
}

#[test]
fn hostile_words_leave_no_verb_as_anything_but_text() {
    let home = Home::new().with("TWILIO_AUTH_TOKEN", "test-token");
    let _backend = home.serve();
    let sid = format!("CA{:032x}", 9);
    let hostile = [
        "\u{1b}]0;owned\u{7}",
        "\u{1b}[2J\u{1b}[H",
        "\u{9b}31mred",
        "\u{1b}P0;1|17/ab\u{1b}\\",
        "\u{202e}desrever",
        "zero\u{200b}width",
        "a\u{1}b\u{8}c\rd",
        "\u{1b}]52;c;cm0gLXJm\u{7}",
    ];
    for (n, text) in hostile.iter().enumerate() {
        let name = format!("CallerName={text}");
        let sid = format!("CA{n:032x}");
        let said = home.run(&[
            "trigger",
            "twilio.incoming-call",
            "--sid",
            &sid,
            "--set",
            &name,
        ]);
        assert!(said.code <= 3, "{}", said.err);
    }
    home.run(&["trigger", "twilio.call-status", "--sid", &sid])
        .expect(0);
    for text in hostile {
        home.run(&["note", &sid, "--json", "--", text]);
        home.run(&["flag", &sid, "--json", "--", text]);
    }
    for args in [
        &["ls"][..],
        &["ls", "--json"],
        &["show", &sid],
        &["show", &sid, "--json"],
        &["alerts"],
        &["webhooks"],
        &["webhooks", "--json"],
    ] {
        let said = home.run(args).expect(0);
        for line in said.out.lines().chain(said.err.lines()) {
            assert_eq!(clean(line), line, "{args:?}");
        }
    }
}
