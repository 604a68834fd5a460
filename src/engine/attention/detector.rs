//! The detectors of one call: pure, deterministic, no model. `observe` looks at the call and its
//! gauge and says which alerts begin, change or end.
//!
//! Every alert has a raising and a (later) clearing condition, so that a figure which wavers around
//! its threshold does not flicker. Evidence is the numbers of the turns that show it.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::{AgentLink, Call, CallStatus, Fact, Gauge, LineBody, MediaLink, Severity, Track};

use super::signs::{
    Finding, agent_loop, dead_air, help_request, is_handed_over, is_held_by_human, last_turns,
    links, machine, over, over_with_ease, runaway, slow_turn, speech, tool_loop, watch_words,
};
use super::standing::Standing;
use super::thresholds::Thresholds;

/// Overlap is judged over this long.
const OVERLAP_WINDOW: Duration = Duration::from_secs(60);
/// Pauses up to this long belong to what the caller is saying.
const BREATH: Duration = Duration::from_millis(1500);
/// Quieter than this is silence on a leg, dBFS.
const SILENT_DBFS: f32 = -60.0;

/// Detector state of one call.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    standing: Standing,
    answered_at: Option<Duration>,
    /// When a human last had the floor, and the newest turn then.
    held_until: Option<(Duration, u32)>,
    agent_was_heard: bool,
    /// How long the caller has been waiting for the agent's first word, seconds.
    first_word_waited: Option<f64>,
    silent_queue_since: Option<Duration>,
    caller: CallerSpeech,
    overlap_since: Option<Duration>,
    overlaps: VecDeque<(Duration, bool)>,
    noisy_since: Option<Duration>,
    life: Option<Life>,
    quiet_since: Option<Duration>,
    transfer_since: Option<(String, Duration)>,
    interruptions: u32,
}

/// What the caller is saying, or has said and got no answer to.
#[derive(Clone, Debug, Default)]
struct CallerSpeech {
    spoke: Duration,
    looked_at: Option<Duration>,
    /// When the caller was last heard.
    until: Option<Duration>,
    /// The transcript's length and last words when the caller began.
    before: (usize, usize),
}

/// What changes when anything is heard of a call from outside: alerts of our own do not count.
type Life = (
    CallStatus,
    MediaLink,
    AgentLink,
    usize,
    Option<String>,
    usize,
);

impl Detector {
    /// Looks at a call; `now` is monotonic, `at` the wall clock for `since`. Call it about twice a
    /// second. Returns `AlertRaised` and `AlertCleared` facts.
    pub fn observe(
        &mut self,
        now: Duration,
        at: DateTime<Utc>,
        call: &Call,
        gauge: Option<&Gauge>,
        limits: &Thresholds,
    ) -> Vec<Fact> {
        if !call.is_live() {
            return Vec::new();
        }
        self.note_progress(now, call, gauge);
        let mut found = Vec::new();
        self.first_word_waited = None;
        if call.status == CallStatus::InProgress {
            if is_held_by_human(call) {
                self.rest();
            } else {
                self.judge_agent(now, at, call, gauge, limits, &mut found);
            }
            found.extend(watch_words(call, limits));
            found.extend(runaway(at, call, limits));
            if let Some(gauge) = gauge {
                found.extend(self.noise(now, call, gauge, limits));
            }
            found.extend(links(call));
        }
        found.extend(self.stuck_transfer(now, call, limits));
        found.extend(self.ghost(now, call, gauge, limits));
        found.retain(|finding| limits.is_on(finding.rule));
        self.standing.judge(now, at, found)
    }

    /// What is the agent's doing.
    fn judge_agent(
        &mut self,
        now: Duration,
        at: DateTime<Utc>,
        call: &Call,
        gauge: Option<&Gauge>,
        limits: &Thresholds,
        found: &mut Vec<Finding>,
    ) {
        let held_until = self.held_until.map(|(at, _)| at);
        let settled = self.held_until.map(|(_, turn)| turn);
        found.extend(agent_loop(at, call, limits));
        found.extend(tool_loop(at, call, limits, settled));
        found.extend(self.first_audio(now, call, limits));
        found.extend(slow_turn(call, limits, self.standing.has("slow_turn")));
        found.extend(machine(call, gauge));
        found.extend(help_request(call, limits, settled));
        if let Some(gauge) = gauge {
            let agent_has = held_until.map(|at| now.saturating_sub(at));
            found.extend(self.phantom(now, call, gauge, limits));
            found.extend(dead_air(call, gauge, limits, agent_has));
            found.extend(self.deaf(now, call, gauge, limits));
            found.extend(self.talk_over(now, call, gauge, limits));
        }
    }

    /// A human has the floor: what was being timed begins anew when the agent gets it back.
    fn rest(&mut self) {
        self.silent_queue_since = None;
        self.caller = CallerSpeech::default();
        self.overlap_since = None;
        self.overlaps.clear();
    }

