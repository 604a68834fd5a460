//! wallboard itself: theme, suspending, leaving. Leaving never ends a call.

use crate::call::{Call, Severity};
use crate::engine::LinkState;
use crate::ui::keymap::Act;
use crate::ui::model::{Mode, Model, Overlay, Page};
use crate::ui::msg::{Effect, Exit};

use super::acts;

pub(super) fn theme(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    let themes = &model.settings.themes;
    if argument.map(str::trim) == Some("auto") {
        let name = model.settings.theme.clone();
        model.theme_name.clone_from(&name);
        model.theme_is_chosen = false;
        model.say(Severity::Info, format!("theme {name}, as at the start"));
        return vec![Effect::Theme(name)];
    }
    let name = match argument.map(str::trim) {
        Some(name) => themes.iter().find(|known| *known == name),
        None => {
            let at = themes.iter().position(|known| *known == model.theme_name);
            themes.get(at.map_or(0, |at| (at + 1) % themes.len().max(1)))
        }
    };
    match name.cloned() {
        Some(name) => {
            model.theme_name.clone_from(&name);
            model.theme_is_chosen = true;
            model.say(Severity::Info, format!("theme {name}"));
            vec![Effect::Theme(name)]
        }
        None => {
            let all = themes.join(", ");
            model.say(Severity::Warn, format!("themes are: auto, {all}"));
            Vec::new()
        }
    }
}

pub(super) fn suspend(model: &mut Model) -> Vec<Effect> {
    let live = model.board.live().count();
    if model.settings.mode != Mode::Attach && live > 0 {
        let text = format!(
            "suspending would silence {live} live calls of this process; {} then k keeps them going",
            model.key(Act::Quit)
        );
        model.say(Severity::Warn, text);
        return Vec::new();
    }
    vec![Effect::Suspend]
}

pub(super) fn quit(model: &mut Model) -> Vec<Effect> {
    if model.page != Page::Board {
        acts::back(model);
        return Vec::new();
    }
    let carries = model.board.live().next().is_some()
        && matches!(model.link, LinkState::Embedded | LinkState::Up);
    match model.settings.mode {
        Mode::Run if carries => model.overlays.push(Overlay::Quit),
        Mode::Demo => model.overlays.push(Overlay::Quit),
        Mode::Attach if carries && spoken_for(model) > 0 => model.overlays.push(Overlay::Quit),
        _ => return vec![Effect::StopListening, Effect::Leave(Exit::Quit)],
    }
    Vec::new()
}

/// Live calls whose caller hears this operator in the agent's place.
pub(crate) fn spoken_for(model: &Model) -> usize {
    let is_mine = |call: &&Call| call.held_by.as_deref() == Some(model.user());
    model.board.live().filter(is_mine).count()
}

/// Practice calls in place of an empty board. Only where nothing is going on that they could cut
/// short.
pub(super) fn demo(model: &mut Model) -> Vec<Effect> {
    if model.settings.mode == Mode::Demo {
        model.say(Severity::Info, "this is the demo");
        return Vec::new();
    }
    if model.board.live().next().is_some() {
        let text = "there are real calls; `wallboard demo` in another terminal";
        model.say(Severity::Info, text);
        return Vec::new();
    }
    model.overlays.push(Overlay::Demo);
    Vec::new()
}
