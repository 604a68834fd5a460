//! Real sound through a real server: a private PulseAudio with a null sink, captured by `parec`.
//! Runs only where `pulseaudio`, `parec` and `pactl` are installed; says so otherwise.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use wallboard::audio::{AudioConfig, AudioEnv, AudioState, Output, Prime, Tape};
use wallboard::engine::{ListenStream, Tasks};
use wallboard::media::{
    FRAME_SAMPLES, Frame, SILENT_FRAME, StereoFrame, goertzel, sine, ulaw_encode_sample,
};

const RATE_HZ: u32 = 48_000;
/// An idle null sink has silence up to 2 s ahead of it.
const SETTLE: Duration = Duration::from_secs(3);
const MEASURE: Duration = Duration::from_secs(3);
const WINDOW: usize = RATE_HZ as usize / 10;

/// A private server, ended with the test.
struct Server {
    dir: PathBuf,
    child: Child,
}

/// What `parec` has heard so far, interleaved.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<f32>>>);

impl Server {
    /// An output on it, at full volume.
    fn output(&self, tasks: &Tasks) -> Output {
        let env = AudioEnv {
            pulse_server: Some(self.address()),
            ..AudioEnv::default()
        };
        let config = AudioConfig {
            env,
            ..AudioConfig::default()
        };
        let output = Output::start(tasks, config);
        output.volume(100);
        output
    }

    fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// With further modules loaded.
    fn start_with(dir: &Path, modules: &[&str]) -> Self {
        let socket = dir.join("native");
        let protocol = format!(
            "module-native-protocol-unix socket={} auth-anonymous=1",
            socket.display()
        );
        let child = private("pulseaudio", dir)
            .args([
                "-n",
                "--daemonize=no",
                "--use-pid-file=no",
                "--exit-idle-time=-1",
            ])
            .args(["--disable-shm=yes", "--log-level=error"])
            .args([
                "-L",
                "module-null-sink sink_name=cap rate=48000",
                "-L",
                &protocol,
            ])
            .args(modules.iter().flat_map(|module| ["-L", module]))
            .spawn()
            .unwrap();
        Self {
            dir: dir.to_owned(),
            child,
        }
    }

    fn address(&self) -> String {
        format!("unix:{}", self.dir.join("native").display())
    }

    fn pactl(&self, words: &[&str]) -> bool {
        private("pactl", &self.dir)
            .env("PULSE_SERVER", self.address())
            .args(words)
            .status()
            .is_ok_and(|status| status.success())
    }

