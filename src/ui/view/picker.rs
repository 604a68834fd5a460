//! Help and palette: both are the key table, searchable and runnable.

use ratatui::layout::Rect;

use crate::ui::keymap::Group;
use crate::ui::model::{Model, Picker};
use crate::ui::pen::{Pen, width};
use crate::ui::theme::Role;
use crate::ui::update::{Choice, choices};

use super::dialog;
use super::dialogs::{chosen, cut, input};

/// Width of one column of help.
const COLUMN: u16 = 60;

pub(super) fn help(pen: &mut Pen<'_>, model: &Model, picker: &Picker, screen: Rect) {
    let list = choices(model, picker, false);
    let columns = (screen.width.saturating_sub(4) / COLUMN).clamp(1, 3);
    let searching = !picker.query.text().trim().is_empty();
    let rows = if searching {
        list.len()
    } else {
        list.len() + 2 * Group::ALL.len()
    };
    let per_column = rows.div_ceil(usize::from(columns)) as u16 + 2;
    let size = (
        (columns * COLUMN + 4).min(screen.width.saturating_sub(2)),
        (per_column + 4).min(screen.height.saturating_sub(2)),
    );
    let title = "Help · type to search, enter runs, esc closes";
    let inside = dialog(pen, screen, size, title, Role::Title);
    search_line(pen, picker, inside);
    let area = Rect::new(inside.x, inside.y + 2, inside.width, inside.height.saturating_sub(2));
    let lines = grouped(&list, searching);
    // The chosen line stays in view when not everything fits.
    let room = usize::from(area.height) * usize::from(columns);
    let at = lines
        .iter()
        .position(|line| matches!(line, Line::Choice(index, _) if *index == picker.at))
        .unwrap_or(0);
    let from = if lines.len() > room && at >= room {
        at + 1 - room
    } else {
        0
    };
    let width = area.width / columns;
    for (index, line) in lines.iter().skip(from).take(room).enumerate() {
        let column = (index / usize::from(area.height.max(1))) as u16;
        let y = area.y + (index % usize::from(area.height.max(1))) as u16;
        let cell = Rect::new(area.x + column * width, y, width.saturating_sub(2), 1);
        match line {
            Line::Blank => {}
            Line::Head(title) => {
                let style = pen.style(Role::Title);
                pen.text(cell.x, cell.y, cell.width, title, style);
            }
            Line::Choice(index, choice) => row(pen, choice, *index == picker.at, false, cell),
        }
    }
}

enum Line<'a> {
    Blank,
    Head(&'static str),
    Choice(usize, &'a Choice),
}

fn grouped(list: &[Choice], searching: bool) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut group: Option<Group> = None;
    for (index, choice) in list.iter().enumerate() {
        if !searching && group != Some(choice.binding.group) {
            if group.is_some() {
                lines.push(Line::Blank);
            }
            group = Some(choice.binding.group);
            lines.push(Line::Head(choice.binding.group.title()));
        }
        lines.push(Line::Choice(index, choice));
    }
    lines
}

fn search_line(pen: &mut Pen<'_>, picker: &Picker, inside: Rect) {
    let accent = pen.style(Role::Accent);
    pen.text(inside.x, inside.y, 2, "› ", accent);
    let field = Rect::new(inside.x + 2, inside.y, inside.width.saturating_sub(2), 1);
    input(pen, &picker.query, field);
}

fn row(pen: &mut Pen<'_>, choice: &Choice, is_chosen: bool, by_name: bool, cell: Rect) {
    let (key_role, text_role) = if choice.blocked.is_some() {
        (Role::Faint, Role::Faint)
    } else {
        (Role::Key, Role::Text)
    };
    let key_width = if by_name { 16 } else { 12 };
    let key = if by_name {
        choice.binding.name
    } else if choice.keys.is_empty() {
        "(palette)"
    } else {
        &choice.keys
    };
    let style = pen.style(key_role);
    pen.text(cell.x + 2, cell.y, key_width, key, style);
    let x = cell.x + 2 + key_width + 1;
    let mut room = cell.right().saturating_sub(x);
    if by_name {
        let keys = [pen.seg(choice.keys.clone(), key_role)];
        let used = width(&choice.keys);
        pen.segs_right(cell.right(), cell.y, used, &keys);
        room = room.saturating_sub(used + 2);
    }
    let help = match (&choice.argument, &choice.blocked) {
        (_, Some(why)) => format!("{}: {why}", choice.binding.short),
        (Some(argument), None) => format!("{}: {argument}", choice.binding.short),
        (None, None) => choice.binding.help.to_owned(),
    };
    let style = pen.style(text_role);
    let help = cut(&help, room);
    pen.text(x, cell.y, room, &help, style);
    if is_chosen {
        let style = chosen(pen);
        pen.tint(cell, style);
        let accent = pen.style(Role::Accent);
        pen.put(cell.x, cell.y, "▌", accent);
    }
}

pub(super) fn palette(pen: &mut Pen<'_>, model: &Model, picker: &Picker, screen: Rect) {
    let list = choices(model, picker, true);
    let size = (
        screen.width.saturating_sub(6).min(90),
        screen.height.saturating_sub(4).min(20),
    );
    let title = "Commands · sort score · filter agent:ava · note …";
    let inside = dialog(pen, screen, size, title, Role::Title);
    search_line(pen, picker, inside);
    let area = Rect::new(inside.x, inside.y + 2, inside.width, inside.height.saturating_sub(2));
    let room = usize::from(area.height);
    let from = (picker.at + 1).saturating_sub(room);
    for (index, choice) in list.iter().enumerate().skip(from).take(room) {
        let cell = Rect::new(area.x, area.y + (index - from) as u16, area.width, 1);
        row(pen, choice, index == picker.at, true, cell);
    }
    if list.is_empty() {
        let style = pen.style(Role::Dim);
        pen.text(area.x + 2, area.y, area.width, "no such command", style);
    }
}
