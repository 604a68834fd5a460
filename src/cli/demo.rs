//! `wallboard demo`: simulated Twilio, Plivo, ElevenLabs and OpenAI Realtime on loopback, talking to
//! the production code.
//! Reads no configuration, keeps nothing, reaches nothing beyond this machine.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::call::Secret;
use crate::engine::{Tasks, random};
use crate::providers::{elevenlabs, openai, pipeline, plivo};
use crate::simulator::elevenlabs::Webhooks;
use crate::simulator::{Demo, DemoFleet, DemoTarget, Stage};

use super::args::DemoArgs;
use super::config::{AgentConfig, Config, FallbackConfig, RouteConfig, TransferConfig};
use super::local::is_gone;
use super::logging::{self, Sink};
use super::serve::Signals;
use super::wiring::{Backend, StartOptions};
use super::{Failure, Outcome, out};

/// Another program may take a port between our finding it free and using it.
const PORT_TRIES: usize = 5;

/// Of the directory's name; the process that owns it follows.
const PREFIX: &str = "wallboard-demo-";
/// In it, what a backend keeps.
const DATA: &str = "data";

/// A directory that is gone when this is.
#[derive(Debug)]
pub struct Temporary(PathBuf);

impl Temporary {
    pub fn make() -> Outcome<Self> {
        use std::fmt::Write;
        sweep(&std::env::temp_dir());
        let mut name = format!("{PREFIX}{}-", std::process::id());
        for byte in random::<8>() {
            let _ = write!(name, "{byte:02x}");
        }
        let path = std::env::temp_dir().join(name);
        super::local::make_private(&path).map_err(|error| {
            Failure::failed(
                format!("no temporary directory: {error}"),
                "set TMPDIR to a directory you can write to",
            )
        })?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "the temporary directory stays");
        }
    }
}

/// Removes what demos left behind that were killed without a word.
fn sweep(folder: &Path) {
    for (path, owner) in directories(folder) {
        if is_gone(owner) {
            // Somebody else's, or swept by another demo just now: both are fine.
            let _left = std::fs::remove_dir_all(path);
        }
    }
}

/// The data directory of this user's demo that runs now; of several, of the one begun last.
pub fn running_data_dir(folder: &Path) -> Option<PathBuf> {
    let mut running: Vec<PathBuf> = directories(folder)
        .filter(|(path, owner)| !is_gone(*owner) && super::local::is_private(path))
        .map(|(path, _)| path)
        .collect();
    running.sort_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    Some(running.pop()?.join(DATA))
}

/// What looks like a demo's directory, with the process it names.
fn directories(folder: &Path) -> impl Iterator<Item = (PathBuf, i32)> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name();
        let rest = name.to_str()?.strip_prefix(PREFIX)?;
        let owner = rest.split('-').next()?.parse().ok()?;
        Some((entry.path(), owner))
    })
}

/// Everything a running demo is made of.
#[derive(Debug)]
pub struct DemoRun {
    pub backend: Backend,
    pub fleet: DemoFleet,
    pub tasks: Tasks,
    stage: Stage,
    #[expect(dead_code, reason = "the directory lives as long as this")]
    directory: Temporary,
}

