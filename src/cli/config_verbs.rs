//! `wallboard config path|print|default|check`.

use serde_json::json;

use super::args::ConfigVerb;
use super::config::{self, Config, Loaded, Origin, keys};
use super::out::{self, Table};
use super::{Failure, Outcome};

pub fn run(verb: &ConfigVerb, loaded: &Loaded, as_json: bool) -> Outcome {
    match verb {
        ConfigVerb::Default => out::write_all(config::default_file().as_bytes()),
        ConfigVerb::Path => path(loaded, as_json),
        ConfigVerb::Print { origin } => print(loaded, *origin, as_json),
        ConfigVerb::Check => check(loaded, as_json),
    }
}

fn path(loaded: &Loaded, as_json: bool) -> Outcome {
    let path = loaded.file.clone().or_else(config::user_config_path);
    let Some(path) = path else {
        return Err(Failure::failed(
            "there is no home directory to look in",
            "set HOME, or give --config",
        ));
    };
    if as_json {
        return out::json(&json!({"path": path, "exists": path.is_file()}));
    }
    out::line(&path.display().to_string())?;
    if !path.is_file() {
        let path = path.display();
        notice(&format!(
            "there is no file yet: wallboard config default > {path}"
        ));
    }
    Ok(())
}

fn print(loaded: &Loaded, origin: bool, as_json: bool) -> Outcome {
    let mut table = Table::default();
    for key in keys::all() {
        let Some(value) = loaded.settings.get(key.name) else {
            continue;
        };
        let from = loaded
            .settings
            .origin(key.name)
            .map_or_else(|| Origin::Default.to_string(), ToString::to_string);
        if as_json {
            let mut row = json!({"key": key.name, "value": value.json()});
            if origin {
                row["origin"] = json!(from);
            }
            out::json(&row)?;
        } else if origin {
            let shown = format!("{} = {}", key.name, value.shown());
            table.row([shown, format!("# {from}")]);
        } else {
            out::line(&format!("{} = {}", key.name, value.shown()))?;
        }
    }
    if origin && !as_json {
        table.print()?;
    }
    Ok(())
}

/// Every problem, one line and one fix each. Warnings alone are a success.
fn check(loaded: &Loaded, as_json: bool) -> Outcome {
    let (_, problems) = Config::judge(loaded);
    for problem in &problems {
        if as_json {
            out::json(&json!({
                "severity": if problem.is_warning { "warning" } else { "error" },
                "place": problem.place,
                "message": problem.message,
                "fix": problem.fix,
            }))?;
        } else {
            let word = if problem.is_warning {
                "warning"
            } else {
                "error"
            };
            out::line(&format!("{word}: {problem}\n  → {}", problem.fix))?;
        }
    }
    for text in &loaded.notices {
        notice(text);
    }
    let errors = problems
        .iter()
        .filter(|problem| !problem.is_warning)
        .count();
    if errors > 0 {
        return Err(Failure::usage(
            format!("{errors} mistake(s) in the configuration"),
            "mend the lines above",
        ));
    }
    if !as_json {
        let from = loaded.file.as_ref().map_or_else(
            || "no file, only defaults and environment".into(),
            |path| path.display().to_string(),
        );
        out::line(&format!("the configuration is right ({from})"))?;
    }
    Ok(())
}

/// A line on stderr that is no failure.
#[expect(clippy::print_stderr, reason = "the command line speaks here")]
pub fn notice(text: &str) {
    eprintln!("wallboard: {text}");
}
