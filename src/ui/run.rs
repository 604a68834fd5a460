//! The loop: wake, drain all that is ready, update, draw if something changed and it is time.

mod effects;
mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::Offset;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::call::text::mask_number;
use crate::call::{CallEvent, CallId, Fact, Severity};
use crate::engine::{Backend, Clock, Fetched, ListenStream, Update, random};

use super::keymap::{KeyError, Keymap};
use super::model::{Endpoint, Mode, Model, Settings};
use super::msg::{Exit, Msg, Now};
use super::paint::Painter;
use super::sound::{Sound, SoundState};
use super::term::{self, IN_SCREEN, Input, Manners, Notify, Signal, Signals, Term, TermError};
use super::theme::{Depth, Theme, ThemeError};
use super::{update, view};

/// At most 30 pictures a second, and 15 over a network.
const FRAME: Duration = Duration::from_millis(33);
const FRAME_REMOTE: Duration = Duration::from_millis(66);
/// On a slow line.
const FRAME_SLOW: Duration = Duration::from_secs(1);
/// Calls for attention at most this often.
const NOTIFY_EVERY: Duration = Duration::from_secs(10);
/// A key is answered at once, but not more often than this.
const FRAME_INPUT: Duration = Duration::from_millis(10);
/// Backend updates taken in before the screen looks at its keys again.
const DRAIN_MAX: usize = 512;
/// As many different keys as this in one read is a paste that the terminal did not mark as one.
const BURST_MIN: usize = 6;
/// How long a backend that closed its channel is left alone before it is asked again.
const RESUBSCRIBE: Duration = Duration::from_secs(2);

/// What `cli` chooses for the screen.
#[derive(Clone, Debug, Default)]
pub struct UiOptions {
    pub mode: Mode,
    /// Name in the header in place of the backend's id.
    pub name: Option<String>,
    /// A theme's name; automatic when `None`.
    pub theme: Option<String>,
    /// Where the operator's own themes are.
    pub theme_dir: Option<PathBuf>,
    /// `--color always|never`; by the environment when `None`.
    pub depth: Option<Depth>,
    /// ASCII only; by the locale when `None`.
    pub ascii: Option<bool>,
    /// Action name → keys, from the `[keys]` table.
    pub keys: BTreeMap<String, Vec<String>>,
    /// URLs for the empty screen, each with a counter of the requests it has seen.
    pub endpoints: Vec<(String, String, Arc<AtomicU64>)>,
    /// Regular expressions of words to light up in transcripts.
    pub watch_words: Vec<String>,
    /// Where copies and exports are written; nowhere when `None`.
    pub files_dir: Option<PathBuf>,
    /// Where kept views are written; nowhere when `None`.
    pub views_dir: Option<PathBuf>,
    /// What the file of kept views holds.
    pub views: String,
    /// For a slow line: a picture a second at most, and no meters. Over SSH there are fewer pictures
    /// anyway.
    pub low_bandwidth: bool,
    /// Take mouse clicks and the wheel from the start.
    pub mouse: bool,
    /// Paint the theme's own background.
    pub paint_background: bool,
    /// How a critical alert reaches an operator who looks elsewhere.
    pub notify: Notify,
}

