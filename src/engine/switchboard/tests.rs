//! The switchboard against a small model: whatever the order, number and lateness of webhooks.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::call::{Board, Call, CallEvent, CallStatus, Fact, Source};
use crate::engine::testing::{about, carriers, core, live_call, parts};
use crate::engine::{Batch, Core, Feed, MemoryJournal, Target};

fn status(status: CallStatus) -> Fact {
    Fact::StatusChanged {
        status,
        source: Source::Webhook,
    }
}

async fn webhook(core: &Core, id: &str, word: CallStatus) {
    core.switchboard
        .post(carriers(id, word), vec![status(word)])
        .await
        .expect("posted");
}

fn histories() -> impl Strategy<Value = Vec<(usize, CallStatus)>> {
    let life = [
        CallStatus::Queued,
        CallStatus::Initiated,
        CallStatus::Ringing,
        CallStatus::InProgress,
        CallStatus::Completed,
    ];
    let all: Vec<(usize, CallStatus)> = (0..3)
        .flat_map(|call| life.map(|status| (call, status)))
        .collect();
    let extra = proptest::collection::vec((0..3usize, 0..4usize), 0..10);
    (Just(all).prop_shuffle(), extra).prop_map(move |(mut order, extra)| {
        for (index, (call, word)) in extra.into_iter().enumerate() {
            let at = (index * 7) % order.len();
            order.insert(at, (call, life[word]));
        }
        order
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_of_webhooks_makes_one_ended_call_each_and_a_gap_free_story(history in histories()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (core, _carrier, journal) = core();
            let mut feed = Feed::open(&core.switchboard, None).await.expect("open");
            for (call, word) in &history {
                webhook(&core, &format!("CA{call}"), *word).await;
            }
            let ends = journal.envelopes().iter().filter(|envelope| {
                matches!(envelope.event, CallEvent::Known(Fact::CallEnded { .. }))
                    || matches!(&envelope.event, CallEvent::Known(Fact::CallSeen { status, .. }) if status.is_terminal())
            }).count();
            // The model: three calls, each ended once, whatever came when.
            prop_assert_eq!(ends, 3);
            let calls: Vec<Call> = core.switchboard.read(|board| board.calls().cloned().collect());
            prop_assert_eq!(calls.len(), 3);
            for call in &calls {
                prop_assert_eq!(call.status, CallStatus::Completed);
            }
            // A reader of the feed has folded the very same board.
            let mut mine = Board::new();
            while mine.seq() < core.switchboard.seq() {
                match feed.next().await.expect("running") {
                    Batch::Snapshot { seq, calls, .. } => mine = Board::from_snapshot(seq, calls),
                    Batch::Envelopes { from, to, items } => {
                        prop_assert_eq!(from, mine.seq());
                        for item in items {
                            mine.apply(&item);
                        }
                        prop_assert_eq!(to, mine.seq());
                    }
                }
            }
            prop_assert_eq!(mine.calls().cloned().collect::<Vec<_>>(), calls);
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_gets_what_it_missed_or_a_snapshot() {
    for (behind, wants_snapshot) in [(9_000, false), (20_000, true)] {
        let (core, _carrier, _journal) = core();
        let call = live_call(&core, "CA1").await;
        let mut feed = Feed::open(&core.switchboard, None).await.expect("open");
        assert!(matches!(feed.next().await, Ok(Batch::Snapshot { .. })));
        for digit in 0..behind / 100 {
            let facts = vec![
                Fact::Dtmf {
                    digit: (digit % 10).to_string()
                };
                100
            ];
            core.switchboard
                .post(Target::Call(call), facts)
                .await
                .expect("posted");
        }
        let mut cursor = feed.cursor();
        let mut snapshots = 0;
        while cursor < core.switchboard.seq() {
            match feed.next().await.expect("running") {
                Batch::Snapshot { seq, .. } => {
                    snapshots += 1;
                    cursor = seq;
                }
                Batch::Envelopes { from, to, items } => {
                    assert_eq!(from, cursor);
                    assert!(items.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
                    cursor = to;
                }
            }
        }
        assert_eq!(snapshots, usize::from(wants_snapshot));
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_travels_in_batches_and_a_single_fact_at_once() {
    let (core, _carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let mut feed = Feed::from_now(&core.switchboard).await.expect("open");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let one = vec![Fact::Dtmf { digit: "1".into() }];
    core.switchboard
        .post(Target::Call(call), one.clone())
        .await
        .expect("posted");
    let begun = tokio::time::Instant::now();
    assert!(matches!(feed.next().await, Ok(Batch::Envelopes { items, .. }) if items.len() == 1));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for _ in 0..50 {
        core.switchboard
            .post(Target::Call(call), one.clone())
            .await
            .expect("posted");
    }
    assert!(matches!(feed.next().await, Ok(Batch::Envelopes { items, .. }) if items.len() == 50));
    assert!(begun.elapsed() >= crate::engine::BATCH_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_left_the_board_still_takes_what_completes_its_history() {
    let (core, _carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    webhook(&core, "CA1", CallStatus::Completed).await;
    live_call(&core, "CA2").await;
    tokio::time::sleep(super::ENDED_SHOWN + Duration::from_secs(31)).await;
    assert!(core.switchboard.read(|board| board.get(call).is_none()));
    let known = Target::Known {
        carrier: "twilio".into(),
        carrier_call_id: "CA1".into(),
    };
    let usd = 0.5;
    let facts = vec![
        Fact::Costed {
            usd,
            source: "twilio".into(),
        },
        status(CallStatus::Ringing),
    ];
    let posted = core.switchboard.post(known, facts).await.expect("posted");
    assert_eq!(
        (posted.call, posted.taken, posted.created),
        (Some(call), 1, false)
    );
    let last = journal.envelopes().last().cloned().expect("an envelope");
    assert!(matches!(last.event, CallEvent::Known(Fact::Costed { .. })));
    let unknown = Target::Known {
        carrier: "twilio".into(),
        carrier_call_id: "CA7".into(),
    };
    assert!(core.switchboard.post(unknown, Vec::new()).await.is_err());
}

#[tokio::test]
async fn text_from_outside_is_clean_before_anybody_sees_it() {
    let journal = MemoryJournal::new();
    let (parts, _carrier) = parts(Arc::new(journal.clone()));
    let core = Core::new(parts);
    let mut facts = about("CA1");
    facts.name = Some("\u{1b}]0;owned\u{7}Eve\u{202e}".into());
    let target = Target::Carrier {
        facts,
        status: CallStatus::Ringing,
        started_at: None,
    };
    core.switchboard
        .post(target, Vec::new())
        .await
        .expect("posted");
    let name = core
        .switchboard
        .read(|board| board.find("CA1").and_then(|call| call.facts.name.clone()));
    assert_eq!(name.as_deref(), Some("Eve"));
}

#[tokio::test(start_paused = true)]
async fn the_second_word_about_an_end_only_fills_what_is_missing() {
    let (core, _carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let end = |by: Option<&str>, duration_s| Fact::CallEnded {
        status: CallStatus::Completed,
        ended_by: by.map(str::to_owned),
        cause: None,
        duration_s,
        source: Source::Webhook,
    };
    for fact in [
        end(Some("caller"), None),
        end(Some("agent"), Some(30)),
        end(None, Some(99)),
    ] {
        core.switchboard
            .post(Target::Call(call), vec![fact])
            .await
            .expect("posted");
    }
    let known = core
        .switchboard
        .read(|board| board.get(call).cloned())
        .expect("known");
    assert_eq!(
        (known.ended_by.as_deref(), known.duration_s),
        (Some("caller"), Some(30))
    );
}
