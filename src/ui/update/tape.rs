//! Recordings: fetch one, play it, pause, jump. Whatever was heard before falls silent.

use crate::call::{Call, CallId, Recording, RecordingState, Refusal, Severity};
use crate::engine::Fetched;
use crate::media::TapeOrder;
use crate::ui::keymap::{Act, binding};
use crate::ui::model::{Model, Overlay, Tape};
use crate::ui::msg::Effect;
use crate::ui::sound::Device;

use super::refused;

/// How far `<` and `>` jump, seconds.
const JUMP_S: i32 = 5;

/// What of a call can be played, oldest first.
pub(crate) fn playable(call: &Call) -> Vec<&Recording> {
    call.recordings
        .iter()
        .filter(|recording| recording.state == RecordingState::Completed)
        .collect()
}

/// Why nothing of this call can be played; `None` when something can.
pub(super) fn why_none(call: &Call) -> Option<String> {
    if !playable(call).is_empty() {
        return None;
    }
    let last = call.recording().map(|recording| recording.state);
    Some(match last {
        Some(state) if state.is_open() => "it is still being recorded".into(),
        Some(RecordingState::Failed) => "the recording failed".into(),
        _ if !call.facts.store.keeps_audio() => "the route of this call keeps no audio".into(),
        _ => "nothing was recorded on this call".into(),
    })
}

pub(super) fn run(model: &mut Model, act: Act, argument: Option<&str>) -> Vec<Effect> {
    match act {
        Act::Play => play(model, argument),
        _ if model.tape.is_none() => {
            model.say(Severity::Info, "no recording plays");
            Vec::new()
        }
        Act::PlayBack => vec![Effect::Tape(TapeOrder::Seek(-JUMP_S))],
        Act::PlayAhead => vec![Effect::Tape(TapeOrder::Seek(JUMP_S))],
        _ => {
            model.tape = None;
            model.say(Severity::Info, "the recording is stopped");
            vec![Effect::StopListening]
        }
    }
}

/// Plays, or holds what plays already. Of several recordings the newest, or the one with that number.
fn play(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    let chosen = model.selected().and_then(|call| {
        let all = playable(call);
        let number = match argument {
            None => all.len(),
            Some(word) => word.trim().parse().unwrap_or(0),
        };
        let one = *all.get(number.checked_sub(1)?)?;
        let id = one.served_id().to_owned();
        Some((call.id, id, one.duration_s, number, all.len()))
    });
    let Some((call, id, length_s, number, count)) = chosen else {
        if argument.is_some() {
            model.say(Severity::Warn, "play: this call has no such recording");
            return Vec::new();
        }
        return toggle(model);
    };
    if model.tape.as_ref().is_some_and(|tape| tape.id == id) {
        return toggle(model);
    }
    if matches!(model.sound.device, Device::Absent { .. }) {
        model.overlays.push(Overlay::HearRecording(id));
        return Vec::new();
    }
    if count > 1 {
        let name = binding(Act::Play).name;
        let text = format!("recording {number} of {count}; :{name} N plays another");
        model.say(Severity::Info, text);
    }
    let was_heard = model.ear.call.take().is_some() || model.tape.is_some();
    model.ear.is_open = false;
    model.tape = Some(Tape {
        call,
        id: id.clone(),
        length_s,
        fetching: Some(Fetched::default()),
    });
    let mut effects = Vec::new();
    if was_heard {
        effects.push(Effect::StopListening);
    }
    effects.push(Effect::Recording(id));
    effects
}

fn toggle(model: &mut Model) -> Vec<Effect> {
    let is_paused = is_paused(model);
    match &model.tape {
        Some(tape) if tape.fetching.is_some() => {
            model.say(Severity::Info, "the recording is still coming");
            Vec::new()
        }
        Some(_) if is_paused => vec![Effect::Tape(TapeOrder::Resume)],
        Some(_) => vec![Effect::Tape(TapeOrder::Pause)],
        None => Vec::new(),
    }
}

/// More of it has come.
pub(super) fn fetched(model: &mut Model, id: &str, so_far: Fetched) {
    let waiting = model.tape.as_mut().filter(|tape| tape.id == id);
    if let Some(fetching) = waiting.and_then(|tape| tape.fetching.as_mut()) {
        *fetching = so_far;
    }
}

/// It has come whole and plays from now on; or it could not be had.
pub(super) fn begun(model: &mut Model, id: &str, result: Result<(), Refusal>) {
    let Some(tape) = model.tape.as_mut().filter(|tape| tape.id == id) else {
        return;
    };
    match result {
        Ok(()) => {
            tape.fetching = None;
            model.sound.tape = None;
        }
        Err(refusal) => {
            model.tape = None;
            refused(model, "cannot play", &refusal);
        }
    }
}

/// News of the output while a recording plays.
pub(super) fn sounded(model: &mut Model) -> Vec<Effect> {
    let Some(id) = playing(model) else {
        return Vec::new();
    };
    if matches!(model.sound.device, Device::Absent { .. }) {
        model.tape = None;
        model.overlays.push(Overlay::HearRecording(id));
        return vec![Effect::StopListening];
    }
    let over = model.sound.tape.as_ref().filter(|tape| tape.is_over);
    let Some(over) = over else {
        return Vec::new();
    };
    match &over.error {
        None => model.say(Severity::Info, "the recording is over"),
        Some(error) => {
            let error = crate::call::text::clean_label(error).into_owned();
            let text =
                format!("cannot play: {error} – wallboard recording {id} --out FILE saves it");
            model.say(Severity::Warn, text);
        }
    }
    model.tape = None;
    vec![Effect::StopListening]
}

/// The recording that has come and plays.
fn playing(model: &Model) -> Option<String> {
    let tape = model.tape.as_ref()?;
    tape.fetching.is_none().then(|| tape.id.clone())
}

/// The operator holds what would play.
pub(crate) fn is_paused(model: &Model) -> bool {
    model.sound.tape.as_ref().is_some_and(|tape| tape.is_paused)
}

/// How far the recording of this call is, in words: `00:12 / 01:34`; `None` when none of it plays.
pub(crate) fn progress(model: &Model, call: CallId) -> Option<(&Tape, String)> {
    let tape = model.tape.as_ref().filter(|tape| tape.call == call)?;
    Some((tape, words(model, tape)))
}

pub(crate) fn words(model: &Model, tape: &Tape) -> String {
    use crate::ui::words::duration;
    if let Some(fetching) = tape.fetching {
        return match fetching.of {
            Some(all) if all > 0 => {
                let percent = fetching.bytes.saturating_mul(100) / all;
                format!("coming {percent} %")
            }
            _ => "coming…".into(),
        };
    }
    let now = model.sound.tape.clone().unwrap_or_default();
    let length = now.length_s.or(tape.length_s);
    let length = length.map_or_else(|| "–".into(), duration);
    format!("{} / {length}", duration(now.at_s))
}
