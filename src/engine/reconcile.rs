//! Bringing the board back in line with the carriers: after a restart, and for webhooks that never
//! came. The carrier's REST is the judge; nothing here guesses.

use std::time::Duration;

use crate::call::{CallId, CallStatus, Fact, Source};

use super::Core;
use super::ports::{CarrierCall, CarrierError};
use super::switchboard::Target;

/// How long one request to a carrier may take here.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// Asks the carrier about one call and posts what it says. Does nothing for calls whose carrier or
/// carrier id is not known.
pub(super) async fn look_up(core: &Core, call: CallId) {
    if let Some(facts) = ask_about(core, call).await {
        post(core, call, facts).await;
    }
}

async fn ask_about(core: &Core, call: CallId) -> Option<Vec<Fact>> {
    let (carrier, carrier_call_id, answered) = core.switchboard.read(|board| {
        let call = board.get(call).filter(|call| call.is_live())?;
        let id = call.facts.carrier_call_id.clone()?;
        Some((call.facts.carrier.clone(), id, call.answered_at.is_some()))
    })?;
    let carrier = core.carriers.get(carrier.as_str())?;
    let found = tokio::time::timeout(REQUEST_WITHIN, carrier.find(carrier_call_id)).await;
    match found {
        Ok(Ok(Some(found))) => Some(vec![said(&found)]),
        // A call the carrier does not know cannot be live.
        Ok(Ok(None) | Err(CarrierError::AlreadyEnded)) => Some(vec![Fact::CallEnded {
            status: if answered {
                CallStatus::Completed
            } else {
                CallStatus::Failed
            },
            ended_by: None,
            cause: Some("the carrier no longer knows this call".into()),
            duration_s: None,
            source: Source::Rest,
        }]),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// What the carrier says of a call, as a fact.
fn said(found: &CarrierCall) -> Fact {
    if found.status.is_terminal() {
        return Fact::CallEnded {
            status: found.status,
            ended_by: None,
            cause: None,
            duration_s: found.duration_s,
            source: Source::Rest,
        };
    }
    Fact::StatusChanged {
        status: found.status,
        source: Source::Rest,
    }
}

async fn post(core: &Core, call: CallId, facts: Vec<Fact>) {
    if let Err(error) = core.switchboard.post(Target::Call(call), facts).await {
        tracing::debug!(%error, "a carrier's word found no board");
    }
}
