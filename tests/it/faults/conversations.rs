//! Conversations told of by webhook, and a backend that is killed among them.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use wallboard::call::Secret;
use wallboard::providers::elevenlabs::sign_webhook;

use super::process::{Extra, Serve};
use super::rig::{Peers, Plot, WEBHOOK_SECRET};

const EVENTS: &str = "/api/webhooks/elevenlabs/conversation-events";
const POST_CALL: &str = "/api/webhooks/elevenlabs/post-call";

fn signature(body: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let secret = Secret::new(WEBHOOK_SECRET);
    sign_webhook(body.as_bytes(), &secret, now.unwrap().as_secs())
}

async fn tell(serve: &Serve, path: &str, body: &Value) -> u16 {
    let body = body.to_string();
    let request = serve.http.post(format!("{}{path}", serve.url));
    let request = request.header("elevenlabs-signature", signature(&body));
    request.body(body).send().await.unwrap().status().as_u16()
}

/// The recording files, finished and not.
fn recordings(serve: &Serve) -> (usize, usize) {
    let files = std::fs::read_dir(serve.dir.path().join("data/recordings"));
    let names = files.into_iter().flatten().map(|file| file.unwrap().path());
    let (parts, kept): (Vec<_>, Vec<_>) =
        names.partition(|path| path.extension().is_some_and(|end| end == "part"));
    (kept.len(), parts.len())
}

const NOTHING: Extra<'static> = Extra {
    bridge: "",
    server: "",
    tables: "",
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_cut_off_by_kill_nine_leaves_nothing_and_may_come_again() {
    let peers = Peers::start(&Plot::default()).await;
    let mut serve = Serve::start(&peers, NOTHING).await;
    let begun = json!({"type": "conversation_started", "data": {"conversation_id": "conv_1"}});
    assert_eq!(tell(&serve, EVENTS, &begun).await, 200);
    let audio = json!({"type": "post_call_audio", "data":
        {"conversation_id": "conv_1", "full_audio": "QUFB".repeat(500_000)}});
    let body = audio.to_string();
    let host = serve.url.strip_prefix("http://").unwrap().to_owned();
    let mut upload = tokio::net::TcpStream::connect(&host).await.unwrap();
    let head = format!(
        "POST {POST_CALL} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\
         ElevenLabs-Signature: {}\r\n\r\n",
        body.len(),
        signature(&body)
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let half = &body.as_bytes()[..body.len() / 2];
    upload.write_all(half).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while recordings(&serve) != (0, 1) {
        assert!(Instant::now() < deadline, "nothing is received");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serve.kill();
    assert_eq!(recordings(&serve), (0, 1), "no goodbye to the file");
    serve.up().await;
    assert_eq!(recordings(&serve), (0, 0));
    assert_eq!(tell(&serve, POST_CALL, &audio).await, 200);
    assert_eq!(recordings(&serve), (1, 0));
}

fn is_in(folder: &Path, word: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap();
    let mut files = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file());
    files.any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_keeps_facts_only_does_so_through_kill_nine() {
    let peers = Peers::start(&Plot::default()).await;
    let keeps_less = Extra {
        tables: "[[route]]\nmatch = { carrier = \"elevenlabs\" }\nstore = \"facts_only\"\n",
        ..NOTHING
    };
    let mut serve = Serve::start(&peers, keeps_less).await;
    let said = |text: &str| json!({"type": "user_message", "data": {"conversation_id": "conv_1", "message": text}});
    let begun = json!({"type": "conversation_started", "data": {"conversation_id": "conv_1"}});
    assert_eq!(tell(&serve, EVENTS, &begun).await, 200);
    assert_eq!(tell(&serve, EVENTS, &said("my quokka is gone")).await, 200);
    assert_eq!(serve.lines("conv_1").await, ["my quokka is gone"]);
    serve.kill();
    assert!(!is_in(&serve.dir.path().join("data"), "quokka"));
    serve.up().await;
    // The call is back, its words are not; what is said now is shown, and not kept either.
    let call = serve.get("/api/calls/conv_1").await;
    assert_eq!(call["data"]["call"]["status"], "in-progress", "{call:#}");
    assert_eq!(serve.lines("conv_1").await, Vec::<String>::new());
    assert_eq!(tell(&serve, EVENTS, &said("the quokka is back")).await, 200);
    assert_eq!(serve.lines("conv_1").await, ["the quokka is back"]);
    serve.kill();
    assert!(!is_in(&serve.dir.path().join("data"), "quokka"));
}
