//! Ending a call: ask the carrier, wait for its word that the call is over, and look it up when
//! the word does not come.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::call::CONFIRM_WITHIN;
use crate::call::{Call, CallId, Refusal};
use crate::engine::Core;
use crate::engine::ports::CarrierError;
use crate::engine::reconcile;

use super::holds::Hold;
use super::perform::{Again, ask, carrier_id, carrier_of, late, post, refusal};
use super::{Asked, Outcome};

/// After this the command stays unconfirmed; the sweep looks after the call from then on.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Ends a call. Sends one hang-up (repeated only if the carrier could not be reached), and is done
/// when the fact is on the board. Others may try again once nothing of this is under way.
pub(super) async fn end_call(
    core: &Core,
    asked: &Asked,
    call: CallId,
    holds: Vec<Hold>,
) -> Outcome {
    let mut holds = Some(holds);
    let begun = Instant::now();
    let ended = core
        .switchboard
        .until(call, |call: &Call| (!call.is_live()).then_some(()));
    let asking = hang_up(core, call);
    tokio::pin!(ended, asking);
    let mut answered = false;
    let mut announced = false;
    let mut next = begun + CONFIRM_WITHIN;
    loop {
        // Cancel-safe: both futures are pinned and kept over the loop.
        tokio::select! {
            biased;
            _ = &mut ended => return Outcome::Done,
            answer = &mut asking, if !answered => {
                answered = true;
                if let Err(refused) = answer {
                    // The request failed, yet the call may be over for another reason.
                    reconcile::look_up(core, call).await;
                    return if is_over(core, call) { Outcome::Done } else { Outcome::Failed(refused) };
                }
            }
            () = sleep_until(next) => {
                if !announced {
                    announced = true;
                    post(core, Some(call), vec![asked.unconfirmed()]).await;
                }
                if answered {
                    holds = None;
                    reconcile::look_up(core, call).await;
                }
                if begun.elapsed() >= GIVE_UP_AFTER {
                    drop(holds);
                    return if is_over(core, call) { Outcome::Done } else { Outcome::Unconfirmed };
                }
                next = Instant::now() + CONFIRM_WITHIN;
            }
        }
    }
}

fn is_over(core: &Core, call: CallId) -> bool {
    core.switchboard
        .read(|board| board.get(call).is_none_or(|call| !call.is_live()))
}

async fn hang_up(core: &Core, call: CallId) -> Result<(), Refusal> {
    let carrier = carrier_of(core, call)?;
    let id = carrier_id(core, call).await?;
    match ask(Again::Harmless, || carrier.hang_up(id.clone())).await {
        Some(Ok(())) => Ok(()),
        Some(Err(CarrierError::AlreadyEnded)) => {
            // What was wanted. How it ended is the carrier's to say.
            reconcile::look_up(core, call).await;
            Ok(())
        }
        Some(Err(error)) => Err(refusal(&error)),
        None => Err(late()),
    }
}
