//! Capabilities, one module each.

mod e2e;
mod server;
mod providers;
mod support;

#[cfg(target_os = "linux")]
mod audio_pulse;
