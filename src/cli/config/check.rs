//! What single keys cannot show: keys that need each other, and names that must exist.

use std::collections::BTreeSet;

use super::value::is_phone;
use super::{AgentConfig, Config, FallbackConfig, Loaded, Problem, RouteConfig, nearest};
use crate::call::StoreLevel;
use crate::providers::hooks::shell::check_url;
use crate::providers::shell::is_loopback_url;
use crate::providers::vendor::{Fault, registry};

impl Config {
    /// The typed configuration and everything wrong with it, reading included.
    pub fn judge(loaded: &Loaded) -> (Self, Vec<Problem>) {
        let mut problems = loaded.problems.clone();
        let config = Self::build(loaded, &mut problems);
        let place = loaded
            .file
            .as_ref()
            .map_or_else(|| "configuration".into(), |path| path.display().to_string());
        let mut judge = Judge {
            place,
            loaded,
            problems,
        };
        judge.server(&config);
        judge.vendors(&config);
        judge.agents(&config);
        judge.routes(&config);
        judge.tools(&config);
        judge.alerts(&config);
        (config, judge.problems)
    }
}

struct Judge<'a> {
    place: String,
    loaded: &'a Loaded,
    problems: Vec<Problem>,
}

impl Judge<'_> {
    fn error(&mut self, message: impl Into<String>, fix: impl Into<String>) {
        self.problems
            .push(Problem::new(self.place.clone(), message, fix));
    }

    fn warn(&mut self, message: impl Into<String>, fix: impl Into<String>) {
        self.problems
            .push(Problem::new(self.place.clone(), message, fix).warning());
    }

    /// As [`Judge::error`], naming where the key was set.
    fn error_at(&mut self, key: &str, message: impl Into<String>, fix: impl Into<String>) {
        let place = self
            .loaded
            .settings
            .origin(key)
            .map_or_else(|| self.place.clone(), ToString::to_string);
        self.problems.push(Problem::new(place, message, fix));
    }

    fn server(&mut self, config: &Config) {
        if config.server.tls_cert.is_some() != config.server.tls_key.is_some() {
            self.error(
                "server.tls needs both cert and key",
                "set the missing one, or leave both out and put a proxy in front",
            );
        }
        for path in [&config.server.tls_cert, &config.server.tls_key]
            .into_iter()
            .flatten()
        {
            if let Err(error) = std::fs::File::open(path) {
                self.error(
                    format!("{} cannot be read: {error}", path.display()),
                    "check server.tls.cert and server.tls.key",
                );
            }
        }
        if let Some(url) = &config.server.public_url {
            if url.starts_with("http://") && !is_loopback_url(url) {
                self.warn(
                    "server.public_url is http: media streams need wss, which needs https",
                    "give the https address of your proxy or tunnel",
                );
            }
        }
        for (key, agent) in [("server.default_agent", &config.server.default_agent)] {
            if let Some(agent) = agent {
                if let Some(fix) = missing_agent(config, agent) {
                    self.error_at(key, format!("{key} names no agent: {agent}"), fix);
                }
            }
        }
    }

    fn vendors(&mut self, config: &Config) {
        self.warn_all(registry::carrier_warnings(&config.setup()));
        let idle = registry::CARRIERS.iter().find(|carrier| {
            config.server.default_carrier.as_deref() == Some(carrier.name)
                && !(carrier.is_wanted)(&config.setup())
        });
        if let Some(carrier) = idle {
            self.warn(
                format!(
                    "server.default_carrier is {}, which is not set up",
                    carrier.name
                ),
                format!("set {} and its account", carrier.secret_key),
            );
        }
        self.warn_all(registry::agent_warnings(&config.setup()));
    }

    fn warn_all(&mut self, faults: Vec<Fault>) {
        for (message, fix) in faults {
            self.warn(message, fix);
        }
    }

    fn agents(&mut self, config: &Config) {
        let mut seen = BTreeSet::new();
        for agent in &config.agents {
            if !seen.insert(agent.id.as_str()) {
                self.error(
                    format!("two [[agent]] blocks are called {}", agent.id),
                    "give every agent its own id",
                );
            }
            self.agent(config, agent);
        }
    }

    fn agent(&mut self, config: &Config, agent: &AgentConfig) {
        let (id, kind) = (&agent.id, agent.kind.as_str());
        match registry::agent(kind).map(|vendor| (vendor.lacks)(&config.setup(), agent)) {
            Some(Some((message, fix))) => self.error(message, fix),
            Some(None) => {}
            None => self.error(
                format!("agent {id} has an unknown kind: {kind}"),
                format!("kind is {}", registry::agent_kinds().join(" or ")),
            ),
        }
        for tool in &agent.tools {
            let ours = ["transfer_call", "request_human"].contains(&tool.as_str());
            if !ours && config.tools.iter().all(|known| known.name != *tool) {
                self.error(
                    format!("agent {id} uses the tool {tool}, which does not exist"),
                    format!("add a [[tool]] with name = \"{tool}\""),
                );
            }
        }
    }

    fn routes(&mut self, config: &Config) {
        for (index, route) in config.routes.iter().enumerate() {
            let name = format!("[[route]] number {}", index + 1);
            self.route(config, &name, route);
        }
        for transfer in &config.transfers {
            if !is_phone(&transfer.to) {
                self.error(
                    format!("[[transfer]] {} has no valid number", transfer.name),
                    "write it in E.164, like +15551230000",
                );
            }
        }
    }

    fn route(&mut self, config: &Config, name: &str, route: &RouteConfig) {
        if let Some(agent) = &route.agent {
            if let Some(fix) = missing_agent(config, agent) {
                self.error(format!("{name} names no agent: {agent}"), fix);
            }
        }
        let carriers = registry::line_names();
        let words: [(&str, Option<&str>, &[&str]); 5] = [
            (
                "amd",
                route.amd.as_deref(),
                &["off", "detect", "message_end"],
            ),
            (
                "on_machine",
                route.on_machine.as_deref(),
                &["continue", "end"],
            ),
            (
                "direction",
                route.matching.direction.as_deref(),
                &["inbound", "outbound"],
            ),
            ("carrier", route.matching.carrier.as_deref(), &carriers),
            ("store", route.store.as_deref(), &StoreLevel::WORDS),
        ];
        for (key, word, known) in words {
            if let Some(word) = word.filter(|word| !known.contains(word)) {
                self.error(
                    format!("{name}: {key} cannot be {word:?}"),
                    format!("{key} is {}", known.join(" or ")),
                );
            }
        }
        let level = route.store.as_deref().and_then(StoreLevel::parse);
        if route.record == Some(true) && level.is_some_and(|level| !level.keeps_audio()) {
            self.error(
                format!("{name}: record = true, and store keeps no audio"),
                "leave record out, or set store = \"all\"",
            );
        }
        if let Some(FallbackConfig::Transfer(to)) = &route.fallback {
            if !is_phone(to) {
                self.error(
                    format!("{name}: fallback.transfer is not a number"),
                    "write it in E.164, like +15551230000",
                );
            }
        }
    }

    fn tools(&mut self, config: &Config) {
        for tool in &config.tools {
            if let Err(forbidden) = check_url(&tool.url, tool.allow_loopback) {
                self.error(
                    format!("tool {}: {forbidden}", tool.name),
                    "give an https url on the public internet; for development on this machine \
                     also allow_loopback = true",
                );
            }
            if let Some(path) = &tool.secret_file {
                if let Err(error) = std::fs::File::open(path) {
                    self.error(
                        format!("tool {}: secret_file cannot be read: {error}", tool.name),
                        "check the path and its permissions",
                    );
                }
            }
        }
    }

    fn alerts(&mut self, config: &Config) {
        let lists = [
            ("alerts.watch_words", &config.alerts.watch_words),
            ("alerts.help_phrases", &config.alerts.help_phrases),
        ];
        for (key, patterns) in lists {
            for pattern in patterns {
                if let Err(error) = regex::Regex::new(pattern) {
                    let reason = error.to_string();
                    let reason = reason.lines().last().unwrap_or_default().to_owned();
                    self.error_at(
                        key,
                        format!("{key}: {pattern:?} is not a regular expression: {reason}"),
                        "put a backslash before special characters that are meant literally",
                    );
                }
            }
        }
    }
}

/// `None` when the agent exists, else what to do about it.
fn missing_agent(config: &Config, id: &str) -> Option<String> {
    let known: Vec<&str> = config
        .agents
        .iter()
        .map(|agent| agent.id.as_str())
        .chain(registry::agent_kinds())
        .collect();
    if known.contains(&id) {
        return None;
    }
    Some(nearest(id, known.iter().copied()).map_or_else(
        || format!("known agents: {}", known.join(", ")),
        |close| format!("did you mean {close}?"),
    ))
}
