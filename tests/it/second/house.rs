//! A whole backend with both carriers and both agent vendors simulated, on loopback sockets.

use std::sync::Arc;
use std::time::Duration;

use wallboard::bridge::AgentBrief;
use wallboard::call::{Call, Fact};
use wallboard::engine::{
    AgentDialer, AgentPlan, AgentTool, Carriers, Clock, Core, CoreParts, Fallback, MemoryJournal,
    Plans, Route, Speaker, Tasks,
};
use wallboard::providers::elevenlabs::ElevenLabsSettings;
use wallboard::providers::elevenlabs::shell::ElevenLabsDialer;
use wallboard::providers::elevenlabs::shell_voice::ElevenLabsVoice;
use wallboard::providers::openai::shell::OpenAiDialer;
use wallboard::providers::openai::{Dialect, OpenAiSettings, Prices, Tool};
use wallboard::providers::pipeline::shell::PipelineDialer;
use wallboard::providers::plivo::shell::PlivoControl;
use wallboard::providers::plivo::{PlivoDesk, PlivoSettings};
use wallboard::providers::speech::SpeechSettings;
use wallboard::providers::speech::shell::SpeechService;
use wallboard::providers::twilio::shell::TwilioControl;
use wallboard::providers::twilio::{TwilioDesk, TwilioSettings};
use wallboard::server::{Auth, CarrierRoutes, Server, ServerParts, ServerSettings};
use wallboard::simulator::Cast;
use wallboard::simulator::elevenlabs::{ElevenLabsSim, ElevenLabsSimConfig};
use wallboard::simulator::line::Timing;
use wallboard::simulator::openai::{OpenAiSim, OpenAiSimConfig};
use wallboard::simulator::pipeline::{PipelineSim, PipelineSimConfig};
use wallboard::simulator::plivo::{PlivoCall, PlivoInbound, PlivoSim, PlivoSimConfig};
use wallboard::simulator::speech::{Line, Script};
use wallboard::simulator::twilio::{InboundCall, TestCall, TwilioSim, TwilioSimConfig};

use crate::it::support::peers::{SECRET, free_address};
use crate::it::support::pipeline;

pub const CUSTOMER: &str = "+12065550142";

pub struct House {
    pub core: Core,
    pub journal: MemoryJournal,
    pub plivo: PlivoSim,
    pub twilio: TwilioSim,
    pub openai: OpenAiSim,
    pub elevenlabs: ElevenLabsSim,
    pub parts: PipelineSim,
    pub url: String,
    pub control: PlivoControl,
    _server: Server,
}

/// What may be different from test to test.
#[derive(Default)]
pub struct Wishes {
    pub openai: OpenAiSimConfig,
    pub voice: Option<String>,
    pub dialect: Dialect,
    /// How long the vendor lets a conversation last; `None`: as by default.
    pub lasts: Option<Duration>,
    /// `[[transfer]]`, by name.
    pub transfers: std::collections::BTreeMap<String, String>,
    /// Who makes speech of what operators type, beside the agent and the carrier.
    pub speaks: Voice,
    /// `[[tool]]`, declared to the model and run.
    pub tools: Vec<(Tool, Arc<dyn AgentTool>)>,
    /// The pipeline's model; `None`: the rehearsal's.
    pub model: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Voice {
    #[default]
    None,
    ElevenLabs,
    /// `chat.tts`.
    Service,
}

impl House {
    /// `agent`: who answers, `openai`, `elevenlabs` or `pipeline`.
    pub async fn new(script: Script, agent: &str) -> Self {
        Self::with(script, agent, Wishes::default()).await
    }

