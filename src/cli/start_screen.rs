//! What a newcomer sees who typed `wallboard` and has configured nothing: four ways on.

use std::io::Write;

use crate::ui;

use super::{Outcome, out};

/// What was picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Demo,
    /// With the URL that was typed.
    Attach(String),
    Serve,
    Check,
    Quit,
}

/// Asks. Blocks until a key is pressed, or for whoever wants lines, until a word is typed.
pub fn ask(lines: bool) -> Outcome<Choice> {
    out::write_all(menu().as_bytes())?;
    loop {
        let key = if lines { first_letter() } else { ui::one_key() };
        let choice = match key {
            Some('d' | 'D') => Choice::Demo,
            Some('a' | 'A') => return Ok(url().map_or(Choice::Quit, Choice::Attach)),
            Some('s' | 'S' | 'r') => Choice::Serve,
            Some('c' | 'C') => Choice::Check,
            Some('q' | 'Q') | None => Choice::Quit,
            Some(_) => continue,
        };
        return Ok(choice);
    }
}

fn first_letter() -> Option<char> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().chars().next().unwrap_or(' '))
}

fn menu() -> String {
    format!(
        "wallboard {}: watch, hear and end live AI phone calls\n\n\
         Nothing is configured yet. What would you like?\n\n\
         \x20 [d] demo     see it work: simulated calls, no keys, no network\n\
         \x20 [a] attach   the screen on a backend that runs elsewhere\n\
         \x20 [s] serve    backend and screen here, with what is configured so far\n\
         \x20 [c] check    what is missing, and how to mend it\n\
         \x20 [q] quit\n\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn url() -> Option<String> {
    let mut out = std::io::stdout().lock();
    let _closed = write!(out, "URL of the backend: ").and_then(|()| out.flush());
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).ok()?;
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}
