//! The one integration binary; each module is a capability.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait for real programs with a deadline of their own"
)]

#[path = "it/mod.rs"]
mod it;
