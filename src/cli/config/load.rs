//! Layers the sources into one set of checked values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;

use crate::providers::vendor::{Key, Keys, Kind};

use super::keys;
use super::sources::{self, Entry, Origin, Raw, Row};
use super::value::{self, Value};
use super::{Problem, Secret};

/// Where to look.
#[derive(Debug, Default)]
pub struct Inputs {
    /// `--config`: must exist. Otherwise the user's file, then the machine's, if there is one.
    pub file: Option<PathBuf>,
    /// The environment, as pairs.
    pub env: Vec<(String, String)>,
    /// A `.env` to read, if it exists and belongs to the user.
    pub dotenv: Option<PathBuf>,
    /// Key, value, and the flag that gave it.
    pub flags: Vec<(&'static str, String, &'static str)>,
    /// Read no file at all (demo).
    pub no_files: bool,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Loaded {
    pub settings: Settings,
    pub rows: Vec<Row>,
    /// `[keys]`: action → keys.
    pub keymap: BTreeMap<String, Vec<String>>,
    pub file: Option<PathBuf>,
    pub problems: Vec<Problem>,
    /// Things worth a line on stderr that stop nothing.
    pub notices: Vec<String>,
}

/// Checked values by key, with their origins.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

impl Settings {
    pub fn get(&self, name: &str) -> Option<&Value> {
        debug_assert!(keys::find(name).is_some(), "{name} is not a key");
        self.values.get(name).map(|(value, _)| value)
    }

    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|(_, origin)| origin)
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    /// Sets a key to what its text means, as a file of the program's own would; whatever is not a
    /// key, or not of its kind, is left alone.
    pub fn put(&mut self, name: &str, text: &str) {
        let known = keys::find(name);
        if let Some((key, value)) =
            known.and_then(|key| Some((key, value::from_text(key.kind, text)?)))
        {
            self.set(key.name, value, Origin::Default);
        }
    }

    fn set(&mut self, key: &'static str, value: Value, origin: Origin) {
        self.values.insert(key, (value, origin));
    }
}

impl Keys for Settings {
    fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        match self.get(name)? {
            Value::Secret(secret) if !secret.expose().is_empty() => Some(secret.clone()),
            _ => None,
        }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Flag(true)))
    }

    fn whole(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Whole(number) => Some(*number),
            _ => None,
        }
    }

    fn figure(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Figure(number) => Some(*number),
            _ => None,
        }
    }

    fn span(&self, name: &str) -> Option<Duration> {
        match self.get(name)? {
            Value::Span(span) => Some(*span),
            _ => None,
        }
    }
}

/// `$XDG_CONFIG_HOME/wallboard/config.toml`.
pub fn user_config_path() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.config_dir().join("wallboard").join("config.toml"))
}

const MACHINE_CONFIG: &str = "/etc/wallboard/config.toml";

/// Reads and layers everything. Problems are collected, never thrown: `config check` shows all.
pub fn load(inputs: &Inputs) -> Loaded {
    let mut loaded = Loaded::default();
    for key in keys::all().iter().filter(|key| !key.default.is_empty()) {
        if let Some(value) = value::from_text(key.kind, key.default) {
            loaded.settings.set(key.name, value, Origin::Default);
        }
    }
    if !inputs.no_files {
        read_file(inputs, &mut loaded);
        read_dotenv(inputs, &mut loaded);
    }
    let (entries, problems) = sources::from_env(inputs.env.iter().cloned());
    loaded.problems.extend(problems);
    apply(&mut loaded, entries);
    let flags = inputs.flags.iter().map(|(key, text, flag)| Entry {
        name: (*key).into(),
        raw: Raw::Text(text.clone()),
        origin: Origin::Flag((*flag).into()),
    });
    apply(&mut loaded, flags.collect());
    loaded
}

fn read_file(inputs: &Inputs, loaded: &mut Loaded) {
    let path = match &inputs.file {
        Some(path) => Some(path.clone()),
        None => user_config_path()
            .into_iter()
            .chain([PathBuf::from(MACHINE_CONFIG)])
            .find(|path| path.is_file()),
    };
    let Some(path) = path else { return };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let source = sources::from_toml(&path, &text);
            loaded.problems.extend(source.problems);
            loaded.rows = source.rows;
            loaded.keymap = source.free;
            apply(loaded, source.entries);
        }
        Err(error) => loaded.problems.push(Problem::new(
            path.display().to_string(),
            format!("cannot be read: {error}"),
            "check the path given with --config, and its permissions",
        )),
    }
    loaded.file = Some(path);
}

