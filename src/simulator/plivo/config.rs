//! What a simulated Plivo account is told before it starts. Faults and timing are the ones of the
//! other simulated carrier, so that a mixed demo is tuned in one place.

use std::net::{Ipv4Addr, SocketAddr};

use crate::simulator::cast::Cast;
use crate::simulator::line::{Faults, Reach, Timing};

/// One simulated account with one number.
#[derive(Clone)]
pub struct PlivoSimConfig {
    pub listen: SocketAddr,
    pub auth_id: String,
    pub auth_token: String,
    /// The account's number: called by inbound calls, `from` of outbound ones.
    pub number: String,
    pub reach: Option<Reach>,
    pub cast: Cast,
    pub faults: Faults,
    pub timing: Timing,
    pub seed: u64,
}

impl Default for PlivoSimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            auth_id: "MASIMULATEDSIMULATED".to_owned(),
            auth_token: "simulated-auth-token".to_owned(),
            number: "+15555550200".to_owned(),
            reach: None,
            cast: Cast::default(),
            faults: Faults::default(),
            timing: Timing::default(),
            seed: 1,
        }
    }
}

impl std::fmt::Debug for PlivoSimConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlivoSimConfig")
            .field("listen", &self.listen)
            .field("auth_id", &self.auth_id)
            .field("auth_token", &"***")
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
