//! `wallboard simulate carrier|agent`: the simulators alone, for load and rehearsal. One JSON line
//! when ready, one with the figures at the end.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use serde_json::json;
use url::Url;

use crate::engine::Tasks;
use crate::providers::vendor::Keys as _;
use crate::simulator::Stamped;
use crate::simulator::elevenlabs::{AgentFaults, ElevenLabsSimConfig};
use crate::simulator::line::{CutHow, Faults};
use crate::simulator::load::{CarrierLoad, Vendor, run_agent, run_carrier, run_realtime};
use crate::simulator::openai::OpenAiSimConfig;
use crate::simulator::pipeline::{PipelineSim, PipelineSimConfig};

use super::args::{AgentName, CarrierName, Remote, SimulateAgent, SimulateCarrier, SimulateVerb};
use super::config::{Config, Secret, nearest, span};
use super::logging::{self, Sink};
use super::serve::Signals;
use super::verbs::{Place, parse_url};
use super::{Failure, Outcome, out};

const CARRIER_FAULTS: [&str; 10] = [
    "duplicate",
    "late",
    "late-ms",
    "jitter-ms",
    "gap",
    "cut",
    "cut-after-s",
    "cut-how",
    "rest-ms",
    "rest-5xx",
];
const AGENT_FAULTS: [&str; 9] = [
    "refuse",
    "rate-limit",
    "close",
    "die",
    "die-ms",
    "silent",
    "garbage",
    "think-ms",
    "die-how",
];

pub async fn run(verb: &SimulateVerb, config: &Config) -> Outcome {
    logging::start(&config.log, Sink::Stderr);
    match verb {
        SimulateVerb::Carrier(args) => carrier(args, config).await,
        SimulateVerb::Agent(args) => agent(args, config).await,
    }
}

/// Ends the tree at Ctrl-C or SIGTERM, so that the figures are still printed.
fn stop_on_signal(tasks: &Tasks) -> Outcome {
    let mut signals = Signals::install()?;
    let inner = tasks.clone();
    tasks.spawn("signals", async move {
        tokio::select! {
            () = inner.token().cancelled() => {}
            () = signals.stop_asked() => inner.cancel(),
        }
    });
    Ok(())
}

async fn carrier(args: &SimulateCarrier, config: &Config) -> Outcome {
    let target = match &args.url {
        Some(url) => parse_url(url)?,
        None => Place::find(&Remote::default(), config)?.url,
    };
    let (vendor, name, account_key) = match args.vendor {
        CarrierName::Twilio => (Vendor::Twilio, "twilio", "account_sid"),
        CarrierName::Plivo => (Vendor::Plivo, "plivo", "auth_id"),
    };
    let keys = &config.settings;
    let account = keys.text(&format!("{name}.{account_key}"));
    let token = keys.secret(&format!("{name}.auth_token"));
    let number = keys.text(&format!("{name}.phone_number"));
    let mut load = CarrierLoad::new(vendor, target);
    load.public_url = match &config.server.public_url {
        Some(url) => Some(Url::parse(url).map_err(|error| {
            Failure::usage(format!("server.public_url is no URL: {error}"), "")
        })?),
        None => None,
    };
    load.listen = address(&args.listen)?;
    if let Some(account) = args.account_sid.as_ref().or(account.as_ref()) {
        load.account.clone_from(account);
    }
    if let Some(token) = auth_token(args, token.as_ref())? {
        load.auth_token = token;
    }
    if let Some(number) = number {
        load.number = number;
    }
    load.calls = args.calls as usize;
    load.ramp = duration(&args.ramp)?;
    load.talk = duration(&args.hold)?;
    load.run_for = args.run_for.as_deref().map_or(Ok(load.talk), duration)?;
    load.faults = carrier_faults(&args.fault)?;
    load.seed = args.seed;
    let tasks = Tasks::new();
    stop_on_signal(&tasks)?;
    let report = run_carrier(load, &tasks, |sim| {
        // A reader that has gone is noticed when the figures are printed.
        let _gone = out::json(&json!({"api_base": sim.api_base(), account_key: sim.account()}));
    })
    .await
    .map_err(|error| not_listening(&args.listen, &error))?;
    tasks.shutdown(Duration::from_secs(2)).await;
    out::json(&report)
}

