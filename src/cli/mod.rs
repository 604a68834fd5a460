//! Arguments, configuration, wiring of the modes, exit codes.

mod ansi;
mod args;
mod attach;
pub mod config;
mod config_verbs;
mod crash;
mod demo;
mod doctor;
mod extras;
mod failure;
mod local;
mod logging;
mod looks;
mod out;
#[cfg(test)]
mod parity;
mod plain;
mod plans;
mod read_only;
mod rehearsal;
mod run;
mod screen;
mod serve;
mod simulate;
mod sound;
mod start_screen;
mod token;
mod trigger;
mod verbs;
mod wiring;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde_json::json;

use args::{Cli, Global, Verb};
use config::{Config, Inputs, Loaded};
pub use failure::{Exit, Failure, Outcome};
use start_screen::Choice;

/// The program: parses the command line, does what it says, says what went wrong.
pub fn main() -> ExitCode {
    // Already installed (a test in the same process) is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let outcome = match Cli::try_parse_from(&arguments) {
        Ok(cli) => {
            let as_json = cli.global.json;
            (act(cli), as_json)
        }
        Err(error) => (misread(&error), wants_json),
    };
    match outcome {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(failure), as_json) => {
            failure.print(as_json);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Help and version are answers; everything else is a usage failure in clap's own words.
fn misread(error: &clap::Error) -> Outcome {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            out::write_all(error.render().to_string().as_bytes())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _closed = io::stderr().write_all(error.render().to_string().as_bytes());
            Err(Failure::usage(
                "a subcommand is missing",
                "pick one of those above",
            ))
        }
        _ => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let (message, rest) = text.split_once("\n\n").unwrap_or((text, ""));
            let tip = rest
                .lines()
                .map(str::trim)
                .find_map(|line| line.strip_prefix("tip: "))
                .unwrap_or("see `wallboard --help`");
            Err(Failure::usage(
                message.split_whitespace().collect::<Vec<_>>().join(" "),
                tip,
            ))
        }
    }
}

fn act(cli: Cli) -> Outcome {
    crash::install();
    let global = &cli.global;
    if cli.version {
        return version(global.json);
    }
    let verb = cli
        .verb
        .unwrap_or_else(|| Verb::Run(args::Start::default()));
    match &verb {
        Verb::Version => version(global.json),
        Verb::Completions { shell } => completions(*shell),
        Verb::Man => manual(),
        Verb::Config(verb) => config_verbs::run(
            verb,
            &read(global, &Verb::Config(verb.clone())),
            global.json,
        ),
        verb => {
            let loaded = read(global, verb);
            let runtime = runtime()?;
            let outcome = runtime.block_on(perform(verb, global, &loaded));
            // A read of standard input cannot be taken back: waiting for it would keep a finished
            // program alive until the next key.
            runtime.shutdown_background();
            outcome
        }
    }
}

/// Two workers at least: a screen and a backend must not wait for each other.
fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, 16))
        .thread_name("wallboard")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the program cannot start: {error}"), ""))
}

