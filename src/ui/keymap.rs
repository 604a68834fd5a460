//! The one table of keys. Footer, help, palette and the key card are made from it, so none of them
//! can lie. Lower case is safe; UPPER CASE touches a live call or privacy.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::call::Verb;

/// Everything a key can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    Down,
    Up,
    Left,
    Right,
    Top,
    Bottom,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    Open,
    Back,
    NextPane,
    PreviousPane,
    Worst,
    View,
    Sort,
    Reverse,
    Filter,
    Search,
    NextMatch,
    PreviousMatch,
    NextTurn,
    PreviousTurn,
    Follow,
    KeepEnded,
    Freeze,
    Listen,
    VolumeUp,
    VolumeDown,
    Mute,
    Legs,
    End,
    Undo,
    Record,
    RecordStop,
    Whisper,
    Say,
    PauseAgent,
    TakeOver,
    HandBack,
    Transfer,
    Claim,
    Flag,
    Note,
    Acknowledge,
    Snooze,
    Dial,
    StopDialing,
    Unmask,
    Copy,
    Theme,
    Mouse,
    Help,
    Palette,
    Redraw,
    Suspend,
    Quit,
}

/// Where a binding works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Anywhere,
    /// The list of calls has the focus.
    Calls,
    /// Transcript or detail has the focus.
    Call,
}

/// What a binding needs to have a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// A call under the cursor, ended or not.
    Call,
    /// One that has not ended.
    LiveCall,
    /// One that has been answered and has not ended.
    InCall,
}

/// Heading in help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Move,
    Look,
    Hear,
    Act,
    App,
}

impl Group {
    pub const ALL: [Self; 5] = [Self::Act, Self::Hear, Self::Look, Self::Move, Self::App];

    pub fn title(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Look => "Look",
            Self::Hear => "Hear",
            Self::Act => "Act on the call",
            Self::App => "wallboard",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    pub act: Act,
    /// The word in the palette and in a `[keys]` table.
    pub name: &'static str,
    pub keys: &'static [&'static str],
    pub context: Context,
    pub group: Group,
    /// At most two words, for the footer.
    pub short: &'static str,
    /// One line, for help.
    pub help: &'static str,
    pub verb: Option<Verb>,
    /// What the backend must be able to do, in the words of its hello.
    pub feature: Option<&'static str>,
    pub needs: Needs,
    /// Place in the footer, from 1; 0 keeps it out.
    pub footer: u8,
}

const fn plain(
    act: Act,
    name: &'static str,
    keys: &'static [&'static str],
    group: Group,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        act,
        name,
        keys,
        context: Context::Anywhere,
        group,
        short,
        help,
        verb: None,
        feature: None,
        needs: Needs::Nothing,
        footer: 0,
    }
}

impl Binding {
    const fn within(self, context: Context) -> Self {
        Self { context, ..self }
    }

