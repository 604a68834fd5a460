//! Commands by typed words, for a board of lines instead of a screen: the same acts, the same
//! permissions, the same questions and the same grace as by key.

use std::time::Duration;

use crossterm::event::KeyCode;

use crate::call::Action;
use crate::ui::keymap::{BINDINGS, Binding, Group, Needs};
use crate::ui::model::{Model, Overlay};
use crate::ui::msg::Effect;
use crate::ui::words::{action_words, agent_name, duration, masked};

use super::{acts, prompts};

/// What a typed command came to.
#[derive(Debug)]
pub enum Typed {
    /// Done, or refused in a line of news.
    Done(Vec<Effect>),
    /// A yes is wanted first: the question.
    Question(String),
    /// Something is missing: what.
    Incomplete(String),
    /// No such command.
    Unknown,
}

/// The commands that can be typed, in the order of the key table.
pub fn typed_commands() -> impl Iterator<Item = &'static Binding> {
    BINDINGS
        .iter()
        .filter(|binding| binding.group == Group::Act && binding.name != "copy")
}

/// Whether the command of this name is about a call.
pub fn is_about_a_call(name: &str) -> bool {
    typed_commands().any(|binding| binding.name == name && binding.needs != Needs::Nothing)
}

/// Does what the command of this name does, on the selected call.
pub fn typed(model: &mut Model, name: &str, argument: Option<&str>) -> Typed {
    let Some(binding) = typed_commands().find(|binding| binding.name == name) else {
        return Typed::Unknown;
    };
    model.overlays.clear();
    let effects = acts::run(model, binding.act, argument);
    match model.overlays.last() {
        None => Typed::Done(effects),
        Some(Overlay::Confirm(confirm)) => {
            let question = question(model, confirm.call, &confirm.action);
            Typed::Question(question)
        }
        Some(Overlay::Prompt(prompt)) => {
            let missing = prompt
                .error
                .clone()
                .unwrap_or_else(|| format!("{name}: {}; give it after the number", binding.help));
            model.overlays.clear();
            Typed::Incomplete(missing)
        }
        Some(_) => {
            model.overlays.clear();
            Typed::Incomplete(format!("{name} is for the screen"))
        }
    }
}

/// Answers the question that is open.
pub fn answered(model: &mut Model, is_yes: bool) -> Vec<Effect> {
    let Some(Overlay::Confirm(confirm)) = model.overlays.last_mut() else {
        return Vec::new();
    };
    // A word and a return are no slip of a finger.
    confirm.opened_at = Duration::ZERO;
    if !is_yes {
        model.overlays.clear();
        return Vec::new();
    }
    // The clock may be younger than the shortest answer.
    model.now.mono = model.now.mono.max(crate::ui::model::ANSWER_MIN);
    prompts::confirm_key(model, &KeyCode::Char('y').into())
}

/// Names the call, who is on it, and what will happen.
fn question(model: &Model, call: crate::call::CallId, action: &Action) -> String {
    let (infinitive, _) = action_words(action);
    let Some(call) = model.board.get(call) else {
        return format!("{infinitive}? yes or no");
    };
    let name = call.facts.name.as_deref().unwrap_or("no name");
    let effect = match action {
        Action::Transfer { to } => format!("the caller is connected to {}", masked(to)),
        _ => "the caller hears the line go dead".to_owned(),
    };
    format!(
        "{infinitive} the call of {}, {name}, with {}, {}? {effect}. yes or no",
        masked(call.caller_number()),
        agent_name(call),
        duration(call.elapsed_s(model.board_now())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::picture::Still;
    use crate::ui::theme::Depth;

    fn model() -> Model {
        let mut still = Still::sample("dark", Depth::True).unwrap();
        still.draw(120, 40);
        still.model
    }

    fn sent(effects: &[Effect]) -> usize {
        let is_send = |effect: &&Effect| matches!(effect, Effect::Send(_));
        effects.iter().filter(is_send).count()
    }

    #[test]
    fn words_do_what_keys_do() {
        let mut model = model();
        let Typed::Done(effects) = typed(&mut model, "whisper", Some("no refunds")) else {
            panic!("not done");
        };
        assert_eq!(sent(&effects), 1);
        assert!(matches!(
            typed(&mut model, "whisper", None),
            Typed::Incomplete(_)
        ));
        assert!(matches!(typed(&mut model, "fly", None), Typed::Unknown));
        assert!(matches!(typed(&mut model, "down", None), Typed::Unknown));
        assert!(is_about_a_call("end") && !is_about_a_call("dial"));
    }

    #[test]
    fn ending_asks_names_the_call_and_waits_for_its_grace() {
        let mut model = model();
        let Typed::Question(question) = typed(&mut model, "end", None) else {
            panic!("no question");
        };
        assert!(
            question.contains("+1 415 ••• 0134") && question.contains("Maria Lopez"),
            "{question}"
        );
        assert!(answered(&mut model, false).is_empty());
        assert!(model.pending.entries().is_empty());
        assert!(matches!(typed(&mut model, "end", None), Typed::Question(_)));
        assert_eq!(
            sent(&answered(&mut model, true)),
            0,
            "nothing is sent within the grace"
        );
        assert_eq!(model.pending.entries().len(), 1);
        assert!(matches!(typed(&mut model, "undo", None), Typed::Done(_)));
        assert!(model.pending.entries().is_empty());
    }
}
