//! The pipeline of three OpenAI-compatible servers, as the tables see it.

use std::sync::Arc;

use crate::engine::AgentDialer;
use crate::providers::openai::Tool;
use crate::providers::pipeline::shell::PipelineDialer;
use crate::providers::pipeline::{PartSettings, PipelinePrices, PipelineSettings, VENDOR};

use super::super::config::{AgentConfig, ChatService, Config};
use super::super::doctor::{Check, ok, warn};
use super::super::extras;
use super::{Agent, plain_agent};

pub const AGENT: Agent = Agent {
    kind: VENDOR,
    title: "the pipeline agent",
    built_in: |config| missing(config).is_empty().then(|| plain_agent(VENDOR)),
    lacks: |config, agent| {
        let missing = missing(config);
        (!missing.is_empty()).then(|| {
            (
                format!("agent {} lacks a part: {}", agent.id, missing.join(", ")),
                "set chat.asr.url, chat.llm.url and chat.tts.url; to try it without any server: \
                 wallboard simulate agent --vendor pipeline"
                    .into(),
            )
        })
    },
    dialer: |config, agent| {
        PipelineDialer::new(settings(config, agent))
            .map(|dialer| Arc::new(dialer) as Arc<dyn AgentDialer>)
            .map_err(|error| error.to_string())
    },
    check,
    probe: |config, http| {
        let service = &config.chat.llm;
        let url = format!("{}/models", service.url.as_deref()?);
        let request = http.get(url);
        Some(match &service.api_key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        })
    },
};

/// The keys of the parts that have no address.
fn missing(config: &Config) -> Vec<&'static str> {
    [
        ("chat.asr.url", &config.chat.asr),
        ("chat.llm.url", &config.chat.llm),
        ("chat.tts.url", &config.chat.tts),
    ]
    .into_iter()
    .filter(|(_, service)| service.url.is_none())
    .map(|(key, _)| key)
    .collect()
}

fn settings(config: &Config, agent: &AgentConfig) -> PipelineSettings {
    let chat = &config.chat;
    let usual = PipelineSettings::default();
    let mut llm = part(&chat.llm);
    llm.model = agent.model.clone().or(llm.model);
    PipelineSettings {
        asr: part(&chat.asr),
        llm,
        tts: part(&chat.tts),
        instructions: agent.instructions.clone(),
        voice: agent.voice.clone().or_else(|| chat.tts.voice.clone()),
        language: agent.language.clone(),
        silence: chat.silence,
        fallback_line: chat.fallback_line.clone().unwrap_or(usual.fallback_line),
        // There is no other way for the model to hang up.
        tools: std::iter::once(Tool::end_call())
            .chain(extras::declared(config, agent))
            .collect(),
        prices: PipelinePrices {
            asr_minute: chat.usd_asr_minute,
            llm_million_in: chat.usd_llm_in,
            llm_million_out: chat.usd_llm_out,
            tts_million: chat.usd_tts,
        },
        usd_max: agent.limits.usd,
    }
}

fn part(service: &ChatService) -> PartSettings {
    PartSettings {
        url: service.url.clone().unwrap_or_default(),
        model: service.model.clone(),
        api_key: service.api_key.clone(),
    }
}

fn check(config: &Config) -> Check {
    let missing = missing(config);
    if missing.is_empty() {
        let model = config
            .chat
            .llm
            .model
            .as_deref()
            .unwrap_or("the server's own");
        ok(VENDOR, format!("three parts are set, model {model}"))
    } else {
        warn(
            VENDOR,
            format!(
                "not set: {}; callers of its agents get the fallback",
                missing.join(", ")
            ),
            "set them to bases that end in /v1",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::{Inputs, load};

    #[test]
    fn the_model_is_told_of_the_agents_tools_and_of_those_of_the_house() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = r#"
            [bridge]
            transfer_number = "+12065550177"
            [[tool]]
            name = "lookup_order"
            url = "https://tools.example.com/lookup"
            [[agent]]
            id = "shop"
            kind = "pipeline"
            tools = ["transfer_call", "lookup_order"]
        "#;
        std::fs::write(file.path(), text).unwrap();
        let inputs = Inputs {
            file: Some(file.path().to_owned()),
            ..Inputs::default()
        };
        let config = Config::judge(&load(&inputs)).0;
        let told = settings(&config, &config.agents[0]).tools;
        let names: Vec<&str> = told.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["end_call", "transfer_call", "lookup_order"]);
    }
}
