//! What all vendors' shells share: one HTTP client, one kind of WebSocket, and the way from a
//! vendor's news to the switchboard's targets.

mod carrier;
mod http;
mod wire;

use crate::engine::Target;

use super::Subject;

pub use carrier::{Account, AccountError, CarrierShell, NO_MONITOR, refuse, unreadable};
pub use http::{BaseError, Http, HttpAnswer, HttpFailure, base_url, is_loopback_url};
pub use wire::{DIAL_WITHIN, WsSocket, dial};

/// The switchboard's address for a vendor's subject.
pub fn target(subject: Subject) -> Target {
    match subject {
        Subject::Seen {
            facts,
            status,
            started_at,
        } => Target::Carrier {
            facts,
            status,
            started_at,
        },
        Subject::Texted { .. } => Target::Backend,
        Subject::Known {
            carrier,
            carrier_call_id,
        } => Target::Known {
            carrier: carrier.to_owned(),
            carrier_call_id,
        },
    }
}

/// Installs the TLS provider; a second time is no error.
pub(in crate::providers) fn prepare_tls() {
    // Already installed is what we want.
    let _already = rustls::crypto::ring::default_provider().install_default();
}