fn auth_token(args: &SimulateCarrier, own: Option<&Secret>) -> Outcome<Option<String>> {
    if let Some(path) = &args.auth_token_file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(
                format!("{} cannot be read: {error}", path.display()),
                "check --auth-token-file",
            )
        })?;
        return Ok(Some(text.trim().to_owned()));
    }
    Ok(own.map(|token| token.expose().to_owned()))
}

async fn realtime(args: &SimulateAgent, config: &Config, tasks: &Tasks) -> Outcome {
    if args.format.is_some() {
        return Err(Failure::usage(
            "the simulated OpenAI speaks µ-law only",
            "leave --format out, or play --vendor elevenlabs",
        ));
    }
    let mut cfg = OpenAiSimConfig {
        listen: address(&args.listen)?,
        faults: agent_faults(&args.fault)?,
        load: stamped(args)?,
        seed: args.seed,
        beta: config.settings.text_or_default("openai.dialect") == "beta",
        ..OpenAiSimConfig::default()
    };
    if let Some(key) = config.settings.secret("openai.api_key") {
        key.expose().clone_into(&mut cfg.api_key);
    }
    let figures = run_realtime(cfg, tasks, |sim| {
        let _gone = out::json(&json!({"realtime_url": sim.realtime_url()}));
    })
    .await
    .map_err(|error| not_listening(&args.listen, &error))?;
    tasks.shutdown(Duration::from_secs(2)).await;
    out::json(&figures)
}

async fn agent(args: &SimulateAgent, config: &Config) -> Outcome {
    let tasks = Tasks::new();
    stop_on_signal(&tasks)?;
    match args.vendor {
        AgentName::Pipeline => return pipeline(args, &tasks).await,
        AgentName::OpenAi => return realtime(args, config, &tasks).await,
        AgentName::ElevenLabs => {}
    }
    let mut cfg = ElevenLabsSimConfig {
        listen: address(&args.listen)?,
        faults: agent_faults(&args.fault)?,
        load: stamped(args)?,
        seed: args.seed,
        ..ElevenLabsSimConfig::default()
    };
    if let Some(key) = config.settings.secret("elevenlabs.api_key") {
        key.expose().clone_into(&mut cfg.api_key);
    }
    if let Some(format) = &args.format {
        cfg.output_format.clone_from(format);
        cfg.input_format.clone_from(format);
    }
    let figures = run_agent(cfg, &tasks, |sim| {
        let _gone = out::json(&json!({"api_base": sim.api_base(), "ws_base": sim.ws_base()}));
    })
    .await
    .map_err(|error| not_listening(&args.listen, &error))?;
    tasks.shutdown(Duration::from_secs(2)).await;
    out::json(&figures)
}

/// What `--load` makes of an agent.
fn stamped(args: &SimulateAgent) -> Outcome<Option<Stamped>> {
    let every = duration(&args.barge_in)?;
    let barge_in_every = (!every.is_zero()).then_some(every);
    Ok(args.load.then_some(Stamped { barge_in_every }))
}

/// The three servers of a pipeline agent, until a signal.
async fn pipeline(args: &SimulateAgent, tasks: &Tasks) -> Outcome {
    let cfg = PipelineSimConfig {
        listen: address(&args.listen)?,
        ..PipelineSimConfig::default()
    };
    let sim = PipelineSim::start(cfg, tasks)
        .await
        .map_err(|error| not_listening(&args.listen, &error))?;
    // A reader that has gone is noticed when the figures are printed.
    let _gone = out::json(&json!({"url": sim.url()}));
    tasks.token().cancelled().await;
    tasks.shutdown(Duration::from_secs(2)).await;
    let seen = sim.view();
    out::json(&json!({
        "requests": sim.requests(), "transcriptions": seen.heard.len(),
        "completions": seen.asked.len(), "speeches": seen.spoken.len(), "dropped": seen.dropped,
    }))
}

