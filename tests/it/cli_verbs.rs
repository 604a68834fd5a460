//! The verbs on a running backend, through the real program.

use serde_json::Value;

use crate::it::cli_rig::{Home, Running, Said, until};

const KEYS: &str = "id,carrier,carrier_call_id,direction,from,to,name,lead_id,agent,agent_link,media_link,status,started_at,answered_at,ended_at,duration_s,answered_by,score,turn_p50_ms,turn_p95_ms,alerts,listeners,recording,disposition,ended_by,end_cause,cost_usd";

fn twilio() -> Home {
    Home::new().with("TWILIO_AUTH_TOKEN", "test-token")
}

fn sid(n: u8) -> String {
    format!("CA{n:032x}")
}

fn calls(home: &Home, args: &[&str]) -> Vec<Value> {
    let mut all = vec!["ls", "--json"];
    all.extend(args);
    home.run(&all).expect(0).lines()
}

#[test]
fn nothing_running_is_exit_5_and_says_how_to_start() {
    let said = Home::new().run(&["ls", "--json"]).expect(5);
    assert_eq!(said.error()["error"]["code"], "unreachable");
    Home::new()
        .run(&["ls", "--url", "http://127.0.0.1:1"])
        .expect(5);
    Home::new().run(&["ls", "--url", "ftp://x"]).expect(2);
}

