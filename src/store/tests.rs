//! The journal on a real file: nothing lost, nothing silently empty, nothing outside its folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::call::{
    Call, CallFacts, CallId, CallStatus, ENVELOPE_VERSION, Envelope, Fact, Recording,
    RecordingState, Source, Track, TurnTiming,
};
use crate::engine::testing::at;
use crate::engine::{
    AuditEntry, Clock, HistoryQuery, Journal, RecordingVault, StoreError, StoreHealth, Tasks,
};

use super::open::FILE;
use super::schema::{MIGRATIONS, VERSION};
use super::{Recordings, Retention, SqliteJournal, StoreOpenError, open};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn opened(dir: &Path) -> SqliteJournal {
    open(dir, &Tasks::new(), Clock::staged(at(0))).expect("a journal")
}

fn id(n: u8) -> CallId {
    CallId::from_parts(1_795_219_200_000 + u64::from(n), [n; 10])
}

fn seen(n: u8) -> Fact {
    Fact::CallSeen {
        facts: CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some(format!("CA{n}")),
            from: "+15551230000".into(),
            to: format!("+1555765{n:04}"),
            name: Some(format!("Caller {n}")),
            lead_id: Some(format!("L{n}")),
            ..CallFacts::default()
        },
        status: CallStatus::InProgress,
        started_at: None,
    }
}

fn said(turn: u32, text: &str) -> Fact {
    Fact::UtteranceFinal {
        turn,
        track: Track::FromCaller,
        text: text.into(),
        latency_ms: None,
    }
}

fn ended() -> Fact {
    Fact::CallEnded {
        status: CallStatus::Completed,
        ended_by: None,
        cause: None,
        duration_s: Some(42),
        source: Source::Webhook,
    }
}

/// Appends facts and folds them as the board would.
struct Author {
    seq: u64,
    calls: std::collections::BTreeMap<CallId, Call>,
}

impl Author {
    fn new() -> Self {
        Self {
            seq: 0,
            calls: std::collections::BTreeMap::new(),
        }
    }

    fn write(&mut self, journal: &SqliteJournal, call: CallId, fact: Fact) {
        self.seq += 1;
        let envelope = Envelope {
            v: ENVELOPE_VERSION,
            seq: self.seq,
            at: at(self.seq as i64),
            call: Some(call),
            event: fact.into(),
        };
        if !self.calls.contains_key(&call) {
            self.calls
                .extend(Call::seen(&envelope).map(|seen| (call, seen)));
        }
        if let Some(known) = self.calls.get_mut(&call) {
            known.take(&envelope);
        }
        journal.append(Arc::new(envelope)).expect("queued");
    }
}

fn words(text: &str) -> HistoryQuery {
    HistoryQuery {
        text: Some(text.into()),
        ..HistoryQuery::default()
    }
}

async fn found(journal: &SqliteJournal, query: HistoryQuery) -> Vec<CallId> {
    let page = journal.history(query).await.expect("a page");
    page.items.iter().map(|call| call.id).collect()
}

#[tokio::test]
async fn what_was_flushed_is_there_after_a_crash_call_by_call_exactly() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    author.write(&journal, id(1), seen(1));
    author.write(&journal, id(1), said(1, "hello"));
    author.write(&journal, id(2), seen(2));
    author.write(&journal, id(2), ended());
    journal.flush().await.expect("on disk");
    // A crash: the files as they are now, without any goodbye.
    let crashed = folder();
    for name in [FILE.to_owned(), format!("{FILE}-wal")] {
        fs::copy(dir.path().join(&name), crashed.path().join(&name)).expect("a copy");
    }
    let journal = opened(crashed.path());
    let calls = journal.unfinished().await.expect("readable");
    assert_eq!(calls, [author.calls[&id(1)].clone()]);
    assert!(journal.ended_before("twilio".into(), "CA2".into()).await);
    assert!(!journal.ended_before("twilio".into(), "CA1".into()).await);
    assert!(!journal.ended_before("plivo".into(), "CA2".into()).await);
    let all = journal.ended_call("twilio".into(), "CA2".into()).await;
    assert_eq!(all, Some(id(2)));
}

