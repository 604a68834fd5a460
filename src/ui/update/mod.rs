//! `update`: one message in, the model changed, work for the world out. Pure and synchronous.

mod acts;
mod backend;
mod copy;
mod ends;
mod hear;
mod house;
mod input;
mod lead;
mod list;
mod look;
mod marks;
mod may;
mod mouse;
mod pages;
mod prompts;
mod rows;
mod tally;
mod tape;
#[cfg(test)]
mod tests;
mod typed;
mod views;

use std::fmt::Write as _;

use crate::call::{CallId, Command, CommandId, PendingState, Refusal, Severity};
use crate::engine::HistoryPage;

use super::model::{Model, Overlay, Page, looked_at};
use super::msg::{Effect, Msg};
use super::sound::{Device, SoundState};
use super::view;

pub(crate) use acts::agent_is_paused;
pub(crate) use copy::shown_number;
pub(crate) use house::spoken_for;
pub(crate) use list::visible;
pub(crate) use marks::here as marked_here;
pub(crate) use may::why_not;
pub(crate) use pages::AUDIT_ROWS;
pub(crate) use prompts::{Choice, choices, places};
pub(crate) use tape::{is_paused, progress as tape_progress, words as tape_words};
pub use typed::{Typed, answered, is_about_a_call, typed, typed_commands};
pub(crate) use views::{last, restore};

/// Takes one message in. The caller has set `model.now`.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => input::key(model, &key),
        Msg::Mouse(event) => {
            model.touched_at = Some(model.now.mono);
            mouse::take(model, event);
            Vec::new()
        }
        Msg::Paste(text) => input::paste(model, &text),
        Msg::Resize(width, height) => {
            model.size = (width, height);
            model.list.reveal = true;
            Vec::new()
        }
        Msg::Focus(has_focus) => {
            model.has_focus = has_focus;
            Vec::new()
        }
        Msg::Backend(update) => backend::take(model, update),
        Msg::BackendGone => {
            backend::gone(model);
            Vec::new()
        }
        Msg::Sound(state) => sound(model, state),
        Msg::Listening { call, result } => {
            if model.ear.call != Some(call) {
                return Vec::new();
            }
            match result {
                Ok(()) => model.ear.is_open = true,
                Err(refusal) => {
                    model.ear.call = None;
                    refused(model, "cannot listen", &refusal);
                }
            }
            Vec::new()
        }
        Msg::Fetched { id, so_far } => {
            tape::fetched(model, &id, so_far);
            Vec::new()
        }
        Msg::Recording { id, result } => {
            tape::begun(model, &id, result);
            Vec::new()
        }
        Msg::ListenUrl { result, .. } => match result {
            Ok(url) => vec![Effect::Copy {
                what: "listen link".into(),
                text: url,
            }],
            Err(refusal) => {
                refused(model, "no listen link", &refusal);
                Vec::new()
            }
        },
        Msg::History { call, result } => whole(model, call, result),
        Msg::Past { serial, result } => pages::found(model, serial, result),
        Msg::Audit(result) => {
            pages::audited(model, result);
            Vec::new()
        }
        Msg::Lead { serial, result } => {
            lead::found(model, serial, result);
            Vec::new()
        }
        Msg::Written { what, result } => {
            match result {
                Ok(path) => {
                    let path = fitting(&path, what.len() + 2, model.size.0);
                    model.say(Severity::Info, format!("{what}: {path}"));
                }
                Err(text) => model.say(Severity::Warn, format!("{what}: {text}")),
            }
            Vec::new()
        }
        Msg::NotSent { command, refusal } => {
            not_sent(model, command.id, refusal);
            Vec::new()
        }
        Msg::Hits(hits) => {
            for (endpoint, count) in model.settings.endpoints.iter_mut().zip(hits) {
                endpoint.hits = count;
            }
            Vec::new()
        }
        Msg::Tick => tick(model),
    }
}

/// All lines of a call were looked up: for the start of a long transcript, a call of the past, or an
/// export.
fn whole(model: &mut Model, call: CallId, result: Result<HistoryPage, Refusal>) -> Vec<Effect> {
    match result {
        Ok(page) => {
            let found = page.items.into_iter().find(|item| item.id == call);
            if let Some(past) = found.filter(|past| past.lines_dropped == 0) {
                if model.board.get(call).is_some() {
                    model.older = Some((call, past.lines.clone()));
                } else if model.page == Page::Call
                    && model
                        .find(call)
                        .is_some_and(|known| known.lines_dropped > 0)
                {
                    model.jump = past.evidence().first().copied();
                }
                pages::whole(model, past);
            }
        }
        Err(refusal) => refused(model, "no earlier lines", &refusal),
    }
    copy::go_on(model, call)
}

