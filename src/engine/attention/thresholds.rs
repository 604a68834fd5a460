//! Thresholds of the detectors, as named presets. Times in seconds unless a name says otherwise.

use std::collections::BTreeSet;

use regex::RegexSet;

/// A warning and a critical bound of one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub warn: f64,
    pub critical: f64,
}

impl Bounds {
    pub const fn new(warn: f64, critical: f64) -> Self {
        Self { warn, critical }
    }
}

/// What every detector compares with. [`Thresholds::phone`] is the default preset.
#[derive(Clone, Debug)]
pub struct Thresholds {
    /// How often the same agent sentence may stand in the last eight agent turns.
    pub agent_loop_repeats: Bounds,
    /// Same tool with same arguments within a minute.
    pub tool_loop_repeats: f64,
    /// Audio is queued but silent for this long.
    pub phantom_speaking_s: f64,
    pub dead_air_s: Bounds,
    pub no_first_audio_s: Bounds,
    /// Caller spoke at least this long …
    pub deaf_agent_speech_s: f64,
    /// … and nothing came of it for this long.
    pub deaf_agent_wait_s: f64,
    /// Zero crossings per sample of the agent's audio that only noise reaches, for a second.
    pub codec_noise_crossings: f64,
    pub barge_in_ignored_s: f64,
    /// Share of the last minute in which both spoke, 0 to 1.
    pub talk_over_share: Bounds,
    /// Median of the last five turns.
    pub slow_turn_p50_s: f64,
    /// A single turn.
    pub slow_turn_s: Bounds,
    pub runaway_min: Bounds,
    pub transfer_stuck_s: f64,
    pub ghost_s: f64,
    /// Detectors that are switched off.
    pub off: BTreeSet<String>,
    /// Patterns looked for in both legs, partial text included.
    pub watch_words: RegexSet,
    /// Phrases of a caller who asks for a human; empty means only the tool counts.
    pub help_phrases: RegexSet,
}

impl Thresholds {
    /// For phone calls: the default.
    pub fn phone() -> Self {
        Self {
            agent_loop_repeats: Bounds::new(2.0, 3.0),
            tool_loop_repeats: 3.0,
            phantom_speaking_s: 1.5,
            dead_air_s: Bounds::new(4.0, 8.0),
            no_first_audio_s: Bounds::new(5.0, 10.0),
            deaf_agent_speech_s: 3.0,
            deaf_agent_wait_s: 6.0,
            codec_noise_crossings: 0.4,
            barge_in_ignored_s: 1.0,
            talk_over_share: Bounds::new(0.10, 0.25),
            slow_turn_p50_s: 2.0,
            slow_turn_s: Bounds::new(2.5, 4.0),
            runaway_min: Bounds::new(30.0, 60.0),
            transfer_stuck_s: 20.0,
            ghost_s: 60.0,
            off: BTreeSet::from(["codec_noise".to_owned()]),
            watch_words: RegexSet::empty(),
            help_phrases: RegexSet::empty(),
        }
    }

    /// More patient: for agents that look things up while the caller waits.
    pub fn relaxed() -> Self {
        Self {
            dead_air_s: Bounds::new(8.0, 15.0),
            no_first_audio_s: Bounds::new(8.0, 15.0),
            deaf_agent_wait_s: 10.0,
            slow_turn_p50_s: 3.5,
            slow_turn_s: Bounds::new(5.0, 8.0),
            ..Self::phone()
        }
    }

    /// The preset of this name.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "phone" => Some(Self::phone()),
            "relaxed" => Some(Self::relaxed()),
            _ => None,
        }
    }

    pub fn is_on(&self, rule: &str) -> bool {
        !self.off.contains(rule)
    }
}
