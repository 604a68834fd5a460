//! Thresholds of the detectors, as named presets. Times in seconds unless a name says otherwise.

use std::collections::BTreeSet;

use regex::{Regex, RegexSet};

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

/// Patterns an operator watches for, and what of the text they matched.
#[derive(Clone, Debug, Default)]
pub struct WatchWords {
    set: RegexSet,
    each: Vec<Regex>,
}

impl WatchWords {
    /// Patterns that were compiled one by one.
    ///
    /// # Errors
    /// Together they are larger than the regex engine allows.
    pub fn new(each: Vec<Regex>) -> Result<Self, regex::Error> {
        let set = regex::RegexSetBuilder::new(each.iter().map(Regex::as_str))
            .case_insensitive(true)
            .build()?;
        Ok(Self { set, each })
    }

    /// What the first pattern found in this text. One pass over the text when nothing is found.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        let index = self.set.matches(text).iter().next()?;
        Some(self.each.get(index)?.find(text)?.as_str())
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
    /// End the call when the caller has waited this long for the agent's first word; `None`: never.
    pub no_first_audio_end_s: Option<f64>,
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
    /// What a call may cost, US dollars; `None`: no cap.
    pub runaway_usd: Option<Bounds>,
    pub transfer_stuck_s: f64,
    pub ghost_s: f64,
    /// Detectors that are switched off.
    pub off: BTreeSet<String>,
    /// Patterns looked for in both legs, partial text included.
    pub watch_words: WatchWords,
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
            no_first_audio_end_s: None,
            deaf_agent_speech_s: 3.0,
            deaf_agent_wait_s: 6.0,
            codec_noise_crossings: 0.4,
            barge_in_ignored_s: 1.0,
            talk_over_share: Bounds::new(0.10, 0.25),
            slow_turn_p50_s: 2.0,
            slow_turn_s: Bounds::new(2.5, 4.0),
            runaway_min: Bounds::new(30.0, 60.0),
            runaway_usd: None,
            transfer_stuck_s: 20.0,
            ghost_s: 60.0,
            off: BTreeSet::from(["codec_noise".to_owned()]),
            watch_words: WatchWords::default(),
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

    /// Less patient, for short and lively calls: silence, overlap and turns are judged as an
    /// impatient caller does.
    pub fn strict() -> Self {
        Self {
            dead_air_s: Bounds::new(3.0, 5.0),
            no_first_audio_s: Bounds::new(3.0, 6.0),
            deaf_agent_wait_s: 4.0,
            barge_in_ignored_s: 0.5,
            talk_over_share: Bounds::new(0.05, 0.15),
            slow_turn_p50_s: 1.5,
            slow_turn_s: Bounds::new(1.5, 3.0),
            runaway_min: Bounds::new(15.0, 30.0),
            transfer_stuck_s: 15.0,
            ..Self::phone()
        }
    }

    /// Turn figures as Hamming publishes them for production agents (P50 1.7 s, P95 3.5 and 5 s;
    /// read 2026-11-21).
    pub fn hamming() -> Self {
        Self {
            slow_turn_p50_s: 1.7,
            slow_turn_s: Bounds::new(3.5, 5.0),
            ..Self::phone()
        }
    }

    /// Silence and overlap as voiceobs judges them (silence 3 and 5 s, overlap 0.5 s; read
    /// 2026-11-21).
    pub fn voiceobs() -> Self {
        Self {
            dead_air_s: Bounds::new(3.0, 5.0),
            barge_in_ignored_s: 0.5,
            slow_turn_p50_s: 3.0,
            slow_turn_s: Bounds::new(3.0, 5.0),
            ..Self::phone()
        }
    }

    /// Names of the presets, the default first.
    pub const PRESETS: [&str; 5] = ["phone", "relaxed", "strict", "hamming", "voiceobs"];

    /// The preset of this name.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "phone" => Some(Self::phone()),
            "relaxed" => Some(Self::relaxed()),
            "strict" => Some(Self::strict()),
            "hamming" => Some(Self::hamming()),
            "voiceobs" => Some(Self::voiceobs()),
            _ => None,
        }
    }

    pub fn is_on(&self, rule: &str) -> bool {
        !self.off.contains(rule)
    }
}
