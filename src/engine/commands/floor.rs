//! Who speaks to the caller: hints, given words, pausing the agent, taking over and handing back.
//! Of two operators exactly one gets the floor; the other is told who has it.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::call::{Action, Call, CallId, CommandId, ErrorCode, Fact, Grant, Refusal, Role};
use crate::engine::Core;
use crate::engine::bridges::BridgeOrder;
use crate::engine::limits::{Mouth, mouth_of};

use super::Outcome;
use super::checks::{Checked, Job, live, say as by_saying_so, unclaimed};
use super::holds::{Hold, held_by};
use super::perform::{REQUEST_WITHIN, carrier_id, late, refusal, steer};

/// Calls that may share a turn to speak; sharing costs a wait, nothing else.
const TURNS: usize = 64;

/// One speaker at a time on a call, first come first served.
#[derive(Clone, Debug)]
pub(super) struct SpeakingTurns(Arc<Vec<Arc<Mutex<()>>>>);

impl Default for SpeakingTurns {
    fn default() -> Self {
        Self(Arc::new((0..TURNS).map(|_| Arc::default()).collect()))
    }
}

impl SpeakingTurns {
    pub(super) async fn take(&self, call: CallId) -> Option<OwnedMutexGuard<()>> {
        let text = call.to_string();
        let sum: usize = text.bytes().map(usize::from).sum();
        let turn = self.0.get(sum % TURNS)?;
        Some(Arc::clone(turn).lock_owned().await)
    }
}

pub(super) fn whisper(
    core: &Core,
    grant: &Grant,
    command: CommandId,
    call: &Call,
    text: String,
) -> Checked {
    let said = Fact::Whispered {
        command,
        by: grant.user.clone(),
        text: text.clone(),
    };
    let job = order(core, call, BridgeOrder::Whisper { text })?;
    Ok((with(job, vec![said], Vec::new()), Vec::new()))
}

/// Words for the caller: the agent says them, or whoever else can.
pub(super) fn say(core: &Core, grant: &Grant, call: &Call, text: String) -> Checked {
    let job = order(core, call, BridgeOrder::Say { text: text.clone() })?;
    unheld(core, grant, call.id)?;
    let now = on_board(core, call.id)?;
    match mouth_of(core, &now) {
        Some(Mouth::Agent) => Ok((job, Vec::new())),
        Some(mouth) => {
            let job = Job::Speak {
                call: call.id,
                text,
                mouth,
            };
            Ok((job, Vec::new()))
        }
        None => {
            unlimited(core, call.id, "say")?;
            // Nothing is known against it: the bridge decides.
            Ok((job, Vec::new()))
        }
    }
}

pub(super) fn pause(core: &Core, call: &Call, action: &Action, hold: Hold) -> Checked {
    let told = match action {
        Action::PauseAgent {} => BridgeOrder::PauseAgent,
        _ => BridgeOrder::ResumeAgent,
    };
    let job = order(core, call, told)?;
    not_speaking(core, call.id)?;
    Ok((job, vec![hold]))
}

/// The operator takes the floor: the agent is silent and the call is theirs.
pub(super) fn take_over(core: &Core, grant: &Grant, call: &Call, holds: Vec<Hold>) -> Checked {
    let job = order(core, call, BridgeOrder::TakeOver)?;
    unheld(core, grant, call.id)?;
    unclaimed(core, grant, call.id)?;
    unlimited(core, call.id, "take_over")?;
    if on_board(core, call.id)?.held_by.is_some() {
        return Ok((by_saying_so(call.id, Vec::new(), None), holds));
    }
    let by = grant.user.clone();
    let then = vec![Fact::Claimed { by: by.clone() }, Fact::TakenOver { by }];
    Ok((with(job, Vec::new(), then), holds))
}

/// The agent goes on, told what it missed. Works without a stream too: nobody is left holding a call
/// that cannot be held.
pub(super) fn hand_back(
    core: &Core,
    grant: &Grant,
    call: &Call,
    note: Option<String>,
    holds: Vec<Hold>,
) -> Checked {
    live(core, call)?;
    let call = on_board(core, call.id)?;
    let Some(holder) = &call.held_by else {
        return Err(Refusal::new(
            ErrorCode::Conflict,
            "nobody has taken this call over",
            "the agent speaks already",
        ));
    };
    if *holder != grant.user && grant.role < Role::Admin {
        return Err(spoken_by(holder));
    }
    let by = grant.user.clone();
    // What somebody wrote is kept with the call; what we put together is in the transcript anyway.
    let noted = note.clone().map(|text| Fact::Noted {
        by: by.clone(),
        text,
    });
    let note = note.unwrap_or_else(|| call.handover_note());
    let mut then = vec![Fact::Released { by: by.clone() }];
    then.extend(noted);
    then.push(Fact::HandedBack {
        by,
        note: Some(note.clone()),
    });
    if !core.bridges.is_running(call.id) {
        return Ok((by_saying_so(call.id, then, None), holds));
    }
    let job = Job::Order {
        call: call.id,
        order: BridgeOrder::HandBack { note },
        first: Vec::new(),
        then,
    };
    Ok((job, holds))
}