/// Why the screen could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    #[error(transparent)]
    Term(#[from] TermError),
    #[error(transparent)]
    Theme(#[from] ThemeError),
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Shows the screen until the operator leaves, the terminal goes away or a signal comes.
///
/// Never ends a call by itself; the returned [`Exit`] says what is to become of the backend.
///
/// # Errors
/// When there is no terminal, or theme or keys are wrong. The terminal is restored in every case.
pub async fn run(
    backend: Arc<dyn Backend>,
    sound: Arc<dyn Sound>,
    options: UiOptions,
    clock: Clock,
) -> Result<Exit, UiError> {
    IN_SCREEN
        .scope((), async move {
            let mut screen = Screen::open(backend, sound, options, clock)?;
            let exit = screen.live().await;
            screen.sound.stop();
            screen.term.leave().await;
            Ok(exit)
        })
        .await
}

/// What an asynchronous effect brings back.
enum Done {
    Listen(CallId, Result<ListenStream, crate::call::Refusal>),
    Recording(String, Result<Bytes, crate::call::Refusal>),
    Fetched(String, watch::Receiver<Fetched>),
    Message(Msg),
    Nothing,
    Resubscribe,
}

struct Screen {
    backend: Arc<dyn Backend>,
    sound: Arc<dyn Sound>,
    clock: Clock,
    term: Term,
    signals: Option<Signals>,
    updates: Option<mpsc::Receiver<Update>>,
    sound_state: watch::Receiver<SoundState>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Ends the recording that is coming.
    fetching: Option<CancellationToken>,
    model: Model,
    theme: Theme,
    theme_dir: Option<PathBuf>,
    files_dir: Option<PathBuf>,
    views_dir: Option<PathBuf>,
    depth: Depth,
    is_ascii: bool,
    /// Nobody chose the theme: it follows the terminal's background.
    follows_background: bool,
    paints_background: bool,
    is_slow: bool,
    notify: Notify,
    notified_at: Option<Duration>,
    /// The terminal tells whether it is in front.
    tells_focus: bool,
    endpoints: Vec<Arc<AtomicU64>>,
    painter: Painter,
    buffer: Buffer,
    frame: Duration,
    drawn_at: Duration,
    is_dirty: bool,
    /// A key came in: draw soon.
    is_urgent: bool,
    exit: Option<Exit>,
}

impl Screen {
    fn open(
        backend: Arc<dyn Backend>,
        sound: Arc<dyn Sound>,
        options: UiOptions,
        clock: Clock,
    ) -> Result<Self, UiError> {
        let env = |name: &str| std::env::var(name).ok();
        let no_color = env("NO_COLOR");
        let depth = options.depth.unwrap_or_else(|| {
            Depth::detect(
                no_color.as_deref(),
                env("TERM").as_deref(),
                env("COLORTERM").as_deref(),
            )
        });
        let chosen = options
            .theme
            .clone()
            .unwrap_or_else(|| Theme::automatic(depth, env("COLORFGBG").as_deref()).to_owned());
        let dir = options.theme_dir.as_deref();
        let theme = Theme::load(&chosen, dir, depth)?;
        let keymap = Keymap::with(&options.keys)?;
        let is_slow = options.low_bandwidth;
        let remote = is_slow || env("SSH_CONNECTION").is_some();
        let follows_background = options.theme.is_none() && has_background(depth, env("TERM"));
        let settings = Settings {
            mode: options.mode,
            name: options.name.clone(),
            endpoints: options
                .endpoints
                .iter()
                .map(|(label, url, hits)| Endpoint {
                    label: label.clone(),
                    url: url.clone(),
                    hits: hits.load(Ordering::Relaxed),
                })
                .collect(),
            is_remote_terminal: remote,
            themes: Theme::names(dir),
            theme: chosen,
            watch_words: options.watch_words.clone(),
            mouse: options.mouse,
            views: options.views.clone(),
            offers_tour: options.mode == Mode::Demo,
            seed: random(),
        };
        let term = Term::enter(Manners {
            mouse: options.mouse,
            asks_background: follows_background,
        })?;
        let mut model = Model::new(settings, keymap, now(clock));
        model.size = term::size();
        let updates = Some(backend.subscribe());
        let sound_state = sound.state();
        model.sound = sound_state.borrow().clone();
        Ok(Self {
            backend,
            sound,
            clock,
            term,
            signals: Signals::new().ok(),
            updates,
            sound_state,
            jobs: FuturesUnordered::new(),
            fetching: None,
            model,
            theme,
            theme_dir: options.theme_dir.clone(),
            files_dir: options.files_dir.clone(),
            views_dir: options.views_dir.clone(),
            depth,
            is_ascii: options.ascii.unwrap_or_else(is_ascii_locale),
            follows_background,
            paints_background: options.paint_background,
            is_slow,
            notify: options.notify,
            notified_at: None,
            tells_focus: false,
            endpoints: options
                .endpoints
                .into_iter()
                .map(|(_, _, hits)| hits)
                .collect(),
            painter: Painter::new(),
            buffer: Buffer::default(),
            frame: match (is_slow, remote) {
                (true, _) => FRAME_SLOW,
                (false, true) => FRAME_REMOTE,
                (false, false) => FRAME,
            },
            drawn_at: Duration::ZERO,
            is_dirty: true,
            is_urgent: true,
            exit: None,
        })
    }

    async fn live(&mut self) -> Exit {
        loop {
            self.term.send_aside();
            self.draw_if_due();
            if let Some(exit) = self.exit {
                return exit;
            }
            if self.term.is_broken() {
                return Exit::Hangup;
            }
            let wake = self.wake();
            let sleep = wake.saturating_sub(self.clock.elapsed());
            let idle = self.term.idle();
            let has_more = self.is_dirty || self.term.has_aside();
            let waits_for_terminal = has_more && !self.term.is_idle();
            // Every arm is cancel-safe: channels, streams, watch and sleep.
            tokio::select! {
                biased;
                signal = next_signal(&mut self.signals) => self.signal(signal),
                input = self.term.next() => self.take_input(input).await,
                update = next_update(&mut self.updates) => self.take_updates(update),
                Ok(()) = self.sound_state.changed() => {
                    let state = self.sound_state.borrow_and_update().clone();
                    self.message(Msg::Sound(state));
                }
                Some(done) = self.jobs.next() => self.finish(done),
                () = idle, if waits_for_terminal => {}
                () = tokio::time::sleep(sleep) => self.tick(),
            }
        }
    }

    /// When the loop has something to do by time alone.
    fn wake(&self) -> Duration {
        let idle = Duration::from_secs(60);
        let by_model = self
            .model
            .next_wake()
            .unwrap_or(self.clock.elapsed() + idle);
        if self.is_dirty && self.term.is_idle() {
            by_model.min(self.due_at())
        } else {
            by_model
        }
    }

    /// The earliest moment of the next picture.
    fn due_at(&self) -> Duration {
        let gap = if self.is_urgent {
            FRAME_INPUT
        } else {
            self.frame
        };
        self.drawn_at + gap
    }

    fn draw_if_due(&mut self) {
        if !self.is_dirty || !self.term.is_idle() || self.clock.elapsed() < self.due_at() {
            return;
        }
        // The news of a resize can get lost or come late on a busy machine; the size itself cannot.
        let size = term::size();
        if size != self.model.size {
            self.resized(size);
        }
        self.model.now = now(self.clock);
        let effects = update::prepare(&mut self.model);
        self.perform(effects);
        let (width, height) = self.model.size;
        self.buffer.resize(Rect::new(0, 0, width, height));
        self.buffer.reset();
        view::draw(&self.model, &self.theme, self.is_ascii, &mut self.buffer);
        if self.paints_background {
            paint_canvas(&self.theme, &mut self.buffer);
        }
        let bytes = self.painter.paint(&mut self.buffer);
        self.term.send(bytes);
        self.drawn_at = self.clock.elapsed();
        self.is_dirty = false;
        self.is_urgent = false;
    }

    fn resized(&mut self, (width, height): (u16, u16)) {
        self.painter.forget();
        self.message(Msg::Resize(width, height));
    }

    fn message(&mut self, message: Msg) {
        self.model.now = now(self.clock);
        let effects = update::update(&mut self.model, message);
        self.is_dirty = true;
        self.perform(effects);
    }

    fn tick(&mut self) {
        if !self.endpoints.is_empty() && self.model.list.order.is_empty() {
            let hits = self
                .endpoints
                .iter()
                .map(|hits| hits.load(Ordering::Relaxed));
            let hits: Vec<u64> = hits.collect();
            self.message(Msg::Hits(hits));
        }
        self.message(Msg::Tick);
    }

    async fn take_input(&mut self, first: Input) {
        let mut keys: Vec<KeyEvent> = Vec::new();
        let mut next = Some(first);
        while let Some(input) = next {
            match input {
                Input::Gone => {
                    self.exit = Some(Exit::Hangup);
                    return;
                }
                Input::Background(rgb) => self.background(rgb),
                Input::Event(Event::Key(key)) => keys.push(key),
                Input::Event(event) => {
                    self.press(std::mem::take(&mut keys));
                    self.event(event);
                }
            }
            next = self.term.ready().await;
        }
        self.press(keys);
        self.is_urgent = true;
        if std::mem::take(&mut self.model.wants_suspend) {
            self.term.suspend().await;
            self.painter.forget();
            self.model.size = term::size();
            self.message(Msg::Tick);
        }
    }

    /// Keys of one read. A burst of many different ones may be a paste in disguise.
    fn press(&mut self, keys: Vec<KeyEvent>) {
        self.model.in_burst = is_burst(&keys);
        for key in keys {
            self.message(Msg::Key(key));
        }
        self.model.in_burst = false;
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Paste(text) => self.message(Msg::Paste(text)),
            Event::Resize(width, height) => self.resized((width, height)),
            Event::FocusGained | Event::FocusLost => {
                self.tells_focus = true;
                self.message(Msg::Focus(event == Event::FocusGained));
            }
            Event::Mouse(event) => self.message(Msg::Mouse(event)),
            Event::Key(_) => {}
        }
    }

    /// The terminal has told its background: the theme follows, unless somebody chose one meanwhile.
    fn background(&mut self, rgb: [u8; 3]) {
        let name = Theme::for_background(rgb);
        let is_untouched = self.model.theme_name == self.model.settings.theme;
        if !self.follows_background || !is_untouched || self.theme.name == name {
            return;
        }
        if let Ok(theme) = Theme::load(name, self.theme_dir.as_deref(), self.depth) {
            self.theme = theme;
            name.clone_into(&mut self.model.settings.theme);
            name.clone_into(&mut self.model.theme_name);
            self.is_dirty = true;
        }
    }

    /// Calls an operator who looks elsewhere when something has become critical.
    fn call_for_attention(&mut self, update: &Update) {
        let looks_elsewhere = !self.tells_focus || !self.model.has_focus;
        if self.notify == Notify::Off || (self.notify != Notify::Bell && !looks_elsewhere) {
            return;
        }
        let now = self.clock.elapsed();
        let is_too_soon = self
            .notified_at
            .is_some_and(|at| now.saturating_sub(at) < NOTIFY_EVERY);
        if let Some(words) = attention(update, &self.model).filter(|_| !is_too_soon) {
            self.notified_at = Some(now);
            self.term
                .aside(&term::notification_here(self.notify, &words));
        }
    }

    fn take_updates(&mut self, first: Option<Update>) {
        let mut next = first;
        let mut taken = 0;
        loop {
            let Some(update) = next else {
                self.updates = None;
                self.message(Msg::BackendGone);
                self.jobs.push(Box::pin(async {
                    tokio::time::sleep(RESUBSCRIBE).await;
                    Done::Resubscribe
                }));
                return;
            };
            // A sign of life changes nothing but the age of the data, which the clock tick shows.
            if matches!(update, Update::Alive) {
                self.model.heard_at = self.clock.elapsed();
            } else {
                self.call_for_attention(&update);
                self.message(Msg::Backend(update));
            }
            taken += 1;
            if taken == DRAIN_MAX {
                return;
            }
            match self.updates.as_mut().map(mpsc::Receiver::try_recv) {
                Some(Ok(update)) => next = Some(update),
                Some(Err(mpsc::error::TryRecvError::Disconnected)) => next = None,
                Some(Err(mpsc::error::TryRecvError::Empty)) | None => return,
            }
        }
    }

    fn signal(&mut self, signal: Signal) {
        self.exit = Some(match (signal, self.model.settings.mode) {
            (Signal::Hangup, _) => Exit::Hangup,
            (Signal::Terminate, Mode::Run) => Exit::Drain,
            (Signal::Interrupt, Mode::Run) => Exit::KeepServing,
            _ => Exit::Quit,
        });
    }
}

/// Whether asking this terminal for its background makes sense: it has colours to follow with, and
/// is none of those that print the question.
fn has_background(depth: Depth, term: Option<String>) -> bool {
    let term = term.unwrap_or_default();
    matches!(depth, Depth::Indexed | Depth::True)
        && !term.is_empty()
        && !["dumb", "linux", "screen"]
            .iter()
            .any(|known| term.starts_with(known) && !term.contains("tmux"))
}

/// The theme's own colours where the terminal's would show.
fn paint_canvas(theme: &Theme, buffer: &mut Buffer) {
    let Some((foreground, background)) = theme.canvas else {
        return;
    };
    for cell in &mut buffer.content {
        if cell.bg == Color::Reset {
            cell.bg = background;
        }
        if cell.fg == Color::Reset {
            cell.fg = foreground;
        }
    }
}

/// What has just become critical, in words; numbers masked.
fn attention(update: &Update, model: &Model) -> Option<String> {
    let Update::Envelopes { items, .. } = update else {
        return None;
    };
    items.iter().find_map(|envelope| {
        let CallEvent::Known(Fact::AlertRaised { alert }) = &envelope.event else {
            return None;
        };
        let call = model.board.get(envelope.call?)?;
        let known = call.alerts.iter().find(|known| known.rule == alert.rule);
        let is_new = alert.severity == Severity::Critical
            && known.is_none_or(|known| {
                let is_quiet = known.acknowledged_by.is_some()
                    || known.snoozed_until.is_some_and(|until| until > envelope.at);
                known.severity != Severity::Critical && !is_quiet
            });
        is_new.then(|| format!("{}: {}", alert.reason, mask_number(call.caller_number())))
    })
}

fn now(clock: Clock) -> Now {
    let wall = clock.now();
    Now {
        mono: clock.elapsed(),
        wall,
        zone: wall.with_timezone(&chrono::Local).offset().fix(),
    }
}

async fn next_update(updates: &mut Option<mpsc::Receiver<Update>>) -> Option<Update> {
    match updates {
        Some(updates) => updates.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_signal(signals: &mut Option<Signals>) -> Signal {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

/// Whether these keys of one read are more than a hand types: plain characters, not one held down
/// (which repeats itself, and over a slow line comes in heaps).
fn is_burst(keys: &[KeyEvent]) -> bool {
    let presses = || keys.iter().filter(|key| key.kind != KeyEventKind::Release);
    let is_text = |key: &KeyEvent| {
        let plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
        plain && matches!(key.code, KeyCode::Char(_) | KeyCode::Enter | KeyCode::Tab)
    };
    let first = presses().next().map(|key| key.code);
    presses().count() >= BURST_MIN
        && presses().all(is_text)
        && presses().any(|key| Some(key.code) != first)
}

/// Whether the locale says that only ASCII can be shown.
fn is_ascii_locale() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_lowercase();
    let utf8 = locale.contains("utf-8") || locale.contains("utf8");
    term == "linux" || !utf8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<KeyEvent> {
        text.chars()
            .map(|c| match c {
                '\n' => KeyCode::Enter.into(),
                c => KeyCode::Char(c).into(),
            })
            .collect()
    }

    #[test]
    fn a_burst_of_keys_may_be_a_paste_and_a_held_key_is_not() {
        assert!(is_burst(&keys("Ey now")));
        assert!(is_burst(&keys("rm -rf\n")));
        assert!(!is_burst(&keys("jjjjjjjjjj")));
        assert!(!is_burst(&keys("Ey")));
        assert!(!is_burst(&[]));
        let mut with_arrow = keys("abcdef");
        with_arrow.push(KeyCode::Down.into());
        assert!(!is_burst(&with_arrow));
    }
}