    const fn on(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    const fn may(self, verb: Verb) -> Self {
        Self {
            verb: Some(verb),
            ..self
        }
    }

    const fn if_backend(self, feature: &'static str) -> Self {
        Self {
            feature: Some(feature),
            ..self
        }
    }

    const fn foot(self, footer: u8) -> Self {
        Self { footer, ..self }
    }
}

/// Every binding there is.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    // Act on the call.
    plain(Act::End, "end", &["E"], Group::Act, "end", "end the call (asks, then 3 s to undo)")
        .may(Verb::Terminate).on(Needs::LiveCall).foot(5),
    plain(Act::Undo, "undo", &["u"], Group::Act, "undo", "take back what is still in its 3 s grace"),
    plain(Act::Whisper, "whisper", &["W"], Group::Act, "whisper", "hint to the agent; the caller hears nothing")
        .may(Verb::Whisper).if_backend("whisper").on(Needs::InCall).foot(3),
    plain(Act::Say, "say", &["S"], Group::Act, "say", "the agent speaks your words to the caller")
        .may(Verb::Say).if_backend("say").on(Needs::InCall),
    plain(Act::PauseAgent, "pause-agent", &["P"], Group::Act, "pause AI", "pause or resume the agent")
        .may(Verb::Pause).if_backend("pause").on(Needs::InCall),
    plain(Act::TakeOver, "take-over", &["T"], Group::Act, "take over", "take over: the agent is silent, what you type is spoken to the caller")
        .may(Verb::Takeover).if_backend("takeover").on(Needs::InCall),
    plain(Act::HandBack, "hand-back", &["B"], Group::Act, "hand back", "give the call back to the agent with a note, so that it goes on and does not greet")
        .may(Verb::Takeover).if_backend("takeover").on(Needs::InCall),
    plain(Act::Transfer, "transfer", &["X"], Group::Act, "transfer", "hand the caller to a number (asks)")
        .may(Verb::Transfer).if_backend("transfer").on(Needs::InCall).foot(4),
    plain(Act::Record, "record", &["R"], Group::Act, "record", "start, pause or resume the recording")
        .may(Verb::Record).if_backend("record").on(Needs::InCall),
    plain(Act::RecordStop, "record-stop", &[], Group::Act, "rec stop", "stop the recording for good")
        .may(Verb::Record).if_backend("record").on(Needs::InCall),
    plain(Act::Claim, "claim", &["c"], Group::Act, "claim", "claim the call for you, or release it")
        .may(Verb::Claim).if_backend("claim").on(Needs::LiveCall),
    plain(Act::Flag, "flag", &["f"], Group::Act, "flag", "flag the call with a label")
        .may(Verb::Flag).if_backend("flag").on(Needs::Call),
    plain(Act::Note, "note", &["e"], Group::Act, "note", "write a note on the call")
        .may(Verb::Note).if_backend("note").on(Needs::Call),
    plain(Act::Acknowledge, "ack", &["x"], Group::Act, "ack", "acknowledge the call's alert")
        .may(Verb::Ack).if_backend("ack").on(Needs::LiveCall),
    plain(Act::Snooze, "snooze", &["z"], Group::Act, "snooze", "silence the call's alert for 10 minutes")
        .may(Verb::Snooze).if_backend("snooze").on(Needs::LiveCall),
    plain(Act::Unmask, "unmask", &["M"], Group::Act, "unmask", "show the number for 30 s (asks the reason, audited)")
        .may(Verb::Unmask).if_backend("unmask").on(Needs::Call),
    plain(Act::Copy, "copy", &["y"], Group::Act, "copy", "copy: id, number, listen link, transcript")
        .on(Needs::Call),
    plain(Act::Dial, "dial", &["D"], Group::Act, "dial", "place a call")
        .may(Verb::Dial).if_backend("dial"),
    plain(Act::StopDialing, "stop-dialing", &[], Group::Act, "halt dial", "no more outbound calls; those in progress go on")
        .may(Verb::StopDialing).if_backend("dial"),
    // Hear.
    plain(Act::Listen, "listen", &["L"], Group::Hear, "listen", "listen on or off; one way, nobody hears you")
        .may(Verb::Listen).if_backend("listen").on(Needs::InCall).foot(2),
    plain(Act::VolumeUp, "louder", &["+", "="], Group::Hear, "louder", "louder"),
    plain(Act::VolumeDown, "softer", &["-"], Group::Hear, "softer", "softer"),
    plain(Act::Mute, "mute", &["m"], Group::Hear, "mute", "mute or unmute what you hear"),
    plain(Act::Legs, "legs", &["a"], Group::Hear, "legs", "which leg in which ear"),
    // Look.
    plain(Act::Open, "open", &["enter"], Group::Look, "open", "open the call full screen")
        .on(Needs::Call).foot(1),
    plain(Act::Back, "back", &["esc"], Group::Look, "back", "back; on the board: clear the filter"),
    plain(Act::Worst, "worst", &["!"], Group::Look, "worst", "go to the call that needs you most").foot(6),
    plain(Act::Filter, "filter", &["/"], Group::Look, "filter", "filter: words, !not, agent:ava, turn>2, ~fuzzy")
        .within(Context::Calls).foot(7),
    plain(Act::Search, "search", &["/"], Group::Look, "search", "search the transcript")
        .within(Context::Call).foot(7),
    plain(Act::NextMatch, "next-match", &["n"], Group::Look, "next", "next match in the transcript"),
    plain(Act::PreviousMatch, "previous-match", &["N"], Group::Look, "previous", "previous match"),
    plain(Act::View, "view", &["v"], Group::Look, "view", "cards or dense table"),
    plain(Act::Sort, "sort", &["s"], Group::Look, "sort", "next order: attention, duration, turn, score, newest"),
    plain(Act::Reverse, "reverse", &["o"], Group::Look, "reverse", "turn the order round"),
    plain(Act::KeepEnded, "keep-ended", &["h"], Group::Look, "ended", "keep ended calls on the board")
        .within(Context::Calls),
    plain(Act::Freeze, "freeze", &["p"], Group::Look, "freeze", "freeze the picture; events are counted, none is lost"),
    // Move.
    plain(Act::Down, "down", &["j", "down"], Group::Move, "down", "down"),
    plain(Act::Up, "up", &["k", "up"], Group::Move, "up", "up"),
    plain(Act::Left, "left", &["left", "h"], Group::Move, "left", "to the pane on the left")
        .within(Context::Call),
    plain(Act::Right, "right", &["l", "right"], Group::Move, "right", "to the pane on the right"),
    plain(Act::NextPane, "next-pane", &["tab"], Group::Move, "pane", "next pane"),
    plain(Act::PreviousPane, "previous-pane", &["backtab"], Group::Move, "pane up", "previous pane"),
    plain(Act::Top, "top", &["g", "home"], Group::Move, "top", "to the top"),
    plain(Act::Bottom, "bottom", &["G", "end"], Group::Move, "end", "to the end; the transcript follows again"),
    plain(Act::HalfDown, "half-down", &["ctrl-d"], Group::Move, "half down", "half a page down"),
    plain(Act::HalfUp, "half-up", &["ctrl-u"], Group::Move, "half up", "half a page up"),
    plain(Act::PageDown, "page-down", &["pgdn", "ctrl-f"], Group::Move, "page down", "a page down"),
    plain(Act::PageUp, "page-up", &["pgup", "ctrl-b"], Group::Move, "page up", "a page up"),
    plain(Act::NextTurn, "next-turn", &["}"], Group::Move, "next turn", "next turn of the transcript"),
    plain(Act::PreviousTurn, "previous-turn", &["{"], Group::Move, "turn back", "previous turn of the transcript"),
    plain(Act::Follow, "follow", &["F"], Group::Move, "follow", "follow the transcript"),
    // wallboard itself.
    plain(Act::Palette, "palette", &[":"], Group::App, "commands", "every command by name, with arguments").foot(8),
    plain(Act::Help, "help", &["?"], Group::App, "help", "this help").foot(9),
    plain(Act::Theme, "theme", &[], Group::App, "theme", "next theme, or :theme NAME"),
    plain(Act::Mouse, "mouse", &[], Group::App, "mouse", "mouse on or off; while on, shift-drag selects text"),
    plain(Act::Redraw, "redraw", &["ctrl-l"], Group::App, "redraw", "draw the whole screen again"),
    plain(Act::Suspend, "suspend", &["ctrl-z"], Group::App, "suspend", "to the shell and back with fg"),
    plain(Act::Quit, "quit", &["q", "ctrl-c"], Group::App, "quit", "leave; never ends a call by itself").foot(10),
];

