//! Themes: semantic roles to styles. Views name roles, never colours.
//!
//! A role a theme does not give falls back along [`Role::parent`], at last to `text`, which is the
//! terminal's own foreground. A file may therefore hold three lines and still be a whole theme.

mod color;

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

pub use color::{contrast, luminance, rgb};
use color::{lower, parse_color};

/// Themes compiled in, by name. The first is the default for colour terminals.
const BUILT_IN: [(&str, &str); 12] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
    ("terminal", include_str!("../../themes/terminal.toml")),
    ("contrast", include_str!("../../themes/contrast.toml")),
    (
        "contrast-light",
        include_str!("../../themes/contrast-light.toml"),
    ),
    ("colorblind", include_str!("../../themes/colorblind.toml")),
    (
        "colorblind-light",
        include_str!("../../themes/colorblind-light.toml"),
    ),
    ("paper", include_str!("../../themes/paper.toml")),
    ("fjord", include_str!("../../themes/fjord.toml")),
    ("ember", include_str!("../../themes/ember.toml")),
    ("night", include_str!("../../themes/night.toml")),
];

/// Longest theme file read, bytes.
const FILE_MAX: u64 = 64 * 1024;

/// What a cell means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Text,
    Strong,
    Dim,
    Faint,
    Accent,
    Good,
    Warn,
    Bad,
    Info,
    Caller,
    Agent,
    Operator,
    Selection,
    Border,
    BorderFocus,
    Title,
    Key,
    Recording,
    Match,
    BannerWarn,
    BannerBad,
    /// Everything while the link is down.
    Stale,
}

impl Role {
    pub const ALL: [Self; 22] = [
        Self::Text,
        Self::Strong,
        Self::Dim,
        Self::Faint,
        Self::Accent,
        Self::Good,
        Self::Warn,
        Self::Bad,
        Self::Info,
        Self::Caller,
        Self::Agent,
        Self::Operator,
        Self::Selection,
        Self::Border,
        Self::BorderFocus,
        Self::Title,
        Self::Key,
        Self::Recording,
        Self::Match,
        Self::BannerWarn,
        Self::BannerBad,
        Self::Stale,
    ];

    /// The name in a theme file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Strong => "strong",
            Self::Dim => "dim",
            Self::Faint => "faint",
            Self::Accent => "accent",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Info => "info",
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Selection => "selection",
            Self::Border => "border",
            Self::BorderFocus => "border_focus",
            Self::Title => "title",
            Self::Key => "key",
            Self::Recording => "recording",
            Self::Match => "match",
            Self::BannerWarn => "banner_warn",
            Self::BannerBad => "banner_bad",
            Self::Stale => "stale",
        }
    }

    /// What stands in for a role that a theme leaves out; `None` only for `text`.
    pub fn parent(self) -> Option<Self> {
        match self {
            Self::Text => None,
            Self::Strong
            | Self::Dim
            | Self::Good
            | Self::Warn
            | Self::Bad
            | Self::Accent
            | Self::Selection => Some(Self::Text),
            Self::Faint | Self::Stale => Some(Self::Dim),
            Self::Info | Self::Caller | Self::BorderFocus | Self::Key => Some(Self::Accent),
            Self::Agent => Some(Self::Strong),
            Self::Operator => Some(Self::Agent),
            Self::Border => Some(Self::Faint),
            Self::Title => Some(Self::Strong),
            Self::Recording | Self::BannerBad => Some(Self::Bad),
            Self::Match | Self::BannerWarn => Some(Self::Warn),
        }
    }
}

/// How many colours the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// NO_COLOR, or a dumb terminal: weight and reverse only.
    None,
    Sixteen,
    Indexed,
    True,
}

impl Depth {
    /// Judges by the environment's usual words. Empty `no_color` does not count (no-color.org).
    pub fn detect(no_color: Option<&str>, term: Option<&str>, colorterm: Option<&str>) -> Self {
        let term = term.unwrap_or_default();
        if no_color.is_some_and(|value| !value.is_empty()) || term == "dumb" {
            return Self::None;
        }
        if colorterm.is_some_and(|value| value.contains("truecolor") || value.contains("24bit"))
            || term.contains("direct")
            || term.contains("kitty")
            || term.contains("ghostty")
        {
            return Self::True;
        }
        if term.contains("256color") {
            return Self::Indexed;
        }
        Self::Sixteen
    }
}

