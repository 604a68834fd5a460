//! Restarts and missing webhooks against a fake carrier, on virtual time.

use std::sync::Arc;
use std::time::Duration;

use crate::call::{
    AgentLink, Call, CallEvent, CallId, CallStatus, Direction, Fact, LineBody, MediaLink, Source,
    Track,
};
use crate::engine::testing::{FakeCarrier, about, carriers, eventually, live_call, parts};
use crate::engine::{Core, Journal, MemoryJournal, Target};

/// What a run leaves behind: calls on the board, then nothing more.
async fn earlier_run(journal: &MemoryJournal) -> Vec<CallId> {
    let (parts, _carrier) = parts(Arc::new(journal.clone()));
    let core = Core::new(parts);
    let mut calls = Vec::new();
    for id in ["CA1", "CA2", "CA3"] {
        let call = live_call(&core, id).await;
        let facts = vec![
            Fact::StreamStarted {
                stream_id: "MZ1".into(),
            },
            Fact::AgentLinkChanged {
                link: AgentLink::Connected,
                reason: None,
                attempt: None,
            },
            Fact::UtteranceFinal {
                turn: 1,
                track: Track::FromCaller,
                text: format!("words of {id}"),
                latency_ms: None,
            },
            Fact::ListenerJoined {
                listener: "l1".into(),
                by: "ana".into(),
            },
        ];
        core.switchboard
            .post(Target::Call(call), facts)
            .await
            .expect("posted");
        calls.push(call);
    }
    core.tasks.shutdown(Duration::from_secs(1)).await;
    calls
}

fn restarted(journal: &MemoryJournal) -> (Core, FakeCarrier) {
    let (parts, carrier) = parts(Arc::new(journal.clone()));
    (Core::new(parts), carrier)
}

