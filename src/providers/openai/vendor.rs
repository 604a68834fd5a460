//! OpenAI Realtime, as the registry sees it.

use std::sync::Arc;

use crate::providers::shell::is_loopback_url;
use crate::providers::vendor::{
    Agent, AgentConfig, Check, Key, Kind, MILLIS, Setup, USD, key, ok, warn,
};

use super::shell::OpenAiDialer;
use super::{
    Dialect, Eagerness, OpenAiSettings, Prices, Tool, TranscriptionPrice, TurnDetection, VENDOR,
};

pub const AGENT: Agent = Agent {
    kind: VENDOR,
    title: "OpenAI Realtime",
    short: "OpenAI",
    sections: &[(
        VENDOR,
        "OpenAI Realtime: the built-in agent \"openai\", default for Plivo calls.",
    )],
    keys: KEYS,
    token_prices: TOKEN_PRICES,
    minute_price: Some(key("pricing.openai_usd_per_min", USD, "", "Agent minute.")),
    main_key: Some("openai.api_key"),
    built_in: |setup| has_key(setup).then(|| AgentConfig::plain(VENDOR)),
    lacks: |setup, agent| {
        (!has_key(setup)).then(|| {
            (
                format!("agent {} has no key: openai.api_key is not set", agent.id),
                "set openai.api_key, OPENAI_API_KEY or openai.api_key_file".into(),
            )
        })
    },
    dialer: |setup, agent, tools| {
        OpenAiDialer::new(settings(setup, agent, tools))
            .map(|dialer| Arc::new(dialer) as _)
            .map_err(|error| error.to_string())
    },
    check,
    probe: |setup, http| {
        let keys = setup.keys;
        let key = keys.secret("openai.api_key")?;
        let (base, model) = (
            keys.text_or_default("openai.api_base"),
            keys.text_or_default("openai.model"),
        );
        let url = format!("{base}/models/{model}");
        Some(http.get(url).bearer_auth(key.expose()))
    },
    ..Agent::PLAIN
};

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("openai.api_key", Kind::Secret, "", "API key, sk-….").env(&["OPENAI_API_KEY"]),
    key("openai.model", Kind::Text, "gpt-realtime-2.1", "Realtime model."),
    key("openai.dialect", Kind::Choice(&["ga", "beta"]), "ga", "\"beta\" for older compatible servers."),
    key("openai.realtime_url", Kind::WsUrl, "wss://api.openai.com/v1/realtime", "Realtime socket."),
    key("openai.api_base", Kind::HttpUrl, "https://api.openai.com/v1", "REST API."),
    key("openai.voice", Kind::Text, "shimmer", "Voice of the agent."),
    key("openai.turn_detection", Kind::Choice(&["server_vad", "semantic_vad"]), "server_vad", "How the end of a caller's turn is found: by silence, or by what was said."),
    key("openai.eagerness", Kind::Choice(&["auto", "low", "medium", "high"]), "auto", "semantic_vad: how soon the agent takes the turn."),
    key("openai.vad_threshold", Kind::Figure { min: 0.0, max: 1.0 }, "0.7", "server_vad: how loud speech must be to count as speech, 0 to 1."),
    key("openai.silence_ms", MILLIS, "800", "server_vad: silence that ends a caller's turn, milliseconds."),
    key("openai.transcription_model", Kind::Text, "gpt-realtime-whisper", "Writes down what the caller says."),
    key("openai.session_max", Kind::Span, "60m", "How long one conversation lasts at most; the server may say less (session.expires_at). Shortly before, another one takes over. 0s: as long as the server says."),
    key("openai.instructions", Kind::Text, "", "What the agent is told. A sensible default is used when unset."),
];

