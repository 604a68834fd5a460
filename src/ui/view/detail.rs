//! The detail of the selected call: waterfall per turn, alerts, people, recordings, notes, audit.

mod turns;

use chrono::{DateTime, Utc};
use ratatui::layout::Rect;

use crate::call::{ActionState, Call, RecordingState, Severity};
use crate::ui::keymap::Act;
use crate::ui::model::{Focus, Model};
use crate::ui::order::is_open;
use crate::ui::pen::{Pen, Seg, width as columns_of};
use crate::ui::theme::{Role, Theme};
use crate::ui::update::{is_paused, tape_progress, why_not};
use crate::ui::words::{
    agent_name, answered_word, band_word, direction_word, duration, seconds, spark, vendor,
};
use crate::ui::wrap::wrap;

use super::areas;
use super::call_words::METER;
use super::quality::band_role;

/// Alerts shown that are over.
const PAST: usize = 6;

type Lines<'a> = Vec<Vec<Seg<'a>>>;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, pane: Rect) {
    let title = [pen.seg("Detail", Role::Title)];
    let focused = model.focus == Focus::Detail;
    let Some(call) = model.selected() else {
        pen.pane(pane, &title, &[], focused);
        return;
    };
    let width = pane.width.saturating_sub(3);
    let lines = lines(pen, model, call, width);
    let height = pane.height.saturating_sub(2);
    let max = (lines.len() as u16).saturating_sub(height);
    let from = model.detail_scroll.min(max);
    let foot = if max > from {
        vec![pen.seg(format!("{} below", max - from), Role::Dim)]
    } else {
        Vec::new()
    };
    let inside = pen.pane(pane, &title, &foot, focused);
    let shown = lines
        .iter()
        .skip(usize::from(from))
        .take(usize::from(height));
    for (index, segs) in shown.enumerate() {
        pen.segs(inside.x + 1, inside.y + index as u16, width, segs);
    }
}

/// How far the detail can be scrolled.
pub(crate) fn scroll_max(model: &Model) -> u16 {
    let (Some(pane), Some(call)) = (areas(model).detail, model.selected()) else {
        return 0;
    };
    let mut nothing = ratatui::buffer::Buffer::empty(Rect::ZERO);
    let Ok(theme) = Theme::parse(
        "plain",
        "name = \"plain\"",
        super::super::theme::Depth::None,
    ) else {
        return 0;
    };
    let pen = Pen {
        buffer: &mut nothing,
        theme: &theme,
    };
    let count = lines(&pen, model, call, pane.width.saturating_sub(3)).len() as u16;
    count.saturating_sub(pane.height.saturating_sub(2))
}

fn lines<'a>(pen: &Pen<'_>, model: &'a Model, call: &'a Call, width: u16) -> Lines<'a> {
    let mut lines = Lines::new();
    alerts(pen, model, call, &mut lines);
    past_alerts(pen, model, call, &mut lines);
    turns::turns(pen, call, width, &mut lines);
    levels(pen, model, call, width, &mut lines);
    facts(pen, model, call, &mut lines);
    recordings(pen, model, call, &mut lines);
    people(pen, model, call, width, &mut lines);
    outcome(pen, call, &mut lines);
    actions(pen, model, call, &mut lines);
    troubles(pen, model, call, &mut lines);
    if lines.first().is_some_and(Vec::is_empty) {
        lines.remove(0);
    }
    lines
}

fn head(pen: &Pen<'_>, lines: &mut Lines<'_>, title: &'static str, note: String) {
    lines.push(Vec::new());
    let mut segs = vec![pen.seg(title, Role::Title)];
    if !note.is_empty() {
        segs.push(pen.seg(format!("  {note}"), Role::Dim));
    }
    lines.push(segs);
}

fn clock(model: &Model, at: DateTime<Utc>) -> String {
    let local = at.with_timezone(&model.zone());
    local.format("%H:%M:%S").to_string()
}

