//! A recording from the vendor's webhook to an ear: received in pieces, kept, asked for by screens
//! here and elsewhere, and read.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::watch;
use wallboard::audio::Tape;
use wallboard::call::{ErrorCode, Grant, Refusal, Role, Secret};
use wallboard::engine::{Clock, EmbeddedBackend, Fetched, Tasks};
use wallboard::media::{TELEPHONE_RATE_HZ, goertzel, ulaw_decode_sample};
use wallboard::providers::elevenlabs::sign_webhook;
use wallboard::remote::{RemoteBackend, RemoteSettings};

use super::conversations::{EVENTS, ended, started};
use crate::it::support::backend::{ADMIN, Backend, ELEVENLABS_SECRET};

const POST_CALL: &str = "/api/webhooks/elevenlabs/post-call";
/// Two seconds of 440 Hz at 44.1 kHz, made with LAME 3.100.
const MP3: &[u8] = include_bytes!("../../fixtures/elevenlabs/mono_44k.mp3");

/// Posts the recording of a conversation as the vendor does: chunked, in small pieces.
async fn upload(backend: &Backend, conversation: &str) {
    let body = json!({"type": "post_call_audio", "event_timestamp": 1_795_219_200, "data":
        {"agent_id": "a", "conversation_id": conversation, "full_audio": STANDARD.encode(MP3)}});
    let body = body.to_string();
    let now = u64::try_from(backend.core.clock.now().timestamp()).unwrap();
    let signature = sign_webhook(body.as_bytes(), &Secret::new(ELEVENLABS_SECRET), now);
    let pieces: Vec<Bytes> = body
        .as_bytes()
        .chunks(701)
        .map(Bytes::copy_from_slice)
        .collect();
    let pieces = futures_util::stream::iter(pieces.into_iter().map(std::io::Result::Ok));
    let request = backend.http.post(format!("{}{POST_CALL}", backend.url));
    let request = request
        .header("elevenlabs-signature", signature)
        .body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// A conversation of lead `L1` that is over, and the id its recording is served under.
async fn recorded(backend: &Backend) -> String {
    for event in [started("conv_1", Some("L1")), ended("conv_1")] {
        assert_eq!(backend.event(EVENTS, &event).await.status(), 200);
    }
    upload(backend, "conv_1").await;
    let call = backend.call("conv_1").unwrap();
    call.recordings[0].served_id().to_owned()
}

fn attach(backend: &Backend, token: &str, tasks: &Tasks) -> Arc<RemoteBackend> {
    let settings = RemoteSettings::new(&backend.url).unwrap();
    let token = Secret::new(token);
    let source = Arc::new(move || Some(token.clone()));
    RemoteBackend::attach(&settings, source, tasks, Clock::start()).unwrap()
}

async fn fetch(
    backend: &dyn wallboard::engine::Backend,
    id: &str,
) -> (Result<Bytes, Refusal>, Fetched) {
    let (progress, watched) = watch::channel(Fetched::default());
    let asked = backend.recording(id.to_owned(), progress);
    let result = tokio::time::timeout(Duration::from_secs(20), asked).await;
    let so_far = *watched.borrow();
    (result.expect("in time"), so_far)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_vendor_sent_in_pieces_is_heard_on_a_screen_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::start_on_disk(dir.path()).await;
    let id = recorded(&backend).await;
    let tasks = Tasks::new();
    let token = backend.token(Grant::of("lis", Role::Listener));
    let remote = attach(&backend, &token, &tasks);
    let (audio, so_far) = fetch(remote.as_ref(), &id).await;
    let audio = audio.unwrap();
    assert_eq!(audio, MP3);
    let all = MP3.len() as u64;
    assert_eq!((so_far.bytes, so_far.of), (all, Some(all)));
    let embedded = EmbeddedBackend::new(backend.core.clone(), Grant::admin("ana"));
    assert_eq!(fetch(&embedded, &id).await.0.unwrap(), MP3);

    // As the screen plays it: the tone that was recorded comes out of both legs.
    let (tape, mut stream) = Tape::start(&tasks, audio);
    let mut heard: Vec<f32> = Vec::new();
    while let Some(frame) = stream.frames.recv().await {
        heard.extend(
            frame
                .agent
                .iter()
                .map(|&code| f32::from(ulaw_decode_sample(code))),
        );
    }
    let level = goertzel(&heard[4_000..12_000], TELEPHONE_RATE_HZ, 440.0);
    assert!((level - 9_000.0).abs() < 500.0, "{level}");
    let mut state = tape.state();
    let end = state.wait_for(|state| state.is_over).await.unwrap().clone();
    assert_eq!((end.error, end.length_s), (None, Some(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_and_what_is_gone_are_refused_in_the_same_words_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::start_on_disk(dir.path()).await;
    let id = recorded(&backend).await;
    let tasks = Tasks::new();
    let scoped = |lead: &str| Grant {
        leads: Some([lead.to_owned()].into()),
        ..Grant::of(lead, Role::Listener)
    };
    let viewer = Grant::of("vic", Role::Viewer);
    let rows = [
        (viewer, Some(ErrorCode::Forbidden)),
        (scoped("L2"), Some(ErrorCode::NotFound)),
        (scoped("L1"), None),
    ];
    for (grant, expected) in rows {
        let embedded = EmbeddedBackend::new(backend.core.clone(), grant.clone());
        let here = fetch(&embedded, &id).await.0;
        let remote = attach(&backend, &backend.token(grant), &tasks);
        let there = fetch(remote.as_ref(), &id).await.0;
        assert_eq!(here.as_ref().err().map(|refusal| refusal.code), expected);
        assert_eq!(
            here.map_err(|refusal| refusal.message),
            there.map_err(|refusal| refusal.message)
        );
    }
    for nonsense in ["", "no-such-id", "../../token", "a b", &"x".repeat(500)] {
        let remote = attach(&backend, ADMIN, &tasks);
        assert!(
            fetch(remote.as_ref(), nonsense).await.0.is_err(),
            "{nonsense}"
        );
    }
    backend.core.journal.purge_lead("L1".into()).await.unwrap();
    let remote = attach(&backend, ADMIN, &tasks);
    let gone = fetch(remote.as_ref(), &id).await.0.unwrap_err();
    assert_eq!(
        (gone.code, gone.message.as_str()),
        (ErrorCode::NotFound, "no such recording")
    );
}
