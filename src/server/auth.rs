//! Who is asking. Tokens are compared by their SHA-256 in constant time; a running server follows
//! the token file, so that a revoked token cuts open sockets within two seconds. A token nobody knows
//! yet is looked for in the file at once, so that a new one is good from its first use.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::call::{Grant, Role};
use crate::engine::Tasks;

use super::tokens::{TokenRecord, TokenStore, TokenSum, sum_of};

/// How often the token file's modification time is looked at.
const RELOAD_EVERY: Duration = Duration::from_millis(500);
/// Wrong tokens one address may present in a minute before it is told to wait.
const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// How often a second an unknown token may make us look at the file, whoever presents it; beyond
/// that it waits for [`RELOAD_EVERY`]. The file is read only when it has changed.
const LOOKS_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Name shown for whoever holds the admin token.
const ADMIN_USER: &str = "admin";

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// No token was presented.
    Missing,
    /// Unknown, revoked or expired.
    Wrong,
    /// Unknown, and too many of that from this address.
    TooMany,
}

/// A token that was accepted, and what it may do.
#[derive(Clone, Debug)]
pub struct Session {
    pub grant: Grant,
    /// `None` for the operator in this very process, whom nobody can revoke.
    sum: Option<TokenSum>,
}

impl Session {
    /// The session of the screen in the same process.
    pub(super) fn embedded(grant: Grant) -> Self {
        Self { grant, sum: None }
    }
}

/// The tokens of a running server. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

/// Modification time, length, and the number of the file, which is a new one at every change.
type Stamp = (SystemTime, u64, u64);

struct Inner {
    admin: Option<TokenSum>,
    store: Option<TokenStore>,
    named: ArcSwap<Vec<(TokenSum, TokenRecord)>>,
    /// The state of the file that `named` was read from.
    loaded: Mutex<Option<Stamp>>,
    failures: DefaultKeyedRateLimiter<IpAddr>,
    looks: DefaultDirectRateLimiter,
    /// Rises whenever the tokens changed.
    generation: watch::Sender<u64>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("named", &self.inner.named.load().len())
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// Accepts `admin_token` and the named tokens of `store`.
    pub fn new(admin_token: Option<&str>, store: Option<TokenStore>) -> Self {
        let auth = Self {
            inner: Arc::new(Inner {
                admin: admin_token.filter(|token| !token.is_empty()).map(sum_of),
                store,
                named: ArcSwap::default(),
                loaded: Mutex::new(None),
                failures: RateLimiter::keyed(Quota::per_minute(FAILURES_PER_MINUTE)),
                looks: RateLimiter::direct(Quota::per_second(LOOKS_PER_SECOND)),
                generation: watch::channel(0).0,
            }),
        };
        auth.reload();
        auth
    }

    /// Follows the token file until `tasks` ends.
    pub fn follow(&self, tasks: &Tasks) {
        let auth = self.clone();
        let token = tasks.token().clone();
        tasks.spawn("token file", async move {
            let mut tick = tokio::time::interval(RELOAD_EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = token.cancelled() => return,
                    _ = tick.tick() => {}
                }
                auth.reload_if_changed();
                auth.inner.failures.retain_recent();
            }
        });
    }

    fn reload_if_changed(&self) -> bool {
        let has_changed = self.stamp() != *self.loaded();
        if has_changed {
            self.reload();
        }
        has_changed
    }

    /// Reads the token file again. An unreadable file changes nothing.
    pub fn reload(&self) {
        let Some(store) = &self.inner.store else {
            return;
        };
        // Taken before reading: what is written meanwhile shows as another stamp.
        *self.loaded() = self.stamp();
        match store.load() {
            Ok(tokens) => {
                let named = tokens
                    .into_iter()
                    .filter_map(|token| Some((token.sum()?, token)))
                    .collect();
                self.inner.named.store(Arc::new(named));
                self.inner.generation.send_modify(|number| *number += 1);
            }
            Err(error) => {
                tracing::warn!(%error, "the token file was not read; the old tokens hold");
            }
        }
    }

    /// Looks a presented token up. `peer` is who asked, for the count of failures.
    pub fn check(
        &self,
        presented: Option<&str>,
        peer: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<Session, AuthFailure> {
        let Some(presented) = presented.filter(|token| !token.is_empty()) else {
            return Err(AuthFailure::Missing);
        };
        let sum = sum_of(presented);
        let known = self.grant_of(&sum, now).or_else(|| {
            // It may have been made a moment ago.
            let is_new = self.may_look() && self.reload_if_changed();
            is_new.then(|| self.grant_of(&sum, now)).flatten()
        });
        if let Some(grant) = known {
            let sum = Some(sum);
            return Ok(Session { grant, sum });
        }
        metrics::counter!("wallboard_auth_failures_total").increment(1);
        if self.inner.failures.check_key(&peer).is_err() {
            return Err(AuthFailure::TooMany);
        }
        Err(AuthFailure::Wrong)
    }

    /// A flood of wrong tokens must not become a flood of file accesses.
    fn may_look(&self) -> bool {
        self.inner.looks.check().is_ok()
    }

    /// What the session may do now; `None` once its token was revoked or has expired.
    pub fn renew(&self, session: &Session, now: DateTime<Utc>) -> Option<Grant> {
        match &session.sum {
            Some(sum) => self.grant_of(sum, now),
            None => Some(session.grant.clone()),
        }
    }

    /// Changes whenever tokens changed: time to [`Auth::renew`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    fn grant_of(&self, sum: &TokenSum, now: DateTime<Utc>) -> Option<Grant> {
        // Every token is compared, whichever matches: time says nothing about which.
        let mut found = None;
        if let Some(admin) = &self.inner.admin {
            if bool::from(admin.ct_eq(sum)) {
                found = Some(Grant::admin(ADMIN_USER));
            }
        }
        for (known, record) in self.inner.named.load().iter() {
            if bool::from(known.ct_eq(sum)) && record.is_good_at(now) && found.is_none() {
                found = Some(record.grant());
            }
        }
        found
    }

    /// What tells one state of the token file from another; `None` without a file.
    fn stamp(&self) -> Option<Stamp> {
        let data = std::fs::metadata(self.inner.store.as_ref()?.path()).ok()?;
        Some((data.modified().ok()?, data.len(), file_number(&data)))
    }

    fn loaded(&self) -> MutexGuard<'_, Option<Stamp>> {
        self.inner
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn file_number(data: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    data.ino()
}

