//! Checked values → typed sections.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::providers::vendor::Keys as _;

use super::Problem;
use super::load::{Loaded, Settings};
use super::model::{
    AlertsConfig, AuthConfig, BridgeConfig, Config, LogConfig, QualityConfig, RecordingConfig,
    RetentionConfig, ServerConfig, UiConfig,
};

impl Config {
    /// Builds the sections; rows that do not fit add problems and are left out.
    pub fn build(loaded: &Loaded, problems: &mut Vec<Problem>) -> Self {
        let settings = &loaded.settings;
        let text = |name: &str| settings.text(name).unwrap_or_default();
        Self {
            settings: settings.clone(),
            server: server(settings),
            data_dir: settings
                .text("data.dir")
                .map_or_else(default_data_dir, |dir| expand_home(&dir)),
            bridge: BridgeConfig {
                transfer_number: settings.text("bridge.transfer_number"),
                fallback_message: settings.text("bridge.fallback_message"),
            },
            auth: AuthConfig {
                admin_token: settings.secret("auth.admin_token"),
                public_namespace: settings.flag("auth.public_namespace"),
                chat_public: settings.flag("auth.chat_public"),
            },
            ui: UiConfig {
                theme: text("ui.theme"),
                color: text("ui.color"),
                ascii: settings.flag("ui.ascii"),
                mouse: settings.flag("ui.mouse"),
                read_only: settings.flag("ui.read_only"),
                audio_device: settings.text("ui.audio_device"),
                volume: settings
                    .whole("ui.volume")
                    .and_then(|percent| u8::try_from(percent).ok())
                    .unwrap_or(80),
                notify: text("ui.notify"),
                paint_background: settings.flag("ui.paint_background"),
                restore: settings.flag("ui.restore"),
                low_bandwidth: settings.flag("ui.low_bandwidth"),
            },
            alerts: alerts(settings),
            quality: quality(settings),
            recording: RecordingConfig {
                default: settings.flag("recording.default"),
                fetch: settings.flag("recording.fetch"),
            },
            retention: RetentionConfig {
                calls: settings.span("retention.calls").unwrap_or_default(),
                transcripts: settings.span("retention.transcripts").unwrap_or_default(),
                recordings: settings.span("retention.recordings").unwrap_or_default(),
                events: settings.span("retention.events").unwrap_or_default(),
                audit: settings.span("retention.audit").unwrap_or_default(),
            },
            log: LogConfig {
                level: text("log.level"),
                format: text("log.format"),
            },
            routes: rows(loaded, "route", problems),
            agents: rows(loaded, "agent", problems),
            tools: rows(loaded, "tool", problems),
            transfers: rows(loaded, "transfer", problems),
            keymap: loaded.keymap.clone(),
        }
    }
}

fn server(settings: &Settings) -> ServerConfig {
    ServerConfig {
        name: settings.text("server.name"),
        listen: settings
            .text("server.listen")
            .unwrap_or_else(|| "127.0.0.1:8787".into()),
        public_url: settings.text("server.public_url"),
        allowed_origins: settings.list("server.allowed_origins"),
        allowed_hosts: settings.list("server.allowed_hosts"),
        trusted_proxies: settings.list("server.trusted_proxies"),
        drain: settings
            .span("server.drain")
            .unwrap_or(Duration::from_secs(120)),
        linger: settings
            .span("server.linger")
            .unwrap_or(Duration::from_secs(1800)),
        default_agent: settings.text("server.default_agent"),
        default_carrier: settings.text("server.default_carrier"),
        tls_cert: settings
            .text("server.tls.cert")
            .map(|path| expand_home(&path)),
        tls_key: settings
            .text("server.tls.key")
            .map(|path| expand_home(&path)),
    }
}

