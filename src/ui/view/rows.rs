//! One line a call: the list of small screens, and the dense table of wide ones.

use ratatui::layout::Rect;

use crate::call::{Call, CallStatus};
use crate::ui::model::Model;
use crate::ui::order::score_of;
use crate::ui::pen::{Pen, fit_end};
use crate::ui::theme::Role;
use crate::ui::words::{
    direction_word, duration, ending, figure, seconds, status_glyph, status_word, vendor,
};

use super::call_words::{
    Headline, agent_link, badges, headline, lit, meters, status_role, track_role, turn_spark, who,
};
use super::cards::mark;
use super::quality::{plain_if_good, score_role, turn_band};

/// Columns before the caller: cursor, glyph, status, duration.
const LEFT: u16 = 20;
/// Columns after the reason: turn, score, badges.
const RIGHT: u16 = 18;
const WHO: u16 = 22;

fn row_of(area: Rect, y: i32) -> Option<Rect> {
    let at = u16::try_from(y).ok().filter(|at| *at < area.height)?;
    Some(Rect::new(area.x, area.y + at, area.width, 1))
}

/// The glyph says attention before it says status.
fn glyph<'a>(model: &'a Model, call: &'a Call) -> (&'static str, Role, Headline<'a>) {
    let line = headline(model, call);
    if matches!(line.role, Role::Bad | Role::Warn) && !line.glyph.is_empty() {
        (line.glyph, line.role, line)
    } else {
        (status_glyph(call), status_role(call), line)
    }
}

/// Cursor, glyph, status word and duration.
fn left<'a>(pen: &mut Pen<'_>, model: &'a Model, call: &'a Call, row: Rect) -> Headline<'a> {
    let (glyph, role, line) = glyph(model, call);
    let style = pen.style(role);
    pen.put(row.x + 1, row.y, glyph, style);
    let status = lit(model, call, pen.style(status_role(call)));
    pen.text(row.x + 3, row.y, 8, status_word(call), status);
    let time = duration(call.elapsed_s(model.board_now()));
    let plain = if call.is_live() {
        Role::Text
    } else {
        Role::Dim
    };
    let plain = pen.style(plain);
    pen.text(row.x + 11, row.y, 8, &format!("{time:>7}"), plain);
    line
}

/// The list of screens below 100 columns.
pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, call: &Call, area: Rect, y: i32) {
    if let Some(row) = self::row(pen, model, call, area, y) {
        cursor(pen, model, call, row);
    }
}

/// One line about a call; returns where it stands.
fn row(pen: &mut Pen<'_>, model: &Model, call: &Call, area: Rect, y: i32) -> Option<Rect> {
    let row = row_of(area, y)?;
    let line = left(pen, model, call, row);
    let is_call = call.status == CallStatus::InProgress;
    let right = if is_call { RIGHT.min(row.width / 3) } else { 4 };
    let room = row.width.saturating_sub(LEFT + right);
    let who_room = WHO.min(room);
    let segs = who(pen, model, call);
    pen.segs(row.x + LEFT, row.y, who_room, &segs);
    why(
        pen,
        call,
        line,
        Rect::new(
            row.x + LEFT + who_room + 1,
            row.y,
            room.saturating_sub(who_room + 1),
            1,
        ),
    );
    if is_call {
        figures(
            pen,
            model,
            call,
            Rect::new(row.right() - right, row.y, right, 1),
        );
    } else {
        let direction = direction_word(call.facts.direction);
        let style = pen.style(Role::Dim);
        pen.text(row.right() - 3, row.y, 3, &format!("{direction:>3}"), style);
    }
    fade(pen, call, row);
    Some(row)
}

/// Reason, link state, how it ended, or the caller's name.
fn why(pen: &mut Pen<'_>, call: &Call, line: Headline<'_>, area: Rect) {
    if area.width == 0 {
        return;
    }
    let ended;
    let seg = if matches!(line.role, Role::Bad | Role::Warn) {
        pen.seg(line.text, line.role)
    } else if let Some((words, role)) = agent_link(call) {
        pen.seg(words, role)
    } else if !call.is_live() {
        ended = match ending(call) {
            words if words.is_empty() => call.status.as_str().to_owned(),
            words => words,
        };
        pen.outside(&ended, Role::Dim)
    } else if line.text.is_empty() {
        pen.outside(call.facts.name.as_deref().unwrap_or_default(), Role::Dim)
    } else {
        pen.seg(line.text, Role::Dim)
    };
    pen.segs(area.x, area.y, area.width, &[seg]);
}

fn figures(pen: &mut Pen<'_>, model: &Model, call: &Call, area: Rect) {
    let turn = call.turns.last().map(|turn| turn.latency_ms);
    let turn_words = turn.map_or_else(|| "–".into(), seconds);
    let score = score_of(call, model.live_score(call.id));
    let mut segs = pen
        .padded_left(turn_words, 6, plain_if_good(turn_band(turn)))
        .to_vec();
    segs.extend(pen.padded_left(figure(score), 4, score_role(score)));
    segs.push(pen.seg(" ", Role::Text));
    let used = pen.segs(area.x, area.y, area.width, &segs);
    // The shortest badges: a dot for recording, how many listen.
    let mut x = area.x + used;
    for badge in badges(pen, model, call) {
        let text = match badge.text.as_ref() {
            "● rec" => "●",
            "○ rec" => "○",
            "  " => " ",
            other => other,
        };
        x += pen.text(x, area.y, area.right().saturating_sub(x), text, badge.style);
    }
}

