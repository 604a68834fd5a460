//! Listening: on and off, how loud, which leg in which ear. One way: nothing here can speak.

use crate::call::{CallStatus, Severity};
use crate::ui::keymap::Act;
use crate::ui::model::{Model, Overlay};
use crate::ui::msg::Effect;
use crate::ui::sound::Device;

/// One step of `+` and `-`, percent.
const VOLUME_STEP: u8 = 10;
const VOLUME_MAX: u8 = 150;

pub(super) fn run(model: &mut Model, act: Act) -> Vec<Effect> {
    match act {
        Act::VolumeUp | Act::VolumeDown => {
            let now = model.ear.volume;
            model.ear.volume = if act == Act::VolumeUp {
                now.saturating_add(VOLUME_STEP).min(VOLUME_MAX)
            } else {
                now.saturating_sub(VOLUME_STEP)
            };
            model.ear.muted = false;
            let volume = model.ear.volume;
            model.say(Severity::Info, format!("volume {volume} %"));
            vec![Effect::Volume(volume), Effect::Mute(false)]
        }
        Act::Mute => {
            model.ear.muted = !model.ear.muted;
            let text = if model.ear.muted {
                "muted: you hear nothing, the call goes on"
            } else {
                "not muted"
            };
            model.say(Severity::Info, text);
            vec![Effect::Mute(model.ear.muted)]
        }
        Act::Legs => {
            model.ear.pan = model.ear.pan.next();
            let pan = model.ear.pan;
            model.say(Severity::Info, format!("you hear: {}", pan.as_str()));
            vec![Effect::Pan(pan)]
        }
        _ => listen(model),
    }
}

fn listen(model: &mut Model) -> Vec<Effect> {
    let Some(call) = model.selected() else {
        return Vec::new();
    };
    let (id, status) = (call.id, call.status);
    if model.ear.call == Some(id) {
        model.ear.call = None;
        model.ear.is_open = false;
        model.say(Severity::Info, "no longer listening");
        return vec![Effect::StopListening];
    }
    if status != CallStatus::InProgress {
        let why = if status.is_terminal() {
            "this call has ended"
        } else {
            "not answered yet"
        };
        model.say(Severity::Warn, format!("listen: {why}"));
        return Vec::new();
    }
    if matches!(model.sound.device, Device::Absent { .. }) {
        model.overlays.push(Overlay::Hear(id));
        return Vec::new();
    }
    let was = model.ear.call.replace(id);
    model.ear.is_open = false;
    let mut effects = Vec::new();
    let played = model.tape.take();
    if was.is_some() || played.is_some() {
        effects.push(Effect::StopListening);
    }
    effects.push(Effect::Listen(id));
    effects
}
