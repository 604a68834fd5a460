//! Configuration → carriers, agents, routes and detector thresholds. Opens no socket by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::{RegexBuilder, RegexSetBuilder};

use crate::bridge::AgentBrief;
use crate::call::{Direction, StoreLevel};
use crate::engine::{
    AgentPlan, Amd, Bounds, Carriers, Fallback, Hints, OnMachine, Plans, Rates, Route, Thresholds,
    Vendors, WatchWords,
};
use crate::media;
use crate::providers::vendor::{Key, Keys as _, registry};
use crate::server::ConversationSettings;

use super::config::{
    AgentConfig, AlertsConfig, Config, FallbackConfig, QualityConfig, RouteConfig,
};
use super::{Failure, Outcome, extras};

/// The carriers that are configured well enough to be given orders.
pub fn carriers(config: &Config) -> Outcome<Carriers> {
    let mut carriers = Carriers::new();
    for carrier in registry::CARRIERS {
        let control = (carrier.control)(&config.setup())
            .map_err(|reason| not_set_up(carrier.title, &reason))?;
        if let Some(control) = control {
            carriers.insert(carrier.name, control);
        }
    }
    Ok(carriers)
}

/// The agent vendors that can place calls on lines of their own.
pub fn callers(config: &Config) -> Outcome<Vendors> {
    let mut callers = Vendors::new();
    for (agent, lines) in registry::with_own_lines() {
        let calls = (lines.calls)(&config.setup());
        let calls = calls.map_err(|reason| not_set_up(agent.title, &reason))?;
        callers.extend(calls.map(|calls| (calls.name(), calls)));
    }
    Ok(callers)
}

/// The webhooks of conversations an agent vendor runs by itself, and what follows those where that
/// is wanted.
pub fn conversations(config: &Config) -> Outcome<ConversationSettings> {
    let setup = &config.setup();
    let mut settings = ConversationSettings::default();
    for (agent, lines) in registry::with_own_lines() {
        let monitor = (lines.monitor)(setup).map_err(|reason| not_set_up(agent.title, &reason))?;
        settings.monitor = settings.monitor.or(monitor);
        settings.webhook_secret = settings.webhook_secret.or_else(|| (lines.secret)(setup));
        settings.has_agent |= (lines.has_agent)(setup);
    }
    Ok(settings)
}

/// What messages name as missing: the keys that would mend it.
fn hints() -> Hints {
    let carriers: Vec<&str> = registry::CARRIERS
        .iter()
        .map(|carrier| carrier.account_key)
        .collect();
    let agents: Vec<&str> = registry::AGENTS
        .iter()
        .filter_map(|agent| agent.main_key)
        .collect();
    let lines: Vec<&str> = registry::with_own_lines()
        .map(|(_, lines)| lines.needs)
        .collect();
    let voices = registry::AGENTS
        .iter()
        .filter_map(|agent| agent.speaker_needs);
    Hints {
        carrier: format!("set {} in config.toml", carriers.join(" or ")),
        agent: format!(
            "set {}, or add an [[agent]] and a [[route]]",
            agents.join(" or ")
        ),
        own_line: format!("set {}", lines.join(", or ")),
        speech: std::iter::once("chat.tts")
            .chain(voices)
            .collect::<Vec<_>>()
            .join(", or "),
    }
}

/// The carrier of calls placed without naming one, where there is one.
pub fn default_carrier(config: &Config, carriers: &Carriers) -> Option<String> {
    let wanted = config.server.default_carrier.as_deref();
    let names = || registry::CARRIERS.iter().map(|carrier| carrier.name);
    wanted
        .into_iter()
        .chain(names())
        .find(|name| carriers.contains_key(name))
        .map(str::to_owned)
}

