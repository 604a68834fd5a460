//! Where logs go: a file while a screen is up, stderr otherwise. Never stdout.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::config::LogConfig;

/// Which sink is right for the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink<'a> {
    /// A screen owns the terminal.
    File(&'a Path),
    Stderr,
    Nowhere,
}

/// Our own words at the asked level; the libraries only when something is wrong, because at lower
/// levels some of them log whole requests.
fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!(
        "warn,wallboard={level},rust_engineio=off,rust_socketio=off"
    ))
}

/// Starts logging. A second call in one process changes nothing.
pub fn start(config: &LogConfig, sink: Sink<'_>) {
    let (writer, is_terminal) = match sink {
        Sink::File(path) => match open(path) {
            Ok(file) => (BoxMakeWriter::new(Mutex::new(file)), true),
            Err(_) => (BoxMakeWriter::new(io::sink), true),
        },
        Sink::Nowhere => (BoxMakeWriter::new(io::sink), true),
        Sink::Stderr => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
    };
    let as_json = match config.format.as_str() {
        "json" => true,
        "text" => false,
        _ => !is_terminal,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.level))
        .with_ansi(false)
        .with_target(false)
        .with_writer(writer);
    // Already started (tests, a mode within a mode) is fine.
    let _again = if as_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.try_init()
    };
}

fn open(path: &Path) -> io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}
