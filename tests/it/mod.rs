//! Capabilities, one module each.

mod e2e;
mod providers;
mod server;
mod remote;
mod support;

#[cfg(target_os = "linux")]
mod audio_pulse;
