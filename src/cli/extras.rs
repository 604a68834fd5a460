//! What an agent can do beyond talking, from the configuration: its limits in money, who makes speech
//! of an operator's words, and its tools.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::bridge::CostMax;
use crate::call::Secret;
use crate::engine::{AgentExtras, AgentTool, Clock, Speaker};
use crate::providers::hooks::HookSettings;
use crate::providers::hooks::shell::HookTool;
use crate::providers::speech::SpeechSettings;
use crate::providers::speech::shell::SpeechService;
use crate::providers::tools::{TRANSFER_CALL, Tool};
use crate::providers::vendor::{Agent, Keys as _};

use super::config::{AgentConfig, Config, ToolConfig};
use super::{Failure, Outcome};

/// The agent raises its hand; known to every agent.
const REQUEST_HUMAN: &str = "request_human";
/// A tool must answer within this where nothing else is said.
const TOOL_WITHIN_MS: u32 = 3_000;
/// Voice and model of a speech service that names none.
const SPEECH_MODEL: &str = "gpt-4o-mini-tts";
const SPEECH_VOICE: &str = "shimmer";

/// What the engine needs to know of one agent.
pub fn of(config: &Config, vendor: &Agent, agent: &AgentConfig) -> Outcome<AgentExtras> {
    // Where it is not sold by the minute, what was used names the price as far as that is known.
    let by_minute = vendor.minute_price;
    let usd_minute = by_minute.and_then(|key| config.settings.figure(key.name));
    let usd_minute = usd_minute.unwrap_or_default();
    Ok(AgentExtras {
        cost_max: agent.limits.usd.map(|usd| CostMax { usd, usd_minute }),
        speaker: speaker(config, vendor, agent)?,
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

/// The speech service of the house, else the vendor's own voice.
fn speaker(
    config: &Config,
    vendor: &Agent,
    agent: &AgentConfig,
) -> Outcome<Option<Arc<dyn Speaker>>> {
    let keys = &config.settings;
    let Some(url) = keys.text("chat.tts.url") else {
        let own = (vendor.speaker)(&config.setup(), agent);
        return own.map_err(|reason| not_set_up(&reason));
    };
    let or = |key: &str, usual: &str| keys.text(key).unwrap_or_else(|| usual.to_owned());
    let service = SpeechService::new(SpeechSettings {
        url,
        model: or("chat.tts.model", SPEECH_MODEL),
        voice: or("chat.tts.voice", SPEECH_VOICE),
        api_key: keys.secret("chat.tts.api_key"),
    });
    let service = service.map_err(|reason| not_set_up(&reason))?;
    Ok(Some(Arc::new(service)))
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
