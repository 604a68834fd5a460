//! Telephone calls whose agent is the pipeline: two carriers, three simulated servers, one
//! `config.toml`.

use std::sync::Arc;

use wallboard::simulator::pipeline::Endpoint;
use wallboard::simulator::speech::{Line, Script, library};

use crate::it::cli_rig::Home;
use crate::it::support::peers::{Peers, free_address, said, serve, shown};

/// A home in which each carrier's calls have a pipeline agent of their own.
fn home(peers: &Peers, url: &str) -> Home {
    let more = format!(
        r#"
[chat]
usd_llm_in = 1000.0
usd_llm_out = 1000.0
[chat.asr]
url = "{parts}"
api_key = "simulated-api-key"
[chat.llm]
url = "{parts}"
api_key = "simulated-api-key"
model = "rehearsal"
[chat.tts]
url = "{parts}"
api_key = "simulated-api-key"
voice = "anna"
[[agent]]
id = "cars"
kind = "pipeline"
welcome = "{cars}"
[[agent]]
id = "bills"
kind = "pipeline"
welcome = "{bills}"
[[route]]
match = {{ carrier = "twilio" }}
agent = "cars"
[[route]]
match = {{ carrier = "plivo" }}
agent = "bills"
fallback = {{ say = "Sorry." }}
"#,
        parts = peers.parts.url(),
        cars = first_line("wrong_number"),
        bills = first_line("barge_in"),
    );
    peers.home(url, &more)
}

fn find(id: &str) -> Arc<Script> {
    let script = library().iter().find(|script| script.id == id).unwrap();
    Arc::clone(script)
}

fn first_line(id: &str) -> String {
    match find(id).lines.first() {
        Some(Line::Agent(line)) => line.text.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_talks_with_the_pipeline_on_either_carrier() {
    let peers = Peers::start().await;
    let address = free_address().to_string();
    let url = format!("http://{address}");
    let home = home(&peers, &url);
    tokio::task::block_in_place(|| {
        assert_eq!(home.run(&["config", "check"]).expect(0).err, "");
        let _serve = serve(&home, &address);
        peers.expect("+12065550111", find("wrong_number"));
        peers.expect("+12065550112", find("barge_in"));
        let cars = peers.call_twilio(&url, "+12065550111").sid().to_owned();
        let bills = peers.call_plivo(&url, "+12065550112").uuid().to_owned();
        let call = shown(&home, &cars, |call| call["ended_at"].is_string());
        let caller = |text: &str| ("from_caller".to_owned(), text.to_owned());
        let agent = |text: &str| ("from_agent".to_owned(), text.to_owned());
        assert_eq!(
            said(&call)[..3],
            [
                agent("Hello, may I speak to the owner of the blue estate car you listed with us?"),
                caller("You've got the wrong number, mate. I ride a bicycle."),
                agent("My apologies. I will take this number off the list."),
            ]
        );
        assert_eq!(call["agent"], "cars");
        assert!(
            call["turn_p50_ms"].as_u64().is_some_and(|ms| ms > 800),
            "{call}"
        );
        assert!(
            call["cost_usd"].as_f64().is_some_and(|usd| usd > 0.0),
            "{call}"
        );
        // Broken into after 2.6 s: cut off there, remembered as cut off, and answered.
        let call = shown(&home, &bills, |call| said(call).len() >= 3);
        assert_eq!(said(&call)[1], caller("No, no. I'm calling about my bill."));
        let cut = call["utterances"][0]["cut_at_ms"]
            .as_u64()
            .unwrap_or_default();
        assert!((1_500..6_500).contains(&cut), "{call}");
        let seen = peers.parts.view();
        let asked = seen
            .asked
            .iter()
            .find(|asked| asked.to_string().contains("calling about my bill"))
            .unwrap();
        let before = asked["messages"][1]["content"].as_str().unwrap();
        assert!(before.starts_with("Welcome to Cedar Broadband.") && before.ends_with('—'));
        assert!(!before.contains("which start at"), "{before}");
        assert_eq!(seen.refused, 0);
        home.run(&["end", &bills]).expect(0);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_down_gets_the_fallback_line_and_then_the_carriers() {
    let peers = Peers::start().await;
    peers.parts.answer_with(Endpoint::Think, 500);
    let address = free_address().to_string();
    let url = format!("http://{address}");
    let home = home(&peers, &url);
    tokio::task::block_in_place(|| {
        let _serve = serve(&home, &address);
        peers.expect("+12065550113", find("wrong_number"));
        let id = peers.call_twilio(&url, "+12065550113").sid().to_owned();
        let excuse = "I am sorry, I have a technical problem";
        let call = shown(&home, &id, |call| {
            said(call).iter().any(|(_, text)| text.starts_with(excuse))
        });
        assert_eq!(call["agent_link"], "connected", "{call}");
        assert!(call.to_string().contains("wrong number"));
        home.run(&["end", &id]).expect(0);
    });
}
