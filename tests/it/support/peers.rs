//! Every vendor simulated on loopback, and the real program between them with a `config.toml` as a user
//! writes it.

use std::sync::Arc;

use serde_json::Value;
use wallboard::engine::Tasks;
use wallboard::simulator::Cast;
use wallboard::simulator::elevenlabs::{ElevenLabsSim, ElevenLabsSimConfig};
use wallboard::simulator::line::Timing;
use wallboard::simulator::openai::{OpenAiSim, OpenAiSimConfig};
use wallboard::simulator::pipeline::{PipelineSim, PipelineSimConfig};
use wallboard::simulator::plivo::{PlivoCall, PlivoInbound, PlivoSim, PlivoSimConfig};
use wallboard::simulator::speech::Script;
use wallboard::simulator::twilio::{InboundCall, TestCall, TwilioSim, TwilioSimConfig};

use crate::it::cli_rig::{Home, Running, until};

/// What both carriers sign with.
pub const SECRET: &str = "simulated-auth-token";

pub struct Peers {
    pub twilio: TwilioSim,
    pub plivo: PlivoSim,
    pub elevenlabs: ElevenLabsSim,
    pub openai: OpenAiSim,
    pub parts: PipelineSim,
    cast: Cast,
    tasks: Tasks,
}

impl Peers {
    pub async fn start() -> Self {
        let (tasks, cast) = (Tasks::new(), Cast::default());
        let twilio = TwilioSimConfig {
            auth_token: SECRET.to_owned(),
            cast: cast.clone(),
            timing: Timing::quick(),
            ..TwilioSimConfig::default()
        };
        let plivo = PlivoSimConfig {
            auth_token: SECRET.to_owned(),
            cast: cast.clone(),
            timing: Timing::quick(),
            ..PlivoSimConfig::default()
        };
        let elevenlabs = ElevenLabsSimConfig {
            cast: cast.clone(),
            ..ElevenLabsSimConfig::default()
        };
        let openai = OpenAiSimConfig {
            cast: cast.clone(),
            ..OpenAiSimConfig::default()
        };
        let parts = PipelineSimConfig {
            api_key: Some("simulated-api-key".into()),
            ..PipelineSimConfig::default()
        };
        Self {
            twilio: TwilioSim::start(twilio, &tasks).await.unwrap(),
            plivo: PlivoSim::start(plivo, &tasks).await.unwrap(),
            elevenlabs: ElevenLabsSim::start(elevenlabs, &tasks).await.unwrap(),
            openai: OpenAiSim::start(openai, &tasks).await.unwrap(),
            parts: PipelineSim::start(parts, &tasks).await.unwrap(),
            cast,
            tasks,
        }
    }

    /// What the customer of this number will say.
    pub fn expect(&self, number: &str, script: Arc<Script>) {
        self.cast.assign(number, script);
    }

    /// A home whose configuration names the carriers and the agent vendors; `more` is added.
    pub fn home(&self, url: &str, more: &str) -> Home {
        let home = Home::new();
        home.configure(&format!(
            r#"
[server]
public_url = "{url}"
default_carrier = "plivo"
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
[elevenlabs]
api_key = "simulated-api-key"
agent_id = "agent_1"
api_base = "{elevenlabs}"
ws_base = "{elevenlabs_ws}"
[openai]
api_key = "simulated-api-key"
realtime_url = "{openai}"
api_base = "{openai_api}"
instructions = "A call from {{{{caller_number}}}} to {{{{called_number}}}}."
{more}
"#,
            sid = self.twilio.account_sid(),
            twilio_number = self.twilio.number(),
            twilio = self.twilio.api_base(),
            id = self.plivo.auth_id(),
            plivo_number = self.plivo.number(),
            plivo = self.plivo.api_base(),
            elevenlabs = self.elevenlabs.api_base(),
            elevenlabs_ws = self.elevenlabs.ws_base(),
            openai = self.openai.realtime_url(),
            openai_api = self.openai.api_base(),
        ));
        home
    }

    pub fn call_twilio(&self, url: &str, from: &str) -> TestCall {
        self.twilio.place_inbound(InboundCall {
            from: from.to_owned(),
            caller_name: None,
            voice_url: at(url, "/incoming-call"),
            fallback_url: None,
            status_callback: Some(at(url, "/call-status-callback")),
        })
    }

    pub fn call_plivo(&self, url: &str, from: &str) -> PlivoCall {
        self.plivo.place_inbound(PlivoInbound {
            from: from.to_owned(),
            caller_name: None,
            answer_url: at(url, "/answer"),
            fallback_url: Some(at(url, "/fallback")),
            hangup_url: Some(at(url, "/hangup")),
        })
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// A URL as the backend prints it.
pub fn at(url: &str, path: &str) -> String {
    format!("{url}{path}#rc=3&rp=all")
}

/// The address is known before it is bound, because carriers sign over it.
pub fn free_address() -> std::net::SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

/// Starts `serve` and returns it with everything it prints before it is attached to.
pub fn serve(home: &Home, address: &str) -> (Running, String) {
    let mut running = home.start(&["serve", "--listen", address]);
    let mut said = String::new();
    while !said.contains("Attach: ") {
        let line = running.line();
        assert!(!line.is_empty(), "it ended: {said}");
        said.push_str(&line);
    }
    (running, said)
}

/// The call of this id once `wanted` holds of it.
pub fn shown(home: &Home, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{id} is as wanted"), 60, || {
        let said = home.run(&["show", id, "--json"]);
        let call: Value = serde_json::from_str(said.out.lines().next()?).ok()?;
        wanted(&call).then_some(call)
    })
}

/// Track and words of everything said.
pub fn said(call: &Value) -> Vec<(String, String)> {
    let lines = call["utterances"].as_array().cloned().unwrap_or_default();
    let word = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .iter()
        .map(|line| (word(line, "track"), word(line, "text")))
        .collect()
}
