//! What a server is told before it starts. Filled by the command line from `server.*` and `auth.*`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

/// Connections one address may hold open; loopback and trusted proxies are not counted, because
/// everybody behind a tunnel comes from there.
pub const CONNECTIONS_PER_IP_MAX: usize = 2_048;
/// Connections in all.
pub const CONNECTIONS_MAX: usize = 16_384;

/// Long enough for a mobile network to come back, short enough that what waits for a dead peer does
/// not add up.
pub const STALL_MAX: Duration = Duration::from_secs(20);

/// Everything about the sockets we accept.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// Where carriers and operators reach us, as `https://host[:port][/prefix]`. Signatures are
    /// judged over it.
    pub public_url: Option<Url>,
    pub tls: Option<TlsFiles>,
    /// Host names beyond our own, IP literals and `localhost`. `*` allows any.
    pub allowed_hosts: Vec<String>,
    /// Origins of browser pages beyond our own, as `https://host[:port]`.
    pub allowed_origins: Vec<String>,
    /// Peers whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Accepts webhooks and streams without a proof. Loud.
    pub insecure_skip_signatures: bool,
    /// Opens namespace `/` to anybody.
    pub public_namespace: bool,
    /// Opens the voice gateway `/chat/v1` to anybody.
    pub chat_public: bool,
    /// How long a webhook waits for its facts to be kept before it is answered 503.
    pub webhook_wait: Duration,
    /// A connection that takes nothing of what we send for this long is cut.
    pub stall_max: Duration,
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
}

impl ServerSettings {
    /// Settings for `listen` with everything else as by default.
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            public_url: None,
            tls: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            insecure_skip_signatures: false,
            public_namespace: false,
            chat_public: false,
            webhook_wait: Duration::from_secs(4),
            stall_max: STALL_MAX,
            connections_max: CONNECTIONS_MAX,
            connections_per_ip_max: CONNECTIONS_PER_IP_MAX,
        }
    }

    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(peer))
    }
}

/// PEM files of a certificate chain and its key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// An address or a network in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Not an address or network.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not an IP address or network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Network {
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                u32::from(network) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                u128::from(network) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| wrong())?,
            None => widest,
        };
        if prefix > widest {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn networks_contain_their_addresses_only() {
        let rows = [
            ("10.0.0.0/8", "10.200.1.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("10.0.0.0/8", "::1", false),
        ];
        for (network, ip, inside) in rows {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(ip.parse().unwrap()),
                inside,
                "{network:?} {ip}"
            );
        }
        for wrong in ["", "host", "10.0.0.0/33", "::/129", "1.2.3.4/x"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