fn alerts(settings: &Settings) -> AlertsConfig {
    let spans = |stem: &str| {
        (
            settings.span(&format!("alerts.{stem}_warn")),
            settings.span(&format!("alerts.{stem}_crit")),
        )
    };
    let figures = |stem: &str| {
        (
            settings.figure(&format!("alerts.{stem}_warn")),
            settings.figure(&format!("alerts.{stem}_crit")),
        )
    };
    AlertsConfig {
        preset: settings
            .text("alerts.preset")
            .unwrap_or_else(|| "phone".into()),
        off: settings.list("alerts.off"),
        watch_words: settings.list("alerts.watch_words"),
        help_phrases: settings.list("alerts.help_phrases"),
        dead_air: spans("dead_air"),
        no_first_audio: spans("no_first_audio"),
        slow_turn: spans("slow_turn"),
        runaway: spans("runaway"),
        agent_loop: (
            settings.whole("alerts.agent_loop_warn"),
            settings.whole("alerts.agent_loop_crit"),
        ),
        talk_over: figures("talk_over"),
        runaway_usd: figures("runaway_usd"),
        tool_loop: settings.whole("alerts.tool_loop"),
        phantom_speaking: settings.span("alerts.phantom_speaking"),
        no_first_audio_end: settings.span("alerts.no_first_audio_end"),
        deaf_agent: settings.span("alerts.deaf_agent"),
        barge_in_ignored: settings.span("alerts.barge_in_ignored"),
        transfer_stuck: settings.span("alerts.transfer_stuck"),
        ghost_call: settings.span("alerts.ghost_call"),
    }
}

fn quality(settings: &Settings) -> QualityConfig {
    let preset = settings
        .text("quality.preset")
        .unwrap_or_else(|| "phone".into());
    let ((p50_warn, p50_bad), (p95_warn, p95_bad)) = match preset.as_str() {
        "strict" => ((800, 1_500), (1_500, 3_000)),
        "hamming" => ((1_500, 1_700), (3_500, 5_000)),
        "relaxed" => ((1_500, 2_000), (5_000, 7_000)),
        _ => ((1_200, 2_000), (2_500, 4_000)),
    };
    let or = |name: &str, preset: u32| settings.count(name).unwrap_or(preset);
    QualityConfig {
        preset,
        turn_p50_ms: (
            or("quality.turn_p50_warn_ms", p50_warn),
            or("quality.turn_p50_bad_ms", p50_bad),
        ),
        turn_p95_ms: (
            or("quality.turn_p95_warn_ms", p95_warn),
            or("quality.turn_p95_bad_ms", p95_bad),
        ),
        jitter_ms: (
            or("quality.jitter_warn_ms", 15),
            or("quality.jitter_bad_ms", 30),
        ),
        loss_pct: (
            settings.figure("quality.loss_warn_pct").unwrap_or(1.0),
            settings.figure("quality.loss_bad_pct").unwrap_or(5.0),
        ),
    }
}

fn rows<T: for<'de> Deserialize<'de>>(
    loaded: &Loaded,
    array: &str,
    problems: &mut Vec<Problem>,
) -> Vec<T> {
    let mut out = Vec::new();
    for row in loaded.rows.iter().filter(|row| row.array == array) {
        match serde_json::from_value(row.value.clone()) {
            Ok(value) => out.push(value),
            // Unknown words at the top of a block were named when it was read.
            Err(error) if error.to_string().starts_with("unknown field") && row.reported => {}
            Err(error) => problems.push(Problem::new(
                row.place(loaded.file.as_deref()),
                format!("[[{array}]] does not fit: {error}"),
                "`wallboard config default` shows what it takes",
            )),
        }
    }
    out
}

/// `$XDG_DATA_HOME/wallboard`, or a folder beside the program's caller when there is no home.
fn default_data_dir() -> PathBuf {
    use etcetera::BaseStrategy;
    etcetera::choose_base_strategy().map_or_else(
        |_| PathBuf::from("wallboard-data"),
        |base| base.data_dir().join("wallboard"),
    )
}

fn expand_home(path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => {
            etcetera::home_dir().map_or_else(|_| PathBuf::from(path), |home| home.join(rest))
        }
        None => PathBuf::from(path),
    }
}
