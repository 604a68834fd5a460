//! Plays `tests/scenarios/*.toml`: a timeline of what happens on a call → the alert envelopes the
//! switchboard must stamp, through the running core on virtual time. The format is in
//! `tests/scenarios/README.md`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use regex::{Regex, RegexSet};
use serde::Deserialize;

use super::{Bounds, Thresholds, WatchWords, watch_calls};
use crate::call::{
    AgentLink, Alert, CallEvent, CallFacts, CallId, CallStatus, Envelope, Fact, Gauge, MediaLink,
    Severity,
};
use crate::engine::testing::FakeCarrier;
use crate::engine::{Carriers, Clock, Core, CoreParts, MemoryJournal, Target, Tasks};

const STEP: Duration = Duration::from_millis(250);
/// Detectors look twice a second, and the look after the cause is the one that shows it.
const TOLERANCE_S: f64 = 0.8;
const CARRIER_ID: &str = "CAscenario";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: String,
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// `fires`, `silent` or `clears`: what it is there to show.
    shows: String,
    #[serde(default)]
    limits: Limits,
    /// Nothing but the call itself: no media, no agent.
    #[serde(default)]
    bare: bool,
    #[serde(default)]
    input: Vec<Input>,
    until: f64,
    #[serde(default)]
    expect: Vec<Expect>,
    /// Requests the carrier must have seen.
    #[serde(default)]
    carrier: Seen,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    preset: Option<String>,
    off: Option<Vec<String>>,
    #[serde(default)]
    watch_words: Vec<String>,
    #[serde(default)]
    help_phrases: Vec<String>,
    no_first_audio_end_s: Option<f64>,
    runaway_usd: Option<[f64; 2]>,
}

/// What happens `at` seconds. `times` repeats it `every` so many seconds; `{n}` in a fact's texts
/// is then the number of the repetition.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    at: f64,
    caller: Option<bool>,
    agent: Option<bool>,
    /// Fields of the gauge that are to stay so.
    gauge: Option<HashMap<String, toml::Value>>,
    /// The bridge is gone: no readings any more.
    #[serde(default)]
    no_gauge: bool,
    fact: Option<toml::Value>,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    every: f64,
}

fn once() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    at: f64,
    raised: Option<String>,
    cleared: Option<String>,
    severity: Option<Severity>,
    reason: Option<String>,
    threshold: Option<f64>,
    evidence: Option<Vec<u32>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    hang_ups: usize,
    finds: usize,
}

/// One thing due.
#[derive(Debug)]
enum Event<'a> {
    Input(&'a Input),
    Fact(Fact),
}

impl Case {
    fn limits(&self) -> Thresholds {
        let given = &self.limits;
        let preset = given.preset.as_deref().unwrap_or("phone");
        let mut limits = Thresholds::preset(preset).unwrap();
        if let Some(off) = &given.off {
            limits.off = off.iter().cloned().collect();
        }
        let words = given.watch_words.iter();
        limits.watch_words =
            WatchWords::new(words.map(|word| Regex::new(word).unwrap()).collect()).unwrap();
        limits.help_phrases = RegexSet::new(&given.help_phrases).unwrap();
        limits.no_first_audio_end_s = given.no_first_audio_end_s;
        limits.runaway_usd = given
            .runaway_usd
            .map(|[warn, crit]| Bounds::new(warn, crit));
        limits
    }

    fn timeline(&self) -> Vec<(f64, Event<'_>)> {
        let mut events = Vec::new();
        for input in &self.input {
            for n in 0..input.times {
                let at = input.at + input.every * f64::from(n);
                events.push((at, Event::Input(input)));
                if let Some(fact) = &input.fact {
                    let text = serde_json::to_string(fact).unwrap();
                    let text = text.replace("{n}", &(n + 1).to_string());
                    // A number can be written as a text in which the repetition stands.
                    let mut fact: serde_json::Value = serde_json::from_str(&text).unwrap();
                    if let Some(turn) = fact["turn"]
                        .as_str()
                        .and_then(|turn| turn.parse::<u32>().ok())
                    {
                        fact["turn"] = turn.into();
                    }
                    let fact = serde_json::from_value(fact).expect("a fact");
                    events.push((at, Event::Fact(fact)));
                }
            }
        }
        events.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        events
    }
}

