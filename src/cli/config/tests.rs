//! Tests of precedence, names, secrets and messages.

use std::path::PathBuf;

use super::*;
use crate::cli::extras;
use crate::providers::vendor::Keys as _;
use crate::providers::vendor::registry::{AGENTS, CARRIERS};

fn inputs(file: &str, dir: &tempfile::TempDir) -> Inputs {
    let path = dir.path().join("config.toml");
    std::fs::write(&path, file).expect("written");
    Inputs {
        file: Some(path),
        ..Inputs::default()
    }
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn stronger_sources_win() {
    let dir = dir();
    let mut inputs = inputs("[twilio]\naccount_sid = \"file\"\n", &dir);
    assert_eq!(
        load(&inputs).settings.text("twilio.account_sid").as_deref(),
        Some("file")
    );
    let dotenv = dir.path().join(".env");
    std::fs::write(&dotenv, "TWILIO_ACCOUNT_SID=dotenv\n").expect("written");
    inputs.dotenv = Some(dotenv);
    assert_eq!(
        load(&inputs).settings.text("twilio.account_sid").as_deref(),
        Some("dotenv")
    );
    inputs.env = env(&[("TWILIO_ACCOUNT_SID", "vendor")]);
    assert_eq!(
        load(&inputs).settings.text("twilio.account_sid").as_deref(),
        Some("vendor")
    );
    inputs.env = env(&[
        ("TWILIO_ACCOUNT_SID", "vendor"),
        ("WALLBOARD_TWILIO__ACCOUNT_SID", "own"),
    ]);
    assert_eq!(
        load(&inputs).settings.text("twilio.account_sid").as_deref(),
        Some("own")
    );
    inputs.flags = vec![("twilio.account_sid", "flag".into(), "--sid")];
    let loaded = load(&inputs);
    assert_eq!(
        loaded.settings.text("twilio.account_sid").as_deref(),
        Some("flag")
    );
    assert_eq!(loaded.problems, []);
    let origin = loaded
        .settings
        .origin("twilio.account_sid")
        .map(ToString::to_string);
    assert_eq!(origin.as_deref(), Some("flag --sid"));
}

#[test]
fn an_unknown_key_names_its_line_and_the_nearest_known_one() {
    let dir = dir();
    let inputs = inputs(
        "[server]\nlisten = \"127.0.0.1:1\"\npublic_ulr = \"https://x.example\"\n",
        &dir,
    );
    let problems = load(&inputs).problems;
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].place.ends_with("config.toml:3"),
        "{}",
        problems[0].place
    );
    assert_eq!(problems[0].fix, "did you mean server.public_url?");
}

#[test]
fn an_unknown_environment_name_is_a_problem_only_with_our_double_underscore() {
    let inputs = Inputs {
        env: env(&[
            ("WALLBOARD_SERVER__LISTN", "x"),
            ("WALLBOARD_WHATEVER", "x"),
            ("SERVER__X", "x"),
        ]),
        no_files: true,
        ..Inputs::default()
    };
    let problems = load(&inputs).problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].fix, "did you mean WALLBOARD_SERVER__LISTEN?");
}

#[test]
fn dotenv_never_says_where_to_send_things() {
    let dir = dir();
    let mut inputs = inputs("", &dir);
    let dotenv = dir.path().join(".env");
    std::fs::write(
        &dotenv,
        "export TWILIO_AUTH_TOKEN='s3cret # not a comment'\nWALLBOARD_TWILIO__API_BASE=https://evil.example\nPUBLIC_URL=https://evil.example\n",
    )
    .expect("written");
    inputs.dotenv = Some(dotenv);
    let loaded = load(&inputs);
    assert_eq!(
        loaded.settings.text("twilio.api_base").as_deref(),
        Some("https://api.twilio.com")
    );
    assert_eq!(loaded.settings.text("server.public_url"), None);
    assert_eq!(loaded.notices.len(), 2);
    let token = loaded.settings.secret("twilio.auth_token");
    assert_eq!(
        token.as_ref().map(Secret::expose),
        Some("s3cret # not a comment")
    );
}

