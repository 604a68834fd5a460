//! One conversation: its lines in order, how the phone line behaves, how it ends.
//! Read from `assets/speech/scripts`, or built from tones for tests.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::call::Direction;
use crate::simulator::ulaw;

use super::clips;

/// What a conversation is there to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Healthy,
    Tool,
    BargeIn,
    Loop,
    DeadAir,
    BadLine,
    Voicemail,
    NoAnswer,
    Failed,
    Long,
    Hostile,
    Slow,
    Reconnect,
    AgentLost,
    Help,
}

/// Who hangs up after the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    #[default]
    Caller,
    Agent,
    /// The script goes on until somebody else ends the call.
    Nobody,
    /// Nobody: the line is cut while the agent says the last words.
    Line,
}

/// What the far end does with a ringing phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    #[default]
    Answered,
    NoAnswer,
    Busy,
    Failed,
}

/// Faults of the caller's own line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineQuality {
    /// Frames are late by up to this much.
    pub jitter_ms: u64,
    /// Share of frames lost, in bursts.
    pub gap_pct: f64,
    /// Level of the line's noise.
    pub noise_dbfs: f64,
}

impl Default for LineQuality {
    fn default() -> Self {
        Self {
            jitter_ms: 0,
            gap_pct: 0.0,
            noise_dbfs: -62.0,
        }
    }
}

/// What the agent says.
#[derive(Clone, Debug)]
pub struct AgentLine {
    pub text: String,
    pub audio: Bytes,
    /// Pause before it; `None` leaves it to the agent.
    pub think: Option<Duration>,
}

/// What the caller says, and what makes them say it.
#[derive(Clone, Debug)]
pub struct CallerLine {
    pub text: String,
    pub audio: Bytes,
    /// Pause after the agent has finished.
    pub reply: Duration,
    /// Speak over the agent, this long after it began.
    pub over: Option<Duration>,
    /// Speak because nobody has said anything for this long.
    pub after_silence: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolVia {
    /// The agent asks the bridge and waits for its answer.
    #[default]
    Client,
    /// The vendor runs it; the bridge is only told.
    Webhook,
}

#[derive(Clone, Debug)]
pub struct ToolLine {
    pub name: String,
    pub via: ToolVia,
    pub args: Value,
    pub result: String,
    pub takes: Duration,
}

/// How the agent's socket breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// TCP reset.
    #[default]
    Reset,
    /// A close frame with 1011.
    Close,
    /// The socket stays open and says nothing more.
    Silence,
}

#[derive(Clone, Debug)]
pub enum Line {
    Agent(AgentLine),
    Caller(CallerLine),
    Tool(ToolLine),
    /// The agent does nothing.
    Pause(Duration),
    /// The agent's socket breaks; `for_good` = it never comes back.
    Die {
        how: Cut,
        for_good: bool,
    },
    /// The caller presses keys.
    Dtmf(String),
}

/// A whole conversation. Immutable; shared by both simulated peers.
#[derive(Clone, Debug)]
pub struct Script {
    pub id: String,
    pub title: String,
    pub kind: Kind,
    pub direction: Direction,
    /// The caller's name, where the words depend on it.
    pub name: Option<String>,
    pub lines: Vec<Line>,
    pub ending: Ending,
    pub outcome: Outcome,
    pub ring: Duration,
    pub sip: u16,
    pub answered_by: Option<String>,
    pub quality: LineQuality,
}

/// All scripts of `assets/speech/scripts`, by id in alphabetical order.
pub fn library() -> &'static [Arc<Script>] {
    &LIBRARY
}

macro_rules! scripts {
    ($($id:literal),* $(,)?) => {
        [$(($id, include_str!(concat!("../../../assets/speech/scripts/", $id, ".toml")))),*]
    };
}

static LIBRARY: LazyLock<Vec<Arc<Script>>> = LazyLock::new(|| {
    let sources = scripts![
        "agent_lost",
        "appointment",
        "bad_line",
        "barge_in",
        "busy",
        "dead_air",
        "espanol",
        "hostile",
        "human",
        "long",
        "loop",
        "no_answer",
        "order_lookup",
        "reconnect",
        "rejected",
        "reminder",
        "slow_agent",
        "survey",
        "voicemail",
        "wrong_number",
    ];
    #[expect(
        clippy::expect_used,
        reason = "the scripts are compiled in and covered by a test"
    )]
    sources
        .into_iter()
        .map(|(id, text)| Arc::new(Script::parse(id, text).expect("a compiled-in script parses")))
        .collect()
});

