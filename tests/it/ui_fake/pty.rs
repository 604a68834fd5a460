//! A terminal: a PTY with the screen on it, read by an emulator.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::CHILD;

/// A PTY with the screen on it, and a terminal emulator that reads it.
pub(super) struct Pty {
    pub(super) parser: vt100::Parser,
    pub(super) bytes: mpsc::Receiver<Vec<u8>>,
    pub(super) raw: Vec<u8>,
    pub(super) master: Box<dyn MasterPty + Send>,
    pub(super) keys: Box<dyn Write + Send>,
    pub(super) child: Box<dyn portable_pty::Child + Send + Sync>,
}

impl Pty {
    pub(super) fn start(how: &str, columns: u16, rows: u16, env: &[(&str, &str)]) -> Self {
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
    pub(super) fn see(&mut self, words: &str) {
        self.wait(|screen| screen.contains(words), words);
    }

    /// Waits until the screen no longer shows these words.
    pub(super) fn see_no(&mut self, words: &str) {
        self.wait(|screen| !screen.contains(words), words);
    }

    pub(super) fn wait(&mut self, is_so: impl Fn(&str) -> bool, words: &str) {
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
    pub(super) fn hear(&mut self, bytes: &str) {
        while !String::from_utf8_lossy(&self.raw).contains(bytes) {
            let more = self.bytes.recv_timeout(Duration::from_secs(20));
            let more = more.unwrap_or_else(|_| panic!("{bytes:?} did not come"));
            self.raw.extend_from_slice(&more);
            self.parser.process(&more);
        }
    }

    /// Presses a key that does not count while its question is fresh, until it was heard.
    pub(super) fn press_until(&mut self, key: &str, is_so: impl Fn(&str) -> bool) {
        for _ in 0..40 {
            self.press(key);
            while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(100)) {
                self.raw.extend_from_slice(&bytes);
                self.parser.process(&bytes);
            }
            if is_so(&self.parser.screen().contents()) {
                return;
            }
        }
        panic!(
            "{key:?} was not heard:\n{}",
            self.parser.screen().contents()
        );
    }

    pub(super) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub(super) fn is_restored(&self) -> bool {
        let screen = self.parser.screen();
        !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
    }
}

/// Every escape the program has written that a screen has no use for.
pub(super) fn strange_escapes(raw: &str) -> Vec<String> {
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