/// Who speaks, and what follows from it for the gauge.
#[derive(Debug)]
struct Room {
    gauge: Gauge,
    fixed: HashMap<String, toml::Value>,
    is_gone: bool,
}

impl Room {
    fn take(&mut self, input: &Input) {
        if let Some(caller) = input.caller {
            self.gauge.caller_speaking = caller;
        }
        if let Some(agent) = input.agent {
            self.gauge.agent_speaking = agent;
        }
        self.fixed.extend(input.gauge.clone().unwrap_or_default());
        self.is_gone |= input.no_gauge;
    }

    /// The reading of this moment.
    fn reading(&mut self) -> Gauge {
        let level = |speaks: bool| Some(if speaks { -22.0 } else { -96.0 });
        self.gauge.level_in_dbfs = level(self.gauge.caller_speaking);
        self.gauge.level_out_dbfs = level(self.gauge.agent_speaking);
        if self.gauge.caller_speaking || self.gauge.agent_speaking {
            self.gauge.silence_ms = 0;
        } else {
            self.gauge.silence_ms += u32::try_from(STEP.as_millis()).unwrap();
        }
        let mut value = serde_json::to_value(&self.gauge).unwrap();
        for (name, fixed) in &self.fixed {
            value[name] = serde_json::to_value(fixed).unwrap();
        }
        serde_json::from_value(value).expect("a gauge")
    }
}

/// A change of an alert, and when.
#[derive(Debug)]
struct Change {
    at: f64,
    fact: Fact,
}

async fn play(case: &Case) -> (Vec<Change>, Seen) {
    let begin = Utc.timestamp_opt(1_795_219_200, 0).single().unwrap();
    let (tasks, clock) = (Tasks::new(), Clock::staged(begin));
    let fake = FakeCarrier::default();
    fake.reports(CARRIER_ID, CallStatus::InProgress, None);
    let carriers: Carriers = [("twilio", Arc::new(fake.clone()) as Arc<_>)].into();
    let core = Core::new(CoreParts {
        carriers,
        ..CoreParts::new(tasks.clone(), clock, Arc::new(MemoryJournal::new()))
    });
    let mut heard = core.switchboard.subscribe(None).await.unwrap().live;
    let call = arrive(&core, case.bare).await;
    watch_calls(&core, case.limits());

    let mut room = Room {
        gauge: Gauge::blank(call),
        fixed: HashMap::new(),
        is_gone: case.bare,
    };
    let mut events = case.timeline().into_iter().peekable();
    let mut changes = Changes::new(begin);
    let steps = (case.until / STEP.as_secs_f64()).ceil() as u32;
    for step in 0..=steps {
        let now = (STEP * step).as_secs_f64();
        let mut facts = Vec::new();
        while let Some((_, event)) = events.next_if(|(at, _)| *at <= now + 1e-9) {
            match event {
                Event::Input(input) => room.take(input),
                Event::Fact(fact) => facts.push(fact),
            }
        }
        if !facts.is_empty() {
            core.switchboard
                .post(Target::Call(call), facts)
                .await
                .unwrap();
        }
        if room.is_gone {
            core.gauges.remove(call);
        } else {
            core.gauges.set(room.reading());
        }
        tokio::time::sleep(STEP).await;
        while let Ok(envelope) = heard.try_recv() {
            changes.take(&envelope);
        }
    }
    let state = fake.state();
    let seen = Seen {
        hang_ups: state.hang_ups.len(),
        finds: state.finds,
    };
    drop(state);
    tasks.token().cancel();
    (changes.list, seen)
}

/// A call that has just been answered.
async fn arrive(core: &Core, is_bare: bool) -> CallId {
    let target = Target::Carrier {
        facts: CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some(CARRIER_ID.into()),
            from: "+14155550134".into(),
            ..CallFacts::default()
        },
        status: CallStatus::InProgress,
        started_at: None,
    };
    let links = [
        Fact::MediaLinkChanged {
            link: MediaLink::Up,
            reason: None,
        },
        Fact::AgentLinkChanged {
            link: AgentLink::Connected,
            reason: None,
            attempt: None,
        },
    ];
    let facts = if is_bare { Vec::new() } else { links.to_vec() };
    let posted = core.switchboard.post(target, facts).await.unwrap();
    posted.call.unwrap()
}

