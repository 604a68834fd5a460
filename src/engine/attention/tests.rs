//! For every detector: when it fires, when it must not, when it clears.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use regex::{Regex, RegexSet};

use super::{Detector, Thresholds, WatchWords};
use crate::call::{
    AgentLink, AnsweredBy, Call, CallFacts, CallId, CallStatus, Fact, Gauge, Line, LineBody,
    MediaLink, Severity, Track, Transfer, TurnTiming,
};

/// A call under observation on virtual time, half a second a look.
struct Scene {
    call: Call,
    gauge: Option<Gauge>,
    limits: Thresholds,
    detector: Detector,
    now: Duration,
    begin: DateTime<Utc>,
    raised: Vec<(String, Severity)>,
    cleared: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let id = CallId::from_parts(0, [7; 10]);
        let begin = Utc.timestamp_opt(1_795_219_200, 0).single().unwrap();
        let mut call = Call::new(id, CallFacts::default(), CallStatus::InProgress, begin);
        call.answered_at = Some(begin);
        call.agent_link = AgentLink::Connected;
        call.media_link = MediaLink::Up;
        let mut gauge = Gauge::blank(id);
        gauge.level_in_dbfs = Some(-70.0);
        gauge.level_out_dbfs = Some(-20.0);
        Self {
            call,
            gauge: Some(gauge),
            limits: Thresholds::phone(),
            detector: Detector::default(),
            now: Duration::ZERO,
            begin,
            raised: Vec::new(),
            cleared: Vec::new(),
        }
    }

    fn at(&self) -> DateTime<Utc> {
        self.begin + TimeDelta::from_std(self.now).unwrap()
    }

    fn gauge(&mut self) -> &mut Gauge {
        self.gauge.as_mut().unwrap()
    }

    fn say(&mut self, track: Track, text: &str) {
        let turn = self.call.lines.last().map_or(1, |line| line.turn + 1);
        let body = LineBody::Speech {
            track,
            text: text.into(),
            interim: false,
            latency_ms: None,
            cut: None,
        };
        self.call.lines.push(Line {
            turn,
            at: self.at(),
            body,
        });
    }

    fn tool(&mut self, name: &str, args: &str) {
        let turn = self.call.lines.last().map_or(1, |line| line.turn + 1);
        let body = LineBody::Tool {
            tool_call_id: format!("t{turn}"),
            name: name.into(),
            args: args.into(),
            ok: Some(true),
            result: String::new(),
            took_ms: None,
        };
        self.call.lines.push(Line {
            turn,
            at: self.at(),
            body,
        });
    }

    /// Lets `seconds` pass.
    fn pass(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        while self.now < until {
            self.now += Duration::from_millis(500);
            let at = self.at();
            let facts =
                self.detector
                    .observe(self.now, at, &self.call, self.gauge.as_ref(), &self.limits);
            for fact in facts {
                match fact {
                    Fact::AlertRaised { alert } => self.raised.push((alert.rule, alert.severity)),
                    Fact::AlertCleared { rule } => self.cleared.push(rule),
                    other => panic!("not an alert: {other:?}"),
                }
            }
        }
    }

    fn worst(&self, rule: &str) -> Option<Severity> {
        self.raised
            .iter()
            .filter(|(name, _)| name == rule)
            .map(|(_, severity)| *severity)
            .max()
    }

    fn assert_silent(&self) {
        assert!(
            self.raised.is_empty(),
            "unexpected alerts: {:?}",
            self.raised
        );
    }

    fn assert_cleared(&self, rule: &str) {
        assert!(
            self.cleared.iter().any(|name| name == rule),
            "{rule} was not cleared"
        );
    }
}

const ASK: &str = "Let me check that for you.";

#[test]
fn a_healthy_conversation_raises_nothing() {
    let mut scene = Scene::new();
    for text in [
        "Hello, this is Ava from the clinic.",
        "Which day suits you?",
        "Tuesday at ten it is.",
    ] {
        scene.say(Track::FromAgent, text);
        scene.pass(3.0);
        scene.say(Track::FromCaller, "Yes, that works.");
        scene.pass(3.0);
    }
    scene.assert_silent();
}

