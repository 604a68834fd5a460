//! ElevenLabs, as the tables see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::{AgentDialer, ConversationMonitor, VendorCalls};
use crate::providers::elevenlabs::shell::ElevenLabsDialer;
use crate::providers::elevenlabs::shell_calls::ElevenLabsCalls;
use crate::providers::elevenlabs::shell_monitor::ElevenLabsMonitor;
use crate::providers::elevenlabs::{ElevenLabsSettings, VENDOR};

use super::super::config::{AgentConfig, Config};
use super::super::doctor::{Check, ok, warn};
use super::{Agent, SetupResult, plain_agent};

pub const AGENT: Agent = Agent {
    kind: VENDOR,
    title: "ElevenLabs",
    built_in: |config| {
        let agent_id = config.elevenlabs.agent_id.clone()?;
        Some(AgentConfig {
            agent_id: Some(agent_id),
            ..plain_agent(VENDOR)
        })
    },
    lacks: |config, agent| {
        agent_id(config, agent).is_none().then(|| {
            (
                format!("agent {} has no agent_id", agent.id),
                "add agent_id = \"agent_…\" to its [[agent]], or set elevenlabs.agent_id".into(),
            )
        })
    },
    dialer,
    check,
    probe: |config, http| {
        let vendor = &config.elevenlabs;
        let (key, agent) = (vendor.api_key.as_ref()?, vendor.agent_id.as_ref()?);
        let url = format!("{}/v1/convai/agents/{agent}", vendor.api_base);
        Some(http.get(url).header("xi-api-key", key.expose()))
    },
};

fn agent_id<'a>(config: &'a Config, agent: &'a AgentConfig) -> Option<&'a String> {
    let own = agent.agent_id.as_ref();
    own.or(config.elevenlabs.agent_id.as_ref())
}

fn dialer(config: &Config, agent: &AgentConfig) -> SetupResult<Arc<dyn AgentDialer>> {
    let settings = settings(config);
    let agent_id = agent_id(config, agent).ok_or("no agent_id")?;
    ElevenLabsDialer::new(&settings, agent_id)
        .map(|dialer| Arc::new(dialer) as Arc<dyn AgentDialer>)
        .map_err(|error| error.to_string())
}

pub(in crate::cli) fn settings(config: &Config) -> ElevenLabsSettings {
    let vendor = &config.elevenlabs;
    ElevenLabsSettings {
        api_key: vendor.api_key.clone(),
        agent_id: vendor.agent_id.clone(),
        phone_number_id: vendor.phone_number_id.clone(),
        webhook_secret: vendor.webhook_secret.clone(),
        api_base: vendor.api_base.clone(),
        ws_base: vendor.ws_base.clone(),
    }
}

/// Placing calls on the vendor's own numbers, where that is configured.
pub fn calls(config: &Config) -> SetupResult<Option<Arc<dyn VendorCalls>>> {
    let named = config.agents.iter().filter(|agent| agent.kind == VENDOR);
    let mut agents: BTreeMap<String, String> = named
        .filter_map(|agent| Some((agent.id.clone(), agent_id(config, agent)?.clone())))
        .collect();
    if let Some(id) = &config.elevenlabs.agent_id {
        agents
            .entry(VENDOR.to_owned())
            .or_insert_with(|| id.clone());
    }
    let calls = ElevenLabsCalls::new(&settings(config), agents);
    calls
        .map(|calls| calls.map(|calls| Arc::new(calls) as Arc<dyn VendorCalls>))
        .map_err(|error| error.to_string())
}

/// The monitoring socket, where it is asked for and there is a key for it.
pub fn monitor(config: &Config) -> SetupResult<Option<Arc<dyn ConversationMonitor>>> {
    if !config.elevenlabs.monitor {
        return Ok(None);
    }
    let monitor = ElevenLabsMonitor::new(&settings(config)).map_err(|error| error.to_string())?;
    Ok(monitor.map(|monitor| Arc::new(monitor) as Arc<dyn ConversationMonitor>))
}

fn check(config: &Config) -> Check {
    let vendor = &config.elevenlabs;
    match (&vendor.api_key, &vendor.agent_id) {
        (Some(_), Some(_)) => ok("elevenlabs", "key and agent are set"),
        (None, Some(_)) => warn(
            "elevenlabs",
            "no API key: only a public agent will answer",
            "set elevenlabs.api_key_file or ELEVENLABS_API_KEY",
        ),
        (_, None) => warn(
            "elevenlabs",
            "no agent is named: callers get the fallback",
            "set elevenlabs.agent_id (ELEVENLABS_AGENT_ID)",
        ),
    }
}