fn read_dotenv(inputs: &Inputs, loaded: &mut Loaded) {
    let Some(path) = inputs.dotenv.as_deref().filter(|path| path.is_file()) else {
        return;
    };
    if !belongs_to_us(path) {
        loaded.notices.push(format!(
            "{}: ignored, because it belongs to somebody else",
            path.display()
        ));
        return;
    }
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let (entries, notices) = sources::from_dotenv(path, &text);
            loaded.notices.extend(notices);
            apply(loaded, entries);
        }
        Err(error) => loaded
            .notices
            .push(format!("{}: cannot be read: {error}", path.display())),
    }
}

#[cfg(unix)]
fn belongs_to_us(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.uid() == nix::unistd::geteuid().as_raw())
}

#[cfg(not(unix))]
fn belongs_to_us(_path: &Path) -> bool {
    true
}

/// Lays one source over what is there.
fn apply(loaded: &mut Loaded, entries: Vec<Entry>) {
    let doubled: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.name.strip_suffix("_file"))
        .filter(|base| entries.iter().any(|entry| entry.name == *base))
        .map(str::to_owned)
        .collect();
    for entry in entries {
        let place = entry.origin.to_string();
        if let Some(base) = secret_of_file(&entry.name) {
            if doubled.iter().any(|name| name == base.name) {
                loaded.problems.push(Problem::new(
                    place,
                    format!("both {} and {} are set", base.name, entry.name),
                    "keep one of them",
                ));
                continue;
            }
            match read_secret(&entry.raw) {
                Ok(secret) => {
                    loaded
                        .settings
                        .set(base.name, Value::Secret(secret), entry.origin);
                }
                Err(reason) => loaded.problems.push(Problem::new(
                    place,
                    format!("{} cannot be read: {reason}", entry.name),
                    "give the path of a file that holds the secret and nothing else",
                )),
            }
            continue;
        }
        let Some(key) = keys::find(&entry.name) else {
            continue;
        };
        match checked(key, &entry.raw, &loaded.settings) {
            Some(value) => loaded.settings.set(key.name, value, entry.origin),
            None => loaded.problems.push(wrong_kind(key, &entry)),
        }
    }
}

fn secret_of_file(name: &str) -> Option<&'static Key> {
    name.strip_suffix("_file")
        .and_then(keys::find)
        .filter(|key| key.is_secret())
}

fn read_secret(raw: &Raw) -> Result<Secret, String> {
    let Raw::Text(path) = raw else {
        return Err("the path must be text".into());
    };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{path} is empty"));
    }
    Ok(Secret::new(text))
}

fn checked(key: &Key, raw: &Raw, so_far: &Settings) -> Option<Value> {
    if let (Kind::List, Raw::List(items)) = (key.kind, raw) {
        return Some(Value::List(items.clone()));
    }
    let mut text = sources::text_of(key.kind, raw)?;
    // ":9000" (and PORT) keep the host that a weaker source gave.
    if key.kind == Kind::Address && text.starts_with(':') {
        let host = so_far
            .text(key.name)
            .and_then(|address| address.rsplit_once(':').map(|(host, _)| host.to_owned()))
            .unwrap_or_else(|| "127.0.0.1".into());
        text = format!("{host}{text}");
    }
    value::from_text(key.kind, &text)
}

fn wrong_kind(key: &Key, entry: &Entry) -> Problem {
    let given = match &entry.raw {
        Raw::Text(text) if !key.is_secret() => format!(", not {text:?}"),
        Raw::Other(what) => format!(", not {what}"),
        _ => String::new(),
    };
    let fix = if key.default.is_empty() {
        format!("correct it, or leave {} out", key.name)
    } else {
        format!("correct it, or leave it out for {}", key.default)
    };
    Problem::new(
        entry.origin.to_string(),
        format!("{} must be {}{given}", key.name, key.kind),
        fix,
    )
}
