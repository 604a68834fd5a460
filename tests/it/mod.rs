//! Capabilities, one module each.

mod attach;
mod cli_config;
mod cli_demo;
mod cli_plain;
mod cli_rig;
mod cli_verbs;
mod e2e;
mod faults;
mod gateway;
mod hands;
mod providers;
mod remote;
mod second;
mod server;
mod support;

#[cfg(target_os = "linux")]
mod audio_pulse;
#[cfg(target_os = "linux")]
mod microphone;
mod ui_fake;