impl Script {
    /// A script from its TOML text; clips are taken from the pack by `id`.
    ///
    /// # Errors
    /// What is wrong with the text, or the clip that is missing.
    pub fn parse(id: &str, text: &str) -> Result<Self, String> {
        let raw: RawScript = toml::from_str(text).map_err(|e| format!("{id}: {e}"))?;
        let order = raw.order();
        let mut lines = Vec::with_capacity(order.len());
        for n in order {
            let line = raw
                .line
                .get(n)
                .ok_or_else(|| format!("{id}: repeat leaves the script"))?;
            lines.push(line.build(&format!("{id}.{n:02}"))?);
        }
        let quality = LineQuality::default();
        Ok(Self {
            id: id.to_owned(),
            title: raw.title,
            kind: raw.kind,
            direction: raw.direction,
            name: raw.name,
            lines,
            ending: raw.end,
            outcome: raw.outcome,
            ring: Duration::from_millis(raw.ring_ms.unwrap_or(1_400)),
            sip: raw.sip.unwrap_or(200),
            answered_by: raw.answered_by,
            quality: LineQuality {
                jitter_ms: raw.jitter_ms,
                gap_pct: raw.gap_pct,
                noise_dbfs: raw.noise_dbfs.unwrap_or(quality.noise_dbfs),
            },
        })
    }

    /// A quick conversation of tones for tests: agent and caller in turns of `ms` each.
    pub fn tones(id: &str, turns: usize, ms: u64) -> Self {
        let lines = (0..turns)
            .map(|n| {
                if n % 2 == 0 {
                    Line::Agent(AgentLine {
                        text: format!("Agent line {}", n / 2),
                        audio: ulaw::tone(440.0, ms, -12.0).into(),
                        think: Some(Duration::from_millis(60)),
                    })
                } else {
                    Line::Caller(CallerLine {
                        text: format!("Caller line {}", n / 2),
                        audio: ulaw::tone(700.0, ms, -12.0).into(),
                        reply: Duration::from_millis(60),
                        over: None,
                        after_silence: None,
                    })
                }
            })
            .collect();
        Self {
            id: id.to_owned(),
            title: format!("tones {id}"),
            kind: Kind::Healthy,
            direction: Direction::Inbound,
            name: None,
            lines,
            ending: Ending::Caller,
            outcome: Outcome::Answered,
            ring: Duration::from_millis(20),
            sip: 200,
            answered_by: None,
            quality: LineQuality {
                jitter_ms: 0,
                gap_pct: 0.0,
                noise_dbfs: -90.0,
            },
        }
    }

    /// A script of tones in which the caller speaks over the agent's second line.
    pub fn barge_in_tones(id: &str) -> Self {
        let mut script = Self::tones(id, 5, 400);
        if let Some(Line::Agent(line)) = script.lines.get_mut(2) {
            line.audio = ulaw::tone(440.0, 4_000, -12.0).into();
        }
        if let Some(Line::Caller(line)) = script.lines.get_mut(3) {
            line.over = Some(Duration::from_millis(500));
        }
        script.ending = Ending::Nobody;
        script
    }

    pub fn with_ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// About how long the call lasts from the answer, if nobody ends it early.
    pub fn talk_time(&self) -> Duration {
        let mut total = Duration::from_millis(1_500);
        for line in &self.lines {
            total += match line {
                Line::Agent(l) => {
                    audio_time(&l.audio) + l.think.unwrap_or(Duration::from_millis(1_100))
                }
                Line::Caller(l) => {
                    audio_time(&l.audio) + l.reply + l.after_silence.unwrap_or_default()
                }
                Line::Tool(l) => l.takes,
                Line::Pause(d) => d.saturating_sub(Duration::from_secs(12)),
                Line::Die { .. } => Duration::from_secs(1),
                Line::Dtmf(keys) => Duration::from_millis(200) * keys.len() as u32,
            };
        }
        total
    }

    /// Ringing and talking.
    pub fn whole_time(&self) -> Duration {
        match self.outcome {
            Outcome::Answered => self.ring + self.talk_time(),
            Outcome::NoAnswer | Outcome::Busy | Outcome::Failed => self.ring,
        }
    }
}

