//! The alert list: what is open, who has seen it, what sleeps until when, what is over.

use ratatui::layout::Rect;

use crate::call::Severity;
use crate::ui::model::{AlertRow, AlertStage, Focus, Model};
use crate::ui::pen::{Pen, Seg};
use crate::ui::theme::Role;
use crate::ui::words::duration;

use super::call_words::who;
use super::cards::mark;
use super::{Areas, first_row};

/// Columns of the rule, of the figures.
const RULE: u16 = 17;
const FIGURES: u16 = 13;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    let (Some(pane), Some(rows)) = (areas.list, areas.list_rows) else {
        return;
    };
    let all = &model.alerts.rows;
    let count = |stage| all.iter().filter(|row| row.stage == stage).count();
    let open = count(AlertStage::Open);
    let role = if open > 0 { Role::Bad } else { Role::Title };
    let mut title = vec![
        pen.seg("Alerts ", Role::Title),
        pen.seg(format!("{open} open"), role),
    ];
    for (stage, word) in [
        (AlertStage::Snoozed, "snoozed"),
        (AlertStage::Acknowledged, "seen"),
        (AlertStage::Over, "over"),
    ] {
        title.push(pen.seg(format!(" · {} {word}", count(stage)), Role::Dim));
    }
    if !model.filter.is_empty() {
        title.push(pen.seg(format!(" · /{}", model.filter.text()), Role::Accent));
    }
    let foot: Vec<Seg<'_>> = if all.is_empty() {
        Vec::new()
    } else {
        let at = model.alerts.position() + 1;
        vec![pen.seg(format!("{at} of {}", all.len()), Role::Dim)]
    };
    pen.pane(pane, &title, &foot, model.focus == Focus::Calls);
    if all.is_empty() {
        let style = pen.style(Role::Good);
        let text = if model.filter.is_empty() {
            "✓ nothing is wrong, and nothing was in the last ten minutes"
        } else {
            "no alert on the calls that pass the filter"
        };
        pen.text(
            rows.x + 2,
            rows.y,
            rows.width.saturating_sub(3),
            text,
            style,
        );
        return;
    }
    let head = Rect::new(rows.x, rows.y - 1, rows.width, 1);
    let columns = Columns::of(rows.width);
    columns.head(pen, head);
    let from = first_row(model.alerts.position(), all.len(), rows.height);
    let shown = all.iter().enumerate().skip(from);
    for (index, alert) in shown.take(usize::from(rows.height)) {
        let row = Rect::new(rows.x, rows.y + (index - from) as u16, rows.width, 1);
        line(pen, model, alert, &columns, row);
        if index == model.alerts.position() {
            mark(pen, row);
        }
    }
}

struct Columns {
    reason: u16,
    who: u16,
    who_width: u16,
    rule: Option<u16>,
    figures: Option<u16>,
    state: u16,
}

impl Columns {
    fn of(width: u16) -> Self {
        let rule = width >= 100;
        let figures = width >= 120;
        let state = width.saturating_sub(if width < 80 { 19 } else { 22 });
        let who_width = if width < 64 { 16 } else { 24 };
        let mut right = state;
        let mut take = |is_shown: bool, columns: u16| {
            is_shown.then(|| {
                right -= columns;
                right
            })
        };
        let figures = take(figures, FIGURES);
        let rule = take(rule, RULE);
        let who = right.saturating_sub(who_width);
        Self {
            reason: 3,
            who,
            who_width,
            rule,
            figures,
            state,
        }
    }

    fn head(&self, pen: &mut Pen<'_>, row: Rect) {
        let style = pen.style(Role::Dim);
        for (x, word) in [
            (Some(self.reason), "WHY"),
            (Some(self.who), "CALLER → AGENT"),
            (self.rule, "RULE"),
            (self.figures, "VALUE/LIMIT"),
            (Some(self.state), "FOR · STATE"),
        ] {
            if let Some(x) = x {
                pen.text(row.x + x, row.y, row.width.saturating_sub(x), word, style);
            }
        }
    }
}

fn line(pen: &mut Pen<'_>, model: &Model, row: &AlertRow, columns: &Columns, area: Rect) {
    let now = model.board_now();
    let alert = &row.alert;
    let (glyph, role) = match (row.stage, alert.severity) {
        (AlertStage::Open, Severity::Critical) => ("▲", Role::Bad),
        (AlertStage::Open, Severity::Warn) => ("▲", Role::Warn),
        (AlertStage::Open, Severity::Info) => ("●", Role::Info),
        (AlertStage::Over, _) => ("✓", Role::Dim),
        _ => ("○", Role::Dim),
    };
    let style = pen.style(role);
    pen.put(area.x + 1, area.y, glyph, style);
    let room = columns.who.saturating_sub(columns.reason + 1);
    let reason = [pen.outside(&alert.reason, role)];
    pen.segs(area.x + columns.reason, area.y, room, &reason);
    if let Some(call) = model.board.get(row.call) {
        // Where there is no room for both, the number says which call it is.
        let mut segs = who(pen, model, call);
        if columns.who_width < 20 {
            segs.truncate(1);
        }
        pen.segs(area.x + columns.who, area.y, columns.who_width - 1, &segs);
    }
    if let Some(x) = columns.rule {
        let rule = [pen.outside(&alert.rule, Role::Dim)];
        pen.segs(area.x + x, area.y, RULE - 1, &rule);
    }
    if let Some(x) = columns.figures {
        let text = format!("{:.1}/{:.1}", alert.value, alert.threshold);
        let segs = [pen.seg(text, Role::Dim)];
        pen.segs(area.x + x, area.y, FIGURES - 1, &segs);
    }
    let seconds = |span: chrono::TimeDelta| span.num_seconds().max(0) as u32;
    let end = row.over_at.unwrap_or(now);
    let pad = if area.width < 80 { 5 } else { 7 };
    let mut state = vec![pen.seg(
        format!("{:>pad$} ", duration(seconds(end - alert.since))),
        Role::Text,
    )];
    match (row.stage, row.over_at) {
        (AlertStage::Over, Some(at)) => {
            let ago = duration(seconds(now - at));
            state.push(pen.seg(format!("over {ago}"), Role::Dim));
        }
        (AlertStage::Acknowledged, _) => {
            state.push(pen.seg("seen ", Role::Dim));
            state.push(pen.outside(
                alert.acknowledged_by.as_deref().unwrap_or_default(),
                Role::Operator,
            ));
        }
        (AlertStage::Snoozed, _) => {
            let left = alert.snoozed_until.map_or(0, |until| seconds(until - now));
            state.push(pen.seg(format!("snoozed {}", duration(left)), Role::Dim));
        }
        _ => {
            let word = match alert.severity {
                Severity::Critical => "critical",
                Severity::Warn => "warning",
                Severity::Info => "note",
            };
            state.push(pen.seg(word, role));
        }
    }
    let room = area.width.saturating_sub(columns.state);
    pen.segs(area.x + columns.state, area.y, room, &state);
}
