//! Reads the places configuration comes from into flat `(key, raw value, origin)` entries.
//! Judges nothing but syntax and names; kinds are checked by the loader.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Problem;
use crate::providers::vendor::{Key, Kind, env_name};

use super::keys::{self, ARRAYS, FREE_SECTIONS};
use super::nearest::nearest;

/// Where a value came from, for `config print --origin` and for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File {
        path: PathBuf,
        line: usize,
    },
    DotEnv {
        path: PathBuf,
        line: usize,
        name: String,
    },
    Env(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::DotEnv { path, line, name } => write!(f, "{}:{line} {name}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A value before its kind is checked.
#[derive(Clone, PartialEq)]
pub enum Raw {
    Text(String),
    Flag(bool),
    Number(String),
    List(Vec<String>),
    /// Anything else, by its TOML name.
    Other(&'static str),
}

impl fmt::Debug for Raw {
    // May hold a secret before the loader knows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw(***)")
    }
}

/// One entry. `name` is a known key, or a known secret key plus `_file`.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub raw: Raw,
    pub origin: Origin,
}

/// One `[[route]]`, `[[agent]]`, `[[tool]]` or `[[transfer]]`, as JSON with its line.
#[derive(Clone, Debug)]
pub struct Row {
    pub array: &'static str,
    pub line: usize,
    pub value: serde_json::Value,
    /// An unknown word in it has been reported already.
    pub reported: bool,
}

impl Row {
    pub fn place(&self, file: Option<&Path>) -> String {
        file.map_or_else(
            || format!("line {}", self.line),
            |path| format!("{}:{}", path.display(), self.line),
        )
    }
}

/// All of one file.
#[derive(Debug, Default)]
pub struct FileSource {
    pub entries: Vec<Entry>,
    pub rows: Vec<Row>,
    /// `[keys]`: action → keys.
    pub free: BTreeMap<String, Vec<String>>,
    pub problems: Vec<Problem>,
}

/// Whether `name` is a key, or a secret's `_file` form.
pub fn is_known(name: &str) -> bool {
    keys::find(name).is_some()
        || name
            .strip_suffix("_file")
            .and_then(keys::find)
            .is_some_and(Key::is_secret)
}

/// Every name that may stand in a file, for suggestions.
fn names() -> impl Iterator<Item = &'static str> {
    keys::all()
        .iter()
        .map(|key| key.name)
        .chain(ARRAYS.iter().map(|(name, _)| *name))
}

/// Reads a TOML file's text.
pub fn from_toml(path: &Path, text: &str) -> FileSource {
    let mut source = FileSource::default();
    let line_of = |offset: usize| {
        text.get(..offset)
            .map_or(1, |before| before.matches('\n').count() + 1)
    };
    let parsed = match DeTable::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(span.start));
            // The error's Display quotes the offending line, which may hold a secret.
            source.problems.push(Problem::new(
                format!("{}:{line}", path.display()),
                format!("this is not TOML: {}", error.message()),
                "texts need quotes; `wallboard config default` shows a complete file",
            ));
            return source;
        }
    };
    walk(path, "", parsed.get_ref(), &line_of, &mut source);
    source
}

fn walk(
    path: &Path,
    prefix: &str,
    table: &DeTable<'_>,
    line_of: &dyn Fn(usize) -> usize,
    source: &mut FileSource,
) {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{prefix}.{}", key.get_ref())
        };
        let line = line_of(key.span().start);
        if let Some((array, fields)) = ARRAYS.iter().find(|(array, _)| *array == name) {
            read_rows(path, array, fields, value.get_ref(), line_of, source);
            continue;
        }
        if FREE_SECTIONS.contains(&prefix) {
            source
                .free
                .insert(key.get_ref().to_string(), texts(value.get_ref()));
            continue;
        }
        if let DeValue::Table(inner) = value.get_ref() {
            walk(path, &name, inner, line_of, source);
            continue;
        }
        if is_known(&name) {
            source.entries.push(Entry {
                name,
                raw: raw(value.get_ref()),
                origin: Origin::File {
                    path: path.to_owned(),
                    line,
                },
            });
        } else {
            source
                .problems
                .push(unknown(&format!("{}:{line}", path.display()), &name));
        }
    }
}

/// The message for a key nobody reads.
pub fn unknown(place: &str, name: &str) -> Problem {
    let fix = nearest(name, names()).map_or_else(
        || "`wallboard config default` lists every key".to_owned(),
        |close| format!("did you mean {close}?"),
    );
    Problem::new(place, format!("unknown key {name}"), fix)
}

fn read_rows(
    path: &Path,
    array: &'static str,
    fields: &[&str],
    value: &DeValue<'_>,
    line_of: &dyn Fn(usize) -> usize,
    source: &mut FileSource,
) {
    let DeValue::Array(items) = value else {
        source.problems.push(Problem::new(
            path.display().to_string(),
            format!("{array} must be written [[{array}]]"),
            "use double brackets: every block adds one",
        ));
        return;
    };
    for item in items {
        let line = line_of(item.span().start);
        let DeValue::Table(table) = item.get_ref() else {
            source.problems.push(Problem::new(
                format!("{}:{line}", path.display()),
                format!("{array} must be written [[{array}]]"),
                "use double brackets: every block adds one",
            ));
            continue;
        };
        let mut reported = false;
        for (key, _) in table {
            let word = key.get_ref().as_ref();
            if !fields.contains(&word) {
                let at = format!("{}:{}", path.display(), line_of(key.span().start));
                let fix = nearest(word, fields.iter().copied()).map_or_else(
                    || format!("[[{array}]] takes {}", fields.join(", ")),
                    |close| format!("did you mean {close}?"),
                );
                reported = true;
                source.problems.push(Problem::new(
                    at,
                    format!("unknown key {word} in [[{array}]]"),
                    fix,
                ));
            }
        }
        source.rows.push(Row {
            array,
            line,
            value: to_json(item.get_ref()),
            reported,
        });
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(on) => Raw::Flag(*on),
        DeValue::Integer(number) => Raw::Number(number.to_string()),
        DeValue::Float(number) => Raw::Number(number.to_string()),
        DeValue::Array(items) => {
            if items
                .iter()
                .all(|item| matches!(item.get_ref(), DeValue::String(_)))
            {
                Raw::List(texts(value))
            } else {
                Raw::Other("an array that holds other things than texts")
            }
        }
        DeValue::Table(_) => Raw::Other("a table"),
        DeValue::Datetime(_) => Raw::Other("a date"),
    }
}