    async fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.pactl(&["get-sink-volume", "cap"]) {
            assert!(Instant::now() < deadline, "the server did not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn record(&self) -> (Child, Heard) {
        let mut parec = private("parec", &self.dir)
            .env("PULSE_SERVER", self.address())
            .args([
                "-d",
                "cap.monitor",
                "--raw",
                "--format=float32le",
                "--channels=2",
            ])
            .args(["--rate=48000", "--latency-msec=10"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut sound = parec.stdout.take().unwrap();
        let heard = Heard::default();
        let sink = heard.clone();
        std::thread::Builder::new()
            .name("parec".to_owned())
            .spawn(move || {
                let mut pair = [0u8; 8];
                while sound.read_exact(&mut pair).is_ok() {
                    let (l, r) = pair.split_at(4);
                    let sample = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
                    sink.0.lock().unwrap().extend([sample(l), sample(r)]);
                }
            })
            .unwrap();
        (parec, heard)
    }
}

impl Server {
    /// Stops the server in its tracks, or lets it go on.
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program that sees nothing of the desktop the test may run on.
fn private(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("HOME", dir)
        .env("XDG_RUNTIME_DIR", dir)
        .env_remove("PULSE_SERVER")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn installed() -> bool {
    let on_path = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    };
    ["pulseaudio", "parec", "pactl"].into_iter().all(on_path)
}

/// A call that is silent until `tone_on`, then 440 Hz from the caller and 880 Hz from the agent.
fn call(tasks: &Tasks, mut tone_on: watch::Receiver<bool>) -> mpsc::Receiver<StereoFrame> {
    let code = |hz| -> Vec<u8> {
        sine(hz, 10_000.0, 8_000, 8_000)
            .iter()
            .map(|&s| ulaw_encode_sample(s))
            .collect()
    };
    let (caller, agent) = (code(440.0), code(880.0));
    let (frames, stream) = mpsc::channel(20);
    tasks.spawn("call", async move {
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for at in (0..8_000).step_by(FRAME_SAMPLES).cycle() {
            ticks.tick().await;
            let cut = |leg: &[u8]| Frame::try_from(&leg[at..at + FRAME_SAMPLES]).unwrap();
            let frame = if *tone_on.borrow_and_update() {
                StereoFrame {
                    caller: cut(&caller),
                    agent: cut(&agent),
                }
            } else {
                StereoFrame {
                    caller: SILENT_FRAME,
                    agent: SILENT_FRAME,
                }
            };
            if frames.send(frame).await.is_err() {
                return;
            }
        }
    });
    stream
}

async fn wait_for(output: &Output, what: &str, wanted: impl FnMut(&AudioState) -> bool) {
    let mut state = output.state();
    let waited = timeout(Duration::from_secs(10), state.wait_for(wanted)).await;
    assert!(
        waited.is_ok_and(|r| r.is_ok()),
        "never {what}: {:?}",
        output.state().borrow()
    );
}

/// Waits for the tone and returns where it begins.
async fn onset(heard: &Heard, from: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let found = heard.0.lock().unwrap()[from..]
            .iter()
            .position(|s| s.abs() > 0.02);
        if let Some(at) = found {
            return from + at;
        }
        assert!(Instant::now() < deadline, "no sound arrived");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_heard_and_comes_back_after_every_kind_of_loss() {
    if !installed() {
        eprintln!("skipped: pulseaudio, parec and pactl are not all installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.ready().await;

    let tasks = Tasks::new();
    let output = server.output(&tasks);
    let (tone, tone_on) = watch::channel(false);
    let frames = call(&tasks, tone_on);
    let pressed = Instant::now();
    output.listen(ListenStream { frames }, Prime::Local);
    wait_for(&output, "playing", |s| matches!(s, AudioState::Playing(_))).await;
    eprintln!("listen key to open device: {:?}", pressed.elapsed());

    let (mut parec, heard) = server.record();
    sleep_until(Instant::now() + SETTLE).await;
    let before = heard.0.lock().unwrap().len();
    tone.send(true).unwrap();
    let spoken = Instant::now();
    let start = onset(&heard, before).await;
    eprintln!("feed to capture: {:?}", spoken.elapsed());
    sleep_until(Instant::now() + MEASURE).await;
    let sound = heard.0.lock().unwrap()[(start / 2 * 2)..].to_vec();
    check_tones(&sound[RATE_HZ as usize / 5 * 2..]);
    drop(parec.kill());
    drop(parec.wait());

    let unloaded = Instant::now();
    assert!(server.pactl(&["unload-module", "module-null-sink"]));
    wait_for(&output, "lost", |s| matches!(s, AudioState::Lost { .. })).await;
    eprintln!("removed output noticed after {:?}", unloaded.elapsed());
    assert!(server.pactl(&[
        "load-module",
        "module-null-sink",
        "sink_name=cap",
        "rate=48000"
    ]));
    wait_for(&output, "playing again", |s| {
        matches!(s, AudioState::Playing(_))
    })
    .await;

    let killed = Instant::now();
    drop(server);
    wait_for(&output, "lost", |s| matches!(s, AudioState::Lost { .. })).await;
    eprintln!("killed server noticed after {:?}", killed.elapsed());
    let server = Server::start(dir.path());
    server.ready().await;
    wait_for(&output, "playing again", |s| {
        matches!(s, AudioState::Playing(_))
    })
    .await;

    output.mute();
    wait_for(&output, "muted", |s| *s == AudioState::Muted).await;
    output.stop();
    wait_for(&output, "idle", |s| *s == AudioState::Idle).await;
    drop(output);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_tcp_is_played_to_and_its_hanging_is_noticed() {
    if !installed() {
        eprintln!("skipped: pulseaudio, parec and pactl are not all installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let tcp = format!("module-native-protocol-tcp listen=127.0.0.1 port={port} auth-anonymous=1");
    let server = Server::start_with(dir.path(), &[&tcp]);
    server.ready().await;

    let tasks = Tasks::new();
    let address = format!("unix:{}/none tcp:127.0.0.1:{port}", dir.path().display());
    let env = AudioEnv {
        pulse_server: Some(address),
        ..AudioEnv::default()
    };
    let output = Output::start(
        &tasks,
        AudioConfig {
            env,
            ..AudioConfig::default()
        },
    );
    let (tone, tone_on) = watch::channel(false);
    let frames = call(&tasks, tone_on);
    output.listen(ListenStream { frames }, Prime::Local);
    wait_for(&output, "playing", |s| matches!(s, AudioState::Playing(_))).await;
    let (mut parec, heard) = server.record();
    sleep_until(Instant::now() + SETTLE).await;
    let before = heard.0.lock().unwrap().len();
    tone.send(true).unwrap();
    let spoken = Instant::now();
    onset(&heard, before).await;
    eprintln!("feed to capture over TCP: {:?}", spoken.elapsed());
    drop(parec.kill());
    drop(parec.wait());

    let stopped = Instant::now();
    server.signal("-STOP");
    wait_for(&output, "lost", |s| matches!(s, AudioState::Lost { .. })).await;
    eprintln!("hanging server noticed after {:?}", stopped.elapsed());
    server.signal("-CONT");
    wait_for(&output, "playing again", |s| {
        matches!(s, AudioState::Playing(_))
    })
    .await;
    drop(output);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

/// Every tenth of a second has the caller's tone left and the agent's right.
fn check_tones(sound: &[f32]) {
    let expected = 10_000.0 / 32_768.0;
    let (mut windows, mut wrong, mut crosstalk) = (0, 0, 0.0f64);
    for window in sound.chunks_exact(2 * WINDOW) {
        let ear =
            |which: usize| -> Vec<f32> { window.iter().skip(which).step_by(2).copied().collect() };
        let (left, right) = (ear(0), ear(1));
        let level = |ear: &[f32], hz| goertzel(ear, RATE_HZ, hz) / expected;
        let right_sound =
            (level(&left, 440.0) - 1.0).abs() < 0.1 && (level(&right, 880.0) - 1.0).abs() < 0.1;
        windows += 1;
        wrong += usize::from(!right_sound);
        if right_sound {
            crosstalk = crosstalk.max(level(&left, 880.0)).max(level(&right, 440.0));
        }
    }
    eprintln!(
        "{windows} windows, {wrong} wrong, crosstalk {:.1} dB",
        20.0 * crosstalk.log10()
    );
    assert!(windows >= 20, "{windows} windows of sound");
    // A busy machine starves the sound server now and then: most windows must hold both tones, and
    // where they are heard they are on their own sides.
    assert!(
        wrong <= windows / 2,
        "{wrong} of {windows} windows without their tones"
    );
    assert!(crosstalk < 0.01, "{crosstalk}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_heard_from_its_first_word_to_its_last() {
    if !installed() {
        eprintln!("skipped: pulseaudio, parec and pactl are not all installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.ready().await;
    let tasks = Tasks::new();
    let output = server.output(&tasks);
    let (mut parec, heard) = server.record();
    sleep_until(Instant::now() + SETTLE).await;
    // Two seconds of 440 Hz; the device is opened only now.
    let mp3 = include_bytes!("../fixtures/elevenlabs/mono_44k.mp3");
    let (tape, stream) = Tape::start(&tasks, bytes::Bytes::from_static(mp3));
    output.listen(stream, Prime::Recorded);
    let mut state = tape.state();
    let over = timeout(
        Duration::from_secs(20),
        state.wait_for(|state| state.is_over),
    );
    let over = over.await.expect("in time").unwrap().clone();
    assert_eq!(over.error, None);
    wait_for(&output, "idle", |s| *s == AudioState::Idle).await;
    sleep_until(Instant::now() + MEASURE).await;
    drop(parec.kill());
    drop(parec.wait());
    let sound = heard.0.lock().unwrap().clone();
    let left: Vec<f32> = sound.iter().step_by(2).copied().collect();
    let loud = left
        .chunks_exact(WINDOW)
        .filter(|window| goertzel(window, RATE_HZ, 440.0) > 0.1)
        .count();
    // Windows of 100 ms.
    assert!((18..=22).contains(&loud), "{loud} of 20 windows");
    drop(output);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}
