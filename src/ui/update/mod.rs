//! `update`: one message in, the model changed, work for the world out. Pure and synchronous.

mod acts;
mod backend;
mod hear;
mod house;
mod input;
mod list;
mod may;
mod mouse;
mod prompts;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::call::{Command, PendingState, Severity};

use super::model::{Model, Overlay, Page};
use super::msg::{Effect, Msg};
use super::sound::{Device, SoundState};
use super::view;

pub(crate) use acts::agent_is_paused;
pub(crate) use list::visible;
pub(crate) use may::why_not;
pub(crate) use prompts::places;
pub(crate) use prompts::{Choice, choices, shown_number};

/// Takes one message in. The caller has set `model.now`.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => input::key(model, &key),
        Msg::Mouse(event) => {
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
        Msg::ListenUrl { result, .. } => match result {
            Ok(url) => {
                model.say(Severity::Info, format!("copied {url}"));
                vec![Effect::Copy(url)]
            }
            Err(refusal) => {
                refused(model, "no listen link", &refusal);
                Vec::new()
            }
        },
        Msg::History { call, result } => {
            match result {
                Ok(page) => {
                    let found = page.items.into_iter().find(|item| item.id == call);
                    if let Some(past) = found.filter(|past| past.lines_dropped == 0) {
                        model.older = Some((call, past.lines));
                    }
                }
                Err(refusal) => refused(model, "no earlier lines", &refusal),
            }
            Vec::new()
        }
        Msg::NotSent { command, refusal } => {
            let state = PendingState::Refused(refusal.clone());
            model.pending.settle(model.now.mono, command.id, state);
            model.list.is_stale = true;
            refused(model, "not sent", &refusal);
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

fn refused(model: &mut Model, what: &str, refusal: &crate::call::Refusal) {
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
    effects
}

fn sound(model: &mut Model, state: SoundState) -> Vec<Effect> {
    let was = std::mem::replace(&mut model.sound, state);
    let Some(call) = model.ear.call else {
        return Vec::new();
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
    if model.list.selected.is_none() && model.page == Page::Call {
        model.page = Page::Board;
    }
    totals(model);
    sync_transcript(model, &areas);

    let mut wanted: Vec<_> = if model.has_focus {
        visible(model).map(|(id, _)| id).collect()
    } else {
        Vec::new()
    };
    if let Some(selected) = model.list.selected {
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

fn sync_transcript(model: &mut Model, areas: &view::Areas) {
    let Some(call) = model.list.selected.and_then(|id| model.board.get(id)) else {
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
        .sync(call, older, (pane.width, pane.height));
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