/// Alerts as they rise, get worse and end; repetitions that only count on are left out.
struct Changes {
    begin: DateTime<Utc>,
    standing: BTreeMap<String, Severity>,
    list: Vec<Change>,
}

impl Changes {
    fn new(begin: DateTime<Utc>) -> Self {
        Self {
            begin,
            standing: BTreeMap::new(),
            list: Vec::new(),
        }
    }

    fn take(&mut self, envelope: &Envelope) {
        let CallEvent::Known(fact) = &envelope.event else {
            return;
        };
        let is_news = match fact {
            Fact::AlertRaised { alert } => {
                let before = self.standing.insert(alert.rule.clone(), alert.severity);
                before != Some(alert.severity)
            }
            Fact::AlertCleared { rule } => self.standing.remove(rule).is_some(),
            _ => false,
        };
        if is_news {
            let at = (envelope.at - self.begin).as_seconds_f64();
            let fact = fact.clone();
            self.list.push(Change { at, fact });
        }
    }
}

/// What differs from what was expected, in words.
fn differences(case: &Case, changes: &[Change], seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    if changes.len() != case.expect.len() {
        wrong.push(format!(
            "{} changes, not {}",
            changes.len(),
            case.expect.len()
        ));
    }
    for (expect, change) in case.expect.iter().zip(changes) {
        let is_same = (expect.at - change.at).abs() <= TOLERANCE_S
            && match &change.fact {
                Fact::AlertRaised { alert } => is_expected(expect, alert),
                Fact::AlertCleared { rule } => expect.cleared.as_ref() == Some(rule),
                _ => false,
            };
        if !is_same {
            wrong.push(format!("expected {expect:?}"));
        }
    }
    if seen != &case.carrier {
        wrong.push(format!("the carrier saw {seen:?}"));
    }
    if !wrong.is_empty() {
        wrong.extend(changes.iter().map(|change| format!("came {change:?}")));
    }
    wrong
}

fn is_expected(expect: &Expect, alert: &Alert) -> bool {
    expect.raised.as_ref() == Some(&alert.rule)
        && expect
            .severity
            .is_none_or(|severity| severity == alert.severity)
        && expect
            .reason
            .as_ref()
            .is_none_or(|reason| *reason == alert.reason)
        && expect
            .threshold
            .is_none_or(|bound| (bound - alert.threshold).abs() < 1e-9)
        && expect
            .evidence
            .as_ref()
            .is_none_or(|turns| *turns == alert.evidence)
        && alert.reason.split_whitespace().count() <= 4
}

#[tokio::test(start_paused = true)]
async fn every_detector_fires_keeps_silent_and_clears_as_written() {
    const RULES: [&str; 16] = [
        "agent_loop",
        "tool_loop",
        "phantom_speaking",
        "dead_air",
        "no_first_audio",
        "deaf_agent",
        "codec_noise",
        "barge_in_ignored",
        "talk_over",
        "slow_turn",
        "runaway_call",
        "transfer_stuck",
        "ghost_call",
        "machine_answered",
        "watch_word",
        "help_request",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut failures = Vec::new();
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    paths.sort();
    for path in paths {
        let place = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
        for case in &file.case {
            let (changes, seen) = play(case).await;
            let wrong = differences(case, &changes, &seen);
            if !wrong.is_empty() {
                failures.push(format!("{place}: {}\n  {}", case.name, wrong.join("\n  ")));
            }
            shown
                .entry(file.rule.clone())
                .or_default()
                .push(case.shows.clone());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for rule in RULES {
        let shows = shown.remove(rule).unwrap_or_default();
        for wanted in ["fires", "silent", "clears"] {
            assert!(
                shows.iter().any(|word| word == wanted),
                "{rule}: nothing shows that it {wanted}"
            );
        }
    }
}
