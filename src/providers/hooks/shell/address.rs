//! Which addresses a tool may have: public ones over https, and this machine where that is allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Url;

/// Why a tool's address must not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("the tool's url is no URL")]
    NoUrl,
    #[error("the tool's url must be https (http only on loopback, with allow_loopback = true)")]
    Plain,
    #[error("credentials do not belong in a tool's url")]
    Credentials,
    #[error("the tool's host is not on the public internet")]
    Private,
}

/// # Errors
/// What is wrong with the URL, whatever it resolves to.
pub fn check_url(text: &str, allow_loopback: bool) -> Result<Url, Forbidden> {
    let url = Url::parse(text).map_err(|_| Forbidden::NoUrl)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Forbidden::Credentials);
    }
    let literal = match url.host() {
        None => return Err(Forbidden::NoUrl),
        Some(url::Host::Domain(name)) => {
            (name == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
        }
        Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
    };
    let is_local = literal.is_some_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if allow_loopback && is_local => {}
        _ => return Err(Forbidden::Plain),
    }
    match literal {
        Some(ip) if !may_ask(ip, allow_loopback) => Err(Forbidden::Private),
        _ => Ok(url),
    }
}

/// Whether an address may be asked: public ones, and this machine where that is allowed.
pub fn may_ask(ip: IpAddr, allow_loopback: bool) -> bool {
    if ip.is_loopback() {
        return allow_loopback;
    }
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19));
    !(special || ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation())
}

/// Addresses that hold an IPv4 one are judged by it.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    let [.., high, low] = parts;
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        // Mapped, compatible, unspecified and loopback.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] => is_public_v4(inner(high, low)),
        // NAT64.
        [0x64, 0xff9b, ..] => is_public_v4(inner(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => is_public_v4(inner(high, low)),
        // Teredo and documentation.
        [0x2001, 0 | 0x0db8, ..] => false,
        // Only what is handed out at all: 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_asked() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:0a00:0001::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(
                !may_ask(private.parse().expect("an address"), false),
                "{private}"
            );
        }
        for public in [
            "93.184.216.34",
            "2606:2800:220:1::1",
            "::ffff:93.184.216.34",
        ] {
            assert!(
                may_ask(public.parse().expect("an address"), false),
                "{public}"
            );
        }
        assert!(may_ask(IpAddr::V4(Ipv4Addr::LOCALHOST), true));
        assert!(!may_ask(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), true));
    }

    #[test]
    fn urls_are_https_or_this_machine_where_allowed() {
        assert!(check_url("https://tools.example.com/x", false).is_ok());
        assert!(check_url("http://127.0.0.1:9/x", true).is_ok());
        for (bad, allow, why) in [
            ("http://tools.example.com", true, Forbidden::Plain),
            ("http://127.0.0.1:9/x", false, Forbidden::Plain),
            ("https://127.0.0.1/x", false, Forbidden::Private),
            ("https://localhost/x", false, Forbidden::Private),
            ("https://[::1]/x", false, Forbidden::Private),
            ("https://169.254.169.254/latest", true, Forbidden::Private),
            (
                "https://me:pw@tools.example.com",
                false,
                Forbidden::Credentials,
            ),
            ("file:///etc/passwd", true, Forbidden::NoUrl),
            ("nonsense", true, Forbidden::NoUrl),
        ] {
            assert_eq!(check_url(bad, allow), Err(why), "{bad}");
        }
    }
}
