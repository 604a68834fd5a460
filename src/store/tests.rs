//! The journal on a real file: nothing lost, nothing silently empty, nothing outside its folder.

mod files;
mod leads;
mod levels;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::call::{
    Call, CallFacts, CallId, CallStatus, ENVELOPE_VERSION, Envelope, Fact, Source, Track,
    TurnTiming,
};
use crate::engine::testing::at;
use crate::engine::{AuditEntry, Clock, HistoryQuery, Journal, StoreError, StoreHealth, Tasks};

use super::open::FILE;
use super::{SqliteJournal, open};

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
    let query = HistoryQuery {
        audit: true,
        limit: 10,
        ..HistoryQuery::default()
    };
    let page = journal.history(query).await.expect("readable");
    assert_eq!(page.audit, trail);
    assert!(page.items.is_empty());
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let turn = 0u32..6;
    let track = prop_oneof![Just(Track::FromCaller), Just(Track::FromAgent)];
    let text = "[a-z ]{1,12}";
    prop_oneof![
        4 => (turn.clone(), track.clone(), text).prop_map(|(turn, track, text)| Fact::UtteranceInterim { turn, track, text }),
        4 => (turn.clone(), track.clone(), text).prop_map(|(turn, track, text)| Fact::UtteranceFinal { turn, track, text, latency_ms: None }),
        2 => (turn.clone(), track, text).prop_map(|(turn, track, heard)| Fact::UtteranceTruncated { turn, track, heard, cut_at_ms: 7, by: None }),
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
