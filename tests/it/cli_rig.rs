//! The real program, run as a user would run it, in a clean environment of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A home of its own: no configuration, no `.env`, nothing inherited.
pub struct Home {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// What a finished run said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            env: Vec::new(),
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join(".local/share/wallboard")
    }

    /// Writes the user's configuration file.
    pub fn configure(&self, text: &str) {
        let folder = self.path().join(".config/wallboard");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wallboard"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("TMPDIR", self.path())
            .env("LANG", "C.UTF-8")
            .env("WALLBOARD_AUDIO", "none")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command(args).output().unwrap())
    }

    /// Starts a backend (or anything that goes on) with its output piped.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Running { child, out }
    }

    /// Starts `serve` on a port of the system's choosing and waits until it answers.
    pub fn serve(&self) -> Running {
        let mut running = self.start(&["serve", "--listen", "127.0.0.1:0"]);
        let line = running.line();
        assert!(
            line.starts_with("wallboard serves on http://127.0.0.1:"),
            "{line}"
        );
        running
    }
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Every line of stdout as JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one JSON line on stderr.
    pub fn error(&self) -> Value {
        let lines: Vec<&str> = self.err.lines().collect();
        assert_eq!(lines.len(), 1, "{}", self.err);
        serde_json::from_str(lines[0]).unwrap()
    }

    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.out, self.err
        );
        self
    }
}

/// A program that is still going.
pub struct Running {
    pub child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// The next line of stdout.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// Exactly as many bytes of stdout as fit.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.out.read_exact(bytes)
    }

    pub fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    /// Waits for the end; returns the exit code and what else was said.
    pub fn wait(mut self, seconds: u64) -> Said {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the program did not end");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let mut said = Said {
            code: self.child.wait().unwrap().code().unwrap_or(-1),
            out: String::new(),
            err: String::new(),
        };
        self.out.read_to_string(&mut said.out).unwrap();
        let mut err = self.child.stderr.take().unwrap();
        err.read_to_string(&mut said.err).unwrap();
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is fine.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Repeats until `look` finds something.
pub fn until<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
