//! Every configuration key: name, kind, default, customary environment names, meaning.
//!
//! One table feeds the reader, the unknown-key check, `config default` and `config print`, so that
//! none of them can disagree with another.

use std::fmt;

use crate::engine::Thresholds;

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Text,
    /// Never printed; also takes `<key>_file`.
    Secret,
    /// `host:port`.
    Address,
    HttpUrl,
    WsUrl,
    Flag,
    Whole {
        min: i64,
        max: i64,
    },
    Figure {
        min: f64,
        max: f64,
    },
    /// `250ms`, `30s`, `5m`, `2h`, `7d`.
    Span,
    Path,
    /// A TOML array of strings; comma-separated in the environment.
    List,
    Choice(&'static [&'static str]),
    /// E.164.
    Phone,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As it would stand in TOML without quotes; empty for none.
    pub default: &'static str,
    /// Customary names besides `WALLBOARD_<SECTION>__<KEY>`, strongest first.
    pub env: &'static [&'static str],
    pub doc: &'static str,
}

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default,
        env: &[],
        doc,
    }
}

impl Key {
    const fn env(self, env: &'static [&'static str]) -> Self {
        Self { env, ..self }
    }

    /// `WALLBOARD_SERVER__LISTEN` for `server.listen`.
    pub fn env_name(&self) -> String {
        env_name(self.name)
    }

    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// Keys that say where to send credentials or calls: a `.env` in whatever directory one happens
    /// to stand in must not set them.
    pub fn is_destination(&self) -> bool {
        ["_url", "_base", ".url"]
            .iter()
            .any(|end| self.name.ends_with(end))
    }

    pub fn section(&self) -> &'static str {
        self.name
            .rsplit_once('.')
            .map_or("", |(section, _)| section)
    }

    pub fn leaf(&self) -> &'static str {
        self.name
            .rsplit_once('.')
            .map_or(self.name, |(_, leaf)| leaf)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Secret => f.write_str("a secret as text"),
            Self::Address => f.write_str("an address like 127.0.0.1:8787"),
            Self::HttpUrl => f.write_str("a URL that begins with https:// (or http://)"),
            Self::WsUrl => f.write_str("a URL that begins with wss:// (or ws://)"),
            Self::Flag => f.write_str("true or false"),
            Self::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Figure { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Span => {
                f.write_str("a duration like \"250ms\", \"30s\", \"5m\", \"2h\" or \"7d\"")
            }
            Self::Path => f.write_str("a path"),
            Self::List => f.write_str("a list of texts"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Phone => f.write_str("a phone number in E.164, like +15551230000"),
        }
    }
}

/// The environment name of a dotted key.
pub fn env_name(name: &str) -> String {
    format!("WALLBOARD_{}", name.replace('.', "__").to_ascii_uppercase())
}

/// Sections whose keys are the user's own words, checked by whoever reads them.
pub const FREE_SECTIONS: &[&str] = &["keys"];

/// Arrays of tables and the keys inside.
pub const ARRAYS: &[(&str, &[&str])] = &[
    (
        "route",
        &[
            "match",
            "agent",
            "record",
            "amd",
            "on_machine",
            "fallback",
            "store",
        ],
    ),
    (
        "agent",
        &[
            "id",
            "kind",
            "welcome",
            "instructions",
            "voice",
            "agent_id",
            "model",
            "language",
            "limits",
            "tools",
        ],
    ),
    (
        "tool",
        &[
            "name",
            "description",
            "url",
            "allow_loopback",
            "secret_file",
            "timeout_ms",
            "parameters",
        ],
    ),
    ("transfer", &["name", "to"]),
];

