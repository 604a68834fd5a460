//! A backend whose agents are pipelines, for conversations on `/chat/v1`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wallboard::call::Call;
use wallboard::engine::{AgentExtras, AgentPlan, CoreParts, Plans, Tasks};
use wallboard::providers::speech::SpeechSettings;
use wallboard::providers::speech::shell::SpeechService;
use wallboard::server::ServerSettings;
use wallboard::simulator::pipeline::{PipelineSim, PipelineSimConfig};

use crate::it::support::backend::{ADMIN, Backend};
use crate::it::support::pipeline;
use crate::it::support::socketio::SioClient;

/// What `maya` says first.
pub const WELCOME: &str = "Good morning, Harborview Dental, this is Maya. How can I help?";

pub struct House {
    pub backend: Backend,
    pub parts: PipelineSim,
    tasks: Tasks,
}

impl House {
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(settings: impl FnOnce(&mut ServerSettings)) -> Self {
        let tasks = Tasks::new();
        let parts = PipelineSim::start(PipelineSimConfig::default(), &tasks)
            .await
            .unwrap();
        let dialer = pipeline::dialer(parts.url());
        let mut plans = Plans::default();
        for plan in [
            pipeline::agent("maya", WELCOME, &dialer),
            pipeline::agent("quiet", "", &dialer),
            AgentPlan {
                concurrent_max: Some(1),
                ..pipeline::agent("one", "", &dialer)
            },
            AgentPlan {
                extras: AgentExtras {
                    speaker: Some(Arc::new(speaker(parts.url()))),
                    ..AgentExtras::default()
                },
                ..pipeline::agent("voiced", "", &dialer)
            },
        ] {
            plans.agents.insert(plan.id.clone(), plan);
        }
        let backend =
            Backend::start_with(settings, |parts: &mut CoreParts| parts.plans = plans).await;
        Self {
            backend,
            parts,
            tasks,
        }
    }

    pub async fn join(&self, auth: Value) -> SioClient {
        let mut auth = auth;
        auth["token"] = json!(ADMIN);
        SioClient::join(&self.backend.url, "/chat/v1", auth)
            .await
            .unwrap()
    }

    pub fn call(&self, id: &str) -> Option<Call> {
        self.backend
            .core
            .switchboard
            .read(|board| board.find(id).cloned())
    }

    pub async fn until(&self, id: &str, what: &str, wanted: impl Fn(&Call) -> bool) -> Call {
        for _ in 0..400 {
            if let Some(call) = self.call(id).filter(|call| wanted(call)) {
                return call;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{what}: {:?}", self.call(id));
    }
}

/// The house's own speech service, at the same server as the agents'.
fn speaker(url: &str) -> SpeechService {
    SpeechService::new(SpeechSettings {
        url: url.to_owned(),
        model: "m".into(),
        voice: "v".into(),
        api_key: None,
    })
    .unwrap()
}

impl Drop for House {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// The audio of one answer, and its text.
pub async fn answer(client: &mut SioClient) -> (Vec<Value>, Value) {
    let mut chunks = Vec::new();
    loop {
        let (event, data) = client.event().await.expect("an answer");
        match event.as_str() {
            "audio" => chunks.push(data),
            "text" if data["meta_info"]["partial"] != true => return (chunks, data),
            _ => {}
        }
    }
}