#[tokio::test]
async fn dropping_the_journal_writes_what_was_queued() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    author.write(&journal, id(1), seen(1));
    journal.close().await.expect("written");
    assert!(matches!(journal.flush().await, Err(StoreError::Write(_))));
    drop(journal);
    assert_eq!(
        opened(dir.path())
            .unfinished()
            .await
            .expect("readable")
            .len(),
        1
    );
}

#[tokio::test]
async fn late_news_reach_a_call_of_an_earlier_run() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    author.write(&journal, id(1), seen(1));
    author.write(&journal, id(1), said(1, "hello"));
    author.write(&journal, id(1), ended());
    journal.close().await.expect("written");
    drop(journal);
    let journal = opened(dir.path());
    let usd = 0.25;
    author.write(
        &journal,
        id(1),
        Fact::Costed {
            usd,
            source: "twilio".into(),
        },
    );
    journal.flush().await.expect("on disk");
    let query = HistoryQuery {
        call: Some(id(1)),
        ..HistoryQuery::default()
    };
    let page = journal.history(query).await.expect("a page");
    assert_eq!(page.items, [author.calls[&id(1)].clone()]);
}

#[tokio::test]
async fn search_finds_words_names_and_numbers_newest_first_page_by_page() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    for n in 1..=5 {
        author.write(&journal, id(n), seen(n));
        author.write(
            &journal,
            id(n),
            said(
                1,
                if n % 2 == 1 {
                    "I want a réfund"
                } else {
                    "bye"
                },
            ),
        );
    }
    author.write(
        &journal,
        id(2),
        Fact::UtteranceInterim {
            turn: 2,
            track: Track::FromCaller,
            text: "refund perhaps".into(),
        },
    );
    journal.flush().await.expect("on disk");
    assert_eq!(
        found(&journal, words("refund")).await,
        [id(5), id(3), id(1)]
    );
    assert_eq!(
        found(&journal, words("WANT ref")).await,
        [id(5), id(3), id(1)]
    );
    assert_eq!(found(&journal, words("caller 4")).await, [id(4)]);
    assert_eq!(found(&journal, words("7650002")).await, [id(2)]);
    let lead = HistoryQuery {
        lead_id: Some("L3".into()),
        ..HistoryQuery::default()
    };
    assert_eq!(found(&journal, lead).await, [id(3)]);
    let mut query = HistoryQuery {
        limit: 2,
        ..words("refund")
    };
    let page = journal.history(query.clone()).await.expect("a page");
    assert_eq!(page.items.len(), 2);
    query.cursor = page.next;
    let page = journal.history(query).await.expect("a page");
    assert_eq!(
        page.items.iter().map(|call| call.id).collect::<Vec<_>>(),
        [id(1)]
    );
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn what_an_operator_types_is_never_an_operator_of_the_query() {
    let dir = folder();
    let journal = opened(dir.path());
    let mut author = Author::new();
    author.write(&journal, id(1), seen(1));
    author.write(&journal, id(1), said(1, "near the end or not"));
    journal.flush().await.expect("on disk");
    for text in [
        "\"",
        "a\"b",
        "end*",
        "NEAR(",
        "x OR y",
        "-end",
        "text:end",
        "^near",
        "{a b}",
        "(",
        "'; DROP TABLE calls; --",
        "%",
        "_",
        "\\",
        "\0",
        "🙂",
        "+",
        "AND",
        "NOT end",
    ] {
        journal
            .history(words(text))
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    assert_eq!(found(&journal, words("near")).await, [id(1)]);
    assert!(found(&journal, words("near OR zebra")).await.is_empty());
    let odd = HistoryQuery {
        cursor: Some("1' OR 1".into()),
        ..HistoryQuery::default()
    };
    assert!(found(&journal, odd).await.is_empty());
}

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
async fn a_disk_that_fails_is_reported_and_forgiven_without_loss() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    let mut health = journal.health().expect("health");
    author.write(&journal, id(1), seen(1));
    journal.flush().await.expect("on disk");
    // A full disk: the file may not grow by one more page.
    journal.limit_pages(Some(1)).await;
    for turn in 0..2_000 {
        author.write(&journal, id(1), said(turn, &"many words ".repeat(20)));
    }
    let refused = journal.flush().await.expect_err("full");
    assert!(matches!(refused, StoreError::Write(_)));
    health
        .wait_for(|health| *health != StoreHealth::Good)
        .await
        .expect("alive");
    let StoreHealth::Failing { hint, .. } = health.borrow().clone() else {
        panic!("failing");
    };
    assert!(hint.contains("free some space"), "{hint}");
    journal.limit_pages(None).await;
    health
        .wait_for(|health| *health == StoreHealth::Good)
        .await
        .expect("alive");
    journal.flush().await.expect("on disk again");
    assert_eq!(
        journal.unfinished().await.expect("readable"),
        [author.calls[&id(1)].clone()]
    );
}

