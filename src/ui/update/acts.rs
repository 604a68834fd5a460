//! What every act of the key table does.

use crate::call::{
    Action, Call, CallId, Command, OperatorAction, PendingState, RecordingState, Severity, Verb,
};
use crate::ui::filter::Filter;
use crate::ui::keymap::{Act, binding};
use crate::ui::model::{Ask, Confirm, Focus, Model, Overlay, Page, Picker, TYPING_PAUSE};
use crate::ui::msg::Effect;
use crate::ui::order::worst_alert;
use crate::ui::tour;
use crate::ui::view;

use super::may::{why_not, why_not_at_all};
use super::{copy, ends, hear, house, lead, list, look, marks, mouse, pages, prompts, tape};

/// Does an act. `argument` is what followed its name in the palette.
pub(super) fn run(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    tour::follow(model, act);
    let marked = !marks::here(model).is_empty();
    let for_all = marked && marks::takes_all(model, act);
    let why = if for_all {
        why_not_at_all(model, act)
    } else if marked && marks::wants_one(act) {
        let back = model.key(Act::Back);
        Some(format!("works on one call; {back} takes the marks off"))
    } else if let (Some(why), None) = (ends::not_here(model, act), argument) {
        Some(why)
    } else {
        why_not(model, act)
    };
    if let Some(why) = why {
        let name = binding(act).name.replace('-', " ");
        model.say(Severity::Warn, format!("{name}: {why}"));
        if argument.is_none() && is_typed_into(act) {
            model.swallows_until = Some(model.now.mono + TYPING_PAUSE);
        }
        return Vec::new();
    }
    if model.in_burst && acts_at_once(act) {
        let key = model.key(act).to_owned();
        let text = format!("that looked like a paste; press {key} by itself");
        model.say(Severity::Warn, text);
        return Vec::new();
    }
    if for_all {
        return marks::run(model, act, argument);
    }
    let before = ends::Place::of(model);
    let effects = perform(model, act, argument);
    if effects.is_empty() {
        ends::explain(model, act, &before);
    }
    effects
}

