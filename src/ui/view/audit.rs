//! The audit trail: who did what, to which call, why, and what came of it.

use ratatui::layout::Rect;

use crate::engine::AuditEntry;
use crate::ui::model::{Focus, Model};
use crate::ui::pen::Pen;
use crate::ui::theme::Role;

use super::call_words::who;
use super::cards::mark;
use super::{Areas, first_row};

/// Where the reasons begin.
const WHY: u16 = 92;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    let (Some(pane), Some(rows)) = (areas.list, areas.list_rows) else {
        return;
    };
    let audit = &model.audit;
    let mut title = vec![
        pen.seg("Audit ", Role::Title),
        pen.seg(format!("last {}", audit.rows.len()), Role::Title),
    ];
    if audit.is_loading {
        title.push(pen.seg(" · looking…", Role::Info));
    }
    // Where the column has no room for it, the reason of the row under the cursor stands below.
    let reason = audit
        .rows
        .get(audit.at)
        .and_then(|row| row.reason.as_deref());
    let fits = |reason: &str| reason.chars().count() <= usize::from(rows.width.saturating_sub(WHY));
    let foot: Vec<_> = reason
        .filter(|reason| !fits(reason))
        .map(|reason| pen.outside(reason, Role::Text))
        .into_iter()
        .collect();
    pen.pane(pane, &title, &foot, model.focus == Focus::Calls);
    if let Some(error) = &audit.error {
        let segs = [pen.outside(error, Role::Bad)];
        pen.segs(rows.x + 2, rows.y, rows.width.saturating_sub(3), &segs);
        return;
    }
    let dim = pen.style(Role::Dim);
    for (x, word) in [
        (2, "WHEN"),
        (17, "WHO"),
        (32, "DID"),
        (48, "RESULT"),
        (66, "CALL"),
        (WHY, "WHY"),
    ] {
        if x < rows.width {
            pen.text(rows.x + x, rows.y - 1, rows.width - x, word, dim);
        }
    }
    if audit.rows.is_empty() && !audit.is_loading {
        pen.text(
            rows.x + 2,
            rows.y,
            rows.width,
            "nobody has done anything yet",
            dim,
        );
    }
    let from = first_row(audit.at, audit.rows.len(), rows.height);
    let shown = audit.rows.iter().enumerate().skip(from);
    for (index, entry) in shown.take(usize::from(rows.height)) {
        let row = Rect::new(rows.x, rows.y + (index - from) as u16, rows.width, 1);
        line(pen, model, entry, row);
        if index == audit.at {
            mark(pen, row);
        }
    }
}

fn line(pen: &mut Pen<'_>, model: &Model, entry: &AuditEntry, row: Rect) {
    let at = entry.at.with_timezone(&model.zone());
    let at = at.format("%m-%d %H:%M:%S").to_string();
    let dim = pen.style(Role::Dim);
    pen.text(row.x + 2, row.y, 14, &at, dim);
    let role = match entry.result.split(':').next() {
        Some("done" | "accepted") => Role::Good,
        Some("refused") => Role::Warn,
        Some("failed" | "unconfirmed") => Role::Bad,
        _ => Role::Text,
    };
    let verb = entry.verb.replace('_', " ");
    let cells = [
        (17, 14, entry.by.as_str(), Role::Operator),
        (32, 15, verb.as_str(), Role::Text),
        (48, 17, entry.result.as_str(), role),
    ];
    for (x, columns, text, role) in cells {
        if x < row.width {
            let segs = [pen.outside(text, role)];
            pen.segs(row.x + x, row.y, columns.min(row.width - x), &segs);
        }
    }
    if row.width > 66 {
        let room = (row.width - 66).min(25);
        match entry.call.map(|id| (id, model.find(id))) {
            Some((_, Some(call))) => {
                let segs = who(pen, model, call);
                pen.segs(row.x + 66, row.y, room, &segs);
            }
            Some((id, None)) => {
                pen.text(row.x + 66, row.y, room, &id.to_string(), dim);
            }
            None => {}
        }
    }
    if let (true, Some(reason)) = (row.width > WHY, &entry.reason) {
        let segs = [pen.outside(reason, Role::Text)];
        pen.segs(row.x + WHY, row.y, row.width - WHY, &segs);
    }
}
