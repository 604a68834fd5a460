//! The terminal: the only file that touches it. Raw mode, alternate screen, input, output, signals,
//! and its restoration on every way out.
//!
//! Output goes through a thread of its own with room for one frame: a slow or stopped terminal can
//! delay the picture, never the screen's loop, and never a call.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::time::Duration;

use base64::Engine as _;
use crossterm::event::{Event, EventStream};
use crossterm::terminal;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Notify;

/// Alternate screen, no cursor, bracketed paste, focus reports.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[0m\x1b[2J";
/// All of it back, and a synchronized update that was cut in half is ended.
const LEAVE: &str = "\x1b[?2026l\x1b[0m\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[?1049l";
/// Longest text put on the clipboard, bytes before encoding: terminals cut larger ones.
const COPY_MAX: usize = 74_000;
/// How long leaving waits for a terminal that does not read.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether the terminal is in our state: restoring is done once, by whoever comes first.
static ENTERED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

tokio::task_local! {
    /// Set inside the screen's own task, so that a panic elsewhere leaves the picture alone.
    pub(super) static IN_SCREEN: ();
}

/// What went wrong with the terminal.
#[derive(Debug, thiserror::Error)]
pub enum TermError {
    #[error("standard input and output are not a terminal")]
    NotATerminal,
    #[error("the terminal cannot be set up")]
    Setup(#[source] std::io::Error),
}

/// What comes in.
#[derive(Debug)]
pub(super) enum Input {
    Event(Event),
    /// The terminal is gone or cannot be read.
    Gone,
}

/// The terminal while the screen is up.
#[derive(Debug)]
pub(super) struct Term {
    events: Option<EventStream>,
    writer: Writer,
}

/// The output thread. Room: one frame; a second one is not drawn until the first is out.
#[derive(Debug)]
struct Writer {
    frames: mpsc::SyncSender<String>,
    state: Arc<WriterState>,
}

#[derive(Debug, Default)]
struct WriterState {
    is_busy: AtomicBool,
    is_broken: AtomicBool,
    idle: Notify,
}

impl Term {
    /// Takes the terminal over.
    pub fn enter() -> Result<Self, TermError> {
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return Err(TermError::NotATerminal);
        }
        install_hook();
        terminal::enable_raw_mode().map_err(TermError::Setup)?;
        ENTERED.store(true, Ordering::SeqCst);
        let writer = Writer::start().map_err(|error| {
            restore();
            TermError::Setup(error)
        })?;
        let mut term = Self {
            events: Some(EventStream::new()),
            writer,
        };
        term.send(ENTER.to_owned());
        Ok(term)
    }

    /// Whether the last frame is out. Draw only then.
    pub fn is_idle(&self) -> bool {
        !self.writer.state.is_busy.load(Ordering::Acquire)
    }

    /// Whether writing has failed: nobody sees this terminal any more.
    pub fn is_broken(&self) -> bool {
        self.writer.state.is_broken.load(Ordering::Acquire)
    }

    /// Waits until the last frame is out; borrows nothing. Cancel-safe.
    pub fn idle(&self) -> impl Future<Output = ()> + use<> {
        let state = Arc::clone(&self.writer.state);
        async move {
            while state.is_busy.load(Ordering::Acquire) {
                // The thread leaves a permit, so that an end between the two lines is not missed.
                state.idle.notified().await;
            }
        }
    }

    /// Sends bytes; the caller has seen [`Term::is_idle`]. Nothing is sent of an empty frame.
    pub fn send(&mut self, bytes: String) {
        if bytes.is_empty() {
            return;
        }
        self.writer.state.is_busy.store(true, Ordering::Release);
        if self.writer.frames.try_send(bytes).is_err() {
            self.writer.state.is_busy.store(false, Ordering::Release);
        }
    }

    /// The next key, paste, resize or focus change. Cancel-safe.
    pub async fn next(&mut self) -> Input {
        match &mut self.events {
            Some(events) => input(events.next().await),
            None => std::future::pending().await,
        }
    }

    /// What has come in already, without waiting.
    pub fn ready(&mut self) -> Option<Input> {
        let events = self.events.as_mut()?;
        events.next().now_or_never().map(input)
    }

