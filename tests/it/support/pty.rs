//! The real binary on a pseudo terminal, its screen parsed so that a test can look at it.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// A running program and what its terminal shows.
pub struct Screen {
    parser: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    /// The terminal takes nothing in while this is set.
    is_stalled: Arc<AtomicBool>,
    /// Ends when the program has, and all it wrote was read.
    reader: std::thread::JoinHandle<()>,
    writer: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
}

impl Screen {
    /// Starts `wallboard` with these arguments in a clean environment.
    pub fn start(args: &[&str], columns: u16, rows: u16, env: &[(&str, &str)]) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let home = std::env::temp_dir();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_wallboard"));
        command.args(args);
        command.env_clear();
        command.cwd(&home);
        for (name, value) in [
            ("PATH", std::env::var("PATH").unwrap_or_default().as_str()),
            ("HOME", home.to_string_lossy().as_ref()),
            ("TERM", "xterm-256color"),
            ("LANG", "C.UTF-8"),
            ("WALLBOARD_AUDIO", "none"),
            // What one test leaves behind is not for the next.
            ("WALLBOARD_UI__RESTORE", "false"),
            ("XDG_STATE_HOME", "/nonexistent"),
        ] {
            command.env(name, value);
        }
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(
            cells(rows),
            cells(columns),
            0,
        )));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (screen, bytes) = (Arc::clone(&parser), Arc::clone(&raw));
        let is_stalled = Arc::new(AtomicBool::new(false));
        let stalled = Arc::clone(&is_stalled);
        let reader = std::thread::Builder::new()
            .name("pty reader".into())
            .spawn(move || {
                let mut buffer = [0; 8192];
                while let Ok(count) = reader.read(&mut buffer) {
                    if count == 0 {
                        break;
                    }
                    while stalled.load(Ordering::SeqCst) {
                        std::thread::park_timeout(Duration::from_millis(10));
                    }
                    screen
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .process(&buffer[..count]);
                    bytes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(&buffer[..count]);
                }
            })
            .unwrap();
        let writer = pair.master.take_writer().unwrap();
        Self {
            parser,
            raw,
            is_stalled,
            reader,
            writer,
            master: pair.master,
            child,
        }
    }

    /// The screen as text.
    pub fn text(&self) -> String {
        self.parser
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .screen()
            .contents()
    }

    /// Every byte the program has written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.raw
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stops or goes on taking in what the program writes, as a stalled SSH connection does.
    pub fn stall(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::SeqCst);
    }

    /// The program's resident memory, KiB.
    pub fn resident_kib(&self) -> u64 {
        let pid = self.child.process_id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let word = line.and_then(|line| line.split_whitespace().nth(1));
        word.and_then(|word| word.parse().ok()).unwrap()
    }

    pub fn keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.master
            .resize(PtySize {
                rows,
                cols: columns,
                pixel_width: 0,
                pixel_height: 0,
            })
            .unwrap();
        let mut parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen_mut().set_size(cells(rows), cells(columns));
    }

    /// Waits until nothing has been written for so many milliseconds, five times as long at most.
    pub fn settle(&self, quiet_ms: u64) {
        let quiet = Duration::from_millis(quiet_ms);
        let deadline = Instant::now() + quiet * 5;
        let (mut seen, mut since) = (self.written(), Instant::now());
        while since.elapsed() < quiet && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(2));
            let now = self.written();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
    }

    fn written(&self) -> usize {
        self.raw
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether this text comes up within so many milliseconds.
    pub fn appears(&self, text: &str, within_ms: u64) -> bool {
        let deadline = Instant::now() + Duration::from_millis(within_ms);
        while Instant::now() < deadline {
            if self.text().contains(text) {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        false
    }

    /// Waits until the screen satisfies `condition`.
    pub fn wait(&self, what: &str, seconds: u64, condition: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let text = self.text();
            if condition(&text) {
                return text;
            }
            assert!(
                Instant::now() < deadline,
                "not within {seconds} s: {what}\n{text}"
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    pub fn wait_for(&self, text: &str, seconds: u64) -> String {
        self.wait(text, seconds, |screen| screen.contains(text))
    }

    /// Waits for the end of the program and returns its exit code.
    pub fn wait_exit(&mut self, seconds: u64) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(
                Instant::now() < deadline,
                "the program did not end:\n{}",
                self.text()
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = self.child.process_id().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    /// Whether the terminal was left as it was found: main screen, cursor shown, no modes on.
    pub fn assert_restored(&self) {
        // The last it wrote may not have been read yet when the program is gone.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        let screen = parser.screen();
        assert!(
            !screen.alternate_screen(),
            "the alternate screen is still on"
        );
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste(), "bracketed paste is still on");
        assert_eq!(
            screen.mouse_protocol_mode(),
            vt100::MouseProtocolMode::None,
            "mouse still on"
        );
    }
}

fn cells(count: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(count).unwrap()
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Already gone is fine.
        let _gone = self.child.kill();
    }
}