/// µ-law at 8 kHz.
pub(super) fn audio_time(audio: &[u8]) -> Duration {
    Duration::from_millis(audio.len() as u64 / 8)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    title: String,
    kind: Kind,
    direction: Direction,
    name: Option<String>,
    #[serde(default)]
    end: Ending,
    #[serde(default)]
    outcome: Outcome,
    ring_ms: Option<u64>,
    sip: Option<u16>,
    answered_by: Option<String>,
    #[serde(default)]
    jitter_ms: u64,
    #[serde(default)]
    gap_pct: f64,
    noise_dbfs: Option<f64>,
    repeat: Option<Repeat>,
    #[serde(default)]
    line: Vec<RawLine>,
    #[serde(rename = "agent_voice")]
    _agent_voice: String,
    #[serde(rename = "caller_voice")]
    _caller_voice: String,
    #[serde(rename = "agent_pitch")]
    _agent_pitch: Option<u32>,
    #[serde(rename = "caller_pitch")]
    _caller_pitch: Option<u32>,
    #[serde(rename = "agent_speed")]
    _agent_speed: Option<u32>,
    #[serde(rename = "caller_speed")]
    _caller_speed: Option<u32>,
}

#[derive(Deserialize)]
struct Repeat {
    from: usize,
    to: usize,
    times: usize,
}

#[derive(Deserialize)]
#[serde(tag = "role", rename_all = "snake_case", deny_unknown_fields)]
enum RawLine {
    Agent {
        text: String,
        #[serde(rename = "say")]
        _say: Option<String>,
        think_ms: Option<u64>,
    },
    Caller {
        text: String,
        #[serde(rename = "say")]
        _say: Option<String>,
        reply_ms: Option<u64>,
        over_ms: Option<u64>,
        after_silence_ms: Option<u64>,
        #[serde(default)]
        beep: bool,
    },
    Tool {
        name: String,
        #[serde(default)]
        via: ToolVia,
        args: Value,
        result: String,
        ms: u64,
    },
    Pause {
        ms: u64,
    },
    Die {
        how: Cut,
        #[serde(default)]
        for_good: bool,
    },
    Dtmf {
        digits: String,
    },
}

impl RawScript {
    /// Line numbers in playing order, the repeated stretch unrolled.
    fn order(&self) -> Vec<usize> {
        let all = 0..self.line.len();
        let Some(Repeat { from, to, times }) = self.repeat else {
            return all.collect();
        };
        let stretch = || from..=to;
        (0..from)
            .chain((0..times).flat_map(|_| stretch()))
            .chain(to + 1..self.line.len())
            .collect()
    }
}

impl RawLine {
    fn build(&self, clip: &str) -> Result<Line, String> {
        let audio = || clips::clip(clip).ok_or_else(|| format!("{clip}: no such clip in the pack"));
        let ms = Duration::from_millis;
        Ok(match self {
            Self::Agent { text, think_ms, .. } => Line::Agent(AgentLine {
                text: text.clone(),
                audio: audio()?,
                think: think_ms.map(ms),
            }),
            Self::Caller {
                text,
                reply_ms,
                over_ms,
                after_silence_ms,
                beep,
                ..
            } => {
                let mut audio = audio()?;
                if *beep {
                    audio = [
                        &audio[..],
                        &vec![ulaw::SILENCE; 2_400],
                        &ulaw::tone(1_000.0, 350, -9.0),
                    ]
                    .concat()
                    .into();
                }
                Line::Caller(CallerLine {
                    text: text.clone(),
                    audio,
                    reply: ms(reply_ms.unwrap_or(450)),
                    over: over_ms.map(ms),
                    after_silence: after_silence_ms.map(ms),
                })
            }
            Self::Tool {
                name,
                via,
                args,
                result,
                ms: takes,
            } => Line::Tool(ToolLine {
                name: name.clone(),
                via: *via,
                args: args.clone(),
                result: result.clone(),
                takes: ms(*takes),
            }),
            Self::Pause { ms: pause } => Line::Pause(ms(*pause)),
            Self::Die { how, for_good } => Line::Die {
                how: *how,
                for_good: *for_good,
            },
            Self::Dtmf { digits } => Line::Dtmf(digits.clone()),
        })
    }
}
