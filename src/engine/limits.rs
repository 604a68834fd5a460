//! What cannot be done on a call, whoever asks, because nobody could say the words. Screens grey it
//! with the reason; commands are refused with it.

use std::sync::Arc;

use crate::call::{Call, CallFacts, Limit};

use super::ports::{CarrierControl, Speaker};
use super::{AgentPlan, Core};

/// How given words become speech on a call.
#[derive(Clone, Debug)]
pub(super) enum Mouth {
    /// The agent says them in its conversation.
    Agent,
    /// Speech is made elsewhere and played.
    Speaker(Arc<dyn Speaker>),
    /// The carrier says them.
    Carrier(Arc<dyn CarrierControl>),
    /// Nobody: they are read.
    Written,
}

/// Not an action of an operator's: what taking over cannot do to this agent.
const HUSH: &str = "hush_agent";
const NO_HUSH: &str = "goes on unheard: cannot be hushed";

/// The limits of this call with this agent.
pub(super) fn of(core: &Core, facts: &CallFacts, agent: &AgentPlan) -> Vec<Limit> {
    let carrier = facts.carrier.as_str();
    let mut limits = Vec::new();
    if mouth(core, facts, agent, false).is_none() {
        let why = format!(
            "this agent speaks no given text and no speech service is configured ({})",
            core.plans.hints.speech
        );
        limits.extend(["say", "take_over"].map(|action| limit(action, &why)));
    }
    if let Some(control) = core.carriers.get(carrier) {
        if !control.transfers() {
            limits.push(limit(
                "transfer",
                &format!("{carrier} has no line to transfer"),
            ));
        }
        if !control.records() {
            limits.push(limit("record_start", &format!("{carrier} records nothing")));
        }
    }
    if !agent.dialer.can_hush() {
        limits.push(limit(HUSH, NO_HUSH));
    }
    limits
}

/// Who says given words. `by_operator`: verbatim counts more than the agent's own voice. Where nobody
/// listens no speech is made.
pub(super) fn mouth(
    core: &Core,
    facts: &CallFacts,
    agent: &AgentPlan,
    by_operator: bool,
) -> Option<Mouth> {
    let control = core.carriers.get(facts.carrier.as_str());
    let id = facts.carrier_call_id.as_deref().unwrap_or_default();
    let speaker = if control.is_some_and(|control| control.is_read(id)) {
        Some(Mouth::Written)
    } else {
        agent.extras.speaker.clone().map(Mouth::Speaker)
    };
    let itself = agent.dialer.can_say().then_some(Mouth::Agent);
    let control = control.filter(|control| control.can_speak());
    let carrier = control.cloned().map(Mouth::Carrier);
    if by_operator {
        speaker.or(itself).or(carrier)
    } else {
        itself.or(speaker).or(carrier)
    }
}

/// The mouth of a call on the board.
pub(super) fn mouth_of(core: &Core, call: &Call) -> Option<Mouth> {
    let plan = core.plans.decide(call).ok()?;
    mouth(core, &call.facts, &plan.agent, call.held_by.is_some())
}

fn limit(action: &str, reason: &str) -> Limit {
    Limit {
        action: action.to_owned(),
        reason: reason.to_owned(),
    }
}
