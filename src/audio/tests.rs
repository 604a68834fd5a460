use std::num::NonZero;
use std::os::unix::net::UnixListener;

use rodio::mixer::mixer;
use tokio::time::timeout;

use crate::media::{
    FRAME_SAMPLES, Frame, SILENT_FRAME, StereoFrame, goertzel, sine, ulaw_encode_sample,
};

use super::*;

const RATE_HZ: u32 = 48_000;
/// Stereo samples of one frame at the device's rate.
const BLOCK: usize = 1_920;

struct Tones {
    caller: Vec<u8>,
    agent: Vec<u8>,
    at: usize,
}

impl Tones {
    /// Ten seconds of 440 Hz from the caller and 880 Hz from the agent.
    fn new() -> Self {
        let tone = |hz| {
            let pcm = sine(hz, 10_000.0, 8_000, 80_000);
            pcm.iter().map(|&s| ulaw_encode_sample(s)).collect()
        };
        Self {
            caller: tone(440.0),
            agent: tone(880.0),
            at: 0,
        }
    }

    fn frame(&mut self) -> StereoFrame {
        let cut = |leg: &[u8]| Frame::try_from(&leg[self.at..self.at + FRAME_SAMPLES]).unwrap();
        let frame = StereoFrame {
            caller: cut(&self.caller),
            agent: cut(&self.agent),
        };
        self.at = (self.at + FRAME_SAMPLES) % 80_000;
        frame
    }
}

fn loud() -> Arc<Controls> {
    controls(Volume(100))
}

fn pull(source: &mut impl Iterator<Item = f32>, samples: usize) -> Vec<f32> {
    let pulled: Vec<f32> = source.take(samples).collect();
    assert_eq!(pulled.len(), samples, "a source that is open never ends");
    pulled
}

fn ear(samples: &[f32], ear: usize) -> Vec<f32> {
    samples.iter().skip(ear).step_by(2).copied().collect()
}

/// Amplitudes of the caller's and the agent's tone in one ear, 1 being full scale.
fn tones(samples: &[f32], which: usize) -> (f64, f64) {
    let ear = ear(samples, which);
    (
        goertzel(&ear, RATE_HZ, 440.0),
        goertzel(&ear, RATE_HZ, 880.0),
    )
}

/// Feeds and pulls `frames` frames in step, returning the last half.
fn play(
    feeder: &mut Feeder,
    source: &mut ListenSource,
    tones: &mut Tones,
    frames: usize,
) -> Vec<f32> {
    let mut heard = Vec::new();
    for _ in 0..frames {
        feeder.push(tones.frame());
        heard.extend(pull(source, BLOCK));
    }
    heard.split_off(heard.len() / 2)
}

#[test]
fn caller_is_left_and_agent_right_through_the_mixer() {
    let (mixer, mut out) = mixer(NonZero::new(2).unwrap(), NonZero::new(RATE_HZ).unwrap());
    let (mut feeder, source) = ring(Prime::Local, RATE_HZ, loud());
    mixer.add(source);
    let mut tone = Tones::new();
    let mut heard = Vec::new();
    for _ in 0..100 {
        feeder.push(tone.frame());
        heard.extend(pull(&mut out, BLOCK));
    }
    let heard = &heard[20 * BLOCK..];
    let (left, right) = (tones(heard, 0), tones(heard, 1));
    let expected = 10_000.0 / 32_768.0;
    assert!((left.0 / expected - 1.0).abs() < 0.02, "{left:?}");
    assert!((right.1 / expected - 1.0).abs() < 0.02, "{right:?}");
    assert!(
        left.1 / expected < 1e-3 && right.0 / expected < 1e-3,
        "{left:?} {right:?}"
    );
    assert_eq!(feeder.stats(), RingStats::default());
}

#[test]
fn pan_and_volume_place_and_scale_the_legs() {
    let controls = loud();
    let (mut feeder, mut source) = ring(Prime::Local, RATE_HZ, controls.clone());
    let mut tone = Tones::new();
    let expected = 10_000.0 / 32_768.0;
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let rows = [
        (Pan::CallerOnly, 100, [(1.0, 0.0), (1.0, 0.0)]),
        (Pan::AgentOnly, 100, [(0.0, 1.0), (0.0, 1.0)]),
        (Pan::Centre, 100, [(half, half), (half, half)]),
        (Pan::Both, 50, [(0.25, 0.0), (0.0, 0.25)]),
        (Pan::Both, 0, [(0.0, 0.0), (0.0, 0.0)]),
    ];
    for (pan, volume, ears) in rows {
        controls.set_pan(pan);
        controls.set_volume(Volume(volume));
        let heard = play(&mut feeder, &mut source, &mut tone, 40);
        for (which, (caller, agent)) in ears.into_iter().enumerate() {
            let got = tones(&heard, which);
            let close = |a: f64, b: f64| (a / expected - b).abs() < 0.02;
            assert!(
                close(got.0, caller) && close(got.1, agent),
                "{pan:?} {volume}: {got:?}"
            );
        }
    }
}

