//! What came of an order to several calls: one line that counts, in place of one word for each.

use std::fmt::Write as _;

use crate::call::{CommandId, Severity};
use crate::ui::model::{Model, Tally};
use crate::ui::msg::Effect;

/// From now on the answers to these orders are counted.
pub(super) fn begin(model: &mut Model, what: &'static str, effects: &[Effect]) {
    let ids = effects.iter().filter_map(|effect| match effect {
        Effect::Send(command) => Some(command.id),
        _ => None,
    });
    let all: Vec<CommandId> = ids.collect();
    model.tally = (all.len() > 1).then(|| Tally {
        what,
        open: all.clone(),
        all,
        done: 0,
        why_not: None,
    });
}

/// How one order went; what is told twice counts once. False: it is none of those that are counted.
pub(super) fn settled(model: &mut Model, command: CommandId, outcome: Result<(), &str>) -> bool {
    let Some(tally) = model
        .tally
        .as_mut()
        .filter(|tally| tally.all.contains(&command))
    else {
        return false;
    };
    let Some(place) = tally.open.iter().position(|open| *open == command) else {
        return true;
    };
    tally.open.swap_remove(place);
    match outcome {
        Ok(()) => tally.done += 1,
        Err(why) => tally.why_not = Some(why.to_owned()),
    }
    let (what, done, count) = (tally.what, tally.done, tally.all.len());
    let mut text = if done == count {
        format!("{what}: done for all {count}")
    } else {
        format!("{what}: done for {done} of {count}")
    };
    let severity = match &tally.why_not {
        None => Severity::Info,
        Some(why) => {
            let not = count - done - tally.open.len();
            let _ = write!(text, ", not for {not}: {why}");
            Severity::Warn
        }
    };
    model.say(severity, text);
    true
}