/// What a section is for, shown above it in `config default`.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "server",
        "Where wallboard listens, and how it is reached from outside.",
    ),
    (
        "server.tls",
        "Serve HTTPS without a proxy in front. Both or neither.",
    ),
    ("data", "What is kept: journal, recordings, tokens."),
    (
        "twilio",
        "Twilio account. Its webhooks answer 503 until auth_token is set.",
    ),
    (
        "plivo",
        "Plivo account. Its webhooks answer 503 until auth_token is set.",
    ),
    (
        "elevenlabs",
        "ElevenLabs agent: the built-in agent \"elevenlabs\", default for Twilio calls.",
    ),
    (
        "openai",
        "OpenAI Realtime: the built-in agent \"openai\", default for Plivo calls.",
    ),
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
    (
        "bridge",
        "What a caller gets when the agent is gone for good.",
    ),
    ("auth", "Who may look and who may act."),
    ("ui", "The screen."),
    ("alerts", "When a call asks for attention."),
    ("quality", "What counts as good, fair and bad."),
    ("recording", "Recordings of calls."),
    (
        "retention",
        "How long things are kept. \"0s\" keeps for ever.",
    ),
    (
        "pricing",
        "What things cost, US dollars. Without a rate no cost is shown.",
    ),
    ("log", "The log file (screen up) or stderr (serve)."),
];

const PERCENT: Kind = Kind::Figure {
    min: 0.0,
    max: 100.0,
};
const USD: Kind = Kind::Figure {
    min: 0.0,
    max: 1000.0,
};
const MILLIS: Kind = Kind::Whole {
    min: 0,
    max: 600_000,
};

