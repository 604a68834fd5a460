//! The command line without a backend: words, codes, configuration, secrets.

use crate::it::cli_rig::Home;
use crate::it::support::pty::Screen;

const VERBS: [&str; 18] = [
    "run",
    "demo",
    "serve",
    "attach",
    "simulate",
    "ls",
    "show",
    "tail",
    "events",
    "listen",
    "end",
    "call",
    "token",
    "config",
    "doctor",
    "trigger",
    "completions",
    "man",
];

#[test]
fn help_names_every_verb_and_the_exit_codes() {
    let said = Home::new().run(&["--help"]).expect(0);
    for verb in VERBS {
        assert!(
            said.out.contains(&format!("  {verb} ")),
            "{verb} is missing"
        );
    }
    assert!(said.out.contains("5 unreachable"));
}

#[test]
fn the_version_is_there_for_programs_too() {
    let said = Home::new().run(&["--version", "--json"]).expect(0);
    assert_eq!(said.lines()[0]["name"], "wallboard");
}

#[test]
fn usage_mistakes_exit_2_with_one_line_and_a_fix() {
    let said = Home::new().run(&["lss"]).expect(2);
    assert!(
        said.err.contains("lss") && said.err.contains("→"),
        "{}",
        said.err
    );
    let said = Home::new().run(&["end", "--json"]).expect(2);
    assert_eq!(said.error()["error"]["code"], "usage");
}

#[test]
fn without_a_terminal_and_configuration_nothing_is_started_and_the_ways_on_are_named() {
    let home = Home::new();
    for args in [&["run"][..], &[][..]] {
        let said = home.run(args).expect(2);
        assert!(said.err.contains("wallboard demo"), "{}", said.err);
    }
    assert!(!home.data().exists());
}

#[test]
fn a_newcomer_on_a_terminal_gets_four_ways_on_and_no_error() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_string_lossy().into_owned();
    let mut screen = Screen::start(&[], 80, 24, &[("HOME", &home)]);
    screen.wait("the menu", 10, |text| {
        text.contains("[d] demo") && text.contains("[c] check")
    });
    screen.keys("q");
    assert_eq!(screen.wait_exit(5), 0);
}

#[test]
fn sound_is_never_written_to_a_terminal() {
    let mut screen = Screen::start(&["listen", "CA1"], 80, 24, &[]);
    assert_eq!(screen.wait_exit(5), 2);
    assert!(screen.text().contains("mpv"));
}

