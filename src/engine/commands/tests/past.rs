//! What can still be done to a call that has left the board.

use std::time::Duration;

use crate::call::{Action, Command, ErrorCode, Grant};
use crate::engine::testing::{command, core, eventually, live_call, outcomes};
use crate::engine::{ENDED_SHOWN, HistoryQuery, Journal};

use super::{code, ends, operator};

#[tokio::test(start_paused = true)]
async fn remarks_and_exports_reach_a_call_that_has_left_the_board() {
    let (core, carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    ends(&core, "CA1").await;
    tokio::time::sleep(ENDED_SHOWN + Duration::from_secs(31)).await;
    eventually(&core, "the call has left", |core| {
        core.switchboard.read(|board| board.get(call).is_none())
    })
    .await;
    let text = "prompt v12".to_owned();
    let ana = operator("ana");
    let note = Action::Note { text: text.clone() };
    assert!(
        core.command(&ana, command(&core, Some(call), note))
            .await
            .ok
    );
    let query = HistoryQuery {
        call: Some(call),
        ..HistoryQuery::default()
    };
    let page = journal.history(query).await.expect("readable");
    assert_eq!(page.items[0].notes[0].text, text);
    // An export needs its own permission and leaves a trace; nothing live can be done any more.
    let export = Action::Export {
        format: "jsonl".into(),
    };
    let refused = core
        .command(&ana, command(&core, Some(call), export.clone()))
        .await;
    assert_eq!(code(&refused), Some(ErrorCode::Forbidden));
    let admin = Grant::admin("root");
    assert!(
        core.command(&admin, command(&core, Some(call), export))
            .await
            .ok
    );
    let seen = outcomes(&journal);
    assert_eq!(
        seen.last().map(String::as_str),
        Some("done export"),
        "{seen:?}"
    );
    let end = Action::Terminate {};
    let refused = core.command(&admin, command(&core, Some(call), end)).await;
    assert_eq!(code(&refused), Some(ErrorCode::NotFound));
    assert!(carrier.state().hang_ups.is_empty());
    // Who may not manage tokens may not read what others did.
    let trail = HistoryQuery {
        audit: true,
        limit: 10,
        ..HistoryQuery::default()
    };
    let refused = core.history(&ana, trail.clone()).await;
    assert_eq!(
        refused.err().map(|error| error.code),
        Some(ErrorCode::Forbidden)
    );
    let page = core.history(&admin, trail).await.expect("an admin");
    assert!(page.items.is_empty());
    assert_eq!(page.audit[0].result, "refused: not_found");
    assert_eq!(page.audit.len(), 2);
    // A token of another lead is not told that the call exists.
    let mut scoped = operator("sam");
    scoped.leads = Some(["L1".to_owned()].into());
    let note = Action::Note { text };
    let refused = core
        .command(&scoped, command(&core, Some(call), note))
        .await;
    assert_eq!(code(&refused), Some(ErrorCode::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_taken_along_stands_in_the_trail_and_nobody_else_is_told() {
    let (core, _carrier, journal) = core();
    let list = |reason: &str| Command {
        reason: Some(reason.to_owned()),
        ..command(
            &core,
            None,
            Action::Export {
                format: "csv".into(),
            },
        )
    };
    let before = core.switchboard.seq();
    let refused = core.command(&operator("ana"), list("2 past calls")).await;
    assert_eq!(code(&refused), Some(ErrorCode::Forbidden));
    let admin = Grant::admin("root");
    let reply = core
        .command(&admin, list("2 past calls: carrier:plivo"))
        .await;
    assert!(reply.ok, "{reply:?}");
    assert_eq!(core.switchboard.seq(), before);
    let rows = journal.audits();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.by.as_str(), row.result.as_str(), row.reason.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("ana", "refused: forbidden", Some("2 past calls")),
            ("root", "done", Some("2 past calls: carrier:plivo")),
        ]
    );
}
