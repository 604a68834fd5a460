//! The simulated carriers of a load run, seen alike: place a call, wait for its end, say what
//! became of it.

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::call::CallStatus;
use crate::engine::Tasks;
use crate::simulator::line::{FarEnd, Reach};
use crate::simulator::plivo::{PlivoCallView, PlivoInbound, PlivoSim, PlivoSimConfig, PlivoStats};
use crate::simulator::twilio::{CallView, InboundCall, TwilioSim, TwilioSimConfig, TwilioStats};

use super::{CarrierLoad, Vendor};

/// Whichever carrier plays.
#[derive(Clone, Debug)]
pub enum CarrierSim {
    Twilio(TwilioSim),
    Plivo(PlivoSim),
}

/// What the carrier's own counters say.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum CarrierStats {
    Twilio(TwilioStats),
    Plivo(PlivoStats),
}

impl Default for CarrierStats {
    fn default() -> Self {
        Self::Twilio(TwilioStats::default())
    }
}

/// One call when it is over, or when nobody waits for it any longer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) is_over: bool,
    pub(super) status: &'static str,
    pub(super) ended_by: &'static str,
    pub(super) errors: Vec<String>,
    pub(super) streams: u32,
    pub(super) frames_sent: u64,
    pub(super) media_received: u64,
    pub(super) clears: u32,
    pub(super) marks_received: u32,
    pub(super) marks_echoed: u32,
}

impl CarrierSim {
    pub(super) async fn start(load: &CarrierLoad, tasks: &Tasks) -> io::Result<Self> {
        let reach = load.public_url.clone().map(|public_url| Reach {
            public_url,
            target: load.target.clone(),
        });
        Ok(match load.vendor {
            Vendor::Twilio => {
                let cfg = TwilioSimConfig {
                    listen: load.listen,
                    account_sid: load.account.clone(),
                    auth_token: load.auth_token.clone(),
                    number: load.number.clone(),
                    reach,
                    faults: load.faults,
                    seed: load.seed,
                    ..TwilioSimConfig::default()
                };
                Self::Twilio(TwilioSim::start(cfg, tasks).await?)
            }
            Vendor::Plivo => {
                let cfg = PlivoSimConfig {
                    listen: load.listen,
                    auth_id: load.account.clone(),
                    auth_token: load.auth_token.clone(),
                    number: load.number.clone(),
                    reach,
                    faults: load.faults,
                    seed: load.seed,
                    ..PlivoSimConfig::default()
                };
                Self::Plivo(PlivoSim::start(cfg, tasks).await?)
            }
        })
    }

    /// Where its REST API listens.
    pub fn api_base(&self) -> &str {
        match self {
            Self::Twilio(sim) => sim.api_base(),
            Self::Plivo(sim) => sim.api_base(),
        }
    }

    /// The account its webhooks come from.
    pub fn account(&self) -> &str {
        match self {
            Self::Twilio(sim) => sim.account_sid(),
            Self::Plivo(sim) => sim.auth_id(),
        }
    }

    pub(super) fn stats(&self) -> CarrierStats {
        match self {
            Self::Twilio(sim) => CarrierStats::Twilio(sim.stats()),
            Self::Plivo(sim) => CarrierStats::Plivo(sim.stats()),
        }
    }

    pub(super) fn stop(&self) {
        match self {
            Self::Twilio(sim) => sim.stop(),
            Self::Plivo(sim) => sim.stop(),
        }
    }

    /// Rings the backend at `base` and waits for the end of the call.
    pub(super) async fn call(
        &self,
        base: &str,
        from: String,
        far: Box<dyn FarEnd>,
        within: Duration,
    ) -> Seen {
        let at = |path: &str| format!("{base}{path}#rc=3&rp=all");
        match self {
            Self::Twilio(sim) => {
                let call = InboundCall {
                    from,
                    caller_name: None,
                    voice_url: at("/incoming-call"),
                    fallback_url: None,
                    status_callback: Some(at("/call-status-callback")),
                };
                let call = sim.place_with(call, far);
                let waited = call.wait_within(within, "end", CallView::is_over).await;
                Seen::of_twilio(&waited.unwrap_or_else(|gave_up| *gave_up.view))
            }
            Self::Plivo(sim) => {
                let call = PlivoInbound {
                    from,
                    caller_name: None,
                    answer_url: at("/answer"),
                    fallback_url: Some(at("/fallback")),
                    hangup_url: Some(at("/hangup")),
                };
                let call = sim.place_with(call, far);
                let waited = call
                    .wait_within(within, "end", PlivoCallView::is_over)
                    .await;
                Seen::of_plivo(&waited.unwrap_or_else(|gave_up| *gave_up.view))
            }
        }
    }
}

impl Seen {
    fn of_twilio(view: &CallView) -> Self {
        Self {
            is_over: view.is_over(),
            status: view.status.map_or("unknown", CallStatus::as_str),
            ended_by: view.ended_by.unwrap_or("nobody"),
            errors: view.errors.iter().map(ToString::to_string).collect(),
            streams: view.streams,
            frames_sent: view.frames_sent,
            media_received: view.media_received,
            clears: view.clears,
            marks_received: view.marks_received,
            marks_echoed: view.marks_echoed,
        }
    }

    fn of_plivo(view: &PlivoCallView) -> Self {
        let ended = view.ended.as_ref();
        Self {
            is_over: view.is_over(),
            status: ended.map_or("unknown", |ended| ended.status),
            ended_by: ended.map_or("nobody", |ended| ended.source),
            errors: view.errors.clone(),
            streams: view.streams,
            frames_sent: view.frames_sent,
            media_received: view.media_received,
            clears: view.clears,
            marks_received: view.checkpoints_received,
            marks_echoed: view.checkpoints_played,
        }
    }
}
