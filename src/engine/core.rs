//! `Core`: the running backend as one value, shared by the server and the embedded screen.
//!
//! ```text
//! let core = Core::new(CoreParts { carriers, plans, ..CoreParts::new(tasks, clock, journal) });
//! core.recover().await;      // what the last run left behind, before anything is accepted
//! core.keep_house();         // sweeps, policies, recordings, notices
//! core.drain(grace).await;   // at the end: no new calls, then hand the rest over
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::call::{Call, Command, ErrorCode, Grant, Refusal, Reply, Verb};

use super::backend::{HistoryPage, HistoryQuery, no_record_pause};
use crate::media::Thresholds;

use super::commands::Commands;
use super::dialling::Dialling;
use super::plan::CallPlan;
use super::ports::{Carriers, Journal, RecordingVault, StoreError, Vendors};
use super::presence::Presence;
use super::{Bridges, Clock, Forks, Gauges, Plans, Switchboard, Taps, Tasks};

/// Everything that makes up a running backend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core {
    pub backend_id: String,
    pub clock: Clock,
    pub tasks: Tasks,
    pub switchboard: Switchboard,
    pub journal: Arc<dyn Journal>,
    pub carriers: Arc<Carriers>,
    pub plans: Arc<Plans>,
    pub bridges: Bridges,
    pub taps: Taps,
    /// Audio of observed calls that their carriers copy to us while somebody listens.
    pub forks: Forks,
    pub gauges: Gauges,
    pub commands: Commands,
    /// Whether calls may be placed, and what was asked of those that were.
    pub dialling: Dialling,
    /// Who has a screen open; see [`Core::enter`].
    pub presence: Presence,
    /// Where recordings are kept; `None`: they stay with the carrier.
    pub vault: Option<Arc<dyn RecordingVault>>,
    /// Named transfer targets (`[[transfer]]`), by name.
    pub transfers: Arc<BTreeMap<String, String>>,
    /// Where an agent's transfer goes that names no target.
    pub transfer_number: Option<String>,
    /// The agent vendors that can place calls by themselves.
    pub vendors: Arc<Vendors>,
    /// The carrier that places calls when nobody names one.
    pub default_carrier: Option<String>,
    /// Where a call's figures turn from good to fair to bad.
    pub quality: Thresholds,
}

/// What a [`Core`] is built from. The fields `new` does not ask for have quiet defaults.
#[derive(Clone, Debug)]
pub struct CoreParts {
    /// Names this backend to its peers; shown in `hello`.
    pub backend_id: String,
    pub clock: Clock,
    pub tasks: Tasks,
    pub journal: Arc<dyn Journal>,
    pub carriers: Carriers,
    pub plans: Plans,
    pub vault: Option<Arc<dyn RecordingVault>>,
    pub transfers: BTreeMap<String, String>,
    /// Where an agent's transfer goes that names no target.
    pub transfer_number: Option<String>,
    pub vendors: Vendors,
    pub default_carrier: Option<String>,
    /// Where a call's figures turn from good to fair to bad.
    pub quality: Thresholds,
}

impl CoreParts {
    pub fn new(tasks: Tasks, clock: Clock, journal: Arc<dyn Journal>) -> Self {
        Self {
            backend_id: "wallboard".into(),
            clock,
            tasks,
            journal,
            carriers: Carriers::new(),
            plans: Plans::default(),
            vault: None,
            transfers: BTreeMap::new(),
            transfer_number: None,
            vendors: Vendors::new(),
            default_carrier: None,
            quality: Thresholds::default(),
        }
    }
}

impl Core {
    /// Starts the switchboard and nothing else. Must be called inside a tokio runtime.
    pub fn new(parts: CoreParts) -> Self {
        let plans = Arc::new(parts.plans);
        let journal = Arc::clone(&parts.journal);
        let switchboard =
            Switchboard::start(&parts.tasks, parts.clock, journal, Arc::clone(&plans));
        Self {
            backend_id: parts.backend_id,
            clock: parts.clock,
            tasks: parts.tasks,
            switchboard,
            journal: parts.journal,
            carriers: Arc::new(parts.carriers),
            plans,
            bridges: Bridges::default(),
            taps: Taps::default(),
            forks: Forks::default(),
            gauges: Gauges::default(),
            commands: Commands::default(),
            dialling: Dialling::default(),
            presence: Presence::default(),
            vault: parts.vault,
            transfers: Arc::new(parts.transfers),
            transfer_number: parts.transfer_number,
            vendors: Arc::new(parts.vendors),
            default_carrier: parts.default_carrier,
            quality: parts.quality,
        }
    }

    /// What single carriers can or cannot do, as [`super::Hello::features`] names it.
    pub fn particulars(&self) -> impl Iterator<Item = String> {
        self.carriers
            .values()
            .filter(|carrier| !carrier.pauses_recordings())
            .map(|carrier| no_record_pause(carrier.name()))
            .chain(self.forking())
    }

