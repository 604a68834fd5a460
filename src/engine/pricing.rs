//! What a call cost, estimated from configured rates when it ends. A vendor's own figure, once it
//! is known, replaces the estimate; without any rate nothing is said.

use std::collections::BTreeMap;

use crate::call::{Call, CallEvent, CallId, Envelope, Fact};

use super::Core;
use super::feed::{Batch, Feed};
use super::switchboard::Target;

/// US dollars a minute, by carrier and by agent vendor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// Billed by the started minute.
    pub carriers: BTreeMap<String, f64>,
    /// Billed by the second.
    pub agents: BTreeMap<String, f64>,
}

impl Rates {
    /// The estimate for an ended call that was answered; `None` when no rate applies.
    pub fn estimate(&self, call: &Call) -> Option<f64> {
        call.answered_at?;
        let seconds = f64::from(call.duration_s?);
        let carrier = self
            .carriers
            .get(&call.facts.carrier)
            .map(|rate| rate * (seconds / 60.0).ceil());
        let used = call
            .cost_usd
            .filter(|_| call.cost_source.as_deref() == Some(USED));
        let agent = used.or_else(|| {
            let kind = call.facts.agent_kind.as_ref()?;
            let rate = self.agents.get(kind)?;
            Some(rate * seconds / 60.0)
        });
        match (carrier, agent) {
            (None, None) => None,
            (carrier, agent) => Some(carrier.unwrap_or(0.0) + agent.unwrap_or(0.0)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.carriers.is_empty() && self.agents.is_empty()
    }
}

impl Core {
    /// Prices every call that ends from now on. Ends with the core's tasks.
    pub fn keep_prices(&self, rates: Rates) {
        if rates.is_empty() {
            return;
        }
        let core = self.clone();
        self.tasks.spawn("pricing", async move {
            let token = core.tasks.token().clone();
            let Ok(mut feed) = Feed::from_now(&core.switchboard).await else {
                return;
            };
            loop {
                // Cancel-safe: `next` keeps what it has received.
                let batch = tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    batch = feed.next() => batch,
                };
                let ended: Vec<CallId> = match batch {
                    Ok(Batch::Envelopes { items, .. }) => items
                        .iter()
                        .filter_map(|envelope| ended(envelope))
                        .collect(),
                    // After a gap the board says who has ended without a price.
                    Ok(Batch::Snapshot { calls, .. }) => calls
                        .iter()
                        .filter(|call| !call.is_live() && is_open(call))
                        .map(|call| call.id)
                        .collect(),
                    Err(_) => return,
                };
                for id in ended {
                    core.price(&rates, id).await;
                }
            }
        });
    }

    async fn price(&self, rates: &Rates, id: CallId) {
        let usd = self.switchboard.read(|board| {
            board
                .get(id)
                .filter(|call| is_open(call))
                .and_then(|call| rates.estimate(call))
        });
        let Some(usd) = usd else { return };
        let fact = Fact::Costed {
            usd,
            source: "estimate".into(),
        };
        if let Err(error) = self.switchboard.post(Target::Call(id), vec![fact]).await {
            tracing::debug!(%error, "a price came too late");
        }
    }
}

/// What a bridge says a conversation has used so far: the agent's part of the whole.
const USED: &str = "estimate:agent";

/// Nobody has named the price of the whole call yet.
fn is_open(call: &Call) -> bool {
    call.cost_usd.is_none() || call.cost_source.as_deref() == Some(USED)
}

fn ended(envelope: &Envelope) -> Option<CallId> {
    match (&envelope.event, envelope.call) {
        (CallEvent::Known(Fact::CallEnded { .. }), Some(id)) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallFacts, CallStatus};

    #[test]
    fn carriers_bill_started_minutes_and_agents_seconds() {
        let facts = CallFacts {
            carrier: "twilio".into(),
            agent_kind: Some("elevenlabs".into()),
            ..CallFacts::default()
        };
        let at = "2026-11-21T04:00:00Z".parse().expect("a time");
        let mut call = Call::new(
            CallId::from_parts(1, [0; 10]),
            facts,
            CallStatus::Completed,
            at,
        );
        let rates = Rates {
            carriers: [("twilio".to_owned(), 0.01)].into(),
            agents: [("elevenlabs".to_owned(), 0.10)].into(),
        };
        assert_eq!(rates.estimate(&call), None, "never answered");
        call.answered_at = Some(at);
        call.duration_s = Some(90);
        let usd = rates.estimate(&call).expect("a price");
        assert!((usd - 0.17).abs() < 1e-9, "{usd}");
        assert_eq!(Rates::default().estimate(&call), None);
        // What the agent says it used counts in place of its minutes.
        (call.cost_usd, call.cost_source) = (Some(0.5), Some(USED.into()));
        let usd = rates.estimate(&call).expect("a price");
        assert!((usd - 0.52).abs() < 1e-9, "{usd}");
    }
}
