//! What is said about one call on card and row alike: the headline where the eye lands, badges, who.

use std::borrow::Cow;

use ratatui::style::Style;

use crate::call::{AgentLink, Call, CallStatus, PendingState, RecordingState, Track};
use crate::ui::keymap::Act;
use crate::ui::model::{Model, Readings};
use crate::ui::order::Rank;
use crate::ui::pen::{Pen, Seg};
use crate::ui::theme::Role;
use crate::ui::update::{agent_is_paused, shown_number};
use crate::ui::words::{action_words, agent_name, arrow, spark};

/// Silence is worth a word from here on, milliseconds.
const SILENT_FROM_MS: u32 = 3_000;

/// Glyph, words and role of the place where the eye lands.
pub(super) struct Headline<'a> {
    pub glyph: &'static str,
    pub text: Cow<'a, str>,
    pub role: Role,
}

/// What matters most about a call now: what the operator waits for, why it needs somebody, or who
/// is talking.
pub(super) fn headline<'a>(model: &'a Model, call: &'a Call) -> Headline<'a> {
    if let Some(line) = pending(model, call) {
        return line;
    }
    if let Some(by) = call.held_by.as_deref() {
        let text = if by == model.user() {
            format!("you speak · {} back", model.key(Act::HandBack))
        } else {
            format!("{} speaks", crate::call::text::clean_label(by))
        };
        return Headline {
            glyph: "◆",
            text: Cow::Owned(text),
            role: Role::Operator,
        };
    }
    let need = model.need(call);
    if let Some(reason) = need.reason {
        let role = if need.rank == Rank::Critical {
            Role::Bad
        } else {
            Role::Warn
        };
        let text = match reason {
            Cow::Borrowed(reason) => crate::call::text::clean_label(reason),
            Cow::Owned(reason) => Cow::Owned(crate::call::text::clean_label(&reason).into_owned()),
        };
        return Headline {
            glyph: "▲",
            text,
            role,
        };
    }
    let plain = |glyph, text, role| Headline {
        glyph,
        text: Cow::Borrowed(text),
        role,
    };
    if call.status != CallStatus::InProgress {
        return plain("", "", Role::Dim);
    }
    if let Some((words, role)) = agent_link(call) {
        return plain("◌", words, role);
    }
    if agent_is_paused(call) {
        return plain("○", "agent paused", Role::Warn);
    }
    let Some(gauge) = model.readings.get(&call.id).map(|readings| &readings.gauge) else {
        return plain("●", "in call", Role::Good);
    };
    match (gauge.caller_speaking, gauge.agent_speaking) {
        (true, true) => plain("●", "both talking", Role::Good),
        (true, false) => plain("●", "caller talking", Role::Good),
        (false, true) => plain("●", "agent talking", Role::Good),
        (false, false) if gauge.silence_ms >= SILENT_FROM_MS => Headline {
            glyph: "○",
            text: Cow::Owned(format!("silent {} s", gauge.silence_ms / 1000)),
            role: Role::Dim,
        },
        (false, false) => plain("●", "in call", Role::Good),
    }
}

/// What the operator asked for on this call and is not told yet.
fn pending<'a>(model: &'a Model, call: &Call) -> Option<Headline<'a>> {
    let entry = model.pending.of_call(call.id).last()?;
    let (infinitive, doing) = action_words(&entry.action);
    let (glyph, text, role) = match &entry.state {
        PendingState::Grace { until } => {
            let left = until
                .saturating_sub(model.now.mono)
                .as_millis()
                .div_ceil(1000);
            let undo = model.key(crate::ui::keymap::Act::Undo);
            (
                "◌",
                format!("{doing} in {left} s · {undo} undo"),
                Role::Warn,
            )
        }
        PendingState::Sent | PendingState::Accepted => ("◌", format!("{doing}…"), Role::Warn),
        PendingState::Done if !call.is_live() => return None,
        PendingState::Done => ("✓", format!("{infinitive}: done"), Role::Good),
        PendingState::Refused(refusal) => (
            "✗",
            format!("{infinitive} refused: {}", refusal.message),
            Role::Bad,
        ),
        PendingState::Failed(why) => ("✗", format!("{infinitive} failed: {why}"), Role::Bad),
        PendingState::Unconfirmed => (
            "▲",
            format!("{infinitive} unconfirmed, try again"),
            Role::Bad,
        ),
    };
    let text = crate::call::text::clean_label(&text).into_owned();
    Some(Headline {
        glyph,
        text: Cow::Owned(text),
        role,
    })
}

