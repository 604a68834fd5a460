//! The footer: news, a prompt being typed, or the keys that work here.

use ratatui::layout::Rect;

use crate::call::Severity;
use crate::ui::keymap::{BINDINGS, Binding, Context, Group};
use crate::ui::model::{Ask, Model, Page, Prompt};
use crate::ui::pen::{Pen, width};
use crate::ui::theme::Role;
use crate::ui::update::why_not;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, area: Rect) {
    if let Some(toast) = &model.toast {
        let (glyph, role) = match toast.severity {
            Severity::Info => ("●", Role::Accent),
            Severity::Warn => ("▲", Role::Warn),
            Severity::Critical => ("▲", Role::Bad),
        };
        let style = pen.style(role);
        pen.text(area.x + 1, area.y, 1, glyph, style);
        let text = crate::call::text::clean(&toast.text).replace('\n', " ");
        pen.text(
            area.x + 3,
            area.y,
            area.width.saturating_sub(4),
            &text,
            style,
        );
        return;
    }
    let context = model.context();
    let mut keys: Vec<&Binding> = BINDINGS
        .iter()
        .filter(|binding| binding.footer > 0)
        .filter(|binding| binding.context == Context::Anywhere || binding.context == context)
        .filter(|binding| {
            !(model.page == Page::Call && binding.act == crate::ui::keymap::Act::Open)
        })
        .collect();
    // What matters most is kept when there is no room for all of it.
    keys.sort_by_key(|binding| binding.footer);
    let needed = |binding: &Binding| {
        let key = model.keymap.first(binding.act)?;
        Some(width(key) + 1 + width(binding.short) + 2)
    };
    let mut room = area.width.saturating_sub(1);
    keys.retain(|binding| match needed(binding) {
        Some(columns) if why_not(model, binding.act).is_none() && columns <= room => {
            room -= columns;
            true
        }
        _ => false,
    });
    // wallboard's own keys stand at the end.
    keys.sort_by_key(|binding| (binding.group == Group::App, binding.footer));
    let mut x = area.x + 1;
    let key_style = pen.style(Role::Key);
    let word_style = pen.style(Role::Dim);
    for binding in keys {
        let key = model.keymap.first(binding.act).unwrap_or_default();
        x += pen.text(x, area.y, area.width, key, key_style) + 1;
        x += pen.text(x, area.y, area.width, binding.short, word_style) + 2;
    }
}

/// Filter and search are typed in the footer, with the count beside them.
pub(super) fn prompt(pen: &mut Pen<'_>, model: &Model, prompt: &Prompt, area: Rect) {
    pen.clear(area);
    if prompt.ask == Ask::Speak {
        return speak(pen, prompt, area);
    }
    let hint_of = match prompt.ask {
        Ask::Past | Ask::Lead => "enter looks",
        _ => "enter keeps",
    };
    let count = match prompt.ask {
        Ask::Past => "since:8h flag:* alert:loop".to_owned(),
        Ask::Lead => "a lead's id, for instance L1".to_owned(),
        Ask::Filter => format!(
            "{} of {} calls",
            model.list.order.len(),
            model.list.candidates
        ),
        _ => {
            let hits = model
                .transcript
                .search()
                .map_or(0, |search| search.hits.len());
            format!("{hits} lines")
        }
    };
    let label = match prompt.ask {
        Ask::Filter => "filter /",
        Ask::Past => "past /",
        Ask::Lead => "lead",
        _ => "search /",
    };
    let hint = format!("{count} · {hint_of} · esc takes back");
    let hint_segs = [pen.seg(hint, Role::Dim)];
    let used = pen.segs_right(area.right() - 1, area.y, area.width / 2, &hint_segs);
    let accent = pen.style(Role::Accent);
    let x = area.x + 1 + pen.text(area.x + 1, area.y, 10, label, accent);
    let room = area.width.saturating_sub(used + 12);
    super::dialogs::input(pen, &prompt.input, Rect::new(x, area.y, room, 1));
}

/// The line that is spoken to the caller.
fn speak(pen: &mut Pen<'_>, prompt: &Prompt, area: Rect) {
    let (hint, role) = match &prompt.error {
        Some(error) => (
            crate::call::text::clean_label(error).into_owned(),
            Role::Warn,
        ),
        None => ("enter says it · esc leaves the line".to_owned(), Role::Dim),
    };
    let hint_segs = [pen.seg(hint, role)];
    let used = pen.segs_right(area.right() - 1, area.y, area.width / 2, &hint_segs);
    let style = pen.style(Role::Operator);
    let x = area.x + 1 + pen.text(area.x + 1, area.y, 12, "you speak › ", style);
    let room = area.width.saturating_sub(used + 15);
    super::dialogs::input(pen, &prompt.input, Rect::new(x, area.y, room, 1));
}
