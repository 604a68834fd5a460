//! Where everything goes on a screen of some size. `update` asks here too, so that scrolling and
//! drawing can never disagree.

use ratatui::layout::Rect;

use crate::call::{AgentLink, Call, CallStatus};
use crate::ui::model::{Focus, Model, Page, View};

use super::has_banner;

/// Below this nothing useful fits.
const MIN: (u16, u16) = (40, 10);
/// Height from which a card gets a blank line after it.
const ROOMY: u16 = 26;

/// Height from which a card also shows what was said before the last words.
const TALL: u16 = 72;

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
    /// So is the transcript.
    pub has_talk: bool,
    /// The list of a page that is not the board.
    pub list: Option<Rect>,
    /// Its rows, without its head.
    pub list_rows: Option<Rect>,
    /// Beneath it: the calls of a group.
    pub below: Option<Rect>,
    pub mosaic: Option<[Rect; 4]>,
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
        (Page::Quality, _) => {
            let most = body.height.saturating_sub(6).max(6);
            let groups = (model.groups.rows.len() as u16 + 4).clamp(6, most);
            let [list, below] = split_top(body, groups.max(body.height / 3));
            areas.list = Some(list);
            areas.below = Some(below).filter(|below| below.height >= 4);
        }
        (Page::Audit, _) => areas.list = Some(body),
        (Page::Lead, _) => {
            // The line under the cursor is shown whole below the list.
            let [list, below] = split_top(body, body.height.saturating_sub(7).max(5));
            areas.list = Some(list);
            areas.below = Some(below).filter(|below| below.height >= 4);
        }
        (Page::Alerts | Page::History, 0..80) => beside(model, &mut areas),
        (Page::Alerts | Page::History, 80..100) if height < 20 => beside(model, &mut areas),
        (Page::Alerts | Page::History, 80..100) => {
            let [list, talk] = split_top(body, (body.height / 2).max(5));
            areas.list = Some(list);
            areas.talk = Some(talk);
        }
        (Page::Alerts | Page::History, _) => {
            let [list, talk] = split_left(body, (body.width * 52 / 100).max(56));
            areas.list = Some(list);
            areas.talk = Some(talk);
            if width >= 200 {
                let [talk, detail] = split_right(talk, (talk.width * 45 / 100).min(70));
                areas.talk = Some(talk);
                areas.detail = Some(detail);
            }
        }
        (Page::Board, _) if model.is_wide => {
            areas.calls = Some(body);
            areas.calls_style = if width < 100 {
                CallsStyle::Rows
            } else {
                CallsStyle::Table
            };
        }
        (Page::Board, 60..) if model.view == View::Mosaic && height >= 16 => mosaic(&mut areas),
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
    areas.has_talk |= areas.talk.is_some() || areas.has_detail;
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

/// List or transcript, whichever has the focus.
fn beside(model: &Model, areas: &mut Areas) {
    areas.has_talk = true;
    match model.focus {
        Focus::Calls => areas.list = Some(areas.body),
        Focus::Transcript | Focus::Detail => areas.talk = Some(areas.body),
    }
}

fn mosaic(areas: &mut Areas) {
    let [upper, lower] = split_top(areas.body, areas.body.height / 2);
    let [a, b] = split_left(upper, upper.width / 2);
    let [c, d] = split_left(lower, lower.width / 2);
    areas.mosaic = Some([a, b, c, d]);
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
    areas.list_rows = areas.list.map(inside).map(|rows| split_top(rows, 1)[1]);
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
        CallsStyle::Cards if talks => 4 + u16::from(pane >= ROOMY) + u16::from(pane >= TALL),
        _ => 1,
    }
}
