//! Simulated carriers and agents: network peers that speak the real wire protocols over sockets.
//!
//! Used by `demo`, `simulate` and the tests. They never call production code; whatever they know of
//! a call came through a socket or from the script both peers were given.

mod rng;
pub mod speech;
mod ulaw;
