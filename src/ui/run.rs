//! The loop: wake, drain all that is ready, update, draw if something changed and it is time.

mod attention;
mod effects;
mod files;
mod input;
mod surroundings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::Offset;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::call::CallId;
use crate::engine::{Backend, Clock, Fetched, ListenStream, Update, random};

use super::keymap::{KeyError, Keymap};
use super::model::{Endpoint, Mode, Model, Settings};
use super::msg::{Exit, Msg, Now};
use super::paint::Painter;
use super::sound::{Sound, SoundState};
use super::term::{self, IN_SCREEN, Manners, Notify, Signal, Signals, Term, TermError};
use super::theme::{Depth, Theme, ThemeError};
use super::views::Last;
use super::{update, view};
use effects::keep_last;
use surroundings::{has_background, is_ascii_locale, paint_canvas};

/// At most 30 pictures a second, and 15 over a network.
const FRAME: Duration = Duration::from_millis(33);
const FRAME_REMOTE: Duration = Duration::from_millis(66);
/// On a slow line.
const FRAME_SLOW: Duration = Duration::from_secs(1);
/// A key is answered at once, but not more often than this.
const FRAME_INPUT: Duration = Duration::from_millis(10);
/// Backend updates taken in before the screen looks at its keys again.
const DRAIN_MAX: usize = 512;
/// How long a backend that closed its channel is left alone before it is asked again.
const RESUBSCRIBE: Duration = Duration::from_secs(2);

/// What `cli` chooses for the screen.
#[derive(Clone, Debug, Default)]
pub struct UiOptions {
    pub mode: Mode,
    /// Name in the header in place of the backend's id.
    pub name: Option<String>,
    /// Where the backend is, if elsewhere.
    pub url: Option<String>,
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
    /// How the screen was left last time, and where that is kept.
    pub last: Option<Kept>,
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

impl UiOptions {
    /// What of this the model is to know.
    fn settings(&self, is_remote_terminal: bool, theme: String) -> Settings {
        let endpoints = self.endpoints.iter();
        Settings {
            mode: self.mode,
            name: self.name.clone(),
            url: self.url.clone(),
            endpoints: endpoints
                .map(|(label, url, hits)| Endpoint {
                    label: label.clone(),
                    url: url.clone(),
                    hits: hits.load(Ordering::Relaxed),
                })
                .collect(),
            is_remote_terminal,
            themes: Theme::names(self.theme_dir.as_deref()),
            theme,
            watch_words: self.watch_words.clone(),
            mouse: self.mouse,
            views: self.views.clone(),
            offers_tour: self.mode == Mode::Demo,
            seed: random(),
        }
    }
}

/// A small file of this screen's own.
#[derive(Clone, Debug)]
pub struct Kept {
    pub dir: PathBuf,
    pub name: String,
    /// What it holds; `None` where there is nothing to begin with.
    pub text: Option<String>,
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
            let keeping = screen.last_view();
            screen.term.leave().await;
            // Given back first: a disk that does not answer holds nobody up.
            if let Some((kept, text)) = keeping {
                keep_last(&kept, &text);
            }
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
    last: Option<Kept>,
    /// The view it began with.
    began_with: Last,
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
        let settings = options.settings(remote, chosen);
        let term = Term::enter(Manners {
            mouse: options.mouse,
            asks_background: follows_background,
        })?;
        let mut model = Model::new(settings, keymap, now(clock));
        model.size = term::size();
        let updates = Some(backend.subscribe());
        let sound_state = sound.state();
        model.sound = sound_state.borrow().clone();
        let began_with = update::last(&model);
        let mut screen = Self {
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
            last: options.last.clone(),
            began_with,
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
        };
        screen.begin(options.theme.is_none());
        Ok(screen)
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