    /// Whether the caller has waited for the agent's first word for so long that the call is to be
    /// ended, if the operator wants that; how long they waited, seconds.
    pub fn is_hopeless(&self, limits: &Thresholds) -> Option<f64> {
        let waited = self.first_word_waited?;
        let end = limits.no_first_audio_end_s?;
        (waited >= end).then_some(waited)
    }

    fn note_progress(&mut self, now: Duration, call: &Call, gauge: Option<&Gauge>) {
        if call.answered_at.is_some() && self.answered_at.is_none() {
            self.answered_at = Some(now);
        }
        let audible = gauge
            .and_then(|gauge| gauge.level_out_dbfs)
            .is_some_and(|db| db > SILENT_DBFS);
        let spoke = call
            .lines
            .iter()
            .any(|line| speech(line, Track::FromAgent).is_some());
        self.agent_was_heard |= audible || (gauge.is_none() && spoke);
        if is_held_by_human(call) {
            let newest = call.lines.last().map_or(0, |line| line.turn);
            self.held_until = Some((now, newest));
        }
    }

    fn first_audio(&mut self, now: Duration, call: &Call, limits: &Thresholds) -> Option<Finding> {
        let expected = matches!(
            call.agent_link,
            AgentLink::Connecting | AgentLink::Connected
        ) && call.media_link == MediaLink::Up;
        if self.agent_was_heard || !expected || is_handed_over(call) {
            return None;
        }
        let held_until = self.held_until.map(|(at, _)| at);
        let since = self.answered_at?.max(held_until.unwrap_or_default());
        let waited = now.saturating_sub(since).as_secs_f64();
        self.first_word_waited = Some(waited);
        over(waited, limits.no_first_audio_s).map(|(severity, threshold)| Finding {
            rule: "no_first_audio",
            severity,
            reason: format!("no greeting {waited:.0} s"),
            value: waited,
            threshold,
            evidence: Vec::new(),
        })
    }

    fn phantom(
        &mut self,
        now: Duration,
        call: &Call,
        gauge: &Gauge,
        limits: &Thresholds,
    ) -> Option<Finding> {
        let silent = gauge.level_out_dbfs.is_some_and(|db| db < SILENT_DBFS);
        let claims = gauge.agent_speaking || gauge.buffer_ms.is_some_and(|ms| ms > 0);
        let since = mark_since(&mut self.silent_queue_since, claims && silent, now)?;
        let lasted = now.saturating_sub(since).as_secs_f64();
        (lasted >= limits.phantom_speaking_s).then(|| Finding {
            rule: "phantom_speaking",
            severity: Severity::Critical,
            reason: "speaks without sound".into(),
            value: lasted,
            threshold: limits.phantom_speaking_s,
            evidence: last_turns(call, 1),
        })
    }

    /// The caller spoke, and neither a transcript nor a reply came of it.
    fn deaf(
        &mut self,
        now: Duration,
        call: &Call,
        gauge: &Gauge,
        limits: &Thresholds,
    ) -> Option<Finding> {
        let words = transcript_length(call);
        if gauge.agent_speaking || is_handed_over(call) {
            self.caller = CallerSpeech::default();
            return None;
        }
        let caller = &mut self.caller;
        let since = caller
            .looked_at
            .replace(now)
            .map_or(Duration::ZERO, |at| now.saturating_sub(at));
        let gap = caller.until.map(|until| now.saturating_sub(until));
        if gauge.caller_speaking {
            if gap.is_none_or(|gap| gap > BREATH)
                && caller.spoke.as_secs_f64() < limits.deaf_agent_speech_s
            {
                // A new thing to say; what was said before was too short to wait for an answer to.
                caller.spoke = Duration::ZERO;
                caller.before = words;
            }
            caller.spoke += since;
            caller.until = Some(now);
        }
        if words != caller.before {
            *caller = CallerSpeech {
                looked_at: Some(now),
                before: words,
                ..CallerSpeech::default()
            };
            return None;
        }
        if gauge.caller_speaking || caller.spoke.as_secs_f64() < limits.deaf_agent_speech_s {
            return None;
        }
        let waited = gap?.as_secs_f64();
        (waited >= limits.deaf_agent_wait_s).then(|| Finding {
            rule: "deaf_agent",
            severity: Severity::Critical,
            reason: format!("caller unheard {waited:.0} s"),
            value: waited,
            threshold: limits.deaf_agent_wait_s,
            evidence: last_turns(call, 1),
        })
    }

