//! Ways of looking: those an operator keeps under a name, the one the screen was left with, and the
//! files they are kept in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::columns::Columns;
use super::filter::FILTER_MAX;
use super::groups::Dimension;
use super::model::View;
use super::order::Sort;

/// The file, in the folder of this screen's own things.
pub const FILE: &str = "views.toml";
/// More than this is not read, of either file.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Views kept.
const VIEWS_MAX: usize = 40;
const NAME_CHARS_MAX: usize = 24;
/// Words `:view` has a meaning of its own for.
const TAKEN: [&str; 3] = ["cards", "table", "mosaic"];

/// One way of looking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedView {
    pub filter: String,
    pub sort: Sort,
    pub reversed: bool,
    pub layout: View,
    pub is_wide: bool,
    pub keep_ended: bool,
    /// The quality page grouped by this, instead of the board.
    pub group: Option<Dimension>,
    pub columns: Columns,
}

/// All of them, and the columns chosen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    pub columns: Columns,
    named: BTreeMap<String, SavedView>,
}

/// How the screen was left, which is what the next start on the same backend begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// Only a theme an operator has chosen at the screen.
    pub theme: Option<String>,
    pub view: SavedView,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LastFile {
    #[serde(default)]
    theme: Option<String>,
    view: Row,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    columns: Option<Vec<String>>,
    #[serde(default)]
    view: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    filter: String,
    #[serde(default)]
    sort: Option<String>,
    #[serde(default)]
    reversed: bool,
    #[serde(default)]
    layout: Option<String>,
    #[serde(default)]
    wide: bool,
    #[serde(default)]
    ended: bool,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    columns: Option<Vec<String>>,
}

impl Views {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong with it, in a line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut views = Self {
            columns: columns(file.columns.as_deref())?,
            named: BTreeMap::new(),
        };
        for (name, row) in file.view {
            check(&name)?;
            let view = row.read().map_err(|why| format!("view {name}: {why}"))?;
            views.named.insert(name, view);
        }
        if views.named.len() > VIEWS_MAX {
            return Err(format!("more than {VIEWS_MAX} views"));
        }
        Ok(views)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut out = format!(
            "# Kept by the screen: t, :save-view NAME, :forget-view NAME.\ncolumns = {}\n",
            list(&self.columns)
        );
        for (name, view) in &self.named {
            let _ = write!(out, "\n[view.{name}]\n{}", view.to_text());
        }
        out
    }

    pub fn get(&self, name: &str) -> Option<&SavedView> {
        self.named.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// Keeps a view under a name; one of that name is replaced.
    ///
    /// # Errors
    /// Why the name cannot be taken.
    pub fn keep(&mut self, name: &str, view: SavedView) -> Result<(), String> {
        check(name)?;
        if !self.named.contains_key(name) && self.named.len() >= VIEWS_MAX {
            return Err(format!("{VIEWS_MAX} views are kept; forget one first"));
        }
        self.named.insert(name.to_owned(), view);
        Ok(())
    }

    pub fn forget(&mut self, name: &str) -> bool {
        self.named.remove(name).is_some()
    }
}

impl Last {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong with it, in a line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: LastFile = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        Ok(Self {
            theme: file.theme,
            view: file.view.read()?,
        })
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let theme = self
            .theme
            .clone()
            .map_or_else(String::new, |theme| format!("theme = {}\n", quoted(theme)));
        let view = self.view.to_text();
        format!("# How the screen was left; --fresh begins without it.\n{theme}\n[view]\n{view}")
    }
}

impl SavedView {
    /// The rows of a table of the file.
    fn to_text(&self) -> String {
        let mut out = format!(
            "filter = {}\nsort = \"{}\"\nreversed = {}\nlayout = \"{}\"\nwide = {}\nended = {}\ncolumns = {}\n",
            quoted(self.filter.clone()),
            self.sort.as_str(),
            self.reversed,
            self.layout.as_str(),
            self.is_wide,
            self.keep_ended,
            list(&self.columns),
        );
        if let Some(by) = self.group {
            let _ = writeln!(out, "group = \"{}\"", by.as_str());
        }
        out
    }
}

