//! `theme`, `keys` and `snapshot`: how the screen looks and answers, without starting it.

use std::path::Path;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::json;

use crate::simulator::Demo;
use crate::ui::theme::{Depth, Kind, Role, Theme, contrast, rgb};
use crate::ui::{self, Keymap, Settings, Still, sample};

use super::ansi::ansi;
use super::args::{KeysArgs, SnapshotArgs, SnapshotFormat, SnapshotScene, SnapshotView, ThemeVerb};
use super::config::Config;
use super::out::{self, Table};
use super::rehearsal::Rehearsal;
use super::screen::theme_dir;
use super::{Failure, Outcome};

pub fn theme(verb: &ThemeVerb, config: &Config, as_json: bool) -> Outcome {
    let dir = theme_dir();
    match verb {
        ThemeVerb::Ls => list(dir.as_deref(), config, as_json),
        ThemeVerb::Check { file } => {
            let theme = Theme::load_file(file, Depth::True).map_err(|error| {
                Failure::usage(error.to_string(), "docs/themes.md says what a theme holds")
            })?;
            for warning in hard_to_read(&theme) {
                super::config_verbs::notice(&warning);
            }
            out::line(&format!("{} is right", theme.name))
        }
        ThemeVerb::Preview { name } => {
            let name = name.clone().unwrap_or_else(|| named(config));
            let theme = Theme::load(&name, dir.as_deref(), Depth::True)
                .map_err(|error| Failure::usage(error.to_string(), "`wallboard theme ls`"))?;
            out::write_all(ansi(&roles(&theme)).as_bytes())?;
            let mut still = Still::sample(&place(&name), Depth::True)
                .map_err(|error| Failure::usage(error.to_string(), "`wallboard theme ls`"))?;
            let buffer = still.draw(100, 30);
            out::write_all(ansi(&buffer).as_bytes())
        }
    }
}

fn list(dir: Option<&Path>, config: &Config, as_json: bool) -> Outcome {
    let current = named(config);
    let mut table = Table::default();
    for name in Theme::names(dir) {
        let theme = Theme::load(&name, dir, Depth::True);
        let is_own = dir.is_some_and(|dir| dir.join(format!("{name}.toml")).is_file());
        let kind = match &theme {
            Ok(theme) => match theme.kind {
                Kind::Dark => "dark",
                Kind::Light => "light",
                Kind::Any => "any",
            },
            Err(_) => "broken",
        };
        let from = if is_own { "yours" } else { "built in" };
        if as_json {
            out::json(&json!({
                "name": name, "kind": kind, "own": is_own, "current": name == current,
                "error": theme.err().map(|error| error.to_string()),
            }))?;
        } else {
            let mark = if name == current { "*" } else { "" };
            table.row([mark, &name, kind, from].map(str::to_owned));
        }
    }
    table.print()
}

/// Roles that are hard to read on the theme's own background.
fn hard_to_read(theme: &Theme) -> Vec<String> {
    const LEAST: f64 = 4.5;
    let Some((foreground, background)) = theme.canvas else {
        return Vec::new();
    };
    Role::ALL
        .into_iter()
        // Rules and frames need not be read.
        .filter(|role| !matches!(role, Role::Faint | Role::Border | Role::BorderFocus))
        .filter_map(|role| {
            let style = theme.style(role);
            let text = rgb(style.fg.unwrap_or(foreground))?;
            let behind = rgb(style.bg.unwrap_or(background))?;
            let found = contrast(text, behind);
            (found < LEAST && style.bg.is_none()).then(|| {
                format!(
                    "{} is hard to read: contrast {found:.1}, better {LEAST}",
                    role.as_str()
                )
            })
        })
        .collect()
}

/// Every role in its own style, and where that comes from.
fn roles(theme: &Theme) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 60, Role::ALL.len() as u16 + 1));
    for (role, y) in Role::ALL.into_iter().zip(0..) {
        let source = theme.source_of(role);
        let from = if source == role {
            String::new()
        } else {
            format!("from {}", source.as_str())
        };
        buffer.set_string(1, y, role.as_str(), theme.style(role));
        buffer.set_string(20, y, "the quick brown fox", theme.style(role));
        buffer.set_string(42, y, from, theme.style(Role::Dim));
    }
    buffer
}

fn named(config: &Config) -> String {
    match config.ui.theme.as_str() {
        "auto" => {
            let background = std::env::var("COLORFGBG").ok();
            Theme::automatic(Depth::True, background.as_deref()).to_owned()
        }
        name => name.to_owned(),
    }
}

/// A theme's own file, or its name where it is one of ours.
fn place(theme: &str) -> String {
    let own = theme_dir().map(|dir| dir.join(format!("{theme}.toml")));
    own.filter(|path| path.is_file()).map_or_else(
        || theme.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

pub fn keys(args: &KeysArgs, config: &Config) -> Outcome {
    let keymap = Keymap::with(&config.keymap)
        .map_err(|error| Failure::usage(error.to_string(), "correct [keys] in config.toml"))?;
    if args.check {
        return out::line("the keys are right");
    }
    out::write_all(keymap.card().as_bytes())
}

pub fn snapshot(args: &SnapshotArgs, config: &Config) -> Outcome {
    let (width, height) = size(&args.size)?;
    let mut still = staged(args, config, (width, height))?;
    if args.view == SnapshotView::Table {
        still.keys("v");
    }
    still.keys(match args.scene {
        SnapshotScene::Empty => "",
        SnapshotScene::Board => "!",
        SnapshotScene::Call => "! enter",
        SnapshotScene::Help => "?",
        SnapshotScene::End => "! E",
    });
    // What these keys had to say would stand where the keys are shown.
    still.model.toast = None;
    still.keys(&args.keys);
    let buffer = still.draw(width, height);
    let kind = match still.theme.kind {
        Kind::Light => Kind::Light,
        Kind::Dark | Kind::Any => Kind::Dark,
    };
    let picture = match args.format {
        SnapshotFormat::Text => ui::text(&buffer),
        SnapshotFormat::Ansi => ansi(&buffer),
        SnapshotFormat::Svg => ui::svg(&buffer, kind),
    };
    out::write_all(picture.as_bytes())
}

/// The demo's board, this long after its beginning.
fn staged(args: &SnapshotArgs, config: &Config, (width, height): (u16, u16)) -> Outcome<Still> {
    let demo = Demo {
        seed: args.seed,
        calls: args.calls as usize,
        ..Demo::default()
    };
    let began = sample::now();
    let settings = Settings {
        theme: place(&named(config)),
        themes: Theme::names(theme_dir().as_deref()),
        ..Settings::default()
    };
    let mut still = Still::new(settings, Depth::True, began)
        .map_err(|error| Failure::usage(error.to_string(), "`wallboard theme ls` lists them"))?;
    still.is_ascii = config.ui.ascii;
    let mut rehearsal = Rehearsal::new(demo, began);
    for update in rehearsal.opening() {
        still.update(update);
    }
    // Sizes decide what keys do, so the screen is laid out before they are pressed.
    still.draw(width, height);
    if args.scene != SnapshotScene::Empty {
        rehearsal.play(&mut still, Duration::from_secs(u64::from(args.after)));
    }
    Ok(still)
}

fn size(text: &str) -> Outcome<(u16, u16)> {
    text.split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .filter(|(width, height)| (20..=500).contains(width) && (5..=200).contains(height))
        .ok_or_else(|| Failure::usage(format!("{text} is not a size"), "write it like 120x36"))
}
