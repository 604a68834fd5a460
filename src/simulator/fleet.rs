//! The demo lived out: simulated carriers and agent vendors on loopback, and calls placed as the
//! schedule says. Inbound calls ring at their carrier; outbound ones are asked of the backend, as an
//! operator would.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::call::Direction;
use crate::engine::Tasks;

use super::cast::Cast;
use super::chat::ChatClient;
use super::elevenlabs::{AgentFaults, ElevenLabsSim, ElevenLabsSimConfig};
use super::line::Faults;
use super::openai::{OpenAiSim, OpenAiSimConfig};
use super::pipeline::{PipelineSim, PipelineSimConfig};
use super::plivo::{PlivoCallView, PlivoInbound, PlivoSim, PlivoSimConfig};
use super::schedule::{Demo, Planned, Schedule};
use super::speech::library;
use super::twilio::{CallView, InboundCall, TwilioSim, TwilioSimConfig};

/// How long a call of a finished `--once` demo may take to end.
const LAST_CALL_MAX: Duration = Duration::from_secs(900);
const OUTBOUND_WITHIN: Duration = Duration::from_secs(10);

/// When the demo's visitor comes to the voice gateway, and how long they stay away.
const VISIT_AT: Duration = Duration::from_secs(4);
const VISIT_AGAIN: Duration = Duration::from_secs(60);
/// What they talk about.
const VISIT_SCRIPT: &str = "appointment";

/// All simulated peers, with the credentials a backend needs to use them.
#[derive(Clone, Debug)]
pub struct Stage {
    pub twilio: TwilioSim,
    pub plivo: PlivoSim,
    pub elevenlabs: ElevenLabsSim,
    /// The three servers of the pipeline agent.
    pub parts: PipelineSim,
    pub openai: OpenAiSim,
}

/// The backend that is shown.
#[derive(Clone)]
pub struct DemoTarget {
    /// For instance `http://127.0.0.1:41234`.
    pub base_url: String,
    /// A token of role operator or more.
    pub token: String,
    /// Agents of outbound calls by vendor; a vendor without one leaves the choice to the backend.
    pub agents: Vec<(&'static str, &'static str)>,
}

impl DemoTarget {
    fn agent_of(&self, vendor: &str) -> Option<&'static str> {
        let known = |(name, agent): &(&str, &'static str)| (*name == vendor).then_some(*agent);
        self.agents.iter().find_map(known)
    }
}

impl std::fmt::Debug for DemoTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DemoTarget")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// Starts calls until it is stopped, or until every conversation was played once.
#[derive(Debug)]
pub struct DemoFleet {
    stage: Stage,
    target: DemoTarget,
    tasks: Tasks,
    http: reqwest::Client,
}

impl Stage {
    /// The carriers' and the agent vendors' secrets of every demo. They open nothing else.
    pub const AUTH_TOKEN: &'static str = "simulated-auth-token";
    pub const API_KEY: &'static str = "simulated-api-key";
    pub const WEBHOOK_SECRET: &'static str = "wsec_wallboard_demo_0123456789ab";
    pub const AGENT_ID: &'static str = "agent_demo";
    /// The pipeline agent that answers visitors of the voice gateway.
    pub const GATEWAY_AGENT: &'static str = "Maya";
    /// What its simulated OpenAI must be told: by the numbers it knows which conversation to act.
    pub const INSTRUCTIONS: &'static str =
        "Be friendly and brief. This call is from {{caller_number}} to {{called_number}}.";

    /// All peers on ports the system chooses.
    ///
    /// # Errors
    /// Loopback cannot be bound.
    pub async fn start(seed: u64, tasks: &Tasks) -> io::Result<Self> {
        Self::with_faults(seed, Faults::default(), AgentFaults::default(), tasks).await
    }

    /// # Errors
    /// See [`Stage::start`].
    pub async fn with_faults(
        seed: u64,
        faults: Faults,
        agent_faults: AgentFaults,
        tasks: &Tasks,
    ) -> io::Result<Self> {
        let cast = Cast::default();
        let twilio = TwilioSimConfig {
            auth_token: Self::AUTH_TOKEN.to_owned(),
            cast: cast.clone(),
            faults,
            seed,
            ..TwilioSimConfig::default()
        };
        let plivo = PlivoSimConfig {
            auth_token: Self::AUTH_TOKEN.to_owned(),
            cast: cast.clone(),
            faults,
            seed,
            ..PlivoSimConfig::default()
        };
        let openai = OpenAiSimConfig {
            api_key: Self::API_KEY.to_owned(),
            cast: cast.clone(),
            faults: agent_faults,
            seed,
            ..OpenAiSimConfig::default()
        };
        let elevenlabs = ElevenLabsSimConfig {
            api_key: Self::API_KEY.to_owned(),
            agent_ids: Vec::new(),
            cast,
            faults: agent_faults,
            seed,
            ..ElevenLabsSimConfig::default()
        };
        let twilio = TwilioSim::start(twilio, tasks).await?;
        let elevenlabs = ElevenLabsSim::start(elevenlabs, tasks).await?;
        // What the vendor places itself can be heard by way of its carrier.
        elevenlabs.call_through(twilio.clone());
        Ok(Self {
            twilio,
            plivo: PlivoSim::start(plivo, tasks).await?,
            elevenlabs,
            parts: PipelineSim::start(PipelineSimConfig::default(), tasks).await?,
            openai: OpenAiSim::start(openai, tasks).await?,
        })
    }

