//! Agents made of the three simulated servers. The bench of the voice gateway uses this file too.

use std::sync::Arc;

use wallboard::bridge::AgentBrief;
use wallboard::engine::{AgentExtras, AgentPlan};
use wallboard::providers::pipeline::shell::PipelineDialer;
use wallboard::providers::pipeline::{PartSettings, PipelineSettings};

/// All three parts at one address.
pub fn settings(url: &str) -> PipelineSettings {
    let part = PartSettings {
        url: url.to_owned(),
        ..PartSettings::default()
    };
    PipelineSettings {
        asr: part.clone(),
        llm: part.clone(),
        tts: part,
        ..PipelineSettings::default()
    }
}

pub fn dialer(url: &str) -> PipelineDialer {
    PipelineDialer::new(settings(url)).unwrap()
}

/// An agent that begins with these words.
pub fn agent(id: &str, welcome: &str, dialer: &PipelineDialer) -> AgentPlan {
    AgentPlan {
        id: id.into(),
        kind: "pipeline",
        dialer: Arc::new(dialer.clone()),
        brief: AgentBrief {
            first_message: Some(welcome.into()),
            ..AgentBrief::default()
        },
        minutes_max: None,
        concurrent_max: None,
        extras: AgentExtras::default(),
    }
}
