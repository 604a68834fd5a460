//! Past calls: what was found, newest first, with how each came out.

use ratatui::layout::Rect;

use crate::call::{Call, CallReport, Numbers};
use crate::ui::keymap::Act;
use crate::ui::model::{Focus, Model, PastOrder};
use crate::ui::pen::{Pen, Seg};
use crate::ui::theme::Role;
use crate::ui::words::{direction_word, duration, seconds, status_glyph};

use super::call_words::{status_role, who};
use super::cards::mark;
use super::quality::{plain_if_good, turn_band};
use super::{Areas, first_row};

const WHO: u16 = 24;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    let (Some(pane), Some(rows)) = (areas.list, areas.list_rows) else {
        return;
    };
    let past = &model.past;
    let mut title = vec![pen.seg("History ", Role::Title)];
    let more = if past.next.is_some() { "+" } else { "" };
    let count = if past.shown.len() == past.items.len() {
        format!("{}{more} calls", past.items.len())
    } else {
        format!("{} of {}{more} calls", past.shown.len(), past.items.len())
    };
    title.push(pen.seg(count, Role::Title));
    if past.order == PastOrder::Risk {
        title.push(pen.seg(" · by risk", Role::Dim));
    }
    title.extend(super::marked(pen, model));
    if !past.query.is_empty() {
        title.push(pen.seg(" · ", Role::Dim));
        title.push(pen.outside(&past.query, Role::Accent));
    }
    if past.is_loading {
        title.push(pen.seg(" · looking…", Role::Info));
    }
    let foot: Vec<Seg<'_>> = if past.shown.is_empty() {
        Vec::new()
    } else {
        let at = past.at + 1;
        vec![pen.seg(format!("{at} of {}{more}", past.shown.len()), Role::Dim)]
    };
    pen.pane(pane, &title, &foot, model.focus == Focus::Calls);
    if let Some(text) = nothing(model) {
        let role = if past.error.is_some() {
            Role::Bad
        } else {
            Role::Dim
        };
        let segs = [pen.outside(&text, role)];
        pen.segs(rows.x + 2, rows.y, rows.width.saturating_sub(3), &segs);
        return;
    }
    head(pen, Rect::new(rows.x, rows.y - 1, rows.width, 1));
    let from = first_row(past.at, past.shown.len(), rows.height);
    let shown = past.shown.iter().enumerate().skip(from);
    for (index, item) in shown.take(usize::from(rows.height)) {
        let Some(call) = past.items.get(*item) else {
            continue;
        };
        // What the board knows is newer.
        let call = model.board.get(call.id).unwrap_or(call);
        let row = Rect::new(rows.x, rows.y + (index - from) as u16, rows.width, 1);
        line(pen, model, call, row);
        if index == past.at {
            mark(pen, row);
        }
        if model.marked.contains(&call.id) {
            let style = pen.style(Role::Accent);
            pen.put(row.x, row.y, "◆", style);
        }
    }
}

/// What stands in an empty list.
fn nothing(model: &Model) -> Option<String> {
    let past = &model.past;
    if let Some(error) = &past.error {
        return Some(format!("✗ {error}"));
    }
    if !past.shown.is_empty() {
        return None;
    }
    if past.is_loading || !past.is_asked {
        return Some("looking…".to_owned());
    }
    let key = model.key(Act::SearchPast);
    Some(if past.query.is_empty() {
        "no call has been kept yet".to_owned()
    } else {
        format!("nothing found · {key} asks anew, for instance: refund since:8h flag:*")
    })
}

/// Where the columns begin.
struct Columns {
    is_wide: bool,
    length: u16,
    who: u16,
    turn: Option<u16>,
    how: u16,
}

impl Columns {
    fn of(width: u16) -> Self {
        if width < 80 {
            return Self {
                is_wide: false,
                length: 8,
                who: 17,
                turn: None,
                how: 17 + WHO - 1,
            };
        }
        Self {
            is_wide: true,
            length: 18,
            who: 28,
            turn: Some(28 + WHO),
            how: 28 + WHO + 10,
        }
    }
}

fn head(pen: &mut Pen<'_>, row: Rect) {
    let columns = Columns::of(row.width);
    let style = pen.style(Role::Dim);
    for (x, word) in [
        (Some(3), "BEGAN"),
        (Some(columns.length), " LENGTH"),
        (Some(columns.who), "CALLER → AGENT"),
        (columns.turn, " TURN p95"),
        (Some(columns.how), "HOW IT CAME OUT"),
    ] {
        if let Some(x) = x.filter(|x| *x < row.width) {
            pen.text(row.x + x, row.y, row.width - x, word, style);
        }
    }
}

fn line(pen: &mut Pen<'_>, model: &Model, call: &Call, row: Rect) {
    let columns = Columns::of(row.width);
    let style = pen.style(status_role(call));
    pen.put(row.x + 1, row.y, status_glyph(call), style);
    let began = call.started_at.with_timezone(&model.zone());
    let today = model.board_now().with_timezone(&model.zone()).date_naive();
    let form = match (began.date_naive() == today, columns.is_wide) {
        (true, true) => "      %H:%M:%S",
        (false, true) => "%m-%d %H:%M:%S",
        (true, false) => "%H:%M",
        (false, false) => "%m-%d",
    };
    let began = began.format(form).to_string();
    let dim = pen.style(Role::Dim);
    let plain = pen.style(Role::Text);
    pen.text(row.x + 3, row.y, 14, &began, dim);
    let length = duration(call.elapsed_s(model.board_now()));
    pen.text(
        row.x + columns.length,
        row.y,
        8,
        &format!("{length:>7}"),
        plain,
    );
    let segs = who(pen, model, call);
    pen.segs(row.x + columns.who, row.y, WHO - 2, &segs);
    if let Some(x) = columns.turn {
        let p95 = call.turn_percentile(95);
        let words = p95.map_or_else(|| "–".into(), seconds);
        let turn = pen.padded_left(words, 9, plain_if_good(turn_band(p95)));
        pen.segs(row.x + x, row.y, 9, &turn);
    }
    if columns.how < row.width {
        how(pen, model, call, columns.how, row);
    }
}

/// How a call came out: direction, flags, outcome, what was wrong, whose it was.
fn how(pen: &mut Pen<'_>, model: &Model, call: &Call, x: u16, row: Rect) {
    let mut segs = Vec::new();
    if row.width >= 80 {
        let direction = direction_word(call.facts.direction);
        segs.push(pen.seg(format!("{direction:<4}"), Role::Dim));
    }
    for flag in &call.flags {
        segs.push(pen.seg("#", Role::Warn));
        segs.push(pen.outside(flag, Role::Warn));
        segs.push(pen.seg(" ", Role::Dim));
    }
    if call.is_live() {
        segs.push(pen.seg("live", Role::Good));
    }
    let report = CallReport::of(call, Numbers::Masked, model.board_now());
    segs.push(pen.seg(report.disposition.unwrap_or_default(), Role::Text));
    let mut rules: Vec<String> = Vec::new();
    for past in &call.past_alerts {
        let rule = past.alert.rule.replace('_', " ");
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    if !rules.is_empty() {
        let text = crate::call::text::clean_label(&rules.join(", ")).into_owned();
        segs.push(pen.seg(format!(" · {text}"), Role::Warn));
    }
    if let Some(name) = call.facts.name.as_deref().filter(|name| !name.is_empty()) {
        segs.push(pen.seg(" · ", Role::Dim));
        segs.push(pen.outside(name, Role::Dim));
    }
    pen.segs(row.x + x, row.y, row.width - x, &segs);
}
