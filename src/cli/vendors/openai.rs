//! OpenAI Realtime, as the tables see it.

use std::sync::Arc;

use crate::engine::AgentDialer;
use crate::providers::openai::shell::OpenAiDialer;
use crate::providers::openai::{
    Dialect, Eagerness, OpenAiSettings, Prices, Tool, TranscriptionPrice, TurnDetection, VENDOR,
};

use super::super::config::{AgentConfig, Config, is_loopback};
use super::super::doctor::{Check, ok, warn};
use super::super::extras;
use super::{Agent, plain_agent};

pub const AGENT: Agent = Agent {
    kind: VENDOR,
    title: "OpenAI Realtime",
    built_in: |config| has_key(config).then(|| plain_agent(VENDOR)),
    lacks: |config, agent| {
        (!has_key(config)).then(|| {
            (
                format!("agent {} has no key: openai.api_key is not set", agent.id),
                "set openai.api_key, OPENAI_API_KEY or openai.api_key_file".into(),
            )
        })
    },
    dialer: |config, agent| {
        OpenAiDialer::new(settings(config, agent))
            .map(|dialer| Arc::new(dialer) as Arc<dyn AgentDialer>)
            .map_err(|error| error.to_string())
    },
    check,
    probe: |config, http| {
        let vendor = &config.openai;
        let key = vendor.api_key.as_ref()?;
        let url = format!("{}/models/{}", vendor.api_base, vendor.model);
        Some(http.get(url).bearer_auth(key.expose()))
    },
};

/// A server of one's own may want none.
fn has_key(config: &Config) -> bool {
    config.openai.api_key.is_some() || is_loopback(&config.openai.realtime_url)
}

fn settings(config: &Config, agent: &AgentConfig) -> OpenAiSettings {
    let vendor = &config.openai;
    OpenAiSettings {
        api_key: vendor.api_key.clone(),
        model: agent.model.clone().unwrap_or_else(|| vendor.model.clone()),
        realtime_url: vendor.realtime_url.clone(),
        dialect: Dialect::parse(&vendor.dialect).unwrap_or_default(),
        voice: vendor.voice.clone(),
        instructions: vendor.instructions.clone(),
        turns: turns(config),
        transcription_model: vendor.transcription_model.clone(),
        lasts: vendor.session_max.filter(|max| !max.is_zero()),
        // The vendor has no word of its own for hanging up.
        tools: std::iter::once(Tool::end_call())
            .chain(extras::declared(config, agent))
            .collect(),
        prices: prices(config),
        ..OpenAiSettings::default()
    }
}

/// What tokens cost, where anybody has written it down.
fn prices(config: &Config) -> Option<Prices> {
    let tokens = config.pricing.openai_tokens?;
    Some(Prices {
        text_in: tokens.text_in,
        cached_text_in: tokens.cached_text_in,
        text_out: tokens.text_out,
        audio_in: tokens.audio_in,
        cached_audio_in: tokens.cached_audio_in,
        audio_out: tokens.audio_out,
        transcription: tokens.transcription.map(TranscriptionPrice::PerMinute),
        as_of: config.pricing.as_of.clone(),
    })
}

fn turns(config: &Config) -> TurnDetection {
    let vendor = &config.openai;
    if vendor.turn_detection == "semantic_vad" {
        let eagerness = Eagerness::parse(&vendor.eagerness).unwrap_or_default();
        return TurnDetection::Semantic { eagerness };
    }
    #[expect(clippy::cast_possible_truncation, reason = "0 to 1, two digits matter")]
    let threshold = vendor.vad_threshold as f32;
    TurnDetection::Server {
        threshold,
        silence_ms: vendor.silence_ms,
        prefix_ms: TurnDetection::PREFIX_MS,
    }
}

fn check(config: &Config) -> Check {
    let vendor = &config.openai;
    if vendor.api_key.is_some() {
        ok(VENDOR, format!("key is set, model {}", vendor.model))
    } else if has_key(config) {
        ok(VENDOR, "no key, for a server on this machine")
    } else {
        warn(
            VENDOR,
            "no API key: callers get the fallback",
            "set openai.api_key_file or OPENAI_API_KEY",
        )
    }
}