async fn perform(verb: &Verb, global: &Global, loaded: &Loaded) -> Outcome {
    let as_json = global.json;
    if let Verb::Doctor(args) = verb {
        return doctor::run(loaded, args.live, as_json).await;
    }
    if let Verb::Demo(args) = verb {
        return perform_demo(args, global).await;
    }
    let config = configured(loaded)?;
    if let Some(done) = steer(verb, &config, as_json).await {
        return done;
    }
    match verb {
        Verb::Run(start) => perform_run(start, global, loaded, &config).await,
        Verb::Serve(start) => serve::run(start, loaded, &config).await,
        Verb::Token(verb) => token::run(verb, &config, as_json),
        Verb::Ls(args) => verbs::ls(args, &config, as_json).await,
        Verb::Show(args) => verbs::show(args, &config, as_json).await,
        Verb::Audit(args) => verbs::audit(args, &config, as_json).await,
        Verb::Alerts(args) => verbs::alerts(args, &config, as_json).await,
        Verb::Webhooks(args) => verbs::webhooks(args, &config, as_json).await,
        Verb::Events(args) => verbs::events(args, &config).await,
        Verb::Tail(args) => verbs::tail(args, &config, as_json).await,
        Verb::Attach(args) => perform_attach(args, global, &config).await,
        Verb::Listen(args) => verbs::listen(args, &config).await,
        Verb::Recording(args) => verbs::recording(args, &config, as_json).await,
        Verb::End(args) => verbs::end(args, &config, as_json).await,
        Verb::Call(args) => verbs::call(args, &config, as_json).await,
        Verb::Chat(args) => verbs::chat(args, &config, as_json).await,
        Verb::Lead(args) => verbs::lead(args, &config, as_json).await,
        Verb::Search(args) => verbs::search(args, &config, as_json).await,
        Verb::Export(args) => verbs::export(args, &config).await,
        Verb::Purge(args) => verbs::purge(args, &config, as_json).await,
        Verb::Leads(verb) => verbs::leads(verb, &config, as_json).await,
        Verb::Trigger(args) => trigger::run(args, &config, as_json).await,
        Verb::Simulate(verb) => simulate::run(verb, &config).await,
        Verb::Theme(verb) => looks::theme(verb, &config, as_json),
        Verb::Keys(args) => looks::keys(args, &config),
        Verb::Snapshot(args) => looks::snapshot(args, &config),
        // Dealt with before anything was read.
        Verb::Version
        | Verb::Completions { .. }
        | Verb::Man
        | Verb::Config(_)
        | Verb::Doctor(_)
        | Verb::Demo(_)
        // Dealt with by `steer`.
        | Verb::Whisper(_)
        | Verb::Say(_)
        | Verb::Pause(_)
        | Verb::Resume(_)
        | Verb::Takeover(_)
        | Verb::Handback(_)
        | Verb::Transfer(_)
        | Verb::Record(_)
        | Verb::Claim(_)
        | Verb::Release(_)
        | Verb::Flag(_)
        | Verb::Note(_)
        | Verb::Ack(_)
        | Verb::Snooze(_)
        | Verb::Unmask(_)
        | Verb::Dialing(_) => Ok(()),
    }
}

/// The verbs that touch one call, or dialing as a whole; `None` for the others.
async fn steer(verb: &Verb, config: &Config, as_json: bool) -> Option<Outcome> {
    use verbs::{Plain, Wordy};
    Some(match verb {
        Verb::Whisper(args) => verbs::wordy(Wordy::Whisper, args, config, as_json).await,
        Verb::Say(args) => verbs::wordy(Wordy::Say, args, config, as_json).await,
        Verb::Flag(args) => verbs::wordy(Wordy::Flag, args, config, as_json).await,
        Verb::Note(args) => verbs::wordy(Wordy::Note, args, config, as_json).await,
        Verb::Pause(args) => verbs::plain(Plain::Pause, args, config, as_json).await,
        Verb::Resume(args) => verbs::plain(Plain::Resume, args, config, as_json).await,
        Verb::Takeover(args) => verbs::plain(Plain::Takeover, args, config, as_json).await,
        Verb::Claim(args) => verbs::plain(Plain::Claim, args, config, as_json).await,
        Verb::Release(args) => verbs::plain(Plain::Release, args, config, as_json).await,
        Verb::Handback(args) => verbs::handback(args, config, as_json).await,
        Verb::Transfer(args) => verbs::transfer(args, config, as_json).await,
        Verb::Record(args) => verbs::record(args, config, as_json).await,
        Verb::Ack(args) => verbs::ack(args, config, as_json).await,
        Verb::Snooze(args) => verbs::snooze(args, config, as_json).await,
        Verb::Unmask(args) => verbs::unmask(args, config, as_json).await,
        Verb::Dialing(args) => verbs::dialing(args, config, as_json).await,
        _ => return None,
    })
}

/// Screen and backend, or the start screen when nothing is configured.
async fn perform_run(
    start: &args::Start,
    global: &Global,
    loaded: &Loaded,
    config: &Config,
) -> Outcome {
    if run::is_bare(loaded, config) && !run::on_a_terminal() {
        return Err(run::needs_terminal());
    }
    let lines = as_lines(global);
    if !run::is_bare(loaded, config) {
        return run::with_screen(start, loaded, config, lines).await;
    }
    match start_screen::ask(lines)? {
        Choice::Demo => perform_demo(&args::DemoArgs::default(), global).await,
        Choice::Serve => run::with_screen(start, loaded, config, lines).await,
        Choice::Check => doctor::run(loaded, false, global.json).await,
        Choice::Attach(url) => {
            let args = args::AttachArgs {
                url: Some(url),
                ..args::AttachArgs::default()
            };
            perform_attach(&args, global, config).await
        }
        Choice::Quit => Ok(()),
    }
}

