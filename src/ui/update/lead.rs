//! One lead's timeline: what was said with it by voice and by text, in one line of time.

use std::time::Duration;

use crate::call::{CallEvent, Envelope, Fact, Refusal, Severity};
use crate::engine::HistoryPage;
use crate::ui::model::{Ask, Focus, LeadPage, Model, Page};
use crate::ui::msg::Effect;

use super::{acts, list, pages, prompts};

/// It is asked for anew this often at most, while something is being said.
const AGAIN_EVERY: Duration = Duration::from_secs(1);

/// Opens the timeline of the lead that is named, else of the call that is looked at, else asks whose.
pub(super) fn open(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    let named = argument.map(str::trim).filter(|name| !name.is_empty());
    let lead = named.map(str::to_owned).or_else(|| {
        let call = model.selected()?;
        call.facts.lead_id.clone()
    });
    let Some(lead) = lead else {
        prompts::ask(model, Ask::Lead);
        return Vec::new();
    };
    if model.lead.lead != lead {
        model.lead = LeadPage {
            serial: model.lead.serial,
            lead,
            ..LeadPage::default()
        };
    }
    model.page = Page::Lead;
    model.focus = Focus::Calls;
    ask(model)
}

fn ask(model: &mut Model) -> Vec<Effect> {
    let page = &mut model.lead;
    page.serial += 1;
    page.is_loading = true;
    page.is_stale = false;
    page.asked_at = model.now.mono;
    vec![Effect::Lead(page.serial, page.lead.clone())]
}

/// What was found. The cursor follows what is new while it stands on the newest.
pub(super) fn found(model: &mut Model, serial: u64, result: Result<HistoryPage, Refusal>) {
    let page = &mut model.lead;
    if serial != page.serial {
        return;
    }
    page.is_loading = false;
    match result {
        Ok(found) => {
            let selected = page.selected().map(|said| said.id.clone());
            let follows = page.at + 1 >= page.rows.len();
            page.rows = found.said;
            page.error = None;
            let last = page.rows.len().saturating_sub(1);
            let place = selected.and_then(|id| page.rows.iter().position(|said| said.id == id));
            page.at = match place {
                Some(at) if !follows => at,
                _ => last,
            };
        }
        Err(refusal) => page.error = Some(refusal.message),
    }
}

/// Notes that something was said with the lead that is looked at.
pub(super) fn hear(model: &mut Model, envelope: &Envelope) {
    if model.page != Page::Lead {
        return;
    }
    let CallEvent::Known(fact) = &envelope.event else {
        return;
    };
    let lead = match fact {
        Fact::LeadMessaged { message } => Some(message.lead_id.as_str()),
        Fact::UtteranceFinal { .. } | Fact::UtteranceTruncated { .. } => {
            let call = envelope.call.and_then(|id| model.board.get(id));
            call.and_then(|call| call.facts.lead_id.as_deref())
        }
        _ => None,
    };
    if lead == Some(model.lead.lead.as_str()) {
        model.lead.is_stale = true;
    }
}

/// Asks again once something was said and the last answer is old enough.
pub(super) fn refresh(model: &mut Model) -> Vec<Effect> {
    let page = &model.lead;
    let due = model.page == Page::Lead
        && page.is_stale
        && !page.is_loading
        && model.frozen.is_none()
        && model.now.mono.saturating_sub(page.asked_at) >= AGAIN_EVERY;
    if due { ask(model) } else { Vec::new() }
}

/// `enter`: the call in which it was said.
pub(super) fn open_call(model: &mut Model) -> Vec<Effect> {
    match model.lead.selected().map(|said| said.call) {
        Some(Some(call)) if model.board.get(call).is_some() => {
            list::select(model, Some(call));
            acts::open_call(model)
        }
        Some(Some(_)) => {
            let query = format!("lead:\"{}\"", model.lead.lead.replace('"', ""));
            pages::search_past(model, Some(&query))
        }
        Some(None) => {
            model.say(Severity::Info, "a text message: no call belongs to it");
            Vec::new()
        }
        None => Vec::new(),
    }
}
