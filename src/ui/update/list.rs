//! The list of calls: which are shown, in what order, on which line; and the cursor in it.
//!
//! The row under the cursor never moves from under it: when the order changes, the others are
//! arranged round it and the scroll position makes up for what came or went above.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::{Alert, Call, CallId, CallStatus, PendingState};
use crate::ui::model::{ENDED_FADE, Model, Page};
use crate::ui::order::{Rank, Sort, SortKey, score_of};
use crate::ui::view::{Areas, CallsStyle, card_height};

/// Blank lines at most above the first call while the cursor's row is held in place.
const LEAD_MAX: i32 = 4;

/// Whether time alone has made the order stale: an ended call fades, a snooze runs out.
pub(super) fn is_due(model: &Model) -> bool {
    let now = model.board_now();
    model
        .list
        .order
        .iter()
        .any(|id| match model.board.get(*id) {
            None => true,
            Some(call) => !is_shown(model, call),
        })
        || model.board.live().any(|call| {
            call.alerts.iter().any(|alert| {
                alert.snoozed_until.is_some_and(|until| {
                    until <= now && until > now - chrono::TimeDelta::seconds(2)
                })
            })
        })
}

fn is_shown(model: &Model, call: &Call) -> bool {
    let is_looked_at = model.list.selected == Some(call.id)
        && !(model.page == Page::Board && model.is_unattended());
    if call.is_live() || model.keep_ended || is_looked_at {
        return true;
    }
    let age = call.ended_at.map(|at| model.board_now() - at);
    let fresh = age.is_some_and(|age| age.to_std().unwrap_or(Duration::ZERO) < ENDED_FADE);
    fresh
        || model
            .pending
            .of_call(call.id)
            .any(|entry| !matches!(entry.state, PendingState::Done))
}

/// Brings order, lines and scroll position up to date.
pub(super) fn lay(model: &mut Model, areas: &Areas) {
    let pane = areas.calls_rows.unwrap_or_default();
    let style = areas.calls_style;
    let stale = std::mem::take(&mut model.list.is_stale);
    if stale {
        reorder(model, style, pane.height);
    }
    model.list.height = pane.height;
    model.list.tops = tops(model, &model.list.order, style, pane.height);
    if std::mem::take(&mut model.list.reveal) {
        reveal(model);
    }
    let total = model.list.tops.last().copied().unwrap_or(0) as i32;
    model.list.offset = model.list.offset.clamp(-LEAD_MAX, (total - 1).max(0));
    if total <= i32::from(pane.height) && model.list.offset > 0 {
        model.list.offset = 0;
    }
}

fn tops(model: &Model, order: &[CallId], style: CallsStyle, pane: u16) -> Vec<u32> {
    let mut tops = Vec::with_capacity(order.len() + 1);
    let mut top = 0;
    tops.push(0);
    for id in order {
        top += model
            .board
            .get(*id)
            .map_or(1, |call| u32::from(card_height(call, style, pane)));
        tops.push(top);
    }
    tops
}

fn reorder(model: &mut Model, style: CallsStyle, pane: u16) {
    let now = model.board_now();
    let mut keys = Vec::new();
    let mut candidates = 0;
    let mut longest: Option<DateTime<Utc>> = None;
    let (mut live, mut ringing, mut attention, mut snoozed) = (0, 0, 0, 0);
    for call in model.board.calls() {
        let need = model.need(call);
        match call.status {
            CallStatus::InProgress => {
                live += 1;
                let began = call.answered_at.unwrap_or(call.started_at);
                longest = longest.map_or(Some(began), |known| Some(began.min(known)));
            }
            status if !status.is_terminal() => ringing += 1,
            _ => {}
        }
        attention += usize::from(need.is_attention());
        let silenced = |alert: &&Alert| alert.snoozed_until.is_some_and(|until| until > now);
        snoozed += call.alerts.iter().filter(silenced).count();
        if !is_shown(model, call) {
            continue;
        }
        candidates += 1;
        let score = score_of(call, model.live_score(call.id));
        if model.filter.is_empty() || model.filter.passes(call, score, now) {
            keys.push(SortKey::of(call, &need, score, now));
        }
    }
    keys.sort_by(|a, b| a.compare(b, model.sort, model.reversed));
    let mut order: Vec<CallId> = keys.iter().map(SortKey::id).collect();
    model.totals.live = live;
    model.totals.ringing = ringing;
    model.totals.attention = attention;
    model.totals.snoozed = snoozed;
    model.totals.longest_since = longest;
    model.list.candidates = candidates;

    let old_at = model
        .list
        .selected
        .and_then(|id| model.list.order.iter().position(|known| *known == id));
    let kept = model.list.selected.filter(|id| order.contains(id));
    match (kept, old_at) {
        (Some(selected), Some(old_at)) if !model.list.reveal => {
            match leads_to(model, &order, selected) {
                Some(worst) => {
                    select(model, Some(worst));
                    model.list.reveal = true;
                }
                None => hold(model, &mut order, selected, old_at, style, pane),
            }
        }
        (Some(_), _) => {}
        (None, old_at) => {
            // On its own page a call stays, whatever the filter says.
            let known = model.list.selected.and_then(|id| model.board.get(id));
            if model.page != Page::Call || known.is_none() {
                // The call under the cursor left: the cursor stays in its place.
                let old_at = old_at.filter(|_| model.touched_at.is_some());
                let at = old_at.unwrap_or(0).min(order.len().saturating_sub(1));
                if model.page == Page::Call && !model.is_past() {
                    model.page = model.opened_from;
                }
                select(model, order.get(at).copied());
            }
        }
    }
    model.list.order = order;
}

