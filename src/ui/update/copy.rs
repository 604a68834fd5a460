//! Taking something along: the copy menu, and a call as a file.

use crossterm::event::{KeyCode, KeyEvent};

use crate::call::{Action, Call, CallId, Line, Numbers, Rows, Severity};
use crate::ui::export::{Export, Format};
use crate::ui::handover::Handover;
use crate::ui::keymap::{Act, binding};
use crate::ui::model::{Model, Page};
use crate::ui::msg::Effect;
use crate::ui::words::{agent_name, arrow, duration, masked, status_word};

use super::may::why_not;
use super::{acts, rows};

pub(super) fn key(model: &mut Model, key: &KeyEvent) -> Vec<Effect> {
    model.overlays.pop();
    let Some(call) = model.selected() else {
        return Vec::new();
    };
    let id = call.id;
    let (what, text) = match key.code {
        KeyCode::Char('i') => ("id", id.to_string()),
        KeyCode::Char('c') => ("carrier id", call.call_sid()),
        KeyCode::Char('n') => ("number", shown_number(model, call)),
        KeyCode::Char('t') => match model.transcript.turn_text() {
            Some(text) => ("turn", text),
            None => {
                model.say(Severity::Info, "nothing said yet");
                return Vec::new();
            }
        },
        KeyCode::Char('a') => ("transcript", model.transcript.plain()),
        KeyCode::Char('s') => ("summary", summary(model, call)),
        KeyCode::Char('w') => ("command", model.settings.listen_command(id)),
        KeyCode::Char('l') => {
            if let Some(why) = why_not(model, Act::Listen) {
                let name = binding(Act::Listen).short;
                model.say(Severity::Warn, format!("{name}: {why}"));
                return Vec::new();
            }
            return vec![Effect::ListenUrl(id)];
        }
        KeyCode::Char('m') => return export_one(model, "markdown"),
        KeyCode::Char('j') => return export_one(model, "jsonl"),
        _ => return Vec::new(),
    };
    vec![Effect::Copy {
        what: what.to_owned(),
        text: crate::call::text::clean(&text).into_owned(),
    }]
}

/// The number as this operator may see it now.
pub(crate) fn shown_number(model: &Model, call: &Call) -> String {
    let full = model.unmasked.get(&call.id);
    match (full, call.facts.direction) {
        (Some(shown), crate::call::Direction::Inbound) => shown.from.clone(),
        (Some(shown), crate::call::Direction::Outbound) => shown.to.clone(),
        (None, _) => masked(call.caller_number()).into_owned(),
    }
}

fn summary(model: &Model, call: &Call) -> String {
    let mut text = format!(
        "{} {} {} · {} {} · {}",
        shown_number(model, call),
        arrow(call.facts.direction),
        agent_name(call),
        status_word(call),
        duration(call.elapsed_s(model.board_now())),
        call.id
    );
    if let Some(reason) = model.need(call).reason {
        text.push_str(" · ");
        text.push_str(&reason);
    }
    text
}

/// `:export`: the call looked at, or the list of past calls.
pub(super) fn export(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    let word = argument.map_or("markdown", str::trim);
    let is_list = model.page == Page::History;
    if let Some(rows) = Rows::parse(word).filter(|_| is_list) {
        return rows::export(model, rows);
    }
    if Format::parse(word).is_none() {
        let text = if is_list {
            "formats are: csv and jsonl of the list, markdown of one call".to_owned()
        } else {
            let key = model.key(Act::PageHistory);
            format!("formats are: markdown, jsonl; csv is for the list on page {key}")
        };
        model.say(Severity::Warn, text);
        return Vec::new();
    }
    export_one(model, word)
}

/// Asks the backend for leave to write the call down: it keeps who did.
fn export_one(model: &mut Model, word: &str) -> Vec<Effect> {
    if let Some(why) = why_not(model, Act::Export) {
        model.say(Severity::Warn, format!("export: {why}"));
        return Vec::new();
    }
    let action = Action::Export {
        format: word.to_owned(),
    };
    acts::send(model, model.subject(), action, None)
}

/// The backend has said yes: writes the file, or first fetches what the board no longer holds.
pub(super) fn allowed(model: &mut Model, id: CallId, format: &str) -> Vec<Effect> {
    let Some(format) = Format::parse(format) else {
        return Vec::new();
    };
    let dropped = model.find(id).map_or(0, |call| call.lines_dropped);
    let has_older = matches!(&model.older, Some((known, _)) if *known == id);
    if dropped > 0 && !has_older {
        model.exporting = Some((id, format));
        return vec![Effect::History(id)];
    }
    write(model, id, format)
}

/// An export that waited for older lines goes on, with or without them.
pub(super) fn go_on(model: &mut Model, id: CallId) -> Vec<Effect> {
    match model.exporting.take() {
        Some((waiting, format)) if waiting == id => write(model, id, format),
        other => {
            model.exporting = other;
            Vec::new()
        }
    }
}

fn write(model: &mut Model, id: CallId, format: Format) -> Vec<Effect> {
    let Some(call) = model.find(id) else {
        return Vec::new();
    };
    let older: &[Line] = match &model.older {
        Some((known, lines)) if *known == id => {
            lines.get(..call.lines_dropped as usize).unwrap_or_default()
        }
        _ => &[],
    };
    let export = Export {
        call,
        older,
        numbers: Numbers::for_unmask(model.unmasked.contains_key(&id)),
        now: model.board_now(),
        zone: model.zone(),
    };
    vec![Effect::Write {
        name: export.file_name(format),
        text: export.write(format),
    }]
}

/// Drafts the note for the next shift, into a file.
pub(super) fn hand_over(model: &Model) -> Vec<Effect> {
    let live: Vec<&Call> = model.board.live().collect();
    let shown = model.past.shown.iter();
    let past: Vec<&Call> = shown
        .filter_map(|index| model.past.items.get(*index))
        .collect();
    let backend = model.hello.as_ref().map(|hello| hello.backend_id.as_str());
    let note = Handover {
        user: model.user(),
        backend: model
            .settings
            .name
            .as_deref()
            .or(backend)
            .unwrap_or_default(),
        live: &live,
        past: &past,
        query: &model.past.query,
        now: model.board_now(),
        zone: model.zone(),
    };
    vec![Effect::Write {
        name: note.file_name(),
        text: note.draft(),
    }]
}