impl Row {
    fn read(self) -> Result<SavedView, String> {
        let unknown = |what: &str, word: &str| format!("{word} is no {what}");
        let sort = match self.sort {
            Some(word) => Sort::parse(&word).ok_or_else(|| unknown("order", &word))?,
            None => Sort::default(),
        };
        let layout = match self.layout {
            Some(word) => View::parse(&word).ok_or_else(|| unknown("layout", &word))?,
            None => View::default(),
        };
        let group = match self.group {
            Some(word) => Some(Dimension::parse(&word).ok_or_else(|| unknown("group", &word))?),
            None => None,
        };
        Ok(SavedView {
            filter: self.filter.chars().take(FILTER_MAX).collect(),
            sort,
            reversed: self.reversed,
            layout,
            is_wide: self.wide,
            keep_ended: self.ended,
            group,
            columns: columns(self.columns.as_deref())?,
        })
    }
}

fn columns(words: Option<&[String]>) -> Result<Columns, String> {
    let Some(words) = words else {
        return Ok(Columns::default());
    };
    match Columns::read(words.iter().map(String::as_str)) {
        (columns, unknown) if unknown.is_empty() => Ok(columns),
        (_, unknown) => Err(format!("{} is no column", unknown.join(", "))),
    }
}

fn check(name: &str) -> Result<(), String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_word) {
        return Err(format!(
            "a name has up to {NAME_CHARS_MAX} letters, digits, - and _"
        ));
    }
    if TAKEN.contains(&name) {
        return Err(format!("{name} is a layout; take another name"));
    }
    Ok(())
}

/// As a TOML array.
fn list(columns: &Columns) -> String {
    let words: Vec<String> = columns.words().into_iter().map(quoted).collect();
    format!("[{}]", words.join(", "))
}

/// As a TOML basic string.
fn quoted(text: String) -> String {
    toml::Value::String(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night() -> SavedView {
        SavedView {
            filter: "agent:ava !\"front desk\" \\d".into(),
            sort: Sort::Turn,
            reversed: true,
            layout: View::Dense,
            is_wide: true,
            keep_ended: true,
            group: Some(Dimension::Carrier),
            columns: Columns::read(["name", "cost"]).0,
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let mut views = Views::default();
        views.keep("night", night()).unwrap();
        views.columns = Columns::read(["p95"]).0;
        let again = Views::parse(&views.to_text()).unwrap();
        assert_eq!(again, views);
        assert_eq!(again.get("night"), Some(&night()));
        assert!(views.forget("night") && !views.forget("night"));
    }

    #[test]
    fn how_the_screen_was_left_is_read_again() {
        for theme in [None, Some("li\"ght".to_owned())] {
            let last = Last {
                theme,
                view: night(),
            };
            assert_eq!(Last::parse(&last.to_text()), Ok(last));
        }
        for broken in [
            "",
            "[view]\nsort = 3",
            "\u{0}",
            "[view]\nlayout = \"tiles\"",
            "[view",
        ] {
            let why = Last::parse(broken).unwrap_err();
            assert!(!why.is_empty() && !why.contains('\n'), "{broken:?}: {why}");
        }
    }

    #[test]
    fn a_name_is_a_word_and_no_layout_and_there_is_an_end_to_them() {
        let mut views = Views::default();
        for name in ["", "two words", "a.b", "table", &"x".repeat(25), "ü"] {
            views.keep(name, night()).unwrap_err();
        }
        for n in 0..VIEWS_MAX {
            views.keep(&format!("v{n}"), night()).unwrap();
        }
        views.keep("one-more", night()).unwrap_err();
        views.keep("v3", night()).unwrap();
    }

    #[test]
    fn a_broken_file_is_said_in_a_line() {
        for (text, words) in [
            ("columns = [\"colour\"]", "colour is no column"),
            ("[view.x]\nsort = \"age\"", "view x: age is no order"),
            ("[view.x]\nlayout = \"tiles\"", "tiles is no layout"),
            ("[view.x]\ngroup = \"moon\"", "moon is no group"),
            ("[view.\"a b\"]\n", "a name has up to"),
            ("colums = []", "unknown field"),
        ] {
            let said = Views::parse(text).unwrap_err();
            assert!(said.contains(words) && !said.contains('\n'), "{said}");
        }
        assert_eq!(Views::parse("").unwrap(), Views::default());
    }
}
