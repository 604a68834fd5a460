//! Gauges: continuous figures of a live call. Latest wins, no `seq`, never stored.

use serde::{Deserialize, Serialize};

use super::CallId;

/// One reading. `None` means the source is missing, which is not the same as zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gauge {
    pub call: CallId,
    /// RMS of the caller's leg, dBFS, −96 to 0.
    pub level_in_dbfs: Option<f32>,
    /// RMS of what is being played to the caller, dBFS.
    pub level_out_dbfs: Option<f32>,
    /// Arrival jitter of the carrier's frames (RFC 3550 §6.4.1), milliseconds.
    pub jitter_ms: Option<f32>,
    /// Share of missing frames over 10 s, percent.
    pub gap_pct: Option<f32>,
    /// E-model estimate, 1.0 to 4.5.
    pub score: Option<f32>,
    /// Agent audio sent to the carrier and not yet played, milliseconds.
    pub buffer_ms: Option<u32>,
    /// Round trip to the agent vendor, milliseconds.
    pub rtt_ms: Option<f32>,
    /// Whether each side speaks now.
    #[serde(default)]
    pub caller_speaking: bool,
    #[serde(default)]
    pub agent_speaking: bool,
    /// Nobody has spoken for this long, milliseconds.
    #[serde(default)]
    pub silence_ms: u32,
    /// Zero crossings per sample of the agent's audio over the last second, 0 to 1: speech stays
    /// below 0.3, white noise lies near 0.5.
    #[serde(default)]
    pub crossings_out: Option<f32>,
    /// Agent's part of all talk so far, 0 to 1.
    #[serde(default)]
    pub agent_talk_share: Option<f32>,
    /// Silent part of the time since the answer, 0 to 1.
    #[serde(default)]
    pub silence_share: Option<f32>,
}

impl Gauge {
    /// A reading with nothing known.
    pub fn blank(call: CallId) -> Self {
        Self {
            call,
            level_in_dbfs: None,
            level_out_dbfs: None,
            jitter_ms: None,
            gap_pct: None,
            score: None,
            buffer_ms: None,
            rtt_ms: None,
            caller_speaking: false,
            agent_speaking: false,
            silence_ms: 0,
            crossings_out: None,
            agent_talk_share: None,
            silence_share: None,
        }
    }
}
