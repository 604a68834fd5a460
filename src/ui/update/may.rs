//! May the operator do this now? And if not, why: role, backend, link, or the call's state.

use crate::call::{Call, CallFacts, CallStatus, Verb};
use crate::engine::{LinkState, forks, no_record_pause};
use crate::ui::keymap::{Act, Needs, binding};
use crate::ui::model::{Model, Page};
use crate::ui::words;

use super::tape;

/// Abilities every backend must name in its hello; the others are taken for granted unless it is a
/// foreign one (`compat`).
const NAMED: [&str; 6] = [
    "listen",
    "record",
    "dial",
    "audit",
    "timeline",
    "recordings",
];

/// Why an act is not possible now, in words for the operator; `None` when it is.
pub(crate) fn why_not(model: &Model, act: Act) -> Option<String> {
    why_not_at_all(model, act).or_else(|| why_not_here(model, act))
}

/// Why an act is not possible whatever the call: link, role, backend.
pub(crate) fn why_not_at_all(model: &Model, act: Act) -> Option<String> {
    let binding = binding(act);
    if let Some(verb) = binding.verb {
        if !matches!(model.link, LinkState::Embedded | LinkState::Up) {
            return Some("no link to the backend".into());
        }
        let Some(hello) = &model.hello else {
            return Some("not connected yet".into());
        };
        if !hello.verbs.contains(&verb) {
            return Some(format!(
                "needs the role {} (you are {})",
                verb.role().as_str(),
                hello.role.as_str()
            ));
        }
        if let Some(feature) = binding.feature {
            let has = |word: &str| hello.features.iter().any(|known| known == word);
            let must_name = NAMED.contains(&feature) || has("compat");
            if must_name && !has(feature) {
                let name = binding.name.replace('-', " ");
                return Some(match act {
                    Act::Lead => "this backend keeps no timelines of leads".to_owned(),
                    _ => format!("this backend cannot {name}"),
                });
            }
        }
    }
    None
}

/// Why the call looked at is none for this act.
fn why_not_here(model: &Model, act: Act) -> Option<String> {
    let binding = binding(act);
    let call = model.selected();
    if let (Some(verb), Some(call)) = (binding.verb, call.filter(|call| call.is_live())) {
        if let Some(why) = out_of_reach(model, verb, &call.facts) {
            return Some(why);
        }
    }
    if let (Act::Record, Some(call)) = (act, call) {
        if let Some(why) = no_audio(call).or_else(|| no_pause(model, call)) {
            return Some(why);
        }
    }
    match (binding.needs, call) {
        // What plays can be held from anywhere.
        (Needs::Nothing, _) if act == Act::Play && model.tape.is_some() => None,
        (Needs::Nothing, None) if act == Act::Play => Some("no call is selected".into()),
        (Needs::Nothing, Some(call)) if act == Act::Play => tape::why_none(call),
        (Needs::Nothing, _) => None,
        (_, None) if act == Act::Export && model.page == Page::History => {
            Some("nothing is listed".into())
        }
        (_, None) => Some("no call is selected".into()),
        (Needs::LiveCall | Needs::InCall, Some(call)) if !call.is_live() => {
            Some("this call has ended".into())
        }
        (Needs::InCall, Some(call)) if call.status != CallStatus::InProgress => {
            Some("not answered yet".into())
        }
        (_, Some(call)) => not_on_this_call(model, act, call),
    }
}

/// What stands against an act on this very call: what its vendors cannot do, and who speaks on it.
fn not_on_this_call(model: &Model, act: Act, call: &Call) -> Option<String> {
    let action = match act {
        Act::Say => "say",
        Act::TakeOver => "take_over",
        Act::Transfer => "transfer",
        Act::Record | Act::RecordStop => "record_start",
        _ => "",
    };
    if let Some(reason) = call.limit(action) {
        return Some(crate::call::text::clean_label(reason).into_owned());
    }
    let speaks = act == Act::HandBack
        || matches!(
            act,
            Act::Say | Act::TakeOver | Act::PauseAgent | Act::Transfer
        );
    match call.held_by.as_deref() {
        Some(by) if speaks && by != model.user() => Some(format!(
            "{} speaks to the caller",
            crate::call::text::clean_label(by)
        )),
        Some(_) if act == Act::PauseAgent => Some("you speak; the agent is silent".into()),
        None if act == Act::HandBack => Some("nobody has taken this call over".into()),
        _ => None,
    }
}

/// What cannot be done to a call whose audio does not pass through here, or whose line is not ours.
fn out_of_reach(model: &Model, verb: Verb, facts: &CallFacts) -> Option<String> {
    if !facts.observed {
        return None;
    }
    // Calls the agent vendor places are on a line of its own until a carrier's id is known.
    let lineless = facts.agent_kind.as_deref() == Some(facts.carrier.as_str());
    match verb {
        Verb::Whisper | Verb::Say | Verb::Pause | Verb::Takeover => {
            Some("only observed: its audio does not pass through here".into())
        }
        Verb::Terminate | Verb::Transfer | Verb::Record | Verb::Listen if lineless => {
            Some("only observed: no access to the carrier of this call".into())
        }
        Verb::Listen => not_copied(model, &facts.carrier),
        _ => None,
    }
}

/// Whether the carrier of an observed call copies its audio to the backend, and if not, why.
fn not_copied(model: &Model, carrier: &str) -> Option<String> {
    let copies = model
        .hello
        .as_ref()
        .is_some_and(|hello| hello.features.contains(&forks(carrier)));
    (!copies).then(|| {
        format!(
            "only observed: {} copies no audio here (its keys and server.public_url)",
            words::vendor(carrier)
        )
    })
}

/// No recording runs, and none may begin.
fn no_audio(call: &Call) -> Option<String> {
    let is_open = call
        .recording()
        .is_some_and(|recording| recording.state.is_open());
    let keeps = is_open || call.facts.store.keeps_audio();
    (!keeps).then(|| "the route of this call keeps no audio".into())
}

/// A recording runs, and the call's carrier can only stop it.
fn no_pause(model: &Model, call: &Call) -> Option<String> {
    let carrier = call.facts.carrier.as_str();
    let hello = model.hello.as_ref()?;
    let cannot = no_record_pause(carrier);
    let is_open = call
        .recording()
        .is_some_and(|recording| recording.state.is_open());
    (is_open && hello.features.contains(&cannot)).then(|| {
        format!(
            "{} cannot pause a recording; rec stop ends it",
            words::vendor(carrier)
        )
    })
}
