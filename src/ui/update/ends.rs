//! What is said where a key finds nothing further to do: no key is swallowed in silence.

use crate::call::{CallId, Severity};
use crate::ui::keymap::Act;
use crate::ui::model::{Focus, Model, Page};
use crate::ui::view;

/// Where the operator is, as far as keys that move can change it.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    page: Page,
    focus: Focus,
    call: Option<CallId>,
    rows: [usize; 5],
    transcript: (u32, bool),
    detail: u16,
    cleared: (bool, bool, usize),
    said: Option<String>,
}

impl Place {
    pub fn of(model: &Model) -> Self {
        Self {
            page: model.page,
            focus: model.focus,
            call: model.list.selected,
            rows: [
                model.alerts.position(),
                model.groups.position(),
                model.past.at,
                model.audit.at,
                model.lead.at,
            ],
            transcript: (model.transcript.top_row(), model.transcript.is_following()),
            detail: model.detail_scroll,
            cleared: (
                model.filter.is_empty() && model.marked.is_empty(),
                model.transcript.search().is_none(),
                model.notices_read,
            ),
            said: model.toast.as_ref().map(|toast| toast.text.clone()),
        }
    }
}

/// Says why a key that moves has moved nothing.
pub(super) fn explain(model: &mut Model, act: Act, before: &Place) {
    let Some(text) = words(model, act) else {
        return;
    };
    if Place::of(model) == *before {
        model.say(Severity::Info, text);
    }
}

fn words(model: &Model, act: Act) -> Option<String> {
    let text = match act {
        Act::Down | Act::Bottom | Act::HalfDown | Act::PageDown | Act::NextTurn => {
            "the end is shown"
        }
        Act::Up | Act::Top | Act::HalfUp | Act::PageUp | Act::PreviousTurn => "the top is shown",
        Act::Left | Act::Right | Act::NextPane | Act::PreviousPane => "no other pane there",
        Act::PageBoard | Act::PageAlerts | Act::PageHistory | Act::PageQuality | Act::PageAudit => {
            "this is that page"
        }
        Act::Open if model.page == Page::Call => {
            return Some(format!("it is open; {} goes back", model.key(Act::Back)));
        }
        Act::Back => {
            return Some(format!(
                "this is the board; {} leaves",
                model.key(Act::Quit)
            ));
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Keys that turn the board or the transcript round do so only where it is seen.
pub(super) fn not_here(model: &Model, act: Act) -> Option<String> {
    let is_of_transcript = matches!(
        act,
        Act::NextTurn | Act::PreviousTurn | Act::NextFlag | Act::PreviousFlag | Act::Follow
    );
    let is_seen =
        matches!(model.page, Page::Board | Page::Call) || view::areas(model).talk.is_some();
    if is_of_transcript && !is_seen {
        return Some(format!(
            "of a transcript; {} opens the call",
            model.key(Act::Open)
        ));
    }
    let is_of_board = match act {
        Act::View | Act::Wide | Act::Reverse => true,
        Act::Sort => model.page != Page::History,
        _ => false,
    };
    (is_of_board && model.page != Page::Board)
        .then(|| format!("of the board; {} goes there", model.key(Act::PageBoard)))
}