/// The table row of an act.
pub fn binding(act: Act) -> &'static Binding {
    // The table holds every act (a test says so); the first row stands in for one it does not.
    BINDINGS
        .iter()
        .find(|binding| binding.act == act)
        .unwrap_or(&BINDINGS[0])
}

/// A key as the table writes it: `E`, `ctrl-d`, `enter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stroke {
    code: KeyCode,
    ctrl: bool,
    alt: bool,
}

impl Stroke {
    /// Reads a key's name.
    pub fn parse(word: &str) -> Option<Self> {
        let mut rest = word;
        let (mut ctrl, mut alt) = (false, false);
        loop {
            if let Some(after) = rest.strip_prefix("ctrl-").filter(|after| !after.is_empty()) {
                (ctrl, rest) = (true, after);
            } else if let Some(after) = rest.strip_prefix("alt-").filter(|after| !after.is_empty())
            {
                (alt, rest) = (true, after);
            } else {
                break;
            }
        }
        let code = match rest {
            "enter" => KeyCode::Enter,
            "esc" => KeyCode::Esc,
            "tab" => KeyCode::Tab,
            "backtab" => KeyCode::BackTab,
            "space" => KeyCode::Char(' '),
            "up" => KeyCode::Up,
            "down" => KeyCode::Down,
            "left" => KeyCode::Left,
            "right" => KeyCode::Right,
            "home" => KeyCode::Home,
            "end" => KeyCode::End,
            "pageup" | "pgup" => KeyCode::PageUp,
            "pagedown" | "pgdn" => KeyCode::PageDown,
            "delete" => KeyCode::Delete,
            "backspace" => KeyCode::Backspace,
            _ => {
                let mut chars = rest.chars();
                match (chars.next(), chars.next()) {
                    (Some(character), None) => KeyCode::Char(character),
                    (Some('f'), Some(_)) => KeyCode::F(rest[1..].parse().ok()?),
                    _ => return None,
                }
            }
        };
        Some(Self { code, ctrl, alt })
    }

