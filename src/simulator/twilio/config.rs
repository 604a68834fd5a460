//! What the simulated carrier is told before it starts.

use std::net::{Ipv4Addr, SocketAddr};

use crate::simulator::cast::Cast;
use crate::simulator::line::{Faults, Reach, Timing};

/// One simulated account with one number.
#[derive(Clone)]
pub struct TwilioSimConfig {
    pub listen: SocketAddr,
    pub account_sid: String,
    pub auth_token: String,
    /// The account's number: called by inbound calls, `From` of outbound ones.
    pub number: String,
    pub reach: Option<Reach>,
    pub cast: Cast,
    pub faults: Faults,
    pub timing: Timing,
    pub seed: u64,
}

impl Default for TwilioSimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            account_sid: format!("AC{}", "0d".repeat(16)),
            auth_token: "simulated-auth-token".to_owned(),
            number: "+15555550100".to_owned(),
            reach: None,
            cast: Cast::default(),
            faults: Faults::default(),
            timing: Timing::default(),
            seed: 1,
        }
    }
}

impl std::fmt::Debug for TwilioSimConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TwilioSimConfig")
            .field("listen", &self.listen)
            .field("account_sid", &self.account_sid)
            .field("auth_token", &"***")
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_auth_token_is_not_printed() {
        let shown = format!("{:?}", TwilioSimConfig::default());
        assert!(!shown.contains("simulated-auth-token"), "{shown}");
    }
}
