//! The running core: switchboard, task tree, clock, and the ports to the outside.
//!
//! Level 2: tokio's sync, time and task, but no socket and no file.

mod attention;
mod backend;
mod backoff;
mod bridges;
mod clock;
mod commands;
mod core;
mod dialling;
mod embedded;
mod feed;
mod forks;
mod gauges;
mod hints;
mod house;
mod lead_timeline;
mod leads;
mod limits;
mod listen;
mod memory;
mod plan;
mod ports;
mod presence;
mod pricing;
mod reconcile;
mod recorded;
mod recordings;
mod runner;
mod switchboard;
mod taps;
mod tasks;
#[cfg(test)]
pub(crate) mod testing;
mod tools;

pub use attention::{Bounds, Detector, Thresholds, WatchWords, watch_calls};
pub use backend::*;
pub use backoff::Backoff;
pub use bridges::{BridgeOrder, Bridges, ORDERS_MAX, Order};
pub use clock::{Clock, random};
pub use commands::Commands;
pub use core::{Core, CoreParts};
pub use dialling::Dialling;
pub use embedded::{EmbeddedBackend, ListenUrl};
pub use feed::{BATCH_EVERY, BATCH_MAX, Batch, Feed};
pub use forks::Forks;
pub use gauges::Gauges;
pub use hints::Hints;
pub use house::Drained;
pub use lead_timeline::{LeadTimeline, Said, TIMELINE_MAX};
pub use memory::MemoryJournal;
pub use plan::{AgentExtras, AgentPlan, Amd, CallPlan, Fallback, OnMachine, Plans, Route};
pub use ports::*;
pub use presence::{AWAY_MAX, LEASE, Presence, Present};
pub use pricing::Rates;
pub use reconcile::Recovered;
pub use recorded::{Recorded, too_long};
pub use runner::attach_stream;
pub use switchboard::{
    ENDED_SHOWN, PostError, Posted, SNAPSHOT_LINES, Start, Subscription, Switchboard, Target,
};
pub use taps::{Tap, Taps};
pub use tasks::Tasks;