fn alerts<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call, lines: &mut Lines<'a>) {
    if call.alerts.is_empty() && call.past_alerts.is_empty() {
        return;
    }
    let need = match model.need(call).score {
        0 => String::new(),
        score => format!("needs you {score} of 100"),
    };
    head(pen, lines, "Alerts", need);
    let now = model.board_now();
    for alert in &call.alerts {
        let open = is_open(alert, now);
        let (glyph, role) = match alert.severity {
            _ if !open => ("○", Role::Dim),
            Severity::Critical => ("▲", Role::Bad),
            Severity::Warn => ("▲", Role::Warn),
            Severity::Info => ("●", Role::Info),
        };
        let age = (now - alert.since).num_seconds().max(0);
        let mut segs = vec![
            pen.seg(format!("{glyph} "), role),
            pen.outside(&alert.reason, role),
            pen.seg("  ", Role::Dim),
            pen.outside(&alert.rule, Role::Dim),
            pen.seg(format!(" for {}", duration(age as u32)), Role::Dim),
        ];
        if let Some(by) = &alert.acknowledged_by {
            segs.push(pen.seg(" · seen by ", Role::Dim));
            segs.push(pen.outside(by, Role::Operator));
        } else if let Some(until) = alert.snoozed_until.filter(|until| *until > now) {
            let left = (until - now).num_seconds().max(0) as u32;
            segs.push(pen.seg(format!(" · snoozed {}", duration(left)), Role::Dim));
        }
        lines.push(segs);
    }
}

/// Alerts that are over, the newest first.
fn past_alerts<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call, lines: &mut Lines<'a>) {
    for past in call.past_alerts.iter().rev().take(PAST) {
        lines.push(vec![
            pen.seg("✓ ", Role::Dim),
            pen.outside(&past.alert.reason, Role::Dim),
            pen.seg("  ", Role::Dim),
            pen.outside(&past.alert.rule, Role::Faint),
            pen.seg(
                format!(" over {}", clock(model, past.cleared_at)),
                Role::Faint,
            ),
        ]);
    }
}

fn levels<'a>(pen: &Pen<'_>, model: &'a Model, call: &Call, width: u16, lines: &mut Lines<'a>) {
    let Some(readings) = model.readings.get(&call.id) else {
        return;
    };
    head(pen, lines, "Levels", "newest right".into());
    let columns = usize::from(width.saturating_sub(18)).min(readings.caller.len());
    for (label, history, now, role) in [
        (
            "caller ",
            &readings.caller,
            readings.gauge.level_in_dbfs,
            Role::Caller,
        ),
        (
            "agent  ",
            &readings.agent,
            readings.gauge.level_out_dbfs,
            Role::Agent,
        ),
    ] {
        let dbfs = now.map_or_else(|| "–".into(), |dbfs| format!("{dbfs:.0} dBFS"));
        lines.push(vec![
            pen.seg(label, Role::Dim),
            pen.seg(
                spark(history.iter().copied(), columns, METER.0, METER.1),
                role,
            ),
            pen.seg(format!("  {dbfs}"), Role::Dim),
        ]);
    }
}

fn pair<'a>(pen: &Pen<'_>, lines: &mut Lines<'a>, label: &str, value: Seg<'a>) {
    lines.push(vec![pen.seg(format!("{label:<11}"), Role::Dim), value]);
}

