//! Tools on a core with a fake carrier, on virtual time.

use serde_json::json;

use super::*;
use crate::call::{CallEvent, Fact};
use crate::engine::testing::{Answer, agent, core, live_call};
use crate::engine::{CarrierError, MemoryJournal};

fn with_places(core: &mut Core) {
    let places = [("Front desk".to_owned(), "+15550001111".to_owned())];
    core.transfers = std::sync::Arc::new(places.into());
}

async fn transfer_call(core: &Core, call: CallId, args: &str) -> Outcome {
    run(
        core,
        call,
        &agent("support"),
        "call_1".into(),
        TRANSFER_CALL,
        args,
    )
    .await
}

fn transfers(journal: &MemoryJournal) -> Vec<(String, Option<String>)> {
    let told = journal.envelopes().into_iter();
    told.filter_map(|envelope| match &envelope.event {
        CallEvent::Known(Fact::Transferred { state, reason, .. }) => {
            Some((state.clone(), reason.clone()))
        }
        _ => None,
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn the_model_hands_the_caller_over_with_its_reason() {
    let (mut core, carrier, journal) = core();
    with_places(&mut core);
    let call = live_call(&core, "CA1").await;
    let args = json!({"reason": "wants a person", "destination": "front desk"}).to_string();
    let outcome = transfer_call(&core, call, &args).await;
    assert_eq!(outcome, Ok("the caller is being transferred".to_owned()));
    assert_eq!(
        carrier.state().transfers,
        [("CA1".to_owned(), "+15550001111".to_owned())]
    );
    assert_eq!(
        transfers(&journal),
        [("requested".to_owned(), Some("wants a person".to_owned()))]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_carrier_refuses_is_an_error_for_the_model_and_shown() {
    let (mut core, carrier, journal) = core();
    with_places(&mut core);
    let call = live_call(&core, "CA1").await;
    carrier.answers([Answer::No(CarrierError::Refused {
        code: Some(13_224),
        message: "invalid number".into(),
    })]);
    let outcome = transfer_call(&core, call, "{\"reason\":\"x\"}").await;
    assert!(outcome.expect_err("refused").contains("invalid number"));
    assert_eq!(
        transfers(&journal).last().map(|(state, _)| state.as_str()),
        Some("failed")
    );
    let live = core
        .switchboard
        .read(|board| board.get(call).is_some_and(Call::is_live));
    assert!(live);
}

#[tokio::test(start_paused = true)]
async fn bad_arguments_and_unknown_places_never_reach_the_carrier() {
    let (mut core, carrier, _journal) = core();
    let call = live_call(&core, "CA1").await;
    let nowhere = transfer_call(&core, call, "{\"reason\":\"x\"}").await;
    assert!(nowhere.expect_err("refused").contains("no number"));
    with_places(&mut core);
    for (args, says) in [
        ("not json", "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "reason is missing"),
        ("{\"reason\":7}", "reason is missing"),
        (
            "{\"reason\":\"x\",\"destination\":\"+19005550000\"}",
            "Front desk",
        ),
    ] {
        let error = transfer_call(&core, call, args).await.expect_err(args);
        assert!(error.contains(says), "{args}: {error}");
    }
    assert!(carrier.state().transfers.is_empty());
    let asked = run(
        &core,
        call,
        &agent("support"),
        "c".into(),
        REQUEST_HUMAN,
        "{}",
    )
    .await;
    assert!(asked.is_ok());
    assert!(
        run(&core, call, &agent("support"), "c".into(), "rm", "{}")
            .await
            .is_err()
    );
}
