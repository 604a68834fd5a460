//! What is told of a webhook that was refused, what becomes of one that comes again after a restart,
//! who did what, and viewers that do not read.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wallboard::call::{Fact, Grant, Role, Secret, Track};
use wallboard::engine::Target;
use wallboard::providers::elevenlabs::sign_webhook;
use wallboard::providers::vendor::WebhookVerdict;
use wallboard::store::{self, SqliteJournal};

use crate::it::support::backend::{ADMIN, Backend, ELEVENLABS_SECRET};
use crate::it::support::socketio::SioClient;

use super::conversations::{EVENTS, ended, said, started};

async fn on_disk(dir: &std::path::Path) -> (Backend, SqliteJournal) {
    let mut kept = None;
    let backend = Backend::start_with(
        |_| {},
        |parts| {
            let journal = store::open(dir, &parts.tasks, parts.clock).unwrap();
            parts.journal = std::sync::Arc::new(journal.clone());
            kept = Some(journal);
        },
    )
    .await;
    backend.core.recover().await.unwrap();
    (backend, kept.unwrap())
}

/// The same backend's next life on the same folder.
async fn restarted(
    backend: Backend,
    journal: SqliteJournal,
    dir: &std::path::Path,
) -> (Backend, SqliteJournal) {
    journal.close().await.unwrap();
    backend.core.tasks.cancel();
    on_disk(dir).await
}

fn now(backend: &Backend) -> u64 {
    u64::try_from(backend.core.clock.now().timestamp()).unwrap()
}

async fn post(backend: &Backend, body: &str, signature: &str) -> u16 {
    let request = backend.http.post(format!("{}{EVENTS}", backend.url));
    let request = request.header("elevenlabs-signature", signature);
    let answer = request.body(body.to_owned()).send().await.unwrap();
    answer.status().as_u16()
}

/// A conversation of lead L1 begins.
async fn begin(backend: &Backend) {
    let answer = backend.event(EVENTS, &started("conv_1", Some("L1"))).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_refusal_names_its_cause_and_what_mends_it() {
    let backend = Backend::start().await;
    let body = started("conv_1", Some("L1")).to_string();
    let right = Secret::new(ELEVENLABS_SECRET);
    let at = now(&backend);
    let sign = |secret: &Secret, at: u64| sign_webhook(body.as_bytes(), secret, at);
    let rows = [
        (String::new(), 401, WebhookVerdict::MissingSignature, ""),
        (
            "v0=1".to_owned(),
            401,
            WebhookVerdict::MalformedSignature,
            "",
        ),
        (
            sign(&right, at - 7_200),
            401,
            WebhookVerdict::ClockSkew,
            "s ago",
        ),
        (
            sign(&right, at + 7_200),
            401,
            WebhookVerdict::ClockSkew,
            "s from now",
        ),
        (
            sign(&Secret::new("wsec_other"), at),
            401,
            WebhookVerdict::WrongSecret,
            "",
        ),
        (sign(&right, at), 200, WebhookVerdict::Valid, ""),
        (sign(&right, at), 200, WebhookVerdict::Duplicate, ""),
    ];
    for (signature, status, verdict, advice) in rows {
        assert_eq!(
            post(&backend, &body, &signature).await,
            status,
            "{signature}"
        );
        let entry = backend.server.webhooks().entries().pop().unwrap();
        assert_eq!(entry.verdict, verdict, "{signature}");
        let given = entry.advice.unwrap_or_default();
        assert!(given.contains(advice), "{given}");
    }
    // In the words `wallboard webhooks` prints.
    let log = backend.get_json("/api/webhooks", ADMIN).await;
    let words: Vec<&str> = log["data"]["webhooks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["verdict"].as_str())
        .collect();
    assert!(
        words.contains(&"clock_skew") && words.contains(&"wrong_secret"),
        "{words:?}"
    );
}

#[tokio::test]
async fn a_signed_webhook_that_is_sent_again_after_a_restart_says_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, journal) = on_disk(dir.path()).await;
    begin(&backend).await;
    // One with a time of its own, and one that only its signature tells from another.
    let bare = json!({"type": "user_message", "data":
        {"conversation_id": "conv_1", "message": "Send me the money"}});
    let bodies = [
        said("user_message", "conv_1", "Hello?").to_string(),
        bare.to_string(),
    ];
    let at = now(&backend);
    let signed = bodies.map(|body| {
        let signature = sign_webhook(body.as_bytes(), &Secret::new(ELEVENLABS_SECRET), at);
        (body, signature)
    });
    for (body, signature) in &signed {
        assert_eq!(post(&backend, body, signature).await, 200);
    }
    let lines = |backend: &Backend| backend.call("conv_1").unwrap().lines.len();
    assert_eq!(lines(&backend), 2);
    let (backend, _journal) = restarted(backend, journal, dir.path()).await;
    assert_eq!(lines(&backend), 2, "the call is back");
    for (body, signature) in &signed {
        assert_eq!(post(&backend, body, signature).await, 200);
        let entry = backend.server.webhooks().entries().pop().unwrap();
        assert_eq!(entry.verdict, WebhookVerdict::Duplicate);
    }
    assert_eq!(lines(&backend), 2);
    // What is new is taken.
    let new = said("user_message", "conv_1", "Hello?");
    assert_eq!(backend.event(EVENTS, &new).await.status(), 200);
    assert_eq!(lines(&backend), 3);
}