#[tokio::test]
async fn what_operators_did_and_were_refused_is_in_the_audit_trail() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    let command = Clock::staged(at(0)).command_id();
    author.write(&journal, id(1), seen(1));
    author.write(
        &journal,
        id(1),
        Fact::CommandAccepted {
            command,
            verb: "terminate".into(),
            by: "ana".into(),
            reason: Some("abusive caller".into()),
        },
    );
    journal
        .audit(AuditEntry {
            at: at(9),
            by: "vic".into(),
            from: Some("192.0.2.7".into()),
            verb: "unmask".into(),
            call: Some(id(1)),
            command: None,
            reason: None,
            result: "refused: forbidden".into(),
        })
        .expect("queued");
    journal.flush().await.expect("on disk");
    let trail = journal.audit_trail(10).await.expect("readable");
    let rows: Vec<_> = trail
        .iter()
        .map(|row| (row.by.as_str(), row.result.as_str()))
        .collect();
    assert_eq!(
        rows.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from([("ana", "accepted"), ("vic", "refused: forbidden")])
    );
    assert!(
        trail
            .iter()
            .any(|row| row.reason.as_deref() == Some("abusive caller"))
    );
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

fn any_fact() -> impl Strategy<Value = Fact> {
    let turn = 0u32..6;
    let track = prop_oneof![Just(Track::FromCaller), Just(Track::FromAgent)];
    let text = "[a-z ]{1,12}";
    prop_oneof![
        4 => (turn.clone(), track.clone(), text).prop_map(|(turn, track, text)| Fact::UtteranceInterim { turn, track, text }),
        4 => (turn.clone(), track.clone(), text).prop_map(|(turn, track, text)| Fact::UtteranceFinal { turn, track, text, latency_ms: None }),
        2 => (turn.clone(), track, text).prop_map(|(turn, track, heard)| Fact::UtteranceTruncated { turn, track, heard, cut_at_ms: 7 }),
        1 => (turn.clone(), 0u8..3).prop_map(|(turn, n)| Fact::ToolCalled { turn, tool_call_id: n.to_string(), name: "look".into(), args: "{}".into() }),
        1 => (0u8..3).prop_map(|n| Fact::ToolReturned { tool_call_id: n.to_string(), ok: true, result: "4".into(), took_ms: None }),
        1 => turn.prop_map(|turn| Fact::TurnTimed { timing: TurnTiming { turn, latency_ms: 900, ..TurnTiming::default() } }),
        1 => Just(Fact::Dtmf { digit: "5".into() }),
        1 => Just(ended()),
        1 => Just(Fact::StatusChanged { status: CallStatus::Busy, source: Source::Webhook }),
        1 => Just(Fact::Noted { by: "ana".into(), text: "hm".into() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_journal_gives_back_the_very_call_the_board_had(
        facts in proptest::collection::vec((1u8..4, any_fact(), any::<bool>()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let dir = folder();
            let journal = opened(dir.path());
            let mut author = Author::new();
            for n in 1..4 {
                author.write(&journal, id(n), seen(n));
            }
            for (n, fact, flush) in facts {
                author.write(&journal, id(n), fact);
                if flush {
                    journal.flush().await.expect("on disk");
                }
            }
            journal.flush().await.expect("on disk");
            for (call, wanted) in &author.calls {
                let query = HistoryQuery { call: Some(*call), ..HistoryQuery::default() };
                let page = journal.history(query).await.expect("a page");
                prop_assert_eq!(&page.items[..], std::slice::from_ref(wanted));
            }
            let live: Vec<Call> = author.calls.values().filter(|call| call.is_live()).cloned().collect();
            prop_assert_eq!(journal.unfinished().await.expect("readable"), live);
            Ok(())
        })?;
    }
}
