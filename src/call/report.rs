//! A call as programs read it: one flat object whose keys are never absent (contract A2, "CLI
//! JSON"). The API and the command line print exactly this.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::text::mask_number;
use super::{
    AgentLink, AnsweredBy, Call, CallId, CallStatus, Direction, LineBody, MediaLink, Recording,
    Severity, Track,
};

/// Whether numbers are shown whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    Masked,
    Whole,
}

impl Numbers {
    /// `Whole` for whoever may unmask.
    pub fn for_unmask(allowed: bool) -> Self {
        if allowed { Self::Whole } else { Self::Masked }
    }

    pub fn show(self, number: &str) -> String {
        match self {
            Self::Masked => mask_number(number),
            Self::Whole => number.to_owned(),
        }
    }
}

/// One call. `null` means unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallReport {
    pub id: CallId,
    pub carrier: String,
    pub carrier_call_id: Option<String>,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub name: Option<String>,
    pub lead_id: Option<String>,
    pub agent: Option<String>,
    pub agent_link: AgentLink,
    pub media_link: MediaLink,
    pub status: CallStatus,
    pub started_at: DateTime<Utc>,
    pub answered_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Seconds since the answer, or the carrier's figure once it is known; `null` before.
    pub duration_s: Option<u32>,
    pub answered_by: Option<AnsweredBy>,
    /// The bridge's own score, 1.0 to 4.5.
    pub score: Option<f32>,
    pub turn_p50_ms: Option<u32>,
    pub turn_p95_ms: Option<u32>,
    pub alerts: Vec<AlertReport>,
    /// Names of who listens.
    pub listeners: Vec<String>,
    /// The running recording or the newest one.
    pub recording: Option<Recording>,
    /// How an ended call came out: `transferred`, `voicemail`, `answered`, or its last status.
    pub disposition: Option<String>,
    pub ended_by: Option<String>,
    pub end_cause: Option<String>,
    pub cost_usd: Option<f64>,
}

/// An alert that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertReport {
    pub rule: String,
    pub severity: Severity,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UtteranceReport {
    pub turn: u32,
    pub track: Track,
    pub text: String,
    pub at: DateTime<Utc>,
    pub latency_ms: Option<u32>,
    /// Where the caller cut it off, in milliseconds of its own audio.
    pub cut_at_ms: Option<u32>,
}

impl CallReport {
    /// Reports a call as it stands at `now`.
    pub fn of(call: &Call, numbers: Numbers, now: DateTime<Utc>) -> Self {
        let facts = &call.facts;
        Self {
            id: call.id,
            carrier: facts.carrier.clone(),
            carrier_call_id: facts.carrier_call_id.clone(),
            direction: facts.direction,
            from: numbers.show(&facts.from),
            to: numbers.show(&facts.to),
            name: facts.name.clone(),
            lead_id: facts.lead_id.clone(),
            agent: facts.agent.clone(),
            agent_link: call.agent_link,
            media_link: call.media_link,
            status: call.status,
            started_at: call.started_at,
            answered_at: call.answered_at,
            ended_at: call.ended_at,
            duration_s: duration_s(call, now),
            answered_by: call.answered_by,
            score: call
                .quality
                .as_ref()
                .and_then(|quality| quality.bridge_score),
            turn_p50_ms: call.turn_percentile(50),
            turn_p95_ms: call.turn_percentile(95),
            alerts: call
                .alerts
                .iter()
                .map(|alert| AlertReport {
                    rule: alert.rule.clone(),
                    severity: alert.severity,
                })
                .collect(),
            listeners: call
                .listeners
                .iter()
                .map(|listener| listener.by.clone())
                .collect(),
            recording: call.recording().cloned(),
            disposition: disposition(call),
            ended_by: call.ended_by.clone(),
            end_cause: call.end_cause.clone(),
            cost_usd: call.cost_usd,
        }
    }
}

/// Everything said on a call, in order, interim words included.
pub fn utterances(call: &Call) -> Vec<UtteranceReport> {
    call.lines
        .iter()
        .filter_map(|line| match &line.body {
            LineBody::Speech {
                track,
                text,
                latency_ms,
                cut,
                ..
            } => Some(UtteranceReport {
                turn: line.turn,
                track: *track,
                text: text.clone(),
                at: line.at,
                latency_ms: *latency_ms,
                cut_at_ms: cut.as_ref().map(|cut| cut.cut_at_ms),
            }),
            _ => None,
        })
        .collect()
}

fn duration_s(call: &Call, now: DateTime<Utc>) -> Option<u32> {
    call.duration_s
        .or_else(|| call.answered_at.map(|_| call.elapsed_s(now)))
}

fn disposition(call: &Call) -> Option<String> {
    if call.is_live() {
        return None;
    }
    let transferred = call
        .transfer
        .as_ref()
        .is_some_and(|transfer| transfer.state == "connected");
    let word = if transferred {
        "transferred"
    } else if call.answered_by.is_some_and(AnsweredBy::is_machine) {
        "voicemail"
    } else if call.status == CallStatus::Completed {
        "answered"
    } else {
        call.status.as_str()
    };
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallFacts, Transfer};

    const KEYS: &str = "id,carrier,carrier_call_id,direction,from,to,name,lead_id,agent,agent_link,media_link,status,started_at,answered_at,ended_at,duration_s,answered_by,score,turn_p50_ms,turn_p95_ms,alerts,listeners,recording,disposition,ended_by,end_cause,cost_usd";

    fn call(status: CallStatus) -> Call {
        let facts = CallFacts {
            from: "+14155550134".into(),
            ..CallFacts::default()
        };
        let at = "2026-11-21T04:00:00Z".parse().unwrap();
        Call::new(CallId::from_parts(1, [0; 10]), facts, status, at)
    }

    #[test]
    fn keys_are_the_published_ones_and_never_absent() {
        let call = call(CallStatus::Ringing);
        let report = CallReport::of(&call, Numbers::Masked, call.started_at);
        let value = serde_json::to_value(&report).unwrap();
        let mut keys: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut wanted: Vec<&str> = KEYS.split(',').collect();
        keys.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(keys, wanted);
        assert_eq!(value["from"], "+1 415 ••• 0134");
        assert_eq!(value["duration_s"], serde_json::Value::Null);
        let back: CallReport = serde_json::from_value(value).unwrap();
        assert_eq!(back, report);
    }

    #[test]
    fn an_ended_call_says_how_it_came_out() {
        let mut voicemail = call(CallStatus::Completed);
        voicemail.answered_by = Some(AnsweredBy::MachineEndBeep);
        let mut transferred = call(CallStatus::Completed);
        transferred.transfer = Some(Transfer {
            to: "+1".into(),
            state: "connected".into(),
            reason: None,
        });
        let rows = [
            (call(CallStatus::InProgress), None),
            (call(CallStatus::Completed), Some("answered")),
            (call(CallStatus::NoAnswer), Some("no-answer")),
            (voicemail, Some("voicemail")),
            (transferred, Some("transferred")),
        ];
        for (call, expected) in rows {
            assert_eq!(disposition(&call).as_deref(), expected);
        }
    }
}