async fn ask(client: &mut SioClient, id: &str, query: Value) -> Value {
    client
        .emit("history", json!({ "id": id, "query": query, "limit": 20 }))
        .await;
    answer(client, id).await
}

async fn answer(client: &mut SioClient, id: &str) -> Value {
    loop {
        let reply = client.wait_for("reply").await;
        if reply["id"] == id {
            return reply;
        }
    }
}

async fn join(backend: &Backend, token: &str) -> SioClient {
    let auth = json!({ "token": token, "client": "test", "v": 1 });
    SioClient::join(&backend.url, "/wallboard", auth)
        .await
        .unwrap()
}

#[tokio::test]
async fn who_did_what_is_told_to_admins_alone_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, journal) = on_disk(dir.path()).await;
    begin(&backend).await;
    let ana = backend.token(Grant::of("ana", Role::Operator));
    let call = backend.call("conv_1").unwrap().id;
    let path = format!("/api/calls/{call}/note?wait=true");
    let body = json!({ "text": "calls again", "reason": "asked to" });
    assert_eq!(backend.post(&path, &ana, body).await.status(), 200);
    let mut ana = join(&backend, &ana).await;
    let refused = ask(&mut ana, "a1", json!({ "audit": true })).await;
    assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
    let mut scoped = Grant::admin("bea");
    scoped.leads = Some(["L1".to_owned()].into());
    let mut bea = join(&backend, &backend.token(scoped)).await;
    let refused = ask(&mut bea, "b1", json!({ "audit": true })).await;
    assert_eq!(refused["ok"], false, "{refused}");
    let (backend, _journal) = restarted(backend, journal, dir.path()).await;
    let mut admin = join(&backend, ADMIN).await;
    let told = ask(&mut admin, "c1", json!({ "audit": true })).await;
    let rows = told["result"]["audit"].as_array().unwrap();
    let note = rows.iter().find(|row| row["verb"] == "note").unwrap();
    assert_eq!(note["by"], "ana", "{note}");
    assert_eq!(note["call"], call.to_string());
    assert!(
        !told.to_string().contains("calls again"),
        "the note itself is no audit row"
    );
}

#[tokio::test]
async fn what_is_written_about_a_call_reaches_it_after_it_has_left_the_board() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, journal) = on_disk(dir.path()).await;
    begin(&backend).await;
    let call = backend.call("conv_1").unwrap().id;
    assert_eq!(backend.event(EVENTS, &ended("conv_1")).await.status(), 200);
    let (backend, _journal) = restarted(backend, journal, dir.path()).await;
    let on_board = backend
        .core
        .switchboard
        .read(|board| board.get(call).is_some());
    assert!(!on_board, "what had ended is history");
    let ana = backend.token(Grant::of("ana", Role::Operator));
    let note = format!("/api/calls/{call}/note?wait=true");
    let answer_of = async |token: &str, text: &str| {
        let answer = backend.post(&note, token, json!({ "text": text })).await;
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let (status, told) = answer_of(&ana, "calls again").await;
    assert_eq!(
        (status, told["state"].as_str()),
        (200, Some("done")),
        "{told}"
    );
    let mut screen = join(&backend, &ana).await;
    let id = "01a21b35-aedc-7e4b-ae91-fce47a2f8e15";
    let flag = json!({ "id": id, "call": call.to_string(), "verb": "flag", "args": { "label": "refund" } });
    screen.emit("command", flag).await;
    let told = answer(&mut screen, id).await;
    assert_eq!(told["ok"], true, "{told}");
    let found = ask(&mut screen, "h1", json!({ "call": call.to_string() })).await;
    let kept = &found["result"]["items"][0];
    assert_eq!(kept["notes"][0]["text"], "calls again", "{found}");
    assert_eq!(kept["flags"], json!(["refund"]));
    // Whoever may not see the lead is not told that the call exists.
    let mut scoped = Grant::of("bea", Role::Operator);
    scoped.leads = Some(["L2".to_owned()].into());
    let (status, _) = answer_of(&backend.token(scoped), "psst").await;
    assert_eq!(status, 404);
    let end = format!("/api/calls/{call}/terminate?wait=true");
    assert_eq!(backend.post(&end, &ana, json!({})).await.status(), 404);
}