    fn talk_over(
        &mut self,
        now: Duration,
        call: &Call,
        gauge: &Gauge,
        limits: &Thresholds,
    ) -> Vec<Finding> {
        let both = gauge.caller_speaking && gauge.agent_speaking;
        self.overlaps.push_back((now, both));
        while self
            .overlaps
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) > OVERLAP_WINDOW)
        {
            self.overlaps.pop_front();
        }
        let mut found = Vec::new();
        let full_window = self
            .overlaps
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) >= OVERLAP_WINDOW / 3);
        let share = self.overlaps.iter().filter(|(_, both)| *both).count() as f64
            / self.overlaps.len().max(1) as f64;
        let stands = self.standing.has("talk_over");
        let found_share = over_with_ease(share, limits.talk_over_share, stands);
        if let (true, Some((severity, threshold))) = (full_window, found_share) {
            found.push(Finding {
                rule: "talk_over",
                severity,
                reason: format!("talk over {:.0} %", share * 100.0),
                value: share,
                threshold,
                evidence: last_turns(call, 3),
            });
        }
        let was_cleared = call.interruptions != self.interruptions;
        self.interruptions = call.interruptions;
        let since = mark_since(&mut self.overlap_since, both && !was_cleared, now);
        if let Some(since) = since {
            let lasted = now.saturating_sub(since).as_secs_f64();
            if lasted > limits.barge_in_ignored_s {
                found.push(Finding {
                    rule: "barge_in_ignored",
                    severity: Severity::Warn,
                    reason: "caller cannot interrupt".into(),
                    value: lasted,
                    threshold: limits.barge_in_ignored_s,
                    evidence: last_turns(call, 1),
                });
            }
        }
        found
    }

    fn noise(
        &mut self,
        now: Duration,
        call: &Call,
        gauge: &Gauge,
        limits: &Thresholds,
    ) -> Option<Finding> {
        let crossings = gauge.crossings_out.unwrap_or(0.0);
        let loud = gauge.level_out_dbfs.is_some_and(|db| db > -40.0);
        let noisy = loud && f64::from(crossings) >= limits.codec_noise_crossings;
        let since = mark_since(&mut self.noisy_since, noisy, now)?;
        (now.saturating_sub(since) > Duration::from_secs(1)).then(|| Finding {
            rule: "codec_noise",
            severity: Severity::Critical,
            reason: "agent is noise".into(),
            value: f64::from(crossings),
            threshold: limits.codec_noise_crossings,
            evidence: last_turns(call, 1),
        })
    }

    fn stuck_transfer(
        &mut self,
        now: Duration,
        call: &Call,
        limits: &Thresholds,
    ) -> Option<Finding> {
        let waiting = call
            .transfer
            .as_ref()
            .filter(|transfer| matches!(transfer.state.as_str(), "requested" | "ringing"));
        let Some(transfer) = waiting else {
            self.transfer_since = None;
            return None;
        };
        let (to, since) = self
            .transfer_since
            .get_or_insert_with(|| (transfer.to.clone(), now));
        if *to != transfer.to {
            (*to, *since) = (transfer.to.clone(), now);
        }
        let waited = now.saturating_sub(*since).as_secs_f64();
        (waited >= limits.transfer_stuck_s).then(|| Finding {
            rule: "transfer_stuck",
            severity: Severity::Critical,
            reason: format!("transfer stuck {waited:.0} s"),
            value: waited,
            threshold: limits.transfer_stuck_s,
            evidence: last_turns(call, 1),
        })
    }

    fn ghost(
        &mut self,
        now: Duration,
        call: &Call,
        gauge: Option<&Gauge>,
        limits: &Thresholds,
    ) -> Option<Finding> {
        let life = (
            call.status,
            call.media_link,
            call.agent_link,
            call.lines.len() + call.lines_dropped as usize,
            call.stream_id.clone(),
            call.recordings.len(),
        );
        if self.life.as_ref() != Some(&life) {
            self.life = Some(life);
            self.quiet_since = None;
        }
        // Of a caller who was handed over the carrier has nothing to tell until the end.
        let silent = gauge.is_none() && call.media_link != MediaLink::Up && !is_handed_over(call);
        let since = mark_since(&mut self.quiet_since, silent, now)?;
        let waited = now.saturating_sub(since).as_secs_f64();
        (waited >= limits.ghost_s).then(|| Finding {
            rule: "ghost_call",
            severity: Severity::Warn,
            reason: format!("no sign {waited:.0} s"),
            value: waited,
            threshold: limits.ghost_s,
            evidence: Vec::new(),
        })
    }
}

/// Lines of the transcript, and characters of the newest one, which may still grow.
fn transcript_length(call: &Call) -> (usize, usize) {
    let newest = call.lines.last().map_or(0, |line| match &line.body {
        LineBody::Speech { text, .. } => text.len(),
        LineBody::Tool { .. } | LineBody::Mark { .. } => 0,
    });
    (call.lines.len() + call.lines_dropped as usize, newest)
}

fn mark_since(slot: &mut Option<Duration>, condition: bool, now: Duration) -> Option<Duration> {
    if condition {
        Some(*slot.get_or_insert(now))
    } else {
        *slot = None;
        None
    }
}
