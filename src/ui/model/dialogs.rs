//! Dialogs over the board and what they hold while they are open.

use std::time::Duration;

use crate::call::{Action, CallId, CommandId};
use crate::ui::line_edit::LineEdit;

/// A dialog over the board.
#[derive(Clone, Debug)]
pub enum Overlay {
    Help(Picker),
    Palette(Picker),
    Confirm(Confirm),
    /// The same for all marked calls, which asks for their number.
    Group(GroupAsk),
    Prompt(Prompt),
    Copy,
    /// Leave for practice calls?
    Demo,
    Quit,
    /// No sound here: how to hear the call all the same.
    Hear(CallId),
    /// The same for a recording, by the id it is served under.
    HearRecording(String),
    /// Which columns the table has; the row under the cursor.
    Columns(usize),
}

/// A list to choose from by typing.
#[derive(Clone, Debug, Default)]
pub struct Picker {
    pub query: LineEdit,
    pub at: usize,
}

/// A question before something that cannot be taken back.
#[derive(Clone, Debug)]
pub struct Confirm {
    pub call: CallId,
    pub action: Action,
    pub opened_at: Duration,
}

/// One action on each of several calls. Done only when their number is typed.
#[derive(Clone, Debug)]
pub struct GroupAsk {
    /// In the order of the board.
    pub wishes: Vec<(CallId, Action)>,
    pub input: LineEdit,
    pub opened_at: Duration,
    pub error: Option<String>,
}

/// How an order to several calls goes.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The order in a word, for instance `say`.
    pub what: &'static str,
    pub all: Vec<CommandId>,
    /// Those nothing has been heard of yet.
    pub open: Vec<CommandId>,
    pub done: usize,
    /// Why the last one that was not done was not.
    pub why_not: Option<String>,
}

/// What a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Whisper,
    Say,
    /// What an operator who has taken over says; the prompt stays open.
    Speak,
    /// What the agent is told when it gets the call back.
    HandBack,
    Note,
    Flag,
    Dial,
    Transfer,
    /// The reason for showing a number.
    Unmask,
    Filter,
    Search,
    /// What to look for among past calls.
    Past,
    /// Whose timeline to open.
    Lead,
}

#[derive(Clone, Debug)]
pub struct Prompt {
    pub ask: Ask,
    pub call: Option<CallId>,
    pub input: LineEdit,
    pub opened_at: Duration,
    pub error: Option<String>,
    /// What it was before, for esc.
    pub before: String,
}
