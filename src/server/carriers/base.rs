//! Scheme and host by which a carrier reaches us: what is configured, else what the request shows.

use axum::http::{HeaderMap, Uri};
use url::Url;

use crate::providers::vendor::Base;

use super::super::guard::{Peer, host_of};
use super::super::settings::ServerSettings;

/// The public URL, else what a trusted proxy or the request itself says.
pub(in crate::server) fn of(
    settings: &ServerSettings,
    peer: Peer,
    uri: &Uri,
    headers: &HeaderMap,
) -> Base {
    match &settings.public_url {
        Some(url) => public(url),
        None => as_seen(settings, peer, uri, headers),
    }
}

/// As the request came in, whatever is configured.
pub(super) fn as_seen(
    settings: &ServerSettings,
    peer: Peer,
    uri: &Uri,
    headers: &HeaderMap,
) -> Base {
    let forwarded = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        let first = value.split(',').next()?.trim();
        (peer.through_proxy && !first.is_empty()).then_some(first)
    };
    let own = if settings.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let scheme = match forwarded("x-forwarded-proto") {
        Some("https" | "wss") => "https",
        Some(_) => "http",
        None => own,
    };
    let host = forwarded("x-forwarded-host")
        .or_else(|| host_of(uri, headers))
        .unwrap_or("localhost");
    Base::new(&format!("{scheme}://{host}"))
}

fn public(url: &Url) -> Base {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    Base::new(url.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_with_a_prefix_keeps_it() {
        let base = public(&"https://wb.example.com/board/".parse().unwrap());
        assert_eq!(base.http("/x?y=1"), "https://wb.example.com/board/x?y=1");
        assert_eq!(base.ws("/s"), "wss://wb.example.com/board/s");
        assert_eq!(
            base.callback("/x"),
            "https://wb.example.com/board/x#rc=3&rp=all"
        );
        let bare = public(&"http://127.0.0.1:8787".parse().unwrap());
        assert_eq!(bare.ws("/s"), "ws://127.0.0.1:8787/s");
    }

    #[test]
    fn forwarded_headers_count_only_behind_a_trusted_proxy() {
        let settings = ServerSettings::on("127.0.0.1:0".parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("host", "internal:8787".parse().unwrap());
        headers.insert("x-forwarded-proto", "https, http".parse().unwrap());
        headers.insert("x-forwarded-host", "wb.example.com".parse().unwrap());
        let uri: Uri = "/incoming-call".parse().unwrap();
        for (through_proxy, expected) in [
            (true, "https://wb.example.com/p"),
            (false, "http://internal:8787/p"),
        ] {
            let peer = Peer {
                ip: [127, 0, 0, 1].into(),
                through_proxy,
            };
            assert_eq!(of(&settings, peer, &uri, &headers).http("/p"), expected);
        }
    }
}