fn texts(value: &DeValue<'_>) -> Vec<String> {
    match value {
        DeValue::String(text) => vec![text.to_string()],
        DeValue::Array(items) => items
            .iter()
            .filter_map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

fn to_json(value: &DeValue<'_>) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Boolean(on) => Json::Bool(*on),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or(Json::Null, Json::from),
        DeValue::Datetime(date) => Json::String(date.to_string()),
        DeValue::Array(items) => {
            Json::Array(items.iter().map(|item| to_json(item.get_ref())).collect())
        }
        DeValue::Table(table) => Json::Object(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())))
                .collect(),
        ),
    }
}

/// Reads the process environment (or any list of pairs).
///
/// Names with our prefix and a double underscore must be keys; everything else that is not a
/// customary name is somebody else's.
pub fn from_env(pairs: impl IntoIterator<Item = (String, String)>) -> (Vec<Entry>, Vec<Problem>) {
    let pairs: BTreeMap<String, String> = pairs.into_iter().collect();
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for key in keys::all() {
        let own = [key.env_name(), format!("{}_FILE", key.env_name())];
        let names = own
            .iter()
            .map(String::as_str)
            .chain(key.env.iter().copied());
        let given = names
            .filter_map(|name| pairs.get(name).map(|value| (name, value)))
            // An empty variable is how shells and compose files say "not set".
            .find(|(_, value)| !value.is_empty());
        if let Some((name, value)) = given {
            let is_file = name.ends_with("_FILE") && key.is_secret();
            if name.ends_with("_FILE") && !is_file {
                continue;
            }
            entries.push(Entry {
                name: if is_file {
                    format!("{}_file", key.name)
                } else {
                    key.name.into()
                },
                raw: Raw::Text(value.clone()),
                origin: Origin::Env(name.into()),
            });
        }
    }
    let listens = entries.iter().any(|entry| entry.name == "server.listen");
    if let (false, Some(port)) = (listens, pairs.get("PORT").filter(|port| !port.is_empty())) {
        entries.push(Entry {
            name: "server.listen".into(),
            raw: Raw::Text(format!(":{port}")),
            origin: Origin::Env("PORT".into()),
        });
    }
    for name in pairs.keys() {
        let Some(rest) = name.strip_prefix("WALLBOARD_") else {
            continue;
        };
        if !rest.contains("__") {
            continue;
        }
        let dotted = rest.replace("__", ".").to_ascii_lowercase();
        if !is_known(&dotted) {
            let mut problem = unknown(&format!("environment {name}"), &dotted);
            if let Some(close) = nearest(&dotted, names()) {
                problem.fix = format!("did you mean {}?", env_name(close));
            }
            problems.push(problem);
        }
    }
    (entries, problems)
}

/// What a `.env` holds: pairs with their lines.
pub fn parse_dotenv(text: &str) -> Vec<(String, String, usize)> {
    let mut pairs = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let name = name.trim();
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        pairs.push((name.to_owned(), dotenv_value(value.trim()), index + 1));
    }
    pairs
}

fn dotenv_value(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            if let Some((inside, _)) = rest.split_once(quote) {
                return inside.to_owned();
            }
        }
    }
    // A comment needs a blank before it, so that tokens with # survive.
    value
        .split_once(" #")
        .map_or(value, |(before, _)| before)
        .trim()
        .to_owned()
}

/// Reads a `.env`'s text. Names that are not ours are somebody else's; keys that say where to send
/// credentials or calls are left out and reported.
pub fn from_dotenv(path: &Path, text: &str) -> (Vec<Entry>, Vec<String>) {
    let pairs = parse_dotenv(text);
    let lines: BTreeMap<&str, usize> = pairs
        .iter()
        .map(|(name, _, line)| (name.as_str(), *line))
        .collect();
    let (mut entries, _) = from_env(
        pairs
            .iter()
            .map(|(name, value, _)| (name.clone(), value.clone())),
    );
    let mut notices = Vec::new();
    entries.retain(|entry| {
        let destination = keys::find(&entry.name).is_some_and(Key::is_destination);
        if destination {
            notices.push(format!(
                "{}: {} is not taken from .env; put it in config.toml or the environment",
                path.display(),
                entry.name
            ));
        }
        !destination
    });
    for entry in &mut entries {
        if let Origin::Env(name) = &entry.origin {
            entry.origin = Origin::DotEnv {
                path: path.to_owned(),
                line: lines.get(name.as_str()).copied().unwrap_or(0),
                name: name.clone(),
            };
        }
    }
    (entries, notices)
}

/// Whether a kind takes this raw value as text.
pub fn text_of(kind: Kind, raw: &Raw) -> Option<String> {
    match (kind, raw) {
        (Kind::Flag, Raw::Flag(on)) => Some(on.to_string()),
        (Kind::Whole { .. } | Kind::Figure { .. } | Kind::Span, Raw::Number(number)) => {
            Some(number.clone())
        }
        (_, Raw::Text(text)) => Some(text.clone()),
        _ => None,
    }
}
