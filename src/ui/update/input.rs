//! Keys and pastes: to the dialog on top if there is one, else through the key table.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::ui::model::{Mode, Model, Overlay, TOAST_FOR, TYPING_PAUSE};
use crate::ui::msg::{Effect, Exit};

use super::{acts, copy, marks, prompts, views};

/// Before the reason of a refusal, once somebody types on.
const NOT_TAKEN: &str = "what you type is not taken · ";

pub(super) fn key(model: &mut Model, key: &KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    model.touched_at = Some(model.now.mono);
    let is_interrupt =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    if model.overlays.is_empty() && is_typed_on(model, key) {
        return Vec::new();
    }
    match model.overlays.last() {
        None => match model.keymap.act(key, model.context()) {
            Some(act) => acts::run(model, act, None),
            None => Vec::new(),
        },
        Some(Overlay::Quit) => quit(model, key, is_interrupt),
        Some(_) if is_interrupt => {
            cancel(model);
            Vec::new()
        }
        Some(Overlay::Help(_) | Overlay::Palette(_)) => prompts::picker_key(model, key),
        Some(Overlay::Confirm(_)) => prompts::confirm_key(model, key),
        Some(Overlay::Group(_)) => marks::key(model, key),
        Some(Overlay::Prompt(_)) => prompts::prompt_key(model, key),
        Some(Overlay::Demo) => {
            model.overlays.pop();
            let may = key.code == KeyCode::Char('y') && !model.in_burst;
            let leave = vec![Effect::StopListening, Effect::Leave(Exit::Demo)];
            if may { leave } else { Vec::new() }
        }
        Some(Overlay::Copy) => copy::key(model, key),
        Some(Overlay::Columns(_)) => views::key(model, key),
        Some(Overlay::HearRecording(id)) => {
            let text = model.settings.recording_command(id);
            let wants_copy = key.code == KeyCode::Char('y');
            model.overlays.pop();
            let what = "command".to_owned();
            let copy = vec![Effect::Copy { what, text }];
            if wants_copy { copy } else { Vec::new() }
        }
        Some(Overlay::Hear(_)) => {
            let again = key.code == KeyCode::Char('y');
            model.overlays.pop();
            if again {
                model.overlays.push(Overlay::Copy);
            }
            Vec::new()
        }
    }
}

/// Whether this key belongs to a text whose prompt was refused. An operator who types looks at the
/// keys or the caller's words, and their letters must not become orders.
fn is_typed_on(model: &mut Model, key: &KeyEvent) -> bool {
    let now = model.now.mono;
    let Some(until) = model.swallows_until.take() else {
        return false;
    };
    let plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
    let is_text = plain
        && matches!(
            key.code,
            KeyCode::Char(_) | KeyCode::Enter | KeyCode::Backspace
        );
    if now >= until || !is_text {
        return false;
    }
    model.swallows_until = Some(now + TYPING_PAUSE);
    if let Some(toast) = &mut model.toast {
        toast.until = toast.until.max(now + TOAST_FOR);
        if !toast.text.starts_with(NOT_TAKEN) {
            toast.text.insert_str(0, NOT_TAKEN);
        }
    }
    true
}

/// Text is text: it goes into an input if one is open, and nowhere else.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    match model.overlays.last_mut() {
        Some(Overlay::Prompt(prompt)) => {
            prompt.input.insert(text);
            prompt.error = None;
            prompts::typed(model);
        }
        Some(Overlay::Help(picker) | Overlay::Palette(picker)) => {
            picker.query.insert(text);
            picker.at = 0;
        }
        _ => model.say(
            crate::call::Severity::Info,
            "a paste is text, not keys: it did nothing here",
        ),
    }
    Vec::new()
}

/// Closes the dialog on top; a filter or search being typed goes back to what it was.
pub(super) fn cancel(model: &mut Model) {
    if let Some(Overlay::Prompt(prompt)) = model.overlays.pop() {
        prompts::take_back(model, &prompt);
    }
}

fn quit(model: &mut Model, key: &KeyEvent, is_interrupt: bool) -> Vec<Effect> {
    let mode = model.settings.mode;
    let carries = mode == Mode::Run;
    let exit = match key.code {
        KeyCode::Char('y') if !carries => Some(Exit::Quit),
        KeyCode::Char('q') if mode == Mode::Demo => Some(Exit::Quit),
        KeyCode::Char('c') if is_interrupt && carries => Some(Exit::KeepServing),
        KeyCode::Char('c') if is_interrupt => Some(Exit::Quit),
        KeyCode::Char('k') | KeyCode::Enter if carries => Some(Exit::KeepServing),
        KeyCode::Char('d') if carries => Some(Exit::Drain),
        KeyCode::Char('c' | 'n') | KeyCode::Esc | KeyCode::Enter => None,
        _ => return Vec::new(),
    };
    model.overlays.pop();
    match exit {
        Some(exit) => vec![Effect::StopListening, Effect::Leave(exit)],
        None => Vec::new(),
    }
}