/// Agents and routes.
pub fn plans(config: &Config) -> Outcome<Plans> {
    let mut agents = BTreeMap::new();
    let built_in = registry::AGENTS
        .iter()
        .filter_map(|vendor| (vendor.built_in)(&config.setup()));
    // The user's own last: one that is called like a built-in agent takes its place.
    for agent in built_in.chain(config.agents.iter().cloned()) {
        if let Some(plan) = agent_plan(config, &agent)? {
            agents.insert(plan.id.clone(), plan);
        }
    }
    let default_by_carrier = registry::CARRIERS
        .iter()
        .filter(|carrier| agents.contains_key(carrier.usual_agent))
        .map(|carrier| (carrier.name.to_owned(), carrier.usual_agent.to_owned()))
        .collect();
    let fallback = match (
        &config.bridge.transfer_number,
        &config.bridge.fallback_message,
    ) {
        (Some(number), _) => Fallback::Transfer(number.clone()),
        (None, Some(message)) => Fallback::Say(message.clone()),
        (None, None) => Plans::default().fallback,
    };
    let mut routes: Vec<Route> = config.routes.iter().map(route).collect();
    if config.recording.default {
        // Last, so that it only takes what no route of the user's has taken.
        routes.push(Route {
            record: true,
            ..Route::default()
        });
    }
    Ok(Plans {
        routes,
        agents,
        default_by_carrier,
        default_agent: config.server.default_agent.clone(),
        fallback,
        hints: hints(),
    })
}

/// `None` for agents that cannot be dialled; `config check` says what they lack, and their calls get
/// the fallback.
fn agent_plan(config: &Config, agent: &AgentConfig) -> Outcome<Option<AgentPlan>> {
    let Some(vendor) = registry::agent(&agent.kind) else {
        tracing::warn!(agent = %agent.id, kind = %agent.kind, "this kind of agent is not bridged");
        return Ok(None);
    };
    if let Some((message, _)) = (vendor.lacks)(&config.setup(), agent) {
        tracing::warn!("{message}");
        return Ok(None);
    }
    let tools = extras::declared(config, agent);
    let dialer = (vendor.dialer)(&config.setup(), agent, tools)
        .map_err(|reason| not_set_up(vendor.title, &reason))?;
    Ok(Some(AgentPlan {
        id: agent.id.clone(),
        kind: vendor.kind,
        dialer,
        brief: AgentBrief {
            prompt: agent.instructions.clone(),
            first_message: agent.welcome.clone(),
            language: agent.language.clone(),
            voice: agent.voice.clone(),
            ..AgentBrief::default()
        },
        minutes_max: agent.limits.minutes,
        concurrent_max: agent.limits.concurrent,
        extras: extras::of(config, vendor, agent)?,
    }))
}

fn not_set_up(vendor: &str, reason: &str) -> Failure {
    Failure::usage(
        format!("{vendor} cannot be set up: {reason}"),
        "wallboard config check",
    )
}

fn route(config: &RouteConfig) -> Route {
    Route {
        carrier: config.matching.carrier.clone(),
        from: config.matching.from.clone(),
        to: config.matching.to.clone(),
        direction: match config.matching.direction.as_deref() {
            Some("inbound") => Some(Direction::Inbound),
            Some("outbound") => Some(Direction::Outbound),
            _ => None,
        },
        agent: config.agent.clone(),
        record: config.record.unwrap_or(false),
        amd: match config.amd.as_deref() {
            Some("detect") => Amd::Detect,
            Some("message_end") => Amd::MessageEnd,
            _ => Amd::Off,
        },
        on_machine: match config.on_machine.as_deref() {
            Some("end") => OnMachine::End,
            _ => OnMachine::Continue,
        },
        fallback: config.fallback.as_ref().map(|fallback| match fallback {
            FallbackConfig::Say(text) => Fallback::Say(text.clone()),
            FallbackConfig::Transfer(to) => Fallback::Transfer(to.clone()),
        }),
        // `config check` has refused words it does not know; kept is then least.
        store: config.store.as_deref().map_or(StoreLevel::All, |word| {
            StoreLevel::parse(word).unwrap_or(StoreLevel::FactsOnly)
        }),
    }
}

