//! `store` of a route: what is shown while a call is live, and what is left of it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wallboard::call::StoreLevel;
use wallboard::engine::Route;
use wallboard::store::{self, Recordings};

use crate::it::support::backend::{ADMIN, Backend};
use crate::it::support::sse::Sse;

use super::conversations::{EVENTS, ended, said, started};

const POST_CALL: &str = "/api/webhooks/elevenlabs/post-call";
/// The phone of every conversation in these tests.
const PHONE: &str = "+14155550134";

async fn keeping(dir: &std::path::Path, store: StoreLevel) -> Backend {
    Backend::start_with(
        |_| {},
        |parts| {
            let journal = store::open(dir, &parts.tasks, parts.clock).unwrap();
            parts.vault = Some(Arc::new(Recordings::new(journal.clone())));
            parts.journal = Arc::new(journal);
            parts.plans.routes.push(Route {
                from: Some(PHONE.into()),
                store,
                ..Route::default()
            });
        },
    )
    .await
}

async fn tell(backend: &Backend, path: &str, event: &Value) {
    assert_eq!(backend.event(path, event).await.status(), 200, "{event}");
}

/// Tells of a whole conversation with its record and its recording.
async fn whole_conversation(backend: &Backend) {
    tell(backend, EVENTS, &started("conv_1", Some("L1"))).await;
    tell(
        backend,
        EVENTS,
        &said("user_message", "conv_1", "my quokka ran away"),
    )
    .await;
    let form = [
        ("MessageSid", "SM1aaaaaaaa"),
        ("From", PHONE),
        ("To", "+15557650000"),
        ("Body", "quokka found"),
    ];
    assert_eq!(backend.webhook("/sms", &form).await.status(), 200);
    tell(backend, EVENTS, &ended("conv_1")).await;
    let record = json!({"type": "post_call_transcription", "data": {"conversation_id": "conv_1",
        "transcript": [{"role": "agent", "message": "Which quokka?"}],
        "analysis": {"transcript_summary": "About a quokka."}}});
    tell(backend, POST_CALL, &record).await;
    let audio = json!({"type": "post_call_audio", "data": {"conversation_id": "conv_1",
        "full_audio": STANDARD.encode([7_u8; 4_000])}});
    tell(backend, POST_CALL, &audio).await;
}

fn files(dir: &std::path::Path) -> usize {
    let files = std::fs::read_dir(dir.join("recordings"));
    files.map_or(0, Iterator::count)
}

async fn texts(backend: &Backend, path: &str) -> String {
    backend.get(path, ADMIN).await.text().await.unwrap()
}

#[tokio::test]
async fn facts_only_shows_every_word_and_keeps_none() {
    let dir = tempfile::tempdir().unwrap();
    let backend = keeping(dir.path(), StoreLevel::FactsOnly).await;
    let path = format!("{}/api/stream/conversation/L1", backend.url);
    let viewer = backend.http.get(path).bearer_auth(ADMIN).send().await;
    let mut viewer = Sse::of(viewer.unwrap());
    whole_conversation(&backend).await;
    let frames = viewer.events(7).await;
    let heard: Vec<&str> = frames
        .iter()
        .map(super::super::support::sse::Frame::words)
        .filter(|words| words.contains("quokka"))
        .collect();
    assert_eq!(
        heard,
        ["my quokka ran away", "quokka found", "Which quokka?"]
    );
    let call = backend.call("conv_1").unwrap();
    assert!(call.analysis.is_some() && call.lines.len() == 2, "{call:?}");
    // None of it is in the files, and neither is its recording.
    for name in std::fs::read_dir(dir.path()).unwrap() {
        let path = name.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(6).any(|part| part == b"quokka"), "{path:?}");
    }
    assert_eq!(files(dir.path()), 0);
    assert!(call.recordings.is_empty());
    let found = backend.get_json("/api/search?q=quokka", ADMIN).await;
    assert_eq!(found["data"]["count"], 0);
    let export = texts(&backend, "/api/export").await;
    assert!(
        export.contains("conv_1") && !export.contains("quokka"),
        "{export}"
    );
}

#[tokio::test]
async fn no_audio_keeps_the_words_and_refuses_a_recording() {
    let dir = tempfile::tempdir().unwrap();
    let backend = keeping(dir.path(), StoreLevel::NoAudio).await;
    whole_conversation(&backend).await;
    assert_eq!(files(dir.path()), 0);
    assert!(backend.call("conv_1").unwrap().recordings.is_empty());
    let found = backend.get_json("/api/search?q=quokka", ADMIN).await;
    assert_eq!(found["data"]["count"], 2, "{found}");
}

#[tokio::test]
async fn a_route_that_says_nothing_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let backend = keeping(dir.path(), StoreLevel::All).await;
    whole_conversation(&backend).await;
    assert_eq!(files(dir.path()), 1);
    assert_eq!(backend.call("conv_1").unwrap().recordings.len(), 1);
}
