//! Help and palette: both are the key table, searchable and runnable.

use ratatui::layout::Rect;

use crate::ui::keymap::Group;
use crate::ui::model::{Model, Picker};
use crate::ui::pen::{Pen, width};
use crate::ui::theme::Role;
use crate::ui::update::{Choice, choices};

use super::dialog;
use super::dialogs::{chosen, cut, input};

/// Width of one column of help with whole sentences.
const COLUMN: u16 = 57;
/// Width of one column with a word each, for small screens.
const COLUMN_SMALL: u16 = 19;

/// How a row is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Keys, then a sentence.
    Sentence,
    /// First key, then a word or two.
    Word,
    /// Name, sentence, keys at the right.
    Command,
}

enum Line<'a> {
    Blank,
    Head(&'static str),
    Choice(usize, &'a Choice),
}

/// How help is laid out: it flows down one column and on to the next.
struct Flow {
    form: Form,
    columns: u16,
    /// Lines in one column.
    rows: u16,
    size: (u16, u16),
}

impl Flow {
    fn of(screen: (u16, u16), lines: usize, searching: bool) -> Self {
        let room = screen.0.saturating_sub(4);
        let (form, column) = if room >= 2 * COLUMN {
            (Form::Sentence, COLUMN)
        } else if searching {
            (Form::Sentence, room)
        } else {
            (Form::Word, COLUMN_SMALL)
        };
        let columns = (room / column.max(1)).clamp(1, 4).min(lines.max(1) as u16);
        let per_column = lines.div_ceil(usize::from(columns)) as u16;
        let wide = (columns * column + 4).max(60);
        let size = (
            wide.min(screen.0.saturating_sub(2)),
            (per_column + 6).min(screen.1.saturating_sub(2)),
        );
        // The frame, the line to type in, and the whole sentence of the chosen one below.
        let rows = size.1.saturating_sub(5).max(1);
        Self {
            form,
            columns,
            rows,
            size,
        }
    }

    /// The first line shown when `at` is the chosen one: whole columns go, so that the others stand
    /// where they stood.
    fn from(&self, at: usize) -> usize {
        let rows = usize::from(self.rows);
        let column = at / rows;
        (column + 1).saturating_sub(usize::from(self.columns)) * rows
    }
}

/// The choice beside the chosen one, in the next or the previous column of help.
pub(crate) fn beside(model: &Model, picker: &Picker, forward: bool) -> usize {
    let list = choices(model, picker, false);
    let lines = grouped(&list, false);
    let flow = Flow::of(model.size, lines.len(), false);
    let at = line_of(&lines, picker.at);
    let to = if forward {
        at + usize::from(flow.rows)
    } else {
        at.saturating_sub(usize::from(flow.rows))
    };
    let choice = |line: &Line<'_>| match line {
        Line::Choice(index, _) => Some(*index),
        Line::Blank | Line::Head(_) => None,
    };
    let below = lines.iter().skip(to).find_map(choice);
    below.unwrap_or(list.len().saturating_sub(1))
}