    /// Gives the terminal back to the shell and stops until `fg`.
    pub async fn suspend(&mut self) {
        self.idle().await;
        // The event stream would go on reading keys that belong to the shell.
        self.events = None;
        restore();
        #[cfg(unix)]
        {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTSTP);
        }
        if terminal::enable_raw_mode().is_ok() {
            ENTERED.store(true, Ordering::SeqCst);
        }
        self.events = Some(EventStream::new());
        self.send(ENTER.to_owned());
        self.idle().await;
    }

    /// Restores the terminal, waiting a moment for what is still on its way out.
    pub async fn leave(self) {
        let _ = tokio::time::timeout(PATIENCE, self.idle()).await;
        if self.is_idle() {
            restore();
        } else {
            // It does not read: give it back its line discipline at least.
            ENTERED.store(false, Ordering::SeqCst);
            let _ = terminal::disable_raw_mode();
        }
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        if self.is_idle() {
            restore();
        }
    }
}

fn input(next: Option<std::io::Result<Event>>) -> Input {
    match next {
        Some(Ok(event)) => Input::Event(event),
        Some(Err(_)) | None => Input::Gone,
    }
}

impl Writer {
    fn start() -> std::io::Result<Self> {
        let (frames, received) = mpsc::sync_channel::<String>(1);
        let state = Arc::new(WriterState::default());
        let shared = Arc::clone(&state);
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                while let Ok(frame) = received.recv() {
                    let mut out = std::io::stdout().lock();
                    let written = out.write_all(frame.as_bytes()).and_then(|()| out.flush());
                    if written.is_err() {
                        shared.is_broken.store(true, Ordering::Release);
                    }
                    shared.is_busy.store(false, Ordering::Release);
                    shared.idle.notify_one();
                }
            })?;
        Ok(Self { frames, state })
    }
}

/// Columns and rows.
pub(super) fn size() -> (u16, u16) {
    terminal::size().unwrap_or((80, 24))
}

/// Puts the terminal back as it was. May be called from anywhere, any number of times.
pub fn restore() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = std::io::stdout();
    let _ = out.write_all(LEAVE.as_bytes());
    let _ = out.flush();
    let _ = terminal::disable_raw_mode();
}

/// A panic in the screen restores the terminal before anything is printed. A panic elsewhere is
/// caught and logged by its task; its message must not be written over the picture.
fn install_hook() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let in_screen = IN_SCREEN.try_with(|()| ()).is_ok();
            if in_screen {
                restore();
            }
            if ENTERED.load(Ordering::SeqCst) {
                tracing::error!(%info, "panic");
            } else {
                before(info);
            }
        }));
    });
}

/// Waits for one key without a screen, for a menu of a few lines. `None`: Ctrl-C, `esc`, or no
/// terminal. Blocks; the terminal is as before afterwards.
pub fn one_key() -> Option<char> {
    use crossterm::event::{KeyCode, KeyEventKind, KeyModifiers};
    terminal::enable_raw_mode().ok()?;
    let key = loop {
        match crossterm::event::read() {
            Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => match key.code {
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => break None,
                KeyCode::Char(character) => break Some(character),
                KeyCode::Esc => break None,
                _ => {}
            },
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    let _ = terminal::disable_raw_mode();
    key
}

/// OSC 52: the terminal puts the text on the operator's own clipboard, over SSH too. `None` when it
/// is too long for terminals to take.
pub(super) fn clipboard(text: &str) -> Option<String> {
    (text.len() <= COPY_MAX).then(|| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        let osc = format!("\x1b]52;c;{encoded}\x07");
        if std::env::var_os("TMUX").is_some() {
            // tmux takes it itself with set-clipboard on; the wrapped form goes through to the
            // outer terminal where allow-passthrough is on.
            format!("{osc}\x1bPtmux;{}\x1b\\", osc.replace('\x1b', "\x1b\x1b"))
        } else {
            osc
        }
    })
}

/// A signal that ends the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// The terminal went away.
    Hangup,
    /// Asked to stop from outside.
    Terminate,
    Interrupt,
}

/// The signals the screen answers.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    streams: [(Signal, tokio::signal::unix::Signal); 3],
}

#[cfg(unix)]
impl Signals {
    pub fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            streams: [
                (Signal::Hangup, signal(SignalKind::hangup())?),
                (Signal::Terminate, signal(SignalKind::terminate())?),
                (Signal::Interrupt, signal(SignalKind::interrupt())?),
            ],
        })
    }

    /// The next signal. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        let [(hangup_is, hangup), (term_is, term), (int_is, int)] = &mut self.streams;
        tokio::select! {
            Some(()) = hangup.recv() => *hangup_is,
            Some(()) = term.recv() => *term_is,
            Some(()) = int.recv() => *int_is,
            else => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    pub async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}