/// Recording and who listens, shortest words.
pub(super) fn badges<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call) -> Vec<Seg<'a>> {
    let mut badges = Vec::new();
    match call.recording().map(|recording| recording.state) {
        Some(RecordingState::Started | RecordingState::InProgress) if call.is_live() => {
            badges.push(pen.seg("● rec", Role::Recording));
        }
        Some(RecordingState::Paused) if call.is_live() => {
            badges.push(pen.seg("○ rec", Role::Dim));
        }
        Some(RecordingState::Completed) if !call.is_live() => {
            badges.push(pen.seg("rec", Role::Dim));
        }
        _ => {}
    }
    if call.facts.observed && call.is_live() {
        if !badges.is_empty() {
            badges.push(pen.seg("  ", Role::Text));
        }
        badges.push(pen.seg("observed", Role::Info));
    }
    let ears = call.listeners.len();
    if ears > 0 || model.ear.call == Some(call.id) {
        let role = if model.ear.call == Some(call.id) {
            Role::Accent
        } else {
            Role::Operator
        };
        if !badges.is_empty() {
            badges.push(pen.seg("  ", Role::Text));
        }
        badges.push(pen.seg(format!("ear {}", ears.max(1)), role));
    }
    badges
}

/// Number, arrow, agent: `+1 415 ••• 0134 → Ava`.
pub(super) fn who<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call) -> Vec<Seg<'a>> {
    let is_unmasked = model.unmasked.contains_key(&call.id);
    let role = if is_unmasked { Role::Warn } else { Role::Text };
    let number = shown_number(model, call);
    let number = crate::call::text::clean_label(&number).into_owned();
    let agent = agent_name(call);
    let agent = crate::call::text::clean_label(&agent).into_owned();
    vec![
        pen.seg(number, role),
        pen.seg(format!(" {} ", arrow(call.facts.direction)), Role::Dim),
        pen.seg(agent, Role::Text),
    ]
}

/// What to say about the agent's socket when it is not simply connected.
pub(super) fn agent_link(call: &Call) -> Option<(&'static str, Role)> {
    if call.status != CallStatus::InProgress {
        return None;
    }
    match call.agent_link {
        AgentLink::None | AgentLink::Connected => None,
        AgentLink::Connecting => Some(("connecting AI", Role::Info)),
        AgentLink::Reconnecting => Some(("AI reconnecting", Role::Warn)),
        AgentLink::Fallback => Some(("fallback", Role::Warn)),
        AgentLink::Lost => Some(("AI lost", Role::Bad)),
    }
}

pub(super) fn track_role(track: Track) -> Role {
    match track {
        Track::FromCaller => Role::Caller,
        Track::FromAgent => Role::Agent,
        Track::FromOperator => Role::Operator,
    }
}

/// Role of the status word.
pub(super) fn status_role(call: &Call) -> Role {
    match call.status {
        CallStatus::Queued | CallStatus::Initiated | CallStatus::Ringing => Role::Info,
        CallStatus::InProgress => match call.agent_link {
            AgentLink::Lost => Role::Bad,
            AgentLink::Fallback | AgentLink::Reconnecting => Role::Warn,
            AgentLink::Connecting => Role::Info,
            AgentLink::None | AgentLink::Connected => Role::Good,
        },
        CallStatus::Completed | CallStatus::Canceled => Role::Dim,
        CallStatus::Busy | CallStatus::Failed | CallStatus::NoAnswer => Role::Warn,
    }
}

/// A call that just changed its state is lit for a moment.
pub(super) fn lit(model: &Model, call: &Call, style: Style) -> Style {
    if model.lit.contains_key(&call.id) {
        style.add_modifier(ratatui::style::Modifier::BOLD)
    } else {
        style
    }
}

/// Speech runs from a murmur to full level on the meters, dBFS.
pub(super) const METER: (f32, f32) = (-52.0, -6.0);

/// The two level meters; blanks while nothing is measured.
pub(super) fn meters(readings: Option<&Readings>, columns: usize) -> (String, String) {
    let draw = |levels: Option<&std::collections::VecDeque<f32>>| {
        let levels = levels.into_iter().flatten().copied();
        let levels: Vec<f32> = levels.collect();
        spark(levels.into_iter(), columns, METER.0, METER.1)
    };
    (
        draw(readings.map(|readings| &readings.caller)),
        draw(readings.map(|readings| &readings.agent)),
    )
}

/// Latencies of the last turns as a sparkline, 0.4 s to 3 s.
pub(super) fn turn_spark(call: &Call, columns: usize) -> String {
    let values = call.turns.iter().map(|turn| turn.latency_ms as f32);
    spark(values, columns, 400.0, 3_000.0)
}
