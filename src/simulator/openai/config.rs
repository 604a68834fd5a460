//! What a simulated OpenAI Realtime is told before it starts. Faults are the ones of the other
//! simulated agent vendor, so that a mixed demo is tuned in one place.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::simulator::cast::Cast;
use crate::simulator::elevenlabs::AgentFaults;
use crate::simulator::stamped::Stamped;

#[derive(Clone)]
pub struct OpenAiSimConfig {
    pub listen: SocketAddr,
    pub api_key: String,
    /// Models that exist; empty = any name.
    pub models: Vec<String>,
    pub cast: Cast,
    /// `refuse_signed_url` and `rate_limit_pct` refuse the handshake here.
    pub faults: AgentFaults,
    /// Speaks the dialect before the present one.
    pub beta: bool,
    /// Between the client's settings and their confirmation.
    pub ready_after: Duration,
    /// How long after the caller's words their text comes: often later than the answer begins.
    pub transcript_after: Duration,
    /// The first answer of every conversation fails.
    pub fail_first_answer: bool,
    /// The vendor ends every conversation after so long; `None`: it says an hour and ends none.
    pub expires_after: Option<Duration>,
    /// Answer with stamped frames in real time instead of acting a script (load runs).
    pub load: Option<Stamped>,
    pub seed: u64,
}

impl Default for OpenAiSimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_key: "simulated-api-key".to_owned(),
            models: Vec::new(),
            cast: Cast::default(),
            faults: AgentFaults::default(),
            beta: false,
            ready_after: Duration::from_millis(40),
            transcript_after: Duration::from_millis(420),
            fail_first_answer: false,
            expires_after: None,
            load: None,
            seed: 1,
        }
    }
}

impl std::fmt::Debug for OpenAiSimConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAiSimConfig")
            .field("listen", &self.listen)
            .field("api_key", &"***")
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
