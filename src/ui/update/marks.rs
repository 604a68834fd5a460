//! Marked calls: what is asked for while some are marked is asked for all of them, and nothing
//! happens before their number has been typed.

use crossterm::event::{KeyCode, KeyEvent};

use crate::call::{Action, Call, CallId, CallStatus, PendingState, Severity};
use crate::ui::keymap::{Act, binding};
use crate::ui::line_edit::{Edited, LineEdit};
use crate::ui::model::{ANSWER_MIN, Ask, GRACE, GroupAsk, Model, Overlay, Page};
use crate::ui::msg::Effect;
use crate::ui::order::worst_alert;
use crate::ui::words::action_words;

use super::{acts, agent_is_paused, list, pages, prompts, tally};

/// Calls that can be marked at once: fewer than commands may wait.
pub(super) const MARKED_MAX: usize = 50;
/// How long `z` silences an alert, minutes.
pub(super) const SNOOZE_MINUTES: u32 = 10;

/// Marks the call under the cursor and goes on, or takes the mark off; `all` and `none` by name.
pub(super) fn toggle(model: &mut Model, argument: Option<&str>) {
    match argument.map(str::trim) {
        Some("all") => {
            let fits = |id: &CallId| model.is_past() || model.find(*id).is_some_and(Call::is_live);
            let all = listed(model).into_iter().filter(fits);
            let marked: Vec<CallId> = all.take(MARKED_MAX).collect();
            model.marked.extend(marked);
        }
        Some("none") => model.marked.clear(),
        Some(_) => model.say(Severity::Warn, "mark what: all or none"),
        None => {
            let Some(id) = model.subject() else {
                return;
            };
            if !model.marked.remove(&id) {
                if model.marked.len() == MARKED_MAX {
                    let text = format!("{MARKED_MAX} calls are marked, more is not possible");
                    model.say(Severity::Warn, text);
                    return;
                }
                model.marked.insert(id);
            }
            match model.page {
                Page::Call => {}
                Page::Board => list::step(model, 1),
                _ => drop(pages::step(model, Act::Down, 1)),
            }
        }
    }
}

/// The calls of the list that is looked at: the board's, or those of the past.
fn listed(model: &Model) -> Vec<CallId> {
    if !model.is_past() {
        return model.list.order.clone();
    }
    let items = &model.past.items;
    let shown = model.past.shown.iter();
    shown
        .filter_map(|index| Some(items.get(*index)?.id))
        .collect()
}

/// The marked calls of the list that is looked at, in its order. What is marked elsewhere stays out
/// of what is done here; on the board also those count that a filter hides.
pub(crate) fn here(model: &Model) -> Vec<CallId> {
    if model.marked.is_empty() {
        return Vec::new();
    }
    let listed = listed(model);
    let place = |id: &CallId| listed.iter().position(|known| known == id);
    let is_past = model.is_past();
    let counts = |id: &CallId| place(id).is_some() || (!is_past && model.board.get(*id).is_some());
    let mut ids: Vec<CallId> = model.marked.iter().copied().filter(counts).collect();
    ids.sort_by_key(|id| (place(id).unwrap_or(usize::MAX), *id));
    ids
}

/// Whether an act is done to all marked calls.
pub(super) fn takes_all(model: &Model, act: Act) -> bool {
    if model.is_past() {
        return matches!(act, Act::Flag | Act::Note);
    }
    matches!(
        act,
        Act::End
            | Act::PauseAgent
            | Act::Claim
            | Act::Acknowledge
            | Act::Snooze
            | Act::Whisper
            | Act::Say
            | Act::Flag
            | Act::Note
    )
}

/// Acts on one call that would be misread while several are marked.
pub(super) fn wants_one(act: Act) -> bool {
    matches!(
        act,
        Act::Transfer | Act::Record | Act::RecordStop | Act::Unmask
    )
}

fn marked(model: &Model) -> Vec<&Call> {
    let ids = here(model).into_iter();
    ids.filter_map(|id| model.find(id)).collect()
}