    pub async fn with(script: Script, agent: &str, wishes: Wishes) -> Self {
        let _set_already = rustls::crypto::ring::default_provider().install_default();
        let (tasks, cast) = (Tasks::new(), Cast::default());
        let welcome = match script.lines.first() {
            Some(Line::Agent(line)) => line.text.clone(),
            _ => String::new(),
        };
        cast.assign(CUSTOMER, Arc::new(script));
        let plivo = PlivoSim::start(
            PlivoSimConfig {
                cast: cast.clone(),
                timing: Timing::quick(),
                ..PlivoSimConfig::default()
            },
            &tasks,
        );
        let twilio = TwilioSim::start(
            TwilioSimConfig {
                cast: cast.clone(),
                timing: Timing::quick(),
                ..TwilioSimConfig::default()
            },
            &tasks,
        );
        // Whichever vendor answers has these.
        let (faults, load) = (wishes.openai.faults, wishes.openai.load);
        let openai = OpenAiSim::start(
            OpenAiSimConfig {
                cast: cast.clone(),
                ..wishes.openai
            },
            &tasks,
        );
        let elevenlabs = ElevenLabsSim::start(
            ElevenLabsSimConfig {
                cast,
                faults,
                load,
                ..ElevenLabsSimConfig::default()
            },
            &tasks,
        );
        let (plivo, twilio) = (plivo.await.unwrap(), twilio.await.unwrap());
        let (openai, elevenlabs) = (openai.await.unwrap(), elevenlabs.await.unwrap());
        let parts = PipelineSim::start(PipelineSimConfig::default(), &tasks);
        let parts = parts.await.unwrap();
        let address = free_address();
        let url = format!("http://{address}");

        let plivo_settings = PlivoSettings {
            auth_id: Some(plivo.auth_id().to_owned()),
            auth_token: Some(SECRET.into()),
            phone_number: Some(plivo.number().to_owned()),
            api_base: plivo.api_base().to_owned(),
            ..PlivoSettings::default()
        };
        let twilio_settings = TwilioSettings {
            account_sid: Some(twilio.account_sid().to_owned()),
            auth_token: Some(SECRET.into()),
            phone_number: Some(twilio.number().to_owned()),
            api_base: twilio.api_base().to_owned(),
            ..TwilioSettings::default()
        };
        let control = PlivoControl::new(&plivo_settings, Some(&url)).unwrap();
        let twilio_control = TwilioControl::new(&twilio_settings, Some(&url)).unwrap();
        let mut carriers = Carriers::new();
        carriers.insert("plivo", Arc::new(control.clone()));
        carriers.insert("twilio", Arc::new(twilio_control));

        let (declared, tools): (Vec<_>, Vec<_>) = wishes.tools.into_iter().unzip();
        let named = declared.iter().map(|tool: &Tool| tool.name.clone());
        let tools = named.zip(tools).collect();
        let dialer: Arc<dyn AgentDialer> = match agent {
            "openai" => Arc::new(openai_dialer(
                &openai,
                wishes.voice,
                wishes.dialect,
                wishes.lasts,
                declared,
            )),
            "pipeline" => Arc::new(pipeline_dialer(&parts, wishes.model, declared)),
            _ => Arc::new(elevenlabs_dialer(&elevenlabs)),
        };
        let speaker: Option<Arc<dyn Speaker>> = match wishes.speaks {
            Voice::None => None,
            Voice::ElevenLabs => {
                let settings = elevenlabs_settings(&elevenlabs);
                let voice = ElevenLabsVoice::new(&settings, "agent_1", None);
                Some(Arc::new(voice.unwrap().unwrap()))
            }
            Voice::Service => Some(Arc::new(
                SpeechService::new(SpeechSettings {
                    url: parts.url().to_owned(),
                    model: "m".into(),
                    voice: "anna".into(),
                    api_key: None,
                })
                .unwrap(),
            )),
        };
        let journal = MemoryJournal::new();
        let mut core_parts = CoreParts::new(tasks, Clock::start(), Arc::new(journal.clone()));
        core_parts.carriers = carriers;
        core_parts.plans = plans(agent, &welcome, dialer);
        core_parts.transfers = wishes.transfers;
        for agent in core_parts.plans.agents.values_mut() {
            agent.extras.speaker.clone_from(&speaker);
            agent.extras.tools = Clone::clone(&tools);
        }
        core_parts.default_carrier = Some("plivo".into());
        let core = Core::new(core_parts);
        core.keep_house();

        let mut settings = ServerSettings::on(address);
        settings.public_url = Some(url.parse().unwrap());
        let auth = Auth::new(Some("wb_admin"), None);
        let mut server_parts = ServerParts::new(core.clone(), settings, auth);
        server_parts.carriers = CarrierRoutes::new()
            .with(TwilioDesk::new(&twilio_settings))
            .with(PlivoDesk::new(&plivo_settings));
        let server = Server::start(server_parts).await.unwrap();
        Self {
            core,
            journal,
            plivo,
            twilio,
            openai,
            elevenlabs,
            parts,
            url,
            control,
            _server: server,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}#rc=3&rp=all", self.url)
    }

    pub fn call_plivo(&self) -> PlivoCall {
        self.plivo.place_inbound(PlivoInbound {
            from: CUSTOMER.to_owned(),
            caller_name: None,
            answer_url: self.at("/answer"),
            fallback_url: Some(self.at("/fallback")),
            hangup_url: Some(self.at("/hangup")),
        })
    }