/// Whether a theme is meant for dark or light backgrounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Dark,
    Light,
    #[default]
    Any,
}

/// Why a theme cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ThemeError {
    #[error("no theme named {name}; there are: {known}")]
    Unknown { name: String, known: String },
    #[error("theme {name} cannot be read: {why}")]
    Unreadable { name: String, why: String },
    #[error("theme {name}: {why}")]
    Syntax { name: String, why: String },
    #[error("theme {name}: unknown role {role}")]
    Role { name: String, role: String },
    #[error("theme {name}, role {role}: {word} is not a colour (#rrggbb, a name, or 0-255)")]
    Color {
        name: String,
        role: String,
        word: String,
    },
    #[error("theme {name}, role {role}: {word} is not bold, dim, italic, underlined or reversed")]
    Modifier {
        name: String,
        role: String,
        word: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    kind: Kind,
    /// What the terminal's own colours become where the background is painted.
    background: Option<String>,
    foreground: Option<String>,
    #[serde(default)]
    roles: BTreeMap<String, Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    fg: Option<String>,
    bg: Option<String>,
    c16: Option<String>,
    c16_bg: Option<String>,
    #[serde(default)]
    mods: Vec<String>,
}

/// A theme resolved for one colour depth. Cheap to look up, cheap to clone.
#[derive(Clone, Debug)]
pub struct Theme {
    pub name: String,
    pub kind: Kind,
    /// Foreground and background for terminals whose own are not to be used.
    pub canvas: Option<(Color, Color)>,
    styles: [Style; Role::ALL.len()],
    /// Roles the file gives itself; the others fall back.
    given: [bool; Role::ALL.len()],
}

impl Theme {
    /// A built-in theme, or `NAME.toml` in `dir`; a user's file wins over a built-in of its name.
    /// What looks like a path is one.
    ///
    /// # Errors
    /// When there is no such theme or its file is not one.
    pub fn load(name: &str, dir: Option<&Path>, depth: Depth) -> Result<Self, ThemeError> {
        let is_file = Path::new(name)
            .extension()
            .is_some_and(|ext| ext.eq_ignore_ascii_case("toml"));
        if name.contains('/') || is_file {
            return Self::load_file(Path::new(name), depth);
        }
        let plain_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if let Some(dir) = dir.filter(|_| plain_name) {
            let path = dir.join(format!("{name}.toml"));
            if path.is_file() {
                let text = read_file(name, &path)?;
                return Self::parse(name, &text, depth);
            }
        }
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((known, text)) => Self::parse(known, text, depth),
            None => Err(ThemeError::Unknown {
                name: name.to_owned(),
                known: Self::names(dir).join(", "),
            }),
        }
    }

    /// Reads a theme file.
    ///
    /// # Errors
    /// [`ThemeError`] naming the role and word that are wrong.
    pub fn parse(name: &str, text: &str, depth: Depth) -> Result<Self, ThemeError> {
        let file: File = toml::from_str(text).map_err(|error| ThemeError::Syntax {
            name: name.to_owned(),
            why: match error.span().map(|span| line_of(text, span.start)) {
                Some(line) => format!("line {line}: {}", error.message()),
                None => error.message().to_owned(),
            },
        })?;
        let mut given: [Option<Style>; Role::ALL.len()] = [None; Role::ALL.len()];
        for (word, entry) in &file.roles {
            let Some(role) = Role::ALL.into_iter().find(|role| role.as_str() == word) else {
                return Err(ThemeError::Role {
                    name: name.to_owned(),
                    role: word.clone(),
                });
            };
            given[role as usize] = Some(style_of(name, word, entry, depth)?);
        }
        let mut styles = [Style::new(); Role::ALL.len()];
        for role in Role::ALL {
            let mut from = Some(role);
            while let Some(at) = from {
                if let Some(style) = given[at as usize] {
                    styles[role as usize] = style;
                    break;
                }
                from = at.parent();
            }
        }
        let paint = |role: &str, word: &Option<String>| -> Result<Option<Color>, ThemeError> {
            let entry = Entry {
                fg: word.clone(),
                ..Entry::default()
            };
            Ok(style_of(name, role, &entry, depth)?.fg)
        };
        let foreground = paint("foreground", &file.foreground)?;
        let background = paint("background", &file.background)?;
        Ok(Self {
            name: file.name,
            kind: file.kind,
            canvas: foreground.zip(background),
            styles,
            given: given.map(|style| style.is_some()),
        })
    }

    /// A theme file anywhere, for `--theme FILE`.
    ///
    /// # Errors
    /// When it cannot be read or is no theme.
    pub fn load_file(path: &Path, depth: Depth) -> Result<Self, ThemeError> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&stem, &read_file(&stem, path)?, depth)
    }

    /// The role whose style stands in where the file does not give this one.
    pub fn source_of(&self, role: Role) -> Role {
        let mut at = role;
        while !self.given[at as usize] {
            let Some(parent) = at.parent() else {
                break;
            };
            at = parent;
        }
        at
    }

    /// The theme used when nobody chose one.
    pub fn automatic(depth: Depth, colorfgbg: Option<&str>) -> &'static str {
        // COLORFGBG is "fg;bg" or "fg;default;bg"; 7 and 9-15 are pale backgrounds.
        let light = colorfgbg
            .and_then(|value| value.rsplit(';').next())
            .and_then(|bg| bg.parse::<u8>().ok())
            .is_some_and(|bg| bg == 7 || bg > 8);
        match (depth, light) {
            (Depth::None, _) => "mono",
            (Depth::Sixteen, _) => "terminal",
            (_, true) => "light",
            (_, false) => "dark",
        }
    }

    /// The theme for a background of this colour, where nobody chose one.
    pub fn for_background(rgb: [u8; 3]) -> &'static str {
        // Halfway to the eye: #777 has a luminance of 0.18.
        if luminance(rgb) > 0.18 {
            "light"
        } else {
            "dark"
        }
    }

    /// Whether a theme of this name comes along with the program.
    pub fn is_built_in(name: &str) -> bool {
        BUILT_IN.iter().any(|(known, _)| *known == name)
    }

    /// Names of all themes that can be loaded, built-in ones first.
    pub fn names(dir: Option<&Path>) -> Vec<String> {
        let mut names: Vec<String> = BUILT_IN
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let mut own: Vec<String> = dir
            .and_then(|dir| std::fs::read_dir(dir).ok())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let path = entry.path();
                let is_theme = path.extension().is_some_and(|ext| ext == "toml");
                is_theme.then(|| path.file_stem()?.to_str().map(str::to_owned))?
            })
            .filter(|name| !names.contains(name))
            .collect();
        own.sort();
        names.extend(own);
        names
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }
}