fn not_listening(listen: &str, error: &std::io::Error) -> Failure {
    Failure::failed(
        format!("{listen} cannot be listened on: {error}"),
        "take another with --listen, for instance 127.0.0.1:0",
    )
}

fn address(text: &str) -> Outcome<SocketAddr> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .ok_or_else(|| {
            Failure::usage(
                format!("{text} is not an address"),
                "write it like 127.0.0.1:9000",
            )
        })
}

fn duration(text: &str) -> Outcome<Duration> {
    span(text).ok_or_else(|| {
        Failure::usage(
            format!("{text} is not a duration"),
            "write it like 500ms, 10s or 5m",
        )
    })
}

/// `name=value`, or `name` alone for a plain yes.
fn parts<'a>(fault: &'a str, known: &[&str]) -> Outcome<(&'a str, &'a str)> {
    let (name, value) = fault.split_once('=').unwrap_or((fault, "100"));
    if known.contains(&name) {
        return Ok((name, value));
    }
    let fix = nearest(name, known.iter().copied()).map_or_else(
        || format!("faults are {}", known.join(", ")),
        |close| format!("did you mean {close}?"),
    );
    Err(Failure::usage(format!("there is no fault {name}"), fix))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Outcome<T> {
    value.parse().map_err(|_| {
        Failure::usage(
            format!("the fault {name} cannot be {value:?}"),
            format!("write {name}=NUMBER"),
        )
    })
}

fn carrier_faults(words: &[String]) -> Outcome<Faults> {
    let mut faults = Faults::default();
    for word in words {
        let (name, value) = parts(word, &CARRIER_FAULTS)?;
        match name {
            "duplicate" => faults.webhook_duplicate_pct = number(name, value)?,
            "late" => {
                faults.webhook_late_pct = number(name, value)?;
                faults.webhook_late_ms = faults.webhook_late_ms.max(1_500);
            }
            "late-ms" => faults.webhook_late_ms = number(name, value)?,
            "jitter-ms" => faults.media_jitter_ms = number(name, value)?,
            "gap" => faults.media_gap_pct = number(name, value)?,
            "cut" => {
                faults.stream_cut_pct = number(name, value)?;
                faults.stream_cut.after_s = faults.stream_cut.after_s.max(3);
            }
            "cut-after-s" => faults.stream_cut.after_s = number(name, value)?,
            "cut-how" => faults.stream_cut.how = cut_how(value)?,
            "rest-ms" => faults.rest_delay_ms = number(name, value)?,
            _ => faults.rest_5xx_pct = number(name, value)?,
        }
    }
    Ok(faults)
}

fn cut_how(word: &str) -> Outcome<CutHow> {
    match word {
        "reset" => Ok(CutHow::Reset),
        "fin" => Ok(CutHow::Fin),
        "silence" => Ok(CutHow::Silence),
        _ => Err(Failure::usage(
            format!("a stream cannot be cut by {word:?}"),
            "cut-how is reset, fin or silence",
        )),
    }
}

fn agent_faults(words: &[String]) -> Outcome<AgentFaults> {
    use crate::simulator::speech::Cut;
    let mut faults = AgentFaults::default();
    for word in words {
        let (name, value) = parts(word, &AGENT_FAULTS)?;
        match name {
            "refuse" => faults.refuse_signed_url = Some(number(name, value)?),
            "rate-limit" => faults.rate_limit_pct = number(name, value)?,
            "close" => faults.close_at_start = Some(number(name, value)?),
            "die" => {
                faults.die_pct = number(name, value)?;
                faults.die_after_ms = faults.die_after_ms.max(3_000);
            }
            "die-ms" => faults.die_after_ms = number(name, value)?,
            "silent" => faults.silent = true,
            "garbage" => faults.garbage_pct = number(name, value)?,
            "think-ms" => faults.think_extra_ms = number(name, value)?,
            _ => {
                faults.die_how = match value {
                    "reset" => Cut::Reset,
                    "close" => Cut::Close,
                    "silence" => Cut::Silence,
                    _ => {
                        return Err(Failure::usage(
                            format!("a socket cannot die by {value:?}"),
                            "die-how is reset, close or silence",
                        ));
                    }
                };
            }
        }
    }
    Ok(faults)
}
