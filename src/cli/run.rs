//! `wallboard run` and the screen of `wallboard demo`: backend and screen in one process, and what
//! becomes of the backend when the screen is gone.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::audio::Prime;
use crate::engine::Tasks;
use crate::providers::vendor::registry;
use crate::server::WebhookLog;
use crate::ui::{Exit, Mode};

use super::args::{DemoArgs, Start};
use super::config::{Config, Loaded};
use super::demo::{DemoRun, Temporary};
use super::logging::{self, Sink};
use super::screen::{self, Endpoint, Shown};
use super::serve::{self, Signals};
use super::wiring::{Backend, StartOptions, user_name};
use super::{Failure, Outcome, config_verbs};

/// How often a backend without a screen looks whether it is still needed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOG: &str = "wallboard.log";

/// Both ends are a terminal.
pub fn on_a_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Nothing is configured that a backend could take calls with.
pub fn is_bare(loaded: &Loaded, config: &Config) -> bool {
    loaded.file.is_none() && !registry::is_anything_wanted(&config.setup())
}

/// What a screen without a terminal is told.
pub fn needs_terminal() -> Failure {
    Failure::usage(
        "there is no terminal here to ask on, and nothing is configured; nothing was started",
        "wallboard demo shows it working, wallboard serve runs a backend, wallboard attach URL looks \
         at one, wallboard doctor says what is missing",
    )
}

/// Backend and screen.
pub async fn with_screen(start: &Start, loaded: &Loaded, config: &Config, lines: bool) -> Outcome {
    super::local::make_private(&config.data_dir).map_err(|error| {
        Failure::failed(
            format!("{} cannot be made: {error}", config.data_dir.display()),
            "give another with --data-dir",
        )
    })?;
    let log = config.data_dir.join(LOG);
    logging::start(&config.log, Sink::File(&log));
    for text in &loaded.notices {
        config_verbs::notice(text);
    }
    let options = StartOptions {
        insecure_skip_signatures: start.insecure_skip_signatures,
    };
    // From here on no signal ends the program by itself, screen or no screen.
    let held = Signals::install()?;
    let backend = Backend::start(config, options, Tasks::new()).await?;
    let screen_tasks = Tasks::new();
    let shown = Shown {
        backend: Arc::new(backend.embedded(&user_name(), config.ui.read_only)),
        mode: Mode::Run,
        name: None,
        endpoints: endpoints(&backend, config, &screen_tasks),
        prime: Prime::Local,
        lines,
        url: None,
        place: Some("run".into()),
    };
    let exit = screen::show(config, shown, &screen_tasks, backend.core.clock).await;
    screen_tasks.shutdown(Duration::from_secs(1)).await;
    // Anew, so that the signal the screen has answered is not taken for a second one.
    drop(held);
    let mut signals = Signals::install()?;
    match exit {
        Err(failure) => {
            backend.stop().await;
            Err(failure)
        }
        Ok(Exit::Quit) => {
            backend.stop().await;
            Ok(())
        }
        Ok(Exit::Demo) => {
            backend.stop().await;
            drop(signals);
            demo(&DemoArgs::default(), config, lines).await
        }
        Ok(Exit::Drain) => {
            let grace = config.server.drain;
            say(&format!(
                "draining: no new calls; leaving within {}",
                seconds(grace)
            ));
            serve::drain(backend, grace, &mut signals).await;
            Ok(())
        }
        Ok(Exit::KeepServing | Exit::Hangup) => {
            say(&format!(
                "serving on without a screen; come back with: wallboard attach {}",
                backend.url
            ));
            linger(backend, config, &mut signals).await;
            Ok(())
        }
    }
}

