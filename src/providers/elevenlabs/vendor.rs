//! ElevenLabs, as the registry sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::{ConversationMonitor, Speaker, VendorCalls};
use crate::providers::vendor::{
    Agent, AgentConfig, Check, Fault, Key, Kind, OwnLines, Setup, SetupResult, USD, key, ok, warn,
};

use super::shell::ElevenLabsDialer;
use super::shell_calls::ElevenLabsCalls;
use super::shell_monitor::ElevenLabsMonitor;
use super::shell_voice::ElevenLabsVoice;
use super::{ElevenLabsSettings, VENDOR, fakes};

pub const AGENT: Agent = Agent {
    kind: VENDOR,
    title: "ElevenLabs",
    short: "ElevenLabs",
    sections: &[(
        VENDOR,
        "ElevenLabs agent: the built-in agent \"elevenlabs\", default for Twilio calls.",
    )],
    keys: KEYS,
    minute_price: Some(key(
        "pricing.elevenlabs_usd_per_min",
        USD,
        "",
        "Agent minute; the vendor's own figure replaces it after the call.",
    )),
    main_key: Some("elevenlabs.agent_id"),
    built_in: |setup| {
        let agent_id = settings(setup).agent_id?;
        Some(AgentConfig {
            agent_id: Some(agent_id),
            ..AgentConfig::plain(VENDOR)
        })
    },
    lacks: |setup, agent| {
        agent_id(setup, agent).is_none().then(|| {
            (
                format!("agent {} has no agent_id", agent.id),
                "add agent_id = \"agent_…\" to its [[agent]], or set elevenlabs.agent_id".into(),
            )
        })
    },
    warnings,
    dialer: |setup, agent, _| {
        let agent_id = agent_id(setup, agent).ok_or("no agent_id")?;
        ElevenLabsDialer::new(&settings(setup), &agent_id)
            .map(|dialer| Arc::new(dialer) as _)
            .map_err(|error| error.to_string())
    },
    speaker,
    speaker_needs: Some("elevenlabs.api_key and a voice"),
    own_lines: Some(OwnLines {
        needs: "elevenlabs.api_key, agent_id and phone_number_id",
        console: "Agents → Settings → Webhooks",
        urls: &[
            ("Post-call webhook", "/api/webhooks/elevenlabs/post-call"),
            (
                "Conversation events",
                "/api/webhooks/elevenlabs/conversation-events",
            ),
            (
                "Conversation initiation",
                "/api/webhooks/elevenlabs/conversation-initiation",
            ),
        ],
        secret_key: "elevenlabs.webhook_secret",
        secret: |setup| settings(setup).webhook_secret,
        has_agent: |setup| settings(setup).agent_id.is_some(),
        check: check_webhooks,
        calls,
        monitor,
    }),
    check,
    probe: |setup, http| {
        let settings = settings(setup);
        let (key, agent) = (settings.api_key?, settings.agent_id?);
        let url = format!("{}/v1/convai/agents/{agent}", settings.api_base);
        Some(http.get(url).header("xi-api-key", key.expose()))
    },
    fakes: fakes::FAKES,
    ..Agent::PLAIN
};

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("elevenlabs.api_key", Kind::Secret, "", "API key (xi-api-key). Without it only public agents answer.").env(&["ELEVENLABS_API_KEY"]),
    key("elevenlabs.agent_id", Kind::Text, "", "Agent that answers Twilio calls, agent_….").env(&["ELEVENLABS_AGENT_ID"]),
    key("elevenlabs.phone_number_id", Kind::Text, "", "Number registered at ElevenLabs, phnum_….").env(&["ELEVENLABS_PHONE_NUMBER_ID"]),
    key("elevenlabs.webhook_secret", Kind::Secret, "", "Signs ElevenLabs webhooks, wsec_….").env(&["ELEVENLABS_CONVERSATION_EVENTS_WEBHOOK_SECRET"]),
    key(MONITOR, Kind::Flag, "false", "Follow conversations ElevenLabs runs by its monitoring socket, too (Enterprise; monitoring_enabled at the agent)."),
    key("elevenlabs.api_base", Kind::HttpUrl, "https://api.elevenlabs.io", "REST API."),
    key("elevenlabs.ws_base", Kind::WsUrl, "wss://api.elevenlabs.io", "Conversation sockets."),
];

