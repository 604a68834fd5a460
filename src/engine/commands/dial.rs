//! Placing a call: everything is checked and written down before the carrier is asked, and the
//! carrier is asked once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::call::{
    Call, CallFacts, CallId, CallStatus, CommandId, DialRequest, Direction, ErrorCode, Fact, Grant,
    Refusal, Source, e164,
};
use crate::engine::Core;
use crate::engine::ports::{DialOrder, VendorCalls, VendorOrder};
use crate::engine::switchboard::Target;

use super::checks::{invalid, label, may_name_lead};
use super::perform::{Again, ask, carrier_of, late, post, refusal};
use super::{Asked, Outcome, from_post};

/// A call about to be placed.
#[derive(Debug)]
pub(super) struct Placing {
    facts: CallFacts,
    order: DialOrder,
    /// The agent vendor that dials instead of the carrier.
    via: Option<Arc<dyn VendorCalls>>,
}

impl Placing {
    pub(super) fn check(
        core: &Core,
        grant: &Grant,
        command: CommandId,
        request: DialRequest,
    ) -> Result<Self, Refusal> {
        core.dialling.admit()?;
        // The same id after a restart: the board remembers what the reply cache has forgotten.
        let placed_before = core.switchboard.read(|board| {
            let known = |call: &Call| call.actions.iter().any(|action| action.command == command);
            board.calls().find(|call| known(call)).map(|call| call.id)
        });
        if let Some(call) = placed_before {
            return Err(Refusal::new(
                ErrorCode::Conflict,
                format!("this command has placed the call {call} already"),
                "use a new id to call again",
            ));
        }
        let request = tidy(request)?;
        may_name_lead(grant, request.lead_id.as_deref())?;
        if let Some(via) = request.via.as_deref() {
            let vendor = vendor_for(core, via)?;
            return Ok(Self::through(core, vendor, request));
        }
        let carrier = carrier_for(core, request.carrier.as_deref())?;
        if let Some(agent) = request.agent.as_ref() {
            if !core.plans.agents.contains_key(agent) {
                let known: Vec<&str> = core.plans.agents.keys().map(String::as_str).collect();
                return Err(invalid(
                    format!("there is no agent {agent}"),
                    format!("known agents: {}", known.join(", ")),
                ));
            }
        }
        let mut facts = CallFacts {
            carrier: carrier.to_owned(),
            direction: Direction::Outbound,
            from: request.caller_id.clone().unwrap_or_default(),
            to: request.number.clone(),
            name: request.name.clone(),
            lead_id: request.lead_id.clone(),
            agent: request.agent.clone(),
            ..CallFacts::default()
        };
        let call = core.clock.call_id();
        let sketch = Call::new(call, facts.clone(), CallStatus::Queued, core.clock.now());
        let plan = core.plan_for(&sketch)?;
        facts.agent = Some(plan.agent.id.clone());
        facts.agent_kind = Some(plan.agent.kind.to_owned());
        Ok(Self {
            facts,
            order: DialOrder {
                call,
                request,
                amd: plan.amd.as_str().to_owned(),
                record: plan.record,
            },
            via: None,
        })
    }

    /// A call the agent vendor places: its audio never comes here.
    fn through(core: &Core, vendor: Arc<dyn VendorCalls>, request: DialRequest) -> Self {
        let facts = CallFacts {
            carrier: vendor.name().to_owned(),
            direction: Direction::Outbound,
            from: request.caller_id.clone().unwrap_or_default(),
            to: request.number.clone(),
            name: request.name.clone(),
            lead_id: request.lead_id.clone(),
            agent: request.agent.clone(),
            agent_kind: Some(vendor.name().to_owned()),
            observed: true,
            ..CallFacts::default()
        };
        Self {
            facts,
            order: DialOrder {
                call: core.clock.call_id(),
                request,
                amd: "off".to_owned(),
                record: false,
            },
            via: Some(vendor),
        }
    }

    /// Puts the call on the board and on disk, before anything rings.
    pub(super) async fn open(&self, core: &Core, asked: &Asked) -> Result<CallId, Refusal> {
        let call = self.order.call;
        core.dialling.remember(call, self.order.request.clone());
        let target = Target::Placed {
            call,
            facts: self.facts.clone(),
            status: CallStatus::Queued,
        };
        let posted = core
            .switchboard
            .post_stored(target, vec![asked.accepted()])
            .await;
        if let Err(error) = posted {
            let refused = from_post(error);
            let outcome = self.fail(core, refused.clone()).await;
            if let Some(fact) = asked.settled(&outcome) {
                post(core, Some(call), vec![fact]).await;
            }
            return Err(refused);
        }
        Ok(call)
    }

    /// Asks the carrier. A request nobody answered is not repeated: it may have rung somewhere.
    pub(super) async fn perform(&self, core: &Core, asked: &Asked) -> Outcome {
        let call = self.order.call;
        if let Some(vendor) = &self.via {
            return self.perform_through(core, asked, vendor).await;
        }
        let answer = match carrier_of(core, call) {
            Ok(carrier) => ask(Again::OnlyIfUntouched, || carrier.dial(self.order.clone())).await,
            Err(refused) => return self.fail(core, refused).await,
        };
        match answer {
            Some(Ok(carrier_call_id)) => {
                let facts = CallFacts {
                    carrier_call_id: Some(carrier_call_id),
                    direction: Direction::Outbound,
                    ..CallFacts::default()
                };
                post(core, Some(call), vec![Fact::CallDescribed { facts }]).await;
                Outcome::Done
            }
            Some(Err(error)) => self.fail(core, refusal(&error)).await,
            None => self.unanswered(core, asked).await,
        }
    }