/// Serves until the last call is over, at most `server.linger` beyond the screen, or until told to
/// stop.
async fn linger(backend: Backend, config: &Config, signals: &mut Signals) {
    let core = backend.core.clone();
    let deadline = core.clock.elapsed() + config.server.linger;
    let unneeded = async {
        loop {
            let live = core.switchboard.read(|board| board.live().count());
            if live == 0 || core.clock.elapsed() >= deadline {
                return live;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let told = tokio::select! {
        live = unneeded => {
            tracing::info!(live, "no longer needed");
            live > 0
        }
        () = signals.stop_asked() => true,
    };
    if told {
        serve::drain(backend, config.server.drain, signals).await;
    } else {
        backend.stop().await;
    }
}

fn seconds(span: Duration) -> String {
    super::config::span_text(span)
}

/// A line for whoever is still there; a lost terminal is fine.
fn say(text: &str) {
    use std::io::Write;
    let _gone = writeln!(std::io::stderr(), "wallboard: {text}");
}

/// The URLs to paste, each counting the requests the server has logged for its path.
fn endpoints(backend: &Backend, config: &Config, tasks: &Tasks) -> Vec<Endpoint> {
    let base = backend
        .public_url
        .clone()
        .unwrap_or_else(|| backend.url.clone());
    let mut all: Vec<(String, String)> = Vec::new();
    let setup = &config.setup();
    for carrier in registry::shown_carriers(setup) {
        let pastes = carrier.pastes(&base).into_iter();
        all.extend(pastes.map(|(label, url)| (format!("{}: {label}", carrier.title), url)));
    }
    for (_, lines) in registry::with_own_lines() {
        if (lines.secret)(setup).is_some() {
            let pastes = lines.pastes(&base).into_iter();
            all.extend(pastes.map(|(label, url)| (label.to_owned(), url)));
        }
    }
    let endpoints: Vec<Endpoint> = all
        .into_iter()
        .map(|(label, url)| (label, url, Arc::new(AtomicU64::new(0))))
        .collect();
    let counted: Vec<(String, Arc<AtomicU64>)> = endpoints
        .iter()
        .filter_map(|(_, url, hits)| {
            Some((url::Url::parse(url).ok()?.path().to_owned(), hits.clone()))
        })
        .collect();
    count_hits(backend.server.webhooks(), counted, tasks);
    endpoints
}

fn count_hits(log: Arc<WebhookLog>, counted: Vec<(String, Arc<AtomicU64>)>, tasks: &Tasks) {
    let token = tasks.token().clone();
    tasks.spawn("endpoint hits", async move {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                _ = tick.tick() => {}
            }
            let entries = log.entries();
            for (path, hits) in &counted {
                let seen = entries.iter().filter(|entry| entry.path == *path).count();
                hits.store(seen as u64, Ordering::Relaxed);
            }
        }
    });
}

/// The demo with its screen. Leaving ends everything.
pub async fn demo(args: &DemoArgs, config: &Config, lines: bool) -> Outcome {
    let directory = Temporary::make()?;
    logging::start(&config.log, Sink::File(&directory.path().join(LOG)));
    let demo = DemoRun::start(args, config, directory).await?;
    let screen_tasks = Tasks::new();
    let shown = Shown {
        backend: Arc::new(demo.backend.embedded(&user_name(), config.ui.read_only)),
        mode: Mode::Demo,
        name: Some("demo".into()),
        endpoints: Vec::new(),
        prime: Prime::Local,
        lines,
        url: None,
        place: None,
    };
    let clock = demo.backend.core.clock;
    let calls = async {
        demo.fleet.run(DemoRun::plan(args)).await;
        // `--once` ends the demo; otherwise the schedule never does.
        if !args.once {
            std::future::pending::<()>().await;
        }
    };
    let outcome = tokio::select! {
        exit = screen::show(config, shown, &screen_tasks, clock) => exit.map(|_| ()),
        () = calls => Ok(()),
    };
    // Whoever was in the middle of a picture has been dropped with it.
    crate::ui::restore();
    screen_tasks.shutdown(Duration::from_secs(1)).await;
    demo.stop().await;
    outcome
}
