//! The pages beside the board: alerts, past calls, quality by group, the audit trail.

use crate::call::Refusal;
use crate::call::{Call, CallId, CallStatus, Severity};
use crate::engine::{AuditEntry, HistoryPage, HistoryQuery};
use crate::ui::filter::Filter;
use crate::ui::groups::{Member, calls_of, group};
use crate::ui::keymap::Act;
use crate::ui::model::{AlertKey, AlertRow, AlertStage, Ask, Focus, Model, Page, PastOrder};
use crate::ui::msg::Effect;
use crate::ui::order::{Rank, is_open, past_risk};
use crate::ui::view;

use super::{acts, lead, list, prompts, rows};

/// Past calls asked for at a time.
const PAST_PAGE: usize = 100;
/// Past calls held at most; a narrower question finds older ones.
const PAST_MAX: usize = 2_000;
/// Rows of the audit trail asked for.
pub(crate) const AUDIT_ROWS: usize = 200;
/// Groups are made anew this often at most.
const GROUPS_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Goes to a page.
pub(super) fn go(model: &mut Model, page: Page) -> Vec<Effect> {
    model.page = page;
    model.focus = Focus::Calls;
    model.list.reveal = true;
    model.detail_scroll = 0;
    match page {
        Page::History => ask_past(model, None),
        Page::Audit if !model.audit.is_loading => {
            model.audit.is_loading = true;
            model.audit.error = None;
            vec![Effect::Audit]
        }
        Page::Quality => {
            model.groups.made_at = None;
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// Looks for past calls: the first page, or the one at `cursor`.
fn ask_past(model: &mut Model, cursor: Option<String>) -> Vec<Effect> {
    let asked = Filter::past(&model.past.query);
    model.past.serial += 1;
    model.past.is_loading = true;
    model.past.is_asked = true;
    model.past.error = None;
    if cursor.is_none() {
        model.past.next = None;
        rows::give_up(model, "the list was asked for anew");
    }
    model.past.filter = asked.rest.within(model.zone());
    let query = HistoryQuery {
        text: asked.text,
        lead_id: asked.lead_id,
        since: asked
            .since
            .map(|since| since.begins(model.board_now(), model.zone())),
        cursor,
        limit: PAST_PAGE,
        ..HistoryQuery::default()
    };
    vec![Effect::Past(model.past.serial, query)]
}

/// A new question about the past, or the prompt for one.
pub(super) fn search_past(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    match argument {
        Some(text) => {
            text.trim().clone_into(&mut model.past.query);
            model.past.at = 0;
            go(model, Page::History)
        }
        None => {
            prompts::ask(model, Ask::Past);
            Vec::new()
        }
    }
}

/// What was found.
pub(super) fn found(
    model: &mut Model,
    serial: u64,
    result: Result<HistoryPage, Refusal>,
) -> Vec<Effect> {
    if serial != model.past.serial {
        return Vec::new();
    }
    model.past.is_loading = false;
    match result {
        Ok(page) => {
            let selected = model.past.selected().map(|call| call.id);
            if model.past.next.take().is_none() {
                model.past.items.clear();
            }
            model.past.items.extend(page.items);
            model.past.items.truncate(PAST_MAX);
            let is_full = model.past.items.len() == PAST_MAX;
            model.past.next = page.next.filter(|_| !is_full);
            arrange(model, selected);
            // A narrow filter may leave little of a page: look on while the list is short.
            if model.past.shown.len() < usize::from(model.size.1) && model.past.next.is_some() {
                return more(model);
            }
            rows::go_on(model)
        }
        Err(refusal) => {
            rows::give_up(model, &refusal.message);
            model.past.error = Some(refusal.message);
            Vec::new()
        }
    }
}

/// Which of the past calls are shown, and in what order; the cursor stays on its call.
fn arrange(model: &mut Model, selected: Option<CallId>) {
    let now = model.board_now();
    let past = &mut model.past;
    let filter = &past.filter;
    let mut shown: Vec<usize> = (0..past.items.len())
        .filter(|index| {
            let call = past.items.get(*index);
            call.is_some_and(|call| filter.is_empty() || filter.passes(call, None, now))
        })
        .collect();
    if past.order == PastOrder::Risk {
        // Stable: of equals the newest stays first.
        let risk = |index: &usize| past.items.get(*index).map_or(0, past_risk);
        shown.sort_by_key(|index| std::cmp::Reverse(risk(index)));
    }
    past.shown = shown;
    let last = past.shown.len().saturating_sub(1);
    let place = past.shown.iter().position(|index| {
        let call = past.items.get(*index);
        selected.is_some() && call.map(|call| call.id) == selected
    });
    past.at = place.unwrap_or(past.at).min(last);
}

/// Past calls by time, or those with which most was wrong first; the cursor goes to the top.
pub(super) fn reorder(model: &mut Model) {
    model.past.order = match model.past.order {
        PastOrder::Newest => PastOrder::Risk,
        PastOrder::Risk => PastOrder::Newest,
    };
    model.past.at = 0;
    arrange(model, None);
    let by = model.past.order.as_str();
    model.say(Severity::Info, format!("past calls by {by}"));
}

/// To the next or the previous call of the list, while one of them is opened.
pub(super) fn leaf(model: &mut Model, forward: bool) -> Vec<Effect> {
    let at = model.past.at;
    let count = model.past.shown.len();
    let to = if forward { at + 1 } else { at.wrapping_sub(1) };
    if to >= count {
        let text = format!("call {} of {count}: no further", at + 1);
        model.say(Severity::Info, text);
        return Vec::new();
    }
    model.past.at = to;
    model.detail_scroll = 0;
    model.say(Severity::Info, format!("call {} of {count}", to + 1));
    open_past(model)
}

/// The next page, if there is one.
pub(super) fn more(model: &mut Model) -> Vec<Effect> {
    match model.past.next.clone() {
        Some(cursor) if !model.past.is_loading => {
            let kept = model.past.next.clone();
            let effects = ask_past(model, Some(cursor));
            // Says that what comes is to be added.
            model.past.next = kept;
            effects
        }
        _ => Vec::new(),
    }
}

pub(super) fn audited(model: &mut Model, result: Result<HistoryPage, Refusal>) {
    model.audit.is_loading = false;
    match result {
        Ok(page) => {
            model.audit.rows = settled(page.audit);
            model.audit.at = model.audit.at.min(model.audit.rows.len().saturating_sub(1));
        }
        Err(refusal) => model.audit.error = Some(refusal.message),
    }
}

/// One row for each order: that it was accepted goes without saying once it is known how it went.
fn settled(rows: Vec<AuditEntry>) -> Vec<AuditEntry> {
    let is_over = |row: &AuditEntry| row.result != "accepted";
    let over: std::collections::HashSet<_> = rows
        .iter()
        .filter(|row| is_over(row))
        .filter_map(|row| row.command)
        .collect();
    let keep = |row: &AuditEntry| is_over(row) || row.command.is_none_or(|id| !over.contains(&id));
    // The reason stands on the row of the acceptance.
    let reasons: std::collections::HashMap<_, _> = rows
        .iter()
        .filter_map(|row| Some((row.command?, row.reason.clone()?)))
        .collect();
    rows.into_iter()
        .filter(keep)
        .map(|mut row| {
            row.reason = row
                .reason
                .take()
                .or_else(|| reasons.get(&row.command?).cloned());
            row
        })
        .collect()
}

/// The whole of a past call, which the list holds only the end of.
pub(super) fn whole(model: &mut Model, call: Call) {
    if let Some(item) = model.past.items.iter_mut().find(|item| item.id == call.id) {
        *item = call;
    }
}

/// Moves the cursor of a page that is not the board. `page` is how many rows its list shows.
pub(super) fn step(model: &mut Model, act: Act, page: i32) -> Vec<Effect> {
    let by = match act {
        Act::Down => 1,
        Act::Up => -1,
        Act::Top => i32::MIN / 2,
        Act::Bottom => i32::MAX / 2,
        Act::HalfDown => (page / 2).max(1),
        Act::HalfUp => -(page / 2).max(1),
        Act::PageDown => page.max(1),
        _ => -page.max(1),
    };
    shift(model, by)
}

/// The row of the list that was pointed at, counted from the first one shown.
pub(super) fn point(model: &mut Model, line: u16, height: u16) {
    let (at, total) = match model.page {
        Page::Alerts => (model.alerts.position(), model.alerts.rows.len()),
        Page::Quality => (model.groups.position(), model.groups.rows.len()),
        Page::History => (model.past.at, model.past.shown.len()),
        Page::Audit => (model.audit.at, model.audit.rows.len()),
        Page::Lead => (model.lead.at, model.lead.rows.len()),
        Page::Board | Page::Call => return,
    };
    let to = view::first_row(at, total, height) + usize::from(line);
    if to < total {
        shift(model, to as i32 - at as i32);
    }
}

/// Moves the cursor by rows.
pub(super) fn shift(model: &mut Model, by: i32) -> Vec<Effect> {
    let moved = |at: usize, count: usize| {
        let last = count.saturating_sub(1) as i64;
        (at as i64 + i64::from(by)).clamp(0, last) as usize
    };
    match model.page {
        Page::Alerts => {
            let at = moved(model.alerts.position(), model.alerts.rows.len());
            let row = model.alerts.rows.get(at).cloned();
            if let Some(row) = row {
                choose_alert(model, &row);
            }
        }
        Page::Quality => {
            let at = moved(model.groups.position(), model.groups.rows.len());
            model.groups.at = model.groups.rows.get(at).map(|group| group.key.clone());
            model.groups.made_at = None;
        }
        Page::History => {
            let count = model.past.shown.len();
            model.past.at = moved(model.past.at, count);
            model.detail_scroll = 0;
            if by > 0 && model.past.at + 1 >= count {
                return more(model);
            }
        }
        Page::Audit => model.audit.at = moved(model.audit.at, model.audit.rows.len()),
        Page::Lead => model.lead.at = moved(model.lead.at, model.lead.rows.len()),
        Page::Board | Page::Call => {}
    }
    Vec::new()
}

fn choose_alert(model: &mut Model, row: &AlertRow) {
    model.alerts.at = Some(row.key());
    if model.board.get(row.call).is_some() {
        list::select(model, Some(row.call));
        model.jump = row.alert.evidence.first().copied();
    }
}

/// `enter`: the call in full, or the calls of a group on the board.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    match model.page {
        Page::Quality => {
            let by = model.groups.by.as_str();
            let at = model.groups.position();
            let Some(group) = model.groups.rows.get(at) else {
                return Vec::new();
            };
            let key = group.key.replace('"', "");
            let filter = format!("{by}:=\"{key}\"");
            model.page = Page::Board;
            model.focus = Focus::Calls;
            acts::set_filter(model, &filter);
            // The worst of them first; the call looked at before may be none of these.
            list::select(model, None);
            model.say(Severity::Info, format!("only {by} {key}; esc shows all"));
            Vec::new()
        }
        Page::Audit => {
            let call = model
                .audit
                .rows
                .get(model.audit.at)
                .and_then(|row| row.call);
            match call.filter(|id| model.board.get(*id).is_some()) {
                Some(id) => {
                    list::select(model, Some(id));
                    acts::open_call(model)
                }
                None => {
                    let text = "this row is about no call on the board";
                    model.say(Severity::Info, text);
                    Vec::new()
                }
            }
        }
        Page::Lead => lead::open_call(model),
        Page::Alerts => {
            if let Some(row) = model.alerts.selected().cloned() {
                choose_alert(model, &row);
            }
            acts::open_call(model)
        }
        Page::History => open_past(model),
        Page::Board | Page::Call => acts::open_call(model),
    }
}

fn open_past(model: &mut Model) -> Vec<Effect> {
    let mut effects = acts::open_call(model);
    // A review begins where something went wrong, not at the first second.
    model.jump = model
        .selected()
        .filter(|call| !call.is_live())
        .and_then(|call| call.evidence().first().copied());
    if let Some(call) = model.selected().filter(|call| call.lines_dropped > 0) {
        effects.push(Effect::History(call.id));
    }
    effects
}

/// Brings what the pages show up to date.
pub(super) fn lay(model: &mut Model) {
    let now = model.now.mono;
    if model.page == Page::Alerts {
        alerts(model);
    }
    let every = model.groups.past.is_due(now) && model.frozen.is_none();
    let due = model
        .groups
        .made_at
        .is_none_or(|at| now.saturating_sub(at) >= GROUPS_EVERY);
    if every || (model.page == Page::Quality && due) {
        groups(model, every);
    }
}

fn alerts(model: &mut Model) {
    let now = model.board_now();
    let mut rows = Vec::new();
    for call in model.board.calls() {
        if !model.filter.is_empty() && !model.filter.passes(call, None, now) {
            continue;
        }
        for alert in &call.alerts {
            let stage = if alert.acknowledged_by.is_some() {
                AlertStage::Acknowledged
            } else if is_open(alert, now) {
                AlertStage::Open
            } else {
                AlertStage::Snoozed
            };
            rows.push(AlertRow {
                call: call.id,
                alert: alert.clone(),
                stage,
                over_at: None,
            });
        }
        rows.extend(call.past_alerts.iter().map(|past| AlertRow {
            call: call.id,
            alert: past.alert.clone(),
            stage: AlertStage::Over,
            over_at: Some(past.cleared_at),
        }));
    }
    // Open ones as they came, what is over with the newest first.
    rows.sort_by(|a, b| {
        a.stage
            .cmp(&b.stage)
            .then(b.over_at.cmp(&a.over_at))
            .then(b.alert.severity.cmp(&a.alert.severity))
            .then(a.alert.since.cmp(&b.alert.since))
            .then(a.key().cmp(&b.key()))
    });
    let known = |key: &AlertKey| rows.iter().any(|row| row.key() == *key);
    if model.alerts.at.as_ref().is_some_and(known) {
        model.alerts.rows = rows;
        return;
    }
    // The alert under the cursor is gone: the cursor stays in its place.
    let at = model.alerts.position().min(rows.len().saturating_sub(1));
    model.alerts.rows = rows;
    match model.alerts.rows.get(at).cloned() {
        Some(row) => choose_alert(model, &row),
        None => model.alerts.at = None,
    }
}

fn groups(model: &mut Model, is_reading: bool) {
    let now = model.board_now();
    let members: Vec<Member<'_>> = model
        .board
        .calls()
        .map(|call| {
            let gauge = model.readings.get(&call.id).map(|readings| &readings.gauge);
            let judged = call.quality.as_ref();
            Member {
                call,
                rank: model.need(call).rank,
                gap_pct: gauge
                    .and_then(|gauge| gauge.gap_pct)
                    .or_else(|| judged.and_then(|quality| quality.gap_pct))
                    .filter(|_| call.status == CallStatus::InProgress),
                live_score: gauge.and_then(|gauge| gauge.score),
            }
        })
        .collect();
    let has_calls = members.iter().any(|member| member.rank != Rank::Ended);
    if is_reading && has_calls {
        model.groups.past.read(model.now.mono, &members);
    }
    if model.page != Page::Quality {
        return;
    }
    let passes = |member: &Member<'_>| {
        model.filter.is_empty() || model.filter.passes(member.call, None, now)
    };
    let members: Vec<Member<'_>> = members.into_iter().filter(passes).collect();
    let by = model.groups.by;
    let rows = group(by, &members, &model.groups.past);
    let known = |key: &String| rows.iter().any(|group| group.key == *key);
    let at = model
        .groups
        .at
        .clone()
        .filter(known)
        .or_else(|| rows.first().map(|group| group.key.clone()));
    let calls = at
        .as_ref()
        .map(|key| calls_of(&members, by, key))
        .unwrap_or_default();
    model.groups.rows = rows;
    model.groups.at = at;
    model.groups.calls = calls;
    model.groups.made_at = Some(model.now.mono);
}