    async fn perform_through(
        &self,
        core: &Core,
        asked: &Asked,
        vendor: &Arc<dyn VendorCalls>,
    ) -> Outcome {
        let call = self.order.call;
        let order = VendorOrder {
            call,
            request: self.order.request.clone(),
            variables: variables(core, call, &self.order.request).await,
        };
        match ask(Again::OnlyIfUntouched, || vendor.place(order.clone())).await {
            Some(Ok(placed)) => {
                let mut facts = Vec::new();
                if placed.carrier_call_id.is_some() {
                    let named = CallFacts {
                        carrier: placed.carrier.unwrap_or_default().to_owned(),
                        carrier_call_id: placed.carrier_call_id,
                        direction: Direction::Outbound,
                        ..CallFacts::default()
                    };
                    facts.push(Fact::CallDescribed { facts: named });
                }
                if let Some(conversation_id) = placed.conversation_id {
                    facts.push(Fact::ConversationMapped { conversation_id });
                }
                post(core, Some(call), facts).await;
                Outcome::Done
            }
            Some(Err(error)) => self.fail(core, refusal(&error)).await,
            None => self.unanswered(core, asked).await,
        }
    }

    async fn unanswered(&self, core: &Core, asked: &Asked) -> Outcome {
        let facts = vec![
            asked.unconfirmed(),
            Fact::TroubleNoted {
                code: "dial_unanswered".into(),
                message: late().message,
            },
        ];
        post(core, Some(self.order.call), facts).await;
        Outcome::Unconfirmed
    }

    async fn fail(&self, core: &Core, refused: Refusal) -> Outcome {
        core.dialling.forget(self.order.call);
        post(core, Some(self.order.call), vec![failed(&refused.message)]).await;
        Outcome::Failed(refused)
    }
}

/// What the vendor's agent is told: who is called, what was said before, and by which ids its
/// webhooks find this call again.
async fn variables(core: &Core, call: CallId, request: &DialRequest) -> BTreeMap<String, String> {
    let context = match &request.lead_id {
        Some(lead) => core.lead_context(lead).await,
        None => None,
    };
    let given = [
        ("lead_id", request.lead_id.clone()),
        ("customer_name", request.name.clone()),
        ("customer_phone", Some(request.number.clone())),
        ("call_id", Some(call.to_string())),
        ("temp_conversation_id", Some(call.to_string())),
        // Always there: a prompt that names a missing variable fails the start.
        ("conversation_context", Some(context.unwrap_or_default())),
    ];
    let given = given.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn vendor_for(core: &Core, wanted: &str) -> Result<Arc<dyn VendorCalls>, Refusal> {
    let found = core.vendors.get(wanted.to_ascii_lowercase().as_str());
    found.cloned().ok_or_else(|| {
        invalid(
            format!("no calls can be placed via {wanted}"),
            core.plans.hints.own_line.clone(),
        )
    })
}

fn failed(cause: &str) -> Fact {
    Fact::CallEnded {
        status: CallStatus::Failed,
        ended_by: None,
        cause: Some(cause.to_owned()),
        duration_s: None,
        source: Source::Rest,
    }
}

/// Cleans what came from outside and reads the numbers.
fn tidy(request: DialRequest) -> Result<DialRequest, Refusal> {
    let number = e164(&request.number).ok_or_else(|| {
        invalid(
            "that is no number to call",
            "give it with its country code, as +14155550134",
        )
    })?;
    let caller_id = match request.caller_id.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(e164(text).ok_or_else(|| {
            invalid(
                "that is no number to call from",
                "give it with its country code, as +14155550134",
            )
        })?),
    };
    let line = |text: Option<String>| text.as_deref().and_then(label);
    let long = |text: Option<String>| {
        text.map(|text| crate::call::text::clean(&text).trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    Ok(DialRequest {
        number,
        caller_id,
        prompt: long(request.prompt),
        first_message: long(request.first_message),
        lead_id: line(request.lead_id),
        name: line(request.name),
        carrier: line(request.carrier),
        agent: line(request.agent),
        via: line(request.via),
    })
}

fn carrier_for<'a>(core: &'a Core, wanted: Option<&str>) -> Result<&'a str, Refusal> {
    let able = || {
        let able = core.carriers.iter().filter(|(_, carrier)| carrier.dials());
        able.map(|(name, _)| *name)
    };
    let known = |name: &str| able().find(|able| *able == name);
    if let Some(wanted) = wanted {
        return known(&wanted.to_ascii_lowercase()).ok_or_else(|| {
            let names: Vec<&str> = able().collect();
            invalid(
                format!("there is no carrier {wanted}"),
                format!("configured: {}", names.join(", ")),
            )
        });
    }
    core.default_carrier
        .as_deref()
        .and_then(known)
        .or_else(|| able().next())
        .ok_or_else(|| {
            Refusal::new(
                ErrorCode::Unavailable,
                "no carrier is configured",
                core.plans.hints.carrier.clone(),
            )
        })
}
