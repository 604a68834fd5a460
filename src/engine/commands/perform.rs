//! Carrying out what was accepted, and telling everybody how it went.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;

use crate::call::{CallId, ErrorCode, Fact, Recording, RecordingState, Refusal, Reply};
use crate::engine::Core;
use crate::engine::backoff::Backoff;
use crate::engine::bridges::BridgeOrder;
use crate::engine::clock::random;
use crate::engine::ports::{CarrierControl, CarrierError, RecordingOrder};
use crate::engine::presence;
use crate::engine::switchboard::Target;

use super::checks::Job;
use super::holds::Hold;
use super::{Asked, Commands, Outcome, from_post, target};

/// How long one request to a carrier, or one order to a bridge, may take.
pub(super) const REQUEST_WITHIN: Duration = Duration::from_secs(10);

impl Commands {
    /// Says that the command was accepted, answers, and carries it out.
    ///
    /// # Errors
    /// Nothing was done and nobody was told.
    pub(super) async fn accept(
        &self,
        core: &Core,
        asked: &Asked,
        job: Job,
        holds: Vec<Hold>,
        answer: &watch::Sender<Option<Reply>>,
    ) -> Result<(), Refusal> {
        let yes = |result| {
            answer.send_replace(Some(Reply::accepted(asked.command, result)));
        };
        match job {
            Job::Say {
                call,
                facts,
                result,
            } => {
                said(core, asked, target(call), facts).await?;
                yes(result);
            }
            Job::Past {
                call,
                facts,
                result,
            } => {
                said(core, asked, Target::Past(call), facts).await?;
                // Whoever has just written it looks it up again; a disk that takes nothing says so.
                let _unwritten = core.journal.flush().await;
                yes(result);
            }
            Job::Audited => {
                keep(core, asked)?;
                yes(None);
            }
            Job::Dial(placing) => {
                let call = placing.open(core, asked).await?;
                yes(Some(json!({"call": call})));
                let outcome = placing.perform(core, asked).await;
                settle(core, asked, Some(call), outcome).await;
            }
            Job::End { call } => {
                announce(core, asked, call, Vec::new()).await?;
                yes(None);
                let outcome = super::end::end_call(core, asked, call, holds).await;
                settle(core, asked, Some(call), outcome).await;
            }
            Job::Transfer { call, to } => {
                let requested = transferred(&to, "requested", asked.reason.clone());
                announce(core, asked, call, vec![requested]).await?;
                yes(None);
                let outcome = transfer(core, asked, call, to).await;
                settle(core, asked, Some(call), outcome).await;
                drop(holds);
            }
            Job::Record {
                call,
                order,
                recording,
            } => {
                announce(core, asked, call, Vec::new()).await?;
                yes(None);
                let outcome = record(core, call, order, recording).await;
                settle(core, asked, Some(call), outcome).await;
                drop(holds);
            }
            Job::Order {
                call,
                order,
                first,
                then,
            } => {
                let takes_over = order == BridgeOrder::TakeOver;
                announce(core, asked, call, first).await?;
                yes(None);
                let outcome = steer(core, call, order, then).await;
                settle(core, asked, Some(call), outcome).await;
                drop(holds);
                if takes_over {
                    presence::lease(core, call, &asked.by);
                }
            }
            Job::Speak { call, text, mouth } => {
                // In the order they were typed, whatever each takes to make.
                let turn = self.turns.take(call).await;
                announce(core, asked, call, Vec::new()).await?;
                yes(None);
                let outcome = super::floor::speak(core, call, text, mouth).await;
                settle(core, asked, Some(call), outcome).await;
                drop(turn);
            }
        }
        Ok(())
    }
}

/// Done by saying so.
async fn said(core: &Core, asked: &Asked, of: Target, facts: Vec<Fact>) -> Result<(), Refusal> {
    let mut all = vec![asked.accepted()];
    all.extend(facts);
    all.extend(asked.settled(&Outcome::Done));
    let posted = core.switchboard.post(of, all).await;
    posted.map(drop).map_err(from_post)
}

/// Writes into the audit trail what no fact tells of.
fn keep(core: &Core, asked: &Asked) -> Result<(), Refusal> {
    let row = asked.row(core, None, "done".into());
    core.journal.audit(row).map_err(|error| {
        Refusal::new(
            ErrorCode::Unavailable,
            format!("the audit trail takes nothing: {error}"),
            "try again when the journal writes",
        )
    })
}

