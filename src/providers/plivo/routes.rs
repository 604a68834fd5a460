//! The paths we give Plivo, and what reads what comes there. All take
//! POST and GET: which one is used is a setting of the vendor's console.
//!
//! | Path | Read by | Answered with |
//! |---|---|---|
//! | [`ANSWER`] | [`super::AnswerNews`] (and [`super::AnswerQuery`]) | [`super::connect_stream`] |
//! | [`FALLBACK`] | [`super::AnswerRequest`] | [`super::say_and_hang_up`] or [`super::transfer`] |
//! | [`RING`] | [`super::RingCallback`] | nothing |
//! | [`HANGUP`] | [`super::HangupCallback`] | nothing |
//! | [`MACHINE`] | [`super::MachineCallback`] | nothing |
//! | [`RECORDING`] | [`super::RecordingCallback`] | nothing |
//! | [`STREAM_STATUS`] | [`super::StreamCallback`] | nothing |
//! | [`TRANSFER`] | [`super::TransferRequest`] | [`super::transfer`] |
//! | [`DIAL_ACTION`] | [`super::DialResult`] | [`super::hang_up`], or an apology |
//! | [`DIAL_STATUS`] | [`super::DialLegCallback`] | nothing |
//! | [`STREAM`] (WebSocket) | [`super::PlivoCodec`] | audio |
//! | [`MONITOR`] (WebSocket) | [`super::PlivoCodec`] | nothing |

/// Configured at the number, or given when a call is placed.
pub const ANSWER: &str = "/answer";
/// Asked when the answer could not be had.
pub const FALLBACK: &str = "/fallback";
pub const RING: &str = "/ring";
/// Configured at the number, or given when a call is placed.
pub const HANGUP: &str = "/hangup";
pub const MACHINE: &str = "/machine-detection";
pub const RECORDING: &str = "/recording";
pub const STREAM_STATUS: &str = "/stream-status";
/// The document of a transfer ordered over REST; the number stands in the query.
pub const TRANSFER: &str = "/transfer";
pub const DIAL_ACTION: &str = "/dial-action";
pub const DIAL_STATUS: &str = "/dial-status";
/// The audio stream.
pub const STREAM: &str = "/media-stream";
/// Where the audio of observed calls is copied to, one way.
pub const MONITOR: &str = "/monitor-media-stream";
/// Name of the stream's query parameter (and extra header) that holds our ticket.
pub const TICKET: &str = "wb";
