//! The footer: news, a prompt being typed, or the keys that work here.

use ratatui::layout::Rect;

use crate::call::Severity;
use crate::ui::keymap::{BINDINGS, Binding, Context};
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
    keys.sort_by_key(|binding| binding.footer);
    let mut x = area.x + 1;
    let key_style = pen.style(Role::Key);
    let word_style = pen.style(Role::Dim);
    // Help and quit keep their place at the end, however narrow the screen.
    let always: u16 = 8;
    for (index, binding) in keys.iter().enumerate() {
        let Some(key) = model.keymap.first(binding.act) else {
            continue;
        };
        if why_not(model, binding.act).is_some() {
            continue;
        }
        let needed = width(key) + 1 + width(binding.short) + 2;
        let is_last = keys[index..]
            .iter()
            .all(|rest| rest.act == crate::ui::keymap::Act::Help || rest.footer > 9);
        let reserve = if is_last { 0 } else { always };
        if x + needed + reserve > area.right() {
            continue;
        }
        x += pen.text(x, area.y, needed, key, key_style) + 1;
        x += pen.text(x, area.y, needed, binding.short, word_style) + 2;
    }
}

/// Filter and search are typed in the footer, with the count beside them.
pub(super) fn prompt(pen: &mut Pen<'_>, model: &Model, prompt: &Prompt, area: Rect) {
    pen.clear(area);
    if prompt.ask == Ask::Speak {
        return speak(pen, prompt, area);
    }
    let count = match prompt.ask {
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
        _ => "search /",
    };
    let hint = format!("{count} · enter keeps · esc takes back");
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
