//! `view`: the model as a picture. Reads only; no clock, no I/O. Sizes are decided in [`areas`],
//! which `update` asks too, so that scrolling and drawing can never disagree.

mod banner;
mod call_words;
mod cards;
mod detail;
mod dialogs;
mod empty;
mod footer;
mod header;
mod picker;
mod quality;
mod rows;
#[cfg(test)]
mod tests;
mod transcript;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::call::{AgentLink, Call, CallStatus};
use crate::engine::LinkState;

use super::model::{Focus, Model, Overlay, Page, View};
use super::pen::{Pen, to_ascii};
use super::theme::{Role, Theme};

pub(crate) use banner::is_shown as has_banner;
pub(crate) use detail::scroll_max as detail_scroll_max;

/// Below this nothing useful fits.
const MIN: (u16, u16) = (40, 10);
/// Height from which a card gets a blank line after it.
const ROOMY: u16 = 26;

/// How the calls are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CallsStyle {
    #[default]
    Cards,
    /// One line a call.
    Rows,
    /// One line a call with every column and a head.
    Table,
}

/// Where everything goes on a screen of this size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Areas {
    pub is_too_small: bool,
    pub header: Rect,
    pub banner: Option<Rect>,
    pub body: Rect,
    pub footer: Rect,
    pub calls: Option<Rect>,
    /// Inside of the calls pane.
    pub calls_rows: Option<Rect>,
    pub calls_style: CallsStyle,
    /// The pane of the transcript; quality may share it.
    pub talk: Option<Rect>,
    pub transcript_rows: Option<Rect>,
    /// Lines for the quality figures, inside the talk pane or in a pane of their own.
    pub quality: Option<Rect>,
    /// Pane of its own round `quality`.
    pub quality_pane: Option<Rect>,
    pub detail: Option<Rect>,
    /// The detail is on the screen or one `tab` away.
    pub has_detail: bool,
}

/// Decides the layout.
pub(crate) fn areas(model: &Model) -> Areas {
    let (width, height) = model.size;
    if width < MIN.0 || height < MIN.1 {
        return Areas {
            is_too_small: true,
            body: Rect::new(0, 0, width, height),
            ..Areas::default()
        };
    }
    let banner_height = u16::from(has_banner(model));
    let body = Rect::new(0, 1 + banner_height, width, height - 2 - banner_height);
    let mut areas = Areas {
        header: Rect::new(0, 0, width, 1),
        banner: (banner_height > 0).then_some(Rect::new(0, 1, width, 1)),
        body,
        footer: Rect::new(0, height - 1, width, 1),
        ..Areas::default()
    };
    match (model.page, width) {
        (Page::Call, 0..100) => one_call_narrow(model, &mut areas),
        (Page::Call, _) => {
            let detail = (body.width * 2 / 5).min(90);
            let [talk, rest] = split_right(body, detail);
            areas.talk = Some(talk);
            areas.detail = Some(rest);
        }
        (Page::Board, 0..80) => single(model, &mut areas),
        (Page::Board, 80..100) if height < 20 => single(model, &mut areas),
        (Page::Board, 80..100) => stacked(&mut areas),
        (Page::Board, _) if model.view == View::Dense => dense(&mut areas),
        (Page::Board, 100..160) => {
            let calls = (body.width * 48 / 100).max(50);
            let [calls, talk] = split_left(body, calls);
            areas.calls = Some(calls);
            areas.talk = Some(talk);
        }
        (Page::Board, _) => {
            let calls = (body.width * 36 / 100).clamp(58, 84);
            let detail = (body.width * 28 / 100).clamp(46, 80);
            let [calls, rest] = split_left(body, calls);
            let [talk, detail] = split_right(rest, detail);
            areas.calls = Some(calls);
            areas.talk = Some(talk);
            areas.detail = Some(detail);
        }
    }
    areas.has_detail |= areas.detail.is_some();
    inner(&mut areas);
    areas
}

fn split_left(area: Rect, left: u16) -> [Rect; 2] {
    let left = left.min(area.width);
    [
        Rect::new(area.x, area.y, left, area.height),
        Rect::new(area.x + left, area.y, area.width - left, area.height),
    ]
}

fn split_right(area: Rect, right: u16) -> [Rect; 2] {
    split_left(area, area.width.saturating_sub(right))
}

fn split_top(area: Rect, top: u16) -> [Rect; 2] {
    let top = top.min(area.height);
    [
        Rect::new(area.x, area.y, area.width, top),
        Rect::new(area.x, area.y + top, area.width, area.height - top),
    ]
}

