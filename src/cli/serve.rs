//! `wallboard serve`: the backend alone, its URLs, its signals.

use std::io::{self, Write};
use std::time::Duration;

use crate::engine::Tasks;
use crate::providers::vendor::registry;

use super::args::Start;
use super::config::{Config, Loaded};
use super::logging::{self, Sink};
use super::wiring::{Backend, StartOptions};
use super::{Failure, Outcome, config_verbs};

/// After a second SIGTERM.
const HURRY: Duration = Duration::from_secs(5);
/// Thereof for closing sockets, tasks and the journal.
const LAST_STEPS: Duration = Duration::from_millis(1_500);

pub async fn run(start: &Start, loaded: &Loaded, config: &Config) -> Outcome {
    logging::start(&config.log, Sink::Stderr);
    for text in &loaded.notices {
        config_verbs::notice(text);
    }
    let options = StartOptions {
        insecure_skip_signatures: start.insecure_skip_signatures,
    };
    let mut signals = Signals::install()?;
    let backend = Backend::start(config, options, Tasks::new()).await?;
    announce(&backend, config, options)?;
    signals.stop_asked().await;
    drain(backend, config.server.drain, &mut signals).await;
    Ok(())
}

/// The URLs to paste at the vendors, on stdout so that they can be piped.
fn announce(backend: &Backend, config: &Config, options: StartOptions) -> Outcome {
    let public = backend.public_url.as_deref();
    let beside = public.map_or(String::new(), |url| format!(" (public: {url})"));
    let mut lines = vec![format!("wallboard serves on {}{beside}\n", backend.url)];
    lines.extend(vendor_urls(public.unwrap_or(&backend.url), config));
    if public.is_none() {
        lines.push(
            "Carriers cannot reach this address: set server.public_url to your proxy or tunnel.\n"
                .into(),
        );
    }
    if options.insecure_skip_signatures {
        lines.push("SIGNATURES ARE NOT CHECKED: anybody can create calls here.\n".into());
    }
    lines.push(format!("Attach: wallboard attach {}\n", backend.url));
    let text = lines.concat();
    let mut out = io::stdout().lock();
    // A supervisor may have closed stdout; the backend does not depend on it.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

fn vendor_urls(base: &str, config: &Config) -> Vec<String> {
    let block = |title: &str, urls: &[(&str, String)]| {
        let width = urls.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let rows = urls
            .iter()
            .map(|(label, url)| format!("  {label:<width$} {url}\n"));
        std::iter::once(format!("{title}\n"))
            .chain(rows)
            .collect::<String>()
    };
    let closed = |is_closed: bool, what: &str| {
        if is_closed {
            format!("  (answers 503 until {what} is set)\n")
        } else {
            String::new()
        }
    };
    let mut blocks = Vec::new();
    let setup = &config.setup();
    for carrier in registry::shown_carriers(setup) {
        let title = format!("Paste into {} ({}):", carrier.title, carrier.console);
        blocks.push(block(&title, &carrier.pastes(base)));
        blocks.push(closed(!(carrier.is_open)(setup), carrier.secret_key));
    }
    for (agent, lines) in registry::with_own_lines() {
        let is_closed = (lines.secret)(setup).is_none();
        if is_closed && !(lines.has_agent)(setup) {
            continue;
        }
        let title = format!(
            "Paste into {} ({}), if you want its analysis:",
            agent.title, lines.console
        );
        blocks.push(block(&title, &lines.pastes(base)) + &closed(is_closed, lines.secret_key));
    }
    blocks
}

/// Lets live calls go on for `grace`, then hands them over; a second signal makes that five
/// seconds.
pub async fn drain(backend: Backend, grace: Duration, signals: &mut Signals) {
    let live = backend.core.switchboard.read(|board| board.live().count());
    tracing::info!(live, grace_s = grace.as_secs(), "draining: no new calls");
    let stop_within = tokio::select! {
        drained = backend.core.drain(grace) => {
            tracing::info!(?drained, "drained");
            HURRY
        }
        () = async {
            signals.stop_asked().await;
            tracing::warn!("asked again: out in five seconds");
            tokio::time::sleep(HURRY.saturating_sub(LAST_STEPS)).await;
        } => LAST_STEPS,
    };
    if tokio::time::timeout(stop_within, backend.stop())
        .await
        .is_err()
    {
        tracing::warn!("stopped without waiting for everything");
    }
}

/// The signals a backend listens to.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub fn install() -> Outcome<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let of = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format!("signals cannot be handled: {error}"), ""))
        };
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hangup: of(SignalKind::hangup())?,
        })
    }

    #[cfg(not(unix))]
    pub fn install() -> Outcome<Self> {
        Ok(Self {})
    }

    /// SIGTERM or Ctrl-C. A lost terminal (SIGHUP) is not a reason to stop.
    #[cfg(unix)]
    pub async fn stop_asked(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => tracing::info!("the terminal is gone; serving on"),
            }
        }
    }

    #[cfg(not(unix))]
    pub async fn stop_asked(&mut self) {
        let _gone = tokio::signal::ctrl_c().await;
    }
}
