//! What the backend says: link, hello, snapshot, facts, readings, replies.

use std::collections::VecDeque;

use crate::call::{
    Action, Applied, Board, CallEvent, CallId, Envelope, Fact, Gauge, Pending, PendingState,
    Severity,
};
use crate::engine::{LinkState, Update};
use crate::ui::model::{
    FROZEN_MAX, LEVELS_MAX, LIT_FOR, Model, Readings, SCORES_MAX, UNMASKED_FOR, Unmasked,
};
use crate::ui::msg::Effect;
use crate::ui::order::Sort;
use crate::ui::tour;
use crate::ui::words::action_words;

use super::{rows, tally};

/// Silence, for meters without a source.
const SILENCE_DBFS: f32 = -96.0;
/// A clock difference below this is the way's own delay, milliseconds.
const SKEW_MIN_MS: i64 = 2_000;

pub(super) fn take(model: &mut Model, update: Update) -> Vec<Effect> {
    if !matches!(update, Update::Link(_)) {
        model.heard_at = model.now.mono;
    }
    if model.frozen.is_some() {
        return freeze(model, update);
    }
    apply(model, update)
}

/// While frozen: outcomes of commands are taken at once, the picture waits.
fn freeze(model: &mut Model, update: Update) -> Vec<Effect> {
    match update {
        Update::Gauges(_) | Update::Alive => return Vec::new(),
        Update::Link(_) | Update::Hello(_) | Update::Reply(_) => return apply(model, update),
        Update::Snapshot { .. } | Update::Envelopes { .. } => {}
    }
    if let Update::Envelopes { items, .. } = &update {
        for envelope in items {
            settle(model, envelope);
        }
    }
    let Some(frozen) = &mut model.frozen else {
        return Vec::new();
    };
    frozen.events += match &update {
        Update::Envelopes { items, .. } => items.len(),
        _ => 1,
    };
    if matches!(update, Update::Snapshot { .. }) {
        frozen.waiting.clear();
    }
    frozen.waiting.push(update);
    if frozen.waiting.len() >= FROZEN_MAX {
        model.say(
            Severity::Warn,
            "too much is waiting: the picture moves again",
        );
        return thaw(model);
    }
    Vec::new()
}

/// Takes in everything that waited.
pub(super) fn thaw(model: &mut Model) -> Vec<Effect> {
    let Some(frozen) = model.frozen.take() else {
        return Vec::new();
    };
    let mut effects = Vec::new();
    for update in frozen.waiting {
        effects.extend(apply(model, update));
    }
    effects
}

fn apply(model: &mut Model, update: Update) -> Vec<Effect> {
    match update {
        Update::Link(link) => return set_link(model, link),
        Update::Hello(hello) => {
            let skew = hello.now - model.now.wall;
            model.skew = if skew.num_milliseconds().abs() < SKEW_MIN_MS {
                chrono::TimeDelta::zero()
            } else {
                skew
            };
            tour::offer(model);
            model.hello = Some(hello);
            model.list.is_stale = true;
        }
        Update::Snapshot { epoch, seq, calls } => {
            model.epoch = Some(epoch);
            model.board = Board::from_snapshot(seq, calls);
            let board = &model.board;
            model.readings.retain(|id, _| board.get(*id).is_some());
            model.asked_older = None;
            model.list.is_stale = true;
            model.totals_at = None;
            // What ended while we were not looking is over for the overlay, too.
            let ended: Vec<CallId> = board
                .calls()
                .filter(|call| !call.is_live())
                .map(|call| call.id)
                .collect();
            for call in ended {
                settle_ended(&mut model.pending, model.now.mono, call);
            }
            return ear_of_ended(model);
        }
        Update::Envelopes { to, items } => {
            for envelope in items {
                fold(model, &envelope);
            }
            model.board.skip_to(to);
            return ear_of_ended(model);
        }
        Update::Gauges(gauges) => {
            for gauge in gauges {
                read(model, gauge);
            }
        }
        Update::Reply(reply) => return replied(model, reply),
        Update::Alive => {}
    }
    Vec::new()
}

fn set_link(model: &mut Model, link: LinkState) -> Vec<Effect> {
    let up = |link: &LinkState| matches!(link, LinkState::Up | LinkState::Embedded);
    if up(&model.link) != up(&link) {
        model.link_since = model.now.mono;
        if up(&link) && model.hello.is_some() {
            model.say(Severity::Info, "the link is back");
            // The new session does not know yet what we look at.
            model.watched.clear();
        }
    } else if matches!(link, LinkState::Down { .. }) {
        model.link_since = model.now.mono;
    }
    if up(&link) {
        model.heard_at = model.now.mono;
    }
    model.link = link;
    model.list.is_stale = true;
    Vec::new()
}

pub(super) fn gone(model: &mut Model) {
    if !matches!(model.link, LinkState::Down { .. } | LinkState::Refused(_)) {
        model.link = LinkState::Down {
            reason: "the backend has stopped".into(),
            retry_in: std::time::Duration::from_secs(2),
            attempt: 1,
        };
        model.link_since = model.now.mono;
    }
}