    pub fn stop(&self) {
        self.twilio.stop();
        self.plivo.stop();
        self.elevenlabs.stop();
        self.parts.stop();
        self.openai.stop();
    }

    /// Waits for the end of one call that is not over; `false` when all are.
    async fn wait_for_one(&self) -> bool {
        // How a call ended, or that it did not, is nothing to the fleet.
        let twilio = self.twilio.calls();
        if let Some(call) = twilio.into_iter().find(|call| !call.view().is_over()) {
            let end = call.wait_within(LAST_CALL_MAX, "end", CallView::is_over);
            drop(end.await);
            return true;
        }
        let plivo = self.plivo.calls();
        if let Some(call) = plivo.into_iter().find(|call| !call.view().is_over()) {
            let end = call.wait_within(LAST_CALL_MAX, "end", PlivoCallView::is_over);
            drop(end.await);
            return true;
        }
        false
    }
}

impl DemoFleet {
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(stage: Stage, target: DemoTarget, tasks: &Tasks) -> io::Result<Self> {
        super::install_tls();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(OUTBOUND_WITHIN)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            stage,
            target,
            tasks: tasks.child(),
            http,
        })
    }

    /// Lives the schedule out. Returns when the task tree is cancelled, or after the last call of a
    /// demo that plays once. Cancel-safe: what has been started goes on by itself.
    pub async fn run(&self, demo: Demo) {
        let began = Instant::now();
        let token = self.tasks.token().clone();
        self.visit(&demo);
        for planned in Schedule::new(demo) {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = sleep_until(began + planned.at) => {}
            }
            self.place(planned);
        }
        let last = Instant::now() + LAST_CALL_MAX;
        let all_over = async {
            // The last outbound request may still be on its way.
            tokio::time::sleep(Duration::from_secs(2)).await;
            while self.stage.wait_for_one().await {}
        };
        tokio::select! {
            () = token.cancelled() => {}
            _ = timeout_at(last, all_over) => {}
        }
    }

    /// Somebody talks to an agent through the voice gateway, once or again and again.
    fn visit(&self, demo: &Demo) {
        let target = self.target.clone();
        let once = demo.once;
        let token = self.tasks.token().clone();
        let visits = async move {
            let mut pause = VISIT_AT;
            loop {
                tokio::time::sleep(pause).await;
                let auth = json!({
                    "token": target.token, "agentId": Stage::GATEWAY_AGENT,
                    "name": "Grace Holloway", "format": "mulaw",
                });
                let script = library().iter().find(|script| script.id == VISIT_SCRIPT);
                let talk = async {
                    let client = ChatClient::join(&target.base_url, &auth).await?;
                    match script {
                        Some(script) => client.act(script).await,
                        None => client.leave().await,
                    }
                };
                if let Err(error) = talk.await {
                    tracing::debug!(%error, "demo: the visitor was cut off");
                }
                if once {
                    return;
                }
                pause = VISIT_AGAIN;
            }
        };
        self.tasks.spawn("demo visitor", async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = visits => {}
            }
        });
    }

    fn place(&self, planned: Planned) {
        self.stage
            .twilio
            .cast()
            .assign(&planned.number, Arc::clone(&planned.script));
        let at = |path: &str| format!("{}{path}#rc=3&rp=all", self.target.base_url);
        match (planned.direction, planned.parties.carrier) {
            (Direction::Inbound, "plivo") => {
                self.stage.plivo.place_inbound(PlivoInbound {
                    from: planned.number,
                    caller_name: Some(planned.name),
                    answer_url: at("/answer"),
                    fallback_url: Some(at("/fallback")),
                    hangup_url: Some(at("/hangup")),
                });
            }
            (Direction::Inbound, _) => {
                self.stage.twilio.place_inbound(InboundCall {
                    from: planned.number,
                    caller_name: Some(planned.name),
                    voice_url: at("/incoming-call"),
                    fallback_url: None,
                    status_callback: Some(at("/call-status-callback")),
                });
            }
            (Direction::Outbound, _) => self.dial(planned),
        }
    }

    fn dial(&self, planned: Planned) {
        let request = self
            .http
            .post(format!("{}/api/outbound-call", self.target.base_url))
            .bearer_auth(&self.target.token)
            .json(&json!({
                "number": planned.number, "name": planned.name, "lead_id": planned.lead_id,
                "carrier": planned.parties.carrier, "agent": self.target.agent_of(planned.parties.agent),
            }));
        self.tasks.spawn("demo outbound call", async move {
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => tracing::warn!(status = %answer.status(), "demo: call refused"),
                Err(error) => tracing::warn!(%error, "demo: backend not reached"),
            }
        });
    }
}