/// Asks for an act on all marked calls.
pub(super) fn run(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    let kind = match act {
        Act::Whisper => Some(Ask::Whisper),
        Act::Say => Some(Ask::Say),
        Act::Flag => Some(Ask::Flag),
        Act::Note => Some(Ask::Note),
        _ => None,
    };
    if let Some(kind) = kind {
        return prompts::ask_or_submit(model, kind, argument);
    }
    let calls = marked(model);
    let now = model.board_now();
    let user = model.user();
    let all_paused = calls.iter().all(|call| agent_is_paused(call));
    let all_mine = calls
        .iter()
        .all(|call| call.claimed_by.as_deref() == Some(user));
    let wish = |call: &&Call| -> Option<Action> {
        match act {
            Act::End if !is_ending(model, call) => Some(Action::Terminate {}),
            Act::PauseAgent if call.status != CallStatus::InProgress => None,
            Act::PauseAgent if all_paused => Some(Action::ResumeAgent {}),
            Act::PauseAgent => (!agent_is_paused(call)).then_some(Action::PauseAgent {}),
            Act::Claim if all_mine => Some(Action::Release {}),
            Act::Claim => (call.claimed_by.as_deref() != Some(user)).then_some(Action::Claim {}),
            Act::Acknowledge => {
                let rule = worst_alert(call, now)?.rule.clone();
                Some(Action::Acknowledge { rule })
            }
            Act::Snooze => Some(Action::Snooze {
                rule: worst_alert(call, now)?.rule.clone(),
                minutes: minutes(argument),
            }),
            _ => None,
        }
    };
    let wishes: Vec<(CallId, Action)> = calls
        .iter()
        .filter(|call| call.is_live())
        .filter_map(|call| Some((call.id, wish(call)?)))
        .collect();
    if wishes.is_empty() {
        let name = binding(act).short;
        model.say(Severity::Info, format!("{name}: none of the marked calls"));
        return Vec::new();
    }
    ask(model, wishes);
    Vec::new()
}

/// Minutes to snooze: what was typed after the command, else the usual.
pub(super) fn minutes(argument: Option<&str>) -> u32 {
    argument
        .and_then(|text| text.trim().trim_end_matches('m').parse().ok())
        .filter(|minutes| (1..=1440).contains(minutes))
        .unwrap_or(SNOOZE_MINUTES)
}

fn is_ending(model: &Model, call: &Call) -> bool {
    model.pending.of_call(call.id).any(|entry| {
        matches!(entry.action, Action::Terminate {})
            && matches!(
                entry.state,
                PendingState::Grace { .. } | PendingState::Sent | PendingState::Accepted
            )
    })
}

/// The same words to or about every marked call, as far as it makes sense there.
pub(super) fn all_of(model: &Model, action: &Action) -> Vec<(CallId, Action)> {
    let speaks = matches!(action, Action::Whisper { .. } | Action::Say { .. });
    marked(model)
        .into_iter()
        .filter(|call| !speaks || call.status == CallStatus::InProgress)
        .map(|call| (call.id, action.clone()))
        .collect()
}

pub(super) fn ask(model: &mut Model, wishes: Vec<(CallId, Action)>) {
    model.overlays.push(Overlay::Group(GroupAsk {
        wishes,
        input: LineEdit::default(),
        opened_at: model.now.mono,
        error: None,
    }));
}

pub(super) fn key(model: &mut Model, key: &KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Group(ask)) = model.overlays.last_mut() else {
        return Vec::new();
    };
    match key.code {
        KeyCode::Esc => {
            model.overlays.pop();
            Vec::new()
        }
        KeyCode::Enter => {
            let age = model.now.mono.saturating_sub(ask.opened_at);
            if age < ANSWER_MIN || model.in_burst {
                return Vec::new();
            }
            let wanted = ask.wishes.len().to_string();
            if ask.input.text().trim() != wanted {
                ask.error = Some(format!("type {wanted} to do it, esc to leave"));
                return Vec::new();
            }
            let wishes = std::mem::take(&mut ask.wishes);
            model.overlays.pop();
            model.marked.clear();
            perform(model, wishes)
        }
        _ => {
            if ask.input.key(key) == Edited::Changed {
                ask.error = None;
            }
            Vec::new()
        }
    }
}

/// Does what was asked for. Calls that ended while the question stood are left out.
fn perform(model: &mut Model, wishes: Vec<(CallId, Action)>) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut left_out = 0;
    let count = wishes.len();
    let what = wishes
        .first()
        .map_or("", |(_, action)| action_words(action).0);
    for (id, action) in wishes {
        let writes = matches!(action, Action::Flag { .. } | Action::Note { .. });
        let call = model.find(id);
        if !call.is_some_and(|call| writes || call.is_live()) {
            left_out += 1;
            continue;
        }
        if matches!(action, Action::Terminate {}) {
            let command = model.mint();
            let now = model.now.mono;
            model
                .pending
                .hold(now, command, Some(id), action, now + GRACE);
            model.list.is_stale = true;
        } else {
            effects.extend(acts::send(model, Some(id), action, None));
        }
    }
    tally::begin(model, what, &effects);
    if left_out > 0 {
        let text = format!("{left_out} of {count} had ended by themselves; the others go on");
        model.say(Severity::Info, text);
    }
    effects
}
