//! Arguments, configuration, wiring of the modes, exit codes.

pub mod config;
mod failure;

pub use failure::{Exit, Failure, Outcome};