fn call(core: &Core, id: CallId) -> Call {
    core.switchboard
        .read(|board| board.get(id).cloned())
        .expect("on the board")
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_board_is_what_the_carrier_says() {
    let journal = MemoryJournal::new();
    let calls = earlier_run(&journal).await;
    let (core, carrier) = restarted(&journal);
    // One is still up, one ended, one is unknown to the carrier, one is new.
    carrier.reports("CA1", CallStatus::InProgress, None);
    carrier.reports("CA2", CallStatus::Completed, Some(61));
    carrier.reports("CA9", CallStatus::Ringing, None);
    assert_eq!(core.recover().await.expect("readable").restored, 3);
    let kept = call(&core, calls[0]);
    assert_eq!(
        (kept.media_link, kept.agent_link),
        (MediaLink::Lost, AgentLink::Lost)
    );
    assert!(kept.listeners.is_empty());
    assert!(matches!(&kept.lines[0].body, LineBody::Speech { text, .. } if text == "words of CA1"));
    core.keep_house();
    eventually(&core, "ends closed out, unknown adopted", |core| {
        core.switchboard
            .read(|board| board.live().count() == 2 && board.find("CA9").is_some())
    })
    .await;
    assert!(call(&core, calls[0]).is_live());
    assert_eq!(call(&core, calls[1]).duration_s, Some(61));
    let unknown = call(&core, calls[2]);
    assert!(!unknown.is_live());
    assert!(
        unknown
            .end_cause
            .is_some_and(|cause| cause.contains("no longer knows"))
    );
    assert!(
        core.switchboard
            .read(|board| board.find("CA9").is_some_and(|call| call.facts.adopted))
    );
    let left = journal.unfinished().await.expect("readable");
    assert_eq!(left.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_missing_end_is_healed_within_a_minute() {
    let journal = MemoryJournal::new();
    let (core, carrier) = restarted(&journal);
    core.keep_house();
    let id = live_call(&core, "CA1").await;
    carrier.reports("CA1", CallStatus::InProgress, None);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(call(&core, id).is_live());
    carrier.reports("CA1", CallStatus::Completed, Some(100));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ended = call(&core, id);
    assert_eq!(
        (ended.status, ended.duration_s),
        (CallStatus::Completed, Some(100))
    );
    assert!(carrier.state().finds <= 2, "quiet calls only");
}

#[tokio::test(start_paused = true)]
async fn a_carrier_out_of_reach_ends_nothing_and_is_named_once() {
    let journal = MemoryJournal::new();
    earlier_run(&journal).await;
    let (core, carrier) = restarted(&journal);
    carrier.state().unreachable = true;
    core.recover().await.expect("readable");
    core.keep_house();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(core.switchboard.read(|board| board.live().count()), 3);
    let notices = |code: &str| {
        let is = |fact: &Fact| matches!(fact, Fact::Notice { code: known, .. } if known == code);
        let all = journal.envelopes();
        all.iter()
            .filter(|envelope| matches!(&envelope.event, CallEvent::Known(fact) if is(fact)))
            .count()
    };
    assert_eq!(notices("carrier_unreachable"), 1);
    carrier.state().unreachable = false;
    eventually(&core, "closed out", |core| {
        core.switchboard.read(|board| board.live().next().is_none())
    })
    .await;
    assert_eq!(notices("carrier_back"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_status_webhook_that_was_lost_is_made_up_for() {
    let journal = MemoryJournal::new();
    let (core, carrier) = restarted(&journal);
    core.keep_house();
    let posted = core
        .switchboard
        .post(carriers("CA1", CallStatus::Ringing), Vec::new())
        .await;
    let id = posted.expect("posted").call.expect("a call");
    carrier.reports("CA1", CallStatus::InProgress, None);
    eventually(&core, "answered", |core| {
        call(core, id).status == CallStatus::InProgress
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_leg_a_transfer_rings_is_not_a_call_of_its_own() {
    let journal = MemoryJournal::new();
    let (core, carrier) = restarted(&journal);
    core.keep_house();
    let id = live_call(&core, "CA1").await;
    carrier.reports("CA1", CallStatus::InProgress, None);
    let to = Fact::Transferred {
        to: "+14155550134".into(),
        state: "ringing".into(),
        reason: None,
    };
    core.switchboard
        .post(Target::Call(id), vec![to])
        .await
        .expect("posted");
    carrier.reports("CAleg", CallStatus::Ringing, None);
    if let Some(leg) = carrier.state().calls.get_mut("CAleg") {
        leg.direction = Direction::Outbound;
        leg.to = "+14155550134".into();
    }
    tokio::time::sleep(Duration::from_secs(95)).await;
    assert_eq!(core.switchboard.read(crate::call::Board::len), 1);
}

#[tokio::test(start_paused = true)]
async fn a_placed_call_nobody_confirms_is_bound_if_listed_and_given_up_if_not() {
    let journal = MemoryJournal::new();
    let (core, carrier) = restarted(&journal);
    let place = |to: &str| {
        let mut facts = about("x");
        facts.carrier_call_id = None;
        facts.direction = Direction::Outbound;
        facts.to = to.into();
        Target::Placed {
            call: core.clock.call_id(),
            facts,
            status: CallStatus::Queued,
        }
    };
    let listed = core
        .switchboard
        .post(place("+14155550101"), Vec::new())
        .await;
    let lost = core
        .switchboard
        .post(place("+14155550102"), Vec::new())
        .await;
    let (listed, lost) = (
        listed.expect("posted").call.expect("a call"),
        lost.expect("posted").call.expect("a call"),
    );
    carrier.reports("CAfound", CallStatus::Ringing, None);
    if let Some(found) = carrier.state().calls.get_mut("CAfound") {
        found.direction = Direction::Outbound;
        found.to = "+14155550101".into();
    }
    core.keep_house();
    eventually(&core, "given up", |core| !call(core, lost).is_live()).await;
    let bound = call(&core, listed);
    assert_eq!(bound.facts.carrier_call_id.as_deref(), Some("CAfound"));
    assert!(bound.is_live());
}

#[tokio::test(start_paused = true)]
async fn a_webhook_of_a_call_that_ended_in_an_earlier_run_does_not_revive_it() {
    let journal = MemoryJournal::new();
    earlier_run(&journal).await;
    let (core, carrier) = restarted(&journal);
    carrier.reports("CA2", CallStatus::Completed, Some(61));
    core.recover().await.expect("readable");
    core.keep_house();
    eventually(&core, "closed out", |core| {
        core.switchboard.read(|board| board.live().next().is_none())
    })
    .await;
    drop(core);
    let (core, _carrier) = restarted(&journal);
    core.recover().await.expect("readable");
    let late = Fact::StatusChanged {
        status: CallStatus::Ringing,
        source: Source::Webhook,
    };
    let posted = core
        .switchboard
        .post(carriers("CA2", CallStatus::Ringing), vec![late])
        .await;
    assert!(!posted.expect("posted").created);
    assert!(core.switchboard.read(crate::call::Board::is_empty));
}