/// Shows everybody who asked for what, before it is done.
async fn announce(
    core: &Core,
    asked: &Asked,
    call: CallId,
    more: Vec<Fact>,
) -> Result<(), Refusal> {
    let mut facts = vec![asked.accepted()];
    facts.extend(more);
    let posted = core.switchboard.post(Target::Call(call), facts).await;
    posted.map(drop).map_err(from_post)
}

async fn settle(core: &Core, asked: &Asked, call: Option<CallId>, outcome: Outcome) {
    let word = match &outcome {
        Outcome::Done => "done",
        Outcome::Failed(_) => "failed",
        Outcome::Unconfirmed => "unconfirmed",
    };
    metrics::counter!("wallboard_commands_total", "verb" => asked.verb, "outcome" => word)
        .increment(1);
    if let Some(fact) = asked.settled(&outcome) {
        post(core, call, vec![fact]).await;
    }
}

/// Posts what is only lost when the call has left the board or the backend ends.
pub(super) async fn post(core: &Core, call: Option<CallId>, facts: Vec<Fact>) {
    if let Err(error) = core.switchboard.post(target(call), facts).await {
        tracing::debug!(%error, "the outcome of a command found no board");
    }
}

pub(super) fn carrier_of(
    core: &Core,
    call: CallId,
) -> Result<std::sync::Arc<dyn CarrierControl>, Refusal> {
    let name = core
        .switchboard
        .read(|board| board.get(call).map(|call| call.facts.carrier.clone()));
    name.and_then(|name| core.carriers.get(name.as_str()).cloned())
        .ok_or_else(|| {
            Refusal::new(
                ErrorCode::Unsupported,
                "no access to the carrier of this call",
                "set its account and key in config.toml",
            )
        })
}

/// The carrier's id of a call; waits for it while the call is being placed.
pub(super) async fn carrier_id(core: &Core, call: CallId) -> Result<String, Refusal> {
    let known = core
        .switchboard
        .until(call, |call| match &call.facts.carrier_call_id {
            Some(id) => Some(Some(id.clone())),
            None if !call.is_live() => Some(None),
            None => None,
        });
    match tokio::time::timeout(REQUEST_WITHIN, known).await {
        Ok(Some(Some(id))) => Ok(id),
        Ok(_) => Err(refusal(&CarrierError::AlreadyEnded)),
        Err(_) => Err(Refusal::new(
            ErrorCode::Timeout,
            "the carrier has not named this call yet",
            "try again when it rings",
        )),
    }
}

/// Which failures of a request are worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Doing it twice is the same as doing it once.
    Harmless,
    /// Only when the carrier said that it did nothing.
    OnlyIfUntouched,
}

/// Asks a carrier, at most three times, each time at most [`REQUEST_WITHIN`]. `None` after the
/// last try means that it did not answer in time: nobody knows whether it was done.
pub(super) async fn ask<T>(
    again: Again,
    request: impl Fn() -> BoxFuture<'static, Result<T, CarrierError>>,
) -> Option<Result<T, CarrierError>> {
    let mut failed = 0;
    loop {
        let answer = tokio::time::timeout(REQUEST_WITHIN, request()).await.ok();
        failed += 1;
        let (worth_it, least) = match &answer {
            None | Some(Err(CarrierError::Unreachable(_))) => {
                (again == Again::Harmless, Duration::ZERO)
            }
            Some(Err(CarrierError::RateLimited { retry_after_s })) => {
                let wait = Duration::from_secs(retry_after_s.unwrap_or(0));
                (wait <= REQUEST_WITHIN, wait)
            }
            Some(_) => (false, Duration::ZERO),
        };
        let wait = Backoff::CARRIER.after(failed, u64::from_ne_bytes(random()));
        match wait.filter(|_| worth_it) {
            Some(wait) => tokio::time::sleep(wait.max(least)).await,
            None => return answer,
        }
    }
}

/// A carrier's failure in words an operator can act on.
pub(super) fn refusal(error: &CarrierError) -> Refusal {
    let (code, hint) = match error {
        CarrierError::AlreadyEnded => (ErrorCode::Conflict, "nothing can be done to it any more"),
        CarrierError::Refused { .. } => (
            ErrorCode::Invalid,
            "check the number, and the account at the carrier",
        ),
        CarrierError::Unauthorized => (
            ErrorCode::Unavailable,
            "check the carrier's account and key in config.toml (wallboard doctor)",
        ),
        CarrierError::RateLimited { .. } => (ErrorCode::Overloaded, "try again in a few seconds"),
        CarrierError::Unreachable(_) => (
            ErrorCode::Unavailable,
            "check the network; try again (wallboard doctor)",
        ),
        CarrierError::Unsupported(_) => (
            ErrorCode::Unsupported,
            "this carrier lacks it; do it another way",
        ),
    };
    Refusal::new(code, error.to_string(), hint)
}

