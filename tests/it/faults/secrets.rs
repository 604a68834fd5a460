//! Canary secrets: exercised in every way that fails, they turn up nowhere.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::json;
use wallboard::simulator::elevenlabs::AgentFaults;
use wallboard::simulator::line::Faults;

use super::process::{Extra, Serve, read};
use super::rig::{ADMIN, API_KEY, AUTH_TOKEN, Peers, Plot, WEBHOOK_SECRET, chat, webhook};

const GUESS: &str = "wb_canary_of_a_guesser";

fn files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// Everything that answers with an error, as one text.
async fn exercise(peers: &Peers, serve: &Serve) -> String {
    let mut answers = String::new();
    calls(peers, serve, &mut answers).await;
    // Guessed tokens, forged and broken webhooks.
    for path in [
        "/api/calls",
        "/metrics",
        "/api/recordings/x",
        "/api/webhooks",
    ] {
        let request = serve.http.get(format!("{}{path}?token={GUESS}", serve.url));
        let answer = request.bearer_auth(GUESS).send().await.unwrap();
        for value in answer.headers().values() {
            answers.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
        answers.push_str(&answer.text().await.unwrap());
        let request = serve.http.get(format!("{}{path}", serve.url));
        let answer = request.bearer_auth(ADMIN).send().await.unwrap();
        answers.push_str(&answer.text().await.unwrap());
    }
    for path in [
        "/incoming-call",
        "/call-status-callback",
        "/api/webhooks/elevenlabs/post-call",
    ] {
        let request = serve.http.post(format!("{}{path}", serve.url));
        let request = request.header("x-twilio-signature", AUTH_TOKEN);
        let request = request.header("elevenlabs-signature", WEBHOOK_SECRET);
        let answer = request.body(format!("a={API_KEY}")).send().await.unwrap();
        answers.push_str(&answer.text().await.unwrap());
    }
    let bad = [("CallSid", "../../x")];
    let answer = webhook(&serve.http, &serve.url, "/call-status-callback", &bad).await;
    answers.push_str(&answer.text().await.unwrap());
    // The verbs that speak about the configuration.
    for verb in [
        &["config", "print"][..],
        &["config", "print", "--origin"],
        &["config", "check"],
        &["doctor", "--json"],
        &["ls", "--json"],
        &["webhooks"],
        &["token", "ls"],
        &["end", "nothing", "--json"],
    ] {
        let output = serve.command(verb).output().unwrap();
        answers.push_str(&String::from_utf8_lossy(&output.stdout));
        answers.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    answers
}

async fn calls(peers: &Peers, serve: &Serve, answers: &mut String) {
    // Calls that work, calls whose agent refuses.
    let calls: Vec<_> = (0..4)
        .map(|number| peers.ring(&serve.url, 1000 + number, chat(), true))
        .collect();
    for call in &calls {
        call.wait("its agent, or the fallback", |view| {
            view.heard_ms >= 100 || view.is_over()
        })
        .await
        .unwrap();
    }
    for sid in serve.live().await {
        for verb in [
            "terminate",
            "record/start",
            "transfer",
            "whisper",
            "nonsense",
        ] {
            let answer = serve
                .post(
                    &format!("/api/calls/{sid}/{verb}"),
                    json!({ "to": "x", "text": "y" }),
                )
                .await;
            answers.push_str(&answer.text().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canary_secrets_numbers_and_words_turn_up_in_no_output() {
    let peers = Peers::start(&Plot {
        agent: AgentFaults {
            rate_limit_pct: 50.0,
            ..AgentFaults::default()
        },
        carrier: Faults {
            rest_5xx_pct: 30.0,
            ..Faults::default()
        },
        ..Plot::default()
    })
    .await;
    let tables = format!("[plivo]\nauth_token = \"{GUESS}x\"\n[openai]\napi_key = \"{GUESS}y\"");
    let mut serve = Serve::start(
        &peers,
        Extra {
            bridge: "fallback_message = \"Goodbye.\"",
            server: "",
            tables: &tables,
        },
    )
    .await;
    let answers = exercise(&peers, &serve).await;
    serve.signal(Signal::SIGTERM);
    serve.signal(Signal::SIGTERM);
    serve.exited(10).await;

    let said = serve.said();
    let mut kept = Vec::new();
    files(&serve.dir.path().join("data"), &mut kept);
    for canary in [ADMIN, AUTH_TOKEN, API_KEY, WEBHOOK_SECRET, GUESS] {
        assert!(
            !said.contains(canary),
            "{canary} in the log:\n{}",
            around(&said, canary)
        );
        assert!(
            !answers.contains(canary),
            "{canary} answered:\n{}",
            around(&answers, canary)
        );
        for path in &kept {
            let is_token = path.file_name().is_some_and(|name| name == "token");
            let bytes = read(path);
            let holds = bytes
                .windows(canary.len())
                .any(|part| part == canary.as_bytes());
            assert!(is_token || !holds, "{canary} in {}", path.display());
        }
    }
    for private in ["4155551000", "4155551001", "Agent line", "Caller line"] {
        assert!(
            !said.contains(private),
            "{private} in the log:\n{}",
            around(&said, private)
        );
    }
    assert!(said.len() > 500, "something was logged:\n{said}");
}

/// The line a word was found in.
fn around(text: &str, word: &str) -> String {
    text.lines()
        .filter(|line| line.contains(word))
        .take(3)
        .collect::<Vec<_>>()
        .join("\n")
}
