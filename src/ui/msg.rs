//! What can happen to the screen, and what it asks the world to do in return.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, Utc};
use crossterm::event::{KeyEvent, MouseEvent};

use crate::call::{Call, CallId, Command, Numbers, Refusal, Rows};
use crate::engine::{Fetched, HistoryPage, HistoryQuery, Update};
use crate::media::TapeOrder;

use super::sound::{Pan, SoundState};

/// The time, read once per turn of the loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// Monotonic, since the clock started.
    pub mono: Duration,
    pub wall: DateTime<Utc>,
    /// The operator's time zone.
    pub zone: FixedOffset,
}

#[derive(Debug)]
pub enum Msg {
    Key(KeyEvent),
    /// A press or the wheel, where the mouse was asked for.
    Mouse(MouseEvent),
    /// Text that was pasted: only ever text, never keys.
    Paste(String),
    Resize(u16, u16),
    /// Whether the terminal window has the keyboard.
    Focus(bool),
    Backend(Update),
    /// The update channel closed: the backend is gone.
    BackendGone,
    Sound(SoundState),
    /// Opening a call's audio ended.
    Listening {
        call: CallId,
        result: Result<(), Refusal>,
    },
    /// More of a recording has come.
    Fetched {
        id: String,
        so_far: Fetched,
    },
    /// A recording came whole and plays, or could not be had.
    Recording {
        id: String,
        result: Result<(), Refusal>,
    },
    ListenUrl {
        call: CallId,
        result: Result<String, Refusal>,
    },
    History {
        call: CallId,
        result: Result<HistoryPage, Refusal>,
    },
    /// Past calls were found, or more of them.
    Past {
        serial: u64,
        result: Result<HistoryPage, Refusal>,
    },
    Audit(Result<HistoryPage, Refusal>),
    /// What was said with a lead was looked up.
    Lead {
        serial: u64,
        result: Result<HistoryPage, Refusal>,
    },
    /// A file was written, or not: what it holds and where it is, or why not.
    Written {
        what: String,
        result: Result<String, String>,
    },
    /// A command could not even be handed over.
    NotSent {
        command: Command,
        refusal: Refusal,
    },
    /// How often each endpoint of the empty screen has been called.
    Hits(Vec<u64>),
    /// Time passed and something on the screen may depend on it.
    Tick,
}

/// How the screen ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Leave; an attached backend goes on without us.
    Quit,
    /// Embedded: go on without a screen until the last call is over.
    KeepServing,
    /// Embedded: take no new calls, let the present ones end, then leave.
    Drain,
    /// Nothing is going on here: leave for practice calls.
    Demo,
    /// The terminal is gone (SIGHUP). Never ends a call.
    Hangup,
}

/// A list of calls to be written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Of the file.
    pub name: String,
    pub rows: Rows,
    pub numbers: Numbers,
    pub now: DateTime<Utc>,
    /// With the last of their lines.
    pub calls: Vec<Call>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send(Command),
    /// From now on readings of these calls are wanted.
    Watch(Vec<CallId>),
    Listen(CallId),
    /// Silence: leave the call, or the recording, played or only coming.
    StopListening,
    /// Fetch the recording served under this id and play it.
    Recording(String),
    Tape(TapeOrder),
    Volume(u8),
    Mute(bool),
    Pan(Pan),
    ListenUrl(CallId),
    History(CallId),
    /// Look for past calls; the answer carries the serial.
    Past(u64, HistoryQuery),
    Audit,
    /// Look up what was said with a lead; the answer carries the serial.
    Lead(u64, String),
    /// Put text on the operator's own clipboard, and into a file for terminals that take none.
    Copy {
        what: String,
        text: String,
    },
    /// Write a file into the folder of exports.
    Write {
        name: String,
        text: String,
    },
    /// Read these calls whole and write them into the folder of exports.
    WriteCalls(Box<Listing>),
    /// Keep the operator's views and columns: the file's whole text.
    KeepViews(String),
    Theme(String),
    /// Take the mouse, or leave it to the terminal's own selection.
    Mouse(bool),
    Redraw,
    Suspend,
    Leave(Exit),
}
