//! What is asked of an order about a recording.

use crate::call::{Action, ActionState, Call, CallId, ErrorCode, RecordingState, Refusal};
use crate::engine::Core;
use crate::engine::ports::RecordingOrder;

use super::Job;

pub(super) fn recording(core: &Core, call: CallId, action: &Action) -> Result<Job, Refusal> {
    let (running, state) = core.switchboard.read(|board| {
        let call = board.get(call);
        let running = call.and_then(running_recording);
        let state = call.and_then(|call| call.recording().map(|recording| recording.state));
        (running, state)
    });
    let order = match action {
        Action::RecordPause {} => RecordingOrder::Pause,
        Action::RecordResume {} => RecordingOrder::Resume,
        Action::RecordStop {} => RecordingOrder::Stop,
        _ => RecordingOrder::Start,
    };
    let conflict =
        |message: &str, hint: &str| Err(Refusal::new(ErrorCode::Conflict, message, hint));
    if matches!(order, RecordingOrder::Pause | RecordingOrder::Resume) {
        can_pause_recording(core, call)?;
    }
    match (order, &running) {
        (RecordingOrder::Start, Some(_)) => {
            conflict("the call is being recorded already", "stop it first")
        }
        (RecordingOrder::Start, None) => Ok(Job::Record {
            call,
            order,
            recording: None,
        }),
        (_, None) => conflict("the call is not being recorded", "start a recording first"),
        (RecordingOrder::Pause, Some(_)) if state == Some(RecordingState::Paused) => {
            conflict("the recording is paused already", "resume it")
        }
        (RecordingOrder::Resume, Some(_)) if state != Some(RecordingState::Paused) => {
            conflict("the recording is not paused", "it runs")
        }
        (_, Some(id)) => Ok(Job::Record {
            call,
            order,
            recording: Some(id.clone()),
        }),
    }
}

/// A recording begun where no audio is kept would lie with the carrier for good. One that runs can
/// always be stopped.
pub(super) fn audio_is_kept(call: &Call, action: &Action) -> Result<(), Refusal> {
    if call.facts.store.keeps_audio() || !matches!(action, Action::RecordStart {}) {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::Unsupported,
        "the route of this call keeps no audio",
        "store of its [[route]] says so; it is \"all\" where calls may be recorded",
    ))
}

fn can_pause_recording(core: &Core, call: CallId) -> Result<(), Refusal> {
    let name = core
        .switchboard
        .read(|board| board.get(call).map(|call| call.facts.carrier.clone()));
    let carrier = name.and_then(|name| core.carriers.get(name.as_str()));
    match carrier {
        Some(carrier) if !carrier.pauses_recordings() => Err(Refusal::new(
            ErrorCode::Unsupported,
            format!("{} cannot pause a recording", carrier.name()),
            "stop it, and start another one later",
        )),
        _ => Ok(()),
    }
}

/// The recording that runs or is paused. A stop that was done counts, though the carrier's own
/// word (`completed`) comes later.
fn running_recording(call: &Call) -> Option<String> {
    let recording = call.recording()?;
    let open = recording.state.is_open();
    let last = call.actions.iter().rev().find(|action| {
        matches!(action.verb.as_str(), "record_start" | "record_stop")
            && action.state == ActionState::Done
    });
    let stopped = last.is_some_and(|action| action.verb == "record_stop");
    (open && !stopped).then(|| recording.id.clone())
}