/// Use the vendor's monitoring socket for conversations it runs by itself.
const MONITOR: &str = "elevenlabs.monitor";

pub(super) fn settings(setup: &Setup<'_>) -> ElevenLabsSettings {
    let keys = setup.keys;
    ElevenLabsSettings {
        api_key: keys.secret("elevenlabs.api_key"),
        agent_id: keys.text("elevenlabs.agent_id"),
        phone_number_id: keys.text("elevenlabs.phone_number_id"),
        webhook_secret: keys.secret("elevenlabs.webhook_secret"),
        api_base: keys.text_or_default("elevenlabs.api_base"),
        ws_base: keys.text_or_default("elevenlabs.ws_base"),
    }
}

fn agent_id(setup: &Setup<'_>, agent: &AgentConfig) -> Option<String> {
    let own = agent.agent_id.clone();
    own.or_else(|| settings(setup).agent_id)
}

fn warnings(setup: &Setup<'_>) -> Vec<Fault> {
    let settings = settings(setup);
    let mut faults: Vec<Fault> = Vec::new();
    if setup.keys.flag(MONITOR) && settings.api_key.is_none() {
        faults.push((
            "elevenlabs.monitor is on, but there is no key for it".into(),
            "set elevenlabs.api_key, or turn elevenlabs.monitor off".into(),
        ));
    }
    let is_named = setup.agents.iter().any(|agent| agent.agent_id.is_some());
    if settings.api_key.is_some() && settings.agent_id.is_none() && !is_named {
        faults.push((
            "elevenlabs.api_key is set but no agent is named".into(),
            "set elevenlabs.agent_id (ELEVENLABS_AGENT_ID)".into(),
        ));
    }
    faults
}

fn speaker(setup: &Setup<'_>, agent: &AgentConfig) -> SetupResult<Option<Arc<dyn Speaker>>> {
    let Some(agent_id) = agent_id(setup, agent) else {
        return Ok(None);
    };
    let voice = ElevenLabsVoice::new(&settings(setup), &agent_id, agent.voice.as_deref())?;
    Ok(voice.map(|voice| Arc::new(voice) as Arc<dyn Speaker>))
}

fn calls(setup: &Setup<'_>) -> SetupResult<Option<Arc<dyn VendorCalls>>> {
    let settings = settings(setup);
    let named = setup.agents.iter().filter(|agent| agent.kind == VENDOR);
    let mut agents: BTreeMap<String, String> = named
        .filter_map(|agent| Some((agent.id.clone(), agent_id(setup, agent)?)))
        .collect();
    if let Some(id) = &settings.agent_id {
        agents
            .entry(VENDOR.to_owned())
            .or_insert_with(|| id.clone());
    }
    let calls = ElevenLabsCalls::new(&settings, agents).map_err(|error| error.to_string())?;
    Ok(calls.map(|calls| Arc::new(calls) as Arc<dyn VendorCalls>))
}

fn monitor(setup: &Setup<'_>) -> SetupResult<Option<Arc<dyn ConversationMonitor>>> {
    if !setup.keys.flag(MONITOR) {
        return Ok(None);
    }
    let monitor = ElevenLabsMonitor::new(&settings(setup)).map_err(|error| error.to_string())?;
    Ok(monitor.map(|monitor| Arc::new(monitor) as Arc<dyn ConversationMonitor>))
}

fn check(setup: &Setup<'_>) -> Check {
    let settings = settings(setup);
    match (&settings.api_key, &settings.agent_id) {
        (Some(_), Some(_)) => ok(VENDOR, "key and agent are set"),
        (None, Some(_)) => warn(
            VENDOR,
            "no API key: only a public agent will answer",
            "set elevenlabs.api_key_file or ELEVENLABS_API_KEY",
        ),
        (_, None) => warn(
            VENDOR,
            "no agent is named: callers get the fallback",
            "set elevenlabs.agent_id (ELEVENLABS_AGENT_ID)",
        ),
    }
}

fn check_webhooks(setup: &Setup<'_>) -> Check {
    match settings(setup).webhook_secret {
        Some(_) => ok("webhooks", "the ElevenLabs webhook secret is set"),
        None => warn(
            "webhooks",
            "no ElevenLabs webhook secret: its webhooks answer 503",
            "set elevenlabs.webhook_secret_file; not needed while wallboard bridges the calls",
        ),
    }
}
