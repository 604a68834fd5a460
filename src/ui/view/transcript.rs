//! The transcript pane: rows in view only, with time, speaker, text, latency.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::call::{LineBody, Track};
use crate::ui::model::{Focus, Model, Page};
use crate::ui::pen::{Pen, Seg, width};
use crate::ui::theme::Role;
use crate::ui::transcript::{Columns, Row, speaker};
use crate::ui::update::shown_number;
use crate::ui::words::{agent_name, arrow, duration, seconds, status_word};

use super::Areas;
use super::call_words::{headline, status_role, track_role};
use super::quality::turn_role;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    let Some(pane) = areas.talk else {
        return;
    };
    let focused = model.focus == Focus::Transcript;
    let title = title(pen, model);
    let status = status(pen, model);
    // With quality in the same pane the status line is the rule between them.
    let shares = areas.quality.is_some() && areas.quality_pane.is_none();
    let foot: &[Seg<'_>] = if shares { &[] } else { &status };
    let inside = pen.pane(pane, &title, foot, focused);
    let Some(rows) = areas.transcript_rows else {
        return;
    };
    if shares {
        let y = rows.bottom();
        pen.rule(Rect::new(inside.x, y, inside.width, 1), y, &status);
    }
    if model.transcript.is_empty() {
        let style = pen.style(Role::Faint);
        let text = match model.selected() {
            Some(_) => "nothing said yet",
            None => "no call selected",
        };
        pen.text(rows.x + 1, rows.y, rows.width, text, style);
        return;
    }
    let columns = Columns::of(rows.width);
    for (index, row) in model.transcript.visible().enumerate() {
        line(pen, model, &row, columns, rows, rows.y + index as u16);
    }
}

fn title<'a>(pen: &Pen<'_>, model: &'a Model) -> Vec<Seg<'a>> {
    let Some(call) = model.selected() else {
        return vec![pen.seg("Transcript", Role::Title)];
    };
    let mut title = Vec::new();
    if model.page == Page::Call {
        title.push(pen.seg(status_word(call), status_role(call)));
        let time = duration(call.elapsed_s(model.board_now()));
        title.push(pen.seg(format!(" {time} · "), Role::Text));
    }
    let number = shown_number(model, call);
    let number = crate::call::text::clean_label(&number).into_owned();
    let agent = agent_name(call);
    let agent = crate::call::text::clean_label(&agent).into_owned();
    let arrow = arrow(call.facts.direction);
    title.push(pen.seg(format!("{number} {arrow} {agent}"), Role::Title));
    if model.page == Page::Call {
        let line = headline(model, call);
        if matches!(line.role, Role::Bad | Role::Warn | Role::Operator) {
            title.push(pen.seg(" · ", Role::Dim));
            title.push(pen.seg(format!("{} ", line.glyph), line.role));
            title.push(pen.seg(line.text, line.role));
        }
    }
    if let Some(name) = call.facts.name.as_deref().filter(|name| !name.is_empty()) {
        title.push(pen.seg(" · ", Role::Dim));
        title.push(pen.outside(name, Role::Title));
    }
    title
}

/// Following or not, how much is new below, matches.
fn status<'a>(pen: &Pen<'_>, model: &Model) -> Vec<Seg<'a>> {
    let transcript = &model.transcript;
    let mut segs = Vec::new();
    if transcript.is_following() {
        segs.push(pen.seg("following", Role::Dim));
    } else {
        let unseen = transcript.unseen();
        let key = model.key(crate::ui::keymap::Act::Bottom);
        let text = if unseen > 0 {
            format!("↓ {unseen} new · {key} follows")
        } else {
            format!("scrolled · {key} follows")
        };
        segs.push(pen.seg(text, Role::Accent));
    }
    if let Some(call) = model.selected() {
        let turns = call.turns.len();
        if turns > 0 {
            let s = if turns == 1 { "" } else { "s" };
            segs.push(pen.seg(format!(" · {turns} turn{s}"), Role::Dim));
        }
        if call.lines_dropped > 0 && model.older.is_none() {
            segs.push(pen.seg(format!(" · {} earlier", call.lines_dropped), Role::Dim));
        }
    }
    if let Some(search) = transcript.search() {
        let at = if search.hits.is_empty() {
            0
        } else {
            search.at + 1
        };
        let text = format!(" · /{} {at} of {}", search.query, search.hits.len());
        segs.push(pen.seg(text, Role::Accent));
    }
    segs
}

