//! ElevenLabs Agents: the conversation socket, its webhooks and their signature.
//! Pure but for `shell`, which opens conversations.

mod calls;
mod codec;
mod events;
mod fakes;
pub mod shell;
pub mod shell_calls;
pub mod shell_monitor;
pub mod shell_voice;
mod signature;
pub mod vendor;

use crate::call::Secret;

pub use calls::{OUTBOUND_CALL, Placed, outbound_call, read_placed};
pub use codec::ElevenLabsCodec;
pub use events::*;
pub use signature::*;

/// The vendor's name everywhere.
pub const VENDOR: &str = "elevenlabs";

/// Everything configured about ElevenLabs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElevenLabsSettings {
    /// Without it only public agents can be reached.
    pub api_key: Option<Secret>,
    pub agent_id: Option<String>,
    pub phone_number_id: Option<String>,
    /// Verifies webhooks, prefix `wsec_` included.
    pub webhook_secret: Option<Secret>,
    /// REST; plain http only on loopback.
    pub api_base: String,
    /// Conversation socket of public agents; plain ws only on loopback.
    pub ws_base: String,
}

impl Default for ElevenLabsSettings {
    fn default() -> Self {
        Self {
            api_key: None,
            agent_id: None,
            phone_number_id: None,
            webhook_secret: None,
            api_base: "https://api.elevenlabs.io".to_owned(),
            ws_base: "wss://api.elevenlabs.io".to_owned(),
        }
    }
}
