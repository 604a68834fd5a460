//! Hands on the call, on a whole backend and on the real program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::post;
use serde_json::{Value, json};
use wallboard::call::{CallId, Secret};
use wallboard::engine::{AgentTool, Clock, ToolAsk};
use wallboard::providers::hooks::shell::HookTool;
use wallboard::providers::hooks::{HookSettings, sign};

use crate::it::cli_rig::{Home, Running, until};
use crate::it::support::pty::Screen;
use crate::it::support::serve;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn tool(url: String, allow_loopback: bool) -> HookTool {
    let settings = HookSettings {
        name: "lookup".into(),
        url,
        secret: Some(Secret::new(SECRET)),
        timeout: Duration::from_millis(700),
        allow_loopback,
    };
    HookTool::new(settings, Clock::start()).unwrap()
}

fn ask() -> ToolAsk {
    ToolAsk {
        call: CallId::from_parts(1, [1; 10]),
        tool_call_id: "call_7".into(),
        lead_id: Some("L1".into()),
        args: json!({"order": "A1"}),
    }
}

async fn server(hits: Arc<AtomicUsize>) -> String {
    let checked = |headers: HeaderMap, body: String| async move {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let at: i64 = header("webhook-timestamp").parse().unwrap();
        let wanted = sign(&Secret::new(SECRET), "call_7", at, body.as_bytes());
        assert_eq!(header("webhook-signature"), wanted);
        assert_eq!(header("webhook-id"), "call_7");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["data"]["arguments"]["order"], "A1");
        assert_eq!(body["data"]["lead_id"], "L1");
        "{\"status\":\"shipped\\u0007\"}"
    };
    let router = Router::new()
        .route("/good", post(checked))
        .route("/big", post(|| async { "x".repeat(20_000) }))
        .route(
            "/no",
            post(|| async { (StatusCode::NOT_FOUND, "no such order") }),
        )
        .route(
            "/slow",
            post(|| async {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }),
        )
        .route(
            "/away",
            post(|| async { Redirect::temporary("/secret").into_response() }),
        )
        .route(
            "/secret",
            post(move || async move {
                hits.fetch_add(1, Ordering::Relaxed);
            }),
        );
    serve(router).await
}

#[tokio::test]
async fn a_tool_is_asked_signed_and_bounded_and_follows_nobody() {
    let hits = Arc::new(AtomicUsize::new(0));
    let base = server(Arc::clone(&hits)).await;
    let run = async |path: &str| tool(format!("{base}{path}"), true).run(ask()).await;
    assert_eq!(
        run("/good").await.unwrap(),
        "{\"status\":\"shipped\\u0007\"}"
    );
    for (path, says) in [
        ("/big", "larger than"),
        ("/no", "404: no such order"),
        ("/slow", "did not answer within 700 ms"),
        ("/away", "redirect"),
    ] {
        let error = run(path).await.unwrap_err();
        assert!(error.contains(says), "{path}: {error}");
    }
    assert_eq!(hits.load(Ordering::Relaxed), 0);
    // Without leave, this machine is no place to ask, by whatever name.
    let port = base.rsplit(':').next().unwrap();
    let settings = |url: String| HookSettings {
        name: "x".into(),
        url,
        secret: None,
        timeout: Duration::from_secs(1),
        allow_loopback: false,
    };
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
        let url = format!("https://{host}:{port}/secret");
        assert!(
            HookTool::new(settings(url), Clock::start()).is_err(),
            "{host}"
        );
    }
    assert_eq!(hits.load(Ordering::Relaxed), 0);
}

/// A demo, and a home whose verbs speak to it.
fn demo() -> (Running, Home, String, String) {
    let home = Home::new();
    let mut running = home.start(&["demo", "--headless", "--calls", "3", "--seed", "7"]);
    let ready: Value = serde_json::from_str(&running.line()).unwrap();
    let word = |name: &str| ready[name].as_str().unwrap().to_owned();
    let (url, token) = (word("url"), word("token"));
    let home = home
        .with("WALLBOARD_URL", &url)
        .with("WALLBOARD_TOKEN", &token);
    (running, home, url, token)
}

/// A call whose agent is connected.
fn connected(home: &Home) -> String {
    until("an agent on a call", 30, || {
        let rows = home.run(&["ls", "--live", "--json"]).expect(0).lines();
        let row = rows.iter().find(|row| row["agent_link"] == "connected")?;
        row["id"].as_str().map(str::to_owned)
    })
}

fn shown(home: &Home, id: &str) -> Value {
    home.run(&["show", id, "--json"])
        .expect(0)
        .lines()
        .remove(0)
}

#[test]
fn every_order_has_a_verb_and_words_typed_in_a_shell_reach_the_caller() {
    let (_running, home, ..) = demo();
    let id = connected(&home);
    let done = |args: &[&str]| {
        let said = home.run(&[args, &["--json"]].concat());
        assert_eq!(said.code, 0, "{args:?}: {}{}", said.out, said.err);
        assert_eq!(said.lines()[0]["state"], "done", "{args:?}");
    };
    done(&["whisper", &id, "Offer ten percent"]);
    done(&["pause", &id]);
    done(&["resume", &id]);
    done(&["takeover", &id]);
    done(&["say", &id, "I am Ana from the team"]);
    let said = |id: &str| {
        let call = shown(&home, id);
        let lines = call["utterances"].as_array().cloned().unwrap_or_default();
        lines.iter().any(|line| {
            line["track"] == "from_operator" && line["text"] == "I am Ana from the team"
        })
    };
    assert!(said(&id));
    home.run(&["pause", &id]).expect(1);
    done(&["handback", &id, "--note", "Ana promised a credit"]);
    home.run(&["handback", &id]).expect(1);
    home.run(&["say", "no-such-call", "x"]).expect(4);
}

#[test]
fn an_attached_operator_who_is_killed_gives_the_call_back_after_ten_seconds() {
    let (_running, home, url, token) = demo();
    connected(&home);
    let mut screen = Screen::start(
        &["attach", &url],
        120,
        40,
        &[("WALLBOARD_TOKEN", token.as_str())],
    );
    screen.wait("a call to take", 20, |text| text.contains("IN CALL"));
    screen.keys("T");
    screen.wait_for("you speak", 10);
    let holder = || {
        let rows = home.run(&["ls", "--live", "--json"]).expect(0).lines();
        rows.iter()
            .filter_map(|row| row["id"].as_str())
            .find_map(|id| {
                let call = shown(&home, id);
                let by = call["held_by"].as_str()?.to_owned();
                Some((id.to_owned(), by))
            })
    };
    let (id, _by) = until("the call is held", 10, holder);
    screen.signal(nix::sys::signal::Signal::SIGKILL);
    let killed = std::time::Instant::now();
    until("the agent has it again", 30, || {
        let call = shown(&home, &id);
        let over = call["status"] != "in-progress";
        (over || call["held_by"].is_null()).then_some(())
    });
    assert!(killed.elapsed() < Duration::from_secs(25));
}