#[test]
fn mute_and_unmute_do_not_click() {
    let controls = loud();
    let (mut feeder, mut source) = ring(Prime::Local, RATE_HZ, controls.clone());
    let mut tone = Tones::new();
    let mut heard = play(&mut feeder, &mut source, &mut tone, 20);
    for muted in [true, false, true, false] {
        controls.set_muted(muted);
        for _ in 0..5 {
            feeder.push(tone.frame());
            heard.extend(pull(&mut source, BLOCK));
        }
    }
    // The steepest step of the louder tone is 0.305 * 2π * 880 / 48000 = 0.035.
    let steepest = |which| {
        ear(&heard, which)
            .windows(2)
            .map(|w| (w[1] - w[0]).abs())
            .fold(0.0f32, f32::max)
    };
    assert!(
        steepest(0) < 0.04 && steepest(1) < 0.04,
        "{} {}",
        steepest(0),
        steepest(1)
    );
}

#[test]
fn sound_starts_when_primed_and_an_empty_ring_is_silence() {
    for (prime, frames) in [(Prime::Local, 3), (Prime::Network, 6)] {
        let (mut feeder, mut source) = ring(prime, RATE_HZ, loud());
        let mut tone = Tones::new();
        for queued in 1..frames {
            feeder.push(tone.frame());
            assert_eq!(feeder.queued_ms(), queued * 20);
            assert!(pull(&mut source, BLOCK).iter().all(|&s| s == 0.0));
        }
        feeder.push(tone.frame());
        assert!(pull(&mut source, BLOCK).iter().any(|&s| s != 0.0));
        pull(&mut source, frames as usize * BLOCK);
        assert!(pull(&mut source, BLOCK).iter().all(|&s| s.abs() < 1e-6));
        assert_eq!(feeder.stats().underruns, 1);
        feeder.push(tone.frame());
        assert!(
            pull(&mut source, BLOCK).iter().all(|&s| s.abs() < 1e-6),
            "gathers anew"
        );
    }
}

#[test]
fn a_backlog_at_the_start_is_dropped_to_the_prime_level() {
    let (mut feeder, mut source) = ring(Prime::Local, RATE_HZ, loud());
    let mut tone = Tones::new();
    (0..40).for_each(|_| feeder.push(tone.frame()));
    pull(&mut source, BLOCK);
    assert_eq!(feeder.queued_ms(), 40);
    assert_eq!(feeder.stats().dropped, 37);
}

#[test]
fn a_stalled_device_goes_on_at_the_present() {
    let (mut feeder, mut source) = ring(Prime::Local, RATE_HZ, loud());
    let mut tone = Tones::new();
    play(&mut feeder, &mut source, &mut tone, 10);
    (0..30).for_each(|_| feeder.push(tone.frame()));
    pull(&mut source, BLOCK);
    assert_eq!(feeder.queued_ms(), 40);
    (0..200).for_each(|_| feeder.push(tone.frame()));
    pull(&mut source, BLOCK);
    assert_eq!(feeder.queued_ms(), 0, "a second and more is all stale");
    (0..3).for_each(|_| feeder.push(tone.frame()));
    assert!(pull(&mut source, BLOCK).iter().any(|&s| s != 0.0));
}

#[test]
fn lasting_delay_is_thinned_in_silence_first() {
    let (mut feeder, mut source) = ring(Prime::Local, RATE_HZ, loud());
    let mut tone = Tones::new();
    let silence = StereoFrame {
        caller: SILENT_FRAME,
        agent: SILENT_FRAME,
    };
    (0..3).for_each(|_| feeder.push(tone.frame()));
    pull(&mut source, BLOCK);
    // Grows slowly enough not to look like a stall.
    for _ in 0..4 {
        (0..5).for_each(|_| feeder.push(tone.frame()));
        pull(&mut source, BLOCK);
    }
    for _ in 0..65 {
        feeder.push(tone.frame());
        pull(&mut source, BLOCK);
    }
    assert_eq!(
        feeder.stats().dropped,
        0,
        "speech is kept while silence may come"
    );
    (0..5).for_each(|_| feeder.push(silence));
    pull(&mut source, BLOCK * 16);
    assert_eq!(feeder.stats().dropped, 1);
}

