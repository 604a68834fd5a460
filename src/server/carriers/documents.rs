//! What a call shall do next, as a document for its carrier: meet its agent, fall back, or be
//! refused politely.

use std::sync::Arc;

use crate::call::{Alert, CallFacts, CallId, Fact, Refusal, Severity};
use crate::engine::{CallPlan, Fallback, Target};
use crate::providers::vendor::{Base, CarrierDesk, StreamDocument, Wanted};

use super::super::state::App;

/// What a caller hears when nobody can answer.
const NOBODY: &str =
    "We are sorry, nobody can take your call right now. Please try again later. Goodbye.";

/// The document wanted; `None` when the carrier waits for none.
pub(super) async fn document(
    app: &Arc<App>,
    desk: &Arc<dyn CarrierDesk>,
    base: &Base,
    wanted: Wanted,
) -> Option<String> {
    match wanted {
        Wanted::Nothing => None,
        Wanted::Document(text) => Some(text),
        Wanted::Agent {
            carrier_call_id,
            record,
        } => Some(agent(app, desk, base, &carrier_call_id, record).await),
        Wanted::Fallback { carrier_call_id } => {
            let fallback = match decide(app, &carrier_call_id) {
                Some(Decision { plan: Ok(plan), .. }) => plan.fallback,
                _ => app.core.plans.fallback.clone(),
            };
            Some(desk.fall_back(base, &fallback))
        }
    }
}

struct Decision {
    call: CallId,
    is_live: bool,
    knows_agent: bool,
    plan: Result<CallPlan, Refusal>,
}

fn decide(app: &App, carrier_call_id: &str) -> Option<Decision> {
    // A copy: deciding looks at the board again, which must not be held meanwhile.
    let call = app
        .core
        .switchboard
        .read(|board| board.find(carrier_call_id).map(|call| call.trimmed(0)))?;
    Some(Decision {
        call: call.id,
        is_live: call.is_live(),
        knows_agent: call.facts.agent.is_some() && call.facts.agent_kind.is_some(),
        plan: app.core.plan_for(&call),
    })
}

async fn agent(
    app: &Arc<App>,
    desk: &Arc<dyn CarrierDesk>,
    base: &Base,
    carrier_call_id: &str,
    record: bool,
) -> String {
    let Some(decision) = decide(app, carrier_call_id).filter(|decision| decision.is_live) else {
        return desk.hang_up();
    };
    if app.is_draining() {
        let refusal = Refusal::new(
            crate::call::ErrorCode::Unavailable,
            "this backend is draining and takes no new calls",
            "",
        );
        refuse(app, &decision, "draining", &refusal).await;
        return desk.say(NOBODY);
    }
    match &decision.plan {
        Ok(plan) => {
            if !decision.knows_agent {
                describe(app, decision.call, plan).await;
            }
            let ticket = app.media_tickets.issue(desk.carrier(), carrier_call_id);
            desk.connect(&StreamDocument {
                base,
                ticket: &ticket,
                record,
                fallback: &plan.fallback,
            })
        }
        Err(refusal) => {
            refuse(app, &decision, "no_agent", refusal).await;
            match &app.core.plans.fallback {
                // Somebody can still answer: a number is configured for when no agent can.
                fallback @ Fallback::Transfer(_) => desk.fall_back(base, fallback),
                Fallback::Say(_) => desk.say(NOBODY),
            }
        }
    }
}

/// Names the call's agent on its card before the first word.
async fn describe(app: &App, call: CallId, plan: &CallPlan) {
    let fact = Fact::CallDescribed {
        facts: CallFacts {
            agent: Some(plan.agent.id.clone()),
            agent_kind: Some(plan.agent.kind.to_owned()),
            ..CallFacts::default()
        },
    };
    if let Err(error) = app
        .core
        .switchboard
        .post(Target::Call(call), vec![fact])
        .await
    {
        tracing::debug!(%error, "the agent of a call was not described");
    }
}

/// Makes it visible that a caller was turned away.
async fn refuse(app: &App, decision: &Decision, code: &str, refusal: &Refusal) {
    let alert = Fact::AlertRaised {
        alert: Alert {
            rule: code.to_owned(),
            severity: Severity::Critical,
            reason: if code == "no_agent" {
                "no agent"
            } else {
                "turned away"
            }
            .to_owned(),
            value: 0.0,
            threshold: 0.0,
            since: app.core.clock.now(),
            evidence: Vec::new(),
            acknowledged_by: None,
            snoozed_until: None,
        },
    };
    let trouble = Fact::TroubleNoted {
        code: code.to_owned(),
        message: refusal.message.clone(),
    };
    let notice = Fact::Notice {
        severity: Severity::Warn,
        code: code.to_owned(),
        text: format!("a caller was turned away: {}", refusal.message),
    };
    let board = &app.core.switchboard;
    let posts = [
        (Target::Call(decision.call), vec![alert, trouble]),
        (Target::Backend, vec![notice]),
    ];
    for (target, facts) in posts {
        if let Err(error) = board.post(target, facts).await {
            tracing::warn!(%error, code, "a refusal could not be shown");
        }
    }
}