#[test]
fn port_changes_the_port_and_never_the_host() {
    let mut inputs = Inputs {
        env: env(&[("PORT", "9000")]),
        no_files: true,
        ..Inputs::default()
    };
    assert_eq!(
        load(&inputs).settings.text("server.listen").as_deref(),
        Some("127.0.0.1:9000")
    );
    inputs
        .env
        .push(("WALLBOARD_SERVER__LISTEN".into(), "0.0.0.0:1".into()));
    assert_eq!(
        load(&inputs).settings.text("server.listen").as_deref(),
        Some("0.0.0.0:1")
    );
}

#[test]
fn a_secret_may_come_from_a_file_but_not_from_both() {
    let dir = dir();
    let secret = dir.path().join("token");
    std::fs::write(&secret, "canary\n").expect("written");
    let file = format!("[twilio]\nauth_token_file = {secret:?}\n");
    let loaded = load(&inputs(&file, &dir));
    assert_eq!(loaded.problems, []);
    let token = loaded.settings.secret("twilio.auth_token");
    assert_eq!(token.as_ref().map(Secret::expose), Some("canary"));
    assert!(!format!("{loaded:?}").contains("canary"));
    let both = format!("{file}auth_token = \"x\"\n");
    assert_eq!(load(&inputs(&both, &dir)).problems.len(), 1);
}

#[test]
fn a_wrong_kind_says_what_was_wanted_and_hides_secrets() {
    let dir = dir();
    let text =
        "[server]\ndrain = \"soon\"\n[twilio]\nauth_token = [\"canary\"]\nphone_number = \"555\"\n";
    let problems = load(&inputs(text, &dir)).problems;
    assert_eq!(problems.len(), 3);
    assert!(
        problems
            .iter()
            .any(|problem| problem.message.contains("duration"))
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.message.contains("E.164"))
    );
    assert!(!format!("{problems:?}").contains("canary"));
}

#[test]
fn broken_toml_is_told_without_quoting_the_line() {
    let dir = dir();
    let problems = load(&inputs("[twilio]\nauth_token = canary\n", &dir)).problems;
    assert_eq!(problems.len(), 1);
    assert!(problems[0].place.ends_with(":2"));
    assert!(!format!("{problems:?}").contains("canary"));
}

#[test]
fn the_default_file_is_toml_that_changes_nothing() {
    let dir = dir();
    let loaded = load(&inputs(&default_file(), &dir));
    assert_eq!(loaded.problems, []);
    assert!(loaded.keymap.is_empty() && loaded.rows.is_empty());
}

#[test]
fn the_default_file_with_every_comment_removed_is_understood() {
    let dir = dir();
    let lines: Vec<String> = default_file()
        .lines()
        .filter_map(|line| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let sets = bare.split_once(" = ").is_some_and(|(name, _)| {
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            });
            (sets || bare.starts_with('[')).then(|| bare.to_owned())
        })
        .collect();
    let loaded = load(&inputs(&lines.join("\n"), &dir));
    let names: Vec<_> = loaded
        .problems
        .iter()
        .filter(|problem| {
            problem.message.starts_with("unknown") || problem.message.contains("TOML")
        })
        .collect();
    assert!(names.is_empty(), "{names:?}");
    assert_eq!(loaded.rows.len(), 4);
}

#[test]
fn routes_and_agents_are_checked_by_name() {
    let dir = dir();
    let text = r#"
[[agent]]
id = "support"
kind = "elevenlabs"
agent_id = "agent_1"
[[route]]
match = { carrier = "twilio" }
agent = "suport"
amd = "maybe"
"#;
    let (_, problems) = Config::judge(&load(&inputs(text, &dir)));
    assert!(
        problems
            .iter()
            .any(|problem| problem.fix == "did you mean support?"),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.message.contains("maybe"))
    );
}

