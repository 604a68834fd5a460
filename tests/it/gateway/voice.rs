//! `wallboard chat` with a microphone: the real program against the voice gateway, and a sound server
//! that says what the test wants.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use wallboard::call::{Call, Line, LineBody};
use wallboard::media::{MediaFormat, Transcoder};

use crate::it::support::backend::ADMIN;
use crate::it::support::pty::Screen;
use crate::it::support::pulse::{SoundServer, source};

use super::house::{House, WELCOME};

const WORDS: &[u8] = include_bytes!("../../fixtures/pipeline/thursday.ulaw");

/// The caller's question as the microphone hears it.
fn question() -> Vec<u8> {
    let mut pcm = Vec::new();
    Transcoder::new(MediaFormat::ULAW_8K, MediaFormat::PCM_16K).convert(WORDS, &mut pcm);
    pcm
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoken_question_is_answered_and_the_agent_can_be_interrupted_by_voice() {
    let house = House::open().await;
    let dir = tempfile::tempdir().unwrap();
    let sound = SoundServer::start(dir.path(), vec![source("desk", None)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_wallboard"))
        .args(["chat", "--mic", "--json", "--agent", "maya", "--url"])
        .arg(&house.backend.url)
        .env_clear()
        .env("HOME", dir.path())
        .env("WALLBOARD_TOKEN", ADMIN)
        .env("PULSE_SERVER", sound.address())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let talk = tokio::task::spawn_blocking(move || {
        let mut next = |wanted: &str| -> serde_json::Value {
            for line in &mut lines {
                let said: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
                if said["type"] == wanted {
                    return said;
                }
            }
            panic!("no {wanted} before the end");
        };
        let mic = next("mic");
        assert_eq!(
            (&mic["state"], &mic["about"]),
            (&"on".into(), &"The desk".into())
        );
        assert_eq!(next("text")["text"], WELCOME);
        sound.say(&question());
        let said = next("text")["text"].as_str().unwrap().to_owned();
        assert!(said.starts_with("Yes, Mill Street"), "{said}");
        // The agent tells a story and is spoken into.
        keyboard.write_all(b"tell me a long story\n").unwrap();
        (child, keyboard, sound, lines)
    });
    let (mut child, mut keyboard, sound, mut lines) = talk.await.unwrap();
    let board = |wanted: &dyn Fn(&Call) -> bool| {
        let switchboard = &house.backend.core.switchboard;
        switchboard.read(|board| board.live().find(|call| wanted(call)).cloned())
    };
    let until = async |what: &str, wanted: &dyn Fn(&Call) -> bool| {
        for _ in 0..800 {
            if board(wanted).is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never {what}: {:?}", board(&|_| true));
    };
    let is_telling = |call: &Call| {
        call.lines.iter().any(
            |line| matches!(&line.body, LineBody::Speech { text, .. } if text.starts_with("Once")),
        )
    };
    until("told a story", &is_telling).await;
    // The words are there before their sound.
    sound.say(&vec![0; 2 * 32_000]);
    sound.say(&question());
    let is_cut = |line: &Line| match &line.body {
        LineBody::Speech { text, cut, .. } => text.starts_with("Once") && cut.is_some(),
        _ => false,
    };
    until("interrupted", &|call| call.lines.iter().any(is_cut)).await;
    assert_eq!(sound.recordings(), 1);
    let ended = tokio::task::spawn_blocking(move || {
        keyboard.write_all(b"/mic\n").unwrap();
        let off = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains("\"mic\""));
        assert_eq!(
            off.as_deref(),
            Some(r#"{"about":"","state":"off","type":"mic"}"#)
        );
        drop(keyboard);
        (child.wait().unwrap(), sound)
    });
    let (status, sound) = ended.await.unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(sound.recordings(), 0, "off is off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_tab_turns_the_microphone_on_and_off() {
    let house = House::open().await;
    let dir = tempfile::tempdir().unwrap();
    let sound = SoundServer::start(dir.path(), vec![source("desk", None)]);
    let (url, address) = (house.backend.url.clone(), sound.address());
    let seen = tokio::task::spawn_blocking(move || {
        let args = ["chat", "--agent", "quiet", "--url", &url];
        let env = [
            ("WALLBOARD_TOKEN", ADMIN),
            ("WALLBOARD_AUDIO", ""),
            ("PULSE_SERVER", address.as_str()),
        ];
        let mut screen = Screen::start(&args, 100, 24, &env);
        screen.wait_for("[quiet is there; Tab or /mic: microphone", 20);
        screen.wait_for("o mic off (Tab) >", 5);
        assert_eq!(sound.asked(), None, "nothing is recorded before");
        screen.keys("\t");
        screen.wait_for("[mic on: The desk]", 5);
        screen.wait_for("* mic on  [..........]", 5);
        sound.say(&[0x40, 0x1f].repeat(16_000));
        screen.wait_for("* mic on  [########..] -12 dB", 5);
        screen.keys("When are you open?");
        screen.wait_for("> When are you open?", 5);
        screen.keys("\t");
        // What was being typed is still there.
        screen.wait_for("o mic off (Tab) > When are you open?", 5);
        screen.keys("\r");
        screen.wait_for("you: When are you open?", 5);
        screen.wait_for("quiet: We are open", 30);
        screen.keys("\u{4}");
        assert_eq!(screen.wait_exit(20), 0);
        screen.assert_restored();
        (screen.text(), sound.recordings())
    });
    let (text, recordings) = seen.await.unwrap();
    assert!(
        !text.contains("o mic off"),
        "the status line is gone:\n{text}"
    );
    assert_eq!(recordings, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_microphone_it_is_text_only_and_says_why_in_one_line() {
    let house = House::open().await;
    let dir = tempfile::tempdir().unwrap();
    let monitor = vec![source("out.monitor", Some("out"))];
    let sound = SoundServer::start(dir.path(), monitor);
    let (url, address) = (house.backend.url.clone(), sound.address());
    let home = dir.path().to_owned();
    let said = tokio::task::spawn_blocking(move || {
        let chat = |more: &[&str], audio: &str| {
            let mut child = Command::new(env!("CARGO_BIN_EXE_wallboard"))
                .args(["chat", "--agent", "quiet", "--url", &url])
                .args(more)
                .env_clear()
                .env("HOME", &home)
                .env("WALLBOARD_TOKEN", ADMIN)
                .env("WALLBOARD_AUDIO", audio)
                .env("PULSE_SERVER", &address)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(b"When are you open?\n")
                .unwrap();
            let out = child.wait_with_output().unwrap();
            assert!(out.status.success(), "{}", out.status);
            String::from_utf8(out.stdout).unwrap()
        };
        [
            chat(&["--mic"], ""),
            chat(&["--mic"], "none"),
            chat(&["--no-mic"], ""),
            chat(&[], ""),
        ]
    });
    let [monitor, off, unwanted, piped] = said.await.unwrap();
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    assert_eq!(
        first(&monitor),
        "[text only: no microphone on this host, only the loudspeaker's own sound (out.monitor; \
         --mic=out.monitor takes it all the same)]"
    );
    assert_eq!(first(&off), "[text only: sound is switched off]");
    for text in [unwanted, piped] {
        assert_eq!(first(&text), "[quiet is there; /clear, or Ctrl-D to leave]");
    }
    assert!(monitor.contains("quiet: We are open"), "{monitor}");
}
