//! One lead's timeline: when, who, how it travelled, and what was said; the line under the cursor whole
//! below.

use ratatui::layout::Rect;

use crate::engine::Said;
use crate::ui::model::{Focus, Model};
use crate::ui::pen::Pen;
use crate::ui::theme::Role;
use crate::ui::wrap::wrap;

use super::cards::mark;
use super::{Areas, first_row};

const WHO: u16 = 17;
const HOW: u16 = 29;
const WORDS: u16 = 37;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    let (Some(pane), Some(rows)) = (areas.list, areas.list_rows) else {
        return;
    };
    let page = &model.lead;
    let mut title = vec![pen.seg("Lead ", Role::Title)];
    title.push(pen.outside(&page.lead, Role::Accent));
    if page.is_loading && page.rows.is_empty() {
        title.push(pen.seg(" · looking…", Role::Info));
    }
    let foot = match page.rows.len() {
        0 => Vec::new(),
        count => vec![pen.seg(format!("{} of {count}", page.at + 1), Role::Dim)],
    };
    pen.pane(pane, &title, &foot, model.focus == Focus::Calls);
    if let Some(error) = &page.error {
        let segs = [pen.seg("✗ ", Role::Bad), pen.outside(error, Role::Bad)];
        pen.segs(rows.x + 2, rows.y, rows.width.saturating_sub(3), &segs);
        return;
    }
    let dim = pen.style(Role::Dim);
    for (x, word) in [(2, "WHEN"), (WHO, "WHO"), (HOW, "HOW"), (WORDS, "SAID")] {
        if x < rows.width {
            pen.text(rows.x + x, rows.y - 1, rows.width - x, word, dim);
        }
    }
    if page.rows.is_empty() && !page.is_loading {
        let text = "nothing has been said with this lead, or nothing of it is kept";
        pen.text(rows.x + 2, rows.y, rows.width.saturating_sub(3), text, dim);
    }
    let from = first_row(page.at, page.rows.len(), rows.height);
    let shown = page.rows.iter().enumerate().skip(from);
    for (index, said) in shown.take(usize::from(rows.height)) {
        let row = Rect::new(rows.x, rows.y + (index - from) as u16, rows.width, 1);
        line(pen, model, said, row);
        if index == page.at {
            mark(pen, row);
        }
    }
    if let Some(below) = areas.below {
        whole(pen, model, below);
    }
}

/// As in the transcript: the caller, the agent, and whoever else wrote.
fn speaker(said: &Said) -> (&str, Role) {
    match said.sent_by.as_str() {
        "user" => ("caller", Role::Caller),
        "agent" => ("agent", Role::Agent),
        other => (other, Role::Operator),
    }
}

fn line(pen: &mut Pen<'_>, model: &Model, said: &Said, row: Rect) {
    let at = said.at.with_timezone(&model.zone());
    let at = at.format("%m-%d %H:%M:%S").to_string();
    let dim = pen.style(Role::Dim);
    pen.text(row.x + 2, row.y, 14, &at, dim);
    let (who, role) = speaker(said);
    let cells = [
        (WHO, HOW - WHO - 1, who, role),
        (HOW, WORDS - HOW - 1, said.channel.as_str(), Role::Dim),
        (WORDS, u16::MAX, said.text.as_str(), Role::Text),
    ];
    for (x, columns, text, role) in cells {
        if x < row.width {
            let segs = [pen.outside(text, role)];
            pen.segs(row.x + x, row.y, columns.min(row.width - x - 1), &segs);
        }
    }
}

/// The line under the cursor, as much of it as there is room for.
fn whole(pen: &mut Pen<'_>, model: &Model, below: Rect) {
    let Some(said) = model.lead.selected() else {
        return;
    };
    let (who, role) = speaker(said);
    let title = [
        pen.outside(who, role),
        pen.seg(" · ", Role::Dim),
        pen.outside(&said.channel, Role::Dim),
    ];
    pen.pane(below, &title, &[], false);
    let text = crate::call::text::clean(&said.text).into_owned();
    let room = below.width.saturating_sub(4);
    let style = pen.style(Role::Text);
    let rows = wrap(&text, room);
    let most = usize::from(below.height.saturating_sub(2));
    for (index, range) in rows.into_iter().take(most).enumerate() {
        let part = text.get(range).unwrap_or_default();
        pen.text(below.x + 2, below.y + 1 + index as u16, room, part, style);
    }
}
