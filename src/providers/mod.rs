//! One folder per vendor: pure codecs between bytes and the bridge's words; `shell.rs` does the I/O,
//! `vendor.rs` says what the rest of the program must know. [`vendor::registry`] lists them.
//!
//! Vendors speak of calls by their own ids. [`Subject`] says which call a message is about without
//! deciding what to do with it; [`News`] is a message read into facts. Posting them is the server's.

pub mod elevenlabs;
pub mod hooks;
mod json;
pub mod openai;
pub mod pipeline;
pub mod plivo;
pub mod shell;
pub mod speech;
pub mod tools;
pub mod twilio;
pub mod vendor;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, Utc};

use crate::call::{CallFacts, CallStatus, Fact};

/// Which call a vendor's message is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// Create it if nobody has seen it; otherwise add what is new.
    Seen {
        facts: CallFacts,
        /// The status a card made from this message begins with; never a terminal one.
        status: CallStatus,
        started_at: Option<DateTime<Utc>>,
    },
    /// Nobody's call: a text message of whoever has this number, which says whose lead it is.
    Texted {
        carrier: &'static str,
        phone: String,
        /// Our number it was sent to.
        to: String,
    },
    /// Only if it is known.
    Known {
        carrier: &'static str,
        carrier_call_id: String,
    },
}

/// What a vendor's message says, in the board's words. No facts: nothing worth telling.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    pub subject: Subject,
    pub facts: Vec<Fact>,
}

impl News {
    /// News about a call that must be known already.
    pub fn known(carrier: &'static str, carrier_call_id: &str, facts: Vec<Fact>) -> Self {
        Self {
            subject: Subject::Known {
                carrier,
                carrier_call_id: carrier_call_id.to_owned(),
            },
            facts,
        }
    }
}

/// What an answer of a carrier's REST that is not 2xx means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestFailure {
    /// The call is over: for a hang-up that is success.
    AlreadyEnded,
    /// Wrong credentials.
    Unauthorized,
    RateLimited,
    /// Theirs; may pass.
    Unavailable {
        status: u16,
    },
    Refused {
        /// The carrier's own number for it.
        code: Option<i64>,
        message: String,
    },
}

/// A variable of a call: with the value `text` nobody listens, so nothing is synthesised.
pub const MODALITY: &str = "modality";

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Decodes base64 audio; missing padding is forgiven.
///
/// # Errors
/// The reason, for the counter's debug log.
pub(crate) fn base64_audio(payload: &str) -> Result<Vec<u8>, String> {
    const FORGIVING: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    FORGIVING
        .decode(payload)
        .map_err(|error| format!("base64: {error}"))
}
