//! What an agent can do beyond talking, from the configuration: its limits in money, who makes speech
//! of an operator's words, and its tools.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::bridge::CostMax;
use crate::call::Secret;
use crate::engine::{AgentExtras, AgentTool, Clock, Speaker};
use crate::providers::elevenlabs;
use crate::providers::hooks::HookSettings;
use crate::providers::hooks::shell::HookTool;
use crate::providers::openai::{TRANSFER_CALL, Tool};
use crate::providers::speech::SpeechSettings;
use crate::providers::speech::shell::{ElevenLabsVoice, SpeechService};

use super::config::{AgentConfig, Config, ToolConfig};
use super::vendors::elevenlabs_settings;
use super::{Failure, Outcome};

/// The agent raises its hand; known to every agent.
const REQUEST_HUMAN: &str = "request_human";
/// A tool must answer within this where nothing else is said.
const TOOL_WITHIN_MS: u32 = 3_000;
/// Voice and model of a speech service that names none.
const SPEECH_MODEL: &str = "gpt-4o-mini-tts";
const SPEECH_VOICE: &str = "shimmer";

/// What the engine needs to know of one agent.
pub fn of(config: &Config, agent: &AgentConfig) -> Outcome<AgentExtras> {
    let usd_minute = match agent.kind.as_str() {
        // Named by what was used, as far as prices are known; else by the minute.
        "openai" if config.pricing.openai.is_none() => 0.0,
        "openai" => config.pricing.openai.unwrap_or_default(),
        "elevenlabs" => config.pricing.elevenlabs.unwrap_or_default(),
        _ => 0.0,
    };
    Ok(AgentExtras {
        cost_max: agent.limits.usd.map(|usd| CostMax { usd, usd_minute }),
        speaker: speaker(config, agent)?,
        tools: hooks(config, agent)?,
    })
}

/// The tools a model is told of: those its agent names, or those of the house when it names none.
pub fn declared(config: &Config, agent: &AgentConfig) -> Vec<Tool> {
    let destinations: Vec<String> = config
        .transfers
        .iter()
        .map(|transfer| transfer.name.clone())
        .collect();
    let can_transfer = config.bridge.transfer_number.is_some() || !destinations.is_empty();
    let wants = |name: &str| agent.tools.is_empty() || agent.tools.iter().any(|tool| tool == name);
    let mut tools = Vec::new();
    if can_transfer && wants(TRANSFER_CALL) {
        tools.push(Tool::transfer_call(&destinations));
    }
    if wants(REQUEST_HUMAN) {
        tools.push(Tool {
            name: REQUEST_HUMAN.to_owned(),
            description: "Ask a human colleague to look at this call. The caller stays with you."
                .to_owned(),
            parameters: serde_json::json!({
                "type": "object",
                "properties": {"reason": {"type": "string"}},
                "required": ["reason"],
            }),
        });
    }
    tools.extend(named(config, agent).map(|tool| Tool {
        name: tool.name.clone(),
        description: tool.description.clone().unwrap_or_default(),
        parameters: if tool.parameters.is_object() {
            tool.parameters.clone()
        } else {
            serde_json::json!({"type": "object", "properties": {}})
        },
    }));
    tools
}

fn named<'c>(
    config: &'c Config,
    agent: &'c AgentConfig,
) -> impl Iterator<Item = &'c ToolConfig> + 'c {
    let names = |tool: &&ToolConfig| agent.tools.contains(&tool.name);
    config.tools.iter().filter(names)
}

fn speaker(config: &Config, agent: &AgentConfig) -> Outcome<Option<Arc<dyn Speaker>>> {
    let tts = &config.chat.tts;
    if let Some(url) = &tts.url {
        let settings = SpeechSettings {
            url: url.clone(),
            model: tts.model.clone().unwrap_or_else(|| SPEECH_MODEL.into()),
            voice: tts.voice.clone().unwrap_or_else(|| SPEECH_VOICE.into()),
            api_key: tts.api_key.clone(),
        };
        let service = SpeechService::new(settings).map_err(|reason| not_set_up(&reason))?;
        return Ok(Some(Arc::new(service)));
    }
    if agent.kind != elevenlabs::VENDOR {
        return Ok(None);
    }
    let agent_id = agent
        .agent_id
        .as_ref()
        .or(config.elevenlabs.agent_id.as_ref());
    let Some(agent_id) = agent_id else {
        return Ok(None);
    };
    let settings = elevenlabs_settings(config);
    let voice = ElevenLabsVoice::new(&settings, agent_id, agent.voice.as_deref())
        .map_err(|reason| not_set_up(&reason))?;
    Ok(voice.map(|voice| Arc::new(voice) as Arc<dyn Speaker>))
}

fn hooks(config: &Config, agent: &AgentConfig) -> Outcome<BTreeMap<String, Arc<dyn AgentTool>>> {
    let mut tools: BTreeMap<String, Arc<dyn AgentTool>> = BTreeMap::new();
    for tool in named(config, agent) {
        let secret = match &tool.secret_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::usage(
                        format!(
                            "the secret of the tool {} cannot be read: {error}",
                            tool.name
                        ),
                        format!("check secret_file = {:?}", path.display().to_string()),
                    )
                })?;
                Some(Secret::new(text.trim()))
            }
        };
        let ms = tool.timeout_ms.unwrap_or(TOOL_WITHIN_MS).clamp(100, 30_000);
        let settings = HookSettings {
            name: tool.name.clone(),
            url: tool.url.clone(),
            secret,
            timeout: Duration::from_millis(u64::from(ms)),
            allow_loopback: tool.allow_loopback,
        };
        let hook = HookTool::new(settings, Clock::start()).map_err(|forbidden| {
            Failure::usage(
                format!("the tool {}: {forbidden}", tool.name),
                "mend its url",
            )
        })?;
        tools.insert(tool.name.clone(), Arc::new(hook));
    }
    Ok(tools)
}

fn not_set_up(reason: &str) -> Failure {
    Failure::usage(
        format!("speech cannot be set up: {reason}"),
        "wallboard config check",
    )
}
