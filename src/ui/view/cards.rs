//! Cards: four lines for a call in progress, one for a call that rings or has ended.

use ratatui::layout::Rect;

use crate::call::{AnsweredBy, Call, LineBody, Track};
use crate::ui::model::Model;
use crate::ui::order::score_of;
use crate::ui::pen::{Pen, Seg, fit_end, width};
use crate::ui::theme::Role;
use crate::ui::words::{
    answered_word, direction_word, duration, ending, figure, seconds, status_glyph, status_word,
    vendor,
};

use super::call_words::{
    agent_link, badges, headline, lit, meters, status_role, track_role, turn_spark, who,
};
use super::quality::{plain_if_good, score_role, turn_band};
use super::{CallsStyle, card_height};

/// Columns of the block with status, duration and badges.
const STATUS_BLOCK: u16 = 30;

/// Draws a call whose first line is `y` lines below the top of `area` (negative: cut off).
pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, call: &Call, area: Rect, y: i32) {
    let height = card_height(call, CallsStyle::Cards, area.height);
    // The last line of a card is blank where there is room for it.
    let lines = match height {
        1 => 1,
        ..=5 => 4,
        _ => 5,
    };
    let is_selected = model.list.selected == Some(call.id);
    for line in 0..lines {
        let at = y + line;
        if at < 0 || at >= i32::from(area.height) {
            continue;
        }
        let row = Rect::new(area.x, area.y + at as u16, area.width, 1);
        let inside = Rect::new(row.x + 1, row.y, row.width - 1, 1);
        match (lines, line) {
            (1, _) => one_line(pen, model, call, inside),
            (_, 0) => head(pen, model, call, inside),
            (_, 1) => parties(pen, model, call, inside),
            (5, 2) => words_before(pen, call, inside),
            (_, 2) | (5, 3) => words(pen, call, inside),
            _ => figures(pen, model, call, inside),
        }
        if is_selected {
            mark(pen, row);
        }
        if line == 0 && model.marked.contains(&call.id) {
            let style = pen.style(Role::Accent);
            pen.put(row.x, row.y, "◆", style);
        }
    }
}

/// The cursor: a bar on the left and a tint.
pub(super) fn mark(pen: &mut Pen<'_>, row: Rect) {
    let selection = pen.style(Role::Selection);
    pen.tint(row, selection);
    let accent = pen.style(Role::Accent).patch(ratatui::style::Style {
        bg: selection.bg,
        ..ratatui::style::Style::new()
    });
    pen.put(row.x, row.y, "▌", accent);
}

fn head(pen: &mut Pen<'_>, model: &Model, call: &Call, row: Rect) {
    let block = STATUS_BLOCK.min(row.width / 2 + 2);
    let status_x = row.right() - block;
    let line = headline(model, call);
    let style = pen.style(line.role);
    let left = status_x.saturating_sub(row.x + 1);
    pen.put(row.x, row.y, line.glyph, style);
    // A long reason may run over the status block: it matters more than the badges.
    let long = width(&line.text) + 2 > left && matches!(line.role, Role::Bad);
    let room = if long {
        row.width.saturating_sub(18)
    } else {
        left.saturating_sub(2)
    };
    let used = pen.text(row.x + 2, row.y, room, &line.text, style);
    let status_x = status_x.max(row.x + used + 3);
    let status = lit(model, call, pen.style(status_role(call)));
    pen.text(status_x, row.y, 8, status_word(call), status);
    let time = duration(call.elapsed_s(model.board_now()));
    let plain = pen.style(Role::Text);
    pen.text(status_x + 8, row.y, 8, &format!("{time:>7}"), plain);
    let room = row.right().saturating_sub(status_x + 17);
    let badges = badges(pen, model, call);
    pen.segs_right(row.right(), row.y, room, &badges);
}

fn parties(pen: &mut Pen<'_>, model: &Model, call: &Call, row: Rect) {
    let x = row.x + 2;
    let mut left = who(pen, model, call);
    if let Some(name) = call.facts.name.as_deref().filter(|name| !name.is_empty()) {
        left.push(pen.seg(" · ", Role::Dim));
        left.push(pen.outside(name, Role::Text));
    }
    // Names come before vendors: what does not fit is dropped from the left of the right side.
    let least: u16 = left.iter().map(|seg| width(&seg.text)).sum();
    let carrier = vendor(&call.facts.carrier);
    let kind = call.facts.agent_kind.as_deref().map_or("", vendor);
    let mut right: Vec<Seg<'_>> = vec![pen.seg(vendors(carrier, kind), Role::Dim)];
    if let Some((words, role)) = agent_link(call) {
        right.push(pen.seg(format!("  {words}"), role));
    }
    if let Some(verdict) = call.answered_by {
        let role = match verdict {
            AnsweredBy::Human => Role::Dim,
            _ => Role::Warn,
        };
        right.push(pen.seg(format!("  {}", answered_word(verdict)), role));
    }
    let direction = direction_word(call.facts.direction);
    right.push(pen.seg(format!("  {direction:>3}"), Role::Dim));
    let room = (row.width - 2).saturating_sub(least + 2);
    let used = pen.segs_right(row.right(), row.y, room, &right);
    pen.segs(x, row.y, (row.width - 2).saturating_sub(used + 1), &left);
}

fn vendors(carrier: &str, kind: &str) -> String {
    let text = match (carrier.is_empty(), kind.is_empty()) {
        (false, false) => format!("{carrier} · {kind}"),
        _ => format!("{carrier}{kind}"),
    };
    crate::call::text::clean_label(&text).into_owned()
}

