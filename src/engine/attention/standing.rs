//! The alerts that stand on one call, and when they rise, change and end. The hysteresis of every
//! detector is here: an alert rises at the first look that shows it (each detector has its own
//! time built in), never sinks in severity while it stands, and ends only after its condition has
//! been gone for [`CLEAR_AFTER`].

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::{Alert, Fact, Severity};

use super::signs::Finding;

/// A condition must be gone this long, four looks in a row, before its alert ends.
pub(super) const CLEAR_AFTER: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
struct Raised {
    rule: &'static str,
    severity: Severity,
    since: DateTime<Utc>,
    last_seen: Duration,
    /// What the card says, to report a change only when the words change.
    reason: String,
}

/// The alerts of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    raised: Vec<Raised>,
}

impl Standing {
    /// Whether this rule's alert stands: its figure then has to fall further than it had to rise.
    pub fn has(&self, rule: &str) -> bool {
        self.raised.iter().any(|raised| raised.rule == rule)
    }

    /// Compares what was found with what is raised: new and worse alerts are raised, alerts whose
    /// condition has been gone for a while are cleared.
    pub fn judge(&mut self, now: Duration, at: DateTime<Utc>, found: Vec<Finding>) -> Vec<Fact> {
        let mut facts: Vec<Fact> = found
            .into_iter()
            .filter_map(|finding| self.raise(now, at, finding))
            .map(|alert| Fact::AlertRaised { alert })
            .collect();
        self.raised.retain(|raised| {
            let is_over = now.saturating_sub(raised.last_seen) >= CLEAR_AFTER;
            if is_over {
                facts.push(Fact::AlertCleared {
                    rule: raised.rule.to_owned(),
                });
            }
            !is_over
        });
        facts
    }

    /// The alert as it is to be told, if it says something new.
    fn raise(&mut self, now: Duration, at: DateTime<Utc>, finding: Finding) -> Option<Alert> {
        let known = self
            .raised
            .iter_mut()
            .find(|raised| raised.rule == finding.rule);
        let (severity, since) = if let Some(raised) = known {
            raised.last_seen = now;
            // Severity never sinks while an alert stands; the count on the card moves in steps a
            // person would notice.
            let is_worse = finding.severity > raised.severity;
            if !is_worse && !notable(&raised.reason, &finding.reason) {
                return None;
            }
            raised.severity = raised.severity.max(finding.severity);
            raised.reason.clone_from(&finding.reason);
            (raised.severity, raised.since)
        } else {
            self.raised.push(Raised {
                rule: finding.rule,
                severity: finding.severity,
                since: at,
                last_seen: now,
                reason: finding.reason.clone(),
            });
            (finding.severity, at)
        };
        Some(Alert {
            rule: finding.rule.to_owned(),
            severity,
            reason: finding.reason,
            value: finding.value,
            threshold: finding.threshold,
            since,
            evidence: finding.evidence,
            acknowledged_by: None,
            snoozed_until: None,
        })
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
