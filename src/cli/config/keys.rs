//! Every configuration key: name, kind, default, customary environment names, meaning. A vendor's are
//! in its folder and come in between.
//!
//! One table feeds the reader, the unknown-key check, `config default` and `config print`, so that
//! none of them can disagree with another.

use std::sync::LazyLock;

use crate::engine::Thresholds;
use crate::providers::vendor::registry::{self, AGENTS, CARRIERS};
use crate::providers::vendor::{Key, Kind, MILLIS, PERCENT, Section, USD, key};

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

/// What a section is for, shown above it in `config default`. The vendors' come between.
const SECTIONS: &[Section] = &[
    (
        "server",
        "Where wallboard listens, and how it is reached from outside.",
    ),
    (
        "server.tls",
        "Serve HTTPS without a proxy in front. Both or neither.",
    ),
    ("data", "What is kept: journal, recordings, tokens."),
];

/// Those after the vendors'.
const LATER_SECTIONS: &[Section] = &[
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

/// When the prices were written down.
const PRICED: Key = key(
    "pricing.as_of",
    Kind::Text,
    "",
    "Day these prices were written down, shown beside estimates.",
);

/// Everything there is, in the order `config default` prints it.
pub fn all() -> &'static [Key] {
    static ALL: LazyLock<Vec<Key>> = LazyLock::new(|| {
        let mut all = KEYS.to_vec();
        all.extend(CARRIERS.iter().flat_map(|carrier| carrier.keys));
        all.extend(AGENTS.iter().flat_map(|agent| agent.keys));
        all.extend(LATER_KEYS);
        all.extend(CARRIERS.iter().map(|carrier| carrier.minute_price));
        all.push(PRICED);
        all.extend(AGENTS.iter().flat_map(|agent| agent.token_prices));
        all.extend(AGENTS.iter().filter_map(|agent| agent.minute_price));
        all.extend(LAST_KEYS);
        all
    });
    &ALL
}

/// Every section, in the same order.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    let carriers = CARRIERS.iter().map(|carrier| &carrier.section);
    let agents = AGENTS.iter().flat_map(|agent| agent.sections);
    SECTIONS
        .iter()
        .chain(carriers)
        .chain(agents)
        .chain(LATER_SECTIONS)
}

/// What the house itself is set up with, before the vendors'.
#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("server.name", Kind::Text, "", "What this backend is called on screens; the machine's name if unset."),
    key("server.listen", Kind::Address, "127.0.0.1:8787", "Address to listen on. Give 0.0.0.0:8787 only behind a firewall or proxy.\nPORT changes the port alone."),
    key("server.public_url", Kind::HttpUrl, "", "How carriers reach this backend, for instance https://calls.example.com.\nSignatures are checked against it, so it must be exactly what the vendor console holds.").env(&["PUBLIC_URL"]),
    key("server.allowed_origins", Kind::List, "", "Browser origins that may call the API, for instance [\"https://desk.example.com\"]."),
    key("server.allowed_hosts", Kind::List, "", "Host names accepted besides loopback and that of public_url."),
    key("server.trusted_proxies", Kind::List, "", "Addresses whose X-Forwarded-For is believed, for instance [\"10.0.0.2\"]."),
    key("server.drain", Kind::Span, "120s", "On SIGTERM: how long live calls may go on before they get their fallback."),
    key("server.linger", Kind::Span, "30m", "After the screen is gone: how long to serve on when no call is left to wait for."),
    key("server.default_agent", Kind::Text, "", "Agent of calls that no [[route]] names."),
    key("server.default_carrier", Kind::Choice(&registry::CARRIER_NAMES), "", "Carrier of calls placed without naming one; unset takes the first that is set up."),
    key("server.tls.cert", Kind::Path, "", "PEM file with the certificate chain."),
    key("server.tls.key", Kind::Path, "", "PEM file with the private key."),
    key("data.dir", Kind::Path, "", "Directory of journal, recordings and tokens, mode 0700.\nDefault: $XDG_DATA_HOME/wallboard (~/.local/share/wallboard)."),
];

/// Those after the vendors'.
#[rustfmt::skip]
const LATER_KEYS: &[Key] = &[
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
];

/// The last ones, after the prices.
const LAST_KEYS: &[Key] = &[
    key(
        "log.level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "How much is logged. Transcripts and numbers appear at trace only.",
    ),
    key(
        "log.format",
        Kind::Choice(&["auto", "text", "json"]),
        "auto",
        "auto: text on a terminal and in the file, JSON on a pipe.",
    ),
];

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    all().iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_described_section_and_is_listed_once() {
        for (index, key) in all().iter().enumerate() {
            assert!(
                sections().any(|(name, _)| *name == key.section()),
                "{} has no section",
                key.name
            );
            assert!(
                all()
                    .iter()
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
        let key = find("server.tls.cert").expect("a key");
        assert_eq!(key.env_name(), "WALLBOARD_SERVER__TLS__CERT");
    }
}
