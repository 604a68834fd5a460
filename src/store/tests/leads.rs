//! The call log and the leads.

use rusqlite::Connection;

use super::{Author, ended, folder, id, opened, said, seen};
use crate::call::{Fact, Lead, LeadKey, LeadRow};
use crate::engine::testing::at;
use crate::engine::{Journal, LeadQuery};
use crate::store::open::FILE;

fn lead(key: &str, number: &str, name: &str) -> Lead {
    let mut row = LeadRow::default();
    row.set("id", key);
    row.set("number", number);
    row.set("name", name);
    row.set("city", "Pune");
    row.checked(at(0)).expect("a lead")
}

fn transferred(state: &str) -> Fact {
    Fact::Transferred {
        to: "+15550001111".into(),
        state: state.into(),
        reason: Some("asked for a person".into()),
    }
}

/// Status, transferred, reason, duration and transcript of the first call's log row.
fn log(dir: &std::path::Path) -> (String, bool, Option<String>, Option<u32>, String) {
    let connection = Connection::open(dir.join(FILE)).expect("a file");
    connection
        .query_row(
            "SELECT status, transferred, transfer_reason, duration_s, transcript FROM call_log
             WHERE call_id = ?1",
            [id(1).to_string()],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )
        .expect("a row")
}

#[tokio::test]
async fn the_log_is_opened_at_the_start_and_told_of_a_transfer_and_of_the_end() {
    let dir = folder();
    let journal = opened(dir.path());
    let mut author = Author::new();
    let who = LeadKey::Id("L1".into());
    author.write(&journal, id(1), seen(1));
    author.write(&journal, id(1), said(1, "a person please"));
    journal.flush().await.expect("on disk");
    assert_eq!(
        log(dir.path()),
        ("called".into(), false, None, None, String::new())
    );
    let known = journal
        .lead(who.clone())
        .await
        .expect("readable")
        .expect("known");
    assert_eq!(
        (known.call_status.as_str(), known.transferred_to_human),
        ("called", false)
    );

    author.write(&journal, id(1), transferred("requested"));
    journal.flush().await.expect("on disk");
    assert_eq!(log(dir.path()).0, "called", "nobody has picked up yet");
    author.write(&journal, id(1), transferred("connected"));
    journal.flush().await.expect("on disk");
    let row = log(dir.path());
    assert_eq!((row.0.as_str(), row.1), ("transferred", true));
    assert_eq!(row.2.as_deref(), Some("asked for a person"));

    author.write(&journal, id(1), ended());
    journal.flush().await.expect("on disk");
    let row = log(dir.path());
    assert_eq!((row.0.as_str(), row.3), ("transferred", Some(42)));
    assert_eq!(row.4, "caller: a person please\n");
    let known = journal.lead(who).await.expect("readable").expect("known");
    assert_eq!(
        (known.call_status.as_str(), known.transferred_to_human),
        ("transferred", true)
    );
    assert_eq!(known.last_call, Some(id(1)));
}

#[tokio::test]
async fn a_list_is_taken_in_and_keeps_what_became_of_its_people() {
    let dir = folder();
    let journal = opened(dir.path());
    let mut author = Author::new();
    author.write(&journal, id(1), seen(1));
    author.write(&journal, id(1), transferred("connected"));
    journal.flush().await.expect("on disk");
    let list = vec![
        lead("L1", "+14155550134", "Ana"),
        lead("L2", "+14155550135", "Ben"),
        lead("L3", "+14155550136", "Cy"),
    ];
    journal.keep_leads(list.clone()).await.expect("on disk");
    journal.keep_leads(list).await.expect("twice is once");
    let page = |text: Option<&str>, after: Option<&str>| LeadQuery {
        text: text.map(str::to_owned),
        after: after.map(str::to_owned),
        limit: 2,
    };
    let first = journal.leads(page(None, None)).await.expect("a page");
    assert_eq!(first.items.len(), 2);
    assert_eq!(first.items[0].name.as_deref(), Some("Ana"));
    assert!(first.items[0].transferred_to_human, "it stays so");
    assert_eq!(first.items[1].call_status, "new");
    assert_eq!(first.items[1].fields["city"], "Pune");
    let rest = journal
        .leads(page(None, first.next.as_deref()))
        .await
        .expect("a page");
    assert_eq!((rest.items.len(), rest.next), (1, None));
    let found = journal
        .leads(page(Some("ben"), None))
        .await
        .expect("a page");
    assert_eq!(found.items[0].id, "L2");
    let by_number = LeadKey::Number("+14155550136".into());
    let cy = journal
        .lead(by_number)
        .await
        .expect("readable")
        .expect("known");
    assert_eq!(cy.id, "L3");
    let nobody = LeadKey::Number("+19995550000".into());
    assert_eq!(journal.lead(nobody).await.expect("readable"), None);
}