/// The line on which the chosen one stands.
fn line_of(lines: &[Line<'_>], chosen: usize) -> usize {
    lines
        .iter()
        .position(|line| matches!(line, Line::Choice(index, _) if *index == chosen))
        .unwrap_or(0)
}

pub(super) fn help(pen: &mut Pen<'_>, model: &Model, picker: &Picker, screen: Rect) {
    let list = choices(model, picker, false);
    let searching = !picker.query.text().trim().is_empty();
    let lines = grouped(&list, searching);
    let flow = Flow::of((screen.width, screen.height), lines.len(), searching);
    let title = "Help · type to search, enter runs, esc closes";
    let inside = dialog(pen, screen, flow.size, title, Role::Title);
    let rows = usize::from(flow.rows);
    let area = Rect::new(inside.x, inside.y + 1, inside.width, flow.rows);
    let capacity = rows * usize::from(flow.columns);
    let from = flow.from(line_of(&lines, picker.at));
    let left_out = |lines: &[Line<'_>]| {
        let choices = lines.iter().filter(|line| matches!(line, Line::Choice(..)));
        choices.count()
    };
    let above = left_out(lines.get(..from).unwrap_or_default());
    let below = left_out(lines.get(from + capacity..).unwrap_or_default());
    search_line(pen, picker, inside, list.len(), (above, below));
    let column = area.width / flow.columns;
    for (index, line) in lines.iter().skip(from).take(capacity).enumerate() {
        let x = area.x + (index / rows) as u16 * column;
        let y = area.y + (index % rows) as u16;
        let cell = Rect::new(x, y, column.saturating_sub(1), 1);
        match line {
            Line::Blank => {}
            Line::Head(title) => {
                let style = pen.style(Role::Title);
                pen.text(cell.x, cell.y, cell.width, title, style);
            }
            Line::Choice(index, choice) => row(pen, choice, *index == picker.at, flow.form, cell),
        }
    }
    let y = inside.bottom() - 1;
    if let Some(choice) = list.get(picker.at) {
        let style = pen.style(Role::Accent);
        let name = match choice.keys.as_str() {
            "" => format!(":{} · ", choice.binding.name),
            _ => String::new(),
        };
        let whole = format!("{name}{}", sentence(choice));
        pen.text(inside.x, y, inside.width, &cut(&whole, inside.width), style);
    } else {
        let style = pen.style(Role::Dim);
        let text = "nothing by that name; backspace, or esc";
        pen.text(inside.x, y, inside.width, text, style);
    }
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

/// What is typed, and where in the list one is: the chosen one's place, and what has no room.
fn search_line(
    pen: &mut Pen<'_>,
    picker: &Picker,
    inside: Rect,
    count: usize,
    (above, below): (usize, usize),
) {
    let accent = pen.style(Role::Accent);
    pen.text(inside.x, inside.y, 2, "› ", accent);
    let mut place = match count {
        0 => "none".to_owned(),
        count => format!("{} of {count}", picker.at + 1),
    };
    for (more, glyph) in [(above, "▲"), (below, "▼")] {
        if more > 0 {
            place = format!("{place} · {glyph} {more} more");
        }
    }
    let used = width(&place) + 1;
    let segs = [pen.seg(place, Role::Dim)];
    pen.segs_right(inside.right(), inside.y, used, &segs);
    let room = inside.width.saturating_sub(2 + used);
    input(
        pen,
        &picker.query,
        Rect::new(inside.x + 2, inside.y, room, 1),
    );
}

/// What it does, with what argument, or why not now.
fn sentence(choice: &Choice) -> String {
    match (&choice.argument, &choice.blocked) {
        (_, Some(why)) => format!("{}: {why}", choice.binding.short),
        (Some(argument), None) => format!("{}: {argument}", choice.binding.short),
        (None, None) => choice.binding.help.to_owned(),
    }
}

fn row(pen: &mut Pen<'_>, choice: &Choice, is_chosen: bool, form: Form, cell: Rect) {
    let (key_role, text_role) = if choice.blocked.is_some() {
        (Role::Faint, Role::Faint)
    } else {
        (Role::Key, Role::Text)
    };
    let first_key = choice.keys.split(' ').next().unwrap_or_default();
    let command = format!(":{}", choice.binding.name);
    let (label, label_width) = match form {
        Form::Command => (choice.binding.name, 16),
        Form::Word => (short_key(first_key), 6),
        Form::Sentence if choice.keys.is_empty() => (command.as_str(), width(&command).max(11)),
        Form::Sentence => (choice.keys.as_str(), 11),
    };
    let style = pen.style(key_role);
    pen.text(cell.x + 1, cell.y, label_width, label, style);
    let x = cell.x + 2 + label_width;
    let mut room = cell.right().saturating_sub(x);
    if form == Form::Command {
        let keys = [pen.seg(choice.keys.clone(), key_role)];
        let used = width(&choice.keys);
        pen.segs_right(cell.right(), cell.y, used, &keys);
        room = room.saturating_sub(used + 2);
    }
    let text = match form {
        Form::Word => choice.binding.short.to_owned(),
        Form::Sentence | Form::Command => sentence(choice),
    };
    let style = pen.style(text_role);
    pen.text(x, cell.y, room, &cut(&text, room), style);
    if is_chosen {
        let style = chosen(pen);
        pen.tint(cell, style);
        let accent = pen.style(Role::Accent);
        pen.put(cell.x, cell.y, "▌", accent);
    }
}

/// A key in at most six columns.
fn short_key(key: &str) -> &str {
    match key {
        "" => ":",
        "backtab" => "S-tab",
        key => key,
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
    let area = Rect::new(
        inside.x,
        inside.y + 2,
        inside.width,
        inside.height.saturating_sub(2),
    );
    let room = usize::from(area.height);
    let from = (picker.at + 1).saturating_sub(room);
    let below = list.len().saturating_sub(from + room);
    search_line(pen, picker, inside, list.len(), (from, below));
    for (index, choice) in list.iter().enumerate().skip(from).take(room) {
        let cell = Rect::new(area.x, area.y + (index - from) as u16, area.width, 1);
        row(pen, choice, index == picker.at, Form::Command, cell);
    }
    if list.is_empty() {
        let style = pen.style(Role::Dim);
        pen.text(area.x + 2, area.y, area.width, "no such command", style);
    }
}