/// Refuses while somebody else speaks to the caller.
pub(super) fn unheld(core: &Core, grant: &Grant, call: CallId) -> Result<(), Refusal> {
    match holder(core, call) {
        Some(by) if by != grant.user => Err(spoken_by(&by)),
        _ => Ok(()),
    }
}

/// Refuses while anybody speaks in the agent's place.
pub(super) fn not_speaking(core: &Core, call: CallId) -> Result<(), Refusal> {
    match holder(core, call) {
        Some(by) => Err(held_by(
            &by,
            format!("{by} speaks to the caller"),
            "hand the call back to the agent first",
        )),
        None => Ok(()),
    }
}

/// Refuses what this call's carrier or agent cannot do.
pub(super) fn unlimited(core: &Core, call: CallId, action: &str) -> Result<(), Refusal> {
    let limit = core
        .switchboard
        .read(|board| board.get(call)?.limit(action).map(str::to_owned));
    match limit {
        Some(reason) => Err(Refusal::new(
            ErrorCode::Unsupported,
            reason,
            "do it another way",
        )),
        None => Ok(()),
    }
}

/// Has the words said by somebody else than the agent.
pub(super) async fn speak(core: &Core, call: CallId, text: String, mouth: Mouth) -> Outcome {
    match mouth {
        Mouth::Agent => steer(core, call, BridgeOrder::Say { text }, Vec::new()).await,
        Mouth::Speaker(speaker) => {
            let made = tokio::time::timeout(REQUEST_WITHIN, speaker.speak(text.clone())).await;
            match made {
                Ok(Ok(audio)) => {
                    steer(core, call, BridgeOrder::Play { text, audio }, Vec::new()).await
                }
                Ok(Err(reason)) => Outcome::Failed(Refusal::new(
                    ErrorCode::Unavailable,
                    format!("the words could not be made speech: {reason}"),
                    "the caller has heard nothing of it; try again",
                )),
                Err(_) => Outcome::Failed(late()),
            }
        }
        Mouth::Written => {
            let audio = bytes::Bytes::new();
            steer(core, call, BridgeOrder::Play { text, audio }, Vec::new()).await
        }
        Mouth::Carrier(control) => {
            let id = match carrier_id(core, call).await {
                Ok(id) => id,
                Err(refusal) => return Outcome::Failed(refusal),
            };
            let spoken = tokio::time::timeout(REQUEST_WITHIN, control.speak(id, text.clone()));
            match spoken.await {
                Ok(Ok(())) => {
                    // Its sound does not pass through us: an empty one puts the line in its place.
                    let audio = bytes::Bytes::new();
                    steer(core, call, BridgeOrder::Play { text, audio }, Vec::new()).await
                }
                Ok(Err(error)) => Outcome::Failed(refusal(&error)),
                Err(_) => Outcome::Failed(late()),
            }
        }
    }
}

fn order(core: &Core, call: &Call, order: BridgeOrder) -> Result<Job, Refusal> {
    live(core, call)?;
    if !core.bridges.is_running(call.id) {
        return Err(Refusal::new(
            ErrorCode::Unsupported,
            "this call's audio does not pass through this backend",
            "only bridged calls can be steered; end or transfer it through the carrier",
        ));
    }
    Ok(Job::Order {
        call: call.id,
        order,
        first: Vec::new(),
        then: Vec::new(),
    })
}

fn with(job: Job, before: Vec<Fact>, after: Vec<Fact>) -> Job {
    match job {
        Job::Order { call, order, .. } => Job::Order {
            call,
            order,
            first: before,
            then: after,
        },
        other => other,
    }
}

fn on_board(core: &Core, call: CallId) -> Result<Call, Refusal> {
    let found = core.switchboard.read(|board| board.get(call).cloned());
    found.ok_or_else(|| super::from_post(super::PostError::NoSuchCall))
}

fn holder(core: &Core, call: CallId) -> Option<String> {
    core.switchboard
        .read(|board| board.get(call)?.held_by.clone())
}

fn spoken_by(by: &str) -> Refusal {
    held_by(
        by,
        format!("{by} speaks to the caller"),
        "ask them to hand the call back",
    )
}
