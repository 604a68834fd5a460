//! The paths we give Twilio (contract A3). What reads what comes there: `desk`.

/// Configured at the number.
pub const INCOMING: &str = "/incoming-call";
/// The document of a call we placed.
pub const OUTBOUND: &str = "/outbound-call-twiml";
/// Asked when the first document could not be had.
pub const FALLBACK: &str = "/fallback-twiml";
pub const DIAL_RESULT: &str = "/dial-result";
pub const STATUS: &str = "/call-status-callback";
pub const AMD: &str = "/amd-status-callback";
pub const RECORDING: &str = "/recording-status-callback";
pub const QUALITY: &str = "/quality-insights-callback";
pub const STREAM_STATUS: &str = "/stream-status-callback";
pub const CONFERENCE: &str = "/conference-status-callback";
pub const SMS: &str = "/sms";
/// The media stream.
pub const STREAM: &str = "/outbound-media-stream";
/// Where the audio of observed calls is copied to, one way.
pub const MONITOR: &str = "/monitor-stream";
/// Name of the stream parameter that holds our ticket.
pub const TICKET: &str = "wb";