fn fold(model: &mut Model, envelope: &Envelope) {
    if envelope.seq > model.board.seq() + 1 {
        // The backend vouches for the range; what is missing in it is not ours to see.
        model.board.skip_to(envelope.seq - 1);
    }
    if model.board.apply(envelope) != Applied::New {
        return;
    }
    settle(model, envelope);
    super::lead::hear(model, envelope);
    let CallEvent::Known(fact) = &envelope.event else {
        return;
    };
    let moves_state = matches!(
        fact,
        Fact::CallSeen { .. }
            | Fact::StatusChanged { .. }
            | Fact::CallEnded { .. }
            | Fact::AgentLinkChanged { .. }
            | Fact::MediaLinkChanged { .. }
            | Fact::StreamStarted { .. }
            | Fact::AlertRaised { .. }
            | Fact::AlertCleared { .. }
            | Fact::AlertAcknowledged { .. }
            | Fact::AlertSnoozed { .. }
    );
    let moves_sort = match model.sort {
        Sort::Turn => matches!(fact, Fact::TurnTimed { .. }),
        Sort::Score => matches!(fact, Fact::QualityChanged { .. }),
        Sort::Agent => matches!(fact, Fact::CallDescribed { .. }),
        _ => false,
    };
    model.list.is_stale |= moves_state || moves_sort || !model.filter.is_empty();
    if let (true, Some(call), false) = (
        moves_state,
        envelope.call,
        model.settings.is_remote_terminal,
    ) {
        model.lit.insert(call, model.now.mono + LIT_FOR);
    }
    if let Fact::Notice { severity, text, .. } = fact {
        if *severity == Severity::Info {
            let text = crate::call::text::clean_label(text).into_owned();
            model.say(Severity::Info, text);
        }
        // The board forgets the oldest of its notices; the mark of what was read follows.
        model.notices_read = model
            .notices_read
            .min(model.board.notices().len().saturating_sub(1));
    }
}

/// Settles the pending overlay by facts, and only by facts.
fn settle(model: &mut Model, envelope: &Envelope) {
    let CallEvent::Known(fact) = &envelope.event else {
        return;
    };
    let now = model.now.mono;
    match fact {
        Fact::CommandAccepted { command, .. } => {
            model.pending.settle(now, *command, PendingState::Accepted);
        }
        Fact::CommandDone { command, .. } => {
            if let Some(entry) = model.pending.entries().iter().find(|e| e.id == *command) {
                let (infinitive, _) = action_words(&entry.action);
                let text = format!("{infinitive}: done");
                // These have said more than "done" already.
                let has_spoken = matches!(
                    entry.action,
                    Action::Terminate {} | Action::Export { .. } | Action::Unmask {}
                );
                if !has_spoken && !tally::settled(model, *command, Ok(())) {
                    model.say(Severity::Info, text);
                }
            }
            model.pending.settle(now, *command, PendingState::Done);
        }
        Fact::CommandFailed {
            command, message, ..
        } => {
            let message = crate::call::text::clean_label(message).into_owned();
            tally::settled(model, *command, Err(&message));
            model
                .pending
                .settle(now, *command, PendingState::Failed(message));
        }
        Fact::CommandUnconfirmed { command, .. } => {
            tally::settled(model, *command, Err("it is not known how it went"));
            model
                .pending
                .settle(now, *command, PendingState::Unconfirmed);
        }
        Fact::CallEnded { .. } => {
            if let Some(call) = envelope.call {
                settle_ended(&mut model.pending, now, call);
            }
        }
        Fact::StatusChanged { status, .. } if status.is_terminal() => {
            if let Some(call) = envelope.call {
                settle_ended(&mut model.pending, now, call);
            }
        }
        _ => return,
    }
    model.list.is_stale = true;
}

/// The carrier says the call is over: that is what an operator's "end" waited for.
fn settle_ended(pending: &mut Pending, now: std::time::Duration, call: CallId) {
    let ends: Vec<_> = pending
        .of_call(call)
        .filter(|entry| matches!(entry.action, Action::Terminate {}))
        .map(|entry| entry.id)
        .collect();
    for id in ends {
        pending.settle(now, id, PendingState::Done);
    }
}

/// Leaves the audio of a call that is over.
fn ear_of_ended(model: &mut Model) -> Vec<Effect> {
    let Some(call) = model.ear.call else {
        return Vec::new();
    };
    if model
        .board
        .get(call)
        .is_some_and(crate::call::Call::is_live)
    {
        return Vec::new();
    }
    model.ear.call = None;
    model.ear.is_open = false;
    model.say(Severity::Info, "the call you listened to has ended");
    vec![Effect::StopListening]
}