/// One row of a transcript.
pub(super) fn line(
    pen: &mut Pen<'_>,
    model: &Model,
    row: &Row<'_>,
    columns: Columns,
    area: Rect,
    y: u16,
) {
    let entry = row.entry;
    let text_x = area.x + columns.time + columns.speaker;
    if row.is_first {
        if columns.time > 0 {
            let at = entry.line.at.with_timezone(&model.zone());
            let style = pen.style(Role::Faint);
            pen.text(area.x, y, 8, &at.format("%H:%M:%S").to_string(), style);
        }
        let role = match &entry.line.body {
            LineBody::Speech { track, .. } => track_role(*track),
            _ => Role::Dim,
        };
        let style = pen.style(role);
        let x = area.x + columns.time;
        pen.text(x, y, columns.speaker - 1, speaker(&entry.line), style);
        if row.is_evidence {
            let style = pen.style(Role::Bad);
            pen.put(x + columns.speaker - 2, y, "▲", style);
        }
        right(pen, row, columns, area, y);
    }
    let Some(text) = row.text else {
        let tail = entry.tail.as_deref().unwrap_or_default();
        let style = pen.style(Role::Dim);
        let room = area.right().saturating_sub(text_x);
        pen.text(text_x, y, room, tail, style);
        return;
    };
    let style = text_style(pen, row);
    pen.text(text_x, y, columns.text, text, style);
    watched(pen, row, text, text_x, y);
    if let Some(search) = model.transcript.search() {
        highlight(pen, text, &search.query, text_x, y);
    }
    // The cut mark stands out from the words before it.
    if text.ends_with('⌿') {
        let x = text_x + width(text).saturating_sub(1);
        let style = pen.style(Role::Warn);
        pen.put(x, y, "⌿", style);
    }
}

/// Interim words are dim and become firm; what the operator made the agent say is marked by hue.
fn text_style(pen: &Pen<'_>, row: &Row<'_>) -> Style {
    match &row.entry.line.body {
        LineBody::Speech { interim: true, .. } => pen.style(Role::Dim),
        LineBody::Speech { cut: Some(cut), .. } if cut.is_unheard() => pen.style(Role::Dim),
        LineBody::Speech {
            track: Track::FromOperator,
            ..
        } => pen.style(Role::Operator),
        LineBody::Speech { .. } if row.entry.is_repeat => {
            let style = pen.style(Role::Text);
            style.add_modifier(Modifier::UNDERLINED)
        }
        LineBody::Speech { .. } => pen.style(Role::Text),
        LineBody::Tool { .. } | LineBody::Mark { .. } => pen.style(Role::Dim),
    }
}

/// Latency of the turn, `repeat`, or how a tool call went.
fn right(pen: &mut Pen<'_>, row: &Row<'_>, columns: Columns, area: Rect, y: u16) {
    if columns.right == 0 {
        return;
    }
    let mut segs = Vec::new();
    match &row.entry.line.body {
        LineBody::Speech { latency_ms, .. } => {
            if row.entry.is_repeat {
                segs.push(pen.seg("rep ", Role::Warn));
            }
            if let Some(ms) = latency_ms {
                let role = match turn_role(Some(*ms)) {
                    Role::Good => Role::Dim,
                    role => role,
                };
                segs.push(pen.seg(seconds(*ms), role));
            }
        }
        LineBody::Tool { ok, took_ms, .. } => {
            let (word, role) = match ok {
                None => ("…", Role::Info),
                Some(true) => ("ok", Role::Good),
                Some(false) => ("✗", Role::Bad),
            };
            segs.push(pen.seg(word, role));
            if let Some(ms) = took_ms {
                segs.push(pen.seg(format!(" {}", seconds(*ms)), Role::Dim));
            }
        }
        LineBody::Mark { .. } => {}
    }
    pen.segs_right(area.right(), y, columns.right, &segs);
}

/// Lights up watch words.
fn watched(pen: &mut Pen<'_>, row: &Row<'_>, text: &str, x: u16, y: u16) {
    for hit in &row.entry.hits {
        let from = hit.start.max(row.range.start);
        let to = hit.end.min(row.range.end);
        let before = text.get(..from.saturating_sub(row.range.start));
        let found = row.entry.text.get(from..to.max(from));
        if let (true, Some(before), Some(found)) = (from < to, before, found) {
            let style = pen.style(Role::Match);
            pen.tint(Rect::new(x + width(before), y, width(found), 1), style);
        }
    }
}

fn highlight(pen: &mut Pen<'_>, text: &str, query: &str, x: u16, y: u16) {
    let exact = query.chars().any(char::is_uppercase);
    let (haystack, needle) = if exact {
        (text.to_owned(), query.to_owned())
    } else {
        (text.to_lowercase(), query.to_lowercase())
    };
    // Lower case may change byte lengths; then the place on the row cannot be told.
    if needle.is_empty() || haystack.len() != text.len() {
        return;
    }
    let style = pen.style(Role::Match);
    for (at, found) in haystack.match_indices(&needle) {
        let Some(before) = text.get(..at) else {
            continue;
        };
        let area = Rect::new(x + width(before), y, width(found), 1);
        pen.tint(area, style);
    }
}
