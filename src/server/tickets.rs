//! Tickets: short-lived stand-ins for credentials that cannot travel in headers.
//!
//! A media ticket proves to us that a carrier's stream was invited by a document of ours. A browser
//! ticket lets a page or player, which cannot send an `Authorization` header, open one thing once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::engine::random;

use super::auth::Session;

/// A browser ticket must be used within this.
pub const OPEN_WITHIN: Duration = Duration::from_secs(60);
/// The listening page waits for a click before it may make a sound: its own ticket lives longer.
pub const PAGE_WITHIN: Duration = Duration::from_secs(600);
/// Tickets waiting to be used. Full: the oldest is dropped.
const WAITING_MAX: usize = 4_096;
/// Bytes of a media ticket: 128 bit.
const MEDIA_BYTES: usize = 16;

/// Makes and judges media tickets. Nothing is stored: a ticket is a MAC over what it is bound to.
pub struct MediaTickets {
    key: [u8; 32],
}

impl std::fmt::Debug for MediaTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MediaTickets(***)")
    }
}

impl Default for MediaTickets {
    fn default() -> Self {
        Self { key: random() }
    }
}

impl MediaTickets {
    /// The ticket of one call of one carrier. Whether the call still lives is for the caller to see.
    pub fn issue(&self, carrier: &str, carrier_call_id: &str) -> String {
        let mac = self.mac(carrier, carrier_call_id).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(mac.get(..MEDIA_BYTES).unwrap_or_default())
    }

    /// Whether `ticket` was issued for this call; in constant time.
    pub fn is_good(&self, ticket: &str, carrier: &str, carrier_call_id: &str) -> bool {
        let Ok(presented) = URL_SAFE_NO_PAD.decode(ticket) else {
            return false;
        };
        presented.len() == MEDIA_BYTES
            && self
                .mac(carrier, carrier_call_id)
                .verify_truncated_left(&presented)
                .is_ok()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, carrier: &str, carrier_call_id: &str) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.key)
            .expect("any key length")
            .chain_update(carrier.as_bytes())
            .chain_update([0])
            .chain_update(carrier_call_id.as_bytes())
    }
}

/// What a browser ticket opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketUse {
    /// The event stream of one lead.
    Sse,
    /// The listening page and live frames of one call.
    Listen,
    /// The live WAV of one call.
    Wav,
}

#[derive(Debug)]
struct Waiting {
    session: Session,
    purpose: TicketUse,
    /// Our call id or a lead.
    target: String,
    until: Duration,
    /// Streams open on it.
    open: u32,
}

/// Browser tickets that were made and not yet used.
#[derive(Debug, Default)]
pub struct BrowserTickets {
    waiting: Mutex<HashMap<String, Waiting>>,
}

impl BrowserTickets {
    /// A ticket for one use of one thing. `now` is monotonic.
    pub fn issue(
        &self,
        session: Session,
        purpose: TicketUse,
        target: String,
        now: Duration,
        lives: Duration,
    ) -> String {
        let ticket = URL_SAFE_NO_PAD.encode(random::<16>());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, entry| entry.until > now);
        if waiting.len() >= WAITING_MAX {
            let oldest = waiting
                .iter()
                .min_by_key(|(_, entry)| entry.until)
                .map(|(ticket, _)| ticket.clone());
            if let Some(oldest) = oldest {
                waiting.remove(&oldest);
            }
        }
        waiting.insert(
            ticket.clone(),
            Waiting {
                session,
                purpose,
                target,
                until: now + lives,
                open: 0,
            },
        );
        ticket
    }

    /// Opens the event stream of `lead`. Browsers come again by themselves with the same URL, so the
    /// ticket stays good while its stream is open and [`OPEN_WITHIN`] after it.
    pub fn open_stream(&self, ticket: &str, lead: &str, now: Duration) -> Option<Session> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = waiting.get_mut(ticket)?;
        let fits = entry.until > now && entry.purpose == TicketUse::Sse && entry.target == lead;
        if !fits {
            waiting.remove(ticket);
            return None;
        }
        entry.until = Duration::MAX;
        entry.open += 1;
        Some(entry.session.clone())
    }

    /// The stream of this ticket has ended.
    pub fn left_stream(&self, ticket: &str, now: Duration) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = waiting.get_mut(ticket) {
            entry.open = entry.open.saturating_sub(1);
            if entry.open == 0 {
                entry.until = now + OPEN_WITHIN;
            }
        }
    }

    /// Takes a ticket; it is gone afterwards, whether it fits or not.
    pub fn redeem(
        &self,
        ticket: &str,
        purpose: TicketUse,
        target: &str,
        now: Duration,
    ) -> Option<Session> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = waiting.remove(ticket)?;
        (entry.until > now && entry.purpose == purpose && entry.target == target)
            .then_some(entry.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::auth::Auth;

    fn session() -> Session {
        let now = "2026-11-21T04:00:00Z".parse().unwrap();
        Auth::new(Some("t"), None)
            .check(Some("t"), std::net::Ipv4Addr::LOCALHOST.into(), now)
            .unwrap()
    }

    #[test]
    fn a_media_ticket_is_bound_to_carrier_and_call() {
        let tickets = MediaTickets::default();
        let ticket = tickets.issue("twilio", "CA1");
        assert_eq!(ticket.len(), 22);
        assert!(tickets.is_good(&ticket, "twilio", "CA1"));
        assert!(!tickets.is_good(&ticket, "twilio", "CA2"));
        assert!(!tickets.is_good(&ticket, "plivo", "CA1"));
        assert!(!tickets.is_good(&ticket[..10], "twilio", "CA1"));
        assert!(!tickets.is_good("", "twilio", "CA1"));
        assert!(!MediaTickets::default().is_good(&ticket, "twilio", "CA1"));
    }

    #[test]
    fn a_browser_ticket_opens_one_thing_once_and_soon() {
        let tickets = BrowserTickets::default();
        let at = Duration::from_secs;
        let issue = || tickets.issue(session(), TicketUse::Listen, "c".into(), at(0), OPEN_WITHIN);
        let good = issue();
        assert!(
            tickets
                .redeem(&good, TicketUse::Listen, "c", at(59))
                .is_some()
        );
        assert!(
            tickets
                .redeem(&good, TicketUse::Listen, "c", at(59))
                .is_none()
        );
        let stream = tickets.issue(session(), TicketUse::Sse, "L1".into(), at(0), OPEN_WITHIN);
        assert!(tickets.open_stream(&stream, "L1", at(59)).is_some());
        assert!(tickets.open_stream(&stream, "L1", at(4_000)).is_some());
        tickets.left_stream(&stream, at(5_000));
        assert!(tickets.open_stream(&stream, "L1", at(9_000)).is_some());
        tickets.left_stream(&stream, at(9_000));
        tickets.left_stream(&stream, at(9_000));
        assert!(tickets.open_stream(&stream, "L1", at(9_061)).is_none());
        assert!(
            tickets
                .redeem(&issue(), TicketUse::Wav, "c", at(1))
                .is_none()
        );
        assert!(
            tickets
                .redeem(&issue(), TicketUse::Listen, "d", at(1))
                .is_none()
        );
        assert!(
            tickets
                .redeem(&issue(), TicketUse::Listen, "c", at(61))
                .is_none()
        );
    }
}
