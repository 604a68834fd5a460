//! The files themselves: damage, versions, rights, recordings, retention, sudden death.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use chrono::TimeDelta;
use rusqlite::Connection;

use crate::call::{Call, CallFacts, CallStatus, Fact, Recording, RecordingState, TurnTiming};
use crate::engine::testing::at;
use crate::engine::{Clock, HistoryQuery, Journal, RecordingVault, Tasks};
use crate::store::open::FILE;
use crate::store::schema::{MIGRATIONS, VERSION};
use crate::store::{Recordings, Retention, SqliteJournal, StoreOpenError, open};

use super::{Author, ended, folder, found, id, opened, said, seen, words};

#[tokio::test]
async fn a_damaged_file_is_set_aside_loudly_and_never_silently_emptied() {
    for damage in ["cut", "garbled", "foreign"] {
        let dir = folder();
        let mut author = Author::new();
        let journal = opened(dir.path());
        for turn in 0..400 {
            if turn == 0 {
                author.write(&journal, id(1), seen(1));
            }
            author.write(&journal, id(1), said(turn, "words words words words words"));
        }
        journal.close().await.expect("written");
        drop(journal);
        let path = dir.path().join(FILE);
        // Closed cleanly there is no log; the reader's connection is gone too.
        let _none = fs::remove_file(dir.path().join(format!("{FILE}-wal")));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("the file");
        let length = file.metadata().expect("its length").len();
        match damage {
            "cut" => file.set_len(length / 2).expect("cut"),
            "garbled" => {
                file.seek(SeekFrom::Start(4096)).expect("a page");
                file.write_all(&[0xAA; 16_384]).expect("garbage");
            }
            _ => {
                file.set_len(0).expect("emptied");
                file.write_all(b"Dear diary").expect("a text");
            }
        }
        drop(file);
        let journal = opened(dir.path());
        let aside = journal.opened().set_aside.clone().expect(damage);
        assert!(
            aside.exists() && aside.to_string_lossy().contains(".corrupt-"),
            "{aside:?}"
        );
        let notices = journal.opening_notices();
        assert!(matches!(&notices[..], [Fact::Notice { code, .. }] if code == "store_set_aside"));
        assert!(journal.unfinished().await.expect("readable").is_empty());
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_or_another_program_is_refused_with_the_fix() {
    let dir = folder();
    drop(opened(dir.path()));
    let path = dir.path().join(FILE);
    let connection = Connection::open(&path).expect("a connection");
    connection
        .pragma_update(None, "user_version", VERSION + 1)
        .expect("set");
    let refused = try_open(dir.path()).expect_err("newer");
    assert!(matches!(refused, StoreOpenError::Newer { .. }));
    assert!(
        refused.to_string().contains("update wallboard"),
        "{refused}"
    );
    connection
        .pragma_update(None, "user_version", VERSION)
        .expect("set");
    connection
        .pragma_update(None, "application_id", 7)
        .expect("set");
    let refused = try_open(dir.path()).expect_err("foreign");
    assert!(matches!(refused, StoreOpenError::NotOurs { .. }));
    assert!(path.exists(), "nothing was moved");
}

fn try_open(dir: &Path) -> Result<SqliteJournal, StoreOpenError> {
    open(dir, &Tasks::new(), Clock::staged(at(0)))
}

#[tokio::test]
async fn two_backends_never_share_a_folder() {
    let dir = folder();
    let first = opened(dir.path());
    assert!(matches!(
        try_open(dir.path()),
        Err(StoreOpenError::InUse { .. })
    ));
    drop(first);
    assert!(try_open(dir.path()).is_ok());
}

#[tokio::test]
async fn files_of_every_released_version_are_brought_up_to_date() {
    for from in 1..VERSION {
        let dir = folder();
        let path = dir.path().join(FILE);
        let connection = Connection::open(&path).expect("a file");
        for script in MIGRATIONS.iter().take(from as usize) {
            connection.execute_batch(script).expect("a script");
        }
        connection
            .execute_batch(&format!(
                "PRAGMA application_id = 1463897154; PRAGMA user_version = {from};"
            ))
            .expect("stamped");
        let mut call = Call::new(id(1), CallFacts::default(), CallStatus::Ringing, at(0));
        call.facts.carrier = "twilio".into();
        connection
            .execute(
                "INSERT INTO calls (id, carrier, direction, from_number, to_number, status, live,
                    started_at, state) VALUES (?1, 'twilio', 'inbound', '', '', 'ringing', 1, 0, ?2)",
                [id(1).to_string(), serde_json::to_string(&call).expect("json")],
            )
            .expect("a call");
        drop(connection);
        let journal = opened(dir.path());
        assert_eq!(journal.opened().migrated_from, Some(from));
        assert_eq!(journal.unfinished().await.expect("readable"), [call]);
        assert!(
            dir.path().join(format!("{FILE}.v{from}")).exists(),
            "a copy is kept"
        );
    }
}

#[tokio::test]
async fn every_stage_of_a_turn_is_kept() {
    let dir = folder();
    let journal = opened(dir.path());
    let mut author = Author::new();
    author.write(&journal, id(1), seen(1));
    let timing = TurnTiming {
        turn: 2,
        latency_ms: 1_500,
        ears_ms: Some(600),
        token_ms: Some(250),
        think_ms: Some(800),
        voice_ms: Some(100),
    };
    author.write(&journal, id(1), Fact::TurnTimed { timing });
    journal.flush().await.expect("on disk");
    let connection = Connection::open(dir.path().join(FILE)).expect("the file");
    let stages: [u32; 6] = connection
        .query_row(
            "SELECT turn, latency_ms, ears_ms, token_ms, think_ms, voice_ms FROM turns",
            [],
            |row| {
                Ok([
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ])
            },
        )
        .expect("a row");
    assert_eq!(stages, [2, 1_500, 600, 250, 800, 100]);
}

#[cfg(unix)]
#[tokio::test]
async fn everything_in_the_folder_is_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let home = dir.path().join("data");
    let journal = opened(&home);
    let mut author = Author::new();
    author.write(&journal, id(1), seen(1));
    journal.flush().await.expect("on disk");
    let vault = Recordings::new(journal.clone());
    vault
        .keep(id(1), "RE1".into(), Bytes::from_static(b"RIFF"))
        .await
        .expect("kept");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o700);
    for name in [FILE.to_owned(), format!("{FILE}-wal")] {
        assert_eq!(mode(&home.join(&name)), 0o600, "{name}");
    }
    assert_eq!(mode(&home.join("recordings")), 0o700);
    for file in fs::read_dir(home.join("recordings")).expect("a folder") {
        assert_eq!(mode(&file.expect("a file").path()), 0o600);
    }
}

