//! The pipeline of three OpenAI-compatible servers, as the registry sees it.

use std::sync::Arc;
use std::time::Duration;

use crate::providers::tools::Tool;
use crate::providers::vendor::{
    Agent, AgentConfig, Check, Key, Kind, MILLIS, Setup, USD, key, ok, warn,
};

use super::shell::PipelineDialer;
use super::{PartSettings, PipelinePrices, PipelineSettings, VENDOR};

pub const AGENT: Agent = Agent {
    kind: VENDOR,
    title: "the pipeline agent",
    short: VENDOR,
    sections: &[
        (
            "chat",
            "The pipeline agent: recognition, a language model and speech, any OpenAI-compatible servers.",
        ),
        (
            "chat.asr",
            "Speech recognition of the pipeline agent: any OpenAI-compatible server.",
        ),
        ("chat.llm", "Language model of the pipeline agent."),
        ("chat.tts", "Speech synthesis of the pipeline agent."),
    ],
    keys: KEYS,
    built_in: |setup| {
        missing(setup)
            .is_empty()
            .then(|| AgentConfig::plain(VENDOR))
    },
    lacks: |setup, agent| {
        let missing = missing(setup);
        (!missing.is_empty()).then(|| {
            (
                format!("agent {} lacks a part: {}", agent.id, missing.join(", ")),
                "set chat.asr.url, chat.llm.url and chat.tts.url; to try it without any server: \
                 wallboard simulate agent --vendor pipeline"
                    .into(),
            )
        })
    },
    dialer: |setup, agent, tools| {
        PipelineDialer::new(settings(setup, agent, tools))
            .map(|dialer| Arc::new(dialer) as _)
            .map_err(|error| error.to_string())
    },
    check,
    probe: |setup, http| {
        let url = setup.keys.text("chat.llm.url")?;
        let request = http.get(format!("{url}/models"));
        Some(match setup.keys.secret("chat.llm.api_key") {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        })
    },
    ..Agent::PLAIN
};

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("chat.silence_ms", MILLIS, "800", "Silence that ends a caller's turn with the pipeline agent, milliseconds."),
    key("chat.fallback_line", Kind::Text, "", "Said by the pipeline agent when one of its parts is down. A sensible line is used when unset."),
    key("chat.usd_asr_minute", USD, "", "Price of a minute of recognised speech, US dollars. Without prices calls have no cost estimate."),
    key("chat.usd_llm_in", USD, "", "Price of a million tokens the model reads."),
    key("chat.usd_llm_out", USD, "", "Price of a million tokens the model writes."),
    key("chat.usd_tts", USD, "", "Price of a million characters spoken."),
    key("chat.asr.url", Kind::HttpUrl, "", "Base that ends in /v1, for instance http://127.0.0.1:8000/v1."),
    key("chat.asr.model", Kind::Text, "", "Model name."),
    key("chat.asr.api_key", Kind::Secret, "", "API key, if that server wants one."),
    key("chat.asr.voice", Kind::Text, "", "Unused by recognisers; accepted for symmetry."),
    key("chat.llm.url", Kind::HttpUrl, "", "Base that ends in /v1."),
    key("chat.llm.model", Kind::Text, "", "Model name."),
    key("chat.llm.api_key", Kind::Secret, "", "API key, if that server wants one."),
    key("chat.llm.voice", Kind::Text, "", "Unused by language models; accepted for symmetry."),
    key("chat.tts.url", Kind::HttpUrl, "", "Base that ends in /v1."),
    key("chat.tts.model", Kind::Text, "", "Model name."),
    key("chat.tts.api_key", Kind::Secret, "", "API key, if that server wants one."),
    key("chat.tts.voice", Kind::Text, "", "Voice name."),
];

/// The keys of the parts that have no address.
fn missing(setup: &Setup<'_>) -> Vec<&'static str> {
    let urls = ["chat.asr.url", "chat.llm.url", "chat.tts.url"];
    let is_missing = |key: &&str| setup.keys.text(key).is_none();
    urls.into_iter().filter(is_missing).collect()
}

fn settings(setup: &Setup<'_>, agent: &AgentConfig, tools: Vec<Tool>) -> PipelineSettings {
    let keys = setup.keys;
    let usual = PipelineSettings::default();
    let mut llm = part(setup, "llm");
    llm.model = agent.model.clone().or(llm.model);
    let silence_ms = keys.count("chat.silence_ms").unwrap_or(800);
    let line = keys.text("chat.fallback_line");
    PipelineSettings {
        asr: part(setup, "asr"),
        llm,
        tts: part(setup, "tts"),
        instructions: agent.instructions.clone(),
        voice: agent.voice.clone().or_else(|| keys.text("chat.tts.voice")),
        language: agent.language.clone(),
        silence: Duration::from_millis(silence_ms.into()),
        fallback_line: line.unwrap_or(usual.fallback_line),
        // There is no other way for the model to hang up.
        tools: std::iter::once(Tool::end_call()).chain(tools).collect(),
        prices: PipelinePrices {
            asr_minute: keys.figure("chat.usd_asr_minute"),
            llm_million_in: keys.figure("chat.usd_llm_in"),
            llm_million_out: keys.figure("chat.usd_llm_out"),
            tts_million: keys.figure("chat.usd_tts"),
        },
        usd_max: agent.limits.usd,
    }
}

fn part(setup: &Setup<'_>, which: &str) -> PartSettings {
    let name = |leaf: &str| format!("chat.{which}.{leaf}");
    PartSettings {
        url: setup.keys.text_or_default(&name("url")),
        model: setup.keys.text(&name("model")),
        api_key: setup.keys.secret(&name("api_key")),
    }
}

fn check(setup: &Setup<'_>) -> Check {
    let missing = missing(setup);
    if missing.is_empty() {
        let model = setup.keys.text("chat.llm.model");
        let model = model.unwrap_or_else(|| "the server's own".to_owned());
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
