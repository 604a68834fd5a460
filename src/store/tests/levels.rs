//! What a route does not want kept is not in the file.

use std::sync::Arc;

use chrono::TimeDelta;

use super::{Author, ended, folder, found, id, opened, said, seen, words};
use crate::call::{
    CallFacts, ENVELOPE_VERSION, Envelope, Fact, LeadMessage, StoreLevel, TurnTiming,
};
use crate::engine::testing::at;
use crate::engine::{HistoryQuery, Journal, SearchQuery};
use crate::store::open::FILE;
use crate::store::{Retention, SqliteJournal};

/// In everything that must not be found again.
const WORD: &str = "quokka";

fn seen_keeping(n: u8, level: StoreLevel) -> Fact {
    let mut fact = seen(n);
    if let Fact::CallSeen { facts, .. } = &mut fact {
        facts.store = level;
    }
    fact
}

fn telling() -> Vec<Fact> {
    let text = || format!("a {WORD} has said so");
    vec![
        said(1, &text()),
        Fact::ToolCalled {
            turn: 1,
            tool_call_id: "t1".into(),
            name: "lookup".into(),
            args: text(),
        },
        Fact::ToolReturned {
            tool_call_id: "t1".into(),
            ok: true,
            result: text(),
            took_ms: None,
        },
        Fact::TurnTimed {
            timing: TurnTiming {
                turn: 1,
                latency_ms: 900,
                ..TurnTiming::default()
            },
        },
        Fact::Transferred {
            to: "+15550001111".into(),
            state: "failed".into(),
            reason: Some(text()),
        },
        Fact::ConversationAnalysed {
            summary: Some(text()),
            sentiment: None,
            topics: vec![WORD.into()],
        },
        ended(),
    ]
}

/// Whether a word is anywhere in the files, searchable or not.
fn is_on_disk(dir: &std::path::Path, word: &str) -> bool {
    let names = [FILE.to_owned(), format!("{FILE}-wal")];
    names.iter().any(|name| {
        let bytes = std::fs::read(dir.join(name)).unwrap_or_default();
        bytes
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    })
}

async fn searched(journal: &SqliteJournal) -> usize {
    let query = SearchQuery {
        text: WORD.into(),
        limit: 10,
        ..SearchQuery::default()
    };
    journal.search(query).await.expect("readable").len()
}

fn messaged(journal: &SqliteJournal, lead: &str, message: &str, store: StoreLevel) {
    let message = LeadMessage {
        id: message.into(),
        lead_id: lead.into(),
        sent_by: "user".into(),
        channel: "sms".into(),
        text: WORD.into(),
        store,
        ..LeadMessage::default()
    };
    let envelope = Envelope {
        v: ENVELOPE_VERSION,
        seq: 1,
        at: at(1),
        call: None,
        event: Fact::LeadMessaged { message }.into(),
    };
    journal.append(Arc::new(envelope)).expect("queued");
}

#[tokio::test]
async fn of_a_call_that_keeps_facts_only_no_word_reaches_the_disk_not_even_after_a_restart() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    author.write(&journal, id(1), seen_keeping(1, StoreLevel::FactsOnly));
    for fact in telling() {
        author.write(&journal, id(1), fact);
    }
    messaged(&journal, "L1", "m1", StoreLevel::All);
    journal.flush().await.expect("on disk");
    drop(journal);
    let journal = opened(dir.path());
    let mut author = Author::new();
    // Told again, late, by a vendor's record of the call.
    author.write(&journal, id(1), said(7, WORD));
    messaged(&journal, "L1", "m2", StoreLevel::All);
    journal.flush().await.expect("on disk");
    assert!(!is_on_disk(dir.path(), WORD));
    assert_eq!(searched(&journal).await, 0);
    // What happened is all there.
    let page = journal
        .history(HistoryQuery::default())
        .await
        .expect("a page");
    let call = &page.items[0];
    assert_eq!((call.duration_s, call.turns.len()), (Some(42), 1));
    assert_eq!(call.facts.store, StoreLevel::FactsOnly);
    assert!(call.lines.is_empty() && call.analysis.is_none());
    let texts = journal.messages("L1".into(), 10).await.expect("readable");
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|(_, message)| message.text.is_empty()));
    assert!(
        is_on_disk(dir.path(), "tool_called"),
        "that a tool ran is a fact"
    );
}

#[tokio::test]
async fn words_written_before_the_route_was_known_go_when_it_is() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    for n in [1, 2] {
        author.write(&journal, id(n), seen(n));
        for fact in telling() {
            author.write(&journal, id(n), fact);
        }
    }
    journal.flush().await.expect("on disk");
    assert_eq!(found(&journal, words(WORD)).await, [id(2), id(1)]);
    let facts = CallFacts {
        store: StoreLevel::FactsOnly,
        ..CallFacts::default()
    };
    author.write(&journal, id(1), Fact::CallDescribed { facts });
    journal.flush().await.expect("on disk");
    assert_eq!(found(&journal, words(WORD)).await, [id(2)]);
    let only = HistoryQuery {
        call: Some(id(1)),
        ..HistoryQuery::default()
    };
    let page = journal.history(only).await.expect("a page");
    assert!(page.items[0].lines.is_empty() && page.items[0].analysis.is_none());
}

#[tokio::test]
async fn a_message_keeps_as_little_as_its_own_route_says() {
    let dir = folder();
    let journal = opened(dir.path());
    messaged(&journal, "L9", "m1", StoreLevel::FactsOnly);
    messaged(&journal, "L9", "m2", StoreLevel::NoAudio);
    journal.flush().await.expect("on disk");
    let texts = journal.messages("L9".into(), 10).await.expect("readable");
    let texts: Vec<&str> = texts.iter().map(|(_, text)| text.text.as_str()).collect();
    assert_eq!(texts, ["", WORD]);
}

#[tokio::test]
async fn retention_of_transcripts_takes_the_summary_with_them() {
    let dir = folder();
    let mut author = Author::new();
    let journal = opened(dir.path());
    author.write(&journal, id(1), seen(1));
    for fact in telling() {
        author.write(&journal, id(1), fact);
    }
    journal.flush().await.expect("on disk");
    let retention = Retention {
        transcripts_days: Some(1),
        ..Retention::default()
    };
    let late = at(0) + TimeDelta::days(3);
    let removed = journal.purge_at(retention, late).await.expect("purged");
    assert_eq!(removed.transcripts, 1);
    let page = journal
        .history(HistoryQuery::default())
        .await
        .expect("a page");
    assert_eq!(page.items[0].analysis, None);
}
