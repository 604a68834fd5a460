//! Operators who act at the same moment, and a carrier that is slow to answer.

use std::time::{Duration, Instant};

use serde_json::json;
use wallboard::call::{
    Action, ActionState, CallStatus, Command, ErrorCode, Fact, Grant, Reply, Role,
};

use super::rig::{House, Plot, chat, until};

/// Requests that change a call.
const ORDERS: &str = "/Calls/CA";

fn hang_ups(house: &House) -> usize {
    house.rest.count(&format!(
        "POST /2010-04-01/Accounts/{}{ORDERS}",
        house.peers.twilio.account_sid()
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_operators_who_end_a_call_one_wins_and_the_other_is_told_who() {
    let house = House::start(Plot::default()).await;
    let (call, id) = house.talking(1, chat()).await;
    let (ann, bob) = (
        house.token("ann", Role::Operator).await,
        house.token("bob", Role::Operator).await,
    );
    let (mut ann, mut bob) = (house.join(&ann).await, house.join(&bob).await);
    ann.wait_for("hello").await;
    bob.wait_for("hello").await;
    // What goes to the carrier is held back: both are under way at once.
    house.rest.hold(true);
    let order = |number: u32| {
        json!({
            "id": format!("0190a000-0000-7000-8000-{number:012}"),
            "call": id, "verb": "terminate", "args": {},
        })
    };
    let ((), ()) = tokio::join!(ann.emit("command", order(1)), bob.emit("command", order(2)));
    let (first, second) = tokio::join!(ann.wait_for("reply"), bob.wait_for("reply"));
    let (won, lost, winner) = if first["ok"] == true {
        (first, second, "ann")
    } else {
        (second, first, "bob")
    };
    assert_eq!(won["state"], "accepted", "{won}");
    assert_eq!(lost["ok"], false, "{lost}");
    assert_eq!(lost["error"]["code"], "conflict", "{lost}");
    assert_eq!(lost["error"]["by"], winner, "{lost}");
    house.rest.hold(false);
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.ended_by, Some("api"));
    let card = house
        .wait_card(call.sid(), "done", |card| {
            card.actions
                .iter()
                .any(|action| action.state == ActionState::Done)
        })
        .await;
    assert_eq!(card.status, CallStatus::Completed);
    assert_eq!(card.actions.len(), 1, "{:?}", card.actions);
    assert_eq!(hang_ups(&house), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_carrier_leaves_an_order_pending_then_unconfirmed_and_never_doubles_it() {
    let house = House::start(Plot::default()).await;
    // Nobody tells us of the end but the REST that does not answer.
    let call = house.peers.ring(&house.url, 1, chat(), false);
    call.wait_heard(100).await.unwrap();
    let id = house.card(call.sid()).unwrap().id;
    let mut facts = house.facts().await;
    house.rest.stall(true);
    let asked = Instant::now();
    let command = Command {
        id: house.core.clock.command_id(),
        call: Some(id),
        action: Action::Terminate {},
        reason: None,
    };
    let ann = Grant::of("ann", Role::Operator);
    let reply = house.core.command(&ann, command.clone()).await;
    assert!(reply.ok, "{reply:?}");
    assert!(asked.elapsed() < Duration::from_secs(1), "accepted at once");
    let again: Reply = house.core.command(&ann, command.clone()).await;
    assert_eq!(again, reply, "the same id gets the same answer");
    let other = Command {
        id: house.core.clock.command_id(),
        ..command.clone()
    };
    let bob = Grant::of("bob", Role::Operator);
    let refused = house.core.command(&bob, other).await.error.unwrap();
    assert_eq!(
        (refused.code, refused.by.as_deref()),
        (ErrorCode::Conflict, Some("ann"))
    );
    let pending = house.card(call.sid()).unwrap();
    assert_eq!(pending.actions[0].state, ActionState::Accepted);
    assert!(pending.is_live(), "the end is not invented");

    facts
        .wait("unconfirmed", |fact| {
            matches!(fact, Fact::CommandUnconfirmed { .. })
        })
        .await;
    let took = asked.elapsed();
    eprintln!("C11: unconfirmed after {took:?}");
    assert!((9..13).contains(&took.as_secs()), "{took:?}");
    house.rest.stall(false);
    facts
        .wait("done", |fact| matches!(fact, Fact::CommandDone { .. }))
        .await;
    let card = house.card(call.sid()).unwrap();
    assert!(!card.is_live());
    let accepted = facts.seen.iter();
    let accepted = accepted.filter(|fact| matches!(fact, Fact::CommandAccepted { .. }));
    assert_eq!(accepted.count(), 1);
    assert!(hang_ups(&house) <= 2, "{}", hang_ups(&house));
    let endings = facts.seen.iter();
    let endings = endings.filter(|fact| matches!(fact, Fact::CallEnded { .. }));
    assert_eq!(endings.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_sent_ten_times_at_once_ends_a_call_once() {
    let house = House::start(Plot::default()).await;
    let (call, id) = house.talking(1, chat()).await;
    let token = house.token("ann", Role::Operator).await;
    let ask = || {
        let request = house
            .http
            .post(format!("{}/api/calls/{id}/terminate", house.url));
        request
            .bearer_auth(&token)
            .header("idempotency-key", "once")
            .send()
    };
    let answers = futures_util::future::join_all((0..10).map(|_| ask())).await;
    for answer in answers {
        assert_eq!(answer.unwrap().status(), 200);
    }
    call.wait_over().await.unwrap();
    let ended = until("the end", 10, || {
        house.card(call.sid()).filter(|card| !card.is_live())
    });
    assert_eq!(ended.await.unwrap().actions.len(), 1);
    assert_eq!(hang_ups(&house), 1);
}