async fn perform_attach(args: &args::AttachArgs, global: &Global, config: &Config) -> Outcome {
    if let Some(url) = &args.url {
        attach::check_url(url)?;
    }
    attach::run(args, config, as_lines(global)).await
}

/// Whether to show lines of text; says so where nobody asked for them.
fn as_lines(global: &Global) -> bool {
    let reason = plain::wanted(global.plain);
    if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
        plain::notice(reason);
    }
    reason.is_some()
}

/// The demo knows flags only: no file, no environment, no `.env`.
async fn perform_demo(args: &args::DemoArgs, global: &Global) -> Outcome {
    let loaded = config::load(&Inputs {
        flags: screen_flags(global),
        no_files: true,
        ..Inputs::default()
    });
    let config = configured(&loaded)?;
    if args.headless {
        return demo::headless(args, &config).await;
    }
    run::demo(args, &config, as_lines(global)).await
}

fn version(as_json: bool) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if as_json {
        return out::json(&json!({
            "name": "wallboard",
            "version": version,
            "protocol": crate::call::ENVELOPE_VERSION,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
        }));
    }
    out::line(&format!("wallboard {version}"))
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wallboard", &mut text);
    out::write_all(&text)
}

fn manual() -> Outcome {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .map_err(|error| out::lost(&error))?;
    out::write_all(&text)
}

/// Reads the configuration for a verb. Only backends of our own read `.env`.
fn read(global: &Global, verb: &Verb) -> Loaded {
    let start = match verb {
        Verb::Run(start) | Verb::Serve(start) => Some(start),
        _ => None,
    };
    let dotenv = matches!(
        verb,
        Verb::Run(_) | Verb::Serve(_) | Verb::Doctor(_) | Verb::Config(_)
    );
    let mut flags = screen_flags(global);
    let mut flag = |key: &'static str, value: Option<String>, name: &'static str| {
        if let Some(value) = value {
            flags.push((key, value, name));
        }
    };
    flag(
        "data.dir",
        global
            .data_dir
            .as_deref()
            .map(|path| path.display().to_string()),
        "--data-dir",
    );
    if let Some(start) = start {
        flag("server.listen", start.listen.clone(), "--listen");
        flag(
            "server.public_url",
            start.public_url.clone(),
            "--public-url",
        );
    }
    config::load(&Inputs {
        file: global.config.clone(),
        env: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        dotenv: dotenv.then(|| ".env".into()),
        flags,
        no_files: false,
    })
}

/// Flags about screen, sound and log.
fn screen_flags(global: &Global) -> Vec<(&'static str, String, &'static str)> {
    let on = |is_on: bool| is_on.then(|| "true".to_owned());
    [
        ("ui.theme", global.theme.clone(), "--theme"),
        (
            "ui.audio_device",
            global.audio_device.clone(),
            "--audio-device",
        ),
        ("ui.ascii", on(global.ascii), "--ascii"),
        ("ui.read_only", on(global.read_only), "--read-only"),
        ("ui.mouse", on(global.mouse), "--mouse"),
        (
            "ui.restore",
            global.fresh.then(|| "false".into()),
            "--fresh",
        ),
        (
            "ui.low_bandwidth",
            on(global.low_bandwidth),
            "--low-bandwidth",
        ),
        (
            "ui.color",
            global.no_color.then(|| "never".into()),
            "--no-color",
        ),
        (
            "log.format",
            global.log_format.map(|format| format.as_str().into()),
            "--log-format",
        ),
        ("log.level", global.log_level.clone(), "--log-level"),
    ]
    .into_iter()
    .filter_map(|(key, value, flag)| Some((key, value?, flag)))
    .collect()
}

/// The configuration of a verb that needs one that is right.
fn configured(loaded: &Loaded) -> Outcome<Config> {
    let (config, problems) = Config::judge(loaded);
    let errors: Vec<_> = problems
        .iter()
        .filter(|problem| !problem.is_warning)
        .collect();
    let Some(first) = errors.first() else {
        return Ok(config);
    };
    let more = match errors.len() {
        1 => String::new(),
        count => format!(" (and {} more: wallboard config check)", count - 1),
    };
    Err(Failure::usage(format!("{first}{more}"), first.fix.clone()))
}
