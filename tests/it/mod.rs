//! Capabilities, one module each.

mod e2e;
mod faults;
mod providers;
mod remote;
mod server;
mod support;

#[cfg(target_os = "linux")]
mod audio_pulse;
mod ui_fake;