#[rustfmt::skip]
const TOKEN_PRICES: &[Key] = &[
    key("pricing.openai_text_in", USD, "", "US dollars per million tokens of text, in. Prices change: none is built in."),
    key("pricing.openai_cached_text_in", USD, "", "The same from the vendor's cache."),
    key("pricing.openai_text_out", USD, "", "Per million tokens of text, out."),
    key("pricing.openai_audio_in", USD, "", "Per million tokens of audio, in."),
    key("pricing.openai_cached_audio_in", USD, "", "The same from the vendor's cache."),
    key("pricing.openai_audio_out", USD, "", "Per million tokens of audio, out."),
    key(TRANSCRIPTION, USD, "", "Minute of the caller's transcription."),
];

/// Alone it prices nothing: the tokens are the bulk.
const TRANSCRIPTION: &str = "pricing.openai_transcription_usd_per_min";

/// A server of one's own may want none.
fn has_key(setup: &Setup<'_>) -> bool {
    setup.keys.secret("openai.api_key").is_some()
        || is_loopback_url(&setup.keys.text_or_default("openai.realtime_url"))
}

fn settings(setup: &Setup<'_>, agent: &AgentConfig, tools: Vec<Tool>) -> OpenAiSettings {
    let keys = setup.keys;
    let text = |name: &str| keys.text_or_default(name);
    OpenAiSettings {
        api_key: keys.secret("openai.api_key"),
        model: agent.model.clone().unwrap_or_else(|| text("openai.model")),
        realtime_url: text("openai.realtime_url"),
        dialect: Dialect::parse(&text("openai.dialect")).unwrap_or_default(),
        voice: text("openai.voice"),
        instructions: keys.text("openai.instructions"),
        turns: turns(setup),
        transcription_model: keys.text("openai.transcription_model"),
        lasts: keys.span("openai.session_max").filter(|max| !max.is_zero()),
        // The vendor has no word of its own for hanging up.
        tools: std::iter::once(Tool::end_call()).chain(tools).collect(),
        prices: prices(setup),
        ..OpenAiSettings::default()
    }
}

/// What tokens cost. `None` when nobody wrote a price down: a table of zeros would call every call
/// free.
fn prices(setup: &Setup<'_>) -> Option<Prices> {
    let figure = |name: &str| setup.keys.figure(name);
    let tokens = || TOKEN_PRICES.iter().filter(|key| key.name != TRANSCRIPTION);
    tokens().find_map(|key| figure(key.name))?;
    let of = |leaf: &str| figure(&format!("pricing.openai_{leaf}")).unwrap_or_default();
    Some(Prices {
        text_in: of("text_in"),
        cached_text_in: of("cached_text_in"),
        text_out: of("text_out"),
        audio_in: of("audio_in"),
        cached_audio_in: of("cached_audio_in"),
        audio_out: of("audio_out"),
        transcription: figure(TRANSCRIPTION).map(TranscriptionPrice::PerMinute),
        as_of: setup.keys.text("pricing.as_of"),
    })
}

fn turns(setup: &Setup<'_>) -> TurnDetection {
    let keys = setup.keys;
    if keys.text_or_default("openai.turn_detection") == "semantic_vad" {
        let eagerness = Eagerness::parse(&keys.text_or_default("openai.eagerness"));
        return TurnDetection::Semantic {
            eagerness: eagerness.unwrap_or_default(),
        };
    }
    let threshold = keys.figure("openai.vad_threshold").unwrap_or(0.7);
    #[expect(clippy::cast_possible_truncation, reason = "0 to 1, two digits matter")]
    let threshold = threshold as f32;
    TurnDetection::Server {
        threshold,
        silence_ms: keys.count("openai.silence_ms").unwrap_or(800),
        prefix_ms: TurnDetection::PREFIX_MS,
    }
}

fn check(setup: &Setup<'_>) -> Check {
    if setup.keys.secret("openai.api_key").is_some() {
        let model = setup.keys.text_or_default("openai.model");
        ok(VENDOR, format!("key is set, model {model}"))
    } else if has_key(setup) {
        ok(VENDOR, "no key, for a server on this machine")
    } else {
        warn(
            VENDOR,
            "no API key: callers get the fallback",
            "set openai.api_key_file or OPENAI_API_KEY",
        )
    }
}