/// A path as the footer has room for it: where there is too little, its end, which tells files apart.
fn fitting(path: &str, before: usize, width: u16) -> String {
    let room = usize::from(width).saturating_sub(before + 5);
    let name = path.rsplit('/').next().unwrap_or(path);
    if path.chars().count() <= room || name == path {
        return path.to_owned();
    }
    let folder = path
        .strip_suffix(name)
        .unwrap_or_default()
        .trim_end_matches('/');
    let folder = folder.rsplit('/').next().unwrap_or_default();
    let short = format!("…/{folder}/{name}");
    if short.chars().count() <= room {
        short
    } else {
        name.to_owned()
    }
}

fn not_sent(model: &mut Model, command: CommandId, refusal: Refusal) {
    let _listing = rows::answered(model, command);
    if !tally::settled(model, command, Err(&refusal.message)) {
        refused(model, "not sent", &refusal);
    }
    let state = PendingState::Refused(refusal);
    model.pending.settle(model.now.mono, command, state);
    model.list.is_stale = true;
}

fn refused(model: &mut Model, what: &str, refusal: &Refusal) {
    let mut text = format!("{what}: {}", refusal.message);
    if let Some(by) = &refusal.by {
        let _ = write!(text, " ({by})");
    }
    if !refusal.hint.is_empty() {
        let _ = write!(text, " – {}", refusal.hint);
    }
    model.say(Severity::Warn, text);
}

/// Time went on: graces end, news fades, ended calls leave.
fn tick(model: &mut Model) -> Vec<Effect> {
    let now = model.now.mono;
    let mut effects = Vec::new();

    // A call that ended by itself needs no command any more.
    let over: Vec<_> = model
        .pending
        .entries()
        .iter()
        .filter(|entry| matches!(entry.state, PendingState::Grace { .. }))
        .filter_map(|entry| entry.call)
        .filter(|id| model.board.get(*id).is_none_or(|call| !call.is_live()))
        .collect();
    for id in over {
        model.pending.undo(Some(id));
        model.list.is_stale = true;
        model.say(Severity::Info, "the call ended by itself; nothing was sent");
    }

    let open_before = model.pending.entries().len();
    for due in model.pending.tick(now) {
        effects.push(Effect::Send(Command {
            id: due.id,
            call: due.call,
            action: due.action,
            reason: None,
        }));
    }
    if !effects.is_empty() || open_before != model.pending.entries().len() {
        model.list.is_stale = true;
    }

    if model.toast.as_ref().is_some_and(|toast| toast.until <= now) {
        model.toast = None;
    }
    model.unmasked.retain(|_, shown| shown.until > now);
    model.lit.retain(|_, until| *until > now);

    let board_now = model.board_now();
    if model.frozen.is_none() {
        let kept = crate::engine::ENDED_SHOWN;
        let before = board_now - chrono::TimeDelta::from_std(kept).unwrap_or_default();
        if model.board.forget_ended(before) > 0 {
            let board = &model.board;
            model.readings.retain(|id, _| board.get(*id).is_some());
            model.list.is_stale = true;
        }
    }
    // Ended calls fade, snoozes run out: both are a matter of time alone.
    model.list.is_stale |= list::is_due(model);
    effects.extend(lead::refresh(model));
    effects
}

fn sound(model: &mut Model, state: SoundState) -> Vec<Effect> {
    let was = std::mem::replace(&mut model.sound, state);
    let Some(call) = model.ear.call else {
        return tape::sounded(model);
    };
    let mut effects = Vec::new();
    match &model.sound.device {
        Device::Absent { .. } if !matches!(was.device, Device::Absent { .. }) => {
            model.ear.call = None;
            model.ear.is_open = false;
            model.overlays.push(Overlay::Hear(call));
            effects.push(Effect::StopListening);
        }
        Device::Lost { reason } => {
            let text = format!("sound device lost: {reason}; it comes back by itself");
            if was.device != model.sound.device {
                model.say(Severity::Warn, text);
            }
        }
        _ => {
            if was.playing && !model.sound.playing && model.ear.is_open {
                model.ear.call = None;
                model.ear.is_open = false;
                model.say(Severity::Info, "the audio of this call has stopped");
                effects.push(Effect::StopListening);
            }
        }
    }
    effects
}