    /// What was pressed. Terminals tell Shift+letter in two ways; both become the capital.
    pub fn of(key: &KeyEvent) -> Self {
        let shift = key.modifiers.contains(KeyModifiers::SHIFT);
        let code = match key.code {
            KeyCode::Char(character) if shift && character.is_lowercase() => {
                KeyCode::Char(character.to_uppercase().next().unwrap_or(character))
            }
            KeyCode::Tab if shift => KeyCode::BackTab,
            code => code,
        };
        Self {
            code,
            ctrl: key.modifiers.contains(KeyModifiers::CONTROL),
            alt: key.modifiers.contains(KeyModifiers::ALT),
        }
    }
}

/// Why a `[keys]` table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("no action is named {0}")]
    NoSuchAct(String),
    #[error("{0} is not a key; examples: E, ctrl-d, enter, space, f5")]
    NoSuchKey(String),
    #[error("{key} is bound to both {first} and {second}")]
    Conflict {
        key: String,
        first: &'static str,
        second: &'static str,
    },
}

/// The table with an operator's changes.
#[derive(Clone, Debug)]
pub struct Keymap {
    keys: Vec<(Act, Vec<(Stroke, String)>)>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self {
            keys: BINDINGS
                .iter()
                .map(|binding| (binding.act, strokes(binding.keys.iter().copied())))
                .collect(),
        }
    }
}

fn strokes<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(Stroke, String)> {
    words
        .filter_map(|word| Some((Stroke::parse(word)?, word.to_owned())))
        .collect()
}

impl Keymap {
    /// The table with some actions on other keys: action name → keys. Actions not named keep theirs.
    ///
    /// # Errors
    /// An unknown action or key, or one key for two actions that work in the same place.
    pub fn with(overrides: &BTreeMap<String, Vec<String>>) -> Result<Self, KeyError> {
        let mut map = Self::default();
        for (name, words) in overrides {
            let Some(binding) = BINDINGS.iter().find(|binding| binding.name == name) else {
                return Err(KeyError::NoSuchAct(name.clone()));
            };
            if let Some(word) = words.iter().find(|word| Stroke::parse(word).is_none()) {
                return Err(KeyError::NoSuchKey(word.clone()));
            }
            for (act, keys) in &mut map.keys {
                if *act == binding.act {
                    *keys = strokes(words.iter().map(String::as_str));
                }
            }
        }
        map.check()?;
        Ok(map)
    }

    fn check(&self) -> Result<(), KeyError> {
        for (index, (act, keys)) in self.keys.iter().enumerate() {
            for (other_act, other_keys) in &self.keys[index + 1..] {
                let (first, second) = (binding(*act), binding(*other_act));
                let meet = first.context == second.context
                    || first.context == Context::Anywhere
                    || second.context == Context::Anywhere;
                let clash = keys
                    .iter()
                    .find(|(key, _)| other_keys.iter().any(|(other, _)| other == key));
                if let (true, Some((_, word))) = (meet, clash) {
                    return Err(KeyError::Conflict {
                        key: word.clone(),
                        first: first.name,
                        second: second.name,
                    });
                }
            }
        }
        Ok(())
    }

    /// What a key means while `context` has the focus.
    pub fn act(&self, key: &KeyEvent, context: Context) -> Option<Act> {
        let stroke = Stroke::of(key);
        self.keys.iter().find_map(|(act, keys)| {
            let place = binding(*act).context;
            let here = place == Context::Anywhere || place == context;
            (here && keys.iter().any(|(known, _)| *known == stroke)).then_some(*act)
        })
    }

    /// The keys of an act as they are written, for instance `j down`; empty when it has none.
    pub fn label(&self, act: Act) -> String {
        let keys = self.keys.iter().find(|(known, _)| *known == act);
        keys.map(|(_, keys)| {
            let words: Vec<&str> = keys.iter().map(|(_, word)| word.as_str()).collect();
            words.join(" ")
        })
        .unwrap_or_default()
    }

    /// The first key of an act.
    pub fn first(&self, act: Act) -> Option<&str> {
        let (_, keys) = self.keys.iter().find(|(known, _)| *known == act)?;
        keys.first().map(|(_, word)| word.as_str())
    }

    /// The key card of the README: a table in Markdown.
    pub fn card(&self) -> String {
        let mut out = String::from("| Key | What it does |\n|---|---|\n");
        for group in Group::ALL {
            let _ = writeln!(out, "| **{}** | |", group.title());
            for binding in BINDINGS.iter().filter(|binding| binding.group == group) {
                let keys = self.label(binding.act);
                if keys.is_empty() {
                    continue;
                }
                let keys: Vec<String> = keys.split(' ').map(|key| format!("`{key}`")).collect();
                let _ = writeln!(out, "| {} | {} |", keys.join(" "), binding.help);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