#[expect(clippy::too_many_lines, reason = "one flat match over the acts")]
fn perform(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    match act {
        Act::Down
        | Act::Up
        | Act::Top
        | Act::Bottom
        | Act::HalfDown
        | Act::HalfUp
        | Act::PageDown
        | Act::PageUp => step(model, act),
        Act::Left | Act::Right | Act::NextPane | Act::PreviousPane => {
            pane(model, act);
            Vec::new()
        }
        Act::Open => pages::open(model),
        Act::Back => {
            back(model);
            Vec::new()
        }
        Act::PageBoard => pages::go(model, Page::Board),
        Act::PageAlerts => pages::go(model, Page::Alerts),
        Act::PageHistory => pages::go(model, Page::History),
        Act::PageQuality => pages::go(model, Page::Quality),
        Act::PageAudit => pages::go(model, Page::Audit),
        Act::Lead => lead::open(model, argument),
        Act::SearchPast => pages::search_past(model, argument),
        Act::Mark | Act::MarkPast => {
            marks::toggle(model, argument);
            Vec::new()
        }
        Act::Worst
        | Act::View
        | Act::SaveView
        | Act::ForgetView
        | Act::Columns
        | Act::Wide
        | Act::GroupBy
        | Act::FoldTools
        | Act::NextFlag
        | Act::PreviousFlag
        | Act::Sort
        | Act::Reverse
        | Act::KeepEnded
        | Act::Freeze => look::run(model, act, argument),
        Act::Filter => {
            match argument {
                Some(text) => set_filter(model, text),
                None => prompts::ask(model, Ask::Filter),
            }
            Vec::new()
        }
        Act::Search | Act::NextMatch | Act::PreviousMatch => look::search(model, act, argument),
        Act::NextTurn | Act::PreviousTurn => {
            model.transcript.step_turn(act == Act::NextTurn);
            Vec::new()
        }
        Act::Follow => {
            model.transcript.go_end();
            model.say(Severity::Info, "the transcript follows");
            Vec::new()
        }
        Act::Listen | Act::VolumeUp | Act::VolumeDown | Act::Mute | Act::Legs => {
            hear::run(model, act)
        }
        Act::Play | Act::PlayStop | Act::PlayBack | Act::PlayAhead => {
            tape::run(model, act, argument)
        }
        Act::End | Act::Undo => end_or_undo(model, act),
        Act::Record | Act::RecordStop | Act::PauseAgent | Act::Claim => toggle(model, act),
        Act::Acknowledge | Act::Snooze => alert(model, act, argument),
        Act::Whisper => prompts::ask_or_submit(model, Ask::Whisper, argument),
        Act::Say => prompts::ask_or_submit(model, Ask::Say, argument),
        Act::TakeOver => take_over(model, argument),
        Act::HandBack => prompts::ask_or_submit(model, Ask::HandBack, argument),
        Act::Flag => prompts::ask_or_submit(model, Ask::Flag, argument),
        Act::Note => prompts::ask_or_submit(model, Ask::Note, argument),
        Act::Transfer => prompts::ask_or_submit(model, Ask::Transfer, argument),
        Act::Dial => prompts::ask_or_submit(model, Ask::Dial, argument),
        Act::Unmask => prompts::ask_or_submit(model, Ask::Unmask, argument),
        Act::StopDialing => send(model, None, Action::StopDialing {}, None),
        Act::Copy => {
            model.overlays.push(Overlay::Copy);
            Vec::new()
        }
        Act::Export => copy::export(model, argument),
        Act::HandOver => copy::hand_over(model),
        Act::Theme => house::theme(model, argument),
        Act::Help => {
            model.overlays.push(Overlay::Help(Picker::default()));
            Vec::new()
        }
        Act::Palette => {
            model.overlays.push(Overlay::Palette(Picker::default()));
            Vec::new()
        }
        Act::Demo => house::demo(model),
        Act::Tour => {
            tour::toggle(model);
            Vec::new()
        }
        Act::Mouse => mouse::toggle(model),
        Act::Redraw => vec![Effect::Redraw],
        Act::Suspend => house::suspend(model),
        Act::Quit => house::quit(model),
    }
}

/// Acts after whose key a text is typed.
fn is_typed_into(act: Act) -> bool {
    let opens_prompt = matches!(
        act,
        Act::Transfer
            | Act::Whisper
            | Act::Say
            | Act::HandBack
            | Act::Note
            | Act::Flag
            | Act::Dial
            | Act::Unmask
    );
    opens_prompt || act == Act::TakeOver
}

/// Acts that touch the world with no dialog in between.
fn acts_at_once(act: Act) -> bool {
    let has_dialog = act == Act::End || (is_typed_into(act) && act != Act::TakeOver);
    let leaves = matches!(act, Act::Quit | Act::Suspend);
    leaves || (binding(act).verb.is_some() && !has_dialog)
}

/// Sends a command at once and shows it as pending.
pub(super) fn send(
    model: &mut Model,
    call: Option<CallId>,
    action: Action,
    reason: Option<String>,
) -> Vec<Effect> {
    let id = model.mint();
    model.pending.sent(model.now.mono, id, call, action.clone());
    model.list.is_stale = true;
    vec![Effect::Send(Command {
        id,
        call,
        action,
        reason,
    })]
}