#[test]
fn a_route_keeps_one_of_three_levels_and_records_only_where_audio_is_kept() {
    let judged = |route: &str| {
        let dir = dir();
        let text = format!("[[route]]\nmatch = {{ carrier = \"elevenlabs\" }}\n{route}\n");
        let (config, problems) = Config::judge(&load(&inputs(&text, &dir)));
        let words: Vec<String> = problems.into_iter().map(|one| one.message).collect();
        let plans = crate::cli::plans::plans(&config).unwrap();
        (words.join("; "), plans.routes[0].store)
    };
    use crate::call::StoreLevel;
    for (route, complaint, level) in [
        ("", "", StoreLevel::All),
        ("store = \"all\"\nrecord = true", "", StoreLevel::All),
        ("store = \"no_audio\"", "", StoreLevel::NoAudio),
        ("store = \"facts_only\"", "", StoreLevel::FactsOnly),
        (
            "store = \"some\"",
            "store cannot be \"some\"",
            StoreLevel::FactsOnly,
        ),
        (
            "store = \"no_audio\"\nrecord = true",
            "store keeps no audio",
            StoreLevel::NoAudio,
        ),
    ] {
        let (words, kept) = judged(route);
        assert_eq!(kept, level, "{route}");
        assert!(words.contains(complaint), "{route}: {words}");
        assert_eq!(words.is_empty(), complaint.is_empty(), "{route}: {words}");
    }
}

#[test]
fn a_file_named_on_the_command_line_must_exist() {
    let inputs = Inputs {
        file: Some(PathBuf::from("/nonexistent/wallboard.toml")),
        ..Inputs::default()
    };
    assert_eq!(load(&inputs).problems.len(), 1);
}

fn defaults() -> Config {
    let inputs = Inputs {
        no_files: true,
        ..Inputs::default()
    };
    Config::judge(&load(&inputs)).0
}

#[test]
fn every_url_to_paste_is_served_and_asks_for_retries() {
    let config = defaults();
    for carrier in CARRIERS {
        let desk = (carrier.desk)(&config.setup());
        assert_eq!(desk.carrier(), carrier.name);
        for (label, path) in carrier.urls {
            let served = desk.hooks().iter().any(|hook| hook.path == *path);
            assert!(served, "{} {label}: {path}", carrier.name);
        }
        let pastes = carrier.pastes("https://x");
        assert!(pastes.iter().all(|(_, url)| url.ends_with("#rc=3&rp=all")));
    }
}

#[test]
fn without_a_secret_every_carrier_says_which_key_opens_its_routes() {
    let config = defaults();
    let setup = &config.setup();
    for carrier in CARRIERS {
        let reason = (carrier.desk)(setup).unready().expect("a reason");
        assert!(reason.contains(carrier.secret_key), "{reason}");
        assert!(!(carrier.is_open)(setup) && !(carrier.is_wanted)(setup));
        assert!((carrier.control)(setup).expect("no fault").is_none());
    }
}

#[test]
fn what_vendors_say_of_their_keys_is_about_keys_of_theirs() {
    for carrier in CARRIERS {
        for name in [carrier.account_key, carrier.secret_key] {
            assert!(carrier.keys.iter().any(|key| key.name == name), "{name}");
        }
    }
    for agent in AGENTS {
        let lines = agent.own_lines.as_ref().map(|lines| lines.secret_key);
        for name in agent.main_key.into_iter().chain(lines) {
            assert!(agent.keys.iter().any(|key| key.name == name), "{name}");
        }
    }
}

#[test]
fn the_model_is_told_of_the_agents_tools_and_of_those_of_the_house() {
    let dir = dir();
    let text = r#"
        [bridge]
        transfer_number = "+12065550177"
        [[tool]]
        name = "lookup_order"
        url = "https://tools.example.com/lookup"
        [[agent]]
        id = "shop"
        kind = "pipeline"
        tools = ["transfer_call", "lookup_order"]
    "#;
    let config = Config::judge(&load(&inputs(text, &dir))).0;
    let told = extras::declared(&config, &config.agents[0]);
    let names: Vec<&str> = told.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["transfer_call", "lookup_order"]);
}
