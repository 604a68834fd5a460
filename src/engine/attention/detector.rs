//! The detectors of one call: pure, deterministic, no model. `observe` looks at the call and its
//! gauge and says which alerts begin, change or end.
//!
//! Every alert has a raising and a (later) clearing condition, so that a figure which wavers around
//! its threshold does not flicker. Evidence is the numbers of the turns that show it.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::{AgentLink, Alert, Call, CallStatus, Fact, Gauge, MediaLink, Severity, Track};

use super::signs::{
    Finding, agent_loop, dead_air, help_request, last_turns, links, machine, over, runaway,
    slow_turn, speech, tool_loop, watch_words,
};
use super::thresholds::Thresholds;

/// Overlap is judged over this long.
const OVERLAP_WINDOW: Duration = Duration::from_secs(60);
/// A condition must be gone this long before its alert ends.
const CLEAR_AFTER: Duration = Duration::from_secs(2);
/// Quieter than this is silence on a leg, dBFS.
const SILENT_DBFS: f32 = -60.0;

#[derive(Clone, Debug)]
struct Raised {
    rule: &'static str,
    severity: Severity,
    since: DateTime<Utc>,
    last_seen: Duration,
    /// What the card says, to report a change only when the words change.
    reason: String,
}

/// Detector state of one call.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    raised: Vec<Raised>,
    answered_at: Option<Duration>,
    agent_was_heard: bool,
    silent_queue_since: Option<Duration>,
    caller_since: Option<Duration>,
    caller_stopped: Option<(Duration, Duration)>,
    overlap_since: Option<Duration>,
    overlaps: VecDeque<(Duration, bool)>,
    noisy_since: Option<Duration>,
    lines_seen: usize,
    last_seq: u64,
    quiet_since: Option<Duration>,
    transfer_since: Option<(String, Duration)>,
    interruptions: u32,
}

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
        if call.status == CallStatus::InProgress {
            found.extend(agent_loop(at, call, limits));
            found.extend(tool_loop(at, call, limits));
            found.extend(self.first_audio(now, call, limits));
            found.extend(slow_turn(call, limits));
            found.extend(machine(call, gauge));
            found.extend(watch_words(call, limits));
            found.extend(help_request(call, limits));
            found.extend(runaway(at, call, limits));
            if let Some(gauge) = gauge {
                found.extend(self.phantom(now, gauge, limits));
                found.extend(dead_air(gauge, limits));
                found.extend(self.deaf(now, call, gauge, limits));
                found.extend(self.talk_over(now, call, gauge, limits));
                found.extend(self.noise(now, gauge, limits));
            }
            found.extend(links(call));
        }
        found.extend(self.stuck_transfer(now, call, limits));
        found.extend(self.ghost(now, call, gauge, limits));
        found.retain(|finding| limits.is_on(finding.rule));
        self.judge(now, at, found)
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
    }

    fn first_audio(&self, now: Duration, call: &Call, limits: &Thresholds) -> Option<Finding> {
        let expected = matches!(
            call.agent_link,
            AgentLink::Connecting | AgentLink::Connected
        ) && call.media_link == MediaLink::Up;
        if self.agent_was_heard || !expected {
            return None;
        }
        let waited = now.saturating_sub(self.answered_at?).as_secs_f64();
        over(waited, limits.no_first_audio_s).map(|(severity, threshold)| Finding {
            rule: "no_first_audio",
            severity,
            reason: format!("no greeting {waited:.0} s"),
            value: waited,
            threshold,
            evidence: Vec::new(),
        })
    }

    fn phantom(&mut self, now: Duration, gauge: &Gauge, limits: &Thresholds) -> Option<Finding> {
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
            evidence: Vec::new(),
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
        if gauge.caller_speaking {
            self.caller_since.get_or_insert(now);
        } else if let Some(since) = self.caller_since.take() {
            let spoke = now.saturating_sub(since);
            if spoke.as_secs_f64() >= limits.deaf_agent_speech_s {
                self.caller_stopped = Some((now, spoke));
                self.lines_seen = call.lines.len() + call.lines_dropped as usize;
            }
        }
        let lines = call.lines.len() + call.lines_dropped as usize;
        if lines > self.lines_seen || gauge.agent_speaking {
            self.caller_stopped = None;
        }
        let (stopped, _) = self.caller_stopped?;
        let waited = now.saturating_sub(stopped).as_secs_f64();
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
        if let (true, Some((severity, threshold))) =
            (full_window, over(share, limits.talk_over_share))
        {
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

    fn noise(&mut self, now: Duration, gauge: &Gauge, limits: &Thresholds) -> Option<Finding> {
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
            evidence: Vec::new(),
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
            evidence: Vec::new(),
        })
    }

    fn ghost(
        &mut self,
        now: Duration,
        call: &Call,
        gauge: Option<&Gauge>,
        limits: &Thresholds,
    ) -> Option<Finding> {
        let silent = gauge.is_none() && call.media_link != MediaLink::Up;
        if call.seq != self.last_seq
            && !self.raised.iter().any(|raised| raised.rule == "ghost_call")
        {
            self.last_seq = call.seq;
            self.quiet_since = None;
        }
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

    /// Compares what was found with what is raised: new and worse alerts are raised, alerts whose
    /// condition has been gone for a while are cleared.
    fn judge(&mut self, now: Duration, at: DateTime<Utc>, found: Vec<Finding>) -> Vec<Fact> {
        let mut facts = Vec::new();
        for finding in found {
            let known = self
                .raised
                .iter_mut()
                .find(|raised| raised.rule == finding.rule);
            let since = known.as_ref().map_or(at, |raised| raised.since);
            let news = if let Some(raised) = known {
                raised.last_seen = now;
                // Severity never sinks while an alert stands; the count on the card moves in
                // steps a person would notice.
                let worse = finding.severity > raised.severity;
                let words = notable(&raised.reason, &finding.reason);
                if worse || words {
                    raised.severity = raised.severity.max(finding.severity);
                    raised.reason.clone_from(&finding.reason);
                }
                (worse || words).then_some(raised.severity)
            } else {
                self.raised.push(Raised {
                    rule: finding.rule,
                    severity: finding.severity,
                    since: at,
                    last_seen: now,
                    reason: finding.reason.clone(),
                });
                Some(finding.severity)
            };
            if let Some(severity) = news {
                facts.push(Fact::AlertRaised {
                    alert: Alert {
                        rule: finding.rule.to_owned(),
                        severity,
                        reason: finding.reason,
                        value: finding.value,
                        threshold: finding.threshold,
                        since,
                        evidence: finding.evidence,
                        acknowledged_by: None,
                        snoozed_until: None,
                    },
                });
            }
        }
        self.raised.retain(|raised| {
            let over = now.saturating_sub(raised.last_seen) >= CLEAR_AFTER;
            if over {
                facts.push(Fact::AlertCleared {
                    rule: raised.rule.to_owned(),
                });
            }
            !over
        });
        facts
    }
}

/// Whether a changed reason is worth an event: other words, or a number that grew by a fifth.
fn notable(old: &str, new: &str) -> bool {
    let number = |text: &str| {
        text.split(|c: char| !c.is_ascii_digit())
            .rfind(|part| !part.is_empty())?
            .parse::<u32>()
            .ok()
    };
    let words = |text: &str| {
        text.chars()
            .filter(|c| c.is_alphabetic())
            .collect::<String>()
    };
    if words(old) != words(new) {
        return true;
    }
    match (number(old), number(new)) {
        (Some(old), Some(new)) => new >= old + old.div_ceil(5).max(5),
        _ => false,
    }
}

fn mark_since(slot: &mut Option<Duration>, condition: bool, now: Duration) -> Option<Duration> {
    if condition {
        Some(*slot.get_or_insert(now))
    } else {
        *slot = None;
        None
    }
}