fn facts<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call, lines: &mut Lines<'a>) {
    head(pen, lines, "Call", String::new());
    let facts = &call.facts;
    let agent = match &facts.agent_kind {
        Some(kind) => format!(
            "{} · {} · {}",
            agent_name(call),
            vendor(kind),
            call.agent_link.as_str()
        ),
        None => format!("{} · {}", agent_name(call), call.agent_link.as_str()),
    };
    let line = format!(
        "{} · {}bound · media {}{}",
        vendor(&facts.carrier),
        direction_word(facts.direction),
        call.media_link.as_str(),
        if facts.observed {
            ", only observed"
        } else {
            ""
        }
    );
    let mut text = |label: &str, value: &str| {
        let value = crate::call::text::clean_label(value).into_owned();
        pair(pen, lines, label, pen.seg(value, Role::Text));
    };
    text("agent", &agent);
    if let Some(reason) = &call.agent_link_reason {
        text("", reason);
    }
    text("line", &line);
    if let Some(kept) = facts.store.says() {
        text("kept", kept);
    }
    if let Some(verdict) = call.answered_by {
        text("answered", &format!("by {}", answered_word(verdict)));
    }
    text("started", &clock(model, call.started_at));
    if let Some(at) = call.answered_at {
        text("in call", &clock(model, at));
    }
    if let Some(at) = call.ended_at {
        text(
            "ended",
            &format!("{} {}", clock(model, at), call.status.as_str()),
        );
        // Each on its own line: the carrier's words are long, and the code stands at their end.
        if let Some(by) = &call.ended_by {
            text("ended by", by);
        }
        if let Some(cause) = &call.end_cause {
            text("cause", cause);
        }
    }
    if let Some(lead) = &facts.lead_id {
        text("lead", lead);
    }
    text("id", &call.id.to_string());
    if let Some(id) = &facts.carrier_call_id {
        text("carrier id", id);
    }
    if let Some(id) = &call.conversation_id {
        text("agent id", id);
    }
    if facts.adopted {
        text("note", "seen first as a media stream");
    }
    if let Some(usd) = call.cost_usd {
        let source = call.cost_source.as_deref().unwrap_or("estimate");
        text("cost", &format!("$ {usd:.3} · {}", cost_word(source)));
    }
    if let Some(transfer) = &call.transfer {
        let to = crate::ui::words::masked(&transfer.to);
        text("transfer", &format!("{to} {}", transfer.state));
    }
}

fn recordings<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call, lines: &mut Lines<'a>) {
    if call.recordings.is_empty() {
        return;
    }
    let plays = tape_progress(model, call.id);
    let key = model.key(Act::Play);
    let note = match &plays {
        None if why_not(model, Act::Play).is_some() => String::new(),
        None => format!("{key} plays"),
        Some(_) => {
            let does = if is_paused(model) {
                "goes on"
            } else {
                "pauses"
            };
            format!("{key} {does} · {} stops", model.key(Act::PlayStop))
        }
    };
    head(pen, lines, "Recordings", note);
    for recording in &call.recordings {
        let (word, role) = match recording.state {
            RecordingState::Started => ("● starting", Role::Recording),
            RecordingState::InProgress => ("● recording", Role::Recording),
            RecordingState::Paused => ("○ paused", Role::Warn),
            RecordingState::Completed => ("✓ completed", Role::Good),
            RecordingState::Absent => ("○ nothing recorded", Role::Dim),
            RecordingState::Failed => ("✗ failed", Role::Bad),
        };
        let mut segs = vec![pen.seg(word, role)];
        if let Some(length) = recording.duration_s {
            segs.push(pen.seg(format!("  {}", duration(length)), Role::Text));
        }
        if let Some(error) = &recording.error {
            segs.push(pen.seg("  ", Role::Dim));
            segs.push(pen.outside(error, Role::Bad));
        }
        if let Some((_, words)) = plays
            .as_ref()
            .filter(|(tape, _)| tape.id == recording.served_id())
        {
            let glyph = if is_paused(model) {
                "○ paused"
            } else {
                "▸"
            };
            segs.push(pen.seg(format!("  {glyph} {words}"), Role::Accent));
        }
        lines.push(segs);
        if let Some(url) = &recording.url {
            lines.push(vec![pen.outside(url, Role::Dim)]);
        }
    }
}

/// Whose figure a cost is: an estimate of ours, or the vendor's own.
fn cost_word(source: &str) -> std::borrow::Cow<'_, str> {
    match source.split_once(':') {
        Some(("estimate", "agent")) => "estimate, agent only".into(),
        _ => crate::call::text::clean_label(source),
    }
}

