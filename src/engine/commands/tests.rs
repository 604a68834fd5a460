//! Commands against a fake carrier, on virtual time.

mod dial;
mod past;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::{
    Action, CallStatus, ErrorCode, Fact, Grant, RecordingState, Reply, Role, Source, Verb,
};
use crate::engine::Core;
use crate::engine::bridges::BridgeOrder;
use crate::engine::ports::{CarrierError, RecordingOrder};
use crate::engine::testing::{Answer, carriers, command, core, eventually, live_call, outcomes};

fn operator(name: &str) -> Grant {
    Grant::of(name, Role::Operator)
}

fn code(reply: &Reply) -> Option<ErrorCode> {
    reply.error.as_ref().map(|error| error.code)
}

async fn ends(core: &Core, id: &str) {
    let ended = Fact::StatusChanged {
        status: CallStatus::Completed,
        source: Source::Webhook,
    };
    core.switchboard
        .post(carriers(id, CallStatus::Completed), vec![ended])
        .await
        .expect("the switchboard runs");
}

#[tokio::test(start_paused = true)]
async fn an_end_is_done_only_when_the_carrier_says_so() {
    let (core, carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    let reply = core
        .command(
            &operator("ana"),
            command(&core, Some(call), Action::Terminate {}),
        )
        .await;
    assert!(reply.ok);
    eventually(&core, "the request", |_| {
        carrier.state().hang_ups.len() == 1
    })
    .await;
    assert_eq!(outcomes(&journal), ["accepted terminate"]);
    ends(&core, "CA1").await;
    eventually(&core, "done", |_| outcomes(&journal).len() == 2).await;
    assert_eq!(outcomes(&journal), ["accepted terminate", "done terminate"]);
    assert_eq!(carrier.state().hang_ups, ["CA1"]);
}

#[tokio::test(start_paused = true)]
async fn two_operators_ending_one_call_make_one_request() {
    let (core, carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let (ana, ben) = (operator("ana"), operator("ben"));
    let (first, second) = tokio::join!(
        core.command(&ana, command(&core, Some(call), Action::Terminate {})),
        core.command(&ben, command(&core, Some(call), Action::Terminate {})),
    );
    assert!(first.ok);
    let refusal = second.error.expect("refused");
    assert_eq!(refusal.code, ErrorCode::Conflict);
    assert_eq!(refusal.by.as_deref(), Some("ana"));
    eventually(&core, "the request", |_| {
        !carrier.state().hang_ups.is_empty()
    })
    .await;
    ends(&core, "CA1").await;
    let third = core
        .command(&ben, command(&core, Some(call), Action::Terminate {}))
        .await;
    assert!(third.ok || code(&third) == Some(ErrorCode::Conflict));
    assert_eq!(carrier.state().hang_ups.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_gets_the_same_reply_and_acts_once() {
    let (core, carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let asked = command(&core, Some(call), Action::Terminate {});
    let ana = operator("ana");
    let (one, two) = tokio::join!(
        core.command(&ana, asked.clone()),
        core.command(&ana, asked.clone()),
    );
    eventually(&core, "the request", |_| {
        !carrier.state().hang_ups.is_empty()
    })
    .await;
    let three = core.command(&ana, asked).await;
    assert_eq!(one, two);
    assert_eq!(one, three);
    assert_eq!(carrier.state().hang_ups.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_without_the_carriers_word_is_unconfirmed_after_ten_seconds_then_looked_up() {
    let (core, carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    carrier.reports("CA1", CallStatus::InProgress, None);
    let begun = Instant::now();
    core.command(
        &operator("ana"),
        command(&core, Some(call), Action::Terminate {}),
    )
    .await;
    eventually(&core, "unconfirmed", |_| outcomes(&journal).len() == 2).await;
    assert_eq!(outcomes(&journal)[1], "unconfirmed terminate");
    assert_eq!(begun.elapsed().as_secs(), 10);
    carrier.reports("CA1", CallStatus::Completed, Some(47));
    eventually(&core, "done", |_| outcomes(&journal).len() == 3).await;
    assert_eq!(outcomes(&journal)[2], "done terminate");
    let duration = core
        .switchboard
        .read(|board| board.get(call).and_then(|call| call.duration_s));
    assert_eq!(duration, Some(47));
    assert_eq!(carrier.state().hang_ups.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_already_ended_at_the_carrier_counts_as_success() {
    let (core, carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    carrier.reports("CA1", CallStatus::Completed, Some(12));
    carrier.answers([Answer::No(CarrierError::AlreadyEnded)]);
    core.command(
        &operator("ana"),
        command(&core, Some(call), Action::Terminate {}),
    )
    .await;
    eventually(&core, "done", |_| outcomes(&journal).len() == 2).await;
    assert_eq!(outcomes(&journal)[1], "done terminate");
}

#[tokio::test(start_paused = true)]
async fn a_carrier_out_of_reach_is_tried_three_times_and_then_named() {
    let (core, carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    carrier.state().unreachable = true;
    carrier.answers(vec![
        Answer::No(CarrierError::Unreachable("refused".into()));
        3
    ]);
    core.command(
        &operator("ana"),
        command(&core, Some(call), Action::Terminate {}),
    )
    .await;
    eventually(&core, "failed", |_| outcomes(&journal).len() == 2).await;
    assert_eq!(outcomes(&journal)[1], "failed terminate unavailable");
    assert_eq!(carrier.state().hang_ups.len(), 3);
    assert!(
        core.switchboard
            .read(|board| board.find("CA1").is_some_and(crate::call::Call::is_live))
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_carrier_never_gets_a_second_transfer() {
    let (core, carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    carrier.answers([Answer::Silence]);
    let to = Action::Transfer {
        to: "+1 (415) 555-0134".into(),
    };
    assert!(
        core.command(&operator("ana"), command(&core, Some(call), to))
            .await
            .ok
    );
    eventually(&core, "unconfirmed", |_| outcomes(&journal).len() == 2).await;
    assert_eq!(outcomes(&journal)[1], "unconfirmed transfer");
    assert_eq!(
        carrier.state().transfers,
        [("CA1".to_owned(), "+14155550134".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn permission_scope_and_sense_are_checked_in_words() {
    let (core, _carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    let viewer = Grant::of("vic", Role::Viewer);
    let reply = core
        .command(&viewer, command(&core, Some(call), Action::Terminate {}))
        .await;
    let refusal = reply.error.expect("refused");
    assert_eq!(refusal.code, ErrorCode::Forbidden);
    assert!(refusal.hint.contains("operator"), "{refusal:?}");
    let mut scoped = operator("sam");
    scoped.leads = Some(BTreeSet::from(["L1".to_owned()]));
    let reply = core
        .command(&scoped, command(&core, Some(call), Action::Terminate {}))
        .await;
    assert_eq!(
        code(&reply),
        Some(ErrorCode::NotFound),
        "a call out of scope is not known to exist"
    );
    let empty = Action::Note {
        text: " \u{1b}[2J\n".into(),
    };
    let reply = core
        .command(&operator("ana"), command(&core, Some(call), empty))
        .await;
    assert_eq!(code(&reply), Some(ErrorCode::Invalid));
    let whisper = Action::Whisper {
        text: "hello".into(),
    };
    let reply = core
        .command(&operator("ana"), command(&core, Some(call), whisper))
        .await;
    assert_eq!(code(&reply), Some(ErrorCode::Unsupported));
    let refused = journal.audits();
    assert_eq!(refused.len(), 4);
    assert_eq!(refused[0].result, "refused: forbidden");
}

#[tokio::test(start_paused = true)]
async fn one_of_two_who_take_over_wins_and_the_other_is_told_who() {
    let (core, _carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    let (mut orders, _) = core.bridges.register(call, 1);
    core.tasks.spawn("bridge", async move {
        while let Some(order) = orders.recv().await {
            let known = matches!(
                order.order,
                BridgeOrder::TakeOver | BridgeOrder::HandBack { .. }
            );
            assert!(known);
            order.done.send(Ok(())).ok();
        }
    });
    let (ana, ben) = (operator("ana"), operator("ben"));
    let (first, second) = tokio::join!(
        core.command(&ana, command(&core, Some(call), Action::TakeOver {})),
        core.command(&ben, command(&core, Some(call), Action::TakeOver {})),
    );
    assert!(first.ok);
    assert_eq!(
        second.error.and_then(|error| error.by).as_deref(),
        Some("ana")
    );
    eventually(&core, "done", |_| outcomes(&journal).len() == 2).await;
    let later = core
        .command(&ben, command(&core, Some(call), Action::TakeOver {}))
        .await;
    assert_eq!(
        later.error.and_then(|error| error.by).as_deref(),
        Some("ana")
    );
    let back = Action::HandBack {
        note: Some("ok now".into()),
    };
    assert!(
        !core
            .command(&ben, command(&core, Some(call), back.clone()))
            .await
            .ok
    );
    assert!(
        core.command(&ana, command(&core, Some(call), back))
            .await
            .ok
    );
    eventually(&core, "released", |core| {
        core.switchboard.read(|board| {
            board
                .get(call)
                .is_some_and(|call| call.claimed_by.is_none() && call.notes.len() == 1)
        })
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn recording_follows_its_states() {
    let (core, carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    let ana = operator("ana");
    let reply = core
        .command(&ana, command(&core, Some(call), Action::RecordPause {}))
        .await;
    assert_eq!(code(&reply), Some(ErrorCode::Conflict));
    let state = |core: &Core| {
        core.switchboard.read(|board| {
            board
                .get(call)
                .and_then(|call| call.recording().map(|recording| recording.state))
        })
    };
    let steps = [
        (Action::RecordStart {}, Some(RecordingState::Started)),
        (Action::RecordPause {}, Some(RecordingState::Paused)),
        (Action::RecordResume {}, Some(RecordingState::InProgress)),
        (Action::RecordStop {}, Some(RecordingState::InProgress)),
    ];
    for (index, (action, wanted)) in steps.into_iter().enumerate() {
        assert!(
            core.command(&ana, command(&core, Some(call), action))
                .await
                .ok
        );
        eventually(&core, "done", |_| {
            outcomes(&journal).len() == 2 * (index + 1)
        })
        .await;
        assert_eq!(state(&core), wanted);
    }
    assert_eq!(carrier.state().records.len(), 4);
    assert_eq!(carrier.state().records[3], RecordingOrder::Stop);
    carrier.answers([Answer::No(CarrierError::Unsupported("pausing a recording"))]);
    assert!(
        core.command(&ana, command(&core, Some(call), Action::RecordStart {}))
            .await
            .ok
    );
    eventually(&core, "failed", |_| outcomes(&journal).len() == 10).await;
    assert_eq!(outcomes(&journal)[9], "failed record_start unsupported");
}

#[tokio::test(start_paused = true)]
async fn unmasking_shows_the_numbers_to_whoever_may_and_leaves_a_trace() {
    let (core, _carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    let mut asked = command(&core, Some(call), Action::Unmask {});
    assert!(!core.command(&operator("ana"), asked.clone()).await.ok);
    asked.id = core.clock.command_id();
    asked.reason = Some("call back".into());
    let mut trusted = operator("tea");
    trusted.plus.insert(Verb::Unmask);
    let reply = core.command(&trusted, asked).await;
    assert_eq!(reply.result.expect("numbers")["from"], "+15551230000");
    assert_eq!(outcomes(&journal), ["accepted unmask", "done unmask"]);
}

#[tokio::test(start_paused = true)]
async fn an_asker_who_goes_away_does_not_stop_what_was_asked() {
    let (core, carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let ana = operator("ana");
    let asked = core.command(&ana, command(&core, Some(call), Action::Terminate {}));
    // The future is dropped at its first wait.
    tokio::time::timeout(Duration::ZERO, asked).await.ok();
    eventually(&core, "the request", |_| {
        carrier.state().hang_ups.len() == 1
    })
    .await;
}