fn single(model: &Model, areas: &mut Areas) {
    areas.has_detail = true;
    match model.focus {
        Focus::Calls => {
            areas.calls = Some(areas.body);
            areas.calls_style = CallsStyle::Rows;
        }
        Focus::Transcript => areas.talk = Some(areas.body),
        Focus::Detail => areas.detail = Some(areas.body),
    }
}

fn one_call_narrow(model: &Model, areas: &mut Areas) {
    areas.has_detail = true;
    if model.focus == Focus::Detail {
        areas.detail = Some(areas.body);
    } else {
        areas.talk = Some(areas.body);
    }
}

fn stacked(areas: &mut Areas) {
    let [upper, quality] = split_top(areas.body, areas.body.height - 3);
    let [calls, talk] = split_top(upper, (upper.height / 2).max(5));
    areas.calls = Some(calls);
    areas.calls_style = CallsStyle::Rows;
    areas.talk = Some(talk);
    areas.quality_pane = Some(quality);
}

fn dense(areas: &mut Areas) {
    let [calls, lower] = split_top(areas.body, areas.body.height * 11 / 20);
    let [talk, detail] = split_right(lower, lower.width * 2 / 5);
    areas.calls = Some(calls);
    areas.calls_style = CallsStyle::Table;
    areas.talk = Some(talk);
    areas.detail = Some(detail);
}

/// Insides of the panes.
fn inner(areas: &mut Areas) {
    let inside = |pane: Rect| {
        Rect::new(
            pane.x + 1,
            pane.y + 1,
            pane.width.saturating_sub(2),
            pane.height.saturating_sub(2),
        )
    };
    areas.calls_rows = areas.calls.map(inside).map(|rows| match areas.calls_style {
        CallsStyle::Table => split_top(rows, 1)[1],
        _ => rows,
    });
    if let Some(talk) = areas.talk.map(inside) {
        let lines = match (areas.quality_pane, talk.height) {
            (Some(_), _) | (_, 0..12) => 0,
            (_, 12..18) => 2,
            (_, 18..) => 5,
        };
        // One line goes to the rule between the two.
        let taken = if lines > 0 { lines + 1 } else { 0 };
        let [rows, quality] = split_top(talk, talk.height - taken);
        areas.transcript_rows = Some(rows);
        if lines > 0 {
            areas.quality = Some(split_top(quality, 1)[1]);
        }
    }
    if let Some(pane) = areas.quality_pane {
        areas.quality = Some(inside(pane));
    }
}

/// Lines a call takes in the list.
pub(crate) fn card_height(call: &Call, style: CallsStyle, pane: u16) -> u16 {
    let talks = call.status == CallStatus::InProgress && call.agent_link != AgentLink::Connecting;
    match style {
        CallsStyle::Cards if talks => 4 + u16::from(pane >= ROOMY),
        _ => 1,
    }
}

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
        rows::head(pen, Rect::new(rows.x, rows.y - 1, rows.width, 1));
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

fn overlays(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    let Some(top) = model.overlays.last() else {
        return;
    };
    let screen = Rect::new(0, 0, model.size.0, model.size.1);
    let in_footer = matches!(top, Overlay::Prompt(prompt) if prompt.is_in_footer());
    // Dimming repaints the whole screen, which a slow link need not pay for.
    if !in_footer && !model.settings.is_remote_terminal {
        let faint = pen.style(Role::Faint);
        pen.tint(areas.body, faint);
    }
    match top {
        Overlay::Help(picker) => picker::help(pen, model, picker, screen),
        Overlay::Palette(picker) => picker::palette(pen, model, picker, screen),
        Overlay::Confirm(confirm) => dialogs::confirm(pen, model, confirm, screen),
        Overlay::Prompt(prompt) if in_footer => footer::prompt(pen, model, prompt, areas.footer),
        Overlay::Prompt(prompt) => dialogs::prompt(pen, model, prompt, screen),
        Overlay::Copy => dialogs::copy(pen, model, screen),
        Overlay::Quit => dialogs::quit(pen, model, screen),
        Overlay::Hear(call) => dialogs::hear(pen, model, *call, screen),
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

/// A box in the middle of the screen, blank and framed. Returns its inside.
fn dialog(pen: &mut Pen<'_>, screen: Rect, size: (u16, u16), title: &str, role: Role) -> Rect {
    let width = size.0.min(screen.width.saturating_sub(2));
    let height = size.1.min(screen.height.saturating_sub(2));
    let area = Rect::new(
        (screen.width - width) / 2,
        (screen.height - height) / 2,
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
