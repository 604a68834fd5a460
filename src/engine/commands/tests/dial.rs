//! Placing calls.

use crate::call::{Action, CallStatus, DialRequest, ErrorCode, Grant};
use crate::engine::ports::CarrierError;
use crate::engine::switchboard::Target;
use crate::engine::testing::{Answer, about, carriers, command, core, eventually, outcomes};

use super::{code, operator};

fn dial(number: &str) -> Action {
    Action::Dial {
        request: DialRequest {
            number: number.into(),
            prompt: Some("be brief".into()),
            ..DialRequest::default()
        },
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_written_down_before_it_is_placed_and_keeps_one_identity() {
    let (core, carrier, journal) = core();
    let reply = core
        .command(
            &operator("ana"),
            command(&core, None, dial("+1 415 555 0134")),
        )
        .await;
    let call = reply.result.expect("a result")["call"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("ours");
    eventually(&core, "dialled", |_| carrier.state().dials.len() == 1).await;
    let plan = core
        .switchboard
        .read(|board| board.get(call).cloned())
        .map(|call| core.plan_for(&call));
    assert_eq!(
        plan.expect("on the board")
            .expect("a plan")
            .agent
            .brief
            .prompt
            .as_deref(),
        Some("be brief")
    );
    eventually(&core, "done", |_| outcomes(&journal).len() == 2).await;
    let posted = core
        .switchboard
        .post(carriers("CAplaced1", CallStatus::Ringing), Vec::new())
        .await
        .expect("posted");
    assert_eq!((posted.call, posted.created), (Some(call), false));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_overtakes_the_carriers_answer_finds_the_placed_call() {
    let (core, carrier, _journal) = core();
    carrier.answers([Answer::Silence]);
    let reply = core
        .command(&operator("ana"), command(&core, None, dial("+14155550134")))
        .await;
    assert!(reply.ok);
    let mut facts = about("CAearly");
    facts.direction = crate::call::Direction::Outbound;
    facts.to = "14155550134".into();
    let target = Target::Carrier {
        facts,
        status: CallStatus::Ringing,
        started_at: None,
    };
    let posted = core
        .switchboard
        .post(target, Vec::new())
        .await
        .expect("posted");
    assert!(!posted.created);
    assert_eq!(core.switchboard.read(crate::call::Board::len), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dial_the_carrier_refuses_ends_with_its_reason_and_is_not_repeated() {
    let (core, carrier, journal) = core();
    let no = CarrierError::Refused {
        code: Some(21211),
        message: "invalid To".into(),
    };
    carrier.answers([Answer::No(no)]);
    core.command(&operator("ana"), command(&core, None, dial("+14155550134")))
        .await;
    eventually(&core, "failed", |_| outcomes(&journal).len() == 2).await;
    assert_eq!(outcomes(&journal)[1], "failed dial invalid");
    let cause = core.switchboard.read(|board| {
        board
            .calls()
            .next()
            .map(|call| (call.status, call.end_cause.clone()))
    });
    let (status, cause) = cause.expect("the call");
    assert_eq!(status, CallStatus::Failed);
    assert!(cause.is_some_and(|cause| cause.contains("invalid To")));
    assert_eq!(carrier.state().dials.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dialling_can_be_stopped_and_resumed_and_a_draining_backend_places_nothing() {
    let (core, carrier, _journal) = core();
    let admin = Grant::admin("root");
    assert!(
        core.command(&admin, command(&core, None, Action::StopDialing {}))
            .await
            .ok
    );
    let reply = core
        .command(&admin, command(&core, None, dial("+14155550134")))
        .await;
    assert_eq!(code(&reply), Some(ErrorCode::Unavailable));
    assert!(
        core.command(&admin, command(&core, None, Action::ResumeDialing {}))
            .await
            .ok
    );
    core.dialling.start_draining();
    let reply = core
        .command(&admin, command(&core, None, dial("+14155550134")))
        .await;
    assert_eq!(code(&reply), Some(ErrorCode::Unavailable));
    assert!(carrier.state().dials.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_agent_takes_no_more_calls_than_its_limit() {
    let (mut core, carrier, _journal) = core();
    let mut plans = (*core.plans).clone();
    if let Some(agent) = plans.agents.get_mut("support") {
        agent.concurrent_max = Some(1);
    }
    core.plans = std::sync::Arc::new(plans);
    let ana = operator("ana");
    assert!(
        core.command(&ana, command(&core, None, dial("+14155550134")))
            .await
            .ok
    );
    let second = core
        .command(&ana, command(&core, None, dial("+14155550135")))
        .await;
    assert_eq!(code(&second), Some(ErrorCode::Overloaded));
    eventually(&core, "dialled", |_| carrier.state().dials.len() == 1).await;
}