/// An ended call is dim.
fn fade(pen: &mut Pen<'_>, call: &Call, row: Rect) {
    if !call.is_live() {
        let dim = pen.style(Role::Dim);
        pen.tint(Rect::new(row.x + LEFT, row.y, row.width - LEFT, 1), dim);
    }
}

fn finish(pen: &mut Pen<'_>, model: &Model, call: &Call, row: Rect) {
    fade(pen, call, row);
    cursor(pen, model, call, row);
}

/// The cursor's bar, and the mark of a marked call.
pub(super) fn cursor(pen: &mut Pen<'_>, model: &Model, call: &Call, row: Rect) {
    if model.list.selected == Some(call.id) {
        mark(pen, row);
    }
    if model.marked.contains(&call.id) {
        let style = pen.style(Role::Accent);
        pen.put(row.x, row.y, "◆", style);
    }
}

/// A call of a group: the row of a small screen, without the cursor.
pub(super) fn listed(pen: &mut Pen<'_>, model: &Model, call: &Call, area: Rect, y: i32) {
    row(pen, model, call, area, y);
}

/// Where the columns of the table begin, from what width each is shown.
struct Columns {
    name: Option<u16>,
    vendors: Option<u16>,
    meters: Option<u16>,
    why: u16,
    why_width: u16,
    figures: u16,
}

fn columns(width: u16) -> Columns {
    let figures = 32;
    let mut x = LEFT + WHO + 1;
    let mut take = |columns: u16, from: u16| {
        (width >= from).then(|| {
            let at = x;
            x += columns + 1;
            at
        })
    };
    let name = take(17, 130);
    let vendors = take(20, 160);
    let meters = take(17, 120);
    Columns {
        name,
        vendors,
        meters,
        why: x,
        why_width: width.saturating_sub(x + figures + 1),
        figures: width.saturating_sub(figures),
    }
}

/// The head of the table.
pub(super) fn head(pen: &mut Pen<'_>, row: Rect) {
    let columns = columns(row.width);
    let style = pen.style(Role::Dim);
    let words = [
        (Some(3), "STATUS"),
        (Some(14), "TIME"),
        (Some(LEFT), "CALLER → AGENT"),
        (columns.name, "NAME"),
        (columns.vendors, "LINE · AI"),
        (columns.meters, "CALLER   AGENT"),
        (Some(columns.why), "WHY · LAST WORDS"),
        (Some(columns.figures + 2), "TURN"),
        (Some(columns.figures + 15), "LINE"),
    ];
    for (x, word) in words {
        if let Some(x) = x {
            pen.text(row.x + x, row.y, row.width.saturating_sub(x), word, style);
        }
    }
}

/// A row of the dense table.
pub(super) fn wide(pen: &mut Pen<'_>, model: &Model, call: &Call, area: Rect, y: i32) {
    let Some(row) = row_of(area, y) else {
        return;
    };
    let columns = columns(row.width);
    let line = left(pen, model, call, row);
    let segs = who(pen, model, call);
    pen.segs(row.x + LEFT, row.y, WHO, &segs);
    if let Some(x) = columns.name {
        let name = [pen.outside(call.facts.name.as_deref().unwrap_or("–"), Role::Text)];
        pen.segs(row.x + x, row.y, 17, &name);
    }
    if let Some(x) = columns.vendors {
        let kind = call.facts.agent_kind.as_deref().map_or("–", vendor);
        let text = format!("{} · {kind}", vendor(&call.facts.carrier));
        let segs = [pen.outside(&text, Role::Dim)];
        pen.segs(row.x + x, row.y, 20, &segs);
    }
    let is_call = call.status == CallStatus::InProgress;
    if let Some(x) = columns.meters.filter(|_| is_call) {
        let (caller, agent) = meters(model.readings.get(&call.id), 8);
        let segs = [
            pen.seg(caller, Role::Caller),
            pen.seg(" ", Role::Dim),
            pen.seg(agent, Role::Agent),
        ];
        pen.segs(row.x + x, row.y, 17, &segs);
    }
    let why_area = Rect::new(row.x + columns.why, row.y, columns.why_width, 1);
    let is_said =
        is_call && !matches!(line.role, Role::Bad | Role::Warn) && agent_link(call).is_none();
    match call.last_words().filter(|_| is_said) {
        Some((track, text)) => {
            let text = crate::call::text::clean(text).replace('\n', " ");
            let shown = fit_end(&text, why_area.width);
            let style = pen.style(track_role(track));
            pen.text(why_area.x, row.y, why_area.width, &shown, style);
        }
        None => why(pen, call, line, why_area),
    }
    if is_call {
        let turn = call.turns.last().map(|turn| turn.latency_ms);
        let score = score_of(call, model.live_score(call.id));
        let turn_words = turn.map_or_else(|| "–".into(), seconds);
        let mut segs = pen
            .padded_left(turn_words, 6, plain_if_good(turn_band(turn)))
            .to_vec();
        segs.push(pen.seg(format!(" {}", turn_spark(call, 6)), Role::Dim));
        segs.extend(pen.padded_left(figure(score), 5, score_role(score)));
        segs.push(pen.seg("  ", Role::Text));
        let x = row.x + columns.figures;
        let used = pen.segs(x, row.y, 32, &segs);
        let badges = badges(pen, model, call);
        pen.segs(
            x + used,
            row.y,
            row.right().saturating_sub(x + used),
            &badges,
        );
    }
    finish(pen, model, call, row);
}
