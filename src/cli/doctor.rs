//! `wallboard doctor`: everything a start needs, checked before it is needed. One line a check; a
//! failure says how to mend it.

use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};
use serde_json::json;

use crate::audio;
use crate::engine::Clock;

use crate::providers::shell::is_loopback_url;
use crate::providers::vendor::{Check, State, fail, ok, registry, warn};

use super::config::{Config, Loaded};
use super::out;
use super::{Exit, Failure, Outcome, local};

/// Exit 0: fine, 1: something fails, 2: the configuration is wrong.
pub async fn run(loaded: &Loaded, live: bool, as_json: bool) -> Outcome {
    let (config, problems) = Config::judge(loaded);
    let mut checks = Vec::new();
    for problem in &problems {
        let (message, fix) = (problem.to_string(), problem.fix.clone());
        checks.push(if problem.is_warning {
            warn("config", message, fix)
        } else {
            fail("config", message, fix)
        });
    }
    let is_misconfigured = checks.iter().any(|check| check.state == State::Fail);
    if problems.is_empty() {
        checks.push(ok("config", from_where(loaded)));
    }
    checks.push(data_dir(&config.data_dir));
    checks.push(port(&config));
    checks.push(public_url(&config));
    checks.extend(vendors(&config));
    checks.extend(terminal());
    checks.push(sound(&config).await);
    checks.push(clock());
    if live {
        checks.extend(live_checks(&config).await);
    }
    report(&checks, as_json)?;
    let failures = checks
        .iter()
        .filter(|check| check.state == State::Fail)
        .count();
    if is_misconfigured {
        return Err(Failure::usage(
            "the configuration is wrong",
            "mend the config lines above",
        ));
    }
    if failures > 0 {
        return Err(Failure::new(
            Exit::Failed,
            format!("{failures} check(s) failed"),
            "mend the lines above",
        ));
    }
    Ok(())
}

fn report(checks: &[Check], as_json: bool) -> Outcome {
    for check in checks {
        if as_json {
            out::json(&json!({
                "check": check.name, "state": check.state.word(),
                "message": check.message, "fix": check.fix,
            }))?;
            continue;
        }
        out::line(&format!(
            "{:<5}{:<12}{}",
            check.state.word(),
            check.name,
            crate::call::text::clean_label(&check.message)
        ))?;
        if !check.fix.is_empty() {
            out::line(&format!("{:17}→ {}", "", check.fix))?;
        }
    }
    Ok(())
}

fn from_where(loaded: &Loaded) -> String {
    loaded.file.as_ref().map_or_else(
        || "no file; defaults and environment".into(),
        |path| path.display().to_string(),
    )
}

fn data_dir(path: &Path) -> Check {
    const NAME: &str = "data";
    let shown = path.display();
    if !path.exists() {
        let nearest = path.ancestors().find(|parent| parent.is_dir());
        let writable = nearest.is_some_and(|parent| {
            !std::fs::metadata(parent).is_ok_and(|meta| meta.permissions().readonly())
        });
        return if writable {
            ok(NAME, format!("{shown} will be made on the first start"))
        } else {
            fail(
                NAME,
                format!("{shown} cannot be made"),
                "give another with --data-dir or data.dir",
            )
        };
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if let Ok(meta) = std::fs::metadata(path) {
            if meta.uid() != nix::unistd::geteuid().as_raw() {
                return fail(
                    NAME,
                    format!("{shown} belongs to somebody else"),
                    format!("chown it to yourself, or give another with --data-dir ({shown})"),
                );
            }
            if meta.mode() & 0o077 != 0 {
                return fail(
                    NAME,
                    format!("{shown} can be read by others"),
                    format!("chmod 700 {shown}"),
                );
            }
        }
    }
    let probe = path.join(".doctor");
    match local::write_private(&probe, "") {
        Ok(()) => {
            let _gone = std::fs::remove_file(&probe);
            ok(NAME, shown.to_string())
        }
        Err(error) => fail(
            NAME,
            format!("{shown} cannot be written: {error}"),
            "mend its permissions, or give another with --data-dir",
        ),
    }
}

fn port(config: &Config) -> Check {
    const NAME: &str = "port";
    let listen = &config.server.listen;
    let Some(address) = listen.to_socket_addrs().ok().and_then(|mut all| all.next()) else {
        return fail(
            NAME,
            format!("{listen} is not an address of this machine"),
            "set server.listen, for instance 127.0.0.1:8787",
        );
    };
    match TcpListener::bind(address) {
        Ok(_) => ok(NAME, format!("{listen} is free")),
        Err(_) if local::read_backend(&config.data_dir).is_some() => {
            ok(NAME, format!("{listen} is used by the running wallboard"))
        }
        Err(error) => fail(
            NAME,
            format!("{listen} cannot be listened on: {error}"),
            "stop what uses it, or take another with --listen :8788",
        ),
    }
}

fn public_url(config: &Config) -> Check {
    const NAME: &str = "public_url";
    match &config.server.public_url {
        None => warn(
            NAME,
            "server.public_url is not set: carriers cannot reach this backend",
            "give the https address of your proxy or tunnel; not needed for the demo",
        ),
        Some(url) if url.starts_with("https://") || is_loopback_url(url) => ok(NAME, url.clone()),
        Some(url) => fail(
            NAME,
            format!("{url} is not https: carriers open media streams with TLS only"),
            "give the https address of your proxy or tunnel",
        ),
    }
}

