//! wallboard: watch, hear and end live AI phone calls from one terminal.
//!
//! Rooms, from the ground up: `call` and `media` (pure words and audio arithmetic), `bridge` (the
//! conversation machine), `providers` (vendor codecs) and `engine` (the running core), then the
//! rooms that touch the world: `store`, `server`, `remote`, `audio`, `simulator`; the screen in
//! `ui`; and `cli`, which wires them together. Imports only point down; `tests/layers.rs` checks.

pub mod audio;
pub mod bridge;
pub mod call;
pub mod cli;
pub mod engine;
pub mod media;
pub mod providers;
pub mod remote;
pub mod server;
pub mod simulator;
pub mod store;
pub mod ui;
