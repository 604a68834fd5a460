//! What the modes with a screen have in common: options, sound, crash safety.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::FutureExt;

use crate::audio::{AudioConfig, Output, Prime, Volume};
use crate::engine::{Backend, Clock, Tasks};
use crate::ui::theme::Depth;
use crate::ui::{self, Exit, Kept, Mode, Notify, UiError, UiOptions};

use super::config::{Config, user_config_path};
use super::plain;
use super::sound::Speakers;
use super::{Failure, Outcome};

/// Folder below the data folder for what operators copy and export.
const FILES: &str = "files";
/// Folder below the data folder for what the screen remembers.
const SCREEN: &str = "screen";
/// Of a backend's name in that of its file.
const FILE_CHARS_MAX: usize = 100;

/// A URL of the empty board, with the counter of requests it has seen.
pub type Endpoint = (String, String, Arc<AtomicU64>);

/// What a screen is shown on.
#[derive(Debug)]
pub struct Shown {
    pub backend: Arc<dyn Backend>,
    pub mode: Mode,
    /// Name in the header in place of the backend's own.
    pub name: Option<String>,
    pub endpoints: Vec<Endpoint>,
    /// Whether call audio comes over a network.
    pub prime: Prime,
    /// Lines of text instead of a screen.
    pub lines: bool,
    /// Where the backend is, if elsewhere; nothing in it is secret.
    pub url: Option<String>,
    /// Whose view is kept for next time; nobody's in a demo.
    pub place: Option<String>,
}

/// Shows the screen until it is left. A panic inside it counts as a lost terminal: the terminal is
/// restored, the report written, and the backend goes on.
pub async fn show(config: &Config, shown: Shown, tasks: &Tasks, clock: Clock) -> Outcome<Exit> {
    if shown.lines {
        return plain::show(config, shown, clock).await;
    }
    let mut audio = AudioConfig::new(config.ui.audio_device.as_deref(), |name| {
        std::env::var(name).ok()
    });
    audio.volume = Volume(config.ui.volume);
    let output = Output::start(tasks, audio);
    let sound = Arc::new(Speakers::new(output, shown.prime, tasks));
    // A demo takes nothing of the operator's and leaves nothing behind.
    let views_dir = (shown.mode != Mode::Demo).then(|| config.data_dir.join(SCREEN));
    let options = UiOptions {
        mode: shown.mode,
        name: shown.name,
        url: shown.url,
        theme: (config.ui.theme != "auto").then(|| config.ui.theme.clone()),
        theme_dir: theme_dir(),
        depth: depth(config),
        ascii: config.ui.ascii.then_some(true),
        keys: config.keymap.clone(),
        endpoints: shown.endpoints,
        watch_words: config.alerts.watch_words.clone(),
        files_dir: Some(config.data_dir.join(FILES)),
        views: views_dir.as_deref().map(kept_views).unwrap_or_default(),
        views_dir,
        last: shown.place.as_deref().and_then(|place| last(config, place)),
        low_bandwidth: config.ui.low_bandwidth,
        mouse: config.ui.mouse,
        paint_background: config.ui.paint_background,
        notify: match config.ui.notify.as_str() {
            "bell" => Notify::Bell,
            "osc9" => Notify::Osc9,
            "osc777" => Notify::Osc777,
            "osc99" => Notify::Osc99,
            _ => Notify::Off,
        },
    };
    let screen = ui::run(shown.backend, sound, options, clock);
    match AssertUnwindSafe(screen).catch_unwind().await {
        Ok(Ok(exit)) => Ok(exit),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Ok(Exit::Hangup),
    }
}

/// Views the operator keeps; an unreadable file counts as none.
fn kept_views(dir: &Path) -> String {
    small_file(&dir.join(ui::VIEWS_FILE)).unwrap_or_default()
}

/// What a file of the screen's own holds; `None` where it is missing, or far too large to be one.
fn small_file(path: &Path) -> Option<String> {
    let size = std::fs::metadata(path).ok()?.len();
    if size > ui::VIEWS_BYTES_MAX {
        return None;
    }
    Some(String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned())
}

/// How the screen on this backend was left last time: a file in `$XDG_STATE_HOME/wallboard`.
fn last(config: &Config, place: &str) -> Option<Kept> {
    use etcetera::BaseStrategy;
    let state = etcetera::choose_base_strategy().ok()?.state_dir()?;
    let dir = state.join("wallboard");
    let name = format!("{}.toml", file_name(place));
    let text = config.ui.restore.then(|| small_file(&dir.join(&name)));
    Some(Kept {
        dir,
        name,
        text: text.flatten(),
    })
}

/// A backend's name as that of a file.
fn file_name(place: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let name = place.chars().map(|c| if plain(c) { c } else { '_' });
    format!("last-{}", name.take(FILE_CHARS_MAX).collect::<String>())
}

/// The operator's own themes.
pub fn theme_dir() -> Option<std::path::PathBuf> {
    Some(user_config_path()?.parent()?.join("themes"))
}

fn depth(config: &Config) -> Option<Depth> {
    match config.ui.color.as_str() {
        "never" => Some(Depth::None),
        "always" => {
            let env = |name: &str| std::env::var(name).ok();
            let judged = Depth::detect(None, env("TERM").as_deref(), env("COLORTERM").as_deref());
            Some(if judged == Depth::None {
                Depth::Sixteen
            } else {
                judged
            })
        }
        _ => None,
    }
}

/// A screen that cannot be shown, in words.
pub fn failure(error: &UiError) -> Failure {
    match error {
        UiError::Term(error) => Failure::usage(
            error.to_string(),
            "use a terminal, or work without a screen: wallboard serve, ls, events",
        ),
        UiError::Theme(error) => Failure::usage(error.to_string(), "`wallboard theme ls`"),
        UiError::Keys(error) => Failure::usage(error.to_string(), "`wallboard keys` lists them"),
    }
}