#[test]
fn an_agent_that_repeats_itself_is_a_loop_until_it_moves_on() {
    let mut scene = Scene::new();
    for text in [
        ASK,
        "let me check that for you",
        "Let me check that for you one more time.",
    ] {
        scene.say(Track::FromAgent, text);
        scene.say(Track::FromCaller, "still there?");
        scene.pass(5.0);
    }
    assert_eq!(scene.worst("agent_loop"), Some(Severity::Critical));
    scene.say(
        Track::FromAgent,
        "Your order left our warehouse this morning.",
    );
    scene.say(
        Track::FromAgent,
        "It should reach you on Thursday before noon.",
    );
    scene.pass(4.0);
    scene.assert_cleared("agent_loop");
}

#[test]
fn short_answers_may_repeat() {
    let mut scene = Scene::new();
    for _ in 0..6 {
        scene.say(Track::FromAgent, "One moment please.");
        scene.pass(1.0);
        scene.say(Track::FromAgent, "Thank you.");
        scene.pass(1.0);
    }
    scene.assert_silent();
}

#[test]
fn the_same_tool_with_the_same_arguments_thrice_in_a_minute_is_a_loop() {
    let mut scene = Scene::new();
    scene.tool("lookup", r#"{"id":1}"#);
    scene.tool("lookup", r#"{"id":2}"#);
    scene.tool("lookup", r#"{"id":1}"#);
    scene.pass(1.0);
    scene.assert_silent();
    scene.tool("lookup", r#"{"id":1}"#);
    scene.pass(1.0);
    assert_eq!(scene.worst("tool_loop"), Some(Severity::Critical));
    scene.pass(70.0);
    scene.assert_cleared("tool_loop");
}

#[test]
fn silence_of_both_warns_then_becomes_critical_then_clears() {
    let mut scene = Scene::new();
    scene.gauge().silence_ms = 3_900;
    scene.pass(1.0);
    scene.assert_silent();
    scene.gauge().silence_ms = 4_100;
    scene.pass(1.0);
    assert_eq!(scene.worst("dead_air"), Some(Severity::Warn));
    scene.gauge().silence_ms = 8_200;
    scene.pass(1.0);
    assert_eq!(scene.worst("dead_air"), Some(Severity::Critical));
    scene.gauge().silence_ms = 0;
    scene.pass(3.0);
    scene.assert_cleared("dead_air");
}

#[test]
fn no_greeting_after_the_answer_is_noticed() {
    let mut scene = Scene::new();
    scene.gauge().level_out_dbfs = Some(-96.0);
    scene.pass(4.0);
    scene.assert_silent();
    scene.pass(2.0);
    assert_eq!(scene.worst("no_first_audio"), Some(Severity::Warn));
    scene.pass(6.0);
    assert_eq!(scene.worst("no_first_audio"), Some(Severity::Critical));
    scene.gauge().level_out_dbfs = Some(-20.0);
    scene.pass(3.0);
    scene.assert_cleared("no_first_audio");
}

#[test]
fn queued_audio_without_sound_is_phantom_speech() {
    let mut scene = Scene::new();
    scene.pass(1.0);
    scene.gauge().agent_speaking = true;
    scene.gauge().level_out_dbfs = Some(-80.0);
    scene.pass(1.0);
    scene.assert_silent();
    scene.pass(1.5);
    assert_eq!(scene.worst("phantom_speaking"), Some(Severity::Critical));
    scene.gauge().agent_speaking = false;
    scene.pass(3.0);
    scene.assert_cleared("phantom_speaking");
}

#[test]
fn a_caller_nobody_hears_is_noticed() {
    let mut scene = Scene::new();
    scene.gauge().caller_speaking = true;
    scene.pass(4.0);
    scene.gauge().caller_speaking = false;
    scene.pass(5.0);
    scene.assert_silent();
    scene.pass(2.0);
    assert_eq!(scene.worst("deaf_agent"), Some(Severity::Critical));
    scene.say(Track::FromAgent, "I am sorry, I did not catch that.");
    scene.pass(3.0);
    scene.assert_cleared("deaf_agent");
}

#[test]
fn a_short_word_without_reply_is_not_a_deaf_agent() {
    let mut scene = Scene::new();
    scene.gauge().caller_speaking = true;
    scene.pass(1.0);
    scene.gauge().caller_speaking = false;
    scene.pass(20.0);
    scene.assert_silent();
}

#[test]
fn an_interruption_the_agent_ignores_is_noticed_and_one_it_heeds_is_not() {
    let mut scene = Scene::new();
    scene.gauge().caller_speaking = true;
    scene.gauge().agent_speaking = true;
    scene.pass(1.0);
    scene.call.interruptions += 1;
    scene.pass(1.0);
    scene.assert_silent();
    scene.pass(2.0);
    assert_eq!(scene.worst("barge_in_ignored"), Some(Severity::Warn));
    scene.gauge().agent_speaking = false;
    scene.pass(3.0);
    scene.assert_cleared("barge_in_ignored");
}

#[test]
fn talking_over_each_other_counts_over_a_minute() {
    let mut scene = Scene::new();
    for second in 0..60 {
        let both = second % 4 == 0;
        scene.gauge().caller_speaking = both;
        scene.gauge().agent_speaking = both;
        scene.pass(1.0);
    }
    assert_eq!(scene.worst("talk_over"), Some(Severity::Critical));
    scene.gauge().caller_speaking = false;
    scene.gauge().agent_speaking = false;
    scene.pass(90.0);
    scene.assert_cleared("talk_over");
}

#[test]
fn slow_turns_are_judged_by_preset() {
    let mut scene = Scene::new();
    let turn = |turn, latency_ms| TurnTiming {
        turn,
        latency_ms,
        ..TurnTiming::default()
    };
    scene.call.turns.push(turn(1, 900));
    scene.pass(1.0);
    scene.assert_silent();
    scene.call.turns.push(turn(2, 4_200));
    scene.pass(1.0);
    assert_eq!(scene.worst("slow_turn"), Some(Severity::Critical));
    scene.call.turns.push(turn(3, 700));
    scene.pass(4.0);
    scene.assert_cleared("slow_turn");

    let mut patient = Scene::new();
    patient.limits = Thresholds::preset("relaxed").unwrap();
    patient.call.turns.push(turn(1, 4_200));
    patient.pass(1.0);
    patient.assert_silent();
}

#[test]
fn a_call_that_never_ends_is_noticed() {
    let mut scene = Scene::new();
    scene.pass(29.0 * 60.0);
    scene.assert_silent();
    scene.pass(2.0 * 60.0);
    assert_eq!(scene.worst("runaway_call"), Some(Severity::Warn));
}

#[test]
fn a_transfer_that_does_not_connect_is_stuck() {
    let mut scene = Scene::new();
    let asked = |state: &str| {
        Some(Transfer {
            to: "+15550100".into(),
            state: state.into(),
            reason: None,
        })
    };
    scene.call.transfer = asked("requested");
    scene.pass(19.0);
    scene.assert_silent();
    scene.pass(2.0);
    assert_eq!(scene.worst("transfer_stuck"), Some(Severity::Critical));
    scene.call.transfer = asked("connected");
    scene.pass(3.0);
    scene.assert_cleared("transfer_stuck");
}

#[test]
fn a_call_without_any_sign_of_life_is_a_ghost() {
    let mut scene = Scene::new();
    scene.gauge = None;
    scene.call.media_link = MediaLink::None;
    scene.call.agent_link = AgentLink::None;
    scene.pass(50.0);
    scene.assert_silent();
    scene.pass(12.0);
    assert_eq!(scene.worst("ghost_call"), Some(Severity::Warn));
}

#[test]
fn talking_to_a_machine_is_noticed_and_a_human_is_not() {
    let mut scene = Scene::new();
    scene.call.answered_by = Some(AnsweredBy::Human);
    scene.say(Track::FromAgent, "Hello, am I speaking with Maria?");
    scene.pass(1.0);
    scene.assert_silent();
    scene.call.answered_by = Some(AnsweredBy::MachineEndBeep);
    scene.pass(1.0);
    assert_eq!(scene.worst("machine_answered"), Some(Severity::Warn));
}

#[test]
fn watch_words_are_found_in_partial_text_of_both_legs() {
    let mut scene = Scene::new();
    scene.limits.watch_words = WatchWords::new(vec![Regex::new("(?i)guarantee").unwrap()]).unwrap();
    scene.say(Track::FromAgent, "We can offer you a voucher.");
    scene.pass(1.0);
    scene.assert_silent();
    scene.say(Track::FromCaller, "so you GUARANTEE that I");
    scene.pass(1.0);
    assert_eq!(scene.worst("watch_word"), Some(Severity::Warn));
}

#[test]
fn asking_for_a_human_counts_by_tool_and_by_phrase_only_when_configured() {
    let mut scene = Scene::new();
    scene.say(Track::FromCaller, "can I talk to a human please");
    scene.pass(1.0);
    scene.assert_silent();
    scene.limits.help_phrases = RegexSet::new(["(?i)talk to a (human|person)"]).unwrap();
    scene.pass(1.0);
    assert_eq!(scene.worst("help_request"), Some(Severity::Critical));

    let mut by_tool = Scene::new();
    by_tool.tool("request_human", "{}");
    by_tool.pass(1.0);
    assert_eq!(by_tool.worst("help_request"), Some(Severity::Critical));
}

#[test]
fn noise_is_off_by_default_and_found_when_switched_on() {
    let noisy = |scene: &mut Scene| {
        scene.gauge().crossings_out = Some(0.5);
        scene.gauge().level_out_dbfs = Some(-15.0);
        scene.pass(3.0);
    };
    let mut off = Scene::new();
    noisy(&mut off);
    off.assert_silent();
    let mut on = Scene::new();
    on.limits.off.clear();
    noisy(&mut on);
    assert_eq!(on.worst("codec_noise"), Some(Severity::Critical));
}

#[test]
fn a_lost_agent_is_critical_at_once_and_clears_when_it_returns() {
    let mut scene = Scene::new();
    scene.call.agent_link = AgentLink::Reconnecting;
    scene.pass(0.5);
    assert_eq!(scene.worst("agent_lost"), Some(Severity::Warn));
    scene.call.agent_link = AgentLink::Lost;
    scene.pass(0.5);
    assert_eq!(scene.worst("agent_lost"), Some(Severity::Critical));
    scene.call.agent_link = AgentLink::Connected;
    scene.pass(3.0);
    scene.assert_cleared("agent_lost");
}

#[test]
fn an_alert_that_stands_is_reported_again_only_when_it_says_something_new() {
    let mut scene = Scene::new();
    for second in 4..=30 {
        scene.gauge().silence_ms = second * 1_000;
        scene.pass(1.0);
    }
    assert!((2..=8).contains(&scene.raised.len()), "{:?}", scene.raised);
}

/// An operator has the floor for as long as they like and types as much as they like.
#[test]
fn nothing_is_the_agents_fault_while_an_operator_speaks() {
    let mut scene = Scene::new();
    scene.limits.help_phrases = RegexSet::new(["real person"]).unwrap();
    scene.limits.watch_words = WatchWords::new(vec![Regex::new("refund").unwrap()]).unwrap();
    scene.say(Track::FromCaller, "I want a real person");
    scene.pass(2.0);
    assert!(scene.worst("help_request").is_some());
    scene.raised.clear();
    scene.call.held_by = Some("ana".into());
    // Their typed lines push everything else out of the call's list of actions.
    scene.call.actions.clear();
    for line in 0..8 {
        scene.say(Track::FromOperator, "Your refund is on its way");
        scene.tool("lookup", "{}");
        scene.gauge().agent_speaking = true;
        scene.gauge().caller_speaking = line % 2 == 0;
        scene.pass(3.0);
        scene.gauge().agent_speaking = false;
        scene.gauge().caller_speaking = false;
        scene.gauge().silence_ms = 12_000;
        scene.pass(12.0);
    }
    scene.assert_silent();
    scene.assert_cleared("help_request");
    // Handed back: what lies before is settled, what comes is the agent's again.
    scene.call.held_by = None;
    scene.pass(3.0);
    scene.assert_silent();
    scene.pass(2.0);
    assert!(scene.worst("dead_air").is_some());
}