fn transferred(to: &str, state: &str, reason: Option<String>) -> Fact {
    Fact::Transferred {
        to: to.to_owned(),
        state: state.to_owned(),
        reason,
    }
}

/// Done means that the carrier took the order; whether somebody answered comes by webhook.
async fn transfer(core: &Core, asked: &Asked, call: CallId, to: String) -> Outcome {
    let refused = match transfer_request(core, call, &to).await {
        Ok(Some(())) => {
            leave(core, call).await;
            return Outcome::Done;
        }
        Ok(None) => {
            post(core, Some(call), vec![asked.unconfirmed()]).await;
            return Outcome::Unconfirmed;
        }
        Err(refused) => refused,
    };
    let failed = transferred(&to, "failed", Some(refused.message.clone()));
    post(core, Some(call), vec![failed]).await;
    Outcome::Failed(refused)
}

/// The agent leaves once the carrier has the order, never before: a stream that ends first can end
/// the call. A call without a bridge has nobody to leave.
async fn leave(core: &Core, call: CallId) {
    let closes = carrier_of(core, call).is_ok_and(|carrier| carrier.stream_outlives_transfer());
    let left = core
        .bridges
        .order(call, BridgeOrder::Transferred { closes });
    if tokio::time::timeout(REQUEST_WITHIN, left).await.is_err() {
        tracing::warn!(%call, "the bridge did not leave after a transfer");
    }
}

async fn transfer_request(core: &Core, call: CallId, to: &str) -> Result<Option<()>, Refusal> {
    let carrier = carrier_of(core, call)?;
    let id = carrier_id(core, call).await?;
    let answer = ask(Again::OnlyIfUntouched, || {
        carrier.transfer(id.clone(), to.to_owned())
    })
    .await;
    answer.transpose().map_err(|error| refusal(&error))
}

async fn record(
    core: &Core,
    call: CallId,
    order: RecordingOrder,
    recording: Option<String>,
) -> Outcome {
    let id = match record_request(core, call, order, recording.clone()).await {
        Ok(id) => recording.unwrap_or(id),
        Err(refused) => return Outcome::Failed(refused),
    };
    let state = match order {
        RecordingOrder::Start => RecordingState::Started,
        RecordingOrder::Pause => RecordingState::Paused,
        RecordingOrder::Resume => RecordingState::InProgress,
        // `completed` is the carrier's word and comes by webhook.
        RecordingOrder::Stop => return Outcome::Done,
    };
    // A webhook may have been quicker than the answer: do not go back behind it.
    let known = core.switchboard.read(|board| {
        board
            .get(call)
            .is_some_and(|call| call.recordings.iter().any(|known| known.id == id))
    });
    if order != RecordingOrder::Start || !known {
        let recording = Recording {
            id,
            state,
            duration_s: None,
            url: None,
            error: None,
        };
        post(core, Some(call), vec![Fact::RecordingChanged { recording }]).await;
    }
    Outcome::Done
}

async fn record_request(
    core: &Core,
    call: CallId,
    order: RecordingOrder,
    recording: Option<String>,
) -> Result<String, Refusal> {
    let carrier = carrier_of(core, call)?;
    let id = carrier_id(core, call).await?;
    let again = match order {
        RecordingOrder::Start => Again::OnlyIfUntouched,
        _ => Again::Harmless,
    };
    let answer = ask(again, || {
        carrier.record(id.clone(), recording.clone(), order)
    })
    .await;
    match answer {
        Some(Ok(id)) => Ok(id),
        Some(Err(error)) => Err(refusal(&error)),
        None => Err(late()),
    }
}

pub(super) async fn steer(
    core: &Core,
    call: CallId,
    order: BridgeOrder,
    then: Vec<Fact>,
) -> Outcome {
    let carried_out = core.bridges.order(call, order);
    match tokio::time::timeout(REQUEST_WITHIN, carried_out).await {
        Ok(Ok(())) => {
            if !then.is_empty() {
                post(core, Some(call), then).await;
            }
            Outcome::Done
        }
        Ok(Err(refused)) => Outcome::Failed(refused),
        Err(_) => Outcome::Failed(late()),
    }
}

pub(super) fn late() -> Refusal {
    Refusal::new(
        ErrorCode::Timeout,
        "no answer within 10 s",
        "look at the call before trying again",
    )
}