#[tokio::test]
async fn a_list_taken_along_over_the_attach_protocol_is_kept_in_the_trail() {
    let backend = Backend::start().await;
    let order = |id: &str, user: &str| {
        json!({ "id": id, "call": null, "verb": "export", "args": { "format": "csv" },
            "reason": format!("2 past calls as csv for {user}") })
    };
    let ana = backend.token(Grant::of("ana", Role::Operator));
    let mut ana = join(&backend, &ana).await;
    let (first, second) = (
        "01a21b35-aedc-7e4b-ae91-fce47a2f8e13",
        "01a21b35-aedc-7e4b-ae91-fce47a2f8e14",
    );
    ana.emit("command", order(first, "ana")).await;
    let refused = answer(&mut ana, first).await;
    assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
    let mut admin = join(&backend, ADMIN).await;
    admin.emit("command", order(second, "admin")).await;
    let taken = answer(&mut admin, second).await;
    assert_eq!(taken["ok"], true, "{taken}");
    let told = ask(&mut admin, "c1", json!({ "audit": true })).await;
    let rows = told["result"]["audit"].as_array().unwrap();
    let kept: Vec<_> = rows
        .iter()
        .filter(|row| row["verb"] == "export")
        .map(|row| (row["result"].as_str(), row["reason"].as_str()))
        .collect();
    assert_eq!(
        kept,
        [
            (Some("done"), Some("2 past calls as csv for admin")),
            (
                Some("refused: forbidden"),
                Some("2 past calls as csv for ana")
            ),
        ]
    );
}

#[tokio::test]
async fn the_timeline_of_a_lead_is_told_over_the_attach_protocol_to_those_who_see_it() {
    let backend = Backend::start().await;
    begin(&backend).await;
    let heard = said("user_message", "conv_1", "About the refund");
    assert_eq!(backend.event(EVENTS, &heard).await.status(), 200);
    let text = json!({ "text": "On its way", "channel": "chat" });
    let added = backend.post("/api/leads/L1/messages", ADMIN, text).await;
    assert_eq!(added.status(), 200);
    let mut admin = join(&backend, ADMIN).await;
    let told = ask(
        &mut admin,
        "a1",
        json!({ "timeline": true, "lead_id": "L1" }),
    )
    .await;
    let said = told["result"]["said"].as_array().unwrap();
    let rows: Vec<_> = said
        .iter()
        .map(|row| {
            (
                row["channel"].as_str().unwrap(),
                row["text"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [("voice", "About the refund"), ("chat", "On its way")]
    );
    let mut grant = Grant::of("ana", Role::Viewer);
    grant.leads = Some(["L2".to_owned()].into());
    let mut ana = join(&backend, &backend.token(grant)).await;
    let refused = ask(&mut ana, "b1", json!({ "timeline": true, "lead_id": "L1" })).await;
    assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
}

#[tokio::test]
async fn the_connection_of_a_viewer_that_takes_nothing_is_closed() {
    let backend = Backend::start_with(
        |settings| settings.stall_max = Duration::from_millis(300),
        |_| {},
    )
    .await;
    begin(&backend).await;
    let call = backend.call("conv_1").unwrap().id;
    let address = backend.server.local_addr();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // What a phone in a tunnel has room for.
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let mut viewer = socket.connect(address).await.unwrap();
    let head = format!(
        "GET /api/stream/conversation/L1 HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Bearer {ADMIN}\r\n\r\n"
    );
    viewer.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 512];
    assert!(viewer.read(&mut first).await.unwrap() > 0);
    let open = backend.server.connections();
    // More than the sockets between can hold, and more frames than one may be behind.
    let text = "x".repeat(16_000);
    for block in 0..20_u32 {
        let facts = (0..50).map(|n| Fact::UtteranceFinal {
            turn: block * 50 + n + 1,
            track: Track::FromCaller,
            text: text.clone(),
            latency_ms: None,
        });
        let target = Target::Call(call);
        backend
            .core
            .switchboard
            .post(target, facts.collect())
            .await
            .unwrap();
    }
    let closed = async {
        while backend.server.connections() >= open {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed)
        .await
        .expect("the connection is closed, though nobody has read");
    // The viewer learns of it: after what had reached it there is an end.
    let mut rest = vec![0; 64 * 1024];
    let ended = async { while viewer.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("an end");
}
