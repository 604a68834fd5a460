//! The note for the next shift, drafted: what goes on, what is open, what was silenced and until when,
//! and what the past calls that are listed came to. Counts, reasons, flags and ids; no number, no
//! caller's name, no word of a transcript.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, FixedOffset, Utc};

use crate::call::text::clean_label;
use crate::call::{Alert, Call, percentile};

use super::order::is_open;
use super::words::{agent_name, duration, seconds};

/// Past calls named one by one.
const NAMED_MAX: usize = 20;

/// What a note is drafted from.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    pub user: &'a str,
    pub backend: &'a str,
    pub live: &'a [&'a Call],
    pub past: &'a [&'a Call],
    /// What was asked of the past; empty: everything.
    pub query: &'a str,
    pub now: DateTime<Utc>,
    pub zone: FixedOffset,
}

impl Handover<'_> {
    pub fn file_name(&self) -> String {
        let at = self.now.with_timezone(&self.zone);
        format!("handover-{}.md", at.format("%Y%m%d-%H%M%S"))
    }

    /// The draft, in Markdown.
    pub fn draft(&self) -> String {
        let at = self.now.with_timezone(&self.zone);
        let mut out = format!(
            "# Hand-over, {} {}\n\nby {}\n\n## Now\n\n- {} live calls\n",
            clean_label(self.backend),
            at.format("%Y-%m-%d %H:%M"),
            clean_label(self.user),
            self.live.len(),
        );
        self.claims(&mut out);
        let alerts = self
            .live
            .iter()
            .flat_map(|call| call.alerts.iter().map(|alert| (*call, alert)));
        let (open, rest): (Vec<_>, Vec<_>) =
            alerts.partition(|(_, alert)| is_open(alert, self.now));
        self.alerts(&mut out, "Open alerts", &open);
        self.alerts(&mut out, "Seen or silenced", &rest);
        self.past(&mut out);
        out.push_str("\n## To be done\n\n- \n");
        out
    }

    fn claims(&self, out: &mut String) {
        for call in self.live {
            if let Some(by) = call.held_by.as_deref().or(call.claimed_by.as_deref()) {
                let _ = writeln!(out, "- {} is with {}", name(call), clean_label(by));
            }
        }
    }

    fn alerts(&self, out: &mut String, title: &str, alerts: &[(&Call, &Alert)]) {
        let _ = write!(out, "\n## {title}\n\n");
        if alerts.is_empty() {
            out.push_str("none\n");
        }
        for (call, alert) in alerts {
            let _ = write!(out, "- {}: {}", name(call), clean_label(&alert.reason));
            if let Some(by) = &alert.acknowledged_by {
                let _ = write!(out, ", seen by {}", clean_label(by));
            }
            if let Some(until) = alert.snoozed_until.filter(|until| *until > self.now) {
                let until = until.with_timezone(&self.zone);
                let _ = write!(out, ", silenced until {}", until.format("%H:%M"));
            }
            out.push('\n');
        }
    }

    fn past(&self, out: &mut String) {
        let asked = match self.query {
            "" => "all that are listed".to_owned(),
            query => format!("`{}`", clean_label(query).replace('`', "'")),
        };
        let _ = write!(out, "\n## Past calls ({asked})\n\n");
        if self.past.is_empty() {
            out.push_str("none were looked up; the history page lists them\n");
            return;
        }
        let turns = || {
            self.past
                .iter()
                .flat_map(|call| call.turns.iter().map(|turn| turn.latency_ms))
        };
        let words = |ms: Option<u32>| ms.map_or_else(|| "–".to_owned(), seconds);
        let talked: u32 = self.past.iter().map(|call| call.elapsed_s(self.now)).sum();
        let _ = writeln!(
            out,
            "- {} calls, {} together; turns p50 {}, p95 {}",
            self.past.len(),
            duration(talked),
            words(percentile(turns(), 50)),
            words(percentile(turns(), 95)),
        );
        for (what, count) in self.counted() {
            let _ = writeln!(out, "- {what}: {count}");
        }
        let noted = self.past.iter().filter(|call| !call.flags.is_empty());
        for call in noted.take(NAMED_MAX) {
            let flags: Vec<String> = call
                .flags
                .iter()
                .map(|flag| format!("#{}", clean_label(flag)))
                .collect();
            let _ = writeln!(out, "- {}: {}", name(call), flags.join(" "));
        }
    }

    /// How many of the past calls had what wrong with them.
    fn counted(&self) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for call in self.past {
            let past = call.past_alerts.iter().map(|past| &past.alert);
            let mut rules: Vec<&str> = past
                .chain(&call.alerts)
                .map(|alert| alert.rule.as_str())
                .collect();
            rules.sort_unstable();
            rules.dedup();
            for rule in rules {
                *counted
                    .entry(clean_label(rule).replace('_', " "))
                    .or_default() += 1;
            }
        }
        counted
    }
}

/// A call by what anybody may know of it.
fn name(call: &Call) -> String {
    format!("{} ({})", call.id, clean_label(&agent_name(call)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::sample;

    #[test]
    fn a_draft_counts_and_names_without_a_number_or_a_callers_name() {
        let now = sample::now();
        let mut calls = sample::calls(now);
        calls[1].alerts[0].snoozed_until = Some(now + chrono::TimeDelta::minutes(10));
        let live: Vec<&Call> = calls.iter().filter(|call| call.is_live()).collect();
        let past: Vec<&Call> = calls.iter().collect();
        let note = Handover {
            user: "ana",
            backend: "prod\u{1b}[2J-eu",
            live: &live,
            past: &past,
            query: "flag:*",
            now,
            zone: chrono::Offset::fix(&Utc),
        };
        let text = note.draft();
        for part in [
            "10 live calls",
            "is with ben",
            "loop ×3, 41 s",
            "dead air 9 s, silenced until",
            "(`flag:*`)",
            "13 calls",
            "agent loop: 1",
            "#hallucination",
            "## To be done",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for part in ["Maria", "415", "refund", "\u{1b}"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }
}
