//! `view`: the model as a picture. Reads only; no clock, no I/O. Sizes are decided in [`areas()`],
//! which `update` asks too, so that scrolling and drawing can never disagree.

mod alerts;
mod areas;
mod audit;
mod banner;
mod call_words;
mod cards;
mod columns;
mod detail;
mod dialogs;
mod empty;
mod footer;
mod groups;
mod header;
mod history;
mod lead;
mod mosaic;
mod picker;
mod quality;
mod rows;
#[cfg(test)]
mod tests;
mod transcript;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::engine::LinkState;

use super::model::{Focus, Model, Overlay, Page};
use super::pen::{Pen, Seg, to_ascii};
use super::theme::{Role, Theme};
use super::update::marked_here;

pub(crate) use areas::{Areas, CallsStyle, areas, card_height};
pub(crate) use banner::is_shown as has_banner;
pub(crate) use detail::scroll_max as detail_scroll_max;
pub(crate) use picker::beside;

/// Draws the whole screen. The model must have been prepared (see `update::prepare`).
pub fn draw(model: &Model, theme: &Theme, is_ascii: bool, buffer: &mut Buffer) {
    let areas = areas(model);
    let mut pen = Pen { buffer, theme };
    if areas.is_too_small {
        too_small(&mut pen, areas.body);
    } else {
        board(&mut pen, model, &areas);
    }
    if is_ascii {
        to_ascii(pen.buffer);
    }
}

fn board(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    header::draw(pen, model, areas.header);
    let nothing = model.list.order.is_empty() && model.filter.is_empty();
    if nothing && model.page == Page::Board {
        empty::draw(pen, model, areas.body);
    } else {
        match model.page {
            Page::Alerts => alerts::draw(pen, model, areas),
            Page::Quality => groups::draw(pen, model, areas),
            Page::History => history::draw(pen, model, areas),
            Page::Audit => audit::draw(pen, model, areas),
            Page::Lead => lead::draw(pen, model, areas),
            Page::Board | Page::Call => {}
        }
        if let Some(panes) = areas.mosaic {
            mosaic::draw(pen, model, &panes);
        }
        if let Some(pane) = areas.calls {
            calls(pen, model, areas, pane);
        }
        if areas.talk.is_some() {
            transcript::draw(pen, model, areas);
        }
        if let Some(pane) = areas.quality_pane {
            let title = [pen.seg("Quality", Role::Title)];
            pen.pane(pane, &title, &[], false);
        }
        if let Some(area) = areas.quality {
            quality::draw(pen, model, area);
        }
        if let Some(pane) = areas.detail {
            detail::draw(pen, model, pane);
        }
        if model.is_stale() {
            let stale = pen.style(Role::Stale);
            pen.tint(areas.body, stale);
        }
    }
    if let Some(area) = areas.banner {
        banner::draw(pen, model, area);
    }
    footer::draw(pen, model, areas.footer);
    overlays(pen, model, areas);
}

fn calls(pen: &mut Pen<'_>, model: &Model, areas: &Areas, pane: Rect) {
    let list = &model.list;
    let title = calls_title(pen, model);
    let rows = areas.calls_rows.unwrap_or_default();
    let above = list
        .tops
        .iter()
        .take(list.order.len())
        .filter(|top| (**top as i32) < list.offset)
        .count();
    let shown_to = list.offset + i32::from(rows.height);
    let below = list
        .tops
        .iter()
        .skip(1)
        .filter(|bottom| (**bottom as i32) > shown_to)
        .count();
    let foot = match (above, below) {
        (0, 0) => String::new(),
        (0, below) => format!("{below} below"),
        (above, 0) => format!("{above} above"),
        (above, below) => format!("{above} above · {below} below"),
    };
    let foot: Vec<_> = if foot.is_empty() {
        Vec::new()
    } else {
        vec![pen.seg(foot, Role::Dim)]
    };
    let focused = model.focus == Focus::Calls && model.page == Page::Board;
    pen.pane(pane, &title, &foot, focused);
    if list.order.is_empty() {
        let style = pen.style(Role::Dim);
        let text = "no call passes this filter · esc clears it";
        pen.text(
            rows.x + 2,
            rows.y + 1,
            rows.width.saturating_sub(4),
            text,
            style,
        );
        return;
    }
    if areas.calls_style == CallsStyle::Table {
        rows::head(pen, model, Rect::new(rows.x, rows.y - 1, rows.width, 1));
    }
    for (id, y) in super::update::visible(model) {
        let Some(call) = model.board.get(id) else {
            continue;
        };
        match areas.calls_style {
            CallsStyle::Cards => cards::draw(pen, model, call, rows, y),
            CallsStyle::Rows => rows::draw(pen, model, call, rows, y),
            CallsStyle::Table => rows::wide(pen, model, call, rows, y),
        }
    }
}