fn step(model: &mut Model, act: Act) -> Vec<Effect> {
    if !matches!(model.page, Page::Board | Page::Call) && model.focus == Focus::Calls {
        let rows = view::areas(model).list_rows.map_or(1, |rows| rows.height);
        return pages::step(model, act, i32::from(rows).max(1));
    }
    let in_list = model.page == Page::Board && model.focus == Focus::Calls;
    if in_list {
        let page = list::page(model);
        let all = model.list.order.len() as i32;
        let by = match act {
            Act::Down => 1,
            Act::Up => -1,
            Act::Top => -all,
            Act::Bottom => all,
            Act::HalfDown => (page / 2).max(1),
            Act::HalfUp => -(page / 2).max(1),
            Act::PageDown => page,
            _ => -page,
        };
        list::step(model, by);
        return Vec::new();
    }
    let page = model.transcript.page();
    let rows = match act {
        Act::Down => 1,
        Act::Up => -1,
        Act::HalfDown => page / 2,
        Act::HalfUp => -page / 2,
        Act::PageDown => page,
        Act::PageUp => -page,
        Act::Top => i32::MIN / 2,
        _ => i32::MAX / 2,
    };
    if model.focus == Focus::Detail {
        let at = i64::from(model.detail_scroll) + i64::from(rows);
        model.detail_scroll = at.clamp(0, i64::from(view::detail_scroll_max(model))) as u16;
        return Vec::new();
    }
    match act {
        Act::Top => model.transcript.go_top(),
        Act::Bottom => model.transcript.go_end(),
        _ => model.transcript.scroll(rows),
    }
    if rows < 0 && model.transcript.is_at_top() && !model.is_past() {
        return older(model);
    }
    Vec::new()
}

/// Asks once for the lines the board no longer holds.
fn older(model: &mut Model) -> Vec<Effect> {
    let Some(call) = model.selected().filter(|call| call.lines_dropped > 0) else {
        return Vec::new();
    };
    let id = call.id;
    let may = model
        .hello
        .as_ref()
        .is_some_and(|hello| hello.verbs.contains(&Verb::History));
    if !may || model.asked_older == Some(id) {
        return Vec::new();
    }
    model.asked_older = Some(id);
    vec![Effect::History(id)]
}

fn pane(model: &mut Model, act: Act) {
    let areas = view::areas(model);
    let on_page = model.page == Page::Call;
    let mut panes = Vec::new();
    if !on_page {
        panes.push(Focus::Calls);
    }
    panes.push(Focus::Transcript);
    if areas.has_detail {
        panes.push(Focus::Detail);
    }
    if !areas.has_talk {
        panes.retain(|pane| *pane == Focus::Calls);
    }
    if panes.is_empty() {
        return;
    }
    let at = panes
        .iter()
        .position(|focus| *focus == model.focus)
        .unwrap_or(0);
    let last = panes.len() - 1;
    let to = match act {
        Act::Left => at.saturating_sub(1),
        Act::Right => (at + 1).min(last),
        Act::PreviousPane => at.checked_sub(1).unwrap_or(last),
        _ => (at + 1) % panes.len(),
    };
    model.focus = panes[to];
}

/// The selected call in full.
pub(super) fn open_call(model: &mut Model) -> Vec<Effect> {
    if model.selected().is_none() {
        return Vec::new();
    }
    if model.page != Page::Call {
        model.opened_from = model.page;
    }
    model.page = Page::Call;
    if model.focus == Focus::Calls {
        model.focus = Focus::Transcript;
    }
    if model.is_past() {
        return Vec::new();
    }
    older(model)
}

pub(super) fn back(model: &mut Model) {
    if model.transcript.search().is_some() {
        model.transcript.look_for("");
    } else if model.page == Page::Call {
        model.page = model.opened_from;
        model.focus = Focus::Calls;
        model.list.reveal = true;
    } else if model.focus != Focus::Calls {
        model.focus = Focus::Calls;
    } else if model.page == Page::History && !marks::here(model).is_empty() {
        model.marked.clear();
    } else if model.page != Page::Board {
        model.page = Page::Board;
        model.list.reveal = true;
    } else if !model.marked.is_empty() {
        model.marked.clear();
    } else if !model.filter.is_empty() {
        set_filter(model, "");
    } else if model.notices_read < model.board.notices().len() {
        model.notices_read = model.board.notices().len();
    } else {
        model.toast = None;
    }
}

pub(super) fn set_filter(model: &mut Model, text: &str) {
    model.filter = Filter::parse(text).within(model.zone());
    model.list.is_stale = true;
    model.groups.made_at = None;
    model.list.reveal = true;
}

