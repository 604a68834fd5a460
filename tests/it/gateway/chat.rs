//! `/chat/v1` on a bare wire, with the pipeline behind it and simulated servers behind that.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wallboard::call::{Grant, Role, Verb};
use wallboard::simulator::pipeline::Endpoint;

use crate::it::support::backend::ADMIN;
use crate::it::support::socketio::SioClient;

use super::house::{House, WELCOME, answer};

const WORDS: &[u8] = include_bytes!("../../fixtures/pipeline/thursday.ulaw");
fn flags(chunks: &[Value], name: &str) -> Vec<usize> {
    let set = |(n, chunk): (usize, &Value)| (chunk["meta_info"][name] == true).then_some(n);
    chunks.iter().enumerate().filter_map(set).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_known_agent_it_is_told_and_put_out() {
    let house = House::open().await;
    for (auth, message) in [
        (json!({}), "No agent ID provided"),
        (
            json!({"agentId": "nobody"}),
            "Agent with ID nobody not found",
        ),
    ] {
        let mut client = house.join(auth).await;
        let (event, data) = client.event().await.unwrap();
        assert_eq!(
            (event.as_str(), &data["message"]),
            ("error", &json!(message))
        );
        assert!(data["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
        assert!(client.event().await.is_none(), "put out");
    }
    let wrong = json!({"agentId": "maya", "token": "wb_wrong"});
    let refused = SioClient::join(&house.backend.url, "/chat/v1", wrong).await;
    assert_eq!(refused.err().as_deref(), Some("unauthorized"));
    // Looking is not talking.
    let now = house.backend.core.clock.now();
    let viewer = house
        .backend
        .tokens
        .add(Grant::of("vi", Role::Viewer), now)
        .unwrap();
    let mut grant = Grant::of("page", Role::Viewer);
    grant.plus.insert(Verb::Chat);
    let page = house.backend.tokens.add(grant, now).unwrap();
    for (token, good) in [(viewer, false), (page, true)] {
        let auth = json!({"agentId": "quiet", "token": token});
        let mut joined = Err(String::new());
        // The token file is followed twice a second.
        for _ in 0..40 {
            joined = SioClient::join(&house.backend.url, "/chat/v1", auth.clone()).await;
            if joined.is_ok() == good {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(joined.is_ok(), good);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_welcomed_answered_and_heard() {
    let house = House::open().await;
    let mut client = house.join(json!({"agentId": "maya", "name": "Ada"})).await;
    let session = client.wait_for("session").await;
    let id = session["call"].as_str().unwrap().to_owned();
    let (chunks, text) = answer(&mut client).await;
    assert_eq!(text["data"], WELCOME, "word for word");
    assert_eq!(flags(&chunks, "is_first_chunk"), [0]);
    assert_eq!(
        flags(&chunks, "end_of_synthesizer_stream"),
        [chunks.len() - 1]
    );
    assert_eq!(flags(&chunks, "end_of_llm_stream"), [chunks.len() - 1]);
    let bytes: usize = chunks
        .iter()
        .map(|chunk| {
            let file = STANDARD.decode(chunk["data"].as_str().unwrap()).unwrap();
            assert_eq!(&file[..4], b"RIFF");
            file.len() - 44
        })
        .sum();
    assert!((3_900..4_500).contains(&(bytes / 32)), "{} ms", bytes / 32);
    let meta = &chunks[0]["meta_info"];
    assert_eq!(
        (
            &meta["format"],
            &meta["sample_rate"],
            &meta["message_category"]
        ),
        (
            &json!("wav"),
            &json!(16_000),
            &json!("agent_welcome_message")
        )
    );
    // A whole utterance at once.
    let audio = json!({"data": STANDARD.encode(WORDS),
        "meta_info": {"format": "mulaw", "stream_sid": "MZ1", "sequence_id": 42}});
    let ack = client.emit_acked("audio", audio).await;
    let (chunks, text) = answer(&mut client).await;
    assert_eq!(client.acked, [(ack, json!({"ok": true}))]);
    assert!(
        text["data"]
            .as_str()
            .unwrap()
            .starts_with("Yes, Mill Street"),
        "{text}"
    );
    for chunk in &chunks {
        assert_eq!(chunk["meta_info"]["stream_sid"], "MZ1");
        assert_eq!(chunk["meta_info"]["in_reply_to"], 42);
        assert_eq!(chunk["meta_info"]["sequence_id"], 2);
    }
    client
        .emit("text", json!({"data": "When are you open?"}))
        .await;
    let (_, text) = answer(&mut client).await;
    assert!(text["data"].as_str().unwrap().starts_with("We are open"));
    // On the board like any other.
    let call = house.call(&id).unwrap();
    assert_eq!(
        (call.facts.carrier.as_str(), call.facts.agent.as_deref()),
        ("chat", Some("maya"))
    );
    assert_eq!(call.facts.name.as_deref(), Some("Ada"));
    assert!(call.lines.len() >= 5 && !call.turns.is_empty(), "{call:?}");
    assert!(
        call.turns.iter().all(|turn| turn.token_ms <= turn.think_ms),
        "{:?}",
        call.turns
    );
    let whisper = house
        .backend
        .http
        .post(format!("{}/api/calls/{id}/whisper", house.backend.url))
        .bearer_auth(ADMIN)
        .json(&json!({"text": "offer Thursday"}))
        .send()
        .await
        .unwrap();
    assert!(whisper.status().is_success(), "{}", whisper.status());
    let ended = house
        .backend
        .http
        .post(format!("{}/api/calls/{id}/terminate", house.backend.url))
        .bearer_auth(ADMIN)
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    assert!(ended.status().is_success(), "{}", ended.status());
    assert_eq!(client.wait_for("ended").await["reason"], "hung up");
    assert!(client.event().await.is_none());
    house.until(&id, "ended", |call| !call.is_live()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_that_streams_in_breaks_into_the_answer() {
    let house = House::open().await;
    let mut client = house
        .join(json!({"agentId": "quiet", "format": "mulaw"}))
        .await;
    let id = client.wait_for("session").await["call"]
        .as_str()
        .unwrap()
        .to_owned();
    client
        .emit("text", json!({"data": "tell me a long story"}))
        .await;
    client.wait_for("audio").await;
    for piece in WORDS.chunks(800) {
        let data =
            json!({"data": STANDARD.encode(piece), "meta_info": {"format": "mulaw", "eos": false}});
        client.emit("audio", data).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(client.wait_for("clear").await["data"], Value::Null);
    let (_, cut) = answer(&mut client).await;
    assert_eq!(cut["meta_info"]["interrupted"], true, "{cut}");
    // How far the story got is a matter of how fast the machine is.
    let (heard, story) = (cut["data"].as_str().unwrap(), "Once upon a time");
    assert!(heard.starts_with("Once"), "{cut}");
    assert!(
        story.starts_with(heard) || heard.starts_with(story),
        "{cut}"
    );
    let (_, text) = answer(&mut client).await;
    assert!(
        text["data"]
            .as_str()
            .unwrap()
            .starts_with("Yes, Mill Street"),
        "{text}"
    );
    let call = house.call(&id).unwrap();
    assert_eq!(call.interruptions, 1);
    let asked = house.parts.view().asked.last().cloned().unwrap();
    let told = asked["messages"][2]["content"].as_str().unwrap().to_owned();
    assert!(
        told.ends_with('—') && told.len() < 200,
        "only what was heard: {told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told_and_survived() {
    let house = House::open().await;
    let mut client = house.join(json!({"agentId": "quiet"})).await;
    client.wait_for("session").await;
    let rows = [
        ("audio", json!({"data": "?!"}), "bad_base64"),
        (
            "audio",
            json!({"data": "AAAA", "meta_info": {"format": "opus"}}),
            "wrong_format",
        ),
        (
            "audio",
            json!({"data": "AAAA", "meta_info": {"sample_rate": 7}}),
            "wrong_format",
        ),
        (
            "audio",
            json!({"data": STANDARD.encode(vec![0; 700_000])}),
            "too_large",
        ),
        ("audio", json!({}), "no_audio"),
        ("audio", json!(7), "no_audio"),
        ("text", json!({"data": ["x"]}), "no_text"),
        ("text", json!({"data": "  "}), "no_text"),
        ("text", json!({"data": "x".repeat(5_000)}), "too_large"),
    ];
    for (event, data, code) in rows {
        let ack = client.emit_acked(event, data).await;
        let error = client.wait_for("error").await;
        assert_eq!(error["code"], code, "{error}");
        for field in ["message", "where", "hint"] {
            assert!(error[field].is_string(), "{error}");
        }
        let acked = client.acked.pop();
        let (number, answer) = match acked {
            Some(acked) => acked,
            None => {
                client.emit_bare("clear").await;
                client.wait_for("clear").await;
                client.acked.pop().unwrap()
            }
        };
        assert_eq!((number, &answer["ok"]), (ack, &json!(false)));
    }
    // Two minutes of sound in one breath.
    let minute = STANDARD.encode(vec![0xFF; 240_000]);
    for _ in 0..6 {
        let data = json!({"data": minute, "meta_info": {"format": "mulaw", "eos": false}});
        client.emit("audio", data).await;
    }
    assert_eq!(client.wait_for("error").await["code"], "too_fast");
    client.emit("text", json!("hello")).await;
    let (_, text) = answer(&mut client).await;
    assert!(
        text["data"].as_str().unwrap().starts_with("Hello!"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_turn_after_the_other_and_clear_forgets_them() {
    let house = House::open().await;
    let mut client = house.join(json!({"agentId": "quiet"})).await;
    client.wait_for("session").await;
    for n in 0..6 {
        let text = if n == 0 {
            "tell me a long story"
        } else {
            "hello"
        };
        client.emit("text", json!({"data": text})).await;
    }
    assert_eq!(client.wait_for("error").await["message"], "busy");
    client.wait_for("audio").await;
    client.emit_bare("clear").await;
    client.wait_for("clear").await;
    client
        .emit("text", json!({"data": "When are you open?"}))
        .await;
    let (chunks, text) = answer(&mut client).await;
    // What was heard of the story may be told, before the answer to what was asked last or with it.
    let answers = |text: &Value| text["data"].as_str().unwrap().contains("We are open");
    let text = if answers(&text) {
        text
    } else {
        assert_eq!(text["meta_info"]["interrupted"], true, "{text}");
        assert!(chunks.is_empty(), "no audio of it follows");
        answer(&mut client).await.1
    };
    assert!(answers(&text), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_client_finds_its_conversation_again() {
    let house = House::open().await;
    let mut client = house
        .join(json!({"agentId": "quiet", "audio": false}))
        .await;
    let session = client.wait_for("session").await;
    assert_eq!(session["resumed"], false);
    client.emit("text", json!({"data": "hello"})).await;
    answer(&mut client).await;
    client
        .emit("text", json!({"data": "When are you open?"}))
        .await;
    drop(client);
    let key = session["session"].clone();
    let mut again = house
        .join(json!({"agentId": "quiet", "audio": false, "session": key, "since": 1}))
        .await;
    let back = again.wait_for("session").await;
    assert_eq!(
        (&back["resumed"], &back["call"]),
        (&json!(true), &session["call"])
    );
    let (_, text) = answer(&mut again).await;
    assert!(
        text["data"].as_str().unwrap().starts_with("We are open"),
        "{text}"
    );
    assert!(
        house
            .parts
            .view()
            .spoken
            .iter()
            .all(|text| !text.contains("nine to five")),
        "nobody listens, nothing is synthesised"
    );
    // A second socket says what it has, and gets the rest: all of it, or nothing.
    let auth = |since: u64| json!({"agentId": "quiet", "audio": false, "session": session["session"], "since": since});
    let mut tab = house.join(auth(0)).await;
    for (sequence, begins) in [(1, "Hello!"), (2, "We are open")] {
        let (_, text) = answer(&mut tab).await;
        assert_eq!(text["meta_info"]["sequence_id"], sequence, "{text}");
        assert!(text["data"].as_str().unwrap().starts_with(begins), "{text}");
    }
    let mut tab = house.join(auth(2)).await;
    tab.wait_for("session").await;
    again.emit("text", json!({"data": "blue"})).await;
    let (_, text) = answer(&mut tab).await;
    assert_eq!(text["meta_info"]["sequence_id"], 3, "{text}");
    // Somebody else with the same agent is in a conversation of their own.
    let mut other = house
        .join(json!({"agentId": "quiet", "audio": false}))
        .await;
    assert_ne!(other.wait_for("session").await["call"], session["call"]);
    other.emit("text", json!({"data": "blue"})).await;
    answer(&mut other).await;
    let asked = house.parts.view().asked.last().cloned().unwrap();
    assert_eq!(asked["messages"].as_array().unwrap().len(), 2, "{asked}");
    // A wrong key opens nothing.
    let mut stranger = house
        .join(json!({"agentId": "quiet", "session": "0".repeat(32)}))
        .await;
    assert_eq!(stranger.wait_for("session").await["resumed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_agent_hold_here_too() {
    let house = House::open().await;
    let mut first = house.join(json!({"agentId": "one"})).await;
    first.wait_for("session").await;
    let mut second = house.join(json!({"agentId": "one"})).await;
    let error = second.wait_for("error").await;
    assert_eq!(error["code"], "overloaded", "{error}");
    assert!(second.event().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_down_is_told_and_the_conversation_goes_on() {
    let house = House::with(|settings| settings.chat_public = true).await;
    let auth = json!({"agentId": "quiet"});
    let mut client = SioClient::join(&house.backend.url, "/chat/v1", auth)
        .await
        .unwrap();
    client.wait_for("session").await;
    house.parts.answer_with(Endpoint::Think, 500);
    client.emit("text", json!({"data": "hello"})).await;
    assert_eq!(client.wait_for("error").await["code"], "part_failed");
    let (chunks, text) = answer(&mut client).await;
    assert!(
        text["data"].as_str().unwrap().starts_with("I am sorry"),
        "{text}"
    );
    assert!(!chunks.is_empty());
    house.parts.answer_with(Endpoint::Think, 200);
    client.emit("text", json!({"data": "hello"})).await;
    let (_, text) = answer(&mut client).await;
    assert!(
        text["data"].as_str().unwrap().starts_with("Hello!"),
        "{text}"
    );
}