#[tokio::test]
async fn a_recording_is_kept_once_under_a_name_of_ours() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    author.write(&journal, id(1), seen(1));
    let evil = "../../etc/passwd\0.wav";
    author.write(
        &journal,
        id(1),
        Fact::RecordingChanged {
            recording: Recording {
                id: evil.into(),
                state: RecordingState::Completed,
                duration_s: Some(3),
                url: None,
                error: None,
            },
        },
    );
    journal.flush().await.expect("on disk");
    let vault = Recordings::new(journal.clone());
    assert_eq!(vault.missing().await.expect("readable").len(), 1);
    let audio = Bytes::from_static(b"RIFF....WAVE");
    let one = vault
        .keep(id(1), evil.into(), audio.clone())
        .await
        .expect("kept");
    let two = vault
        .keep(id(1), evil.into(), audio.clone())
        .await
        .expect("kept");
    assert_eq!(one, two);
    assert!(vault.missing().await.expect("readable").is_empty());
    let kept = vault
        .find(one.clone())
        .await
        .expect("readable")
        .expect("kept");
    assert_eq!((kept.call, kept.bytes), (id(1), audio.len() as u64));
    assert!(kept.path.starts_with(dir.path()));
    assert_eq!(fs::read(&kept.path).expect("the file"), audio);
    for odd in [
        "..",
        "../wallboard.db",
        "CON",
        "",
        &format!("{one}/.."),
        evil,
    ] {
        assert_eq!(
            vault.find(odd.into()).await.expect("readable"),
            None,
            "{odd}"
        );
    }
    let retention = Retention {
        recordings_days: Some(0),
        ..Retention::default()
    };
    author.write(&journal, id(1), ended());
    journal.flush().await.expect("on disk");
    // The staged clock stands still; the end lies after it.
    let removed = journal
        .purge_at(retention, at(100) + TimeDelta::days(1))
        .await
        .expect("purged");
    assert_eq!(removed.recordings, 1);
    assert!(!kept.path.exists());
    assert!(
        vault.missing().await.expect("readable").is_empty(),
        "not fetched again"
    );
}