fn end_or_undo(model: &mut Model, act: Act) -> Vec<Effect> {
    if act == Act::Undo {
        let here = model.list.selected;
        let undone = model
            .pending
            .undo(here)
            .or_else(|| model.pending.undo(None));
        match undone {
            Some(entry) => {
                let (infinitive, _) = crate::ui::words::action_words(&entry.action);
                model.list.is_stale = true;
                let more = model.pending.undo_with(&entry);
                let text = if more == 0 {
                    format!("{infinitive}: taken back, nothing was sent")
                } else {
                    let count = more + 1;
                    format!("{infinitive}: taken back for all {count}, nothing was sent")
                };
                model.say(Severity::Info, text);
            }
            None => model.say(Severity::Info, "nothing to undo"),
        }
        return Vec::new();
    }
    let Some(id) = model.subject() else {
        return Vec::new();
    };
    let is_ending = model.pending.of_call(id).any(|entry| {
        matches!(entry.action, Action::Terminate {})
            && matches!(
                entry.state,
                PendingState::Grace { .. } | PendingState::Sent | PendingState::Accepted
            )
    });
    if is_ending {
        let undo = model.key(Act::Undo).to_owned();
        model.say(
            Severity::Info,
            format!("already ending; {undo} takes it back in time"),
        );
        return Vec::new();
    }
    confirm(model, id, Action::Terminate {});
    Vec::new()
}

/// Asks before an action that cannot be taken back once it is sent.
pub(super) fn confirm(model: &mut Model, call: CallId, action: Action) {
    model.overlays.push(Overlay::Confirm(Confirm {
        call,
        action,
        opened_at: model.now.mono,
    }));
}

/// The agent is silenced at once; the line to type on opens with it.
fn take_over(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    let Some(call) = model.selected() else {
        return Vec::new();
    };
    let (id, is_mine) = (call.id, call.held_by.as_deref() == Some(model.user()));
    let mut effects = open_call(model);
    if !is_mine {
        effects.extend(send(model, Some(id), Action::TakeOver {}, None));
    }
    effects.extend(prompts::ask_or_submit(model, Ask::Speak, argument));
    effects
}

fn toggle(model: &mut Model, act: Act) -> Vec<Effect> {
    let Some(call) = model.selected() else {
        return Vec::new();
    };
    let id = call.id;
    let action = match act {
        Act::Record => match call.recording().map(|recording| recording.state) {
            Some(RecordingState::Started | RecordingState::InProgress) => Action::RecordPause {},
            Some(RecordingState::Paused) => Action::RecordResume {},
            _ => Action::RecordStart {},
        },
        Act::RecordStop => Action::RecordStop {},
        Act::PauseAgent if agent_is_paused(call) => Action::ResumeAgent {},
        Act::PauseAgent => Action::PauseAgent {},
        _ if call.claimed_by.as_deref() == Some(model.user()) => Action::Release {},
        _ => Action::Claim {},
    };
    send(model, Some(id), action, None)
}

/// Whether the last word on the agent was "pause".
pub(crate) fn agent_is_paused(call: &Call) -> bool {
    let is_word = |action: &&OperatorAction| {
        matches!(action.verb.as_str(), "pause_agent" | "resume_agent")
            && action.state == crate::call::ActionState::Done
    };
    call.is_live()
        && call
            .actions
            .iter()
            .rev()
            .find(is_word)
            .is_some_and(|action| action.verb == "pause_agent")
}

/// Acknowledges or silences an alert: the one under the cursor of the alert list, else the worst
/// open one of the call.
fn alert(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    let now = model.board_now();
    let listed = match model.page {
        Page::Alerts => model.alerts.selected(),
        _ => None,
    };
    let chosen = match listed {
        Some(row) if row.over_at.is_some() => None,
        Some(row) => Some((row.call, row.alert.rule.clone())),
        None => model
            .selected()
            .and_then(|call| Some((call.id, worst_alert(call, now)?.rule.clone()))),
    };
    let Some((id, rule)) = chosen else {
        model.say(Severity::Info, "no open alert here");
        return Vec::new();
    };
    let action = if act == Act::Acknowledge {
        Action::Acknowledge { rule }
    } else {
        let minutes = marks::minutes(argument);
        model.say(Severity::Info, format!("snoozed for {minutes} minutes"));
        Action::Snooze { rule, minutes }
    };
    send(model, Some(id), action, None)
}
