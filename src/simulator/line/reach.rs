//! How a simulated carrier gets to a backend that has a public name.

use url::Url;

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
}
