//! `theme`, `keys` and `snapshot`: how the screen looks and answers, without starting it.

use serde_json::json;

use crate::ui::theme::{Depth, Kind, Theme};
use crate::ui::{self, Keymap, Settings, Still, sample};

use super::ansi::ansi;
use super::args::{KeysArgs, SnapshotArgs, SnapshotFormat, SnapshotScene, ThemeVerb};
use super::config::Config;
use super::screen::theme_dir;
use super::{Failure, Outcome, out};

pub fn theme(verb: &ThemeVerb, config: &Config, as_json: bool) -> Outcome {
    let dir = theme_dir();
    match verb {
        ThemeVerb::Ls => {
            for name in Theme::names(dir.as_deref()) {
                if as_json {
                    out::json(&json!({"name": name}))?;
                } else {
                    out::line(&name)?;
                }
            }
            Ok(())
        }
        ThemeVerb::Check { file } => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!("{} cannot be read: {error}", file.display()), "")
            })?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            Theme::parse(&name, &text, Depth::True).map_err(|error| {
                Failure::usage(error.to_string(), "compare with the themes that come along")
            })?;
            out::line(&format!("{name} is right"))
        }
        ThemeVerb::Preview { name } => {
            let name = name.clone().unwrap_or_else(|| named(config));
            let mut still = still(&name)?;
            let buffer = still.draw(100, 30);
            out::write_all(ansi(&buffer).as_bytes())
        }
    }
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

fn still(theme: &str) -> Outcome<Still> {
    Still::sample(theme, Depth::True)
        .map_err(|error| Failure::usage(error.to_string(), "`wallboard theme ls` lists them"))
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
    let name = named(config);
    let mut still = match args.scene {
        SnapshotScene::Empty => {
            let settings = Settings {
                theme: name.clone(),
                ..Settings::default()
            };
            let mut still = Still::new(settings, Depth::True, sample::now())
                .map_err(|error| Failure::usage(error.to_string(), "`wallboard theme ls`"))?;
            still.update(crate::engine::Update::Link(
                crate::engine::LinkState::Embedded,
            ));
            still.update(crate::engine::Update::Hello(sample::hello()));
            still
        }
        _ => still(&name)?,
    };
    still.is_ascii = config.ui.ascii;
    // Sizes decide what keys do, so the screen is laid out before they are pressed.
    still.draw(width, height);
    still.keys(match args.scene {
        SnapshotScene::Board | SnapshotScene::Empty => "",
        SnapshotScene::Call => "enter",
        SnapshotScene::Help => "?",
        SnapshotScene::End => "E",
    });
    still.keys(&args.keys);
    let buffer = still.draw(width, height);
    let kind = if name == "light" {
        Kind::Light
    } else {
        Kind::Dark
    };
    let picture = match args.format {
        SnapshotFormat::Text => ui::text(&buffer),
        SnapshotFormat::Ansi => ansi(&buffer),
        SnapshotFormat::Svg => ui::svg(&buffer, kind),
    };
    out::write_all(picture.as_bytes())
}

fn size(text: &str) -> Outcome<(u16, u16)> {
    text.split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .filter(|(width, height)| (20..=500).contains(width) && (5..=200).contains(height))
        .ok_or_else(|| Failure::usage(format!("{text} is not a size"), "write it like 120x36"))
}