/// Lays out what the next picture needs: order, scroll positions, transcript rows. Call it after the
/// last message and before [`view::draw`]. Returns what the new picture wants from the backend.
pub fn prepare(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !model.overlays.is_empty() && model.hello.is_none() {
        model
            .overlays
            .retain(|overlay| !matches!(overlay, Overlay::Confirm(_)));
    }
    let areas = view::areas(model);
    list::lay(model, &areas);
    if model.selected().is_none() && model.page == Page::Call {
        model.page = model.opened_from;
    }
    let (board, past) = (&model.board, &model.past.items);
    let is_past = |id: CallId| past.iter().any(|call| call.id == id);
    model
        .marked
        .retain(|id| board.get(*id).is_some() || is_past(*id));
    pages::lay(model);
    totals(model);
    sync_transcript(model, &areas);

    let mut wanted: Vec<_> = if model.has_focus {
        in_view(model, &areas)
    } else {
        Vec::new()
    };
    if let Some(selected) = model.subject() {
        if !wanted.contains(&selected) {
            wanted.push(selected);
        }
    }
    wanted.retain(|id| {
        let call = model.board.get(*id);
        call.is_some_and(|call| call.status == crate::call::CallStatus::InProgress)
    });
    wanted.sort_unstable();
    if wanted != model.watched {
        model.watched.clone_from(&wanted);
        effects.push(Effect::Watch(wanted));
    }
    effects
}

/// Calls whose figures are on the screen.
fn in_view(model: &Model, areas: &view::Areas) -> Vec<CallId> {
    match model.page {
        Page::Board if areas.mosaic.is_some() => mosaic(model),
        Page::Board => visible(model).map(|(id, _)| id).collect(),
        Page::Quality => {
            let rows = areas.below.map_or(0, |below| usize::from(below.height));
            model.groups.calls.iter().take(rows).copied().collect()
        }
        _ => Vec::new(),
    }
}

/// The four calls of the mosaic: those marked, else the screenful of four with the cursor.
pub(crate) fn mosaic(model: &Model) -> Vec<CallId> {
    let order = &model.list.order;
    if model.marked.len() > 1 {
        let marked = order.iter().filter(|id| model.marked.contains(id));
        return marked.take(4).copied().collect();
    }
    let selected = |id: &CallId| Some(*id) == model.list.selected;
    let at = order.iter().position(selected).unwrap_or(0);
    order.iter().skip(at / 4 * 4).take(4).copied().collect()
}

fn sync_transcript(model: &mut Model, areas: &view::Areas) {
    let past = model.is_past().then_some(&model.past);
    let Some(call) = looked_at(&model.board, past, model.list.selected) else {
        model.transcript.clear();
        return;
    };
    let Some(pane) = areas.transcript_rows else {
        return;
    };
    let older: &[_] = match &model.older {
        // Only when it reaches up to what the board holds.
        Some((id, lines)) if *id == call.id => {
            lines.get(..call.lines_dropped as usize).unwrap_or_default()
        }
        _ => &[],
    };
    model
        .transcript
        .sync(call, older, (pane.width, pane.height), &model.watch);
    if let Some(turn) = model.jump.take() {
        model.transcript.go_turn(turn);
    }
}

/// Counts at every change, percentiles at most once a second.
fn totals(model: &mut Model) {
    let now = model.now.mono;
    let due = model
        .totals_at
        .is_none_or(|at| now.saturating_sub(at) >= std::time::Duration::from_secs(1));
    if !due {
        return;
    }
    model.totals_at = Some(now);
    let mut latencies: Vec<u32> = Vec::new();
    let (mut score_sum, mut score_count) = (0.0, 0_u16);
    for call in model.board.live() {
        latencies.extend(call.turns.iter().map(|turn| turn.latency_ms));
        if let Some(score) = super::order::score_of(call, model.live_score(call.id)) {
            score_sum += score;
            score_count = score_count.saturating_add(1);
        }
    }
    latencies.sort_unstable();
    let rank = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).max(1);
        latencies.get(rank - 1).copied()
    };
    model.totals.turn_p50_ms = rank(50);
    model.totals.turn_p95_ms = rank(95);
    model.totals.score = (score_count > 0).then(|| score_sum / f32::from(score_count));
}