#[test]
fn a_dropped_feeder_ends_the_source_in_a_fade() {
    let (mut feeder, mut source) = ring(Prime::Local, RATE_HZ, loud());
    let mut tone = Tones::new();
    play(&mut feeder, &mut source, &mut tone, 10);
    drop(feeder);
    let rest: Vec<f32> = source.by_ref().collect();
    assert_eq!(rest.len(), BLOCK);
    assert!(rest[BLOCK / 2 + 2..].iter().all(|&s| s == 0.0));
    assert_eq!(source.next(), None);
}

#[test]
fn configuration_words_choose_the_device() {
    let named = |name: &str| DeviceChoice::Named(name.to_owned());
    let rows = [
        (None, None, DeviceChoice::Default),
        (Some("default"), None, DeviceChoice::Default),
        (Some(" "), None, DeviceChoice::Default),
        (Some("none"), None, DeviceChoice::Off),
        (Some("Headset "), None, named("Headset")),
        (Some("Headset"), Some("none"), DeviceChoice::Off),
        (None, Some("NONE"), DeviceChoice::Off),
        (None, Some("auto"), DeviceChoice::Default),
    ];
    for (option, env, expected) in rows {
        let lookup = |name: &str| env.filter(|_| name == "WALLBOARD_AUDIO").map(str::to_owned);
        assert_eq!(
            AudioConfig::new(option, lookup).device,
            expected,
            "{option:?} {env:?}"
        );
    }
}

async fn reason(config: AudioConfig) -> String {
    let tasks = Tasks::new();
    let output = Output::start(&tasks, config);
    let mut state = output.state();
    let found = state.wait_for(|s| *s != AudioState::Idle);
    let found = timeout(std::time::Duration::from_secs(5), found)
        .await
        .unwrap()
        .unwrap()
        .clone();
    let (frames, stream) = mpsc::channel(4);
    output.listen(ListenStream { frames: stream }, Prime::Local);
    timeout(std::time::Duration::from_secs(5), frames.closed())
        .await
        .expect("stream let go");
    drop(output);
    assert!(tasks.shutdown(std::time::Duration::from_secs(5)).await);
    match found {
        AudioState::NoDevice(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn at(address: &str) -> AudioConfig {
    let env = AudioEnv {
        pulse_server: Some(address.to_owned()),
        ..AudioEnv::default()
    };
    AudioConfig {
        env,
        ..AudioConfig::default()
    }
}

#[tokio::test]
async fn switched_off_sound_opens_nothing_and_says_so() {
    let config = AudioConfig {
        device: DeviceChoice::Off,
        ..AudioConfig::default()
    };
    assert_eq!(reason(config).await, "switched off");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_without_a_sound_server_is_told_apart_from_a_dead_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let missing = reason(at(&format!("unix:{}", path("none")))).await;
    assert!(missing.starts_with("no sound server at "), "{missing}");
    drop(UnixListener::bind(path("stale")).unwrap());
    let stale = reason(at(&path("stale"))).await;
    assert!(stale.contains("is not running"), "{stale}");
    let closed = reason(at("tcp:127.0.0.1:1")).await;
    assert!(closed.contains("127.0.0.1:1 is not running"), "{closed}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_hangs_or_hangs_up_is_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let hanging = UnixListener::bind(path("hanging")).unwrap();
    let silent = reason(at(&path("hanging"))).await;
    assert!(silent.contains("does not answer"), "{silent}");
    drop(hanging);
    let closing = UnixListener::bind(path("closing")).unwrap();
    let server = std::thread::Builder::new().spawn(move || {
        for socket in closing.incoming().take(2).flatten() {
            let mut request = [0; 16];
            std::io::Read::read_exact(&mut &socket, &mut request).unwrap();
            drop(socket.shutdown(std::net::Shutdown::Both));
        }
    });
    let rude = reason(at(&path("closing"))).await;
    assert!(
        rude.contains("hung up") || rude.contains("failed"),
        "{rude}"
    );
    server.unwrap().join().unwrap();
}