impl DemoRun {
    /// Starts the peers, then the backend that uses them.
    pub async fn start(args: &DemoArgs, config: &Config, directory: Temporary) -> Outcome<Self> {
        let peers = Tasks::new();
        let stage = Stage::start(args.seed, &peers).await.map_err(|error| {
            Failure::failed(
                format!("the simulated vendors cannot listen on loopback: {error}"),
                "check that 127.0.0.1 is up",
            )
        })?;
        let mut config = config.clone();
        config.data_dir = directory.path().join(DATA);
        let mut last = None;
        for _ in 0..PORT_TRIES {
            place_backend(&mut config, &stage)?;
            match Backend::start(&config, StartOptions::default(), Tasks::new()).await {
                Ok(backend) => {
                    let target = DemoTarget {
                        base_url: backend.url.clone(),
                        token: backend.token.expose().to_owned(),
                        agents: vec![(elevenlabs::VENDOR, "Noah"), (openai::VENDOR, "Leo")],
                    };
                    let fleet = DemoFleet::new(stage.clone(), target, &peers).map_err(|error| {
                        Failure::failed(format!("the demo cannot start: {error}"), "")
                    })?;
                    return Ok(Self {
                        backend,
                        fleet,
                        tasks: peers,
                        stage,
                        directory,
                    });
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::failed("the demo cannot start", "")))
    }

    /// What shall be played.
    pub fn plan(args: &DemoArgs) -> Demo {
        Demo {
            seed: args.seed,
            calls: args.calls as usize,
            speed: args.speed,
            once: args.once,
        }
    }

    /// Ends every call and every peer.
    pub async fn stop(self) {
        self.stage.stop();
        self.tasks.cancel();
        self.backend.stop().await;
    }
}

/// Calls the vendor places itself (`--via elevenlabs`) are told of by its webhooks.
fn place_webhooks(config: &mut Config, stage: &Stage, port: u16) {
    stage.elevenlabs.tell(Webhooks {
        base: format!("http://127.0.0.1:{port}"),
        secret: Secret::new(Stage::WEBHOOK_SECRET),
        pace: std::time::Duration::from_millis(1_500),
        live: true,
    });
    let keys = &mut config.settings;
    keys.put("elevenlabs.webhook_secret", Stage::WEBHOOK_SECRET);
    keys.put("elevenlabs.phone_number_id", "phnum_demo");
}

/// The configuration of a backend whose vendors are the simulated ones.
fn place_backend(config: &mut Config, stage: &Stage) -> Outcome {
    let port = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| {
            Failure::failed(
                format!("no free port on loopback: {error}"),
                "check that 127.0.0.1 is up",
            )
        })?
        .port();
    config.server.name = Some("demo".into());
    config.server.listen = format!("127.0.0.1:{port}");
    config.server.public_url = Some(format!("http://127.0.0.1:{port}"));
    let openai = stage.openai.api_base();
    for (key, value) in [
        ("twilio.account_sid", stage.twilio.account_sid()),
        ("twilio.auth_token", Stage::AUTH_TOKEN),
        ("twilio.phone_number", stage.twilio.number()),
        ("twilio.api_base", stage.twilio.api_base()),
        ("plivo.auth_id", stage.plivo.auth_id()),
        ("plivo.auth_token", Stage::AUTH_TOKEN),
        ("plivo.phone_number", stage.plivo.number()),
        ("plivo.api_base", stage.plivo.api_base()),
        ("openai.api_key", Stage::API_KEY),
        ("openai.api_base", openai.as_str()),
        ("openai.instructions", Stage::INSTRUCTIONS),
        ("openai.realtime_url", stage.openai.realtime_url()),
        ("elevenlabs.api_key", Stage::API_KEY),
        ("elevenlabs.agent_id", Stage::AGENT_ID),
        ("elevenlabs.api_base", stage.elevenlabs.api_base()),
        ("elevenlabs.ws_base", stage.elevenlabs.ws_base()),
        // The pipeline agent's three servers are one here.
        ("chat.asr.url", stage.parts.url()),
        ("chat.llm.url", stage.parts.url()),
        ("chat.tts.url", stage.parts.url()),
    ] {
        config.settings.put(key, value);
    }
    place_webhooks(config, stage, port);
    config.auth.admin_token = None;
    config.agents = vec![
        agent("Ava", elevenlabs::VENDOR),
        agent("Noah", elevenlabs::VENDOR),
        agent("Mia", openai::VENDOR),
        agent("Leo", openai::VENDOR),
        AgentConfig {
            welcome: Some("Good morning, Harborview Dental, this is Maya. How can I help?".into()),
            agent_id: None,
            ..agent(Stage::GATEWAY_AGENT, pipeline::VENDOR)
        },
    ];
    config.routes = vec![
        RouteConfig {
            agent: Some("Noah".into()),
            record: Some(true),
            amd: Some("detect".into()),
            fallback: Some(FallbackConfig::Say(
                "We will call you back. Goodbye.".into(),
            )),
            ..route("outbound", None)
        },
        RouteConfig {
            agent: Some("Mia".into()),
            fallback: Some(FallbackConfig::Say(
                "Sorry, we cannot take your call right now. Goodbye.".into(),
            )),
            ..route("inbound", Some(plivo::CARRIER))
        },
        RouteConfig {
            agent: Some("Ava".into()),
            fallback: Some(FallbackConfig::Say(
                "Sorry, we cannot take your call right now. Goodbye.".into(),
            )),
            ..route("inbound", None)
        },
    ];
    config.transfers = vec![TransferConfig {
        name: "Front desk".into(),
        to: "+15555550199".into(),
    }];
    Ok(())
}

fn agent(id: &str, kind: &str) -> AgentConfig {
    AgentConfig {
        id: id.to_owned(),
        kind: kind.to_owned(),
        welcome: None,
        instructions: None,
        voice: None,
        agent_id: Some(Stage::AGENT_ID.to_owned()),
        model: None,
        language: None,
        limits: super::config::AgentLimits::default(),
        tools: Vec::new(),
    }
}

fn route(direction: &str, carrier: Option<&str>) -> RouteConfig {
    let mut route = RouteConfig::default();
    route.matching.carrier = carrier.map(str::to_owned);
    route.matching.direction = Some(direction.to_owned());
    route
}

/// Without a screen: one JSON line, then calls until a signal, or until all were played once.
pub async fn headless(args: &DemoArgs, config: &Config) -> Outcome {
    logging::start(&config.log, Sink::Stderr);
    let mut signals = Signals::install()?;
    let demo = DemoRun::start(args, config, Temporary::make()?).await?;
    let said = out::json(&json!({
        "url": demo.backend.url,
        "token": demo.backend.token.expose(),
    }));
    if said.is_ok() {
        tokio::select! {
            () = signals.stop_asked() => {}
            () = demo.fleet.run(DemoRun::plan(args)) => {}
        }
    }
    demo.stop().await;
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_a_running_demo_of_ones_own_is_found() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a directory");
        assert_eq!(running_data_dir(folder.path()), None);
        let at = |owner: &str| folder.path().join(format!("{PREFIX}{owner}-00"));
        // No process has this number: it is past the largest one.
        let gone = at("99999999");
        let ours = at(&std::process::id().to_string());
        for path in [&gone, &ours, &at("not-a-number")] {
            super::super::local::make_private(path).expect("made");
        }
        assert_eq!(running_data_dir(folder.path()), Some(ours.join(DATA)));
        // Others could have put a backend of theirs into it.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&ours, open).expect("opened");
        assert_eq!(running_data_dir(folder.path()), None);
        sweep(folder.path());
        assert!(!gone.exists() && ours.exists());
    }
}