/// The table, in the order `config default` prints it.
pub const KEYS: &[Key] = &[
    key("server.name", Kind::Text, "", "What this backend is called on screens; the machine's name if unset."),
    key("server.listen", Kind::Address, "127.0.0.1:8787", "Address to listen on. Give 0.0.0.0:8787 only behind a firewall or proxy.\nPORT changes the port alone."),
    key("server.public_url", Kind::HttpUrl, "", "How carriers reach this backend, for instance https://calls.example.com.\nSignatures are checked against it, so it must be exactly what the vendor console holds.").env(&["PUBLIC_URL"]),
    key("server.allowed_origins", Kind::List, "", "Browser origins that may call the API, for instance [\"https://desk.example.com\"]."),
    key("server.allowed_hosts", Kind::List, "", "Host names accepted besides loopback and that of public_url."),
    key("server.trusted_proxies", Kind::List, "", "Addresses whose X-Forwarded-For is believed, for instance [\"10.0.0.2\"]."),
    key("server.drain", Kind::Span, "120s", "On SIGTERM: how long live calls may go on before they get their fallback."),
    key("server.linger", Kind::Span, "30m", "After the screen is gone: how long to serve on when no call is left to wait for."),
    key("server.default_agent", Kind::Text, "", "Agent of calls that no [[route]] names."),
    key("server.default_carrier", Kind::Choice(&["twilio", "plivo"]), "", "Carrier of calls placed without naming one; unset takes the first that is set up."),
    key("server.tls.cert", Kind::Path, "", "PEM file with the certificate chain."),
    key("server.tls.key", Kind::Path, "", "PEM file with the private key."),
    key("data.dir", Kind::Path, "", "Directory of journal, recordings and tokens, mode 0700.\nDefault: $XDG_DATA_HOME/wallboard (~/.local/share/wallboard)."),
    key("twilio.account_sid", Kind::Text, "", "Account SID, AC…").env(&["TWILIO_ACCOUNT_SID"]),
    key("twilio.auth_token", Kind::Secret, "", "Auth token: signs webhooks and opens the REST API.").env(&["TWILIO_AUTH_TOKEN"]),
    key("twilio.phone_number", Kind::Phone, "", "Number that outgoing calls show.").env(&["TWILIO_PHONE_NUMBER"]),
    key("twilio.api_base", Kind::HttpUrl, "https://api.twilio.com", "REST API."),
    key("plivo.auth_id", Kind::Text, "", "Auth ID, MA…").env(&["PLIVO_AUTH_ID"]),
    key("plivo.auth_token", Kind::Secret, "", "Auth token: signs webhooks and opens the REST API.").env(&["PLIVO_AUTH_TOKEN"]),
    key("plivo.other_auth_token", Kind::Secret, "", "Also accepted under webhooks: a subaccount's token, or the old one while it is being changed."),
    key("plivo.phone_number", Kind::Phone, "", "Number that outgoing calls show.").env(&["PLIVO_PHONE_NUMBER"]),
    key("plivo.api_base", Kind::HttpUrl, "https://api.plivo.com", "REST API."),
    key("plivo.header_prefix", Kind::Text, "x-plivo", "How the names of its signature headers begin; x-vobiz for that compatible carrier."),
    key("plivo.accept_v2", Kind::Flag, "false", "Accept webhooks that carry only the old V2 signature, which does not cover the body."),
    key("elevenlabs.api_key", Kind::Secret, "", "API key (xi-api-key). Without it only public agents answer.").env(&["ELEVENLABS_API_KEY"]),
    key("elevenlabs.agent_id", Kind::Text, "", "Agent that answers Twilio calls, agent_….").env(&["ELEVENLABS_AGENT_ID"]),
    key("elevenlabs.phone_number_id", Kind::Text, "", "Number registered at ElevenLabs, phnum_….").env(&["ELEVENLABS_PHONE_NUMBER_ID"]),
    key("elevenlabs.webhook_secret", Kind::Secret, "", "Signs ElevenLabs webhooks, wsec_….").env(&["ELEVENLABS_CONVERSATION_EVENTS_WEBHOOK_SECRET"]),
    key("elevenlabs.monitor", Kind::Flag, "false", "Follow conversations ElevenLabs runs by its monitoring socket, too (Enterprise; monitoring_enabled at the agent)."),
    key("elevenlabs.api_base", Kind::HttpUrl, "https://api.elevenlabs.io", "REST API."),
    key("elevenlabs.ws_base", Kind::WsUrl, "wss://api.elevenlabs.io", "Conversation sockets."),
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
    key("bridge.transfer_number", Kind::Phone, "", "Connect the caller to this number when the agent is gone."),
    key("bridge.fallback_message", Kind::Text, "", "Said to the caller when the agent is gone and no transfer_number is set."),
    key("auth.admin_token", Kind::Secret, "", "Token with every right. Unset: the first start writes a random one to data.dir/token.").env(&["WALLBOARD_TOKEN"]),
    key("auth.public_namespace", Kind::Flag, "false", "Open the Socket.IO namespace / without a token. Everybody who can connect sees every call."),
    key("auth.chat_public", Kind::Flag, "false", "Open the voice gateway /chat/v1 without a token."),
    key("ui.theme", Kind::Text, "auto", "Theme name, or auto: dark or light by the terminal's background. See `wallboard theme ls`."),
    key("ui.color", Kind::Choice(&["auto", "always", "never"]), "auto", "auto honours NO_COLOR and TERM."),
    key("ui.ascii", Kind::Flag, "false", "Draw with ASCII only."),
    key("ui.mouse", Kind::Flag, "false", "Take mouse clicks; the terminal's own selection then needs shift."),
    key("ui.read_only", Kind::Flag, "false", "Hide and refuse everything that touches a call."),
    key("ui.audio_device", Kind::Text, "", "Sound card to listen on; unset takes the system's default."),
    key("ui.volume", Kind::Whole { min: 0, max: 100 }, "80", "Loudness when listening starts, percent."),
    key("ui.paint_background", Kind::Flag, "false", "Paint the theme's own background, so that everybody who shares this terminal sees the same."),
    key("ui.low_bandwidth", Kind::Flag, "false", "For a slow line: fewer repaints, no meters."),
    key("ui.restore", Kind::Flag, "true", "Begin with the view the screen of this backend was left with (filter, order, layout, columns, theme).\nIt is kept in $XDG_STATE_HOME/wallboard; --fresh begins without it."),
    key("ui.notify", Kind::Choice(&["off", "bell", "osc9", "osc777", "osc99"]), "off", "How a critical alert reaches you when the terminal is not in front, at most once in 10 s:\na bell, or a desktop notification (osc9: iTerm2, WezTerm, Windows Terminal; osc777: foot, urxvt;\nosc99: kitty)."),
    key("alerts.preset", Kind::Choice(&Thresholds::PRESETS), "phone", "Starting point of the figures below. relaxed: for agents that look things up while the caller waits;\nstrict: for short and lively calls; hamming, voiceobs: turns and silence as those two judge them."),
    key("alerts.off", Kind::List, "codec_noise", "Detectors that are switched off: agent_loop, tool_loop, phantom_speaking, dead_air, no_first_audio,\ndeaf_agent, codec_noise, barge_in_ignored, talk_over, slow_turn, runaway_call, transfer_stuck,\nghost_call, machine_answered, watch_word, help_request, agent_lost, media_lost."),
    key("alerts.watch_words", Kind::List, "", "Regular expressions looked for in what either side says, for instance [\"guarantee\", \"refund.*today\"]."),
    key("alerts.help_phrases", Kind::List, "", "Regular expressions of a caller who wants a human, for instance [\"speak to (a|some) (human|person)\"]."),
    key("alerts.dead_air_warn", Kind::Span, "", "Both sides silent this long (phone 4s)."),
    key("alerts.dead_air_crit", Kind::Span, "", "Both sides silent this long (phone 8s)."),
    key("alerts.no_first_audio_warn", Kind::Span, "", "No word of the agent after the answer (phone 5s)."),
    key("alerts.no_first_audio_crit", Kind::Span, "", "No word of the agent after the answer (phone 10s)."),
    key("alerts.slow_turn_warn", Kind::Span, "", "One turn took this long (phone 2500ms)."),
    key("alerts.slow_turn_crit", Kind::Span, "", "One turn took this long (phone 4s)."),
    key("alerts.runaway_warn", Kind::Span, "", "A call this long (phone 30m)."),
    key("alerts.runaway_crit", Kind::Span, "", "A call this long (phone 60m)."),
    key("alerts.agent_loop_warn", Kind::Whole { min: 2, max: 8 }, "", "The same sentence this often in the agent's last eight turns (phone 2)."),
    key("alerts.agent_loop_crit", Kind::Whole { min: 2, max: 8 }, "", "The same sentence this often in the agent's last eight turns (phone 3)."),
    key("alerts.runaway_usd_warn", USD, "", "A call that has cost this much, US dollars. Unset: no cap."),
    key("alerts.runaway_usd_crit", USD, "", "A call that has cost this much, US dollars. Unset: no cap."),
    key("alerts.talk_over_warn", PERCENT, "", "Both spoke in this much of the last minute, percent (phone 10)."),
    key("alerts.talk_over_crit", PERCENT, "", "Both spoke in this much of the last minute, percent (phone 25)."),
    key("alerts.tool_loop", Kind::Whole { min: 2, max: 50 }, "", "The same tool with the same arguments this often in a minute (phone 3)."),
    key("alerts.phantom_speaking", Kind::Span, "", "The agent speaks without a sound this long (phone 1500ms)."),
    key("alerts.no_first_audio_end", Kind::Span, "", "End a call on which the agent has not said a word for this long, for instance 35s. Unset: never."),
    key("alerts.deaf_agent", Kind::Span, "", "The caller spoke and nothing came of it for this long (phone 6s)."),
    key("alerts.barge_in_ignored", Kind::Span, "", "The agent speaks on while the caller has been speaking this long (phone 1s)."),
    key("alerts.transfer_stuck", Kind::Span, "", "A transfer that has not connected after this long (phone 20s)."),
    key("alerts.ghost_call", Kind::Span, "", "No media and no news of a call for this long; its carrier is then asked (phone 60s)."),
    key("quality.preset", Kind::Choice(&["phone", "strict", "relaxed", "hamming"]), "phone", "Turn latency p50 and p95, fair above the first figure, bad above the second:\nphone 1.2/2.0 s and 2.5/4.0 s, strict 0.8/1.5 s and 1.5/3.0 s, relaxed 1.5/2.0 s and 5.0/7.0 s,\nhamming 1.5/1.7 s and 3.5/5.0 s."),
    key("quality.turn_p50_warn_ms", MILLIS, "", "Overrides the preset."),
    key("quality.turn_p50_bad_ms", MILLIS, "", "Overrides the preset."),
    key("quality.turn_p95_warn_ms", MILLIS, "", "Overrides the preset."),
    key("quality.turn_p95_bad_ms", MILLIS, "", "Overrides the preset."),
    key("quality.jitter_warn_ms", MILLIS, "15", "Arrival jitter, fair above this."),
    key("quality.jitter_bad_ms", MILLIS, "30", "Arrival jitter, bad above this."),
    key("quality.loss_warn_pct", PERCENT, "1", "Frames missing in the last 10 s, fair above this."),
    key("quality.loss_bad_pct", PERCENT, "5", "Frames missing in the last 10 s, bad above this."),
    key("recording.default", Kind::Flag, "false", "Record calls that no [[route]] says anything about. Mind the law where the caller is."),
    key("recording.fetch", Kind::Flag, "true", "Copy finished recordings from the carrier into data.dir."),
    key("retention.calls", Kind::Span, "90d", "Ended calls with everything about them."),
    key("retention.transcripts", Kind::Span, "90d", "What was said; the call itself stays."),
    key("retention.recordings", Kind::Span, "30d", "Recording files."),
    key("retention.events", Kind::Span, "90d", "Timeline and figures of calls."),
    key("retention.audit", Kind::Span, "400d", "Who did what."),
    key("pricing.twilio_usd_per_min", USD, "", "Carrier minute, billed by the started minute."),
    key("pricing.plivo_usd_per_min", USD, "", "Carrier minute."),
    key("pricing.as_of", Kind::Text, "", "Day these prices were written down, shown beside estimates."),
    key("pricing.openai_text_in", USD, "", "US dollars per million tokens of text, in. Prices change: none is built in."),
    key("pricing.openai_cached_text_in", USD, "", "The same from the vendor's cache."),
    key("pricing.openai_text_out", USD, "", "Per million tokens of text, out."),
    key("pricing.openai_audio_in", USD, "", "Per million tokens of audio, in."),
    key("pricing.openai_cached_audio_in", USD, "", "The same from the vendor's cache."),
    key("pricing.openai_audio_out", USD, "", "Per million tokens of audio, out."),
    key("pricing.openai_transcription_usd_per_min", USD, "", "Minute of the caller's transcription."),
    key("pricing.elevenlabs_usd_per_min", USD, "", "Agent minute; the vendor's own figure replaces it after the call."),
    key("pricing.openai_usd_per_min", USD, "", "Agent minute."),
    key("log.level", Kind::Choice(&["error", "warn", "info", "debug", "trace"]), "info", "How much is logged. Transcripts and numbers appear at trace only."),
    key("log.format", Kind::Choice(&["auto", "text", "json"]), "auto", "auto: text on a terminal and in the file, JSON on a pipe."),
];

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_described_section_and_is_listed_once() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(
                SECTIONS.iter().any(|(name, _)| *name == key.section()),
                "{} has no section",
                key.name
            );
            assert!(
                KEYS.iter()
                    .skip(index + 1)
                    .all(|other| other.name != key.name),
                "{} twice",
                key.name
            );
        }
    }

    #[test]
    fn destinations_are_what_could_lead_credentials_astray() {
        assert!(find("twilio.api_base").is_some_and(Key::is_destination));
        assert!(find("chat.llm.url").is_some_and(Key::is_destination));
        assert!(find("openai.realtime_url").is_some_and(Key::is_destination));
        assert!(!find("twilio.auth_token").is_some_and(Key::is_destination));
    }

    #[test]
    fn environment_names_follow_the_rule() {
        assert_eq!(env_name("server.tls.cert"), "WALLBOARD_SERVER__TLS__CERT");
    }
}
