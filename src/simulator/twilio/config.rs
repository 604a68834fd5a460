//! What a simulated carrier is told before it starts, and the faults it can be asked for.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use url::Url;

use crate::simulator::cast::Cast;

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

/// The backend's public address and where it really listens: requests are signed for the first and
/// sent to the second, as through a tunnel.
#[derive(Clone, Debug)]
pub struct Reach {
    /// For instance `https://wb.example.com`.
    pub public_url: Url,
    /// For instance `http://127.0.0.1:8787`.
    pub target: Url,
}

impl Reach {
    /// The real address of a public one, with the public host name; `None` for other hosts.
    pub(super) fn redirect(&self, url: &Url) -> Option<(Url, Option<String>)> {
        let secure = |url: &Url| matches!(url.scheme(), "https" | "wss");
        let same = url.host_str() == self.public_url.host_str()
            && url.port_or_known_default() == self.public_url.port_or_known_default()
            && secure(url) == secure(&self.public_url);
        if !same {
            return None;
        }
        let socket = matches!(url.scheme(), "ws" | "wss");
        let mut moved = self.target.clone();
        let scheme = match (socket, secure(&self.target)) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        // Between these four the scheme can always be changed.
        moved.set_scheme(scheme).ok()?;
        moved.set_path(url.path());
        moved.set_query(url.query());
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return None,
        };
        Some((moved, Some(host)))
    }
}

/// What can go wrong, in percent of the occasions where a `_pct` is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Callbacks sent twice.
    pub webhook_duplicate_pct: f64,
    /// Callbacks held back, so that later ones overtake them.
    pub webhook_late_pct: f64,
    pub webhook_late_ms: u64,
    /// Added to every call's own line.
    pub media_jitter_ms: u64,
    pub media_gap_pct: f64,
    /// Streams that break on their own.
    pub stream_cut_pct: f64,
    pub stream_cut: StreamCut,
    /// Every REST answer waits this long.
    pub rest_delay_ms: u64,
    /// REST requests answered 503.
    pub rest_5xx_pct: f64,
}

/// How a media stream breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCut {
    pub how: CutHow,
    /// Seconds after the start, for cuts by chance.
    pub after_s: u64,
    /// Open a new stream for the same call after this long; `None` goes on with the document.
    pub reopen_after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CutHow {
    /// TCP reset.
    #[default]
    Reset,
    /// TCP end without a WebSocket close.
    Fin,
    /// The socket stays open, nothing more is said.
    Silence,
}

/// How long the simulated world takes.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Queued → initiated.
    pub queue: Duration,
    /// `<Say>`, per word.
    pub say_per_word: Duration,
    /// Ringing of a dialled leg.
    pub dial_ring: Duration,
    /// Conversation on a dialled leg, if nobody ends it.
    pub dial_talk: Duration,
    pub amd_human: Duration,
    pub amd_machine: Duration,
    /// Recording stopped → completed.
    pub recording_ready: Duration,
    /// How long ended calls can still be asked for.
    pub kept_calls: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            queue: Duration::from_millis(120),
            say_per_word: Duration::from_millis(340),
            dial_ring: Duration::from_millis(2_500),
            dial_talk: Duration::from_secs(25),
            amd_human: Duration::from_millis(1_800),
            amd_machine: Duration::from_millis(8_120),
            recording_ready: Duration::from_millis(900),
            kept_calls: 400,
        }
    }
}

impl Timing {
    /// Everything as soon as possible, for tests.
    pub fn quick() -> Self {
        Self {
            queue: Duration::from_millis(5),
            say_per_word: Duration::from_millis(5),
            dial_ring: Duration::from_millis(50),
            dial_talk: Duration::from_millis(400),
            amd_human: Duration::from_millis(60),
            amd_machine: Duration::from_millis(120),
            recording_ready: Duration::from_millis(30),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_reached_through_the_tunnel_and_others_are_left_alone() {
        let reach = Reach {
            public_url: Url::parse("https://wb.example.com").unwrap(),
            target: Url::parse("http://127.0.0.1:8787").unwrap(),
        };
        let at = |text: &str| reach.redirect(&Url::parse(text).unwrap());
        let (url, host) = at("wss://wb.example.com/outbound-media-stream").unwrap();
        assert_eq!(url.as_str(), "ws://127.0.0.1:8787/outbound-media-stream");
        assert_eq!(host.as_deref(), Some("wb.example.com"));
        assert_eq!(
            at("https://wb.example.com/a?b=c").unwrap().0.as_str(),
            "http://127.0.0.1:8787/a?b=c"
        );
        assert!(at("https://other.example.com/").is_none());
        assert!(at("http://wb.example.com/").is_none());
    }

    #[test]
    fn the_auth_token_is_not_printed() {
        let shown = format!("{:?}", TwilioSimConfig::default());
        assert!(!shown.contains("simulated-auth-token"), "{shown}");
    }
}
