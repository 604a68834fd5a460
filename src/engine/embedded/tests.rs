//! The embedded screen's stream of updates.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use crate::call::{
    Action, Board, CallStatus, Command, ErrorCode, Fact, Gauge, Grant, Role, Source,
};
use crate::engine::testing::{command, core, eventually, live_call};
use crate::engine::{
    Backend, Core, EmbeddedBackend, HistoryQuery, LinkState, StereoFrame, Target, UPDATES_MAX,
    Update,
};

fn screen(core: &Core) -> EmbeddedBackend {
    EmbeddedBackend::new(core.clone(), Grant::admin("ana"))
}

async fn opening(updates: &mut Receiver<Update>) -> Board {
    assert!(matches!(
        updates.recv().await,
        Some(Update::Link(LinkState::Embedded))
    ));
    assert!(matches!(updates.recv().await, Some(Update::Hello(hello)) if hello.user == "ana"));
    match updates.recv().await {
        Some(Update::Snapshot { seq, calls, .. }) => Board::from_snapshot(seq, calls),
        other => panic!("not a snapshot: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_screen_is_told_the_board_then_what_happens_and_its_answers() {
    let (core, _carrier, _journal) = core();
    live_call(&core, "CA1").await;
    let backend = screen(&core);
    let mut updates = backend.subscribe();
    let mut board = opening(&mut updates).await;
    assert_eq!(board.len(), 1);
    let call = board.find("CA1").expect("there").id;
    let asked = command(&core, Some(call), Action::Note { text: "hi".into() });
    backend.send(asked.clone()).expect("sent");
    let mut replied = false;
    while !(replied && board.seq() == core.switchboard.seq()) {
        match updates.recv().await.expect("running") {
            Update::Envelopes { to, items } => {
                for item in items {
                    board.apply(&item);
                }
                assert_eq!(board.seq(), to);
            }
            Update::Reply(reply) => {
                assert!(reply.ok);
                assert_eq!(reply.id, asked.id);
                replied = true;
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert_eq!(board.get(call).map(|call| call.notes.len()), Some(1));
}

#[tokio::test(start_paused = true)]
async fn gauges_come_only_for_watched_calls_and_at_most_four_a_second() {
    let (core, _carrier, _journal) = core();
    let (one, two) = (live_call(&core, "CA1").await, live_call(&core, "CA2").await);
    let backend = screen(&core);
    let mut updates = backend.subscribe();
    opening(&mut updates).await;
    core.gauges.set(Gauge::blank(one));
    core.gauges.set(Gauge::blank(two));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(updates.try_recv().is_err());
    backend.watch(vec![two]);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let mut readings = 0;
    while let Ok(update) = updates.try_recv() {
        assert!(
            matches!(update, Update::Gauges(gauges) if gauges.len() == 1 && gauges[0].call == two)
        );
        readings += 1;
    }
    assert!((8..=9).contains(&readings), "{readings}");
}

#[tokio::test(start_paused = true)]
async fn listening_is_seen_by_all_and_over_the_moment_it_is_dropped() {
    let (core, _carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let backend = screen(&core);
    let refused = backend.listen(call).await.expect_err("no audio yet");
    assert_eq!(refused.code, ErrorCode::Unsupported);
    let tap = core.taps.open(call);
    let mut stream = backend.listen(call).await.expect("listening");
    let listeners = |core: &Core| {
        core.switchboard
            .read(|board| board.get(call).map_or(0, |call| call.listeners.len()))
    };
    eventually(&core, "joined", |core| listeners(core) == 1).await;
    let frame = StereoFrame {
        caller: [1; 160],
        agent: [2; 160],
    };
    tap.send(frame);
    assert_eq!(stream.frames.recv().await, Some(frame));
    drop(stream);
    eventually(&core, "left", |core| listeners(core) == 0).await;
    assert_eq!(tap.listeners(), 0);
    let viewer = EmbeddedBackend::new(core.clone(), Grant::of("vic", Role::Viewer));
    assert_eq!(
        viewer.listen(call).await.expect_err("refused").code,
        ErrorCode::Forbidden
    );
}

#[tokio::test(start_paused = true)]
async fn a_listener_who_does_not_read_misses_frames_and_delays_nobody() {
    let (core, _carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let tap = core.taps.open(call);
    let mut stream = screen(&core).listen(call).await.expect("listening");
    for number in 0..200_u8 {
        tap.send(StereoFrame {
            caller: [number; 160],
            agent: [0; 160],
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    core.taps.close(call);
    drop(tap);
    let mut got = Vec::new();
    while let Some(frame) = stream.frames.recv().await {
        got.push(frame.caller[0]);
    }
    assert!(got.len() < 60, "{}", got.len());
    assert_eq!(got.last(), Some(&199), "the newest survive");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_screen_is_set_back_on_its_feet_with_a_snapshot() {
    let (core, _carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let backend = screen(&core);
    let mut updates = backend.subscribe();
    let mut board = opening(&mut updates).await;
    let keys = |count| vec![Fact::Dtmf { digit: "7".into() }; count];
    // Its queue fills up, then far more happens than the fan-out and the ring hold.
    for _ in 0..UPDATES_MAX + 40 {
        let posted = core.switchboard.post(Target::Call(call), keys(1)).await;
        posted.expect("posted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..60 {
        let posted = core.switchboard.post(Target::Call(call), keys(500)).await;
        posted.expect("posted");
    }
    let ended = Fact::StatusChanged {
        status: CallStatus::Completed,
        source: Source::Webhook,
    };
    let posted = core.switchboard.post(Target::Call(call), vec![ended]).await;
    posted.expect("posted");
    let (mut seen, mut snapshots) = (0, 0);
    while board.seq() < core.switchboard.seq() {
        seen += 1;
        match updates.recv().await.expect("running") {
            Update::Envelopes { to, items } => {
                for item in items {
                    board.apply(&item);
                }
                assert_eq!(board.seq(), to, "no gap");
            }
            Update::Snapshot { seq, calls, .. } => {
                snapshots += 1;
                board = Board::from_snapshot(seq, calls);
            }
            _ => {}
        }
    }
    assert_eq!(snapshots, 1);
    assert!(seen <= UPDATES_MAX + 40, "{seen}");
    assert!(board.get(call).is_some_and(|call| !call.is_live()));
}

#[tokio::test(start_paused = true)]
async fn history_and_urls_obey_the_grant() {
    let (core, _carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let backend = screen(&core);
    let page = backend
        .history(HistoryQuery::default())
        .await
        .expect("a page");
    assert_eq!(page.items.len(), 1);
    assert_eq!(
        backend.listen_url(call).await.expect_err("none").code,
        ErrorCode::Unsupported
    );
    let with_url = screen(&core).with_listen_url(|_, call| Ok(format!("http://here/{call}")));
    assert!(
        with_url
            .listen_url(call)
            .await
            .is_ok_and(|url| url.ends_with(&call.to_string()))
    );
    let mut scoped = Grant::of("sam", Role::Operator);
    scoped.leads = Some(["L1".to_owned()].into());
    let backend = EmbeddedBackend::new(core.clone(), scoped);
    let page = backend
        .history(HistoryQuery::default())
        .await
        .expect("a page");
    assert!(page.items.is_empty());
    let asked = Command {
        id: core.clock.command_id(),
        call: Some(call),
        action: Action::Terminate {},
        reason: None,
    };
    let mut updates = backend.subscribe();
    backend.send(asked).expect("sent");
    loop {
        match updates.recv().await.expect("running") {
            Update::Snapshot { calls, .. } => assert!(calls.is_empty()),
            Update::Reply(reply) => {
                assert_eq!(
                    reply.error.map(|error| error.code),
                    Some(ErrorCode::NotFound)
                );
                break;
            }
            _ => {}
        }
    }
}
