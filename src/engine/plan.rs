//! What shall happen with a call: which agent answers, what if it cannot, what is recorded.
//! Filled from `[[route]]` and `[[agent]]`; matching is pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bridge::{AgentBrief, CostMax};
use crate::call::{Call, CallFacts, Direction, ErrorCode, Refusal, StoreLevel};

use super::hints::Hints;
use super::ports::{AgentDialer, AgentTool, Speaker};

/// What the caller gets when the agent is gone for good. The carrier does it: the stream is closed
/// and the document that started it goes on with this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    Say(String),
    Transfer(String),
}

/// Answering-machine detection asked of the carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Amd {
    #[default]
    Off,
    Detect,
    MessageEnd,
}

impl Amd {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Detect => "detect",
            Self::MessageEnd => "message_end",
        }
    }
}

/// What to do when a machine answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnMachine {
    #[default]
    Continue,
    End,
}

/// One configured agent, ready to be dialled.
#[derive(Clone, Debug)]
pub struct AgentPlan {
    pub id: String,
    /// The vendor, for instance `elevenlabs`.
    pub kind: &'static str,
    pub dialer: Arc<dyn AgentDialer>,
    pub brief: AgentBrief,
    pub minutes_max: Option<u32>,
    /// Live calls this agent may have at once; further ones are refused.
    pub concurrent_max: Option<u32>,
    pub extras: AgentExtras,
}

/// What goes beyond talking.
#[derive(Clone, Debug, Default)]
pub struct AgentExtras {
    pub cost_max: Option<CostMax>,
    /// Makes speech of what an operator types.
    pub speaker: Option<Arc<dyn Speaker>>,
    /// Tools by name, beside those of the house (`transfer_call`, `request_human`).
    pub tools: BTreeMap<String, Arc<dyn AgentTool>>,
}

/// Everything decided about one call.
#[derive(Clone, Debug)]
pub struct CallPlan {
    pub agent: AgentPlan,
    pub fallback: Fallback,
    pub record: bool,
    pub amd: Amd,
    pub on_machine: OnMachine,
}

/// One `[[route]]`. Empty conditions match anything.
#[derive(Clone, Debug, Default)]
pub struct Route {
    pub carrier: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub direction: Option<Direction>,
    pub agent: Option<String>,
    pub record: bool,
    pub amd: Amd,
    pub on_machine: OnMachine,
    pub fallback: Option<Fallback>,
    /// How much of its calls is kept.
    pub store: StoreLevel,
}

/// All routes and agents.
#[derive(Clone, Debug)]
pub struct Plans {
    pub routes: Vec<Route>,
    pub agents: BTreeMap<String, AgentPlan>,
    /// Agent of calls no route names: per carrier, then for all.
    pub default_by_carrier: BTreeMap<String, String>,
    pub default_agent: Option<String>,
    pub fallback: Fallback,
    pub hints: Hints,
}

impl Default for Plans {
    /// No route and no agent: every call is refused politely.
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            agents: BTreeMap::new(),
            default_by_carrier: BTreeMap::new(),
            default_agent: None,
            fallback: Fallback::Say(
                "We are sorry, we cannot take your call right now. Please try again later.".into(),
            ),
            hints: Hints::default(),
        }
    }
}

impl Route {
    fn matches(&self, facts: &CallFacts) -> bool {
        let is = |wanted: &Option<String>, actual: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| same_party(wanted, actual))
        };
        self.carrier
            .as_deref()
            .is_none_or(|carrier| carrier == facts.carrier)
            && self
                .direction
                .is_none_or(|direction| direction == facts.direction)
            && is(&self.from, &facts.from)
            && is(&self.to, &facts.to)
    }
}

/// Numbers compare by their digits; a trailing `*` compares the beginning.
fn same_party(wanted: &str, actual: &str) -> bool {
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    match wanted.strip_suffix('*') {
        Some(prefix) => digits(actual).starts_with(&digits(prefix)),
        None if digits(wanted).len() >= 5 => digits(wanted) == digits(actual),
        None => wanted == actual,
    }
}

impl Plans {
    fn route_of(&self, facts: &CallFacts) -> Option<&Route> {
        self.routes.iter().find(|route| route.matches(facts))
    }

    /// How much is kept of a call, by the first route that matches what is known of it.
    pub fn store_of(&self, facts: &CallFacts) -> StoreLevel {
        self.route_of(facts)
            .map(|route| route.store)
            .unwrap_or_default()
    }

    /// Decides about a call. First matching route wins; an agent named at dialling beats it.
    ///
    /// # Errors
    /// `unavailable` when no agent is configured for it.
    pub fn decide(&self, call: &Call) -> Result<CallPlan, Refusal> {
        let route = self.route_of(&call.facts);
        let agent_id = call
            .facts
            .agent
            .as_ref()
            .filter(|id| self.agents.contains_key(*id))
            .or_else(|| route.and_then(|route| route.agent.as_ref()))
            .or_else(|| self.default_by_carrier.get(&call.facts.carrier))
            .or(self.default_agent.as_ref());
        let agent = agent_id.and_then(|id| self.agents.get(id)).ok_or_else(|| {
            Refusal::new(
                ErrorCode::Unavailable,
                "no agent is configured for this call",
                self.hints.agent.clone(),
            )
        })?;
        let fallback = route.and_then(|route| route.fallback.clone());
        Ok(CallPlan {
            agent: agent.clone(),
            fallback: fallback.unwrap_or_else(|| self.fallback.clone()),
            record: route.is_some_and(|route| route.record) && call.facts.store.keeps_audio(),
            amd: route.map(|route| route.amd).unwrap_or_default(),
            on_machine: route.map(|route| route.on_machine).unwrap_or_default(),
        })
    }
}
