//! One line a call: the list of small screens, and the dense table of wide ones.

use ratatui::layout::Rect;

use crate::call::{Call, CallStatus};
use crate::ui::columns::Column;
use crate::ui::model::Model;
use crate::ui::order::score_of;
use crate::ui::pen::{Pen, Seg, fit_end, width};
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

/// Least room for the reason, and room for recording and ears at the end of a row.
const WHY_MIN: u16 = 24;
const BADGES: u16 = 12;

/// Where the columns of the table begin.
struct Places {
    /// Those before the reason, and those after it.
    columns: Vec<(Column, u16)>,
    why: u16,
    why_width: u16,
    badges: u16,
}

fn places(model: &Model, width: u16) -> Places {
    let left = LEFT + WHO + 1;
    let room = width.saturating_sub(left + WHY_MIN + 1 + BADGES);
    let fitting = model.views.columns.fitting(room);
    let (figures, words): (Vec<Column>, Vec<Column>) =
        fitting.into_iter().partition(|column| column.is_figure());
    let mut columns = Vec::new();
    let mut x = left;
    for column in words {
        columns.push((column, x));
        x += column.width() + 1;
    }
    let why = x;
    let taken: u16 = figures.iter().map(|column| column.width() + 1).sum();
    let mut x = width.saturating_sub(BADGES + taken);
    let why_width = x.saturating_sub(why + 1);
    for column in figures {
        columns.push((column, x));
        x += column.width() + 1;
    }
    Places {
        columns,
        why,
        why_width,
        badges: x,
    }
}

/// The columns the table shows as wide as it is now.
pub(super) fn shown(model: &Model) -> Vec<Column> {
    let areas = super::areas(model);
    match areas
        .calls_rows
        .filter(|_| areas.calls_style == super::CallsStyle::Table)
    {
        Some(rows) => {
            let places = places(model, rows.width);
            places
                .columns
                .into_iter()
                .map(|(column, _)| column)
                .collect()
        }
        None => Vec::new(),
    }
}

/// The head of the table.
pub(super) fn head(pen: &mut Pen<'_>, model: &Model, row: Rect) {
    let places = places(model, row.width);
    let style = pen.style(Role::Dim);
    let fixed = [
        (3, "STATUS"),
        (14, "TIME"),
        (LEFT, "CALLER → AGENT"),
        (places.why, "WHY · LAST WORDS"),
    ];
    for (x, word) in fixed {
        pen.text(row.x + x, row.y, row.width.saturating_sub(x), word, style);
    }
    for (column, x) in places.columns {
        // Figures stand at the right of their column, so does the word over them.
        let word = column.head();
        let by = match column {
            Column::Trend => 0,
            _ if column.is_figure() => column.width().saturating_sub(width(word)),
            _ => 0,
        };
        pen.text(row.x + x + by, row.y, column.width(), word, style);
    }
}

/// A row of the dense table.
pub(super) fn wide(pen: &mut Pen<'_>, model: &Model, call: &Call, area: Rect, y: i32) {
    let Some(row) = row_of(area, y) else {
        return;
    };
    let places = places(model, row.width);
    let line = left(pen, model, call, row);
    let segs = who(pen, model, call);
    pen.segs(row.x + LEFT, row.y, WHO, &segs);
    for (column, x) in &places.columns {
        let segs = cell(pen, model, call, *column);
        pen.segs(row.x + x, row.y, column.width(), &segs);
    }
    let is_call = call.status == CallStatus::InProgress;
    let why_area = Rect::new(row.x + places.why, row.y, places.why_width, 1);
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
        let badges = badges(pen, model, call);
        let x = row.x + places.badges;
        pen.segs(x, row.y, row.right().saturating_sub(x), &badges);
    }
    finish(pen, model, call, row);
}

/// What stands in a column of a call's row.
fn cell<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call, column: Column) -> Vec<Seg<'a>> {
    let or_dash = |text: Option<&'a str>| text.filter(|text| !text.is_empty()).unwrap_or("–");
    match column {
        Column::Name => return vec![pen.outside(or_dash(call.facts.name.as_deref()), Role::Text)],
        Column::Lead => {
            return vec![pen.outside(or_dash(call.facts.lead_id.as_deref()), Role::Dim)];
        }
        Column::Vendors => {
            let kind = call.facts.agent_kind.as_deref().map_or("–", vendor);
            let text = format!("{} · {kind}", vendor(&call.facts.carrier));
            let text = crate::call::text::clean_label(&text).into_owned();
            return vec![pen.seg(text, Role::Dim)];
        }
        _ if call.status != CallStatus::InProgress => return Vec::new(),
        _ => {}
    }
    let readings = model.readings.get(&call.id);
    let figure_of = |value: Option<String>, role| {
        let text = value.unwrap_or_else(|| "–".to_owned());
        pen.padded_left(text, column.width(), role).to_vec()
    };
    match column {
        Column::Levels => {
            let (caller, agent) = meters(readings, 8);
            vec![
                pen.seg(caller, Role::Caller),
                pen.seg(" ", Role::Dim),
                pen.seg(agent, Role::Agent),
            ]
        }
        Column::Turn => {
            let turn = call.turns.last().map(|turn| turn.latency_ms);
            figure_of(turn.map(seconds), plain_if_good(turn_band(turn)))
        }
        Column::Trend => vec![pen.seg(turn_spark(call, 6), Role::Dim)],
        Column::P95 => {
            let turn = call.turn_percentile(95);
            figure_of(turn.map(seconds), plain_if_good(turn_band(turn)))
        }
        Column::Score => {
            let score = score_of(call, model.live_score(call.id));
            let words = score.map(|score| figure(Some(score)));
            figure_of(words, score_role(score))
        }
        Column::Jitter => {
            let jitter = readings.and_then(|readings| readings.gauge.jitter_ms);
            figure_of(jitter.map(|ms| format!("{ms:.0} ms")), Role::Text)
        }
        Column::Gaps => {
            let gaps = readings.and_then(|readings| readings.gauge.gap_pct);
            figure_of(gaps.map(|share| format!("{share:.1} %")), Role::Text)
        }
        Column::Cost => figure_of(call.cost_usd.map(|usd| format!("${usd:.2}")), Role::Text),
        Column::Name | Column::Lead | Column::Vendors => Vec::new(),
    }
}