#[test]
fn the_default_file_is_accepted_as_it_is() {
    let home = Home::new();
    let text = home.run(&["config", "default"]).expect(0).out;
    home.configure(&text);
    home.run(&["config", "check"]).expect(0);
    let printed = home.run(&["config", "print"]).expect(0).out;
    assert!(
        printed.contains("server.listen = \"127.0.0.1:8787\""),
        "{printed}"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let home = Home::new();
    home.configure("[server]\npublic_ulr = \"https://x.example\"\n");
    let said = home.run(&["config", "check", "--json"]).expect(2);
    let problem = &said.lines()[0];
    assert!(
        problem["place"]
            .as_str()
            .unwrap()
            .ends_with("config.toml:2")
    );
    assert_eq!(problem["fix"], "did you mean server.public_url?");
    let said = home.run(&["serve"]).expect(2);
    assert!(said.err.contains("server.public_url"), "{}", said.err);
}

#[test]
fn config_print_says_where_each_value_came_from() {
    let home = Home::new().with("TWILIO_ACCOUNT_SID", "AC1");
    home.configure("[ui]\ntheme = \"mono\"\n");
    let said = home
        .run(&["config", "print", "--origin", "--json", "--ascii"])
        .expect(0);
    let origin = |key: &str| {
        let rows = said.lines();
        let row = rows.iter().find(|row| row["key"] == key).unwrap();
        row["origin"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        origin("twilio.account_sid"),
        "environment TWILIO_ACCOUNT_SID"
    );
    assert!(origin("ui.theme").ends_with("config.toml:2"));
    assert_eq!(origin("ui.ascii"), "flag --ascii");
    assert_eq!(origin("server.drain"), "default");
}

#[test]
fn dotenv_is_for_backends_only() {
    let home = Home::new();
    std::fs::write(home.path().join(".env"), "WALLBOARD_TOKEN=from-dotenv\n").unwrap();
    let said = home.run(&["config", "print", "--origin"]).expect(0);
    assert!(said.out.contains(".env:1 WALLBOARD_TOKEN"), "{}", said.out);
    // A verb does not take its token from wherever one happens to stand.
    let said = home.run(&["ls", "--url", "http://127.0.0.1:1"]).expect(5);
    assert!(!said.err.contains("from-dotenv"));
}

#[test]
fn secrets_appear_in_no_output_and_no_file() {
    const CANARY: &str = "canary-7f3a";
    let home = Home::new()
        .with("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000000")
        .with("TWILIO_AUTH_TOKEN", CANARY)
        .with("ELEVENLABS_API_KEY", CANARY)
        .with("ELEVENLABS_AGENT_ID", "agent_1")
        .with("ELEVENLABS_CONVERSATION_EVENTS_WEBHOOK_SECRET", CANARY)
        .with("OPENAI_API_KEY", CANARY)
        .with("WALLBOARD_TOKEN", CANARY)
        .with("WALLBOARD_LOG", "trace");
    let mut heard = String::new();
    let runs: [&[&str]; 6] = [
        &["config", "print", "--origin"],
        &["config", "print", "--json"],
        &["config", "check"],
        &["doctor", "--json"],
        &["ls", "--json"],
        &[
            "trigger",
            "twilio.call-status",
            "--url",
            "http://127.0.0.1:1",
        ],
    ];
    for args in runs {
        let said = home.run(args);
        heard.push_str(&said.out);
        heard.push_str(&said.err);
    }
    let backend = home.serve();
    home.run(&["trigger", "twilio.incoming-call", "--json"])
        .expect(0);
    home.run(&["trigger", "elevenlabs.conversation-event", "--json"]);
    let listed = home.run(&["ls", "--json"]).expect(0);
    heard.push_str(&listed.out);
    backend.terminate();
    let said = backend.wait(20);
    heard.push_str(&said.out);
    heard.push_str(&said.err);
    for file in files(&home.data()) {
        heard.push_str(&String::from_utf8_lossy(&std::fs::read(file).unwrap()));
    }
    assert!(!heard.contains(CANARY), "a secret leaked");
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn doctor_gives_one_mending_line_per_failure() {
    let home = Home::new();
    let said = home.run(&["doctor", "--json"]).expect(0);
    assert!(said.lines().iter().any(|row| row["check"] == "port"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new().with("WALLBOARD_SERVER__LISTEN", &address);
    let said = home.run(&["doctor", "--json"]).expect(1);
    for row in said.lines().iter().filter(|row| row["state"] == "fail") {
        assert_ne!(row["fix"], "", "{row}");
    }
    let home = Home::new().with("WALLBOARD_SERVER__DRAIN", "soon");
    home.run(&["doctor"]).expect(2);
}

#[test]
fn a_closed_pipe_is_the_end_and_no_failure() {
    let home = Home::new();
    let mut child = home
        .command(&["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
}

#[test]
fn completions_manual_themes_keys_and_pictures_need_nothing() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            home.run(&["completions", shell])
                .expect(0)
                .out
                .contains("wallboard")
        );
    }
    assert!(home.run(&["man"]).expect(0).out.starts_with(".ie"));
    assert!(home.run(&["theme", "ls"]).expect(0).out.contains("mono"));
    let themes = home.run(&["theme", "ls", "--json"]).expect(0).lines();
    let of = |kind: &str| themes.iter().filter(|row| row["kind"] == kind).count();
    assert!(themes.len() >= 10 && of("light") >= 2, "{themes:?}");
    let folder = home.path().join(".config/wallboard/themes");
    std::fs::create_dir_all(&folder).unwrap();
    let own = folder.join("mine.toml");
    std::fs::write(
        &own,
        "name = \"mine\"\n[roles]\naccent = { fg = \"#ff8800\" }\n",
    )
    .unwrap();
    assert!(home.run(&["theme", "ls"]).expect(0).out.contains("mine"));
    assert!(
        home.run(&["theme", "preview", "mine"])
            .expect(0)
            .out
            .contains("from accent")
    );
    home.run(&["theme", "check", &own.to_string_lossy()])
        .expect(0);
    std::fs::write(&own, "name = \"mine\"\n[roles]\naccnt = {}\n").unwrap();
    let said = home
        .run(&["theme", "check", &own.to_string_lossy()])
        .expect(2);
    assert!(said.err.contains("accnt"), "{}", said.err);
    home.run(&["theme", "preview", "nobody"]).expect(2);
    let table = home.run(&["snapshot", "--view", "table"]).expect(0).out;
    assert_ne!(table, home.run(&["snapshot"]).out);
    assert!(
        home.run(&["snapshot", "--theme", "paper", "--format", "svg"])
            .expect(0)
            .out
            .contains("#")
    );
    home.run(&["keys", "--check"]).expect(0);
    let picture = home.run(&["snapshot", "--size", "80x24"]).expect(0).out;
    assert_eq!(picture.lines().count(), 24);
    assert_eq!(
        picture,
        home.run(&["snapshot", "--size", "80x24"]).out,
        "always the same"
    );
    assert!(
        home.run(&["snapshot", "--format", "svg"])
            .expect(0)
            .out
            .starts_with("<svg")
    );
}

#[test]
fn keys_that_are_in_each_others_way_are_told_before_the_screen_does() {
    let home = Home::new();
    home.configure("[keys]\nlisten = [\"ctrl-e\", \"f5\"]\n");
    home.run(&["keys", "--check"]).expect(0);
    let card = home.run(&["keys"]).expect(0).out;
    assert!(card.contains("ctrl-e") && card.contains("f5"), "{card}");
    for (keys, words) in [
        ("listen = [\"E\"]", ["E is bound to both", "listen"]),
        ("lsten = [\"x\"]", ["no action is named", "lsten"]),
        ("listen = [\"hyper-x\"]", ["hyper-x is not a key", "ctrl-d"]),
    ] {
        home.configure(&format!("[keys]\n{keys}\n"));
        let said = home.run(&["keys", "--check"]).expect(2);
        assert!(
            words.iter().all(|word| said.err.contains(word)),
            "{}",
            said.err
        );
    }
}
