//! Dialogs: confirmations, prompts, help, palette, the copy menu.

use crossterm::event::{KeyCode, KeyEvent};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::call::{Action, Call, DialRequest, Severity, e164};
use crate::ui::filter::FILTER_MAX;
use crate::ui::keymap::{BINDINGS, Binding, Context};
use crate::ui::line_edit::{Edited, LineEdit};
use crate::ui::model::{ANSWER_MIN, Ask, GRACE, Model, Overlay, Picker, Prompt};
use crate::ui::msg::Effect;
use crate::ui::view;

use super::input::cancel;
use super::may::why_not;
use super::{acts, lead, marks, pages};

/// One line of help or palette.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub binding: &'static Binding,
    pub keys: String,
    /// Why it cannot be done now.
    pub blocked: Option<String>,
    /// What was typed after its name.
    pub argument: Option<String>,
}

/// What a picker offers: for help in the order of the table, for the palette the best match first.
pub(crate) fn choices(model: &Model, picker: &Picker, is_palette: bool) -> Vec<Choice> {
    let query = picker.query.text().trim();
    let offer = |binding: &'static Binding, argument: Option<String>| Choice {
        binding,
        keys: model.keymap.label(binding.act),
        blocked: why_not(model, binding.act),
        argument,
    };
    let is_offered = |binding: &&Binding| {
        // Moving about makes no sense from a list; `/` is offered where it works.
        let here = binding.context == Context::Anywhere || binding.context == model.context();
        is_palette || here
    };
    if query.is_empty() {
        return BINDINGS
            .iter()
            .filter(is_offered)
            .map(|binding| offer(binding, None))
            .collect();
    }
    let (word, rest) = query.split_once(' ').unwrap_or((query, ""));
    let named = BINDINGS.iter().find(|binding| binding.name == word);
    if let Some(named) = named.filter(|_| is_palette && !rest.trim().is_empty()) {
        return vec![offer(named, Some(rest.trim().to_owned()))];
    }
    let pattern = Pattern::parse(query, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut chars = Vec::new();
    let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut chars), &mut matcher);
    let mut found: Vec<(u32, &'static Binding)> = BINDINGS
        .iter()
        .filter(is_offered)
        .filter_map(|binding| {
            let by_name = score(binding.name).map(|score| score * 2);
            let by_help = score(binding.help);
            Some((by_name.max(by_help)?, binding))
        })
        .collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found
        .into_iter()
        .map(|(_, binding)| offer(binding, None))
        .collect()
}

pub(super) fn picker_key(model: &mut Model, key: &KeyEvent) -> Vec<Effect> {
    let (picker, is_palette) = match model.overlays.last() {
        Some(Overlay::Help(picker)) => (picker.clone(), false),
        Some(Overlay::Palette(picker)) => (picker.clone(), true),
        _ => return Vec::new(),
    };
    let count = choices(model, &picker, is_palette).len();
    let mut picker = picker;
    match key.code {
        KeyCode::Esc => {
            model.overlays.pop();
            return Vec::new();
        }
        KeyCode::Char('?') if !is_palette && picker.query.text().is_empty() => {
            model.overlays.pop();
            return Vec::new();
        }
        KeyCode::Enter => {
            let chosen = choices(model, &picker, is_palette)
                .into_iter()
                .nth(picker.at);
            model.overlays.pop();
            return match chosen {
                Some(choice) => acts::run(model, choice.binding.act, choice.argument.as_deref()),
                None => Vec::new(),
            };
        }
        KeyCode::Home if picker.query.text().is_empty() => picker.at = 0,
        KeyCode::End if picker.query.text().is_empty() => picker.at = count.saturating_sub(1),
        // Help stands in columns; what is typed has the arrows once there is something.
        KeyCode::Right | KeyCode::Left if !is_palette && picker.query.text().is_empty() => {
            picker.at = view::beside(model, &picker, key.code == KeyCode::Right);
        }
        KeyCode::Down | KeyCode::Tab => picker.at = (picker.at + 1).min(count.saturating_sub(1)),
        KeyCode::Up | KeyCode::BackTab => picker.at = picker.at.saturating_sub(1),
        KeyCode::PageDown => picker.at = (picker.at + 10).min(count.saturating_sub(1)),
        KeyCode::PageUp => picker.at = picker.at.saturating_sub(10),
        _ => {
            if picker.query.key(key) == Edited::Changed {
                picker.at = 0;
            }
        }
    }
    if let Some(Overlay::Help(top) | Overlay::Palette(top)) = model.overlays.last_mut() {
        *top = picker;
    }
    Vec::new()
}

