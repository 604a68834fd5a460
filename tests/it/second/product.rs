//! The real program between two simulated carriers and two simulated agent vendors: what a user
//! writes into `config.toml` is all there is.

use std::sync::Arc;

use serde_json::Value;
use wallboard::simulator::speech::{Ending, Script};

use crate::it::cli_rig::Home;
use crate::it::support::peers::{Peers, at, free_address, said, serve, shown};

fn whole(call: &Value) -> bool {
    let said = said(call);
    let words: Vec<&str> = said.iter().map(|(_, words)| words.as_str()).collect();
    words == ["Agent line 0", "Caller line 0", "Agent line 1"]
}

const ROUTES: &str = r#"
[[agent]]
id = "gpt"
kind = "openai"
voice = "cedar"
[[agent]]
id = "eleven"
kind = "elevenlabs"
[[route]]
match = { carrier = "twilio", direction = "outbound" }
agent = "gpt"
[[route]]
match = { carrier = "plivo", to = "+12065550104" }
agent = "eleven"
fallback = { say = "Sorry." }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_combination_is_a_matter_of_configuration() {
    let peers = Peers::start().await;
    let address = free_address().to_string();
    let url = format!("http://{address}");
    let home = peers.home(&url, ROUTES);
    tokio::task::block_in_place(|| {
        assert_eq!(home.run(&["config", "check"]).expect(0).err, "");
        let (_serve, printed) = serve(&home, &address);
        for path in ["/incoming-call", "/answer", "/fallback", "/hangup"] {
            assert!(printed.contains(&at(&url, path)), "{path}: {printed}");
        }
        let customers = [
            "+12065550101",
            "+12065550102",
            "+12065550103",
            "+12065550104",
        ];
        let script = Script::tones("t", 3, 300).with_ending(Ending::Nobody);
        let script = Arc::new(script);
        for customer in customers {
            peers.expect(customer, Arc::clone(&script));
        }
        let twilio_in = peers.call_twilio(&url, customers[0]);
        let plivo_in = peers.call_plivo(&url, customers[1]);
        let placed = |args: &[&str]| {
            let said = home.run(&[&["call", "--json", "--no-wait"], args].concat());
            said.expect(0).lines()[0]["id"].as_str().unwrap().to_owned()
        };
        let twilio_out = placed(&[customers[2], "--carrier", "twilio"]);
        // Nobody named a carrier: the configured one places it.
        let plivo_out = placed(&[customers[3]]);
        let rows = [
            (twilio_in.sid(), "twilio", "inbound", "elevenlabs"),
            (plivo_in.uuid(), "plivo", "inbound", "openai"),
            (&twilio_out, "twilio", "outbound", "gpt"),
            (&plivo_out, "plivo", "outbound", "eleven"),
        ];
        for (id, carrier, direction, agent) in rows {
            let call = shown(&home, id, whole);
            assert_eq!(
                (call["carrier"].as_str(), call["direction"].as_str()),
                (Some(carrier), Some(direction))
            );
            assert_eq!(call["agent"], agent, "{call}");
            assert_eq!(call["agent_link"], "connected");
            home.run(&["end", id]).expect(0);
            let ended = shown(&home, id, |call| call["ended_at"].is_string());
            assert_eq!(ended["status"], "completed");
            if carrier == "plivo" {
                let cause = ended["end_cause"].as_str().unwrap_or_default();
                assert!(cause.contains("(4000 NORMAL_CLEARING)"), "{ended}");
                assert_eq!(ended["ended_by"], "API request");
            }
        }
        for talk in peers.openai.conversations() {
            assert!(talk.view().refused.is_empty(), "{:?}", talk.view().refused);
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_is_told_to_the_agent_of_a_bridged_call() {
    let peers = Peers::start().await;
    let address = free_address().to_string();
    let url = format!("http://{address}");
    let told = "From {{caller_number}} to {{called_number}}. Before: {{conversation_context}}";
    let more = format!(
        "[[agent]]\nid = \"gpt\"\nkind = \"openai\"\ninstructions = \"{told}\"\n\
         [[agent]]\nid = \"eleven\"\nkind = \"elevenlabs\"\n"
    );
    let home = peers.home(&url, &more);
    tokio::task::block_in_place(|| {
        let (_serve, _) = serve(&home, &address);
        let token = std::fs::read_to_string(home.data().join("token")).unwrap();
        let message =
            serde_json::json!({"text": "Where is my parcel?", "sentBy": "user", "channel": "sms"});
        let written = tokio::runtime::Handle::current().block_on(
            reqwest::Client::new()
                .post(format!("{url}/api/leads/L7/messages"))
                .bearer_auth(token.trim())
                .json(&message)
                .send(),
        );
        assert_eq!(written.unwrap().status(), 200);
        let script = Script::tones("t", 3, 300).with_ending(Ending::Nobody);
        let script = Arc::new(script);
        for (agent, number) in [("eleven", "+12065550111"), ("gpt", "+12065550112")] {
            peers.expect(number, Arc::clone(&script));
            let said = home.run(&[
                "call",
                number,
                "--lead",
                "L7",
                "--agent",
                agent,
                "--json",
                "--no-wait",
            ]);
            let id = said.expect(0).lines()[0]["id"].as_str().unwrap().to_owned();
            shown(&home, &id, |call| call["agent_link"] == "connected");
            home.run(&["end", &id]).expect(0);
        }
        let begin = peers.elevenlabs.conversations()[0].view().begin.unwrap();
        let context = begin.variable("conversation_context");
        assert!(context.contains("user: Where is my parcel?"), "{context}");
        let session = peers.openai.conversations()[0].view().session.unwrap();
        let instructions = session["instructions"].as_str().unwrap();
        let before = instructions.split("Before: ").nth(1).unwrap();
        assert!(
            before.contains("user: Where is my parcel?"),
            "{instructions}"
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_asks_every_vendor_that_is_set_up() {
    let peers = Peers::start().await;
    let checks = |home: &Home| {
        let said = home.run(&["doctor", "--live", "--json"]);
        let rows = said.lines().into_iter();
        rows.map(|row| {
            let word = |name: &str| row[name].as_str().unwrap().to_owned();
            (word("check"), word("state"))
        })
        .collect::<Vec<_>>()
    };
    tokio::task::block_in_place(|| {
        let home = peers.home("http://127.0.0.1:9", "");
        let found = checks(&home);
        for vendor in ["twilio", "plivo", "elevenlabs", "openai"] {
            let live = format!("live-{vendor}");
            for name in [vendor, &live] {
                let ok = (name.to_owned(), "ok".to_owned());
                assert!(found.contains(&ok), "{name}: {found:?}");
            }
        }
        let home = home
            .with("PLIVO_AUTH_TOKEN", "another")
            .with("OPENAI_API_KEY", "sk-another");
        let found = checks(&home);
        for name in ["live-plivo", "live-openai"] {
            let failed = (name.to_owned(), "fail".to_owned());
            assert!(found.contains(&failed), "{name}: {found:?}");
        }
        // Nobody is told of what they do not use.
        let alone = Home::new()
            .with("PLIVO_AUTH_ID", "MA1")
            .with("PLIVO_AUTH_TOKEN", "t");
        let found = alone.run(&["doctor", "--json"]).expect(0);
        let names: Vec<Value> = found
            .lines()
            .into_iter()
            .map(|mut row| row["check"].take())
            .collect();
        assert!(names.contains(&"plivo".into()) && names.contains(&"openai".into()));
        assert!(!names.contains(&"twilio".into()) && !names.contains(&"elevenlabs".into()));
    });
}

#[test]
fn every_fake_of_plivo_is_taken_and_a_forged_one_is_not() {
    let home = Home::new()
        .with("PLIVO_AUTH_ID", "MA1")
        .with("PLIVO_AUTH_TOKEN", "test-token");
    let _serve = home.serve();
    let uuid = "11111111-2222-4333-8444-555555555555";
    let kinds = home.run(&["trigger", "--json"]).expect(0).lines();
    let events: Vec<&str> = kinds
        .iter()
        .filter_map(|kind| kind["event"].as_str())
        .filter(|event| event.starts_with("plivo.") && *event != "plivo.hangup")
        .collect();
    assert_eq!(events.len(), 5);
    let mut url = String::new();
    for event in events {
        let said = home.run(&["trigger", event, "--sid", uuid, "--json"]);
        let said = said.expect(0).lines();
        assert_eq!(said[0]["status"].as_u64().unwrap() / 100, 2, "{event}");
        let whole = said[0]["url"].as_str().unwrap();
        url = whole.rsplit_once('/').unwrap().0.to_owned();
    }
    let call = shown(&home, uuid, |call| call["status"] == "in-progress");
    assert_eq!(call["answered_by"], "machine_start");
    home.run(&["trigger", "plivo.hangup", "--sid", uuid])
        .expect(0);
    let call = shown(&home, uuid, |call| call["ended_at"].is_string());
    assert_eq!(call["end_cause"], "Normal Hangup (4000 NORMAL_CLEARING)");
    assert_eq!(call["ended_by"], "caller");
    let forger = Home::new()
        .with("PLIVO_AUTH_TOKEN", "guessed")
        .with("WALLBOARD_URL", &url);
    forger.run(&["trigger", "plivo.hangup"]).expect(3);
    let rows = home.run(&["webhooks", "--json"]).expect(0);
    assert!(rows.out.contains("wrong_secret"), "{}", rows.out);
}

#[test]
fn simulate_plays_the_second_carrier_and_the_second_agent() {
    let home = Home::new();
    let mut agent = home.start(&["simulate", "agent", "--vendor", "openai"]);
    let ready: Value = serde_json::from_str(&agent.line()).unwrap();
    let home = home
        .with("PLIVO_AUTH_TOKEN", "test-token")
        .with("OPENAI_API_KEY", "simulated-api-key")
        .with(
            "WALLBOARD_OPENAI__REALTIME_URL",
            ready["realtime_url"].as_str().unwrap(),
        );
    let _serve = home.serve();
    let said = home
        .run(&[
            "simulate", "carrier", "--vendor", "plivo", "--calls", "3", "--ramp", "300ms",
            "--hold", "3s",
        ])
        .expect(0)
        .lines();
    assert!(said[0]["api_base"].is_string() && said[0]["auth_id"].is_string());
    let report = &said[1];
    assert_eq!(report["calls_placed"], 3, "{report}");
    assert_eq!(report["calls_streamed"], 3, "{report}");
    assert_eq!(report["calls_stuck"], 0, "{report}");
    assert_eq!(report["errors"], serde_json::json!({}), "{report}");
    assert_eq!(report["by_status"]["completed"], 3, "{report}");
    assert!(report["frames_sent"].as_u64().unwrap() > 300, "{report}");
    agent.terminate();
    let said = agent.wait(10).expect(0);
    let figures: Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert_eq!(figures["conversations"], 3, "{figures}");
    assert_eq!(figures["messages_refused"], 0, "{figures}");
    assert_eq!(figures["sockets_open"], 0, "{figures}");
}