/// Every byte below the folder.
fn bytes_of(dir: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            all.extend(bytes_of(&entry.path()));
        } else {
            all.extend(std::fs::read(entry.path()).expect("readable"));
        }
    }
    all
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes
        .windows(word.len())
        .any(|window| window == word.as_bytes())
}

#[tokio::test]
async fn words_of_a_purged_lead_are_in_no_file_any_more() {
    let dir = folder();
    // What a migration left behind holds everything, too.
    let copy = dir.path().join(format!("{FILE}.v3"));
    let journal = opened(dir.path());
    std::fs::write(&copy, "zqcopied").expect("a copy");
    let mut author = Author::new();
    let secret = |call: u8, line: u32, what: &str| format!("zq{call}x{line}{what}");
    for call in 1..=24 {
        let Fact::CallSeen {
            mut facts, status, ..
        } = seen(call)
        else {
            unreachable!()
        };
        // Every other call is another lead's, so that what goes lies among what stays.
        let is_theirs = call % 2 == 1;
        let lead = if is_theirs { "L1" } else { "L2" };
        facts.lead_id = Some(lead.into());
        facts.name = Some(format!("{lead}named"));
        let first = Fact::CallSeen {
            facts,
            status,
            started_at: None,
        };
        author.write(&journal, id(call), first);
        for line in 1..=60 {
            let word = |what: &str| {
                if is_theirs {
                    secret(call, line, what)
                } else {
                    format!("kept{call}x{line}{what}")
                }
            };
            let interim = Fact::UtteranceInterim {
                turn: line,
                track: crate::call::Track::FromCaller,
                text: word("heardfirst"),
            };
            author.write(&journal, id(call), interim);
            let text = format!("{} and {} in one line", word("said"), word("again"));
            author.write(&journal, id(call), said(line, &text));
            if line % 10 == 0 {
                journal.flush().await.expect("on disk");
            }
        }
        let analysed = Fact::ConversationAnalysed {
            summary: Some(
                if is_theirs {
                    "zqsummary"
                } else {
                    "keptsummary"
                }
                .into(),
            ),
            sentiment: None,
            topics: vec![if is_theirs { "zqtopic" } else { "kepttopic" }.into()],
        };
        author.write(&journal, id(call), analysed);
        author.write(&journal, id(call), ended());
        journal.flush().await.expect("on disk");
    }
    let before = bytes_of(dir.path());
    for word in [
        "zq1x1said",
        "zq23x60again",
        "zqsummary",
        "zqtopic",
        "zqcopied",
    ] {
        assert!(holds(&before, word), "{word}");
    }

    let purged = journal.purge_lead("L1".into()).await.expect("purged");
    assert_eq!(purged.calls, 12);
    let after = bytes_of(dir.path());
    let left = after
        .windows(2)
        .enumerate()
        .filter(|(_, window)| window == b"zq")
        .map(|(at, _)| String::from_utf8_lossy(&after[at..(at + 24).min(after.len())]))
        .collect::<Vec<_>>();
    assert!(left.is_empty(), "{left:?}");
    assert!(!holds(&after, "L1named"));
    for word in ["kept2x1said", "kept24x60again", "keptsummary"] {
        assert!(holds(&after, word), "{word}");
    }
    assert_eq!(found_in(&journal, "kept2x1said").await, 1);
    assert_eq!(found_in(&journal, "zq1x1said").await, 0);
    assert_eq!(found_in(&journal, "zq*").await, 0);
}

async fn found_in(journal: &crate::store::SqliteJournal, text: &str) -> usize {
    let query = crate::engine::SearchQuery {
        text: text.into(),
        limit: 10,
        ..crate::engine::SearchQuery::default()
    };
    journal.search(query).await.expect("searched").len()
}
