//! What every act of the key table does.

use crate::call::{
    Action, Call, CallId, Command, OperatorAction, PendingState, RecordingState, Severity, Verb,
};
use crate::ui::filter::Filter;
use crate::ui::keymap::{Act, binding};
use crate::ui::model::{Ask, Confirm, Focus, Frozen, Model, Overlay, Page, Picker, View};
use crate::ui::msg::Effect;
use crate::ui::order::{Sort, worst_alert};
use crate::ui::view;

use super::may::why_not;
use super::{backend, hear, house, list, mouse, prompts};

/// How long `z` silences an alert, minutes.
const SNOOZE_MINUTES: u32 = 10;

/// Does an act. `argument` is what followed its name in the palette.
pub(super) fn run(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    if let Some(why) = why_not(model, act) {
        let name = binding(act).name.replace('-', " ");
        model.say(Severity::Warn, format!("{name}: {why}"));
        return Vec::new();
    }
    if model.in_burst && acts_at_once(act) {
        let key = model.key(act).to_owned();
        let text = format!("that looked like a paste; press {key} by itself");
        model.say(Severity::Warn, text);
        return Vec::new();
    }
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
        Act::Open => open(model),
        Act::Back => {
            back(model);
            Vec::new()
        }
        Act::Worst | Act::View | Act::Sort | Act::Reverse | Act::KeepEnded | Act::Freeze => {
            look(model, act, argument)
        }
        Act::Filter => {
            match argument {
                Some(text) => set_filter(model, text),
                None => prompts::ask(model, Ask::Filter),
            }
            Vec::new()
        }
        Act::Search | Act::NextMatch | Act::PreviousMatch => {
            search(model, act, argument);
            Vec::new()
        }
        Act::NextTurn | Act::PreviousTurn => {
            model.transcript.step_turn(act == Act::NextTurn);
            Vec::new()
        }
        Act::Follow => {
            model.transcript.go_end();
            Vec::new()
        }
        Act::Listen | Act::VolumeUp | Act::VolumeDown | Act::Mute | Act::Legs => {
            hear::run(model, act)
        }
        Act::End | Act::Undo => end_or_undo(model, act),
        Act::Record | Act::RecordStop | Act::PauseAgent | Act::Claim => toggle(model, act),
        Act::Acknowledge | Act::Snooze => alert(model, act),
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
        Act::Theme => house::theme(model, argument),
        Act::Help => {
            model.overlays.push(Overlay::Help(Picker::default()));
            Vec::new()
        }
        Act::Palette => {
            model.overlays.push(Overlay::Palette(Picker::default()));
            Vec::new()
        }
        Act::Mouse => mouse::toggle(model),
        Act::Redraw => vec![Effect::Redraw],
        Act::Suspend => house::suspend(model),
        Act::Quit => house::quit(model),
    }
}

/// Acts that touch the world with no dialog in between.
fn acts_at_once(act: Act) -> bool {
    let has_dialog = matches!(
        act,
        Act::End
            | Act::Transfer
            | Act::Whisper
            | Act::Say
            | Act::HandBack
            | Act::Note
            | Act::Flag
            | Act::Dial
            | Act::Unmask
    );
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
    if rows < 0 && model.transcript.is_at_top() {
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

fn open(model: &mut Model) -> Vec<Effect> {
    model.page = Page::Call;
    if model.focus == Focus::Calls {
        model.focus = Focus::Transcript;
    }
    older(model)
}

pub(super) fn back(model: &mut Model) {
    if model.transcript.search().is_some() {
        model.transcript.look_for("");
    } else if model.page == Page::Call {
        model.page = Page::Board;
        model.focus = Focus::Calls;
        model.list.reveal = true;
    } else if model.focus != Focus::Calls {
        model.focus = Focus::Calls;
    } else if !model.filter.is_empty() {
        set_filter(model, "");
    } else if model.notices_read < model.board.notices().len() {
        model.notices_read = model.board.notices().len();
    } else {
        model.toast = None;
    }
}

pub(super) fn set_filter(model: &mut Model, text: &str) {
    model.filter = Filter::parse(text);
    model.list.is_stale = true;
    model.list.reveal = true;
}

fn look(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    match act {
        Act::Worst => worst(model),
        Act::View => {
            model.view = match model.view {
                View::Cards => View::Dense,
                View::Dense => View::Cards,
            };
            model.list.reveal = true;
        }
        Act::Sort => {
            let chosen = argument.map(|word| Sort::parse(word.trim()));
            model.sort = match chosen {
                Some(Some(sort)) => sort,
                Some(None) => {
                    let all: Vec<&str> = Sort::ALL.iter().map(|sort| sort.as_str()).collect();
                    model.say(Severity::Warn, format!("orders are: {}", all.join(", ")));
                    return Vec::new();
                }
                None => model.sort.next(),
            };
            resort(model);
        }
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

fn resort(model: &mut Model) {
    model.list.is_stale = true;
    model.list.reveal = true;
}

fn worst(model: &mut Model) {
    let Some(id) = list::worst(model) else {
        model.say(Severity::Info, "no call needs you now");
        return;
    };
    let now = model.board_now();
    let turn = model
        .board
        .get(id)
        .and_then(|call| worst_alert(call, now))
        .and_then(|alert| alert.evidence.first().copied());
    if !model.list.order.contains(&id) {
        set_filter(model, "");
        model.say(Severity::Info, "filter cleared to show this call");
    }
    list::select(model, Some(id));
    model.list.reveal = true;
    model.jump = turn;
}

fn search(model: &mut Model, act: Act, argument: Option<&str>) {
    match (act, argument) {
        (Act::Search, Some(text)) => {
            model.transcript.look_for(text);
            model.transcript.show_match();
        }
        (Act::Search, None) => prompts::ask(model, Ask::Search),
        _ if model.transcript.search().is_none() => {
            let key = model.key(Act::Search).to_owned();
            model.say(
                Severity::Info,
                format!("search the transcript first: tab, then {key}"),
            );
        }
        _ => model.transcript.step_match(act == Act::NextMatch),
    }
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
                let text = format!("{infinitive}: taken back, nothing was sent");
                model.say(Severity::Info, text);
            }
            None => model.say(Severity::Info, "nothing to undo"),
        }
        return Vec::new();
    }
    let Some(id) = model.list.selected else {
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
    let mut effects = open(model);
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

fn alert(model: &mut Model, act: Act) -> Vec<Effect> {
    let now = model.board_now();
    let Some((id, rule)) = model
        .selected()
        .and_then(|call| Some((call.id, worst_alert(call, now)?.rule.clone())))
    else {
        model.say(Severity::Info, "no open alert on this call");
        return Vec::new();
    };
    let action = if act == Act::Acknowledge {
        Action::Acknowledge { rule }
    } else {
        model.say(
            Severity::Info,
            format!("snoozed for {SNOOZE_MINUTES} minutes"),
        );
        Action::Snooze {
            rule,
            minutes: SNOOZE_MINUTES,
        }
    };
    send(model, Some(id), action, None)
}
