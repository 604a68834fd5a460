//! The terminal: the only file that touches it. Raw mode, alternate screen, input, output, signals,
//! and its restoration on every way out.
//!
//! Output goes through a thread of its own with room for one frame: a slow or stopped terminal can
//! delay the picture, never the screen's loop, and never a call.

mod background;
mod line;
mod notify;

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use crossterm::event::{Event, EventStream};
use crossterm::terminal;
use futures_util::StreamExt;
use tokio::sync::Notify as Wakeup;

use background::{Heard, Listener};
pub use line::{LineKey, StatusLine};
pub use notify::Notify;
pub(super) use notify::notification_here;
use notify::{in_tmux, through_tmux};

/// Alternate screen, no cursor, bracketed paste, focus reports.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[0m\x1b[2J";
/// All of it back, and a synchronized update that was cut in half is ended.
const LEAVE: &str =
    "\x1b[?2026l\x1b[0m\x1b[?1006l\x1b[?1000l\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[?1049l";
/// Presses, releases and the wheel, in the form that knows wide terminals (SGR).
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";
/// How long keys that may be the terminal's answer are kept back: an answer comes in one piece.
const ANSWER_WITHIN: Duration = Duration::from_millis(80);
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
    /// The terminal has told its background: red, green, blue.
    Background([u8; 3]),
    /// The terminal is gone or cannot be read.
    Gone,
}

/// The terminal while the screen is up.
#[derive(Debug)]
pub(super) struct Term {
    events: Option<EventStream>,
    /// What was taken in and not handed out yet.
    inputs: VecDeque<Input>,
    listener: Listener,
    has_mouse: bool,
    /// Bytes that are no picture (a bell, a copy), for when the writer is free.
    aside: String,
    writer: Writer,
}

/// How the terminal is to be taken over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    pub mouse: bool,
    /// Ask for the background colour.
    pub asks_background: bool,
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
    idle: Wakeup,
}

impl Term {
    /// Takes the terminal over.
    pub fn enter(manners: Manners) -> Result<Self, TermError> {
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
            inputs: VecDeque::new(),
            listener: Listener::default(),
            has_mouse: manners.mouse,
            aside: String::new(),
            writer,
        };
        let mut greeting = term.greeting();
        if manners.asks_background {
            greeting.push_str(background::ASK);
        }
        term.send(greeting);
        Ok(term)
    }

    fn greeting(&self) -> String {
        let mouse = if self.has_mouse { MOUSE_ON } else { "" };
        format!("{ENTER}{mouse}")
    }

    /// Takes mouse events from now on, or leaves them to the terminal.
    pub fn mouse(&mut self, is_on: bool) {
        self.has_mouse = is_on;
        self.aside(if is_on { MOUSE_ON } else { MOUSE_OFF });
    }

    /// Sends bytes that are no picture as soon as the writer is free.
    pub fn aside(&mut self, bytes: &str) {
        self.aside.push_str(bytes);
        self.send_aside();
    }

    /// Whether such bytes wait.
    pub fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// Sends what waits, if the writer is free.
    pub fn send_aside(&mut self) {
        if self.has_aside() && self.is_idle() {
            let bytes = std::mem::take(&mut self.aside);
            self.send(bytes);
        }
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

    /// The next key, paste, resize or focus change. Cancel-safe: what was taken in is kept.
    pub async fn next(&mut self) -> Input {
        loop {
            if let Some(input) = self.inputs.pop_front() {
                return input;
            }
            let is_holding = self.listener.is_holding();
            let Some(events) = &mut self.events else {
                return std::future::pending().await;
            };
            if is_holding {
                match tokio::time::timeout(ANSWER_WITHIN, events.next()).await {
                    Ok(next) => self.take(next),
                    Err(_) => self.release(),
                }
            } else {
                let next = events.next().await;
                self.take(next);
            }
        }
    }

    /// What has come in already; never waits. Asks with the task's own waker: the stream wakes only
    /// whoever asked it first, and with another's the next key would wait for the next tick.
    pub async fn ready(&mut self) -> Option<Input> {
        loop {
            if let Some(input) = self.inputs.pop_front() {
                return Some(input);
            }
            let events = self.events.as_mut()?;
            let asked = std::future::poll_fn(|cx| match events.poll_next_unpin(cx) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending => Poll::Ready(None),
            });
            let next = asked.await?;
            self.take(next);
        }
    }

    fn take(&mut self, next: Option<std::io::Result<Event>>) {
        let Some(Ok(event)) = next else {
            self.inputs.push_back(Input::Gone);
            return;
        };
        match self.listener.take(event) {
            Heard::Nothing => {}
            Heard::Keys(events) => self.inputs.extend(events.into_iter().map(Input::Event)),
            Heard::Background(rgb) => self.inputs.push_back(Input::Background(rgb)),
        }
    }

    fn release(&mut self) {
        let held = self.listener.release();
        self.inputs.extend(held.into_iter().map(Input::Event));
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
        let greeting = self.greeting();
        self.send(greeting);
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
        if in_tmux() {
            // tmux takes it itself with set-clipboard on; the wrapped form goes through to the
            // outer terminal where allow-passthrough is on.
            format!("{osc}{}", through_tmux(&osc))
        } else {
            osc
        }
    })
}

/// A signal that ends the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The terminal went away.
    Hangup,
    /// Asked to stop from outside.
    Terminate,
    Interrupt,
}

/// The signals the screen answers.
#[derive(Debug)]
pub struct Signals {
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
