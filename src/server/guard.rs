//! The door before every route: which hosts and origins are served, and who the peer really is.
//!
//! A page in somebody's browser can reach a backend on the same machine. It is kept out by three
//! rules: the `Host` must be one of ours (against rebinding), an `Origin` must be ours or allowed
//! (against cross-site requests and sockets), and nothing is ever allowed by address alone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use crate::call::ErrorCode;

use super::error::ApiError;
use super::settings::ServerSettings;
use super::state::App;

/// Who sent a request, proxies seen through where they are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub ip: IpAddr,
    /// The socket's other end is a trusted proxy: its `X-Forwarded-*` headers count.
    pub through_proxy: bool,
}

/// Refuses requests for other hosts and from other origins; notes the [`Peer`].
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let socket = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |info| {
            info.0.ip().to_canonical()
        });
    let peer = peer_of(socket, request.headers(), &app.settings);
    request.extensions_mut().insert(peer);
    let host = host_of(request.uri(), request.headers());
    // Probes come by whatever name their balancer likes and learn nothing.
    let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
    if !is_probe && !host.is_some_and(|host| host_is_ours(host, &app.settings)) {
        metrics::counter!("wallboard_refused_total", "why" => "host").increment(1);
        return ApiError::new(
            ErrorCode::Forbidden,
            "this host name is not served here",
            "add it to server.allowed_hosts or set server.public_url",
        )
        .with_status(StatusCode::MISDIRECTED_REQUEST)
        .into_response();
    }
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let own = origin
            .to_str()
            .is_ok_and(|origin| origin_is_allowed(origin, host.unwrap_or_default(), &app.settings));
        if !own {
            metrics::counter!("wallboard_refused_total", "why" => "origin").increment(1);
            return ApiError::new(
                ErrorCode::Forbidden,
                "pages of this origin may not talk to this backend",
                "add the origin to server.allowed_origins",
            )
            .into_response();
        }
    }
    next.run(request).await
}

fn peer_of(socket: IpAddr, headers: &HeaderMap, settings: &ServerSettings) -> Peer {
    if !settings.trusts(socket) {
        return Peer {
            ip: socket,
            through_proxy: false,
        };
    }
    // Each proxy appends whom it heard from: the last one no proxy of ours vouches for is the peer.
    let ip = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|hop| hop.trim().parse::<IpAddr>().ok())
        .map(|ip| ip.to_canonical())
        .rfind(|ip| !settings.trusts(*ip));
    Peer {
        ip: ip.unwrap_or(socket),
        through_proxy: true,
    }
}

/// The host a request names: of its URI under HTTP/2, else its `Host` header.
pub(super) fn host_of<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    uri.authority()
        .map(axum::http::uri::Authority::as_str)
        .or_else(|| headers.get(header::HOST)?.to_str().ok())
}

fn host_is_ours(host: &str, settings: &ServerSettings) -> bool {
    let name = name_of(host);
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    // A rebinding page must use a name: an address in the `Host` is always somebody who meant us.
    name.eq_ignore_ascii_case("localhost")
        || literal.parse::<IpAddr>().is_ok()
        || settings
            .public_url
            .as_ref()
            .and_then(Url::host_str)
            .is_some_and(|own| own.eq_ignore_ascii_case(name))
        || settings
            .allowed_hosts
            .iter()
            .any(|allowed| allowed == "*" || name_of(allowed).eq_ignore_ascii_case(name))
}

/// The host without its port; keeps the brackets of an IPv6 literal.
fn name_of(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Whether a page of this origin may talk to us: its own host (already checked to be ours), our
/// public URL, or configured.
pub(super) fn origin_is_allowed(origin: &str, host: &str, settings: &ServerSettings) -> bool {
    if settings
        .allowed_origins
        .iter()
        .any(|allowed| allowed == "*" || allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
    {
        return true;
    }
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    if settings
        .public_url
        .as_ref()
        .is_some_and(|own| own.origin() == url.origin())
    {
        return true;
    }
    let own = Url::parse(&format!("{}://{host}", url.scheme()));
    own.is_ok_and(|own| own.origin() == url.origin() && own.host_str().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ServerSettings {
        let mut settings = ServerSettings::on("127.0.0.1:0".parse().unwrap());
        settings.public_url = Some("https://wb.example.com".parse().unwrap());
        settings.allowed_hosts = vec!["board.lan".into()];
        settings.allowed_origins = vec!["https://dash.example.com".into()];
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        settings
    }

    #[test]
    fn a_rebound_name_is_not_served() {
        for (host, ours) in [
            ("127.0.0.1:8787", true),
            ("[::1]:8787", true),
            ("localhost:1", true),
            ("WB.example.com", true),
            ("board.lan:8787", true),
            ("evil.example.net", false),
            ("127.0.0.1.evil.example.net", false),
            ("", false),
        ] {
            assert_eq!(host_is_ours(host, &settings()), ours, "{host}");
        }
    }

    #[test]
    fn only_own_and_configured_origins_pass() {
        for (origin, allowed) in [
            ("http://127.0.0.1:8787", true),
            ("https://wb.example.com", true),
            ("https://dash.example.com", true),
            ("http://127.0.0.1:3000", false),
            ("https://evil.example.net", false),
            ("null", false),
            ("file://", false),
        ] {
            assert_eq!(
                origin_is_allowed(origin, "127.0.0.1:8787", &settings()),
                allowed,
                "{origin}"
            );
        }
    }

    #[test]
    fn forwarded_addresses_count_from_trusted_proxies_only() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-forwarded-for",
            "198.51.100.7, 203.0.113.5, 10.0.0.2".parse().unwrap(),
        );
        let outside = peer_of("203.0.113.99".parse().unwrap(), &headers, &settings());
        assert_eq!(outside.ip, "203.0.113.99".parse::<IpAddr>().unwrap());
        let inside = peer_of("10.0.0.1".parse().unwrap(), &headers, &settings());
        assert_eq!(inside.ip, "203.0.113.5".parse::<IpAddr>().unwrap());
        assert!(inside.through_proxy && !outside.through_proxy);
    }
}
