//! The one table of keys. Footer, help, palette and the key card are made from it, so none of them
//! can lie. Lower case is safe; UPPER CASE touches a live call or privacy.

mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::call::Verb;

pub use table::BINDINGS;

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
    SaveView,
    ForgetView,
    Columns,
    Wide,
    GroupBy,
    Mark,
    MarkPast,
    FoldTools,
    Sort,
    Reverse,
    Filter,
    Search,
    SearchPast,
    NextMatch,
    PreviousMatch,
    NextTurn,
    PreviousTurn,
    NextFlag,
    PreviousFlag,
    Follow,
    PageBoard,
    PageAlerts,
    PageHistory,
    PageQuality,
    PageAudit,
    Lead,
    KeepEnded,
    Freeze,
    Listen,
    VolumeUp,
    VolumeDown,
    Mute,
    Legs,
    Play,
    PlayStop,
    PlayBack,
    PlayAhead,
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
    Export,
    HandOver,
    Theme,
    Demo,
    Mouse,
    Tour,
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
    /// A page of what is past.
    Past,
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
    /// How much it belongs into the footer: 1 first; 0 keeps it out.
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
