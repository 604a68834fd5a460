//! Four transcripts at once: the last words of each call, laid out from the end.

use ratatui::layout::Rect;

use crate::call::{Call, CallStatus};
use crate::ui::model::Model;
use crate::ui::pen::{Pen, Seg};
use crate::ui::theme::Role;
use crate::ui::transcript::{Columns, Entry, Row, Tools, lay};
use crate::ui::update::mosaic as shown;
use crate::ui::words::{duration, seconds, status_word};

use super::call_words::{badges, headline, status_role, who};
use super::quality::{plain_if_good, turn_band};
use super::transcript::line;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, panes: &[Rect; 4]) {
    let calls = shown(model);
    for (index, pane) in panes.iter().enumerate() {
        match calls.get(index).and_then(|id| model.board.get(*id)) {
            Some(call) => one(pen, model, call, *pane),
            None => {
                pen.pane(*pane, &[], &[], false);
            }
        }
    }
}

fn one(pen: &mut Pen<'_>, model: &Model, call: &Call, pane: Rect) {
    let is_selected = model.list.selected == Some(call.id);
    let mut title: Vec<Seg<'_>> = Vec::new();
    if model.marked.contains(&call.id) {
        title.push(pen.seg("◆ ", Role::Accent));
    }
    let headline = headline(model, call);
    if matches!(headline.role, Role::Bad | Role::Warn) {
        title.push(pen.seg(format!("{} ", headline.glyph), headline.role));
        title.push(pen.seg(headline.text, headline.role));
        title.push(pen.seg(" · ", Role::Dim));
    }
    title.extend(who(pen, model, call));
    if let Some(name) = call.facts.name.as_deref().filter(|name| !name.is_empty()) {
        title.push(pen.seg(" · ", Role::Dim));
        title.push(pen.outside(name, Role::Text));
    }
    let mut foot = vec![
        pen.seg(status_word(call), status_role(call)),
        pen.seg(
            format!(" {}", duration(call.elapsed_s(model.board_now()))),
            Role::Text,
        ),
    ];
    if let Some(turn) = call
        .turns
        .last()
        .filter(|_| call.status == CallStatus::InProgress)
    {
        let role = plain_if_good(turn_band(Some(turn.latency_ms)));
        foot.push(pen.seg(" · turn ", Role::Dim));
        foot.push(pen.seg(seconds(turn.latency_ms), role));
    }
    let badges = badges(pen, model, call);
    if !badges.is_empty() {
        foot.push(pen.seg(" · ", Role::Dim));
        foot.extend(badges);
    }
    let inside = pen.pane(pane, &title, &foot, is_selected);
    if call.lines.is_empty() {
        let style = pen.style(Role::Faint);
        pen.text(
            inside.x + 1,
            inside.y,
            inside.width,
            "nothing said yet",
            style,
        );
        return;
    }
    let columns = Columns::of(inside.width);
    let evidence = call.evidence();
    // From the newest line up, until the pane is full: an hour of talk costs no more than this.
    let mut entries: Vec<Entry> = Vec::new();
    let mut height = 0;
    for said in call.lines.iter().rev() {
        let entry = lay(said, columns, Tools::Folded, &model.watch);
        height += entry.height();
        entries.push(entry);
        if height >= u32::from(inside.height) {
            break;
        }
    }
    let rows: Vec<Row<'_>> = entries
        .iter()
        .rev()
        .flat_map(|entry| entry.rows(evidence.binary_search(&entry.line.turn).is_ok()))
        .collect();
    let skip = rows.len().saturating_sub(usize::from(inside.height));
    for (index, row) in rows.iter().skip(skip).enumerate() {
        line(pen, model, row, columns, inside, inside.y + index as u16);
    }
}
