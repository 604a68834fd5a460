//! Simulated carriers and agents: network peers that speak the real wire protocols over sockets.
//!
//! Used by `demo`, `simulate` and the tests. They never call production code; whatever they know of
//! a call came through a socket or from the script both peers were given.

mod cast;
pub mod chat;
mod copied;
pub mod elevenlabs;
mod fleet;
pub mod line;
pub mod load;
pub mod openai;
pub mod pipeline;
pub mod plivo;
mod rng;
mod schedule;
mod serve;
mod socket;
pub mod speech;
mod stamp;
mod stamped;
mod stats;
pub mod twilio;
pub mod ulaw;

pub use cast::Cast;
pub use fleet::{DemoFleet, DemoTarget, Stage};
pub use rng::Rng;
pub use schedule::{Demo, Parties, Planned, Schedule};
pub use stamp::{Arrived, BargeIns};
pub use stamped::{AgentLoad, Stamped};
pub use stats::{Latencies, Percentiles};

/// TLS for `https` and `wss` targets; the first caller in the process wins.
fn install_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

#[cfg(test)]
mod tests;