fn vendors(config: &Config) -> Vec<Check> {
    let setup = &config.setup();
    let carriers = registry::shown_carriers(setup).into_iter();
    let agents = registry::shown_agents(setup);
    let lines = agents.iter().filter_map(|agent| agent.own_lines.as_ref());
    carriers
        .map(|carrier| (carrier.check)(setup))
        .chain(agents.iter().map(|agent| (agent.check)(setup)))
        .chain(lines.map(|lines| (lines.check)(setup)))
        .collect()
}

fn terminal() -> Vec<Check> {
    use std::io::IsTerminal;
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut checks = Vec::new();
    if std::io::stdout().is_terminal() {
        let term = env("TERM").unwrap_or_default();
        if term.is_empty() || term == "dumb" {
            checks.push(warn(
                "terminal",
                "TERM says this terminal can do nothing",
                "set TERM, for instance xterm-256color, or use --plain",
            ));
        } else {
            checks.push(match crossterm::terminal::size() {
                Ok((columns, rows)) if columns >= 80 && rows >= 24 => {
                    ok("terminal", format!("{term}, {columns}x{rows}"))
                }
                Ok((columns, rows)) => warn(
                    "terminal",
                    format!("{term}, only {columns}x{rows}"),
                    "make it 80x24 or larger to see everything",
                ),
                Err(_) => ok("terminal", term),
            });
        }
    } else {
        checks.push(ok(
            "terminal",
            "none here; verbs, serve and --headless work without",
        ));
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env(name));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    checks.push(if locale.contains("utf-8") || locale.contains("utf8") {
        ok("utf8", locale)
    } else {
        warn(
            "utf8",
            "the locale is not UTF-8: the screen draws with ASCII",
            "set LANG=C.UTF-8 (or your language's UTF-8 locale)",
        )
    });
    let colours = if env("NO_COLOR").is_some() {
        "none, as NO_COLOR asks"
    } else if env("COLORTERM").is_some_and(|word| word.contains("truecolor") || word == "24bit") {
        "16 million"
    } else if env("TERM").is_some_and(|term| term.contains("256color")) {
        "256"
    } else {
        "16"
    };
    checks.push(ok("colours", colours));
    checks
}

async fn sound(config: &Config) -> Check {
    let device = config.ui.audio_device.as_deref();
    let settings = audio::AudioConfig::new(device, |name| std::env::var(name).ok());
    if settings.device == audio::DeviceChoice::Off {
        return ok("audio", "switched off");
    }
    let listed = tokio::time::timeout(Duration::from_secs(3), audio::list_devices(&settings.env));
    match listed.await {
        Ok(Ok(devices)) if !devices.is_empty() => {
            let names: Vec<&str> = devices.iter().map(|(name, _)| name.as_str()).collect();
            ok("audio", names.join(", "))
        }
        Ok(Ok(_)) => ok("audio", "a sound server answers"),
        _ => warn(
            "audio",
            "no sound device here",
            "hear calls elsewhere: wallboard listen ID | mpv -, or the listen page",
        ),
    }
}

fn clock() -> Check {
    let now = Clock::start().now();
    if now.year() < 2026 {
        return fail(
            "clock",
            format!("this machine believes it is {}", now.format("%Y-%m-%d")),
            "set the clock: signatures and tokens depend on it",
        );
    }
    ok("clock", now.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Asks the vendors with the configured keys: nothing is changed or dialled.
async fn live_checks(config: &Config) -> Vec<Check> {
    let Ok(http) = super::verbs::http() else {
        return vec![fail(
            "live",
            "no HTTP client",
            "check the certificate store",
        )];
    };
    let mut checks = Vec::new();
    let carriers = registry::CARRIERS
        .iter()
        .map(|carrier| (carrier.name, carrier.title, carrier.probe));
    let agents = registry::AGENTS
        .iter()
        .map(|agent| (agent.kind, agent.title, agent.probe));
    for (name, title, probe) in carriers.chain(agents) {
        if let Some(request) = probe(&config.setup(), &http) {
            checks.extend(ask(&format!("live-{name}"), title, request).await);
        }
    }
    if let Some(public) = &config.server.public_url {
        let request = http.get(format!("{public}/healthz"));
        checks.extend(ask("live-public", "The backend under its public URL", request).await);
    }
    if checks.is_empty() {
        checks.push(warn(
            "live",
            "no keys to ask a vendor with",
            "set them and try again",
        ));
    }
    checks
}

async fn ask(name: &str, who: &str, request: reqwest::RequestBuilder) -> Vec<Check> {
    let answer = request.timeout(Duration::from_secs(10)).send().await;
    let Ok(response) = answer else {
        return vec![fail(
            name,
            format!("{who} cannot be reached"),
            "check the network, the proxy and the *_base or public_url setting",
        )];
    };
    let mut checks = vec![match response.status().as_u16() {
        200..=299 => ok(name, format!("{who} answers and accepts our key")),
        401 | 403 => fail(
            name,
            format!("{who} does not accept our key"),
            "check the key",
        ),
        404 => fail(
            name,
            format!("{who} does not know what we asked for"),
            "check the account or agent id, and the URL",
        ),
        status => fail(name, format!("{who} answered {status}"), "try again later"),
    }];
    let date = response
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    let theirs = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    if let Some(theirs) = theirs {
        let ahead = (Clock::start().now() - theirs.with_timezone(&Utc)).num_seconds();
        if ahead.abs() > 120 {
            checks.push(fail(
                "clock",
                format!("this machine's clock is {ahead} s off {who}'s"),
                "set the clock: signed webhooks would be refused as stale",
            ));
        }
    }
    checks
}