#[tokio::test]
async fn what_was_being_received_when_a_backend_was_killed_is_gone_after_the_next_start() {
    let dir = folder();
    let journal = opened(dir.path());
    let vault = Recordings::new(journal.clone());
    let kept = vault
        .keep(id(1), "RE1".into(), Bytes::from_static(b"RIFF"))
        .await
        .expect("kept");
    let (_, part) = vault.begin().await.expect("a place");
    fs::write(&part, b"half a recording").expect("written");
    let theirs = dir.path().join("recordings").join("notes.part");
    fs::write(&theirs, b"not ours").expect("written");
    // Whoever does not get the folder touches nothing in it.
    assert!(try_open(dir.path()).is_err());
    assert!(part.exists());
    // Killed: nobody says goodbye to the file.
    drop((vault, journal));
    let journal = opened(dir.path());
    assert!(!part.exists());
    assert!(theirs.exists(), "a file nobody here has made stays");
    let vault = Recordings::new(journal);
    let kept = vault.find(kept).await.expect("readable").expect("kept");
    assert!(kept.path.exists());
}

#[tokio::test]
async fn retention_removes_what_is_old_and_nothing_else() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    for n in 1..=3 {
        author.write(&journal, id(n), seen(n));
        author.write(&journal, id(n), said(1, "secret words"));
    }
    author.write(&journal, id(1), ended());
    journal.flush().await.expect("on disk");
    let transcripts = Retention {
        transcripts_days: Some(1),
        ..Retention::default()
    };
    let soon = at(60);
    let removed = journal.purge_at(transcripts, soon).await.expect("purged");
    assert_eq!(removed.transcripts, 0);
    let late = at(0) + TimeDelta::days(3);
    assert_eq!(
        journal
            .purge_at(transcripts, late)
            .await
            .expect("purged")
            .transcripts,
        1
    );
    assert_eq!(found(&journal, words("secret")).await, [id(3), id(2)]);
    assert_eq!(found(&journal, HistoryQuery::default()).await.len(), 3);
    let calls = Retention {
        calls_days: Some(1),
        ..Retention::default()
    };
    assert_eq!(
        journal.purge_at(calls, late).await.expect("purged").calls,
        1
    );
    assert_eq!(
        found(&journal, HistoryQuery::default()).await,
        [id(3), id(2)]
    );
}

/// The victim of the crash test: writes calls, and says of each when it was acknowledged.
#[tokio::test]
#[ignore = "started and killed by a_backend_killed_at_any_moment_has_kept_what_it_acknowledged"]
async fn crash_victim() {
    let Some(dir) = std::env::var_os("WALLBOARD_TEST_CRASH_DIR") else {
        return;
    };
    let journal = opened(Path::new(&dir));
    let mut author = Author::new();
    let start = journal.unfinished().await.expect("readable").len() as u8;
    for n in start..u8::MAX {
        author.write(&journal, id(n), seen(n));
        for turn in 0..5 {
            author.write(&journal, id(n), said(turn, "words that count"));
        }
        journal.flush().await.expect("on disk");
        println!("acknowledged {n}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_backend_killed_at_any_moment_has_kept_what_it_acknowledged() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let dir = folder();
    let mut acknowledged = 0;
    for round in 1..=4_usize {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args([
                "--exact",
                "store::tests::files::crash_victim",
                "--ignored",
                "--nocapture",
            ])
            .env("WALLBOARD_TEST_CRASH_DIR", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut said = BufReader::new(child.stdout.take().expect("its words")).lines();
        let mut lines = 0;
        while lines < round * 7 {
            let line = said.next().expect("a living child").expect("a line");
            if let Some(n) = line.split("acknowledged ").nth(1) {
                acknowledged = acknowledged.max(n.trim().parse::<u8>().expect("a number"));
                lines += 1;
            }
        }
        // SIGKILL: no goodbye of any kind.
        child.kill().expect("killed");
        child.wait().expect("gone");
        let journal = opened(dir.path());
        assert_eq!(journal.opened().set_aside, None);
        let calls = journal.unfinished().await.expect("readable");
        for n in 0..=acknowledged {
            let kept = calls.iter().find(|call| call.id == id(n)).expect("kept");
            assert_eq!(kept.lines.len(), 5, "call {n}");
        }
        journal.close().await.expect("closed");
    }
}