#[cfg(not(unix))]
fn file_number(_data: &std::fs::Metadata) -> u64 {
    0
}

/// What somebody without a token may do where the contract opens a door for them.
pub(super) fn public_grant() -> Grant {
    Grant::of("public", Role::Viewer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn now() -> DateTime<Utc> {
        "2026-11-21T04:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_revoked_or_expired_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::in_dir(dir.path());
        let mut grant = Grant::of("ana", Role::Operator);
        grant.expires_at = Some(now() + chrono::Duration::hours(1));
        let token = store.add(grant, now()).unwrap();
        let auth = Auth::new(Some("admin-token"), Some(store.clone()));

        let session = auth.check(Some(&token), PEER, now()).unwrap();
        assert_eq!(session.grant.role, Role::Operator);
        assert!(
            auth.renew(&session, now() + chrono::Duration::hours(2))
                .is_none()
        );

        store.revoke("ana", now()).unwrap();
        auth.reload();
        assert!(auth.renew(&session, now()).is_none());
        assert_eq!(
            auth.check(Some(&token), PEER, now()).unwrap_err(),
            AuthFailure::Wrong
        );
        assert_eq!(
            auth.check(Some("admin-token"), PEER, now())
                .unwrap()
                .grant
                .role,
            Role::Admin
        );
    }

    #[test]
    fn guessing_is_slowed_down_but_a_good_token_still_works() {
        let auth = Auth::new(Some("admin-token"), None);
        let failures: Vec<AuthFailure> = (0..40)
            .map(|_| auth.check(Some("guess"), PEER, now()).unwrap_err())
            .collect();
        assert_eq!(failures[0], AuthFailure::Wrong);
        assert_eq!(failures[39], AuthFailure::TooMany);
        assert!(auth.check(Some("admin-token"), PEER, now()).is_ok());
    }

    #[test]
    fn a_new_token_is_good_at_once_and_guesses_read_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::in_dir(dir.path());
        let auth = Auth::new(Some("admin-token"), Some(store.clone()));
        // Nobody follows the file here: only its first use makes the token known.
        let token = store.add(Grant::of("ana", Role::Viewer), now()).unwrap();
        let session = auth.check(Some(&token), PEER, now()).unwrap();
        assert_eq!(session.grant.user, "ana");

        let changes = auth.changes();
        for guess in 0..1_000 {
            let guess = format!("wb_{guess}");
            assert!(auth.check(Some(&guess), PEER, now()).is_err());
        }
        assert!(
            !changes.has_changed().unwrap(),
            "the file was not read again"
        );
        let looks = (0..1_000).filter(|_| auth.may_look()).count();
        assert!(looks < 100, "{looks} looks at the file");
    }

    #[test]
    fn without_any_token_nobody_is_admin() {
        let auth = Auth::new(Some(""), None);
        assert!(auth.check(Some(""), PEER, now()).is_err());
        assert!(auth.check(Some("x"), PEER, now()).is_err());
    }
}