pub(super) fn confirm_key(model: &mut Model, key: &KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Confirm(confirm)) = model.overlays.last() else {
        return Vec::new();
    };
    match key.code {
        KeyCode::Char('y') => {
            // A yes in the same breath as the question was typed for something else.
            if model.now.mono.saturating_sub(confirm.opened_at) < ANSWER_MIN {
                return Vec::new();
            }
            let confirm = confirm.clone();
            model.overlays.pop();
            let is_live = model.board.get(confirm.call).is_some_and(Call::is_live);
            if !is_live {
                model.say(
                    Severity::Info,
                    "the call has ended by itself; nothing was sent",
                );
                return Vec::new();
            }
            let id = model.mint();
            let now = model.now.mono;
            let until = now + GRACE;
            let call = Some(confirm.call);
            model.pending.hold(now, id, call, confirm.action, until);
            model.list.is_stale = true;
        }
        KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc | KeyCode::Enter => {
            model.overlays.pop();
        }
        _ => {}
    }
    Vec::new()
}

/// Opens a prompt about the selected call.
pub(super) fn ask(model: &mut Model, ask: Ask) {
    let before = match ask {
        Ask::Filter => model.filter.text().to_owned(),
        Ask::Search => model
            .transcript
            .search()
            .map_or_else(String::new, |search| search.query.clone()),
        Ask::HandBack => model
            .selected()
            .map(Call::handover_note)
            .unwrap_or_default(),
        Ask::Past => model.past.query.clone(),
        _ => String::new(),
    };
    model.overlays.push(Overlay::Prompt(Prompt {
        ask,
        call: model.subject(),
        input: LineEdit::with(&before),
        opened_at: model.now.mono,
        error: None,
        before,
    }));
}

/// Opens the prompt, or takes the palette's argument as its answer.
pub(super) fn ask_or_submit(model: &mut Model, kind: Ask, argument: Option<&str>) -> Vec<Effect> {
    ask(model, kind);
    let Some(text) = argument else {
        return Vec::new();
    };
    if let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() {
        prompt.input.set(text);
    }
    // Out of a burst of keys nothing is sent: the prompt stays open, filled in.
    if model.in_burst {
        return Vec::new();
    }
    submit(model)
}

pub(super) fn prompt_key(model: &mut Model, key: &KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => {
            cancel(model);
            Vec::new()
        }
        KeyCode::Enter => {
            let Some(Overlay::Prompt(prompt)) = model.overlays.last() else {
                return Vec::new();
            };
            let sends = !prompt.is_in_footer();
            let age = model.now.mono.saturating_sub(prompt.opened_at);
            if sends && age < ANSWER_MIN {
                return Vec::new();
            }
            submit(model)
        }
        KeyCode::Down | KeyCode::Up | KeyCode::Tab if offers_places(model) => {
            next_place(model, key.code != KeyCode::Up);
            Vec::new()
        }
        _ => {
            if let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() {
                if prompt.input.key(key) == Edited::Changed {
                    prompt.error = None;
                    typed(model);
                }
            }
            Vec::new()
        }
    }
}

/// Names of the places a caller can be handed to.
pub(crate) fn places(model: &Model) -> &[String] {
    model
        .hello
        .as_ref()
        .map_or(&[], |hello| hello.transfers.as_slice())
}

fn offers_places(model: &Model) -> bool {
    let asks = matches!(model.overlays.last(), Some(Overlay::Prompt(prompt)) if prompt.ask == Ask::Transfer);
    asks && !places(model).is_empty()
}

/// Puts the next configured place into the line.
fn next_place(model: &mut Model, forward: bool) {
    let names = places(model).to_vec();
    let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() else {
        return;
    };
    let at = names.iter().position(|name| name == prompt.input.text());
    let next = match at {
        None if forward => 0,
        None => names.len() - 1,
        Some(at) if forward => (at + 1) % names.len(),
        Some(at) => at.checked_sub(1).unwrap_or(names.len() - 1),
    };
    if let Some(name) = names.get(next) {
        prompt.input.set(name);
        prompt.error = None;
    }
}

/// A configured place, by its name or its place in the list.
fn place(model: &Model, text: &str) -> Option<String> {
    let names = places(model);
    let by_number = text
        .parse::<usize>()
        .ok()
        .and_then(|at| names.get(at.checked_sub(1)?));
    let by_name = names.iter().find(|name| name.eq_ignore_ascii_case(text));
    by_name.or(by_number).cloned()
}

/// Filter and search act while they are typed.
pub(super) fn typed(model: &mut Model) {
    let Some(Overlay::Prompt(prompt)) = model.overlays.last() else {
        return;
    };
    let text: String = prompt.input.text().chars().take(FILTER_MAX).collect();
    match prompt.ask {
        Ask::Filter => acts::set_filter(model, &text),
        Ask::Search => {
            model.transcript.look_for(&text);
            model.transcript.show_match();
        }
        _ => {}
    }
}

/// Puts back what was there before the prompt.
pub(super) fn take_back(model: &mut Model, prompt: &Prompt) {
    match prompt.ask {
        Ask::Filter => acts::set_filter(model, &prompt.before),
        Ask::Search => model.transcript.look_for(&prompt.before),
        _ => {}
    }
}

