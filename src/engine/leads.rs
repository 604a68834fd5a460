//! Whose call this is: the lead's name on the card, found by id or by number as soon as a call is
//! seen.

use crate::call::{Call, CallFacts, CallId, Fact, LeadKey};

use super::Core;

/// Looks the lead of a call up and says who it is. Calls that name both need nothing.
pub(super) fn look_up(core: &Core, id: CallId) {
    let key = core
        .switchboard
        .read(|board| board.get(id).and_then(key_of));
    let Some(key) = key else { return };
    let core = core.clone();
    core.tasks.clone().spawn("lead", async move {
        match core.journal.lead(key).await {
            Ok(Some(lead)) => {
                let facts = CallFacts {
                    lead_id: Some(lead.id),
                    name: lead.name,
                    ..CallFacts::default()
                };
                core.post_about(Some(id), vec![Fact::CallDescribed { facts }])
                    .await;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, call = %id, "the lead could not be looked up"),
        }
    });
}

fn key_of(call: &Call) -> Option<LeadKey> {
    match (&call.facts.lead_id, &call.facts.name) {
        (Some(_), Some(_)) => None,
        (Some(id), None) => Some(LeadKey::Id(id.clone())),
        (None, _) => {
            let number = call.caller_number();
            number
                .starts_with('+')
                .then(|| LeadKey::Number(number.to_owned()))
        }
    }
}
