//! Telephone calls whose agent is the pipeline: two carriers, three simulated servers, one
//! `config.toml`.

use std::sync::Arc;

use serde_json::Value;
use wallboard::engine::Tasks;
use wallboard::simulator::Cast;
use wallboard::simulator::pipeline::{Endpoint, PipelineSim, PipelineSimConfig};
use wallboard::simulator::plivo::{PlivoInbound, PlivoSim, PlivoSimConfig};
use wallboard::simulator::speech::{Script, library};
use wallboard::simulator::twilio::{InboundCall, Timing, TwilioSim, TwilioSimConfig};

use crate::it::cli_rig::{Home, until};

const SECRET: &str = "simulated-auth-token";

struct Peers {
    twilio: TwilioSim,
    plivo: PlivoSim,
    parts: PipelineSim,
    cast: Cast,
    tasks: Tasks,
}

impl Peers {
    async fn start() -> Self {
        let (tasks, cast) = (Tasks::new(), Cast::default());
        let twilio = TwilioSimConfig {
            auth_token: SECRET.to_owned(),
            cast: cast.clone(),
            timing: Timing::quick(),
            ..TwilioSimConfig::default()
        };
        let plivo = PlivoSimConfig {
            cast: cast.clone(),
            timing: Timing::quick(),
            ..PlivoSimConfig::default()
        };
        let parts = PipelineSimConfig {
            api_key: Some("simulated-api-key".into()),
            ..PipelineSimConfig::default()
        };
        Self {
            twilio: TwilioSim::start(twilio, &tasks).await.unwrap(),
            plivo: PlivoSim::start(plivo, &tasks).await.unwrap(),
            parts: PipelineSim::start(parts, &tasks).await.unwrap(),
            cast,
            tasks,
        }
    }

    /// A home whose configuration names these peers.
    fn home(&self, url: &str) -> Home {
        let home = Home::new();
        home.configure(&format!(
            r#"
[server]
public_url = "{url}"
[twilio]
account_sid = "{sid}"
auth_token = "{SECRET}"
phone_number = "{twilio_number}"
api_base = "{twilio}"
[plivo]
auth_id = "{id}"
auth_token = "{SECRET}"
phone_number = "{plivo_number}"
api_base = "{plivo}"
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
            sid = self.twilio.account_sid(),
            twilio_number = self.twilio.number(),
            twilio = self.twilio.api_base(),
            id = self.plivo.auth_id(),
            plivo_number = self.plivo.number(),
            plivo = self.plivo.api_base(),
            parts = self.parts.url(),
            cars = first_line("wrong_number"),
            bills = first_line("barge_in"),
        ));
        home
    }

    fn call(&self, url: &str, from: &str, script: &str) -> String {
        self.cast.assign(from, find(script));
        self.twilio
            .place_inbound(InboundCall {
                from: from.to_owned(),
                caller_name: None,
                voice_url: format!("{url}/incoming-call#rc=3&rp=all"),
                fallback_url: None,
                status_callback: Some(format!("{url}/call-status-callback#rc=3&rp=all")),
            })
            .sid()
            .to_owned()
    }

    fn plivo_call(&self, url: &str, from: &str, script: &str) -> String {
        self.cast.assign(from, find(script));
        self.plivo
            .place_inbound(PlivoInbound {
                from: from.to_owned(),
                caller_name: None,
                answer_url: format!("{url}/answer#rc=3&rp=all"),
                fallback_url: Some(format!("{url}/fallback#rc=3&rp=all")),
                hangup_url: Some(format!("{url}/hangup#rc=3&rp=all")),
            })
            .uuid()
            .to_owned()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

fn free_address() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

fn find(id: &str) -> Arc<Script> {
    let script = library().iter().find(|script| script.id == id).unwrap();
    Arc::clone(script)
}

fn first_line(id: &str) -> String {
    match find(id).lines.first() {
        Some(wallboard::simulator::speech::Line::Agent(line)) => line.text.clone(),
        other => panic!("{other:?}"),
    }
}

fn shown(home: &Home, id: &str, seconds: u64, wanted: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{id} is as wanted"), seconds, || {
        let said = home.run(&["show", id, "--json"]);
        let call: Value = serde_json::from_str(said.out.lines().next()?).ok()?;
        wanted(&call).then_some(call)
    })
}

fn said(call: &Value) -> Vec<(String, String)> {
    let lines = call["utterances"].as_array().cloned().unwrap_or_default();
    let word = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .iter()
        .map(|line| (word(line, "track"), word(line, "text")))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_talks_with_the_pipeline_on_either_carrier() {
    let peers = Peers::start().await;
    let home = peers.home("http://127.0.0.1:1");
    tokio::task::block_in_place(|| {
        assert_eq!(home.run(&["config", "check"]).expect(0).err, "");
    });
    // The address is known before it is bound, because carriers sign over it.
    let address = free_address();
    let url = format!("http://{address}");
    let home = peers.home(&url);
    tokio::task::block_in_place(|| {
        let _serve = home.start(&["serve", "--listen", &address]);
        until("it serves", 20, || {
            std::net::TcpStream::connect(&address).ok()
        });
        let cars = peers.call(&url, "+12065550111", "wrong_number");
        let bills = peers.plivo_call(&url, "+12065550112", "barge_in");
        let call = shown(&home, &cars, 60, |call| call["ended_at"].is_string());
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
        let call = shown(&home, &bills, 60, |call| said(call).len() >= 3);
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
    let address = free_address();
    let url = format!("http://{address}");
    let home = peers.home(&url);
    tokio::task::block_in_place(|| {
        let _serve = home.start(&["serve", "--listen", &address]);
        until("it serves", 20, || {
            std::net::TcpStream::connect(&address).ok()
        });
        let id = peers.call(&url, "+12065550113", "wrong_number");
        let excuse = "I am sorry, I have a technical problem";
        let call = shown(&home, &id, 60, |call| {
            said(call).iter().any(|(_, text)| text.starts_with(excuse))
        });
        assert_eq!(call["agent_link"], "connected", "{call}");
        assert!(call.to_string().contains("wrong number"));
        home.run(&["end", &id]).expect(0);
    });
}
