//! The demo without a screen: simulated vendors, production code, the verbs on top.

use serde_json::Value;

use crate::it::cli_rig::{Home, Running, until};

/// A demo and a home whose verbs speak to it.
fn demo(args: &[&str]) -> (Running, Home) {
    let home = Home::new();
    let mut all = vec!["demo", "--headless", "--calls", "4", "--seed", "7"];
    all.extend(args);
    let mut running = home.start(&all);
    let ready: Value = serde_json::from_str(&running.line()).unwrap();
    let word = |name: &str| ready[name].as_str().unwrap().to_owned();
    let home = home
        .with("WALLBOARD_URL", &word("url"))
        .with("WALLBOARD_TOKEN", &word("token"));
    (running, home)
}

#[test]
fn a_call_is_bridged_heard_and_ended_from_the_shell() {
    let (running, home) = demo(&[]);
    let id = until("an agent talking", 30, || {
        let rows = home.run(&["ls", "--live", "--json"]).expect(0).lines();
        let talking = rows.iter().find(|row| row["agent_link"] == "connected")?;
        let id = talking["id"].as_str()?.to_owned();
        let shown = home.run(&["show", &id, "--json"]).expect(0).lines();
        let said = shown[0]["utterances"].as_array()?;
        said.iter()
            .any(|line| line["track"] == "from_agent")
            .then_some(id)
    });
    let mut listening = home.start(&["listen", &id, "--format", "s16le"]);
    let mut sound = [0; 3_200];
    listening.read_exact(&mut sound).unwrap();
    drop(listening);
    let ended = home.run(&["end", &id, "--json"]).expect(0).lines();
    assert_eq!(ended[0]["state"], "done");
    let shown = home.run(&["show", &id, "--json"]).expect(0).lines();
    assert_eq!(shown[0]["status"], "completed");
    let placed = home
        .run(&["call", "+15555550123", "--name", "Test", "--json"])
        .expect(0)
        .lines();
    assert_eq!(placed[0]["ok"], true);
    running.terminate();
    running.wait(20).expect(0);
    let left = std::fs::read_dir(home.path())
        .unwrap()
        .filter_map(Result::ok);
    let left: Vec<_> = left
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("wallboard-demo")
        })
        .collect();
    assert!(left.is_empty(), "the temporary directory is still there");
}

#[test]
fn a_demo_reads_no_configuration() {
    let home = Home::new().with("TWILIO_AUTH_TOKEN", "somebody-elses");
    home.configure("this is not even TOML");
    let mut running = home.start(&["demo", "--headless"]);
    assert!(running.line().contains("\"url\""));
    assert!(!home.data().exists());
}

#[test]
fn verbs_in_a_second_terminal_find_the_demo() {
    let home = Home::new();
    let alone = home.run(&["ls"]).expect(5).err;
    assert!(alone.contains("no wallboard is running"), "{alone}");
    let mut running = home.start(&["demo", "--headless", "--calls", "2"]);
    running.line();
    let id = until("a call of the demo", 30, || {
        let rows = home.run(&["ls", "--json"]).expect(0).lines();
        Some(rows.first()?["id"].as_str()?.to_owned())
    });
    home.run(&["note", &id, "seen from the other terminal"])
        .expect(0);

    // A backend that was killed has left its word behind; the demo is the one that runs.
    let killed = home.serve();
    home.run(&["show", &id]).expect(4);
    drop(killed);
    assert!(home.data().join("backend.json").exists());
    home.run(&["show", &id]).expect(0);
    running.terminate();
    running.wait(20).expect(0);
    home.run(&["ls"]).expect(5);
}
