//! `wallboard serve` as a process that can be killed, with its configuration and its output.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::rig::{ADMIN, AGENT, API_KEY, AUTH_TOKEN, Peers, WEBHOOK_SECRET, client, free_port};

/// A data directory, a configuration, and at most one running backend on them.
pub struct Serve {
    pub url: String,
    pub dir: tempfile::TempDir,
    pub http: reqwest::Client,
    child: Option<Child>,
    starts: usize,
}

/// What differs between tests.
pub struct Extra<'a> {
    /// `[bridge]` lines.
    pub bridge: &'a str,
    /// `[server]` lines.
    pub server: &'a str,
    /// Whole tables.
    pub tables: &'a str,
}

impl Serve {
    pub async fn start(peers: &Peers, extra: Extra<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let config = format!(
            r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "{url}"
{server}
[data]
dir = "{data}"
[twilio]
account_sid = "{account}"
auth_token = "{AUTH_TOKEN}"
phone_number = "{number}"
api_base = "{twilio}"
[elevenlabs]
api_key = "{API_KEY}"
agent_id = "{AGENT}"
webhook_secret = "{WEBHOOK_SECRET}"
api_base = "{elevenlabs}"
ws_base = "{elevenlabs_ws}"
[auth]
admin_token = "{ADMIN}"
[bridge]
{bridge}
{tables}
"#,
            server = extra.server,
            bridge = extra.bridge,
            tables = extra.tables,
            data = dir.path().join("data").display(),
            account = peers.twilio.account_sid(),
            number = peers.twilio.number(),
            twilio = peers.twilio.api_base(),
            elevenlabs = peers.elevenlabs.api_base(),
            elevenlabs_ws = peers.elevenlabs.ws_base(),
        );
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let mut serve = Self {
            url,
            dir,
            http: client(),
            child: None,
            starts: 0,
        };
        serve.up().await;
        serve
    }

    /// Runs the program on this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wallboard"));
        command
            .arg("--config")
            .arg(self.dir.path().join("config.toml"))
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Starts (again) and waits until it is ready.
    pub async fn up(&mut self) {
        self.starts += 1;
        let output = |name: &str| {
            let path = self.dir.path().join(format!("{name}.{}", self.starts));
            File::create(path).unwrap()
        };
        let (out, err) = (output("stdout"), output("stderr"));
        let mut command = self.command(&["--log-level", "debug", "serve"]);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        self.child = Some(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.ready().await != Some(200) {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("it ended: {status}\n{}", self.said());
            }
            assert!(Instant::now() < deadline, "not ready\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The status `/readyz` answers with.
    pub async fn ready(&self) -> Option<u16> {
        let asked = self.http.get(format!("{}/readyz", self.url)).send().await;
        asked.ok().map(|answer| answer.status().as_u16())
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().unwrap().id();
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub async fn exited(&mut self, seconds: u64) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still there\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// All output of all starts.
    pub fn said(&self) -> String {
        let mut text = String::new();
        for number in 1..=self.starts {
            for name in ["stdout", "stderr"] {
                let path = self.dir.path().join(format!("{name}.{number}"));
                text.push_str(&String::from_utf8_lossy(&read(&path)));
            }
        }
        text
    }

    pub async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.url));
        let answer = request.bearer_auth(ADMIN).send().await.unwrap();
        answer.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.url));
        request.bearer_auth(ADMIN).json(&body).send().await.unwrap()
    }

    /// Carrier ids of the live calls.
    pub async fn live(&self) -> Vec<String> {
        let answer = self.get("/api/calls/active").await;
        let calls = answer["data"]["calls"].as_array().unwrap().clone();
        let mut sids: Vec<String> = calls
            .iter()
            .map(|call| call["callSid"].as_str().unwrap().to_owned())
            .collect();
        sids.sort();
        sids
    }

    /// Final utterances of a call, as text.
    pub async fn lines(&self, sid: &str) -> Vec<String> {
        let answer = self.get(&format!("/api/calls/{sid}/transcript")).await;
        let rows = answer["data"]["utterances"].as_array();
        rows.into_iter()
            .flatten()
            .map(|row| row["text"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_default()
}
