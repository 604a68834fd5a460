//! The pipeline agent and the voice gateway, with the real program and simulated parts.

mod calls;
mod chat;
mod hands;
mod house;
#[cfg(target_os = "linux")]
mod voice;