fn people<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call, width: u16, lines: &mut Lines<'a>) {
    let any = call.claimed_by.is_some()
        || call.held_by.is_some()
        || !call.listeners.is_empty()
        || !call.flags.is_empty()
        || !call.notes.is_empty();
    if !any {
        return;
    }
    head(pen, lines, "People", String::new());
    if let Some(by) = &call.held_by {
        pair(pen, lines, "speaks", pen.outside(by, Role::Operator));
        if let Some(why) = call.limit("hush_agent") {
            pair(pen, lines, "the agent", pen.outside(why, Role::Dim));
        }
    }
    if let Some(by) = &call.claimed_by {
        pair(pen, lines, "claimed", pen.outside(by, Role::Operator));
    }
    if !call.listeners.is_empty() {
        let names: Vec<&str> = call.listeners.iter().map(|l| l.by.as_str()).collect();
        let names = names.join(", ");
        let names = crate::call::text::clean_label(&names).into_owned();
        pair(pen, lines, "listening", pen.seg(names, Role::Operator));
    }
    for flag in &call.flags {
        pair(pen, lines, "flag", pen.outside(flag, Role::Warn));
    }
    for note in &call.notes {
        let text = crate::call::text::clean_label(&note.text).into_owned();
        let mut segs = vec![
            pen.seg(format!("{} ", clock(model, note.at)), Role::Faint),
            pen.outside(&note.by, Role::Operator),
            pen.seg(" ", Role::Dim),
        ];
        let used: u16 = segs.iter().map(|seg| columns_of(&seg.text)).sum();
        if used + columns_of(&text) <= width {
            segs.push(pen.seg(text, Role::Text));
            lines.push(segs);
            continue;
        }
        lines.push(segs);
        // A note is there to be read, not to be cut.
        for row in wrap(&text, width.saturating_sub(2)) {
            let part = text.get(row).unwrap_or_default().to_owned();
            lines.push(vec![pen.seg("  ", Role::Dim), pen.seg(part, Role::Text)]);
        }
    }
}

fn outcome<'a>(pen: &Pen<'_>, call: &'a Call, lines: &mut Lines<'a>) {
    if let Some(summary) = &call.summary {
        head(pen, lines, "Figures", "of the whole call".into());
        let p = |ms: Option<u32>| ms.map_or_else(|| "–".into(), seconds);
        let rows = [
            (
                "turns",
                format!(
                    "{}   p50 {}   p95 {}",
                    summary.turns,
                    p(summary.turn_p50_ms),
                    p(summary.turn_p95_ms)
                ),
            ),
            ("cut off", format!("{}×", summary.interruptions)),
            (
                "frames",
                format!(
                    "{} in, {} out, {} dropped",
                    summary.frames_in, summary.frames_out, summary.frames_dropped
                ),
            ),
        ];
        for (label, value) in rows {
            pair(pen, lines, label, pen.seg(value, Role::Text));
        }
    }
    if let Some(quality) = &call.carrier_quality {
        let word = pen.seg(band_word(quality.band), band_role(quality.band));
        pair(pen, lines, "carrier", word);
    }
    if let Some(analysis) = &call.analysis {
        head(pen, lines, "Analysis", "of the agent's vendor".into());
        if let Some(sentiment) = &analysis.sentiment {
            pair(pen, lines, "sentiment", pen.outside(sentiment, Role::Text));
        }
        if let Some(summary) = &analysis.summary {
            lines.push(vec![pen.outside(summary, Role::Text)]);
        }
    }
}

fn actions<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call, lines: &mut Lines<'a>) {
    if call.actions.is_empty() {
        return;
    }
    head(pen, lines, "Operators did", String::new());
    for action in call.actions.iter().rev().take(12) {
        let (word, role) = match action.state {
            ActionState::Accepted => ("under way", Role::Warn),
            ActionState::Done => ("done", Role::Good),
            ActionState::Failed => ("failed", Role::Bad),
            ActionState::Unconfirmed => ("unconfirmed", Role::Bad),
        };
        let mut segs = vec![
            pen.seg(format!("{} ", clock(model, action.at)), Role::Faint),
            pen.outside(&action.by, Role::Operator),
            pen.seg(" ", Role::Dim),
            pen.outside(&action.verb, Role::Text),
            pen.seg(format!(" {word}"), role),
        ];
        if let Some(message) = &action.message {
            segs.push(pen.seg(" ", Role::Dim));
            segs.push(pen.outside(message, Role::Dim));
        }
        lines.push(segs);
    }
}

fn troubles<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call, lines: &mut Lines<'a>) {
    if call.troubles.is_empty() {
        return;
    }
    head(pen, lines, "Troubles", String::new());
    for trouble in call.troubles.iter().rev().take(12) {
        lines.push(vec![
            pen.seg(format!("{} ", clock(model, trouble.at)), Role::Faint),
            pen.outside(&trouble.code, Role::Warn),
            pen.seg(" ", Role::Dim),
            pen.outside(&trouble.message, Role::Text),
        ]);
    }
}