/// How many calls, in what order, what is left out, how many are marked.
fn calls_title<'a>(pen: &Pen<'_>, model: &'a Model) -> Vec<Seg<'a>> {
    let list = &model.list;
    let mut title = vec![pen.seg("Calls ", Role::Title)];
    let count = if list.order.len() == list.candidates {
        list.candidates.to_string()
    } else {
        format!("{} of {}", list.order.len(), list.candidates)
    };
    title.push(pen.seg(count, Role::Title));
    let order = if model.reversed { " reversed" } else { "" };
    title.push(pen.seg(format!(" · by {}{order}", model.sort.as_str()), Role::Dim));
    if !model.filter.is_empty() {
        title.push(pen.seg(" · ", Role::Dim));
        title.push(pen.seg(format!("/{}", model.filter.text()), Role::Accent));
    }
    if model.keep_ended {
        title.push(pen.seg(" · ended kept", Role::Dim));
    }
    title.extend(marked(pen, model));
    title
}

/// How many calls of this list are marked.
fn marked<'a>(pen: &Pen<'_>, model: &Model) -> Option<Seg<'a>> {
    let count = marked_here(model).len();
    (count > 0).then(|| pen.seg(format!(" · {count} marked"), Role::Accent))
}

fn overlays(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    let Some(top) = model.overlays.last() else {
        return;
    };
    let screen = Rect::new(0, 0, model.size.0, model.size.1);
    let in_footer = matches!(top, Overlay::Prompt(prompt) if prompt.is_in_footer());
    // Dimming repaints the whole screen, which a slow link need not pay for.
    // What is chosen among columns is seen in the table behind.
    let is_beside = in_footer || matches!(top, Overlay::Columns(_));
    if !is_beside && !model.settings.is_remote_terminal {
        let faint = pen.style(Role::Faint);
        pen.tint(areas.body, faint);
    }
    match top {
        Overlay::Help(picker) => picker::help(pen, model, picker, screen),
        Overlay::Palette(picker) => picker::palette(pen, model, picker, screen),
        Overlay::Confirm(confirm) => dialogs::confirm(pen, model, confirm, screen),
        Overlay::Group(ask) => dialogs::group(pen, model, ask, screen),
        Overlay::Prompt(prompt) if in_footer => footer::prompt(pen, model, prompt, areas.footer),
        Overlay::Prompt(prompt) => dialogs::prompt(pen, model, prompt, screen),
        Overlay::Demo => dialogs::demo(pen, model, screen),
        Overlay::Copy => dialogs::copy(pen, model, screen),
        Overlay::Quit => dialogs::quit(pen, model, screen),
        Overlay::Hear(call) => dialogs::hear(pen, model, *call, screen),
        Overlay::HearRecording(id) => dialogs::hear_recording(pen, model, id, screen),
        Overlay::Columns(at) => columns::picker(pen, model, *at, screen),
    }
}

fn too_small(pen: &mut Pen<'_>, area: Rect) {
    let strong = pen.style(Role::Strong);
    let dim = pen.style(Role::Dim);
    let lines = [
        ("wallboard", strong),
        ("needs 40x10", dim),
        ("calls go on", dim),
    ];
    let top = area.height.saturating_sub(lines.len() as u16) / 2;
    for (index, (text, style)) in lines.into_iter().enumerate() {
        let x = area.width.saturating_sub(text.len() as u16) / 2;
        pen.text(x, top + index as u16, area.width, text, style);
    }
}

/// First row of a list of `total` to show in `height` rows so that `at` is seen, in the middle as far
/// as possible.
pub(crate) fn first_row(at: usize, total: usize, height: u16) -> usize {
    let height = usize::from(height);
    at.saturating_sub(height / 2)
        .min(total.saturating_sub(height))
}

/// A box in the middle of the screen, blank and framed. Returns its inside.
fn dialog(pen: &mut Pen<'_>, screen: Rect, size: (u16, u16), title: &str, role: Role) -> Rect {
    let width = size.0.min(screen.width.saturating_sub(2));
    let height = size.1.min(screen.height.saturating_sub(2));
    let area = Rect::new(
        screen.x + (screen.width - width) / 2,
        screen.y + (screen.height - height) / 2,
        width,
        height,
    );
    pen.clear(area);
    let title = [pen.seg(title.to_owned(), role)];
    let inside = pen.pane(area, &title, &[], true);
    Rect::new(
        inside.x + 1,
        inside.y,
        inside.width.saturating_sub(2),
        inside.height,
    )
}

/// Whether the backend can be reached.
fn is_up(link: &LinkState) -> bool {
    matches!(link, LinkState::Up | LinkState::Embedded)
}
