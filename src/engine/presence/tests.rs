//! An operator who vanishes, on virtual time.

use std::time::Duration;

use crate::call::{Action, Grant, Role};
use crate::engine::testing::{command, core, eventually, live_call, outcomes};
use crate::engine::{AWAY_MAX, BridgeOrder, Core};

async fn taken_over() -> (Core, crate::call::CallId) {
    let (core, _carrier, journal) = core();
    let call = live_call(&core, "CA1").await;
    let (mut orders, _) = core.bridges.register(call, 1);
    core.tasks.spawn("bridge", async move {
        while let Some(order) = orders.recv().await {
            assert!(matches!(
                order.order,
                BridgeOrder::PauseAgent | BridgeOrder::ResumeAgent
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
        board
            .get(call)
            .is_some_and(|call| call.claimed_by.is_some())
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
