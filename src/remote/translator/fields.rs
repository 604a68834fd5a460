//! Payload fields by any of their names: top level or inside `data`, cleaned of what may not be drawn.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::call::text::clean_label;
use crate::call::{AnsweredBy, Band, CallStatus, Quality, RecordingState};

/// One payload. `data`, where it is an object, comes before the top level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    outer: &'a Value,
    inner: Option<&'a Value>,
    hide_status: bool,
}

impl<'a> Fields<'a> {
    pub fn of(payload: &'a Value) -> Self {
        Self {
            outer: payload,
            inner: payload.get("data").filter(|data| data.is_object()),
            hide_status: false,
        }
    }

    /// The same without its status word, which in some events is not the call's.
    pub fn without_status(mut self) -> Self {
        self.hide_status = true;
        self
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        let present = |value: &&Value| !value.is_null();
        self.inner
            .and_then(|inner| inner.get(name))
            .filter(present)
            .or_else(|| self.outer.get(name).filter(present))
    }

    /// A text or number, cleaned; an empty one is none.
    pub fn text(&self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        let text = match value {
            Value::String(text) => clean_label(text.trim()).into_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    pub fn text_of(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    pub fn whole(&self, names: &[&str]) -> Option<u32> {
        names.iter().find_map(|name| {
            let value = self.get(name)?;
            let figure = value
                .as_f64()
                .or_else(|| value.as_str()?.trim().parse().ok())?;
            (figure.is_finite() && figure >= 0.0).then_some(figure as u32)
        })
    }

    pub fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.get(name)?.as_str()?;
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| at.with_timezone(&Utc))
    }

    pub fn sid(&self) -> Option<String> {
        // The outer one first: `data` of some events holds the id of something else.
        let outer = Self {
            inner: None,
            ..*self
        };
        let sid = outer
            .text("callSid")
            .or_else(|| outer.text("sid"))
            .or_else(|| self.text_of(&["callSid", "sid"]))?;
        (sid.len() <= 64).then_some(sid)
    }

    /// The call's status. Words of the family that are not one of ours say nothing.
    pub fn status(&self) -> Option<CallStatus> {
        if self.hide_status {
            return None;
        }
        let word = self.text("callStatus").or_else(|| self.text("status"))?;
        match word.as_str() {
            // A call on hold is still a call.
            "held" => Some(CallStatus::InProgress),
            word => CallStatus::parse(word),
        }
    }

    /// `unknown` is the family's word for "not asked yet".
    pub fn answered_by(&self) -> Option<AnsweredBy> {
        let word = self.text("answeredBy")?;
        let verdict = AnsweredBy::parse(&word);
        (verdict != AnsweredBy::Unknown).then_some(verdict)
    }
}

pub(super) fn recording_state(word: &str) -> Option<RecordingState> {
    match word {
        "started" => Some(RecordingState::Started),
        "in-progress" => Some(RecordingState::InProgress),
        "paused" => Some(RecordingState::Paused),
        "completed" => Some(RecordingState::Completed),
        "absent" => Some(RecordingState::Absent),
        "failed" => Some(RecordingState::Failed),
        _ => None,
    }
}

/// Figures under any of their names; none at all is no news (the family often sends an empty object).
pub(super) fn quality(fields: &Fields<'_>) -> Option<Quality> {
    let all = fields
        .get("metrics")
        .or_else(|| fields.get("qualityMetrics"));
    let holders = [
        all.and_then(|all| all.get("advanced")),
        all,
        Some(fields.outer),
        fields.inner,
    ];
    let figure = |names: &[&str]| {
        holders.iter().flatten().find_map(|holder| {
            names.iter().find_map(|name| {
                let value = holder.get(*name)?;
                let figure = value
                    .as_f64()
                    .or_else(|| value.as_str()?.trim().parse().ok())?;
                (figure.is_finite() && figure >= 0.0).then_some(figure as f32)
            })
        })
    };
    let jitter_ms = figure(&["jitter_ms", "jitterMs", "jitter"]);
    let gap_pct = figure(&["loss_pct", "lossPct", "packetLoss", "packet_loss"]);
    let rtt_ms = figure(&["rtt_ms", "rttMs", "rtt", "latency"]);
    let score = figure(&["mos"]);
    if jitter_ms.is_none() && gap_pct.is_none() && rtt_ms.is_none() && score.is_none() {
        return None;
    }
    let judged = |figure: Option<f32>, warn: f32, bad: f32| match figure {
        None => Band::Unknown,
        Some(figure) if figure > bad => Band::Bad,
        Some(figure) if figure >= warn => Band::Warn,
        Some(_) => Band::Good,
    };
    // A high score is good: judged by what is missing to the best.
    let bands = [
        judged(jitter_ms, 15.0, 30.0),
        judged(gap_pct, 1.0, 5.0),
        judged(rtt_ms, 200.0, 400.0),
        judged(score.map(|score| 5.0 - score), 1.000_1, 1.5),
    ];
    Some(Quality {
        band: bands.into_iter().max().unwrap_or_default(),
        bridge_score: score,
        jitter_ms,
        gap_pct,
        rtt_ms,
        // Whoever measured it, it was not a bridge of ours.
        source: "backend".to_owned(),
    })
}
