//! The list of past calls as a file. All of the list is looked up first, then the backend is asked for
//! leave (it keeps who took what), and what was listed when it was asked is written, each call whole.

use crate::call::{Action, CommandId, Numbers, Rows, Severity, Verb};
use crate::ui::model::Model;
use crate::ui::msg::{Effect, Listing};

use super::{acts, marks, pages};

/// Begins an export of what is listed, or of the marked calls in it.
pub(super) fn export(model: &mut Model, rows: Rows) -> Vec<Effect> {
    model.past.export = Some(rows);
    go_on(model)
}

/// Goes on with an export once the backend has answered: to the rest of the list, or to the question.
pub(super) fn go_on(model: &mut Model) -> Vec<Effect> {
    let Some(rows) = model.past.export.filter(|_| !model.past.is_loading) else {
        return Vec::new();
    };
    let marked = marks::here(model).len();
    if marked == 0 && model.past.next.is_some() {
        return pages::more(model);
    }
    model.past.export = None;
    let which = match (marked, model.past.query.trim()) {
        (0, "") => "all that are kept",
        (0, query) => query,
        _ => "marked",
    };
    let listing = listing(model, rows);
    let shown = match listing.numbers {
        Numbers::Whole => "numbers whole",
        Numbers::Masked => "numbers masked",
    };
    let count = listing.calls.len();
    let format = rows.as_str().to_owned();
    let calls = if count == 1 { "call" } else { "calls" };
    let reason = format!("{count} past {calls} as {format}, {shown}: {which}");
    let effects = acts::send(model, None, Action::Export { format }, Some(reason));
    if let [Effect::Send(command)] = effects.as_slice() {
        model.past.leave = Some((command.id, listing));
    }
    effects
}

/// The backend has answered, yes or no: what was to be written if the question was about a list.
pub(super) fn answered(model: &mut Model, command: CommandId) -> Option<Listing> {
    let asked = model.past.leave.take_if(|(known, _)| *known == command);
    asked.map(|(_, listing)| listing)
}

pub(super) fn write(model: &mut Model, listing: Listing) -> Vec<Effect> {
    model.say(Severity::Info, "exporting the list …");
    vec![Effect::WriteCalls(Box::new(listing))]
}

/// An export is given up, with the reason, when its list cannot be had or has become another.
pub(super) fn give_up(model: &mut Model, why: &str) {
    if model.past.export.take().is_some() {
        model.say(Severity::Warn, format!("not exported: {why}"));
    }
}

fn listing(model: &Model, rows: Rows) -> Listing {
    let marked = marks::here(model);
    let past = &model.past;
    let shown = past.shown.iter().filter_map(|index| past.items.get(*index));
    let wanted = shown.filter(|call| marked.is_empty() || marked.contains(&call.id));
    let now = model.board_now();
    let at = now.with_timezone(&model.zone()).format("%Y%m%d-%H%M%S");
    Listing {
        name: format!("calls-{at}.{}", rows.as_str()),
        rows,
        numbers: numbers(model),
        now,
        calls: wanted.cloned().collect(),
    }
}

/// As with an export from the command line: whole for whoever may unmask.
fn numbers(model: &Model) -> Numbers {
    let hello = model.hello.as_ref();
    Numbers::for_unmask(hello.is_some_and(|hello| hello.verbs.contains(&Verb::Unmask)))
}