fn replied(model: &mut Model, reply: crate::call::Reply) -> Vec<Effect> {
    let now = model.now.mono;
    let entry = model
        .pending
        .entries()
        .iter()
        .find(|entry| entry.id == reply.id)
        .cloned();
    let listing = rows::answered(model, reply.id);
    if reply.ok {
        model.pending.settle(now, reply.id, PendingState::Accepted);
        let unmask = entry.as_ref().filter(|e| e.action == Action::Unmask {});
        if let Some(call) = unmask.and_then(|entry| entry.call) {
            show_numbers(model, call, reply.result.as_ref());
            model.pending.settle(now, reply.id, PendingState::Done);
        }
        if let Some(listing) = listing {
            model.pending.settle(now, reply.id, PendingState::Done);
            model.list.is_stale = true;
            return rows::write(model, listing);
        }
        if let Some((call, Action::Export { format })) =
            entry.as_ref().and_then(|e| Some((e.call?, &e.action)))
        {
            model.pending.settle(now, reply.id, PendingState::Done);
            model.list.is_stale = true;
            return super::copy::allowed(model, call, format);
        }
        // What has no fact of the carrier to wait for is done when it is taken.
        if let Some(entry) = entry.filter(|entry| is_done_when_taken(&entry.action)) {
            model.pending.settle(now, entry.id, PendingState::Done);
            tally::settled(model, entry.id, Ok(()));
            // No fact about a call of the past reaches the board: look it up again.
            let past = entry.call.filter(|id| model.board.get(*id).is_none());
            if let Some(call) = past.filter(|_| model.is_past()) {
                model.list.is_stale = true;
                return vec![Effect::History(call)];
            }
        }
    } else if let Some(refusal) = reply.error {
        let (what, _) = entry.as_ref().map_or(("", ""), |e| action_words(&e.action));
        if !tally::settled(model, reply.id, Err(&refusal.message)) {
            super::refused(model, &format!("{what} refused"), &refusal);
        }
        let state = PendingState::Refused(refusal);
        model.pending.settle(now, reply.id, state);
    }
    model.list.is_stale = true;
    Vec::new()
}

fn is_done_when_taken(action: &Action) -> bool {
    matches!(
        action,
        Action::Claim {}
            | Action::Release {}
            | Action::Flag { .. }
            | Action::Note { .. }
            | Action::Acknowledge { .. }
            | Action::Snooze { .. }
            | Action::StopDialing {}
            | Action::ResumeDialing {}
    )
}

/// Shows full numbers for a short while: the reply's if it carries them, else what the board has.
fn show_numbers(model: &mut Model, call: CallId, result: Option<&serde_json::Value>) {
    let Some(known) = model.find(call) else {
        return;
    };
    let of = |key: &str, fallback: &str| {
        result
            .and_then(|value| value.get(key))
            .and_then(serde_json::Value::as_str)
            .map_or_else(|| fallback.to_owned(), str::to_owned)
    };
    let shown = Unmasked {
        from: of("from", &known.facts.from),
        to: of("to", &known.facts.to),
        until: model.now.mono + UNMASKED_FOR,
    };
    model.unmasked.insert(call, shown);
    model.say(
        Severity::Info,
        "number shown for 30 s; this is in the audit log",
    );
}

/// Takes a reading in. The meters step at their own pace with the loudest since the last step.
fn read(model: &mut Model, gauge: Gauge) {
    let Some(call) = model.board.get(gauge.call) else {
        return;
    };
    let now = model.now.mono;
    let is_near = model.list.selected == Some(call.id) || model.ear.call == Some(call.id);
    let step_ms = match (model.settings.is_remote_terminal, is_near) {
        (true, _) => 1_000,
        (false, true) => 240,
        (false, false) => 480,
    };
    let level = |dbfs: Option<f32>| dbfs.filter(|v| v.is_finite()).unwrap_or(SILENCE_DBFS);
    let (caller, agent) = (level(gauge.level_in_dbfs), level(gauge.level_out_dbfs));
    let readings = model.readings.entry(call.id).or_insert_with(|| Readings {
        gauge: gauge.clone(),
        caller: VecDeque::new(),
        agent: VecDeque::new(),
        scores: VecDeque::new(),
        peak: (SILENCE_DBFS, SILENCE_DBFS),
        stepped_at: std::time::Duration::ZERO,
        scored_at: std::time::Duration::ZERO,
    });
    readings.peak.0 = readings.peak.0.max(caller);
    readings.peak.1 = readings.peak.1.max(agent);
    let since = |at: std::time::Duration| now.saturating_sub(at).as_millis();
    if readings.caller.is_empty() || since(readings.stepped_at) >= step_ms {
        for (history, value) in [
            (&mut readings.caller, readings.peak.0),
            (&mut readings.agent, readings.peak.1),
        ] {
            if history.len() == LEVELS_MAX {
                history.pop_front();
            }
            history.push_back(value);
        }
        readings.peak = (SILENCE_DBFS, SILENCE_DBFS);
        readings.stepped_at = now;
    }
    if let Some(score) = gauge.score {
        if readings.scores.is_empty() || since(readings.scored_at) >= 2_000 {
            if readings.scores.len() == SCORES_MAX {
                readings.scores.pop_front();
            }
            readings.scores.push_back(score);
            readings.scored_at = now;
        }
    }
    readings.gauge = gauge;
}