    /// Carries out a command for whoever holds `grant`. Always answers, exactly once; at most once
    /// carried out per command id, whoever asks again and however the asker goes away.
    pub async fn command(&self, grant: &Grant, command: Command) -> Reply {
        self.commands.handle(self, grant, command).await
    }

    /// Past calls, newest first, as far as `grant` may see them.
    ///
    /// # Errors
    /// `forbidden` without the verb `history`; `unavailable` when the journal cannot be read.
    pub async fn history(
        &self,
        grant: &Grant,
        query: HistoryQuery,
    ) -> Result<HistoryPage, Refusal> {
        if !grant.allows(Verb::History) {
            return Err(Refusal::forbidden(Verb::History));
        }
        if query.audit {
            self.may_read_audit(grant)?;
            // Whoever has just acted finds it on the trail; a disk that takes nothing is read anyway.
            let _unwritten = self.journal.flush().await;
        }
        if query.timeline {
            return self.timeline_page(grant, query.lead_id.as_deref()).await;
        }
        let mut query = query;
        if let Some(leads) = &grant.leads {
            // A scoped token looks at one of its leads at a time, and finds nothing elsewhere.
            match (&query.lead_id, leads.len()) {
                (Some(lead), _) if leads.contains(lead) => {}
                (None, 1) => query.lead_id = leads.first().cloned(),
                (None, _) if query.call.is_some() => {}
                _ => {
                    return Err(Refusal::new(
                        ErrorCode::Invalid,
                        "this token sees only some leads",
                        "name one of them (lead_id)",
                    ));
                }
            }
        }
        let mut page = self.journal.history(query).await.map_err(unreadable)?;
        page.items
            .retain(|call| grant.sees_lead(call.facts.lead_id.as_deref()));
        Ok(page)
    }

    async fn timeline_page(
        &self,
        grant: &Grant,
        lead: Option<&str>,
    ) -> Result<HistoryPage, Refusal> {
        if !grant.allows(Verb::Transcript) {
            return Err(Refusal::forbidden(Verb::Transcript));
        }
        let Some(lead) = lead else {
            return Err(Refusal::new(
                ErrorCode::Invalid,
                "no lead was named",
                "give its id (lead_id)",
            ));
        };
        if !grant.sees_lead(Some(lead)) {
            return Err(Refusal::new(
                ErrorCode::Forbidden,
                "this token may not see that lead",
                "ask for a token with this lead",
            ));
        }
        let timeline = self.lead_timeline(lead).await.map_err(unreadable)?;
        Ok(HistoryPage {
            items: timeline.calls.iter().map(|call| call.trimmed(0)).collect(),
            said: timeline.said,
            ..HistoryPage::default()
        })
    }

    /// Who may read who did what: whoever manages the tokens, and sees every lead.
    ///
    /// # Errors
    /// `forbidden` for everybody else.
    pub fn may_read_audit(&self, grant: &Grant) -> Result<(), Refusal> {
        if grant.leads.is_none() {
            if grant.allows(Verb::Tokens) {
                return Ok(());
            }
            return Err(Refusal::new(
                ErrorCode::Forbidden,
                "this token may not read the audit trail",
                "ask for the role admin or the verb +tokens",
            ));
        }
        Err(Refusal::new(
            ErrorCode::Forbidden,
            "this token sees only some leads",
            "the audit trail is about all of them",
        ))
    }

    /// Decides about a call as [`Plans::decide`] does, with what was asked when it was placed
    /// (prompt, first message) already in the agent's brief.
    ///
    /// # Errors
    /// `unavailable` when no agent is configured for it, `overloaded` when its agent has as many
    /// calls as it may.
    pub fn plan_for(&self, call: &Call) -> Result<CallPlan, Refusal> {
        let mut plan = self.plans.decide(call)?;
        if let Some(request) = self.dialling.request_of(call.id) {
            let brief = &mut plan.agent.brief;
            brief.prompt = request.prompt.or(brief.prompt.take());
            brief.first_message = request.first_message.or(brief.first_message.take());
        }
        if let Some(most) = plan.agent.concurrent_max {
            let busy = self.switchboard.read(|board| {
                board
                    .live()
                    .filter(|other| {
                        other.id != call.id
                            && other.facts.agent.as_deref() == Some(plan.agent.id.as_str())
                    })
                    .count()
            });
            if busy >= most as usize {
                return Err(Refusal::new(
                    ErrorCode::Overloaded,
                    format!("the agent {} has {busy} calls, its limit", plan.agent.id),
                    "wait for one to end, or raise limits.concurrent of this agent",
                ));
            }
        }
        Ok(plan)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: StoreError) -> Refusal {
    Refusal::new(
        ErrorCode::Unavailable,
        error.to_string(),
        "see the backend's log; wallboard doctor checks the data folder",
    )
}