/// The line a byte of the text stands on, from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn read_file(name: &str, path: &Path) -> Result<String, ThemeError> {
    let unreadable = |why: String| ThemeError::Unreadable {
        name: name.to_owned(),
        why,
    };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if size.len() > FILE_MAX {
        return Err(unreadable("the file is larger than 64 KiB".into()));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

fn style_of(name: &str, role: &str, entry: &Entry, depth: Depth) -> Result<Style, ThemeError> {
    let color =
        |full: &Option<String>, low: &Option<String>| -> Result<Option<Color>, ThemeError> {
            let low_word = low.as_deref().filter(|_| depth == Depth::Sixteen);
            let Some(word) = low_word.or(full.as_deref()) else {
                return Ok(None);
            };
            let parsed = parse_color(word).ok_or_else(|| ThemeError::Color {
                name: name.to_owned(),
                role: role.to_owned(),
                word: word.to_owned(),
            })?;
            Ok(lower(parsed, depth).filter(|color| *color != Color::Reset))
        };
    let mut style = Style::new();
    style.fg = color(&entry.fg, &entry.c16)?;
    style.bg = color(&entry.bg, &entry.c16_bg)?;
    for word in &entry.mods {
        let modifier = match word.as_str() {
            "bold" => Modifier::BOLD,
            "dim" => Modifier::DIM,
            "italic" => Modifier::ITALIC,
            "underlined" => Modifier::UNDERLINED,
            "reversed" => Modifier::REVERSED,
            _ => {
                return Err(ThemeError::Modifier {
                    name: name.to_owned(),
                    role: role.to_owned(),
                    word: word.clone(),
                });
            }
        };
        style = style.add_modifier(modifier);
    }
    // A coloured bar on a terminal without colours still has to stand out.
    if depth == Depth::None && entry.bg.is_some() && role != "selection" {
        style = style.add_modifier(Modifier::REVERSED);
    }
    Ok(style)
}

#[cfg(test)]
mod tests;
