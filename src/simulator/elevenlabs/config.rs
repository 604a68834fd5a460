//! What a simulated agent vendor is told before it starts, and the faults it can be asked for.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::simulator::cast::Cast;
use crate::simulator::speech::Cut;
use crate::simulator::stamped::Stamped;

#[derive(Clone)]
pub struct ElevenLabsSimConfig {
    pub listen: SocketAddr,
    pub api_key: String,
    /// Agents that exist; empty = any name.
    pub agent_ids: Vec<String>,
    /// Both in the vendor's words, for instance `ulaw_8000` or `pcm_16000`.
    pub output_format: String,
    pub input_format: String,
    pub cast: Cast,
    pub faults: AgentFaults,
    /// The plan has real-time monitoring.
    pub monitoring: bool,
    /// Between the first message and the metadata.
    pub ready_after: Duration,
    pub ping_every: Duration,
    /// Answer with stamped frames in real time instead of acting a script (load runs).
    pub load: Option<Stamped>,
    pub seed: u64,
}

impl Default for ElevenLabsSimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_key: "simulated-api-key".to_owned(),
            agent_ids: Vec::new(),
            output_format: "ulaw_8000".to_owned(),
            input_format: "ulaw_8000".to_owned(),
            cast: Cast::default(),
            faults: AgentFaults::default(),
            monitoring: true,
            ready_after: Duration::from_millis(60),
            ping_every: Duration::from_secs(2),
            load: None,
            seed: 1,
        }
    }
}

impl std::fmt::Debug for ElevenLabsSimConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElevenLabsSimConfig")
            .field("listen", &self.listen)
            .field("api_key", &"***")
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// What can go wrong, in percent of the occasions where a `_pct` is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AgentFaults {
    /// HTTP status for every request of a signed URL, for instance 401 or 429.
    pub refuse_signed_url: Option<u16>,
    /// Requests of a signed URL answered 429.
    pub rate_limit_pct: f64,
    /// Close code sent right after the metadata, for instance 1008 or 1011.
    pub close_at_start: Option<u16>,
    /// Sockets that break after [`AgentFaults::die_after_ms`].
    pub die_pct: f64,
    pub die_after_ms: u64,
    pub die_how: Cut,
    /// Connects, listens, never says a word.
    pub silent: bool,
    /// Messages followed by one that is no JSON, or of an unknown type.
    pub garbage_pct: f64,
    /// Added to every pause for thought.
    pub think_extra_ms: u64,
}