fn words(pen: &mut Pen<'_>, call: &Call, row: Rect) {
    let x = row.x + 2;
    let mut right: Vec<Seg<'_>> = Vec::new();
    if let Some(flag) = call.flags.last() {
        let flag = crate::call::text::clean_label(flag);
        right.push(pen.seg(format!("  #{flag}"), Role::Warn));
    }
    if let Some(by) = &call.claimed_by {
        let by = crate::call::text::clean_label(by);
        right.push(pen.seg(format!("  by {by}"), Role::Operator));
    }
    let used = pen.segs_right(row.right(), row.y, row.width / 3, &right);
    let room = (row.width - 2).saturating_sub(used + 1);
    let Some((track, text, interim)) = said(call).next() else {
        let style = pen.style(Role::Faint);
        pen.text(x, row.y, room, "nothing said yet", style);
        return;
    };
    let role = if interim {
        Role::Dim
    } else {
        track_role(track)
    };
    quote(pen, Rect::new(x, row.y, room, 1), text, interim, role);
}

/// What was said before the last words, dim: the last words count.
fn words_before(pen: &mut Pen<'_>, call: &Call, row: Rect) {
    if let Some((_, text, _)) = said(call).nth(1) {
        let area = Rect::new(row.x + 2, row.y, row.width - 3, 1);
        quote(pen, area, text, false, Role::Dim);
    }
}

/// What was said and heard, the newest first; whether it may still change.
fn said(call: &Call) -> impl Iterator<Item = (Track, &str, bool)> {
    call.lines.iter().rev().filter_map(|line| match &line.body {
        LineBody::Speech {
            track,
            text,
            interim,
            cut,
            ..
        } if !text.is_empty() => {
            let text = cut.as_ref().map_or(text, |cut| &cut.heard);
            Some((*track, text.as_str(), *interim))
        }
        _ => None,
    })
}

fn quote(pen: &mut Pen<'_>, area: Rect, text: &str, interim: bool, role: Role) {
    let (x, y, room) = (area.x, area.y, area.width);
    // Only the end is shown, so only the end is cleaned.
    let tail = tail_of(text, 4 * usize::from(room));
    let cleaned = crate::call::text::clean(tail).replace('\n', " ");
    let shown = fit_end(&cleaned, room.saturating_sub(2));
    let style = pen.style(role);
    let used = pen.text(x, y, room, "“", style);
    let used = used + pen.text(x + used, y, room - used, &shown, style);
    let end = match interim {
        true if shown.ends_with('…') => "",
        true => "…",
        false => "”",
    };
    pen.text(x + used, y, 1, end, style);
}

/// The last `bytes` of a text, or a little more, at a character's edge.
fn tail_of(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes.max(8));
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    &text[from..]
}

fn figures(pen: &mut Pen<'_>, model: &Model, call: &Call, row: Rect) {
    let readings = model.readings.get(&call.id);
    let columns = if row.width >= 64 { 10 } else { 6 };
    let (caller, agent) = meters(readings, columns);
    let left = [
        pen.seg("caller ", Role::Dim),
        pen.seg(caller, Role::Caller),
        pen.seg("  agent ", Role::Dim),
        pen.seg(agent, Role::Agent),
    ];
    pen.segs(row.x + 2, row.y, row.width - 2, &left);
    let score = score_of(call, readings.and_then(|readings| readings.gauge.score));
    let turn = call.turns.last().map(|turn| turn.latency_ms);
    let turn_words = turn.map_or_else(|| "–".into(), seconds);
    let mut right = vec![pen.seg("turn ", Role::Dim)];
    right.extend(pen.padded_left(turn_words, 5, plain_if_good(turn_band(turn))));
    right.push(pen.seg(format!(" {}", turn_spark(call, 5)), Role::Dim));
    let label = if row.width >= 64 { "  bridge " } else { "  " };
    right.push(pen.seg(label, Role::Dim));
    right.extend(pen.padded_left(figure(score), 3, score_role(score)));
    pen.segs_right(row.right(), row.y, 32, &right);
}

fn one_line(pen: &mut Pen<'_>, model: &Model, call: &Call, row: Rect) {
    let status = status_role(call);
    let style = lit(model, call, pen.style(status));
    pen.put(row.x, row.y, status_glyph(call), style);
    pen.text(row.x + 2, row.y, 8, status_word(call), style);
    let time = duration(call.elapsed_s(model.board_now()));
    let plain = if call.is_live() {
        Role::Text
    } else {
        Role::Dim
    };
    let plain = pen.style(plain);
    pen.text(row.x + 10, row.y, 8, &format!("{time:>7}"), plain);
    let direction = direction_word(call.facts.direction);
    let right = [pen.seg(format!("  {direction:>3}"), Role::Dim)];
    let used = pen.segs_right(row.right(), row.y, 5, &right);
    let room = row.width.saturating_sub(19 + used);
    let mut segs = who(pen, model, call);
    let line = headline(model, call);
    let ended = ending(call);
    let ended = crate::call::text::clean_label(&ended);
    let name = call.facts.name.as_deref().unwrap_or_default();
    segs.push(pen.seg(" · ", Role::Dim));
    // The status word has said "connecting" already.
    if !line.text.is_empty() && agent_link(call).is_none_or(|(words, _)| line.text != words) {
        segs.push(pen.seg(line.text, line.role));
    } else if !call.is_live() && !ended.is_empty() {
        segs.push(pen.seg(ended, Role::Dim));
    } else if name.is_empty() {
        segs.pop();
    } else {
        segs.push(pen.outside(name, Role::Text));
    }
    if !call.is_live() {
        for seg in &mut segs {
            seg.style = pen.style(Role::Dim);
        }
    }
    pen.segs(row.x + 19, row.y, room, &segs);
}