/// The detectors' preset with what `[alerts]` overrides.
pub fn thresholds(config: &AlertsConfig) -> Thresholds {
    let mut limits = Thresholds::preset(&config.preset).unwrap_or_else(Thresholds::phone);
    limits.off = config.off.iter().cloned().collect();
    over(
        &mut limits.dead_air_s,
        config.dead_air,
        Duration::as_secs_f64,
    );
    over(
        &mut limits.no_first_audio_s,
        config.no_first_audio,
        Duration::as_secs_f64,
    );
    over(
        &mut limits.slow_turn_s,
        config.slow_turn,
        Duration::as_secs_f64,
    );
    let minutes = |span: &Duration| span.as_secs_f64() / 60.0;
    over(&mut limits.runaway_min, config.runaway, minutes);
    over(&mut limits.agent_loop_repeats, config.agent_loop, |count| {
        *count as f64
    });
    over(&mut limits.talk_over_share, config.talk_over, |percent| {
        percent / 100.0
    });
    limits.runaway_usd = match config.runaway_usd {
        (None, None) => None,
        (warn, crit) => Some(Bounds::new(
            warn.or(crit).unwrap_or(f64::MAX),
            crit.unwrap_or(f64::MAX),
        )),
    };
    limits.no_first_audio_end_s = config.no_first_audio_end.map(|span| span.as_secs_f64());
    for (limit, span) in [
        (&mut limits.phantom_speaking_s, config.phantom_speaking),
        (&mut limits.deaf_agent_wait_s, config.deaf_agent),
        (&mut limits.barge_in_ignored_s, config.barge_in_ignored),
        (&mut limits.transfer_stuck_s, config.transfer_stuck),
        (&mut limits.ghost_s, config.ghost_call),
    ] {
        *limit = span.map_or(*limit, |span| span.as_secs_f64());
    }
    if let Some(count) = config.tool_loop {
        limits.tool_loop_repeats = count as f64;
    }
    // `config check` has refused patterns that do not compile.
    let words = config.watch_words.iter().filter_map(|pattern| {
        RegexBuilder::new(pattern)
            .case_insensitive(true)
            .build()
            .ok()
    });
    limits.watch_words = WatchWords::new(words.collect()).unwrap_or_default();
    limits.help_phrases = RegexSetBuilder::new(&config.help_phrases)
        .case_insensitive(true)
        .build()
        .unwrap_or_default();
    limits
}

/// Where figures turn from good to fair to bad.
pub fn quality(config: &QualityConfig) -> media::Thresholds {
    let limits = |(warn, bad): (f64, f64)| media::Limits { warn, bad };
    let millis = |(warn, bad): (u32, u32)| limits((f64::from(warn), f64::from(bad)));
    media::Thresholds {
        jitter_ms: millis(config.jitter_ms),
        loss_pct: limits(config.loss_pct),
        turn_p50_ms: millis(config.turn_p50_ms),
        turn_p95_ms: millis(config.turn_p95_ms),
        ..media::Thresholds::default()
    }
}

/// What a minute costs.
pub fn rates(config: &Config) -> Rates {
    let figure = |key: Key| config.settings.figure(key.name);
    let carriers = registry::CARRIERS.iter();
    let agents = registry::AGENTS.iter();
    Rates {
        carriers: carriers
            .filter_map(|carrier| Some((carrier.name.to_owned(), figure(carrier.minute_price)?)))
            .collect(),
        agents: agents
            .filter_map(|agent| Some((agent.kind.to_owned(), figure(agent.minute_price?)?)))
            .collect(),
    }
}

fn over<T>(bounds: &mut Bounds, (warn, crit): (Option<T>, Option<T>), figure: impl Fn(&T) -> f64) {
    if let Some(warn) = &warn {
        bounds.warn = figure(warn);
    }
    if let Some(crit) = &crit {
        bounds.critical = figure(crit);
    }
}
