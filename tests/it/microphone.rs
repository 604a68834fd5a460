//! The microphone: which source is taken, what is recorded, and how its loss is told.

use std::time::Duration;

use pulseaudio::protocol::{SampleFormat, SampleSpec};
use wallboard::audio::{AudioEnv, MIC_FRAME_BYTES, MIC_RATE_HZ, Mic, MicConfig, SourceChoice};

use crate::it::support::pulse::{SoundServer, source};

fn config(server: &SoundServer, wanted: SourceChoice) -> MicConfig {
    MicConfig {
        source: wanted,
        env: AudioEnv {
            pulse_server: Some(server.address()),
            ..AudioEnv::default()
        },
    }
}

fn named(name: &str) -> SourceChoice {
    SourceChoice::Named(name.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loudspeakers_own_sound_is_no_microphone_unless_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let sources = vec![source("out.monitor", Some("out")), source("desk", None)];
    let server = SoundServer::start(dir.path(), sources);
    let usual = config(&server, SourceChoice::Default);
    assert_eq!(
        usual.find().await.unwrap_err(),
        "no microphone on this host, only the loudspeaker's own sound (out.monitor; \
         --mic=out.monitor takes it all the same)"
    );
    assert!(Mic::open(&usual).await.is_err());
    assert_eq!(server.asked(), None, "nothing was recorded");
    for (wanted, found) in [
        ("out.monitor", "The out.monitor"),
        ("desk", "The desk"),
        ("the DESK", "The desk"),
    ] {
        let name = config(&server, named(wanted)).find().await;
        assert_eq!(name.as_deref(), Ok(found));
    }
    assert_eq!(server.asked(), None, "looking is not recording");
    let unknown = config(&server, named("usb")).find().await.unwrap_err();
    assert_eq!(
        unknown,
        "no microphone called usb; there is: out.monitor, desk"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_is_recorded_and_nothing_is_once_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = SoundServer::start(dir.path(), vec![source("desk", None)]);
    let mut mic = Mic::open(&config(&server, SourceChoice::Default))
        .await
        .unwrap();
    assert_eq!(mic.name(), "The desk");
    let asked = server.asked().unwrap();
    let spec = SampleSpec {
        format: SampleFormat::S16Le,
        channels: 1,
        sample_rate: MIC_RATE_HZ,
    };
    assert_eq!(asked.sample_spec, spec);
    assert_eq!(asked.source_name.as_deref(), Some(c"desk"));
    assert_eq!(asked.buffer_attr.fragment_size as usize, MIC_FRAME_BYTES);
    server.say(&[0x40, 0x1f].repeat(3_200));
    let mut loud = 0;
    while loud < 10 {
        let frame = mic.frame().await.unwrap();
        loud += usize::from(frame.level.rms_dbfs > -20.0);
    }
    mic.close().await;
    while server.recordings() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_that_is_pulled_out_and_a_server_that_dies_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let server = SoundServer::start(dir.path(), vec![source("desk", None)]);
    let mut mic = Mic::open(&config(&server, SourceChoice::Default))
        .await
        .unwrap();
    server.remove();
    let lost = loop {
        if let Err(reason) = mic.frame().await {
            break reason;
        }
    };
    assert_eq!(lost, "the microphone was removed");

    let other = tempfile::tempdir().unwrap();
    let server = SoundServer::start(other.path(), vec![source("desk", None)]);
    let mut mic = Mic::open(&config(&server, SourceChoice::Default))
        .await
        .unwrap();
    mic.frame().await.unwrap();
    drop(server);
    let lost = loop {
        if let Err(reason) = mic.frame().await {
            break reason;
        }
    };
    assert_eq!(lost, "the sound server went away");
}
