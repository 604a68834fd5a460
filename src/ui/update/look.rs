//! Ways of looking: views, orders, freezing, the worst call, grouping, search.

use crate::call::{CallId, Severity};
use crate::ui::groups::Dimension;
use crate::ui::keymap::Act;
use crate::ui::model::{Ask, Focus, Frozen, Model, Page};
use crate::ui::msg::Effect;
use crate::ui::order::{Rank, Sort, worst_alert};
use crate::ui::transcript::Tools;
use crate::ui::view;

use super::acts::set_filter;
use super::{backend, list, pages, prompts, views};

pub(super) fn run(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    match act {
        Act::Worst => worst(model),
        Act::View => return views::turn(model, argument),
        Act::SaveView => return views::save(model, argument),
        Act::ForgetView => return views::forget(model, argument),
        Act::Columns => return views::columns(model, argument),
        Act::Wide => {
            model.is_wide = !model.is_wide;
            model.list.reveal = true;
        }
        Act::GroupBy => return group_by(model, argument),
        Act::FoldTools => {
            let text = match model.transcript.fold_tools() {
                Tools::Folded => "tools are folded",
                Tools::Whole => "tools are shown whole",
            };
            model.say(Severity::Info, text);
        }
        Act::NextFlag | Act::PreviousFlag => flag(model, act == Act::NextFlag),
        Act::Sort if model.page == Page::History => pages::reorder(model),
        Act::Sort => sort(model, argument),
        Act::Reverse => {
            model.reversed = !model.reversed;
            resort(model);
        }
        Act::KeepEnded => {
            model.keep_ended = !model.keep_ended;
            model.list.is_stale = true;
            let text = if model.keep_ended {
                "ended calls stay (up to 10 min)"
            } else {
                "ended calls leave after 10 s"
            };
            model.say(Severity::Info, text);
        }
        _ => {
            if model.frozen.is_some() {
                return backend::thaw(model);
            }
            model.frozen = Some(Frozen {
                at: model.now.wall,
                waiting: Vec::new(),
                events: 0,
            });
        }
    }
    Vec::new()
}

fn sort(model: &mut Model, argument: Option<&str>) {
    let chosen = argument.map(|word| Sort::parse(word.trim()));
    model.sort = match chosen {
        Some(Some(sort)) => sort,
        Some(None) => {
            let all: Vec<&str> = Sort::ALL.iter().map(|sort| sort.as_str()).collect();
            model.say(Severity::Warn, format!("orders are: {}", all.join(", ")));
            return;
        }
        None => model.sort.next(),
    };
    resort(model);
}

fn resort(model: &mut Model) {
    model.list.is_stale = true;
    model.list.reveal = true;
}

/// The quality page; there, the next grouping.
fn group_by(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    let here = model.page == Page::Quality;
    match argument.map(|word| Dimension::parse(word.trim())) {
        Some(Some(by)) => model.groups.by = by,
        Some(None) => {
            let all: Vec<&str> = Dimension::ALL.iter().map(|by| by.as_str()).collect();
            model.say(Severity::Warn, format!("groups are: {}", all.join(", ")));
            return Vec::new();
        }
        None if here => model.groups.by = model.groups.by.next(),
        None => {}
    }
    model.groups.made_at = None;
    if here {
        return Vec::new();
    }
    pages::go(model, Page::Quality)
}

fn flag(model: &mut Model, forward: bool) {
    match model.transcript.step_flag(forward) {
        Some((at, count)) => {
            model.say(Severity::Info, format!("flagged turn {at} of {count}"));
        }
        None => model.say(Severity::Info, "no flagged turn in this transcript"),
    }
}

/// To the worst call, at the turn that shows why. Pressed again there, to the next.
fn worst(model: &mut Model) {
    let queue = list::queue(model);
    let last = model.worst_round.last().map(|(id, _)| *id);
    if last.is_none() || model.list.selected != last {
        model.worst_round.clear();
    }
    // One that has come, or has become worse, meanwhile is seen before the round goes on.
    let is_new = |(_, stop): &(usize, &(CallId, Rank))| {
        let (id, rank) = stop;
        let seen = model.worst_round.iter().find(|(known, _)| known == id);
        seen.is_none_or(|(_, before)| rank < before)
    };
    let next = queue.iter().enumerate().find(is_new);
    let next = next.map(|(at, stop)| (at, *stop));
    if next.is_none() {
        model.worst_round.clear();
    }
    let first = || queue.first().map(|stop| (0, *stop));
    let Some((at, (id, rank))) = next.or_else(first) else {
        model.say(Severity::Info, "no call needs you now");
        return;
    };
    if matches!(
        model.page,
        Page::History | Page::Audit | Page::Lead | Page::Quality | Page::Alerts
    ) || model.is_past()
    {
        model.page = Page::Board;
        model.focus = Focus::Calls;
    }
    let turn = evidence(model, id);
    if !model.list.order.contains(&id) {
        set_filter(model, "");
        model.say(Severity::Info, "filter cleared to show this call");
    } else if let Some(call) = model.board.get(id) {
        let reason = model.need(call).reason.unwrap_or_default();
        let reason = crate::call::text::clean_label(&reason).into_owned();
        let text = format!("{} of {}: {reason}", at + 1, queue.len());
        model.say(Severity::Info, text);
    }
    list::select(model, Some(id));
    // A jump is the moment to put the others into order, too.
    model.list.is_stale = true;
    model.worst_round.retain(|(known, _)| *known != id);
    model.worst_round.push((id, rank));
    model.list.reveal = true;
    model.jump = turn;
    // Where only one pane fits, it is the one with the evidence.
    if turn.is_some() && model.page == Page::Board && view::areas(model).talk.is_none() {
        model.focus = Focus::Transcript;
    }
}

/// First turn that shows why a call needs somebody.
fn evidence(model: &Model, id: CallId) -> Option<u32> {
    let call = model.board.get(id)?;
    let alert = worst_alert(call, model.board_now())?;
    alert.evidence.first().copied()
}

pub(super) fn search(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    let turns_leaves = model.page == Page::Call && model.is_past();
    match (act, argument) {
        (Act::Search, Some(text)) => {
            model.transcript.look_for(text);
            model.transcript.show_match();
        }
        (Act::Search, None) => prompts::ask(model, Ask::Search),
        (Act::NextMatch | Act::PreviousMatch, _)
            if turns_leaves && model.transcript.search().is_none() =>
        {
            return pages::leaf(model, act == Act::NextMatch);
        }
        _ if model.transcript.search().is_none() => {
            let key = model.key(Act::Search).to_owned();
            model.say(
                Severity::Info,
                format!("search the transcript first: tab, then {key}"),
            );
        }
        _ => model.transcript.step_match(act == Act::NextMatch),
    }
    Vec::new()
}
