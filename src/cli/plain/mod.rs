//! Lines of text instead of a screen: for screen readers, pipes and terminals that cannot place a
//! cursor. The board, the permissions, the questions and the grace are the screen's own; only what
//! is shown and how it is asked for differ. [`lines`] decides, this file does the I/O.

mod lines;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use chrono::Offset;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::call::ErrorCode;
use crate::call::text::clean;
use crate::engine::{Backend, Clock, LinkState, Update};
use crate::ui::{Effect, Exit, Mode, Now};

use super::config::Config;
use super::screen::Shown;
use super::serve::Signals;
use super::{Failure, Outcome, out};

use lines::Lines;

/// How often graces and deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// A backend that has not answered after this is not there, for a program that waits for it.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Longest line read.
const LINE_MAX: usize = 4_096;

/// Shows the board as lines until `quit`, the end of the input of a terminal, or a signal.
pub async fn show(config: &Config, shown: Shown, clock: Clock) -> Outcome<Exit> {
    let mut signals = Signals::install()?;
    let mut lines = Lines::new(shown.mode, shown.name, config.ui.ascii, now(clock));
    let is_typed = std::io::stdin().is_terminal();
    let mut input = Input::new();
    let mut updates = Some(shown.backend.subscribe());
    let mut ticks = tokio::time::interval(TICK);
    let mut was_up = false;
    loop {
        for line in lines.take_output() {
            if let Err(failure) = out::line(&line) {
                // Whoever read this has gone; the calls have not.
                return match shown.mode {
                    Mode::Run => Ok(Exit::Hangup),
                    Mode::Demo | Mode::Attach => Err(failure),
                };
            }
        }
        // Cancel-safe: channels, ticks, and an input that keeps what it has read.
        let effects = tokio::select! {
            biased;
            () = signals.stop_asked() => {
                return Ok(if shown.mode == Mode::Run { Exit::Drain } else { Exit::Quit });
            }
            update = next(&mut updates) => {
                let Some(update) = update else {
                    updates = None;
                    lines.backend_gone(now(clock));
                    continue;
                };
                if let Some(failure) = hopeless(&update, was_up, is_typed) {
                    return Err(failure);
                }
                was_up |= matches!(update, Update::Snapshot { .. });
                lines.update(now(clock), update)
            }
            line = input.line() => match line {
                Some(line) => lines.typed(now(clock), &line),
                // The end of a terminal's input is "quit"; that of a pipe only ends the commands.
                None if is_typed => lines.typed(now(clock), "quit"),
                None => Vec::new(),
            },
            _ = ticks.tick() => {
                if !was_up && !is_typed && clock.elapsed() >= CONNECT_WITHIN {
                    return Err(Failure::unreachable(
                        lines.link_words(),
                        "check the URL and that the backend is running",
                    ));
                }
                if updates.is_none() {
                    updates = Some(shown.backend.subscribe());
                }
                lines.tick(now(clock))
            }
        };
        if let Some(exit) = perform(shown.backend.as_ref(), &mut lines, now(clock), effects) {
            for line in lines.take_output() {
                out::line(&line)?;
            }
            return Ok(exit);
        }
    }
}

/// What ends a board of lines: a refusal, and for a program, which does not wait for the next try, a
/// backend that is not there.
fn hopeless(update: &Update, was_up: bool, is_typed: bool) -> Option<Failure> {
    match update {
        Update::Link(LinkState::Refused(refusal)) => {
            let is_about_us =
                matches!(refusal.code, ErrorCode::Unauthorized | ErrorCode::Forbidden);
            (is_about_us || !is_typed).then(|| Failure::from(refusal.clone()))
        }
        Update::Link(LinkState::Down { reason, .. }) if !was_up && !is_typed => {
            Some(Failure::unreachable(
                format!("the backend cannot be reached: {}", clean(reason)),
                "check the URL and that the backend is running",
            ))
        }
        _ => None,
    }
}

fn now(clock: Clock) -> Now {
    let wall = clock.now();
    Now {
        mono: clock.elapsed(),
        wall,
        zone: wall.with_timezone(&chrono::Local).offset().fix(),
    }
}

async fn next(updates: &mut Option<tokio::sync::mpsc::Receiver<Update>>) -> Option<Update> {
    match updates {
        Some(updates) => updates.recv().await,
        None => std::future::pending().await,
    }
}

fn perform(
    backend: &dyn Backend,
    lines: &mut Lines,
    now: Now,
    effects: Vec<Effect>,
) -> Option<Exit> {
    for effect in effects {
        match effect {
            Effect::Send(command) => {
                if let Err(refusal) = backend.send(command.clone()) {
                    lines.not_sent(now, command, refusal);
                }
            }
            Effect::Copy { text, .. } => lines.say(text),
            Effect::Leave(exit) => return Some(exit),
            // Meters, sound, history and looks are the screen's.
            _ => {}
        }
    }
    None
}

/// Lines of standard input. After its end nothing comes any more.
struct Input {
    reader: Option<BufReader<tokio::io::Stdin>>,
    partial: Vec<u8>,
    ready: VecDeque<String>,
}

impl Input {
    fn new() -> Self {
        Self {
            reader: Some(BufReader::new(tokio::io::stdin())),
            partial: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next line; `None` once at the end. Cancel-safe: `fill_buf` takes nothing away.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let Some(reader) = &mut self.reader else {
                return std::future::pending().await;
            };
            let bytes = match reader.fill_buf().await {
                Ok(bytes) if !bytes.is_empty() => bytes.to_vec(),
                Ok(_) | Err(_) => {
                    self.reader = None;
                    return None;
                }
            };
            reader.consume(bytes.len());
            for byte in bytes {
                if byte == b'\n' {
                    let line = String::from_utf8_lossy(&self.partial).into_owned();
                    self.partial.clear();
                    self.ready.push_back(line);
                } else if self.partial.len() < LINE_MAX {
                    self.partial.push(byte);
                }
            }
        }
    }
}

/// Why lines are shown although nobody asked for them.
pub fn notice(reason: &str) {
    super::config_verbs::notice(&format!(
        "{reason}: lines of text instead of a screen; type help"
    ));
}

/// What a board of lines is shown on, for the modes that make it.
pub fn wanted(asked: bool) -> Option<&'static str> {
    let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let on_a_terminal = super::run::on_a_terminal();
    match (asked, on_a_terminal) {
        (true, _) => Some(""),
        (false, false) => Some("there is no terminal here"),
        (false, true) if is_dumb => Some("this terminal is dumb"),
        (false, true) => None,
    }
}
