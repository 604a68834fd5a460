//! The one integration binary; each module is a capability.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "tests"
)]

#[path = "it/mod.rs"]
mod it;