/// Where the cursor goes on a screen that no hand has touched yet: to the worst call, if the one it
/// is on is well. Nobody's row is moved by that.
fn leads_to(model: &Model, order: &[CallId], selected: CallId) -> Option<CallId> {
    let is_free = model.touched_at.is_none()
        && model.page == Page::Board
        && model.sort == Sort::Attention
        && !model.reversed;
    let worst = *order.first().filter(|_| is_free)?;
    let needs = |call: &Call| model.need(call).is_attention();
    // How a call ended can be read until it leaves.
    let is_well = |call: &Call| call.is_live() && !needs(call);
    let board = &model.board;
    (board.get(worst).is_some_and(needs) && board.get(selected).is_some_and(is_well))
        .then_some(worst)
}

/// Arranges the others round the selected call so that its line on the screen stays.
fn hold(
    model: &mut Model,
    order: &mut Vec<CallId>,
    selected: CallId,
    old_at: usize,
    style: CallsStyle,
    pane: u16,
) {
    let old_top = model.list.tops.get(old_at).copied().unwrap_or(0) as i32;
    let on_screen = old_top - model.list.offset;
    order.retain(|id| *id != selected);
    let tops = tops(model, order, style, pane);
    let nearest = (0..tops.len())
        .min_by_key(|index| (tops[*index] as i32 - old_top).abs())
        .unwrap_or(0);
    order.insert(nearest.min(order.len()), selected);
    let new_top = tops.get(nearest).copied().unwrap_or(0) as i32;
    model.list.offset = (new_top - on_screen).max(-LEAD_MAX);
}

/// Scrolls as little as needed to show the cursor's row whole.
fn reveal(model: &mut Model) {
    let list = &mut model.list;
    let Some(at) = list
        .selected
        .and_then(|id| list.order.iter().position(|known| *known == id))
    else {
        list.offset = 0;
        return;
    };
    let top = list.tops.get(at).copied().unwrap_or(0) as i32;
    let bottom = list.tops.get(at + 1).copied().unwrap_or(0) as i32;
    let height = i32::from(list.height.max(1));
    let total = list.tops.last().copied().unwrap_or(0) as i32;
    let mut offset = list.offset;
    if bottom - offset > height {
        offset = bottom - height;
    }
    if top < offset {
        offset = top;
    }
    list.offset = offset.clamp(0, (total - height).max(0));
}

/// The calls in view with the line of the pane they start on (negative: cut off above).
pub(crate) fn visible(model: &Model) -> impl Iterator<Item = (CallId, i32)> + '_ {
    let list = &model.list;
    let height = i32::from(list.height);
    let first = list
        .tops
        .partition_point(|top| (*top as i32) <= list.offset)
        .saturating_sub(1);
    list.order
        .iter()
        .enumerate()
        .skip(first)
        .filter_map(move |(index, id)| Some((*id, *list.tops.get(index)? as i32 - list.offset)))
        .take_while(move |(_, y)| *y < height)
}

/// Puts the cursor on a call.
pub(super) fn select(model: &mut Model, call: Option<CallId>) {
    if model.list.selected != call {
        model.list.selected = call;
        model.detail_scroll = 0;
    }
}

/// Moves the cursor by calls.
pub(super) fn step(model: &mut Model, by: i32) {
    let list = &model.list;
    if list.order.is_empty() {
        return;
    }
    let at = list
        .selected
        .and_then(|id| list.order.iter().position(|known| *known == id))
        .map_or(0, |at| at as i32 + by);
    let at = at.clamp(0, list.order.len() as i32 - 1) as usize;
    let call = list.order.get(at).copied();
    select(model, call);
    model.list.reveal = true;
}

/// How many calls a page of the list holds, about.
pub(super) fn page(model: &Model) -> i32 {
    (visible(model).count() as i32 - 1).max(1)
}

/// The calls that need somebody, the one that does most first.
pub(super) fn queue(model: &Model) -> Vec<(CallId, Rank)> {
    let mut queue: Vec<_> = model
        .board
        .calls()
        .map(|call| (model.need(call), call))
        .filter(|(need, _)| need.is_attention())
        .map(|(need, call)| {
            let least_first = std::cmp::Reverse(need.score);
            (need.rank, least_first, call.started_at, call.id)
        })
        .collect();
    queue.sort();
    queue.into_iter().map(|(rank, .., id)| (id, rank)).collect()
}