    pub fn call_twilio(&self) -> TestCall {
        self.twilio.place_inbound(InboundCall {
            from: CUSTOMER.to_owned(),
            caller_name: None,
            voice_url: self.at("/incoming-call"),
            fallback_url: None,
            status_callback: Some(self.at("/call-status-callback")),
        })
    }

    /// The call on the board once `wanted` holds of it.
    pub async fn board(&self, carrier_call_id: &str, wanted: impl Fn(&Call) -> bool) -> Call {
        for _ in 0..1_000 {
            let call = self
                .core
                .switchboard
                .read(|board| board.find(carrier_call_id).cloned());
            if let Some(call) = call.filter(&wanted) {
                return call;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let call = self
            .core
            .switchboard
            .read(|board| board.find(carrier_call_id).cloned());
        panic!("the board never said so: {call:#?}");
    }

    /// Facts of one call so far, in order.
    pub async fn facts_of(&self, carrier_call_id: &str) -> Vec<Fact> {
        let id = self.board(carrier_call_id, |_| true).await.id;
        self.journal
            .envelopes()
            .iter()
            .filter(|envelope| envelope.call == Some(id))
            .filter_map(|envelope| match &envelope.event {
                wallboard::call::CallEvent::Known(fact) => Some(fact.clone()),
                wallboard::call::CallEvent::Unknown(_) => None,
            })
            .collect()
    }

    /// Facts of every call, in order.
    pub fn facts(&self) -> Vec<Fact> {
        self.journal
            .envelopes()
            .iter()
            .filter_map(|envelope| match &envelope.event {
                wallboard::call::CallEvent::Known(fact) => Some(fact.clone()),
                wallboard::call::CallEvent::Unknown(_) => None,
            })
            .collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.core.tasks.cancel();
        self.plivo.stop();
        self.twilio.stop();
        self.openai.stop();
        self.elevenlabs.stop();
        self.parts.stop();
    }
}

fn openai_dialer(
    sim: &OpenAiSim,
    voice: Option<String>,
    dialect: Dialect,
    lasts: Option<Duration>,
    declared: Vec<Tool>,
) -> OpenAiDialer {
    let defaults = OpenAiSettings::default();
    OpenAiDialer::new(OpenAiSettings {
        api_key: Some("simulated-api-key".into()),
        realtime_url: sim.realtime_url().to_owned(),
        voice: voice.unwrap_or_else(|| defaults.voice.clone()),
        dialect,
        lasts: lasts.or(defaults.lasts),
        tools: [Tool::transfer_call(&[]), Tool::end_call()]
            .into_iter()
            .chain(declared)
            .collect(),
        prices: Some(Prices {
            audio_out: 64.0,
            ..Prices::default()
        }),
        ..defaults
    })
    .unwrap()
}

fn pipeline_dialer(
    sim: &PipelineSim,
    model: Option<String>,
    declared: Vec<Tool>,
) -> PipelineDialer {
    let mut settings = pipeline::settings(sim.url());
    if let Some(url) = model {
        settings.llm.url = url;
    }
    settings.tools = [Tool::transfer_call(&[]), Tool::end_call()]
        .into_iter()
        .chain(declared)
        .collect();
    PipelineDialer::new(settings).unwrap()
}

fn elevenlabs_settings(sim: &ElevenLabsSim) -> ElevenLabsSettings {
    ElevenLabsSettings {
        api_key: Some("simulated-api-key".into()),
        api_base: sim.api_base().to_owned(),
        ws_base: sim.ws_base().to_owned(),
        ..ElevenLabsSettings::default()
    }
}

fn elevenlabs_dialer(sim: &ElevenLabsSim) -> ElevenLabsDialer {
    ElevenLabsDialer::new(&elevenlabs_settings(sim), "agent_1").unwrap()
}

fn plans(kind: &str, welcome: &str, dialer: Arc<dyn AgentDialer>) -> Plans {
    let agent = AgentPlan {
        id: "support".into(),
        kind: dialer.vendor(),
        dialer,
        brief: AgentBrief {
            // The simulated agent knows the call by its numbers.
            prompt: (kind == "openai")
                .then(|| "A call from {{caller_number}} to {{called_number}}.".to_owned()),
            first_message: (kind == "pipeline").then(|| welcome.to_owned()),
            ..AgentBrief::default()
        },
        minutes_max: None,
        concurrent_max: None,
        extras: wallboard::engine::AgentExtras::default(),
    };
    Plans {
        routes: vec![Route::default()],
        agents: [("support".to_owned(), agent)].into(),
        default_agent: Some("support".into()),
        fallback: Fallback::Say("One moment please.".into()),
        ..Plans::default()
    }
}