#[test]
fn a_triggered_webhook_becomes_a_call_that_can_be_listed_shown_and_ended() {
    let home = twilio();
    let _backend = home.serve();
    let sid = sid(1);
    home.run(&["trigger", "twilio.call-status", "--sid", &sid])
        .expect(0);
    let rows = calls(&home, &[]);
    assert_eq!(rows.len(), 1);
    let mut keys: Vec<&str> = rows[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut wanted: Vec<&str> = KEYS.split(',').collect();
    keys.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!(rows[0]["status"], "in-progress");
    let shown = home.run(&["show", &sid, "--json"]).expect(0);
    assert!(shown.lines()[0]["utterances"].is_array());
    assert!(
        home.run(&["show", &sid])
            .expect(0)
            .out
            .contains("in-progress")
    );
    home.run(&[
        "trigger",
        "twilio.call-status",
        "--sid",
        &sid,
        "--status",
        "completed",
    ])
    .expect(0);
    assert!(calls(&home, &["--live"]).is_empty());
    let ended = calls(&home, &[]);
    assert_eq!(ended[0]["status"], "completed");
    assert_eq!(ended[0]["disposition"], "answered");
}

#[test]
fn tables_mask_numbers() {
    let home = twilio();
    let _backend = home.serve();
    home.run(&["trigger", "twilio.call-status", "--sid", &sid(2)])
        .expect(0);
    let table = home.run(&["ls"]).expect(0).out;
    assert!(
        table.contains("•••") && !table.contains("5551230000"),
        "{table}"
    );
}

#[test]
fn a_forged_webhook_is_refused_and_creates_nothing() {
    let home = twilio();
    let backend = home.serve();
    let url = until("the address", 5, || {
        let text = std::fs::read_to_string(home.data().join("backend.json")).ok()?;
        let file: Value = serde_json::from_str(&text).ok()?;
        Some(file["url"].as_str()?.to_owned())
    });
    let forger = Home::new().with("TWILIO_AUTH_TOKEN", "another-token");
    forger
        .run(&["trigger", "twilio.incoming-call", "--url", &url])
        .expect(3);
    assert!(calls(&home, &[]).is_empty());
    let seen = home.run(&["webhooks", "--json"]).expect(0).lines();
    assert_eq!(seen[0]["verdict"], "wrong_secret");
    drop(backend);
}

#[test]
fn what_is_not_there_is_exit_4_and_what_cannot_be_done_is_exit_1() {
    let home = twilio();
    let _backend = home.serve();
    home.run(&["show", "nobody"]).expect(4);
    home.run(&["end", "nobody", "--json"]).expect(4);
    home.run(&["tail", "nobody"]).expect(4);
    home.run(&["listen", "nobody"]).expect(4);
    home.run(&["call", "12"]).expect(2);
    // No account SID: Twilio cannot be asked to dial.
    let said = home.run(&["call", "+15551230000", "--json"]);
    assert_ne!(said.code, 0);
    assert_ne!(said.error()["error"]["message"], "");
}

#[test]
fn a_viewer_sees_and_may_not_touch_until_revoked() {
    let home = twilio();
    let _backend = home.serve();
    let sid = sid(3);
    home.run(&["trigger", "twilio.call-status", "--sid", &sid])
        .expect(0);
    let made = home
        .run(&["token", "add", "ana", "--role", "viewer", "--json"])
        .expect(0);
    let token = made.lines()[0]["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("wb_"));
    let file = home.path().join("ana.token");
    std::fs::write(&file, &token).unwrap();
    let file = file.to_string_lossy().into_owned();
    let ana = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--token-file", &file]);
        home.run(&all)
    };
    // A new token is good from its first use, a revoked one bad within two seconds.
    let rows = ana(&["ls", "--json"]).expect(0).lines();
    assert!(
        rows[0]["from"].as_str().unwrap().contains('•'),
        "masked for a viewer"
    );
    let refused = ana(&["end", &sid, "--json"]).expect(3);
    assert_eq!(refused.error()["error"]["code"], "forbidden");
    assert!(
        refused.err.contains("operator"),
        "names the missing role: {}",
        refused.err
    );
    assert!(home.run(&["token", "ls"]).expect(0).out.contains("ana"));
    home.run(&["token", "revoke", "ana"]).expect(0);
    until("the revocation", 2, || {
        (ana(&["ls"]).code == 3).then_some(())
    });
    home.run(&["token", "revoke", "nobody"]).expect(4);
    home.run(&["token", "add", "x", "--role", "boss"]).expect(2);
    home.run(&["token", "add", "x", "--verbs=+unmsk"]).expect(2);
}

#[test]
fn a_recording_is_saved_or_piped_by_whoever_may_hear_it() {
    let home = twilio().with("ELEVENLABS_CONVERSATION_EVENTS_WEBHOOK_SECRET", "wsec_test");
    let _backend = home.serve();
    let told = |event: &str| {
        let event = format!("elevenlabs.{event}");
        home.run(&["trigger", &event, "--lead", "L1", "--conversation", "c1"])
            .expect(0);
    };
    told("conversation_started");
    home.run(&["recording", "c1"]).expect(4);
    told("conversation_ended");
    told("post-call-audio");
    let out = home.path().join("c1.mp3").to_string_lossy().into_owned();
    let saved = home
        .run(&["recording", "c1", "--out", &out, "--json"])
        .expect(0);
    let saved = &saved.lines()[0];
    let sound = std::fs::read(&out).unwrap();
    assert_eq!(saved["bytes"], sound.len());
    assert_eq!(sound[..2], [0xff, 0xf3]);
    // By its own id, on a pipe.
    let id = saved["id"].as_str().unwrap();
    let piped = home.command(&["recording", id]).output().unwrap();
    assert_eq!((piped.status.code(), piped.stdout), (Some(0), sound));
    // Nothing is overwritten; there is no second one.
    home.run(&["recording", "c1", "--out", &out]).expect(1);
    home.run(&["recording", "c1", "--number", "2"]).expect(4);
    let made = home.run(&["token", "add", "vic", "--json"]).expect(0);
    let token = made.lines()[0]["token"].as_str().unwrap().to_owned();
    let file = home.path().join("vic.token");
    std::fs::write(&file, &token).unwrap();
    let file = file.to_string_lossy().into_owned();
    home.run(&["recording", "c1", "--token-file", &file])
        .expect(3);
    home.run(&["purge", "--lead", "L1"]).expect(0);
    home.run(&["recording", id]).expect(4);
}

#[test]
fn events_are_envelopes_in_order_and_end_where_asked() {
    let home = twilio();
    let _backend = home.serve();
    let mut events = home.start(&["events", "--max", "3"]);
    // Facts before the link is up are not events; so keep things happening until there are three.
    let finished = until("three facts", 20, || {
        home.run(&["trigger", "twilio.call-status"]).expect(0);
        events.child.try_wait().unwrap()
    });
    assert!(finished.success());
    let said: Said = events.wait(5);
    let lines = said.lines();
    assert_eq!(lines.len(), 3);
    let seqs: Vec<u64> = lines
        .iter()
        .map(|line| line["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
}

#[test]
fn a_taken_port_and_a_taken_directory_are_one_sentence_and_a_fix() {
    let home = Home::new();
    let _backend = home.serve();
    let said = home.run(&["serve", "--listen", "127.0.0.1:0"]).expect(1);
    assert!(said.err.contains("another wallboard"), "{}", said.err);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = Home::new()
        .run(&["serve", "--listen", &address, "--json"])
        .expect(1);
    let error = said.err.lines().last().unwrap();
    let error: Value = serde_json::from_str(error).unwrap();
    assert!(
        error["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("--listen")
    );
}

#[test]
fn serve_prints_what_to_paste_and_ends_at_sigterm() {
    let home = twilio().with("PUBLIC_URL", "https://calls.example.com");
    let backend = home.serve();
    backend.terminate();
    let said = backend.wait(20).expect(0);
    assert!(
        said.out
            .contains("https://calls.example.com/incoming-call#rc=3&rp=all"),
        "{}",
        said.out
    );
    assert!(!home.data().join("backend.json").exists());
}

#[test]
fn a_restart_finds_what_was_told_before() {
    let home = twilio();
    let backend: Running = home.serve();
    let sid = sid(4);
    home.run(&["trigger", "twilio.call-status", "--sid", &sid])
        .expect(0);
    let mut backend = backend;
    backend.child.kill().unwrap();
    backend.child.wait().unwrap();
    drop(backend);
    let _again = home.serve();
    let rows = calls(&home, &[]);
    assert_eq!(rows[0]["carrier_call_id"], sid);
    home.run(&[
        "trigger",
        "twilio.call-status",
        "--sid",
        &sid,
        "--status",
        "completed",
    ])
    .expect(0);
    home.run(&[
        "trigger",
        "twilio.call-status",
        "--sid",
        &sid,
        "--status",
        "ringing",
    ])
    .expect(0);
    assert_eq!(calls(&home, &[])[0]["status"], "completed");
}

#[test]
fn a_list_of_leads_is_imported_and_names_the_card() {
    let home = twilio();
    let _backend = home.serve();
    let file = home.path().join("leads.csv");
    std::fs::write(
        &file,
        "id,phone,name,city\nL1,+14155550134,Ana Roy,Pune\nL2,0155,Ben,\nL3,+14155550136,Cy,Oslo\n",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let said = home.run(&["leads", "import", path, "--json"]).expect(1);
    assert_eq!(said.lines()[0]["imported"], 2);
    assert_eq!(said.lines()[0]["rejected"][0]["line"], 3);
    let leads = home.run(&["leads", "ls", "--json"]).expect(0).lines();
    assert_eq!(leads.len(), 2);
    assert_eq!(
        (
            &leads[0]["id"],
            &leads[0]["call_status"],
            &leads[0]["fields"]["city"]
        ),
        (
            &Value::from("L1"),
            &Value::from("new"),
            &Value::from("Pune")
        )
    );
    home.run(&["leads", "import", "nowhere.csv"]).expect(2);
    let sid = sid(9);
    home.run(&[
        "trigger",
        "twilio.call-status",
        "--sid",
        &sid,
        "--set",
        "From=+14155550134",
        "--set",
        "Direction=inbound",
    ])
    .expect(0);
    until("the name on the card", 10, || {
        let rows = calls(&home, &[]);
        (rows[0]["name"] == "Ana Roy" && rows[0]["lead_id"] == "L1").then_some(())
    });
    let found = home.run(&["leads", "ls", "--find", "ana"]).expect(0).out;
    assert!(found.contains("called") && !found.contains("Cy"), "{found}");
}

#[test]
fn what_can_be_done_by_key_can_be_done_by_verb() {
    let home = twilio();
    let _backend = home.serve();
    let sid = sid(5);
    home.run(&["trigger", "twilio.call-status", "--sid", &sid])
        .expect(0);
    let did = |args: &[&str]| {
        let said = home.run(args).expect(0);
        let row = said.lines().pop().unwrap();
        assert_eq!(row["ok"], true, "{args:?}: {row}");
    };
    did(&["claim", &sid, "--json"]);
    did(&["flag", &sid, "refund", "policy", "--json"]);
    did(&["note", &sid, "called", "back", "--json"]);
    did(&["release", &sid, "--json"]);
    did(&["dialing", "stop", "--json"]);
    let said = home.run(&["call", "+15551230000", "--json"]);
    assert_ne!(said.code, 0, "dialing was stopped");
    did(&["dialing", "resume", "--json"]);
    let shown = home
        .run(&["unmask", &sid, "--reason", "callback", "--json"])
        .expect(0)
        .lines();
    assert_eq!(shown[0]["from"], "+15551230000");
    // What needs an agent on the line is refused in words, not done.
    for args in [
        &["whisper", sid.as_str(), "hello"][..],
        &["pause", &sid],
        &["takeover", &sid],
        &["ack", &sid],
        &["snooze", &sid, "dead_air"],
    ] {
        let said = home.run(args);
        assert!(
            said.code != 0 && !said.err.is_empty(),
            "{args:?}: {}",
            said.err
        );
    }
    home.run(&["record", &sid, "rewind"]).expect(2);
}

#[test]
fn a_call_that_asks_for_attention_is_listed_with_its_evidence() {
    let home = twilio();
    home.configure("[alerts]\nghost_call = \"1s\"\n");
    let _backend = home.serve();
    let sid = sid(6);
    home.run(&["trigger", "twilio.call-status", "--sid", &sid])
        .expect(0);
    let alerts = until("the alert", 20, || {
        let rows = home.run(&["alerts", "--json"]).expect(0).lines();
        (!rows.is_empty()).then_some(rows)
    });
    let alert = &alerts[0];
    for key in [
        "id",
        "carrier_call_id",
        "number",
        "agent",
        "rule",
        "severity",
        "reason",
        "value",
        "threshold",
        "since",
        "evidence",
        "acknowledged_by",
        "snoozed_until",
    ] {
        assert!(alert.get(key).is_some(), "{key}: {alert}");
    }
    assert_eq!(alert["rule"], "ghost_call");
    assert_eq!(alert["carrier_call_id"], sid);
    home.run(&["ack", &sid]).expect(0);
    let table = home.run(&["alerts"]).expect(0).out;
    assert!(
        table.contains("no sign") && table.contains("by "),
        "{table}"
    );
    let mut follow = home.start(&["alerts", "--follow", "--json"]);
    assert!(follow.line().contains("ghost_call"));
    home.run(&["snooze", &sid, "--minutes", "5"]).expect(0);
}

#[test]
fn the_audit_trail_can_be_read_without_a_screen() {
    let home = twilio();
    let _backend = home.serve();
    let sid = sid(3);
    home.run(&["trigger", "twilio.call-status", "--sid", &sid])
        .expect(0);
    home.run(&["note", &sid, "asks for a refund", "--reason", "ticket 7"])
        .expect(0);
    let token = home
        .run(&["token", "add", "vera", "--role", "viewer", "--json"])
        .expect(0)
        .lines();
    // The trail is written beside what it tells of.
    let note = until("the note is on the trail", 10, || {
        let rows = home.run(&["--json", "audit", "--limit", "20"]).expect(0);
        rows.lines()
            .into_iter()
            .find(|row| row["verb"] == "note" && row["reason"] == "ticket 7")
    });
    assert!(note["call"].is_string() && note["by"].is_string() && note["at"].is_string());
    let table = home.run(&["audit"]).expect(0).out;
    assert!(
        table.contains("WHEN") && table.contains("ticket 7"),
        "{table}"
    );
    let secret = token[0]["token"].as_str().unwrap().to_owned();
    let viewer = home.with("WALLBOARD_TOKEN", &secret);
    // The backend looks at its tokens every now and then.
    let refused = until("the token is known", 10, || {
        let said = viewer.run(&["audit", "--json"]).expect(3);
        let error = said.error()["error"].clone();
        (error["code"] == "forbidden").then_some(error)
    });
    assert!(refused["message"].as_str().unwrap().contains("audit trail"));
    assert!(refused["hint"].as_str().unwrap().contains("admin"));
}