fn submit(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = model.overlays.pop() else {
        return Vec::new();
    };
    let text = prompt.input.text().trim().to_owned();
    match prompt.ask {
        Ask::Filter | Ask::Search => return Vec::new(),
        Ask::Past => return pages::search_past(model, Some(&text)),
        Ask::Lead => return lead::open(model, Some(&text)),
        _ => {}
    }
    if prompt.ask == Ask::Speak {
        return speak(model, prompt, text);
    }
    let known = place(model, &text).filter(|_| prompt.ask == Ask::Transfer);
    let answered = match known {
        Some(to) => Ok(Action::Transfer { to }),
        None => answer(prompt.ask, &text),
    };
    match answered {
        Err(error) => {
            model.overlays.push(Overlay::Prompt(Prompt {
                error: Some(error),
                ..prompt
            }));
            Vec::new()
        }
        Ok(action @ Action::Transfer { .. }) => {
            if let Some(call) = prompt.call {
                acts::confirm(model, call, action);
            }
            Vec::new()
        }
        Ok(action) if is_for_all(&action) && !marks::here(model).is_empty() => {
            let wishes = marks::all_of(model, &action);
            if wishes.is_empty() {
                model.say(Severity::Info, "none of the marked calls is in a call now");
            } else {
                marks::ask(model, wishes);
            }
            Vec::new()
        }
        Ok(action @ Action::Dial { .. }) => acts::send(model, None, action, None),
        Ok(action @ Action::Unmask {}) => acts::send(model, prompt.call, action, Some(text)),
        Ok(action) => {
            // The question was about this call; it may be over by the time of the answer.
            let call = prompt.call.and_then(|id| model.board.get(id));
            let speaks = matches!(action, Action::Whisper { .. } | Action::Say { .. });
            if speaks && !call.is_some_and(Call::is_live) {
                model.say(Severity::Warn, "the call has ended; nothing was sent");
                return Vec::new();
            }
            acts::send(model, prompt.call, action, None)
        }
    }
}

/// Sends a line of an operator who has the call, and stays open for the next.
fn speak(model: &mut Model, mut prompt: Prompt, text: String) -> Vec<Effect> {
    let call = prompt.call.and_then(|id| model.board.get(id));
    let Some(call) = call.filter(|call| call.is_live()) else {
        model.say(Severity::Warn, "the call has ended; nothing was said");
        return Vec::new();
    };
    let id = call.id;
    let mut effects = Vec::new();
    match call.held_by.as_deref() {
        Some(by) if by == model.user() && !text.is_empty() => {
            prompt.input.set("");
            prompt.error = None;
            effects = acts::send(model, Some(id), Action::Say { text }, None);
        }
        Some(by) if by == model.user() => prompt.error = Some("nothing typed yet".into()),
        Some(by) => prompt.error = Some(format!("{by} speaks to the caller")),
        None => prompt.error = Some("not yours yet; enter again".into()),
    }
    model.overlays.push(Overlay::Prompt(prompt));
    effects
}

/// What is done to all marked calls.
fn is_for_all(action: &Action) -> bool {
    matches!(
        action,
        Action::Whisper { .. } | Action::Say { .. } | Action::Note { .. } | Action::Flag { .. }
    )
}

fn answer(ask: Ask, text: &str) -> Result<Action, String> {
    let owned = text.to_owned();
    if text.is_empty() {
        return Err(match ask {
            Ask::Unmask => "a reason is needed; it is kept in the audit log".into(),
            _ => "nothing typed yet; esc to leave".into(),
        });
    }
    Ok(match ask {
        Ask::Whisper => Action::Whisper { text: owned },
        Ask::Say | Ask::Speak => Action::Say { text: owned },
        Ask::HandBack => Action::HandBack { note: Some(owned) },
        Ask::Note => Action::Note { text: owned },
        Ask::Flag => Action::Flag { label: owned },
        Ask::Unmask | Ask::Filter | Ask::Search | Ask::Past | Ask::Lead => Action::Unmask {},
        Ask::Transfer if text.starts_with("sip:") => Action::Transfer { to: owned },
        Ask::Transfer => Action::Transfer { to: number(text)? },
        Ask::Dial => {
            // `+1415… via elevenlabs`: the agent vendor dials on a line of its own.
            let (dialled, via) = match text.split_once(" via ") {
                Some((dialled, via)) => (dialled, Some(via.trim().to_owned())),
                None => (text, None),
            };
            Action::Dial {
                request: DialRequest {
                    number: number(dialled)?,
                    via,
                    ..DialRequest::default()
                },
            }
        }
    })
}

/// A number in E.164, blanks, dashes and brackets forgiven.
fn number(text: &str) -> Result<String, String> {
    e164(text)
        .ok_or_else(|| "write it with + and country code, for instance +14155550134".to_owned())
}
