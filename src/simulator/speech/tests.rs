use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::simulator::rng::Rng;
use crate::simulator::ulaw;

#[test]
fn every_script_loads_and_every_clip_belongs_to_one() {
    let scripts = library();
    assert!(scripts.len() >= 20);
    let mut clips: Vec<&str> = clips::ids().collect();
    clips.sort_unstable();
    for id in &clips {
        let audio = clip(id).unwrap();
        assert!(audio.len() > 1_600, "{id} is too short");
        assert!(
            (-32.0..-8.0).contains(&ulaw::level_dbfs(&audio)),
            "{id} level"
        );
        let script = id.split('.').next().unwrap();
        assert!(scripts.iter().any(|s| s.id == script), "{id} has no script");
    }
    for script in scripts {
        let spoken = script.lines.iter().any(|l| matches!(l, Line::Agent(_)));
        assert_eq!(spoken, script.outcome == Outcome::Answered, "{}", script.id);
    }
}

#[test]
fn all_kinds_of_conversation_are_there() {
    for kind in [
        Kind::Healthy,
        Kind::Tool,
        Kind::BargeIn,
        Kind::Loop,
        Kind::DeadAir,
        Kind::BadLine,
        Kind::Voicemail,
        Kind::NoAnswer,
        Kind::Failed,
        Kind::Long,
        Kind::Hostile,
        Kind::Slow,
        Kind::Reconnect,
        Kind::AgentLost,
        Kind::Help,
    ] {
        assert!(library().iter().any(|s| s.kind == kind), "{kind:?}");
    }
}

#[test]
fn ulaw_matches_the_reference_codes() {
    for (code, linear) in [(0xff, 0), (0x00, -32_124), (0x80, 32_124), (0x7f, 0)] {
        assert_eq!(ulaw::decode(code), linear);
    }
    for code in 0..=255_u8 {
        let again = ulaw::encode(ulaw::decode(code));
        assert_eq!(ulaw::decode(again), ulaw::decode(code), "{code:#x}");
    }
}

/// Both actors over a perfect line with 60 ms each way.
struct Line2 {
    caller: Caller,
    agent: AgentActor,
    to_caller: VecDeque<u8>,
    now_ms: u64,
    log: Vec<(u64, String)>,
    ended: Option<&'static str>,
    silent_ms_max: u64,
    silent_ms: u64,
}

impl Line2 {
    fn new(script: &Arc<Script>) -> Self {
        Self {
            caller: Caller::new(script),
            agent: AgentActor::new(Arc::clone(script), Progress::default(), 0, Rng::new(1)),
            to_caller: VecDeque::new(),
            now_ms: 0,
            log: Vec::new(),
            ended: None,
            silent_ms_max: 0,
            silent_ms: 0,
        }
    }

    fn run(mut self, limit_ms: u64) -> Self {
        while self.ended.is_none() && self.now_ms < limit_ms {
            self.step();
        }
        self
    }

    fn step(&mut self) {
        self.now_ms += 20;
        let take = self.to_caller.len().min(160);
        let mut heard: Vec<u8> = self.to_caller.drain(..take).collect();
        heard.resize(160, ulaw::SILENCE);
        let tick = self.caller.tick(&heard);
        let quiet = ulaw::level_dbfs(&heard) < -50.0 && !tick.speaking;
        self.silent_ms = if quiet { self.silent_ms + 20 } else { 0 };
        self.silent_ms_max = self.silent_ms_max.max(self.silent_ms);
        self.agent.hear(self.now_ms, &tick.frame);
        let mut did = Vec::new();
        self.agent.tick(self.now_ms, &mut did);
        for did in did {
            let line = match did {
                Did::Audio { audio, .. } => {
                    self.to_caller
                        .extend(std::iter::repeat_n(ulaw::SILENCE, 480));
                    self.to_caller.extend(audio.iter());
                    continue;
                }
                Did::Said { text, .. } => format!("A {text}"),
                Did::Interrupted { .. } => {
                    self.to_caller.clear();
                    "interrupted".to_owned()
                }
                Did::Corrected { heard, .. } => format!("A~{heard}"),
                Did::CallerTentative { .. } => continue,
                Did::CallerFinal { text, .. } => format!("C {text}"),
                Did::ToolCall { id, name, .. } => {
                    self.agent.tool_result(&id, false, self.now_ms);
                    format!("tool {name}")
                }
                Did::ToolRequest { name, .. } | Did::ToolDone { name, .. } => {
                    format!("tool {name}")
                }
                Did::EndCall { .. } => {
                    self.ended = Some("agent");
                    "end".to_owned()
                }
                Did::Died { for_good, .. } => {
                    if !for_good {
                        let script = Arc::clone(&self.agent_script());
                        let at = self.agent.progress();
                        self.agent = AgentActor::new(script, at, self.now_ms, Rng::new(2));
                    }
                    "died".to_owned()
                }
            };
            self.log.push((self.now_ms, line));
        }
        if tick.hangup {
            self.ended = Some("caller");
        }
    }

    fn agent_script(&self) -> Arc<Script> {
        self.agent.script()
    }
}

#[test]
fn every_conversation_runs_to_its_end_with_all_words_heard() {
    for script in library().iter().filter(|s| s.outcome == Outcome::Answered) {
        let line = Line2::new(script).run(900_000);
        let log = &line.log;
        assert!(line.ended.is_some(), "{} never ended: {log:#?}", script.id);
        let said = log.iter().filter(|(_, l)| l.starts_with("C ")).count();
        let written = script
            .lines
            .iter()
            .filter(|l| matches!(l, Line::Caller(_)))
            .count();
        if script.kind != Kind::AgentLost {
            // The last words may fall together with putting the phone down.
            assert!(
                written - said <= 1,
                "{}: {said} of {written} {log:#?}",
                script.id
            );
            assert!(said <= written, "{}: {log:#?}", script.id);
        }
        let estimate = script.talk_time().as_millis() as f64;
        let share = line.now_ms as f64 / estimate;
        assert!(
            (0.6..1.5).contains(&share),
            "{}: {} vs {estimate}",
            script.id,
            line.now_ms
        );
        let cuts = log.iter().filter(|(_, l)| l == "interrupted").count();
        let over = script
            .lines
            .iter()
            .filter(|l| matches!(l, Line::Caller(l) if l.over.is_some()))
            .count();
        assert_eq!(cuts, over, "{}: {log:#?}", script.id);
    }
}

#[test]
fn dead_air_is_long_enough_to_be_an_alarm() {
    let script = library().iter().find(|s| s.kind == Kind::DeadAir).unwrap();
    let line = Line2::new(script).run(300_000);
    assert!(line.silent_ms_max >= 8_500, "{}", line.silent_ms_max);
}

#[test]
fn a_caller_who_hears_nothing_speaks_up_and_an_agent_who_hears_nothing_goes_on() {
    let script = Arc::new(Script::tones("t", 4, 400));
    let mut caller = Caller::new(&script);
    let silence = [ulaw::SILENCE; 160];
    let first = (0..2_000).position(|_| caller.tick(&silence).speaking);
    assert_eq!(first.map(|t| t * 20 / 1_000), Some(19));
    let mut agent = AgentActor::new(script, Progress::default(), 0, Rng::new(3));
    let mut did = Vec::new();
    for tick in 0..2_000 {
        agent.tick(tick * 20, &mut did);
    }
    let lines = did.iter().filter(|d| matches!(d, Did::Said { .. })).count();
    assert_eq!(lines, 2);
}
