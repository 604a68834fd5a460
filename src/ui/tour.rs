//! `:tour`: six steps with the real keys. Each is shown above the board until its key was pressed;
//! nothing is done for the newcomer, and nothing else is locked meanwhile.

use crate::call::Severity;

use super::keymap::Act;
use super::model::Model;

/// What is asked for, and what comes of it.
const STEPS: [(Act, &str); 6] = [
    (
        Act::Worst,
        "goes to the call that needs you, where it went wrong",
    ),
    (
        Act::Open,
        "opens the call: the words left, the reasons right",
    ),
    (Act::Listen, "listens, one way; others see it; again leaves"),
    (Act::Whisper, "a hint that only the agent reads; esc leaves"),
    (
        Act::End,
        "asks; after y there are 3 s for u; n leaves the call",
    ),
    (Act::Help, "shows every key; type to search; esc leaves"),
];

/// The step as it is shown; `None` when nobody is on tour.
pub(super) fn words(model: &Model) -> Option<String> {
    let at = model.tour?;
    let (act, what) = STEPS.get(at)?;
    Some(format!(
        "TOUR {} of {} · press {}: {what}",
        at + 1,
        STEPS.len(),
        model.key(*act)
    ))
}

/// Whoever opens a demo may be new here.
pub(super) fn offer(model: &mut Model) {
    if model.settings.offers_tour && model.hello.is_none() {
        let palette = model.key(Act::Palette).to_owned();
        model.say(
            Severity::Info,
            format!("new here? {palette}tour shows you round in six keys"),
        );
    }
}

/// Begins, or leaves the tour one is on.
pub(super) fn toggle(model: &mut Model) {
    model.tour = match model.tour {
        None => Some(0),
        Some(_) => None,
    };
}

/// An act was asked for: if it is the one the step waits for, the next step follows. One that is
/// not possible now, which the footer explains, counts as well: nobody gets stuck.
pub(super) fn follow(model: &mut Model, act: Act) {
    let Some(at) = model.tour else { return };
    if STEPS.get(at).is_some_and(|(wanted, _)| *wanted == act) {
        model.tour = Some(at + 1).filter(|next| *next < STEPS.len());
        if model.tour.is_none() {
            model.say(Severity::Info, "that was the tour");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ui::picture::{Still, text};
    use crate::ui::theme::Depth;

    #[test]
    fn six_real_keys_and_it_is_over() {
        let mut still = Still::sample("dark", Depth::True).unwrap();
        still.draw(120, 40);
        still.keys(":");
        still.type_text("tour");
        still.keys("enter");
        for (step, keys) in ["!", "enter", "L esc", "W esc", "E n", "? esc"]
            .iter()
            .enumerate()
        {
            let screen = text(&still.draw(120, 40));
            assert!(
                screen.contains(&format!("TOUR {} of 6", step + 1)),
                "{screen}"
            );
            let small = text(&still.draw(80, 24));
            let line = small.lines().find(|line| line.contains("TOUR"));
            assert!(line.is_some_and(|line| !line.contains('…')), "{small}");
            // What is not asked for changes nothing.
            still.keys("tab");
            assert_eq!(still.model.tour, Some(step));
            still.keys(keys);
        }
        assert_eq!(still.model.tour, None);
        assert!(!text(&still.draw(120, 40)).contains("TOUR"));
    }
}
