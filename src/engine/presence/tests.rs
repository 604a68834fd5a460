//! An operator who vanishes, on virtual time.

use std::time::Duration;

use crate::call::{Action, Grant, Role};
use crate::engine::testing::{command, core, eventually, live_call, outcomes};
use crate::engine::{AWAY_MAX, BridgeOrder, Core, LEASE};

async fn taken_over() -> (Core, crate::call::CallId) {
    let (core, _carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    let (mut orders, _) = core.bridges.register(call, 1);
    core.tasks.spawn("bridge", async move {
        while let Some(order) = orders.recv().await {
            assert!(matches!(
                order.order,
                BridgeOrder::TakeOver | BridgeOrder::HandBack { .. }
            ));
            order.done.send(Ok(())).ok();
        }
    });
    let ana = Grant::of("ana", Role::Operator);
    let asked = command(&core, Some(call), Action::TakeOver {});
    assert!(core.command(&ana, asked).await.ok);
    eventually(&core, "taken over", |_| outcomes(&journal).len() == 2).await;
    (core, call)
}

fn claimed(core: &Core, call: crate::call::CallId) -> bool {
    core.switchboard.read(|board| {
        let held = board.get(call).and_then(|call| call.held_by.clone());
        held.as_deref() == Some("ana")
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_operator_is_gone_goes_back_to_the_agent() {
    let (core, call) = taken_over().await;
    let (one, two) = (core.enter("ana"), core.enter("ana"));
    drop(one);
    tokio::time::sleep(AWAY_MAX * 2).await;
    assert!(claimed(&core, call), "another screen is open");
    drop(two);
    tokio::time::sleep(AWAY_MAX.mul_f64(0.9)).await;
    assert!(claimed(&core, call));
    eventually(&core, "handed back", |core| !claimed(core, call)).await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_comes_back_in_time_keeps_the_call() {
    let (core, call) = taken_over().await;
    drop(core.enter("ana"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let back = core.enter("ana");
    tokio::time::sleep(AWAY_MAX * 2).await;
    assert!(claimed(&core, call));
    drop(back);
}

#[tokio::test(start_paused = true)]
async fn the_screen_is_gone_and_ten_seconds_later_the_agent_speaks_again() {
    assert_eq!(AWAY_MAX, Duration::from_secs(10));
    let (core, call) = taken_over().await;
    let gone = tokio::time::Instant::now();
    drop(core.enter("ana"));
    eventually(&core, "handed back", |core| !claimed(core, call)).await;
    assert_eq!(gone.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_screen_keeps_the_call_as_long_as_they_speak() {
    let (core, call) = taken_over().await;
    let ana = Grant::of("ana", Role::Operator);
    tokio::time::sleep(LEASE.mul_f64(0.9)).await;
    let note = Action::Note {
        text: "still here".into(),
    };
    assert!(
        core.command(&ana, command(&core, Some(call), note))
            .await
            .ok
    );
    tokio::time::sleep(LEASE.mul_f64(0.9)).await;
    assert!(claimed(&core, call), "a word renews it");
    eventually(&core, "handed back", |core| !claimed(core, call)).await;
}
